// workload_stop.c: a producer that goes silent: it has allocated all there is, and never calls the
// allocator again, but lives on.
//
// The producer allocates `blocks` for each worker and hands them over, dealt out in turn. Then it
// waits until the end. Each worker replaces random blocks of its share, `rounds` × blocks times
// (free, allocate one of its own): in the first round it frees the silent one's blocks mostly, so
// that the silent one's pages empty while the others need pages. At the end the workers free what
// they hold.
//
// After reports of owners that go silent (mimalloc #214 and #333).
#include "workload_queue.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS, ROUNDS, MIN, MAX };

static const struct workload_parameter parameters[] = {
    [BLOCKS] = {"blocks", 10000, 1, 1u << 24, "blocks for each worker"},
    [ROUNDS] = {"rounds", 5, 1, 1000000, "replacements of a worker = rounds × blocks"},
    [MIN] = {"min", 16, 1, 1u << 30, "least size, bytes"},
    [MAX] = {"max", 1024, 1, 1u << 30, "sizes stay below this, bytes"},
};

enum { SEMAPHORE_WORKED, SEMAPHORE_SILENT, SEMAPHORE_OVER };

struct house;

// Only its thread touches a worker once it runs.
struct worker {
    struct house *house;
    struct workload_batch share;
    struct sim_lran2 random;
    uint64_t allocations, frees, local_frees;
};

struct house {
    struct workload_settings settings;
    struct workload_host host;
    struct worker *workers;
    struct sim_lran2 random; // the producer's
    uint64_t produced;
    _Atomic bool failed;
};

static uint64_t value(const struct house *house, int parameter) {
    return house->settings.values[parameter];
}

static const char *refuse(const struct workload_settings *settings) {
    return workload_refuse_sizes(settings->values[MIN], settings->values[MAX]);
}

static uint64_t threads(const struct workload_settings *settings) {
    return 2 + (uint64_t)settings->threads;
}

static uint64_t semaphores(const struct workload_settings *settings) {
    (void)settings;
    return SEMAPHORE_OVER + 1;
}

static void wait(struct house *house, uint32_t semaphore) {
    house->host.wait(house->host.self, semaphore);
}

static void post(struct house *house, uint32_t semaphore) {
    house->host.post(house->host.self, semaphore);
}

static bool fill(struct house *house, struct sim_lran2 *random, struct workload_block *block) {
    bool filled = workload_fill(&house->host, random, value(house, MIN), value(house, MAX), block);
    if (!filled)
        house->failed = true;
    return filled;
}

// ---------------------------------------------------------------- the producer

static void produce(void *argument) {
    struct house *house = argument;
    for (uint64_t i = 0; i < value(house, BLOCKS); i++)
        for (uint32_t w = 0; w < house->settings.threads && !house->failed; w++)
            house->produced += fill(house, &house->random, &house->workers[w].share.blocks[i]);
    post(house, SEMAPHORE_SILENT);
    wait(house, SEMAPHORE_OVER);
}

// ---------------------------------------------------------------- workers

static void empty(struct worker *worker, struct workload_block *block) {
    const struct workload_host *host = &worker->house->host;
    if (!block->address)
        return;
    worker->local_frees += block->thread == host->thread(host->self);
    host->release(host->self, block);
    worker->frees++;
}

static void work(void *argument) {
    struct worker *worker = argument;
    struct house *house = worker->house;
    uint64_t blocks = value(house, BLOCKS);
    for (uint64_t i = 0; i < blocks * value(house, ROUNDS) && !house->failed; i++) {
        house->host.think(house->host.self);
        struct workload_block *victim =
            &worker->share.blocks[sim_lran2_next(&worker->random) % blocks];
        empty(worker, victim);
        worker->allocations += fill(house, &worker->random, victim);
    }
    for (uint64_t i = 0; i < blocks; i++)
        empty(worker, &worker->share.blocks[i]);
    post(house, SEMAPHORE_WORKED);
}

// ---------------------------------------------------------------- main

static void start(struct house *house, workload_body *body, void *argument, uint32_t at_end) {
    if (house->host.spawn(house->host.self, body, argument))
        return;
    house->failed = true;
    post(house, at_end);
}

static void main_body(void *argument) {
    struct house *house = argument;
    const struct workload_host *host = &house->host;
    host->set(host->self, SEMAPHORE_WORKED, 0);
    host->set(host->self, SEMAPHORE_SILENT, 0);
    host->set(host->self, SEMAPHORE_OVER, 0);
    start(house, produce, house, SEMAPHORE_SILENT);
    wait(house, SEMAPHORE_SILENT);
    for (uint32_t i = 0; i < house->settings.threads; i++)
        start(house, work, &house->workers[i], SEMAPHORE_WORKED);
    for (uint32_t i = 0; i < house->settings.threads; i++)
        wait(house, SEMAPHORE_WORKED);
    post(house, SEMAPHORE_OVER);
}

// ---------------------------------------------------------------- life

static void end(void *run) {
    struct house *house = run;
    if (!house)
        return;
    for (uint32_t i = 0; house->workers && i < house->settings.threads; i++)
        workload_batch_free(&house->workers[i].share);
    free(house->workers);
    free(house);
}

static bool make_workers(struct house *house) {
    house->workers = calloc(house->settings.threads, sizeof *house->workers);
    bool made = house->workers != NULL;
    for (uint32_t i = 0; made && i < house->settings.threads; i++) {
        house->workers[i].house = house;
        sim_lran2_begin(&house->workers[i].random, house->settings.seed + 1 + i);
        made = workload_batch_make(&house->workers[i].share, value(house, BLOCKS));
    }
    return made;
}

static void *begin(const struct workload_settings *settings, const struct workload_host *host) {
    struct house *house = calloc(1, sizeof *house);
    if (!house)
        return NULL;
    house->settings = *settings;
    house->host = *host;
    sim_lran2_begin(&house->random, settings->seed);
    if (make_workers(house))
        return house;
    end(house);
    return NULL;
}

static size_t counts(const void *run, struct workload_count *counts_out) {
    const struct house *house = run;
    struct workload_count sums[] = {
        {"produced", house->produced}, {"allocations", 0}, {"frees", 0}, {"local_frees", 0}};
    for (uint32_t i = 0; i < house->settings.threads; i++) {
        sums[1].value += house->workers[i].allocations;
        sums[2].value += house->workers[i].frees;
        sums[3].value += house->workers[i].local_frees;
    }
    memcpy(counts_out, sums, sizeof sums);
    return sizeof sums / sizeof sums[0];
}

static bool failed(const void *run) {
    return ((const struct house *)run)->failed;
}

const struct workload workload_stop = {
    .name = "stop",
    .meaning = "one thread allocates all, goes silent and lives on; N workers replace its blocks",
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
