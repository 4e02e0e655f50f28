// workload_larson.c: Larson's server benchmark, exactly, with its end in operations or
// generations instead of seconds.
//
// Main allocates all chunks, permutes them, replaces four times as many at random, then sleeps for
// good. Every chain owns `chunks` of them; its thread does rounds × chunks operations (free a
// random chunk, allocate another in its place, write two bytes), creates a successor on the same
// chunks and exits, while the successor already frees what it left. A generation is one such
// thread.
//
// Of a thread's frees, (1 − e^−rounds) ÷ rounds are of chunks that another thread has allocated.
//
// After larson.cpp by Paul Larson, as in mimalloc-bench: the same generator, the same draws in the
// same order, sizes from min to max − 1.
#include "workload.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS, MIN, MAX, CHUNKS, GENERATIONS, OPERATIONS };

static const struct workload_parameter parameters[] = {
    [ROUNDS] = {"rounds", 1, 1, 1000000, "operations of a thread = rounds × chunks"},
    [MIN] = {"min", 2048, 1, 1u << 30, "least size, bytes"},
    [MAX] = {"max", 32768, 1, 1u << 30, "sizes stay below this, bytes"},
    [CHUNKS] = {"chunks", 10000, 1, 1000000, "live blocks per chain"},
    [GENERATIONS] = {"generations", 10, 1, 1000000, "threads of a chain, one after the other"},
    [OPERATIONS] = {"operations", 0, 0, UINT64_C(1) << 40,
                    "stop when all chains together have done so many; 0: do not"},
};

enum { SEMAPHORE_FINISHED };

struct larson;

// One chain: what its threads hand on to each other. Only its running thread touches it, except
// that successor and predecessor overlap after the handing over, in the exit alone.
struct chain {
    struct larson *larson;
    struct workload_block *chunks;
    struct sim_lran2 random;
    uint64_t generation;
    uint64_t allocations, frees, remote_frees;
    char apart[WORKLOAD_APART];
};

struct larson {
    struct workload_settings settings;
    struct workload_host host;
    struct workload_block *chunks; // all chains', one after the other
    struct chain *chains;
    struct sim_lran2 random; // main's
    uint64_t warm_up_allocations, warm_up_frees;
    char apart[WORKLOAD_APART];
    _Atomic uint64_t operations; // of all chains, where they end the run
    _Atomic bool stop, failed;   // set once, by any chain
};

static uint64_t value(const struct larson *larson, int parameter) {
    return larson->settings.values[parameter];
}

static const char *refuse(const struct workload_settings *settings) {
    return workload_refuse_sizes(settings->values[MIN], settings->values[MAX]);
}

static uint64_t threads(const struct workload_settings *settings) {
    return 1 + settings->threads * settings->values[GENERATIONS];
}

static uint64_t semaphores(const struct workload_settings *settings) {
    (void)settings;
    return SEMAPHORE_FINISHED + 1;
}

static void fill(struct larson *larson, struct workload_block *chunk, struct sim_lran2 *random) {
    larson->host.think(larson->host.self);
    size_t bytes = workload_draw_size(random, value(larson, MIN), value(larson, MAX));
    if (!larson->host.allocate(larson->host.self, bytes, chunk))
        larson->failed = true;
}

static void empty(struct larson *larson, struct workload_block *chunk) {
    if (chunk->address)
        larson->host.release(larson->host.self, chunk);
}

// Main's part, before any other thread.
static void warm_up(struct larson *larson) {
    uint32_t count = (uint32_t)(larson->settings.threads * value(larson, CHUNKS));
    for (uint32_t i = 0; i < count; i++)
        fill(larson, &larson->chunks[i], &larson->random);
    for (uint32_t left = count; left > 0; left--) {
        uint32_t victim = sim_lran2_next(&larson->random) % left;
        struct workload_block taken = larson->chunks[victim];
        larson->chunks[victim] = larson->chunks[left - 1];
        larson->chunks[left - 1] = taken;
    }
    for (uint32_t i = 0; i < 4 * count; i++) {
        larson->host.think(larson->host.self);
        struct workload_block *victim = &larson->chunks[sim_lran2_next(&larson->random) % count];
        empty(larson, victim);
        fill(larson, victim, &larson->random);
    }
    larson->warm_up_allocations = (uint64_t)count * 5;
    larson->warm_up_frees = (uint64_t)count * 4;
}

