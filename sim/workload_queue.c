// workload_queue.c: see workload_queue.h.
#include "workload_queue.h"

#include <stdlib.h>

enum { SEMAPHORE_ROOM, SEMAPHORE_FILLED, SEMAPHORE_LOCK };

bool workload_batch_make(struct workload_batch *batch, uint64_t capacity) {
    batch->blocks = calloc(capacity, sizeof *batch->blocks);
    batch->count = 0;
    return batch->blocks != NULL;
}

void workload_batch_free(struct workload_batch *batch) {
    free(batch->blocks);
    batch->blocks = NULL;
}

bool workload_queue_make(struct workload_queue *queue, const struct workload_host *host,
                         uint32_t first_semaphore, uint64_t slots, uint64_t capacity) {
    *queue = (struct workload_queue){.host = host,
                                     .first_semaphore = first_semaphore,
                                     .ring = calloc(slots, sizeof *queue->ring),
                                     .slots = slots};
    bool made = queue->ring != NULL;
    for (uint64_t i = 0; made && i < slots; i++)
        made = workload_batch_make(&queue->ring[i], capacity);
    if (!made)
        workload_queue_free(queue);
    return made;
}

void workload_queue_free(struct workload_queue *queue) {
    for (uint64_t i = 0; queue->ring && i < queue->slots; i++)
        workload_batch_free(&queue->ring[i]);
    free(queue->ring);
    queue->ring = NULL;
}

void workload_queue_open(struct workload_queue *queue) {
    const struct workload_host *host = queue->host;
    host->set(host->self, queue->first_semaphore + SEMAPHORE_ROOM, queue->slots);
    host->set(host->self, queue->first_semaphore + SEMAPHORE_FILLED, 0);
    host->set(host->self, queue->first_semaphore + SEMAPHORE_LOCK, 1);
}

static void wait(struct workload_queue *queue, uint32_t semaphore) {
    queue->host->wait(queue->host->self, queue->first_semaphore + semaphore);
}

static void post(struct workload_queue *queue, uint32_t semaphore) {
    queue->host->post(queue->host->self, queue->first_semaphore + semaphore);
}

static void swap(struct workload_queue *queue, uint64_t turn, struct workload_batch *batch) {
    struct workload_batch *slot = &queue->ring[turn % queue->slots];
    struct workload_batch taken = *slot;
    batch->from = queue->host->thread(queue->host->self);
    *slot = *batch;
    *batch = taken;
}

// The batch's memory was another thread's: its blocks are to be read, or to be written anew.
static void receive(struct workload_queue *queue, const struct workload_batch *batch,
                    uint64_t blocks) {
    if (blocks)
        queue->host->receive(queue->host->self, batch->from, blocks * sizeof batch->blocks[0]);
}

void workload_queue_put(struct workload_queue *queue, struct workload_batch *batch) {
    uint64_t put = batch->count;
    wait(queue, SEMAPHORE_ROOM);
    wait(queue, SEMAPHORE_LOCK);
    swap(queue, queue->put++, batch);
    post(queue, SEMAPHORE_LOCK);
    post(queue, SEMAPHORE_FILLED);
    receive(queue, batch, put);
    batch->count = 0;
}

void workload_queue_take(struct workload_queue *queue, struct workload_batch *batch) {
    wait(queue, SEMAPHORE_FILLED);
    wait(queue, SEMAPHORE_LOCK);
    swap(queue, queue->taken++, batch);
    post(queue, SEMAPHORE_LOCK);
    post(queue, SEMAPHORE_ROOM);
    receive(queue, batch, batch->count);
}
