// search.c: the strategies that look for bugs. None wins everywhere, which is why the portfolio
// plays them in turn.
//
//   pct          S. Burckhardt et al., "A randomized scheduler with probabilistic guarantees of
//                finding bugs", ASPLOS 2010. A bug that needs d turns in the right order is hit
//                with a chance of at least 1 / (n k^(d-1)) a run, n threads, k points
//   pos          X. Yuan, J. Yang, R. Gu, "Partial order aware concurrency sampling", CAV 2018
//   urw, surw    H. Zhao et al., "Selectively uniform concurrency testing", ASPLOS 2025: the walk
//                without its selection, and with one place selected for each run
//   bounded      M. Musuvathi, S. Qadeer, "Iterative context bounding", PLDI 2007, at random
//   starving, adversarial  threads that stand still for long, anywhere or before atomic steps
//
// All points of a fiber that waits are its own to stand at: a strategy sees runnable fibers only.
#include "replayer.h"

#include "platform.h"

#include <string.h>

enum {
    DEPTH_MIN = 2,
    DEPTH_MAX = 5, // of a run; turns are one fewer
    SLEEP_ONCE_IN = 64,
    SLEEP_LOG2_MAX = 10,
    STOP_ONCE_IN = 4,
};
_Static_assert(DEPTH_MAX - 1 <= REPLAY_DEPTH_MAX, "all turns have room");

static uint64_t *at(uint64_t *by_fiber, uint32_t fiber) {
    return &by_fiber[fiber];
}

static uint32_t any_runnable(struct replay_strategist *strategist, const struct world *world) {
    uint32_t count;
    const uint32_t *runnable = world_runnables(world, &count);
    return runnable[replay_random_below(strategist, count)];
}

static void bring_turns_in_order(struct replay_strategist *strategist) {
    uint64_t *turns = strategist->turns;
    for (uint32_t i = 1; i < strategist->turn_count; i++) {
        uint64_t turn = turns[i];
        uint32_t place = i;
        for (; place > 0 && turns[place - 1] > turn; place--)
            turns[place] = turns[place - 1];
        turns[place] = turn;
    }
}

static void draw_turns(struct replay_strategist *strategist) {
    uint32_t spread = DEPTH_MAX - DEPTH_MIN + 1;
    strategist->turn_count = DEPTH_MIN - 1 + replay_random_below(strategist, spread);
    for (uint32_t i = 0; i < strategist->turn_count; i++)
        strategist->turns[i] =
            replay_random_below(strategist, (uint32_t)strategist->run_points + 1);
    bring_turns_in_order(strategist);
    strategist->next_turn = 0;
}

// Asked point by point.
static bool is_turn(struct replay_strategist *strategist, uint64_t number) {
    uint32_t next = strategist->next_turn;
    if (next == strategist->turn_count || strategist->turns[next] > number)
        return false;
    while (next < strategist->turn_count && strategist->turns[next] <= number)
        next++;
    bool is = strategist->turns[next - 1] == number;
    strategist->next_turn = next;
    return is;
}

// ---------------------------------------------------------------- priorities

#define PRIORITY_HIGH (UINT64_C(1) << 63)

static void draw_priorities(struct replay_strategist *strategist) {
    for (uint32_t i = 0; i <= strategist->fiber_limit; i++)
        strategist->priority[i] = replay_random(strategist) | PRIORITY_HIGH;
    strategist->lowest = PRIORITY_HIGH - 1;
}

static uint32_t highest(const struct replay_strategist *strategist, const struct world *world) {
    uint32_t count;
    const uint32_t *runnable = world_runnables(world, &count);
    uint32_t best = runnable[0];
    for (uint32_t i = 1; i < count; i++)
        if (strategist->priority[runnable[i]] > strategist->priority[best])
            best = runnable[i];
    return best;
}

// ---------------------------------------------------------------- pct

void replay_pct_begin(void *self, struct world *world, uint64_t seed) {
    struct replay_strategist *strategist = self;
    (void)world;
    (void)seed;
    draw_priorities(strategist);
    draw_turns(strategist);
}

// Whether somebody who cannot run would come first.
static bool comes_after_a_sleeper(const struct replay_strategist *strategist,
                                  const struct world *world, uint32_t chosen) {
    if (!strategist->surprises || !world_clock_is_awaited(world))
        return false;
    for (uint32_t i = 0; i <= strategist->fiber_limit; i++)
        if (strategist->priority[i] > strategist->priority[chosen])
            return true;
    return false;
}

