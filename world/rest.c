// rest.c: what comes after a program's last operation: time passes, and the helper, if there is
// one, does what it does then.
//
// Owns: that the helper comes to an end with it, and what may be left when it sleeps for good.
// Does not know: what must hold at any rest (oracle.c).
//
// Nobody but the helper runs, and memory shows the newest store alone: what is found here was done
// before, or is wrong in any order.
#include "world_internal.h"

#include "stack.h"

enum { LOOKS_MAX = 64 }; // a heap of a scenario's size is looked through in a few

static const struct fiber *helper_of(const struct world *world) {
    return &world->fibers[world->fiber_limit];
}

static bool waits_for_good(const struct fiber *helper) {
    return helper->state == FIBER_FUTEX && helper->deadline_ns == WORLD_NO_DEADLINE;
}

static void let_time_pass(void *argument) {
    struct world *world = argument;
    const struct fiber *helper = helper_of(world);
    for (int looks = 0; looks < LOOKS_MAX && !waits_for_good(helper); looks++) {
        if (helper->state == FIBER_FUTEX) {
            world_clock_advance(world, helper->deadline_ns);
        }
        world_step_helper(world);
        if (world->stopping) {
            return;
        }
    }
    if (!waits_for_good(helper)) {
        world_violate(world, WORLD_ORACLE_LIVELOCK,
                      "the program is over, and the helper has looked %d times and goes on",
                      LOOKS_MAX);
    }
}

// ---------------------------------------------------------------- what may be left

static uint32_t depot_classes(const struct mf2_state *state) {
    uint32_t count = 0;
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        count += MF2_HEAD_NUMBER(state->depot[k].value) != 0;
    }
    return count;
}

// Threads whose fronts should have been looked at again.
static uint32_t watched_slot(struct mf2_state *state) {
    for (uint32_t slot = 1; slot <= state->thread_high.value && state->watching; slot++) {
        uint32_t watch = mf2_thread_of_slot(state, slot)->watch.value;
        if (watch != MF2_WATCH_NONE && watch != MF2_WATCH_AWAKE && watch != MF2_WATCH_ASLEEP) {
            return slot;
        }
    }
    return 0;
}

static void check_nothing_left(struct world *world) {
    struct mf2_state *state = world->mf2;
    uint32_t classes = depot_classes(state), slot = watched_slot(state);
    if (state->dirty_pages) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "the helper sleeps for good, and %u dirty pages are left",
                      state->dirty_pages);
    }
    if (classes) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "the helper sleeps for good, and batches of %u classes are left", classes);
    }
    if (state->orphan_empties_sum.value) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "the helper sleeps for good, and %u emptied pages are left",
                      state->orphan_empties_sum.value);
    }
    if (slot) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "the helper sleeps for good, and thread %u is still to be looked at", slot);
    }
}

enum world_end world_rest(struct world *world) {
    bool looks = world->options.mf2.route.purge_ns && world->mf2->helper_running.value &&
                 helper_of(world)->state != FIBER_UNUSED;
    if (!looks) {
        return WORLD_DONE;
    }
    enum world_end end = world_call(world, let_time_pass, world);
    if (end == WORLD_DONE) {
        check_nothing_left(world);
        end = world->violation.oracle == WORLD_ORACLE_NONE ? WORLD_DONE : WORLD_VIOLATION;
    }
    return end;
}
