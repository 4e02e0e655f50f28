// workload_reclaimer.c: many producers that go on allocating, one thread that only frees.
//
// Every producer keeps `live` blocks. Again and again it allocates one, puts it in a random place
// among them, and adds what stood there to a batch; a full batch goes to the reclaimer's queue.
// The reclaimer frees all blocks of all batches and allocates nothing. At the end the producers
// give it what they still hold.
//
// After the report of 16 producers and a reclaimer (mimalloc #1364): every remote free is of a page
// whose owner runs and allocates.
#include "workload_queue.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LIVE, BATCH, QUEUE, BLOCKS, MIN, MAX };

static const struct workload_parameter parameters[] = {
    [LIVE] = {"live", 5000, 1, 1u << 24, "blocks that each producer keeps"},
    [BATCH] = {"batch", 256, 1, 1u << 20, "blocks in a batch"},
    [QUEUE] = {"queue", 16, 1, 1u << 16, "batches that wait for the reclaimer"},
    [BLOCKS] = {"blocks", 50000, 1, 1u << 30, "blocks that each producer allocates in all"},
    [MIN] = {"min", 16, 1, 1u << 30, "least size, bytes"},
    [MAX] = {"max", 1024, 1, 1u << 30, "sizes stay below this, bytes"},
};

enum { SEMAPHORE_PRODUCED, SEMAPHORE_RECLAIMED, SEMAPHORE_QUEUE };

struct service;

struct producer {
    struct service *service;
    struct workload_block *live;
    struct workload_batch batch;
    struct sim_lran2 random;
    uint64_t allocations;
    char apart[WORKLOAD_APART];
};

struct service {
    struct workload_settings settings;
    struct workload_host host;
    struct producer *producers;
    struct workload_queue queue; // an empty batch in it ends the reclaimer
    struct workload_batch nothing;
    _Atomic bool failed;
    char apart[WORKLOAD_APART];
    struct workload_batch reclaimed; // the reclaimer's, as are these
    uint64_t frees, local_frees;
};

static uint64_t value(const struct service *service, int parameter) {
    return service->settings.values[parameter];
}

static const char *refuse(const struct workload_settings *settings) {
    return workload_refuse_sizes(settings->values[MIN], settings->values[MAX]);
}

static uint64_t threads(const struct workload_settings *settings) {
    return 2 + (uint64_t)settings->threads;
}

static uint64_t semaphores(const struct workload_settings *settings) {
    (void)settings;
    return SEMAPHORE_QUEUE + WORKLOAD_QUEUE_SEMAPHORES;
}

static void post(struct service *service, uint32_t semaphore) {
    service->host.post(service->host.self, semaphore);
}

// ---------------------------------------------------------------- producers

static void give(struct producer *producer, struct workload_block *block) {
    if (!block->address)
        return;
    producer->batch.blocks[producer->batch.count++] = *block;
    block->address = NULL;
    if (producer->batch.count == value(producer->service, BATCH))
        workload_queue_put(&producer->service->queue, &producer->batch);
}

static void replace_one(struct producer *producer) {
    struct service *service = producer->service;
    service->host.think(service->host.self);
    struct workload_block *place =
        &producer->live[sim_lran2_next(&producer->random) % value(service, LIVE)];
    give(producer, place);
    if (workload_fill(&service->host, &producer->random, value(service, MIN), value(service, MAX),
                      place))
        producer->allocations++;
    else
        service->failed = true;
}

static void produce(void *argument) {
    struct producer *producer = argument;
    struct service *service = producer->service;
    for (uint64_t i = 0; i < value(service, BLOCKS) && !service->failed; i++)
        replace_one(producer);
    for (uint64_t i = 0; i < value(service, LIVE); i++)
        give(producer, &producer->live[i]);
    if (producer->batch.count > 0)
        workload_queue_put(&service->queue, &producer->batch);
    post(service, SEMAPHORE_PRODUCED);
}

// ---------------------------------------------------------------- the reclaimer

