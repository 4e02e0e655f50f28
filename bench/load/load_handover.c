// load_handover.c: whole sets of blocks go from thread to thread.
//
//   phase    all threads fill their sets; each then frees its neighbour's
//   churn    a thread replaces its set and dies; the next generation frees what it left
//   strand   one set goes round: whoever holds it frees every block, allocates as many, passes it
//            on and sleeps. Only one thread works at a time, and the blocks' owner always sleeps
#include "block.h"
#include "channel.h"

struct set {
    struct load_block *blocks;
    struct channel turn; // strand
} __attribute__((aligned(128)));

struct handover {
    struct set *sets; // one per thread; strand has its only one in the first
    pthread_barrier_t barrier;
    bool is_last; // phase: written by thread 0 between two barriers
};

// `sets` sets that together have the row's slots.
static struct handover *begin(struct load_run *run, uint32_t sets) {
    struct handover *handover = run->work = load_map(sizeof *handover);
    handover->sets = load_map(run->row->threads * sizeof *handover->sets);
    for (uint32_t i = 0; i < sets; i++)
        handover->sets[i].blocks = load_map(run->slots / sets * sizeof(struct load_block));
    pthread_barrier_init(&handover->barrier, NULL, run->row->threads);
    return handover;
}

static void fill(struct load_thread *thread, struct load_block *blocks, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        blocks[i] = block_new(thread, block_random_size(thread), LOAD_TOUCH_WORD_PER_PAGE);
}

static void empty(struct load_thread *thread, struct load_block *blocks, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (blocks[i].address)
            block_free(thread, &blocks[i], LOAD_TOUCH_WORD_PER_PAGE);
}

static void retire(struct load_thread *thread, struct load_block *blocks, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        block_retire(thread, &blocks[i], i);
}

// ---------------------------------------------------------------- phase

static void phase_set_up(struct load_run *run) {
    begin(run, run->row->threads);
}

static void phase_body(struct load_thread *thread) {
    struct handover *handover = thread->run->work;
    uint32_t count = load_slots_per_thread(thread->run);
    uint32_t next = (thread->number + 1) % thread->run->row->threads;
    bool is_last;
    load_more(thread); // the first round is done whatever the answer
    do {
        fill(thread, handover->sets[thread->number].blocks, count);
        if (thread->number == 0)
            handover->is_last = !load_more(thread);
        pthread_barrier_wait(&handover->barrier);
        is_last = handover->is_last;
        if (!is_last)
            empty(thread, handover->sets[next].blocks, count);
        pthread_barrier_wait(&handover->barrier);
    } while (!is_last);
}

static void phase_retire(struct load_thread *thread) {
    struct handover *handover = thread->run->work;
    uint32_t next = (thread->number + 1) % thread->run->row->threads;
    retire(thread, handover->sets[next].blocks, load_slots_per_thread(thread->run));
}

const struct load_family load_phase = {phase_set_up, NULL, NULL, phase_body, phase_retire};

// ---------------------------------------------------------------- churn

// Block by block, so that live bytes stay the same.
static void *churn_generation(void *argument) {
    struct load_thread *thread = argument;
    struct handover *handover = thread->run->work;
    struct load_block *blocks = handover->sets[thread->number].blocks;
    uint32_t count = load_slots_per_thread(thread->run);
    for (uint32_t i = 0; i < count; i++) {
        empty(thread, &blocks[i], 1);
        fill(thread, &blocks[i], 1);
    }
    return NULL;
}

// The harness's thread starts a generation, waits for its end, and allocates nothing itself.
static void churn_body(struct load_thread *thread) {
    while (load_more(thread)) {
        pthread_t generation;
        if (pthread_create(&generation, NULL, churn_generation, thread) != 0)
            load_fail(thread->run, "cannot start a thread");
        pthread_join(generation, NULL);
    }
}

static void churn_retire(struct load_thread *thread) {
    struct handover *handover = thread->run->work;
    retire(thread, handover->sets[thread->number].blocks, load_slots_per_thread(thread->run));
}

const struct load_family load_churn = {phase_set_up, NULL, NULL, churn_body, churn_retire};

// ---------------------------------------------------------------- strand

static void strand_set_up(struct load_run *run) {
    struct handover *handover = begin(run, 1);
    for (uint32_t i = 0; i < run->row->threads; i++)
        channel_begin(&handover->sets[i].turn, load_map(sizeof(void *)), 1);
    channel_put(&handover->sets[0].turn, handover->sets[0].blocks);
}

// Passing on nothing ends the next thread, once round. In memory mode that begins with thread 0.
static void strand_body(struct load_thread *thread) {
    struct handover *handover = thread->run->work;
    struct set *mine = &handover->sets[thread->number];
    struct set *next = &handover->sets[(thread->number + 1) % thread->run->row->threads];
    bool goes_on = true;
    while (goes_on) {
        struct load_block *blocks = channel_take(&mine->turn);
        goes_on = blocks && load_more(thread);
        if (goes_on) {
            empty(thread, blocks, thread->run->slots);
            fill(thread, blocks, thread->run->slots);
        }
        channel_put(&next->turn, goes_on ? blocks : NULL);
    }
}

// Thread 0 frees what another has left.
static void strand_retire(struct load_thread *thread) {
    struct handover *handover = thread->run->work;
    if (thread->number == 0)
        retire(thread, handover->sets[0].blocks, thread->run->slots);
}

const struct load_family load_strand = {strand_set_up, NULL, NULL, strand_body, strand_retire};
