// load_mix.c: each thread replaces blocks in its own slots at random; of those taken out, a fixed
// share is handed to another thread to free, the rest is freed at once.
//
// Handed over in small batches: a thread fills one of its own empty batches, puts it into the inbox
// of another thread chosen at random, and gets it back when that thread has freed the blocks. A
// thread without an empty batch frees what is in its inbox, and gives way, until one comes back.
// In memory mode all threads fill all their batches before any thread looks into its inbox, so that
// the greatest number of live bytes does not depend on who is faster.
#include "block.h"
#include "channel.h"

#include <sched.h>

#define OPERATIONS_PER_ROUND 256
#define IN_FLIGHT_SHARE      4 // one slot in 4 is a place in a batch, where there are remote frees

struct batch {
    uint32_t sender, count;
    struct load_block blocks[];
};

struct mixer {
    struct channel empty, inbox;
    struct batch *filling; // NULL: none
    struct load_block *slots;
    uint32_t slot_count;
};

struct mix {
    struct mixer *mixers;
    _Atomic uint32_t filled, mixing; // threads that have yet to fill their batches; to end
};

static struct mixer *mixer_of(const struct load_thread *thread, uint32_t number) {
    struct mix *mix = thread->run->work;
    return &mix->mixers[number];
}

static void begin_mixer(struct load_run *run, struct mixer *mixer, uint32_t number) {
    const struct load_row *row = run->row;
    uint32_t slots = load_slots_per_thread(run);
    uint32_t in_flight = row->remote_percent ? slots / IN_FLIGHT_SHARE : 0;
    uint32_t batches = in_flight / row->batch, limit = batches * row->threads + 1;
    mixer->slot_count = slots - batches * row->batch;
    mixer->slots = load_map(mixer->slot_count * sizeof *mixer->slots);
    channel_begin(&mixer->empty, load_map(limit * sizeof(void *)), limit);
    channel_begin(&mixer->inbox, load_map(limit * sizeof(void *)), limit);
    for (uint32_t i = 0; i < batches; i++) {
        struct batch *batch = load_map(sizeof *batch + row->batch * sizeof(struct load_block));
        batch->sender = number;
        channel_put(&mixer->empty, batch);
    }
}

static void mix_set_up(struct load_run *run) {
    struct mix *mix = run->work = load_map(sizeof *mix);
    mix->mixers = load_map(run->row->threads * sizeof *mix->mixers);
    for (uint32_t i = 0; i < run->row->threads; i++)
        begin_mixer(run, &mix->mixers[i], i);
    atomic_init(&mix->filled, run->row->threads);
    atomic_init(&mix->mixing, run->row->threads);
}

static bool empty_inbox(struct load_thread *thread) {
    struct batch *batch = channel_try_take(&mixer_of(thread, thread->number)->inbox);
    if (!batch)
        return false;
    for (uint32_t i = 0; i < batch->count; i++)
        block_free(thread, &batch->blocks[i], thread->run->row->touch);
    batch->count = 0;
    channel_put(&mixer_of(thread, batch->sender)->empty, batch);
    return true;
}

// Frees others' blocks while it waits for its own batches, so no circle of waiting threads holds.
static struct batch *await_empty(struct load_thread *thread, struct mixer *mixer) {
    for (;;) {
        struct batch *batch = channel_try_take(&mixer->empty);
        if (batch)
            return batch;
        if (!empty_inbox(thread))
            sched_yield();
    }
}

static void send(struct load_thread *thread, struct batch *batch) {
    uint32_t threads = thread->run->row->threads;
    uint32_t other = thread->number + 1 + block_random_below(thread, threads - 1);
    channel_put(&mixer_of(thread, other % threads)->inbox, batch);
}

static void hand_over(struct load_thread *thread, struct mixer *mixer, struct load_block *block) {
    if (!mixer->filling)
        mixer->filling = await_empty(thread, mixer);
    mixer->filling->blocks[mixer->filling->count++] = *block;
    if (mixer->filling->count == thread->run->row->batch) {
        send(thread, mixer->filling);
        mixer->filling = NULL;
    }
}

static struct load_block fresh(struct load_thread *thread) {
    return block_new(thread, block_random_size(thread), LOAD_TOUCH_WORD_PER_PAGE);
}

static void replace_one(struct load_thread *thread, struct mixer *mixer) {
    uint64_t drawn = block_random(thread);
    uint32_t slot = (uint32_t)((drawn >> 32) * mixer->slot_count >> 32);
    struct load_block *block = &mixer->slots[slot];
    if ((uint32_t)drawn % 100 < thread->run->row->remote_percent)
        hand_over(thread, mixer, block);
    else
        block_free(thread, block, LOAD_TOUCH_WORD_PER_PAGE);
    *block = fresh(thread);
}

static void fill_batches(struct load_thread *thread, struct mixer *mixer) {
    struct batch *batch;
    while ((batch = channel_try_take(&mixer->empty))) {
        while (batch->count < thread->run->row->batch)
            batch->blocks[batch->count++] = fresh(thread);
        send(thread, batch);
    }
    struct mix *mix = thread->run->work;
    atomic_fetch_sub(&mix->filled, 1);
    while (atomic_load(&mix->filled) != 0)
        sched_yield();
}

// Others may still wait for their batches.
static void leave(struct load_thread *thread) {
    struct mix *mix = thread->run->work;
    atomic_fetch_sub(&mix->mixing, 1);
    while (atomic_load(&mix->mixing) != 0)
        if (!empty_inbox(thread))
            sched_yield();
    while (empty_inbox(thread))
        continue;
}

static void mix_fill(struct load_thread *thread) {
    struct mixer *mixer = mixer_of(thread, thread->number);
    for (uint32_t i = 0; i < mixer->slot_count; i++)
        mixer->slots[i] = fresh(thread);
}

static void mix_body(struct load_thread *thread) {
    struct mixer *mixer = mixer_of(thread, thread->number);
    if (thread->memory)
        fill_batches(thread, mixer);
    while (load_more(thread))
        for (int i = 0; i < OPERATIONS_PER_ROUND; i++) {
            replace_one(thread, mixer);
            if (i % 16 == 0)
                empty_inbox(thread);
        }
    leave(thread);
}

static void mix_retire(struct load_thread *thread) {
    struct mixer *mixer = mixer_of(thread, thread->number);
    for (uint32_t i = 0; mixer->filling && i < mixer->filling->count; i++)
        block_free(thread, &mixer->filling->blocks[i], LOAD_TOUCH_WORD_PER_PAGE);
    for (uint32_t i = 0; i < mixer->slot_count; i++)
        block_retire(thread, &mixer->slots[i], i);
}

const struct load_family load_mix = {mix_set_up, NULL, mix_fill, mix_body, mix_retire};
