// channel.c: see channel.h.
#include "channel.h"

#include <assert.h>
#include <stddef.h>

void channel_begin(struct channel *channel, void **ring, uint32_t limit) {
    pthread_mutex_init(&channel->lock, NULL);
    pthread_cond_init(&channel->changed, NULL);
    channel->ring = ring;
    channel->limit = limit;
    channel->first = 0;
    atomic_init(&channel->count, 0);
}

// Only under the lock; others who read count without it see a value that may be old, and then ask
// again later.
static uint32_t count_of(struct channel *channel) {
    return atomic_load_explicit(&channel->count, memory_order_relaxed);
}

static void set_count(struct channel *channel, uint32_t count) {
    atomic_store_explicit(&channel->count, count, memory_order_relaxed);
}

static void *take_locked(struct channel *channel) {
    void *item = channel->ring[channel->first];
    channel->first = (channel->first + 1) % channel->limit;
    set_count(channel, count_of(channel) - 1);
    return item;
}

void channel_put(struct channel *channel, void *item) {
    pthread_mutex_lock(&channel->lock);
    uint32_t count = count_of(channel);
    assert(count < channel->limit);
    channel->ring[(channel->first + count) % channel->limit] = item;
    set_count(channel, count + 1);
    pthread_mutex_unlock(&channel->lock);
    pthread_cond_broadcast(&channel->changed);
}

void *channel_take(struct channel *channel) {
    pthread_mutex_lock(&channel->lock);
    while (count_of(channel) == 0)
        pthread_cond_wait(&channel->changed, &channel->lock);
    void *item = take_locked(channel);
    pthread_mutex_unlock(&channel->lock);
    return item;
}

void *channel_try_take(struct channel *channel) {
    if (count_of(channel) == 0)
        return NULL;
    pthread_mutex_lock(&channel->lock);
    void *item = count_of(channel) > 0 ? take_locked(channel) : NULL;
    pthread_mutex_unlock(&channel->lock);
    return item;
}

void channel_await(struct channel *channel, uint32_t count) {
    pthread_mutex_lock(&channel->lock);
    while (count_of(channel) < count)
        pthread_cond_wait(&channel->changed, &channel->lock);
    pthread_mutex_unlock(&channel->lock);
}
