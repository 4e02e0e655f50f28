// strategy.c: who runs next, where the order leaves a choice. One row of the table a strategy; the
// plain ones are here, those that look for bugs in search.c.
//
// A strategy must depend on nothing but its seed and what the world shows it: numbers of fibers,
// points, operations. Then equal seeds give equal runs.
#include "replayer.h"

#include "platform.h"

#include <stdlib.h>
#include <string.h>

static void begin(void *self, struct world *world, uint64_t seed) {
    (void)self;
    (void)world;
    (void)seed;
}

// ---------------------------------------------------------------- recorded

// The helper comes before any operation: in strict order it runs after each, until it waits.
static uint64_t recorded_rank(const struct replay_strategist *strategist, uint32_t fiber) {
    return fiber < strategist->fiber_limit ? strategist->next_operations[fiber] + 1 : 0;
}

static uint32_t earliest(const struct replay_strategist *strategist, const struct world *world) {
    uint32_t best = world_runnable(world, 0);
    for (uint32_t i = 1; i < world_runnable_count(world); i++) {
        uint32_t fiber = world_runnable(world, i);
        if (recorded_rank(strategist, fiber) < recorded_rank(strategist, best))
            best = fiber;
    }
    return best;
}

// Inside an operation whoever runs goes on.
static void pick_recorded(void *self, struct world *world, const struct world_point *point,
                          struct world_choice *choice) {
    bool goes_on = point->site->kind != MF2_POINT_OPERATION && choice->fiber == point->fiber;
    if (!goes_on)
        choice->fiber = earliest(self, world);
}

// ---------------------------------------------------------------- round-robin

static void pick_round_robin(void *self, struct world *world, const struct world_point *point,
                             struct world_choice *choice) {
    (void)self;
    choice->fiber = world_runnable(world, 0);
    for (uint32_t i = 0; i < world_runnable_count(world); i++) {
        if (world_runnable(world, i) > point->fiber) {
            choice->fiber = world_runnable(world, i);
            return;
        }
    }
}

// ---------------------------------------------------------------- random

static void pick_random(void *self, struct world *world, const struct world_point *point,
                        struct world_choice *choice) {
    uint32_t count;
    const uint32_t *runnable = world_runnables(world, &count);
    (void)point;
    choice->fiber = runnable[replay_random_below(self, count)];
}

// ---------------------------------------------------------------- the table

const struct replay_strategy replay_strategies[] = {
    {"recorded order, one operation at a time", {"recorded", begin, pick_recorded, NULL}, false},
    {"every order, but of those that differ in nothing that matters only one (Flanagan, Godefroid)",
     {"exhaustive", replay_exhaustive_begin, replay_exhaustive_pick, replay_exhaustive_ready},
     false},
    {"the next thread that can run, at every point",
     {"round-robin", begin, pick_round_robin, NULL},
     false},
    // The portfolio: these in turn, seed by seed.
    {"any thread that can run, at every point", {"random", begin, pick_random, NULL}, true},
    {"the thread of the highest priority; at a few points it becomes the lowest (Burckhardt)",
     {"pct", replay_pct_begin, replay_pct_pick, NULL},
     true},
    {"the access of the highest priority; those that it meets get new ones (Yuan)",
     {"pos", replay_pos_begin, replay_pos_pick, NULL},
     true},
    {"a thread as likely as it has points left, so that orders are about as likely (Zhao)",
     {"urw", replay_urw_begin, replay_urw_pick, NULL},
     true},
    {"the same at one place, drawn anew for each run; elsewhere any thread",
     {"surw", replay_surw_begin, replay_surw_pick, NULL},
     true},
    {"no thread is interrupted but at a few points",
     {"bounded", replay_bounded_begin, replay_bounded_pick, NULL},
     true},
    {"threads fall asleep for long, the others run at random",
     {"starving", replay_sleep_begin, replay_starving_pick, NULL},
     true},
    {"a thread is stopped before its atomic step, while others do theirs",
     {"adversarial", replay_sleep_begin, replay_adversarial_pick, NULL},
     true},
    {"all from `random` on, in turn", {"portfolio", begin, pick_random, NULL}, true},
};
const size_t replay_strategy_count = sizeof replay_strategies / sizeof replay_strategies[0];
enum { PORTFOLIO_FIRST = 3, PORTFOLIO_COUNT = 8 };
_Static_assert(sizeof replay_strategies / sizeof replay_strategies[0] ==
                   PORTFOLIO_FIRST + PORTFOLIO_COUNT + 1,
               "the portfolio stands behind those that it is made of");

const struct replay_strategy *replay_strategy_find(const char *name) {
    for (size_t i = 0; i < replay_strategy_count; i++)
        if (strcmp(replay_strategies[i].strategy.name, name) == 0)
            return &replay_strategies[i];
    return NULL;
}

