// load_larson.c: Larson's benchmark: blocks outlive the thread that allocated them.
//
// As the published program does it: main allocates all blocks, permutes them, then replaces four
// times as many at random, and never allocates again. A thread replaces rounds × slots blocks of
// its part at random, starts a successor on the same part and exits; the two overlap. The random
// numbers are the original's, division and all. The published program ends after a time, as speed
// mode does; memory mode ends after a number of generations.
#include "block.h"
#include "lran2.h"

#include <pthread.h>
#include <semaphore.h>

// Handed from each thread of a chain to its successor.
struct chain {
    struct load_thread *thread;
    struct load_block *blocks;
    struct sim_lran2 random;
    sem_t ended;
} __attribute__((aligned(128)));

struct larson {
    struct load_block *blocks;
    struct chain *chains;
    struct sim_lran2 random; // main's
};

static uint32_t draw_size(struct sim_lran2 *random, const struct load_row *row) {
    return row->least_bytes + sim_lran2_next(random) % (row->most_bytes - row->least_bytes);
}

static void larson_set_up(struct load_run *run) {
    struct larson *larson = run->work = load_map(sizeof *larson);
    larson->blocks = load_map(run->slots * sizeof *larson->blocks);
    larson->chains = load_map(run->row->threads * sizeof *larson->chains);
    sim_lran2_begin(&larson->random, run->seed);
}

static void permute(struct load_block *blocks, uint32_t count, struct sim_lran2 *random) {
    for (uint32_t left = count; left > 0; left--) {
        uint32_t victim = sim_lran2_next(random) % left;
        struct load_block taken = blocks[victim];
        blocks[victim] = blocks[left - 1];
        blocks[left - 1] = taken;
    }
}

// The original does not write to these blocks; here they get their two bytes, to be checked.
static struct load_block warm_up_block(struct load_run *run, struct larson *larson) {
    return block_new(&run->threads[0], draw_size(&larson->random, run->row), LOAD_TOUCH_TWO_BYTES);
}

static void larson_warm_up(struct load_run *run) {
    struct larson *larson = run->work;
    for (uint32_t i = 0; i < run->slots; i++)
        larson->blocks[i] = warm_up_block(run, larson);
    permute(larson->blocks, run->slots, &larson->random);
    for (uint32_t i = 0; i < 4 * run->slots; i++) {
        struct load_block *victim = &larson->blocks[sim_lran2_next(&larson->random) % run->slots];
        block_free(&run->threads[0], victim, LOAD_TOUCH_TWO_BYTES);
        *victim = warm_up_block(run, larson);
    }
    for (uint32_t i = 0; i < run->row->threads; i++) {
        struct chain *chain = &larson->chains[i];
        chain->thread = &run->threads[i];
        chain->blocks = &larson->blocks[i * load_slots_per_thread(run)];
        sim_lran2_begin(&chain->random, sim_lran2_next(&larson->random));
        sem_init(&chain->ended, 0, 0);
    }
}

static void *generation(void *argument);

static void start_generation(struct chain *chain) {
    pthread_t handle;
    if (pthread_create(&handle, NULL, generation, chain) != 0)
        load_fail(chain->thread->run, "cannot start a thread");
    pthread_detach(handle);
}

// Looks at the stop flag before each operation, as the original does.
static void replace_blocks(struct chain *chain) {
    struct load_thread *thread = chain->thread;
    struct load_run *run = thread->run;
    uint32_t slots = load_slots_per_thread(run);
    uint64_t lifetime = run->memory ? run->row->memory_lifetime : run->row->speed_lifetime;
    for (uint64_t i = 0; i < lifetime * slots; i++) {
        if (!run->memory && atomic_load_explicit(&run->stop, memory_order_relaxed))
            return;
        struct load_block *victim = &chain->blocks[sim_lran2_next(&chain->random) % slots];
        block_free(thread, victim, LOAD_TOUCH_TWO_BYTES);
        *victim = block_new(thread, draw_size(&chain->random, run->row), LOAD_TOUCH_TWO_BYTES);
    }
}

static void *generation(void *argument) {
    struct chain *chain = argument;
    replace_blocks(chain);
    if (load_more(chain->thread))
        start_generation(chain);
    else
        sem_post(&chain->ended);
    return NULL;
}

// The harness's thread allocates nothing: it waits for the chain, and retires its blocks.
static void larson_body(struct load_thread *thread) {
    struct larson *larson = thread->run->work;
    struct chain *chain = &larson->chains[thread->number];
    start_generation(chain);
    while (sem_wait(&chain->ended) != 0)
        continue; // interrupted by a signal
}

static void larson_retire(struct load_thread *thread) {
    struct larson *larson = thread->run->work;
    struct chain *chain = &larson->chains[thread->number];
    for (uint32_t i = 0; i < load_slots_per_thread(thread->run); i++)
        block_retire(thread, &chain->blocks[i], i);
}

const struct load_family load_larson = {larson_set_up, larson_warm_up, NULL, larson_body,
                                        larson_retire};