static void replace_one(struct chain *chain) {
    struct larson *larson = chain->larson;
    larson->host.think(larson->host.self);
    struct workload_block *victim =
        &chain->chunks[sim_lran2_next(&chain->random) % (uint32_t)value(larson, CHUNKS)];
    if (victim->thread != larson->host.thread(larson->host.self))
        chain->remote_frees++;
    empty(larson, victim);
    chain->frees++;
    fill(larson, victim, &chain->random);
    chain->allocations++;
    if (victim->address)
        larson->host.write(larson->host.self, victim);
}

static void count_operation(struct larson *larson) {
    uint64_t most = value(larson, OPERATIONS);
    if (most && ++larson->operations == most)
        larson->stop = true;
}

static workload_body generation;

// The successor takes over, or the chain is at its end.
static void hand_over(struct chain *chain) {
    struct larson *larson = chain->larson;
    bool last = larson->stop || larson->failed || chain->generation == value(larson, GENERATIONS);
    if (!last && !larson->host.spawn(larson->host.self, generation, chain))
        larson->failed = last = true;
    if (last)
        larson->host.post(larson->host.self, SEMAPHORE_FINISHED);
}

static void generation(void *argument) {
    struct chain *chain = argument;
    struct larson *larson = chain->larson;
    chain->generation++;
    uint64_t operations = value(larson, ROUNDS) * value(larson, CHUNKS);
    for (uint64_t i = 0; i < operations && !larson->stop && !larson->failed; i++) {
        replace_one(chain);
        count_operation(larson);
    }
    hand_over(chain);
}

static void start_chain(struct larson *larson, uint32_t i) {
    struct chain *chain = &larson->chains[i];
    chain->larson = larson;
    chain->chunks = &larson->chunks[i * value(larson, CHUNKS)];
    sim_lran2_begin(&chain->random, sim_lran2_next(&larson->random));
    if (larson->host.spawn(larson->host.self, generation, chain))
        return;
    larson->failed = true;
    larson->host.post(larson->host.self, SEMAPHORE_FINISHED);
}

static void main_body(void *argument) {
    struct larson *larson = argument;
    larson->host.set(larson->host.self, SEMAPHORE_FINISHED, 0);
    warm_up(larson);
    for (uint32_t i = 0; i < larson->settings.threads; i++)
        start_chain(larson, i);
    for (uint32_t i = 0; i < larson->settings.threads; i++)
        larson->host.wait(larson->host.self, SEMAPHORE_FINISHED);
}

static void end(void *run) {
    struct larson *larson = run;
    if (!larson)
        return;
    free(larson->chunks);
    free(larson->chains);
    free(larson);
}

static void *begin(const struct workload_settings *settings, const struct workload_host *host) {
    struct larson *larson = calloc(1, sizeof *larson);
    if (!larson)
        return NULL;
    larson->settings = *settings;
    larson->host = *host;
    sim_lran2_begin(&larson->random, settings->seed);
    larson->chunks = calloc(settings->threads * value(larson, CHUNKS), sizeof *larson->chunks);
    larson->chains = calloc(settings->threads, sizeof *larson->chains);
    if (larson->chunks && larson->chains)
        return larson;
    end(larson);
    return NULL;
}

static size_t counts(const void *run, struct workload_count *counts_out) {
    const struct larson *larson = run;
    struct workload_count sums[] = {
        {"warm_up_allocations", larson->warm_up_allocations},
        {"warm_up_frees", larson->warm_up_frees},
        {"allocations", 0},
        {"frees", 0},
        {"remote_frees", 0},
        {"generations", 0},
    };
    for (uint32_t i = 0; i < larson->settings.threads; i++) {
        sums[2].value += larson->chains[i].allocations;
        sums[3].value += larson->chains[i].frees;
        sums[4].value += larson->chains[i].remote_frees;
        sums[5].value += larson->chains[i].generation;
    }
    memcpy(counts_out, sums, sizeof sums);
    return sizeof sums / sizeof sums[0];
}

static bool failed(const void *run) {
    return ((const struct larson *)run)->failed;
}

const struct workload workload_larson = {
    .name = "larson",
    .meaning = "N chains of threads that hand their live blocks to a successor and exit",
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