// Who waits for another's progress in a loop would keep the processor for ever.
void replay_pct_pick(void *self, struct world *world, const struct world_point *point,
                     struct world_choice *choice) {
    struct replay_strategist *strategist = self;
    if (point->site->kind == MF2_POINT_PAUSE || is_turn(strategist, point->number))
        *at(strategist->priority, point->fiber) = strategist->lowest--;
    choice->fiber = highest(strategist, world);
    strategist->stands_still = comes_after_a_sleeper(strategist, world, choice->fiber);
}

// ---------------------------------------------------------------- pos

void replay_pos_begin(void *self, struct world *world, uint64_t seed) {
    (void)world;
    (void)seed;
    draw_priorities(self);
}

static bool only_reads(const struct world_point *point) {
    return point->site->kind == MF2_POINT_LOAD || point->site->kind == MF2_POINT_PLAIN_READ;
}

static bool meet(const struct world_point *a, const struct world_point *b) {
    return a->offset == b->offset && a->offset != WORLD_NO_OFFSET &&
           !(only_reads(a) && only_reads(b));
}

void replay_pos_pick(void *self, struct world *world, const struct world_point *point,
                     struct world_choice *choice) {
    struct replay_strategist *strategist = self;
    (void)point;
    choice->fiber = highest(strategist, world);
    const struct world_point *access = world_point_of(world, choice->fiber);
    uint32_t count;
    const uint32_t *runnable = world_runnables(world, &count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t fiber = runnable[i];
        if (fiber == choice->fiber || meet(access, world_point_of(world, fiber)))
            strategist->priority[fiber] = replay_random(strategist);
    }
}

// ---------------------------------------------------------------- urw

void replay_urw_begin(void *self, struct world *world, uint64_t seed) {
    struct replay_strategist *strategist = self;
    (void)world;
    (void)seed;
    memcpy(strategist->points_left, strategist->fiber_points,
           (strategist->fiber_limit + 1) * sizeof *strategist->points_left);
}

// A fiber that has had more points than it was measured to have still has one left.
static uint64_t weight(const struct replay_strategist *strategist, uint32_t fiber) {
    return strategist->points_left[fiber] + 1;
}

void replay_urw_pick(void *self, struct world *world, const struct world_point *point,
                     struct world_choice *choice) {
    struct replay_strategist *strategist = self;
    (void)point;
    uint64_t sum = 0;
    uint32_t i, count;
    const uint32_t *runnable = world_runnables(world, &count);
    for (i = 0; i < count; i++)
        sum += weight(strategist, runnable[i]);
    uint64_t drawn = replay_random_below(strategist, (uint32_t)sum);
    for (i = 0; drawn >= weight(strategist, runnable[i]); i++)
        drawn -= weight(strategist, runnable[i]);
    choice->fiber = runnable[i];
    uint64_t *left = at(strategist->points_left, choice->fiber);
    *left -= *left > 0;
}

// ---------------------------------------------------------------- surw

static uint32_t *counts_of(const struct replay_strategist *strategist, uint32_t place) {
    return &strategist->place_counts[(size_t)place * (strategist->fiber_limit + 1)];
}

void replay_note_place(struct replay_strategist *strategist, const struct world_point *access) {
    uint32_t place = 0;
    if (access->offset == WORLD_NO_OFFSET)
        return;
    while (place < strategist->place_count && strategist->places[place] != access->offset)
        place++;
    if (place == REPLAY_PLACES_MAX)
        return;
    if (place == strategist->place_count)
        strategist->places[strategist->place_count++] = access->offset;
    counts_of(strategist, place)[access->fiber]++;
}

static bool is_shared(const struct replay_strategist *strategist, uint32_t place) {
    uint32_t fibers = 0;
    for (uint32_t i = 0; i <= strategist->fiber_limit; i++)
        fibers += counts_of(strategist, place)[i] > 0;
    return fibers > 1;
}

// Who comes next at the selected place: as likely as it has accesses left there.
static void draw_intended(struct replay_strategist *strategist) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i <= strategist->fiber_limit; i++)
        sum += strategist->points_left[i];
    strategist->intended = WORLD_NO_FIBER;
    if (sum == 0)
        return;
    uint64_t drawn = replay_random_below(strategist, (uint32_t)sum);
    uint32_t fiber = 0;
    for (; drawn >= strategist->points_left[fiber]; fiber++)
        drawn -= strategist->points_left[fiber];
    strategist->intended = fiber;
}

void replay_surw_begin(void *self, struct world *world, uint64_t seed) {
    struct replay_strategist *strategist = self;
    (void)world;
    (void)seed;
    strategist->selected = WORLD_NO_OFFSET;
    strategist->intended = WORLD_NO_FIBER;
    if (strategist->place_count == 0)
        return;
    uint32_t first = replay_random_below(strategist, strategist->place_count);
    for (uint32_t i = 0; i < strategist->place_count; i++) {
        uint32_t place = (first + i) % strategist->place_count;
        if (!is_shared(strategist, place))
            continue;
        strategist->selected = strategist->places[place];
        for (uint32_t k = 0; k <= strategist->fiber_limit; k++)
            strategist->points_left[k] = counts_of(strategist, place)[k];
        draw_intended(strategist);
        return;
    }
}

