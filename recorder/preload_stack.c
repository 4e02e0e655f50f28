// preload_stack.c: who called.
//
// Owns: taking the stack of a call, by the thread's own walk (preload_walk.c) or, where that cannot
// follow, by the full unwinder, and saying in the ring how it differs from the stack before it.
// Takes every so many-th stack both ways and counts how often they differ.
// Does not own: turning places into files and offsets (drain_stack.c in the drainer).
//
// The full unwinder is libunwind's unw_backtrace. It is not safe in the child of a fork that
// happened while another thread was inside it (its lock stays taken), so each thread shows in its
// scratch when it is.
#include "libhakrec.h"

#include <string.h>

static int (*unwind)(void **, int);
static atomic_flag unwinder_tried = ATOMIC_FLAG_INIT;

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
}

void rec_stack_open_child(void) {
    if (rec_scratch_unwinding())
        unwind = NULL;
}

// ---------------------------------------------------------------- the full unwinder

// Fills scratch->frames; returns the index of the caller's and the end in *end; 0 and 0 if it
// cannot. Frames before it are this library's.
static unsigned frames_take(struct rec_level *level, const struct rec_caller *caller,
                            unsigned *end) {
    enum { OWN_FRAMES_MAX = 12 };
    struct rec_scratch *scratch = level->scratch;
    int count = 0;
    *end = 0;
    if (unwind != NULL && !rec_is_sandboxed()) { // it blocks signals while it works
        level->phase = REC_PHASE_OWN;
        scratch->unwinding = 1;
        count = unwind((void **)scratch->frames, RING_STACK_FRAMES_MAX + OWN_FRAMES_MAX);
        scratch->unwinding = 0;
        level->phase = REC_PHASE_RECORD;
    }
    while (count > 0 && scratch->frames[count - 1] == 0)
        count--;
    for (int i = 0; i < count && i < OWN_FRAMES_MAX; i++) {
        if (scratch->frames[i] != (uint64_t)caller->address)
            continue;
        *end = (unsigned)count;
        return (unsigned)i;
    }
    return 0;
}

static void stack_unwind(struct rec_level *level, const struct rec_caller *caller) {
    atomic_fetch_add_explicit(&rec_session->stacks_unwound, 1, memory_order_relaxed);
    unsigned end, begin = frames_take(level, caller, &end);
    unsigned count = end - begin;
    if (count == 0) {
        // What is certain is the caller.
        uint64_t address = (uint64_t)caller->address;
        rec_walk_adopt(level->scratch, &address, 1, true);
        return;
    }
    bool is_cut = count > RING_STACK_FRAMES_MAX;
    rec_walk_adopt(level->scratch, level->scratch->frames + begin,
                   is_cut ? RING_STACK_FRAMES_MAX : count, is_cut);
}

// ---------------------------------------------------------------- taken twice

// Our own frames are in neither; what the walk found lost is compared as far as it goes.
static unsigned next_foreign(const struct rec_frame *trail, unsigned i) {
    while (i > 0 && trail[i - 1].is_own)
        i--;
    return i;
}

static bool is_own_address(uint64_t address) {
    return rec_rule_of(address - 1).is_own;
}

__attribute__((noinline)) static void stack_check(struct rec_level *level,
                                                  const struct rec_caller *caller) {
    const struct rec_frame *trail = level->scratch->trail;
    unsigned end, begin = frames_take(level, caller, &end), at = begin;
    bool is_cut = false;
    if (at == end)
        return;
    unsigned left = level->scratch->trail_count;
    for (;; at++, left--) {
        left = next_foreign(trail, left);
        while (at < end && is_own_address(level->scratch->frames[at]))
            at++;
        if (left > 0 && trail[left - 1].address == RING_STACK_CUT) {
            is_cut = end - begin >= RING_STACK_FRAMES_MAX; // the other way was stopped as well
            left = 0;
        }
        if (left == 0 || at == end)
            break;
        // The other way names an interrupted instruction, not what would follow a call there.
        uint64_t address = trail[left - 1].address - trail[left - 1].is_interrupted;
        if (address != level->scratch->frames[at]) {
            atomic_fetch_add_explicit(&rec_session->stacks_wrong, 1, memory_order_relaxed);
            break;
        }
    }
    if ((left == 0) != (at == end) && !is_cut)
        atomic_fetch_add_explicit(&rec_session->stacks_shorter, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&rec_session->stacks_checked, 1, memory_order_relaxed);
}

