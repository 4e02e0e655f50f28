// strategy.c: who runs next, where the order leaves a choice. One row of the table a strategy.
//
// A strategy must depend on nothing but its seed and what the world shows it: numbers of fibers,
// points, operations. Then equal seeds give equal runs.
#include "replayer.h"

#include "platform.h"

#include <stdlib.h>
#include <string.h>

// ---------------------------------------------------------------- the generator

// splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
static uint64_t next_random(struct replay_strategist *strategist) {
    uint64_t z = strategist->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

// Evenly in [0, bound), up to 2^-32.
static uint32_t random_below(struct replay_strategist *strategist, uint32_t bound) {
    return (uint32_t)((next_random(strategist) >> 32) * bound >> 32);
}

static void begin(void *self, struct world *world, uint64_t seed) {
    (void)world;
    ((struct replay_strategist *)self)->random = seed;
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
    (void)point;
    choice->fiber = world_runnable(world, random_below(self, world_runnable_count(world)));
}

// ---------------------------------------------------------------- the table

const struct replay_strategy replay_strategies[] = {
    {"recorded order, one operation at a time", {"recorded", begin, pick_recorded, NULL}},
    {"the next thread that can run, at every point",
     {"round-robin", begin, pick_round_robin, NULL}},
    {"any thread that can run, at every point", {"random", begin, pick_random, NULL}},
};
const size_t replay_strategy_count = sizeof replay_strategies / sizeof replay_strategies[0];

const struct replay_strategy *replay_strategy_find(const char *name) {
    for (size_t i = 0; i < replay_strategy_count; i++)
        if (strcmp(replay_strategies[i].strategy.name, name) == 0)
            return &replay_strategies[i];
    return NULL;
}

bool replay_strategist_init(struct replay_strategist *strategist, uint32_t fiber_limit) {
    *strategist = (struct replay_strategist){.fiber_limit = fiber_limit};
    strategist->next_operations = calloc(fiber_limit, sizeof *strategist->next_operations);
    return strategist->next_operations != NULL;
}

void replay_strategist_free(struct replay_strategist *strategist) {
    free(strategist->next_operations);
}