// Any that is not about to touch the selected place out of turn; where all are, any.
void replay_surw_pick(void *self, struct world *world, const struct world_point *point,
                      struct world_choice *choice) {
    struct replay_strategist *strategist = self;
    uint32_t count;
    const uint32_t *runnable = world_runnables(world, &count);
    uint32_t first = replay_random_below(strategist, count);
    (void)point;
    choice->fiber = runnable[first];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t fiber = runnable[first + i < count ? first + i : first + i - count];
        bool selected = world_point_of(world, fiber)->offset == strategist->selected;
        if (!selected || strategist->selected == WORLD_NO_OFFSET || fiber == strategist->intended) {
            choice->fiber = fiber;
            break;
        }
    }
    bool touches = strategist->selected != WORLD_NO_OFFSET &&
                   world_point_of(world, choice->fiber)->offset == strategist->selected;
    if (touches) {
        uint64_t *left = at(strategist->points_left, choice->fiber);
        *left -= *left > 0;
        draw_intended(strategist);
    }
}

// ---------------------------------------------------------------- bounded

void replay_bounded_begin(void *self, struct world *world, uint64_t seed) {
    (void)world;
    (void)seed;
    draw_turns(self);
}

void replay_bounded_pick(void *self, struct world *world, const struct world_point *point,
                         struct world_choice *choice) {
    struct replay_strategist *strategist = self;
    bool goes_on = choice->fiber == point->fiber && !is_turn(strategist, point->number);
    if (!goes_on)
        choice->fiber = any_runnable(strategist, world);
    strategist->stands_still = !goes_on;
}

// ---------------------------------------------------------------- standing still

void replay_sleep_begin(void *self, struct world *world, uint64_t seed) {
    struct replay_strategist *strategist = self;
    (void)world;
    (void)seed;
    memset(strategist->asleep_until, 0,
           (strategist->fiber_limit + 1) * sizeof *strategist->asleep_until);
}

// For 1 to 1,024 points, each power of two as likely as the others.
static void put_to_sleep(struct replay_strategist *strategist, const struct world_point *point) {
    uint32_t log2 = replay_random_below(strategist, SLEEP_LOG2_MAX + 1);
    *at(strategist->asleep_until, point->fiber) =
        point->number + 1 + replay_random_below(strategist, 1u << log2);
}

static bool is_asleep(const struct replay_strategist *strategist, const struct world_point *point,
                      uint32_t fiber) {
    return point->number < strategist->asleep_until[fiber];
}

// Where all are asleep, who has the shortest sleep before it.
static uint32_t any_awake(struct replay_strategist *strategist, const struct world *world,
                          const struct world_point *point) {
    uint32_t count;
    const uint32_t *runnable = world_runnables(world, &count);
    uint32_t first = replay_random_below(strategist, count);
    uint32_t best = runnable[first];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t fiber = runnable[first + i < count ? first + i : first + i - count];
        if (!is_asleep(strategist, point, fiber))
            return fiber;
        if (strategist->asleep_until[fiber] < strategist->asleep_until[best])
            best = fiber;
    }
    return best;
}

void replay_starving_pick(void *self, struct world *world, const struct world_point *point,
                          struct world_choice *choice) {
    struct replay_strategist *strategist = self;
    if (replay_once_in(strategist, SLEEP_ONCE_IN))
        put_to_sleep(strategist, point);
    choice->fiber = any_awake(strategist, world, point);
    strategist->stands_still = is_asleep(strategist, point, choice->fiber);
}

// Between a load and the compare-and-swap that builds on it, between taking and claiming, at a
// fence: wherever an atomic step is about to be done on what was seen before.
static bool is_critical(const struct world_point *point) {
    uint8_t kind = point->site->kind;
    return (kind >= MF2_POINT_EXCHANGE && kind <= MF2_POINT_FENCE) || kind == MF2_POINT_FUTEX_WAIT;
}

void replay_adversarial_pick(void *self, struct world *world, const struct world_point *point,
                             struct world_choice *choice) {
    struct replay_strategist *strategist = self;
    if (is_critical(point) && replay_once_in(strategist, STOP_ONCE_IN))
        put_to_sleep(strategist, point);
    bool goes_on = choice->fiber == point->fiber && !is_asleep(strategist, point, point->fiber) &&
                   point->site->kind != MF2_POINT_OPERATION;
    if (!goes_on)
        choice->fiber = any_awake(strategist, world, point);
    strategist->stands_still = is_asleep(strategist, point, choice->fiber);
}
