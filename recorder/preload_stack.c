// preload_stack.c: who called.
//
// Owns: taking the stack of a call and giving it a number: the arena word of its entry in the
// session's stack table (ring.h). Equal stacks get equal numbers, compared frame by frame; the
// hash only says where to look.
// Does not own: turning addresses into files and offsets (drain_stack.c in the drainer).
//
// libunwind's unw_backtrace keeps a cache per thread and costs 6–8 ns a frame when warm. It is
// not safe in the child of a fork that happened while another thread was inside it (its lock
// stays taken), so each thread shows in its scratch when it is.
//
// Threads: the table is lock-free: entries are written whole, then published by one
// compare-and-swap of an index slot.
#include "libhakrec.h"

#include <string.h>

static int (*unwind)(void **, int);
static atomic_flag unwinder_tried = ATOMIC_FLAG_INIT;

static void stacks_in_use(uint32_t stacks) {
    atomic_store(&rec_session->stacks_in_use, stacks);
}

void rec_stack_open(void) {
    if (rec_session->stacks != RING_STACKS_FULL || atomic_flag_test_and_set(&unwinder_tried))
        return;
    rec_own_begin();
    int (*backtrace)(void **, int) = rec_real_unwinder();
    void *frames[4];
    if (backtrace != NULL)
        backtrace(frames, 4); // the first one sets libunwind up
    rec_own_end();
    unwind = backtrace;
    stacks_in_use(backtrace != NULL ? RING_STACKS_FULL : RING_STACKS_CALLER);
}

void rec_stack_open_child(void) {
    uint32_t stacks = rec_session->stacks;
    if (rec_scratch_unwinding())
        unwind = NULL;
    stacks_in_use(stacks == RING_STACKS_FULL && unwind == NULL ? RING_STACKS_CALLER : stacks);
}

// ---------------------------------------------------------------- the table

static uint64_t *arena(void) {
    return (uint64_t *)((char *)rec_session + rec_session->stack_arena_offset);
}

static _Atomic uint32_t *slots(void) {
    return (_Atomic uint32_t *)((char *)rec_session + rec_session->stack_index_offset);
}

static uint64_t frames_hash(const uint64_t *frames, unsigned count, uint32_t epoch) {
    uint64_t hash = 0x9e3779b97f4a7c15ull * (count + 1) + epoch;
    for (unsigned i = 0; i < count; i++)
        hash = ((hash << 29 | hash >> 35) ^ frames[i]) * 0xff51afd7ed558ccdull;
    return hash ^ hash >> 32;
}

static bool entry_is(uint32_t word, uint64_t hash, uint32_t epoch, const uint64_t *frames,
                     unsigned count) {
    const struct ring_stack *entry = (const struct ring_stack *)(arena() + word);
    return entry->hash == hash && entry->epoch == epoch && entry->count == count &&
           memcmp(entry->frames, frames, count * sizeof *frames) == 0;
}

// Writes an entry; 0 when the arena is full.
static uint32_t entry_write(uint64_t hash, uint32_t epoch, const uint64_t *frames, unsigned count) {
    rec_module_cover(frames, count);
    uint64_t words = sizeof(struct ring_stack) / sizeof(uint64_t) + count;
    uint64_t word = atomic_load_explicit(&rec_session->stack_arena_used, memory_order_relaxed);
    do {
        if (word + words > RING_STACK_ARENA_WORDS)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&rec_session->stack_arena_used, &word,
                                                    word + words, memory_order_relaxed,
                                                    memory_order_relaxed));
    struct ring_stack *entry = (struct ring_stack *)(arena() + word);
    entry->hash = hash;
    entry->epoch = epoch;
    entry->modules =
        (uint16_t)atomic_load_explicit(&rec_session->module_count, memory_order_acquire);
    entry->count = (uint16_t)count;
    memcpy(entry->frames, frames, count * sizeof *frames);
    return (uint32_t)word;
}

static uint32_t stack_number(const uint64_t *frames, unsigned count) {
    enum { PROBES_MAX = 64 };
    uint32_t epoch = rec_module_epoch();
    uint64_t hash = frames_hash(frames, count, epoch);
    uint32_t own = 0;
    for (unsigned probe = 0; probe < PROBES_MAX; probe++) {
        _Atomic uint32_t *slot = &slots()[(hash + probe) & (RING_STACK_SLOTS - 1)];
        // Acquire pairs with the release below, by whichever thread wrote that entry.
        uint32_t word = atomic_load_explicit(slot, memory_order_acquire);
        if (word == 0) {
            if (own == 0 && (own = entry_write(hash, epoch, frames, count)) == 0)
                break;
            if (atomic_compare_exchange_strong_explicit(slot, &word, own, memory_order_acq_rel,
                                                        memory_order_acquire))
                return own;
        }
        if (entry_is(word, hash, epoch, frames, count))
            return word;
    }
    atomic_fetch_add_explicit(&rec_session->stack_overflow, 1, memory_order_relaxed);
    return 0;
}

// ---------------------------------------------------------------- taking one

// Fills scratch->frames; returns the index of `caller` and the end in *end. Frames before it are
// this library's.
static unsigned frames_take(struct rec_level *level, struct rec_scratch *scratch,
                            const void *caller, unsigned *end) {
    enum { OWN_FRAMES_MAX = 8 };
    int count = 0;
    if (unwind != NULL) {
        level->phase = REC_PHASE_OWN;
        scratch->unwinding = 1;
        count = unwind((void **)scratch->frames, RING_STACK_FRAMES_MAX + OWN_FRAMES_MAX);
        scratch->unwinding = 0;
        level->phase = REC_PHASE_RECORD;
    }
    while (count > 0 && scratch->frames[count - 1] == 0)
        count--;
    for (int i = 0; i < count && i < OWN_FRAMES_MAX; i++) {
        if (scratch->frames[i] == (uint64_t)caller) {
            *end = (unsigned)count;
            return (unsigned)i;
        }
    }
    // The unwinder lost its way before it left this library; what is certain is the caller.
    scratch->frames[0] = (uint64_t)caller;
    *end = 1;
    return 0;
}

uint32_t rec_stack_capture(struct rec_level *level, const void *caller) {
    if (rec_session->stacks == RING_STACKS_NONE)
        return 0;
    if (REC_UNLIKELY(unwind == NULL) && !rec_real_is_linker(caller))
        rec_stack_open();
    struct rec_scratch *scratch = rec_level_scratch(level);
    unsigned end;
    unsigned begin = frames_take(level, scratch, caller, &end);
    if (end - begin > RING_STACK_FRAMES_MAX) {
        end = begin + RING_STACK_FRAMES_MAX;
        scratch->frames[end++] = RING_STACK_CUT;
    }
    return stack_number(scratch->frames + begin, end - begin);
}
