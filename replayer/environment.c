// environment.c: what is explored beside who runs: that the clock jumps past a deadline, that a
// wait ends without a wake, that a compare-and-swap fails for no reason, that the OS has no memory
// or no thread.
//
// EAGAIN of a futex wait is the same to MF2 as a wait that returns at once: SPURIOUS.
#include "replayer.h"

#include "platform.h"
#include "state.h"

// Chances, one in so many, powers of two; each per point of its kind.
enum {
    CAS_FAILS = 16,
    COMMIT_FAILS = 8,
    HELPER_FAILS = 4,
    WAIT_ENDS = 8,
    TIME_PASSES = 4,           // where who would run stands still, and somebody waits for a time
    WAITER_WAKES_LOG2_MIN = 2, // 2^this and more, as drawn for the run: at any point, where
    WAITER_WAKES_LOG2_MAX = 6, // somebody waits
    CLOCK_JUMPS = 8,           // where the clock is read
};

// A fiber that waits on a futex stands at its wait and cannot run.
static bool waits(const struct world *world, uint32_t fiber) {
    const struct world_point *point = world_point_of(world, fiber);
    return point != NULL && point->site->kind == MF2_POINT_FUTEX_WAIT &&
           !world_is_runnable(world, fiber);
}

static bool is_timed(const struct world *world, uint32_t fiber) {
    return world_point_of(world, fiber)->operand != MF2_WAIT_FOREVER;
}

// Any; or any that waits for a time.
static MF2_NOINLINE bool find_waiter(struct replay_strategist *strategist,
                                     const struct world *world, bool timed, uint32_t *waiter) {
    uint32_t count = strategist->fiber_limit + 1;
    uint32_t first = replay_random_below(strategist, count);
    for (uint32_t i = 0; i < count; i++) {
        *waiter = (first + i) % count;
        if (waits(world, *waiter) && (!timed || is_timed(world, *waiter)))
            return true;
    }
    return false;
}

// Just past one of the route's deadlines, or a moment.
static MF2_NOINLINE uint64_t clock_jump_ns(struct replay_strategist *strategist,
                                           struct world *world) {
    const struct mf2_route *route = &world_mf2(world)->route;
    const uint64_t jumps[] = {1, route->rfr_ns, route->rfr_ns + 1, route->idle_ns + 1,
                              route->purge_ns + 1};
    return jumps[replay_random_below(strategist, sizeof jumps / sizeof jumps[0])];
}

static bool has_deadlines(struct world *world) {
    const struct mf2_route *route = &world_mf2(world)->route;
    return route->rfr_ns != 0 || route->idle_ns != 0 || route->purge_ns != 0;
}

static bool comes(uint64_t drawn, uint32_t once_in) {
    return (drawn & (once_in - 1)) == 0;
}

// A wait that has a time-out comes to it as often as it ends for no reason.
static uint32_t end_of_wait(uint64_t drawn, const struct world_point *wait) {
    bool timed = wait->operand != MF2_WAIT_FOREVER;
    return timed && (drawn & 1) != 0 ? WORLD_OUTCOME_TIMEOUT : WORLD_OUTCOME_SPURIOUS;
}

static uint32_t outcome_of(uint64_t drawn, const struct world_point *access) {
    switch (access->site->kind) {
    case MF2_POINT_CAS:
        return comes(drawn, CAS_FAILS) ? WORLD_OUTCOME_FAIL : WORLD_OUTCOME_NORMAL;
    case MF2_POINT_COMMIT:
        return comes(drawn, COMMIT_FAILS) ? WORLD_OUTCOME_FAIL : WORLD_OUTCOME_NORMAL;
    case MF2_POINT_HELPER_START:
        return comes(drawn, HELPER_FAILS) ? WORLD_OUTCOME_FAIL : WORLD_OUTCOME_NORMAL;
    case MF2_POINT_FUTEX_WAIT:
        return comes(drawn, WAIT_ENDS) ? end_of_wait(drawn >> 8, access) : WORLD_OUTCOME_NORMAL;
    default:
        return WORLD_OUTCOME_NORMAL;
    }
}

// In some runs time flies, and who sleeps is soon awake.
void replay_environment_begin(struct replay_strategist *strategist) {
    strategist->stands_still = false;
    uint32_t log2 =
        WAITER_WAKES_LOG2_MIN +
        replay_random_below(strategist, WAITER_WAKES_LOG2_MAX - WAITER_WAKES_LOG2_MIN + 1);
    strategist->waiter_wakes = 1u << log2;
}

void replay_environment_choose(struct replay_strategist *strategist, struct world *world,
                               struct world_choice *choice) {
    uint32_t waiter;
    uint64_t drawn = replay_random(strategist); // one draw a point, different bits for each chance
    bool passes = strategist->stands_still && comes(drawn >> 32, TIME_PASSES) &&
                  world_clock_is_awaited(world);
    if (MF2_UNLIKELY(passes) && find_waiter(strategist, world, true, &waiter)) {
        choice->fiber = waiter;
        choice->outcome = WORLD_OUTCOME_TIMEOUT;
        return;
    }
    if (MF2_UNLIKELY(comes(drawn, strategist->waiter_wakes)) &&
        find_waiter(strategist, world, false, &waiter)) {
        choice->fiber = waiter;
        choice->outcome = end_of_wait(drawn >> 8, world_point_of(world, waiter));
        return;
    }
    const struct world_point *access = world_point_of(world, choice->fiber);
    choice->outcome = outcome_of(drawn >> 16, access);
    if (access->site->kind == MF2_POINT_CLOCK && has_deadlines(world) &&
        replay_once_in(strategist, CLOCK_JUMPS))
        choice->clock_ns += clock_jump_ns(strategist, world);
}
