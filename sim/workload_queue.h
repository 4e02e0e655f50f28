// workload_queue.h: a bounded queue of batches of blocks between a workload's threads, first in,
// first out.
//
// Putting and taking *swap* the caller's batch with the one in the queue's slot, so that no thread
// allocates a batch while the workload runs: on real threads the malloc that is measured would
// serve that too.
//
// Threads: make and free with no thread running; open from the thread that starts the others; put
// and take from any.
#ifndef SIM_WORKLOAD_QUEUE_H
#define SIM_WORKLOAD_QUEUE_H

#include "workload.h"

#define WORKLOAD_QUEUE_SEMAPHORES 3

struct workload_batch {
    struct workload_block *blocks; // room for as many as the queue's batches have
    uint64_t count;
    uint32_t from; // who has put it into a queue, or taken it from there, last
};

struct workload_queue {
    const struct workload_host *host;
    uint32_t first_semaphore; // of WORKLOAD_QUEUE_SEMAPHORES in a row that are its own
    struct workload_batch *ring;
    uint64_t slots;
    char apart[WORKLOAD_APART];
    uint64_t put, taken; // guarded by the queue's lock
    char apart_from_next[WORKLOAD_APART];
};

// False: no memory.
bool workload_batch_make(struct workload_batch *batch, uint64_t capacity);
void workload_batch_free(struct workload_batch *batch);

// `slots` batches of up to `capacity` blocks; the host must outlive it. False: no memory.
bool workload_queue_make(struct workload_queue *queue, const struct workload_host *host,
                         uint32_t first_semaphore, uint64_t slots, uint64_t capacity);
// Also one that was not made, if it is zero.
void workload_queue_free(struct workload_queue *queue);
void workload_queue_open(struct workload_queue *queue);

// Waits while the queue is full; leaves an empty batch.
void workload_queue_put(struct workload_queue *queue, struct workload_batch *batch);
// Waits while it is empty; the caller's batch, which must be empty, stays in the queue.
void workload_queue_take(struct workload_queue *queue, struct workload_batch *batch);

#endif