const char *replay_strategy_names(void) {
    static char names[256];
    if (names[0] == '\0')
        for (size_t i = 0; i < replay_strategy_count; i++) {
            strcat(names, i == 0 ? "" : ", ");
            strcat(names, replay_strategies[i].strategy.name);
        }
    return names;
}

// ---------------------------------------------------------------- the strategist

bool replay_strategist_init(struct replay_strategist *strategist,
                            const struct replay_strategy *chosen, uint32_t fiber_limit) {
    size_t fibers = (size_t)fiber_limit + 1;
    *strategist = (struct replay_strategist){.chosen = chosen, .fiber_limit = fiber_limit};
    strategist->next_operations = calloc(fibers, sizeof(uint64_t));
    strategist->fiber_points = calloc(fibers, sizeof(uint64_t));
    strategist->priority = calloc(fibers, sizeof(uint64_t));
    strategist->asleep_until = calloc(fibers, sizeof(uint64_t));
    strategist->points_left = calloc(fibers, sizeof(uint64_t));
    strategist->place_counts = calloc(fibers * REPLAY_PLACES_MAX, sizeof(uint32_t));
    return strategist->place_counts != NULL && strategist->next_operations != NULL &&
           strategist->fiber_points != NULL && strategist->priority != NULL &&
           strategist->asleep_until != NULL && strategist->points_left != NULL;
}

void replay_strategist_free(struct replay_strategist *strategist) {
    free(strategist->next_operations);
    free(strategist->fiber_points);
    free(strategist->priority);
    free(strategist->asleep_until);
    free(strategist->points_left);
    free(strategist->place_counts);
}

enum { STALE_LOG2_MAX = 4 };

static bool is_portfolio(const struct replay_strategy *strategy) {
    return strategy == &replay_strategies[PORTFOLIO_FIRST + PORTFOLIO_COUNT];
}

static void explorer_begin(void *self, struct world *world, uint64_t seed) {
    struct replay_strategist *strategist = self;
    strategist->random = seed;
    if (strategist->guide != NULL)
        replay_guide_begin(strategist->guide);
    if (strategist->notes != NULL)
        replay_guide_begin(strategist->notes);
    strategist->plays = is_portfolio(strategist->chosen)
                            ? &replay_strategies[PORTFOLIO_FIRST + seed % PORTFOLIO_COUNT]
                            : strategist->chosen;
    // Every second run is one without surprises: most bugs need none, and are found sooner so.
    strategist->surprises =
        strategist->environment && strategist->plays->searches && replay_once_in(strategist, 2);
    if (strategist->surprises)
        replay_environment_begin(strategist);
    if (strategist->older_stores)
        strategist->stale_once_in = 1u << replay_random_below(strategist, STALE_LOG2_MAX + 1);
    strategist->plain = !strategist->surprises && !strategist->older_stores &&
                        strategist->guide == NULL && strategist->notes == NULL &&
                        !strategist->measures && strategist->coverage == NULL;
    strategist->plays->strategy.begin(self, world, seed);
}

// Any of those that memory shows.
static uint32_t older_store(struct replay_strategist *strategist, struct world *world,
                            uint32_t fiber) {
    uint32_t ages = world_store_ages(world, fiber);
    bool draws = ages > 0 && replay_once_in(strategist, strategist->stale_once_in);
    return draws ? replay_random_below(strategist, ages + 1) : 0;
}

static MF2_NOINLINE void pick_with_others(struct replay_strategist *strategist, struct world *world,
                                          const struct world_point *point,
                                          struct world_choice *choice) {
    if (strategist->guide != NULL) {
        replay_guide_pick(strategist->guide, strategist, world, point, choice);
        return;
    }
    strategist->plays->strategy.pick(strategist, world, point, choice);
    if (strategist->surprises)
        replay_environment_choose(strategist, world, choice);
    if (strategist->older_stores && !strategist->measures)
        choice->store_age = older_store(strategist, world, choice->fiber);
    if (strategist->notes != NULL)
        replay_guide_note(strategist->notes, strategist, world, choice);
    if (strategist->measures) {
        strategist->run_points = point->number;
        strategist->fiber_points[choice->fiber]++;
        replay_note_place(strategist, world_point_of(world, choice->fiber));
    }
    if (strategist->coverage != NULL)
        replay_coverage_note(strategist->coverage, world_point_of(world, choice->fiber),
                             choice->fiber, choice);
}

static void explorer_pick(void *self, struct world *world, const struct world_point *point,
                          struct world_choice *choice) {
    struct replay_strategist *strategist = self;
    if (strategist->plain)
        strategist->plays->strategy.pick(self, world, point, choice);
    else
        pick_with_others(strategist, world, point, choice);
}

static void explorer_ready(void *self, struct world *world, uint32_t fiber) {
    const struct world_strategy *plays = &((struct replay_strategist *)self)->plays->strategy;
    if (plays->ready != NULL)
        plays->ready(self, world, fiber);
}

const struct world_strategy replay_explorer = {"explorer", explorer_begin, explorer_pick,
                                               explorer_ready};
