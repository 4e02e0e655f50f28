// channel.h: a first-in first-out queue of pointers between threads, under a mutex, as the mailbox
// of xmalloc-test is. What goes through it is a batch, so that its cost is spread over many blocks.
//
// A channel never refuses: it has room for everything that its users may put at a time.
// Threads: any number may put and take.
#ifndef BENCH_CHANNEL_H
#define BENCH_CHANNEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct channel {
    pthread_mutex_t lock; // guards what follows, except that anyone reads count
    pthread_cond_t changed;
    void **ring;
    uint32_t limit, first;
    _Atomic uint32_t count;
} __attribute__((aligned(128)));

// `ring` has room for `limit` pointers.
void channel_begin(struct channel *channel, void **ring, uint32_t limit);
void channel_put(struct channel *channel, void *item);
// Waits for an item. Items may be NULL: whatever was put.
void *channel_take(struct channel *channel);
// Does not wait; NULL: empty just now.
void *channel_try_take(struct channel *channel);
// Waits until there are `count` items or more.
void channel_await(struct channel *channel, uint32_t count);

#endif