static void free_batch(struct service *service) {
    const struct workload_host *host = &service->host;
    struct workload_batch *batch = &service->reclaimed;
    for (uint64_t i = 0; i < batch->count; i++) {
        service->local_frees += batch->blocks[i].thread == host->thread(host->self);
        host->release(host->self, &batch->blocks[i]);
        service->frees++;
    }
    batch->count = 0;
}

static void reclaim(void *argument) {
    struct service *service = argument;
    for (;;) {
        workload_queue_take(&service->queue, &service->reclaimed);
        if (service->reclaimed.count == 0)
            break;
        free_batch(service);
    }
    post(service, SEMAPHORE_RECLAIMED);
}

// ---------------------------------------------------------------- main

static void start_producer(struct service *service, uint32_t i) {
    if (service->host.spawn(service->host.self, produce, &service->producers[i]))
        return;
    service->failed = true;
    post(service, SEMAPHORE_PRODUCED);
}

static void main_body(void *argument) {
    struct service *service = argument;
    const struct workload_host *host = &service->host;
    workload_queue_open(&service->queue);
    host->set(host->self, SEMAPHORE_PRODUCED, 0);
    host->set(host->self, SEMAPHORE_RECLAIMED, 0);
    if (!host->spawn(host->self, reclaim, service)) {
        service->failed = true;
        return;
    }
    for (uint32_t i = 0; i < service->settings.threads; i++)
        start_producer(service, i);
    for (uint32_t i = 0; i < service->settings.threads; i++)
        host->wait(host->self, SEMAPHORE_PRODUCED);
    workload_queue_put(&service->queue, &service->nothing);
    host->wait(host->self, SEMAPHORE_RECLAIMED);
}

// ---------------------------------------------------------------- life

static void end(void *run) {
    struct service *service = run;
    if (!service)
        return;
    for (uint32_t i = 0; service->producers && i < service->settings.threads; i++) {
        free(service->producers[i].live);
        workload_batch_free(&service->producers[i].batch);
    }
    workload_batch_free(&service->reclaimed);
    workload_batch_free(&service->nothing);
    workload_queue_free(&service->queue);
    free(service->producers);
    free(service);
}

static bool make_producer(struct service *service, uint32_t i) {
    struct producer *producer = &service->producers[i];
    producer->service = service;
    sim_lran2_begin(&producer->random, service->settings.seed + i);
    producer->live = calloc(value(service, LIVE), sizeof *producer->live);
    return producer->live && workload_batch_make(&producer->batch, value(service, BATCH));
}

static bool make_all(struct service *service) {
    uint64_t batch = value(service, BATCH);
    service->producers = calloc(service->settings.threads, sizeof *service->producers);
    bool made = service->producers && workload_batch_make(&service->reclaimed, batch) &&
                workload_batch_make(&service->nothing, batch) &&
                workload_queue_make(&service->queue, &service->host, SEMAPHORE_QUEUE,
                                    value(service, QUEUE), batch);
    for (uint32_t i = 0; made && i < service->settings.threads; i++)
        made = make_producer(service, i);
    return made;
}

static void *begin(const struct workload_settings *settings, const struct workload_host *host) {
    struct service *service = calloc(1, sizeof *service);
    if (!service)
        return NULL;
    service->settings = *settings;
    service->host = *host;
    if (make_all(service))
        return service;
    end(service);
    return NULL;
}

static size_t counts(const void *run, struct workload_count *counts_out) {
    const struct service *service = run;
    struct workload_count sums[] = {
        {"allocations", 0}, {"frees", service->frees}, {"local_frees", service->local_frees}};
    for (uint32_t i = 0; i < service->settings.threads; i++)
        sums[0].value += service->producers[i].allocations;
    memcpy(counts_out, sums, sizeof sums);
    return sizeof sums / sizeof sums[0];
}

static bool failed(const void *run) {
    return ((const struct service *)run)->failed;
}

const struct workload workload_reclaimer = {
    .name = "reclaimer",
    .meaning = "N producers that go on allocating, and one thread that only frees",
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof parameters[0],
    .refuse = refuse,
    .threads = threads,
    .semaphores = semaphores,
    .begin = begin,
    .main = main_body,
    .counts = counts,
    .failed = failed,
    .end = end,
};