// ---------------------------------------------------------------- saying it

// Both return what the ring's next record says of the frames kept.
static uint32_t stack_publish(struct rec_level *level, uint32_t kept, const uint32_t *places,
                              unsigned count) {
    uint64_t packed[3];
    for (unsigned i = 0; i < 3; i++) {
        unsigned first = i * RING_INLINE_PLACES, left = count > first ? count - first : 0;
        packed[i] = ring_stack(kept, left > 3 ? 3 : left, places + first);
    }
    rec_publish(level, RING_OP_STACK, 0, packed[2] >> 10, packed[1] >> 10, packed[0],
                (uint8_t)count);
    return RING_KEPT_ALL;
}

static uint32_t frame_spell(struct rec_level *level, uint32_t kept, uint64_t address) {
    uint64_t modules = atomic_load_explicit(&rec_session->module_count, memory_order_acquire);
    rec_publish(level, RING_OP_STACK_SPELLED, 0, address, modules, ring_stack(kept, 0, NULL), 0);
    atomic_fetch_add_explicit(&rec_session->frames_spelled, 1, memory_order_relaxed);
    return RING_KEPT_ALL;
}

// Into records of their own, in pieces.
__attribute__((noinline)) static uint64_t stack_say_long(struct rec_level *level, uint32_t kept) {
    const struct rec_scratch *scratch = level->scratch;
    uint32_t places[RING_STACK_PLACES];
    unsigned filled = 0;
    if (!rec_level_reserve(level, scratch->trail_count - scratch->trail_kept + 1))
        return 0;
    for (unsigned i = scratch->trail_kept; i < scratch->trail_count; i++) {
        const struct rec_frame *frame = &scratch->trail[i];
        if (frame->is_own)
            continue;
        if (filled == RING_STACK_PLACES || (frame->place == 0 && filled > 0)) {
            kept = stack_publish(level, kept, places, filled);
            filled = 0;
        }
        if (frame->place != 0)
            places[filled++] = frame->place;
        else
            kept = frame_spell(level, kept, frame->address);
    }
    if (filled > 0)
        kept = stack_publish(level, kept, places, filled);
    return ring_stack(kept, 0, NULL);
}

// What the trail has beyond that of the walk before; most often it is short.
static uint64_t stack_say(struct rec_level *level) {
    const struct rec_scratch *scratch = level->scratch;
    uint32_t kept = scratch->trail_kept > 0 ? scratch->trail[scratch->trail_kept - 1].depth : 0;
    uint32_t places[RING_INLINE_PLACES];
    unsigned count = 0;
    for (unsigned i = scratch->trail_kept; i < scratch->trail_count; i++) {
        const struct rec_frame *frame = &scratch->trail[i];
        if (frame->is_own)
            continue;
        if (count == RING_INLINE_PLACES || REC_UNLIKELY(frame->place == 0))
            return stack_say_long(level, kept);
        places[count++] = frame->place;
    }
    return ring_stack(kept, count, places);
}

// ---------------------------------------------------------------- taking one

static void stack_full(struct rec_level *level, const struct rec_caller *caller) {
    struct rec_scratch *scratch = level->scratch;
    if (!scratch->trail_keeps)
        scratch->trail_count = 0;
    enum rec_walk_end end = rec_walk(scratch, caller);
    if (REC_UNLIKELY(end == REC_WALK_FOREIGN)) {
        stack_unwind(level, caller);
    } else if (REC_UNLIKELY(scratch->check_in == 0) && rec_session->stack_check_interval != 0) {
        scratch->check_in = rec_session->stack_check_interval;
        stack_check(level, caller);
    }
    scratch->check_in--;
}

uint64_t rec_stack_capture(struct rec_level *level, const struct rec_caller *caller) {
    if (rec_session->stacks == RING_STACKS_NONE || level->scratch == NULL)
        return 0;
    // What is cached was true before anything was unloaded; while something is, nothing is cached.
    bool is_unloading = rec_module_is_unloading();
    if (REC_UNLIKELY(is_unloading || level->scratch->is_uncertain ||
                     level->scratch->epoch != rec_module_epoch()))
        rec_walk_forget(level->scratch, rec_module_epoch(), is_unloading);
    if (rec_session->stacks == RING_STACKS_FULL) {
        stack_full(level, caller);
    } else {
        uint64_t address = (uint64_t)caller->address;
        rec_walk_adopt(level->scratch, &address, 1, false);
    }
    return stack_say(level);
}
