// guide.c: a run in a form that outlives changes of the program: which thread ran up to which of
// its own points, one stretch after the other, and what was chosen beside threads.
//
// A schedule (world.h) says what was chosen at each point of the whole run: leave out one choice,
// and all that follow mean something else. Here a stretch ends at a point of its thread, counted
// from the thread's operation, and operations have names that stay when others go. So any stretch
// and any operation can be left out, and what is left still says what it said.
//
// Played by who makes failures smaller (shrink.c). What the guide leaves open is chosen in the
// plainest way: who runs goes on, then the lowest that can run.
#include "replayer.h"

#include "platform.h"

#include <stdlib.h>
#include <string.h>

#define HELPER_THREAD UINT32_MAX

bool replay_guide_init(struct replay_guide *guide, uint32_t fiber_limit) {
    *guide = (struct replay_guide){.fiber_limit = fiber_limit};
    guide->last_operation = calloc(fiber_limit + 1, sizeof *guide->last_operation);
    guide->points = calloc(fiber_limit + 1, sizeof *guide->points);
    return guide->last_operation != NULL && guide->points != NULL;
}

void replay_guide_free(struct replay_guide *guide) {
    free(guide->last_operation);
    free(guide->points);
    free(guide->parts);
    *guide = (struct replay_guide){0};
}

void replay_guide_begin(struct replay_guide *guide) {
    memset(guide->points, 0, (guide->fiber_limit + 1) * sizeof *guide->points);
    memset(guide->last_operation, 0xFF, (guide->fiber_limit + 1) * sizeof *guide->last_operation);
    guide->next = 0;
    guide->previous = WORLD_NO_FIBER;
    guide->preemptions = 0;
}

// ---------------------------------------------------------------- where a fiber is

static struct replay_mark mark_of(struct replay_guide *guide,
                                  const struct replay_strategist *strategist, uint32_t fiber) {
    if (fiber == guide->fiber_limit)
        return (struct replay_mark){HELPER_THREAD, 0, guide->points[fiber]};
    uint64_t recorded = strategist->next_operations[fiber];
    if (guide->last_operation[fiber] != recorded) {
        guide->last_operation[fiber] = recorded;
        guide->points[fiber] = 0;
    }
    struct replay_name name = guide->names[recorded];
    return (struct replay_mark){name.thread, name.tag, guide->points[fiber]};
}

static bool is_before(struct replay_mark a, struct replay_mark b) {
    return a.tag != b.tag ? a.tag < b.tag : a.point < b.point;
}

static bool exists(const struct world *world, uint32_t fiber) {
    return world_point_of(world, fiber) != NULL;
}

// ---------------------------------------------------------------- taking one down

static bool add_part(struct replay_guide *guide, struct replay_part part) {
    if (guide->part_count == guide->part_capacity) {
        uint32_t capacity = guide->part_capacity == 0 ? 64 : 2 * guide->part_capacity;
        struct replay_part *parts = realloc(guide->parts, capacity * sizeof *parts);
        if (parts == NULL)
            return false;
        guide->parts = parts;
        guide->part_capacity = capacity;
    }
    guide->parts[guide->part_count++] = part;
    return true;
}

void replay_guide_note(struct replay_guide *guide, struct replay_strategist *strategist,
                       struct world *world, const struct world_choice *choice) {
    struct replay_mark mark = mark_of(guide, strategist, choice->fiber);
    uint64_t clock_step_ns = choice->clock_ns - world_clock_ns(world);
    bool special =
        choice->outcome != WORLD_OUTCOME_NORMAL || choice->store_age != 0 || clock_step_ns != 0;
    guide->points[choice->fiber]++;
    struct replay_mark end = mark;
    end.point++;
    struct replay_part *last = guide->part_count > 0 ? &guide->parts[guide->part_count - 1] : NULL;
    // What was chosen beside threads stands before the stretch that it is in.
    if (special)
        guide->incomplete |=
            !add_part(guide, (struct replay_part){.mark = mark,
                                                  .special = true,
                                                  .outcome = (uint8_t)choice->outcome,
                                                  .store_age = choice->store_age,
                                                  .clock_step_ns = clock_step_ns});
    if (!special && last != NULL && !last->special && last->mark.thread == mark.thread)
        last->mark = end;
    else
        guide->incomplete |= !add_part(guide, (struct replay_part){.mark = end});
}

// ---------------------------------------------------------------- playing one

// The fiber of that thread; WORLD_NO_FIBER if it is not there.
static uint32_t fiber_of(struct replay_guide *guide, const struct replay_strategist *strategist,
                         const struct world *world, uint32_t thread) {
    if (thread == HELPER_THREAD)
        return exists(world, guide->fiber_limit) ? guide->fiber_limit : WORLD_NO_FIBER;
    for (uint32_t fiber = 0; fiber < guide->fiber_limit; fiber++)
        if (exists(world, fiber) &&
            guide->names[strategist->next_operations[fiber]].thread == thread)
            return fiber;
    return WORLD_NO_FIBER;
}

// The special choice for a fiber that stands here; NULL: none.
static const struct replay_part *special_at(const struct replay_guide *guide,
                                            struct replay_mark mark) {
    for (uint32_t i = 0; i < guide->part_count; i++) {
        const struct replay_part *part = &guide->parts[i];
        if (part->special && !part->left_out && part->mark.thread == mark.thread &&
            part->mark.tag == mark.tag && part->mark.point == mark.point)
            return part;
    }
    return NULL;
}

static bool ends_a_wait(const struct replay_part *special) {
    return special != NULL && (special->outcome == WORLD_OUTCOME_SPURIOUS ||
                               special->outcome == WORLD_OUTCOME_TIMEOUT);
}

static uint32_t guided_fiber(struct replay_guide *guide, const struct replay_strategist *strategist,
                             struct world *world) {
    for (; guide->next < guide->part_count; guide->next++) {
        const struct replay_part *part = &guide->parts[guide->next];
        if (part->special || part->left_out)
            continue;
        uint32_t fiber = fiber_of(guide, strategist, world, part->mark.thread);
        if (fiber == WORLD_NO_FIBER)
            continue;
        struct replay_mark mark = mark_of(guide, strategist, fiber);
        bool can = world_is_runnable(world, fiber) || ends_a_wait(special_at(guide, mark));
        if (can && is_before(mark, part->mark))
            return fiber;
    }
    return WORLD_NO_FIBER;
}

static void choose_specially(const struct replay_part *special, struct world *world,
                             struct world_choice *choice) {
    uint32_t ages = world_store_ages(world, choice->fiber);
    choice->outcome = special->outcome;
    choice->store_age = special->store_age < ages ? special->store_age : ages;
    choice->clock_ns += special->clock_step_ns;
}

void replay_guide_pick(struct replay_guide *guide, struct replay_strategist *strategist,
                       struct world *world, const struct world_point *point,
                       struct world_choice *choice) {
    uint32_t fiber = guided_fiber(guide, strategist, world);
    if (fiber != WORLD_NO_FIBER)
        choice->fiber = fiber;
    const struct replay_part *special =
        special_at(guide, mark_of(guide, strategist, choice->fiber));
    if (special != NULL && (world_is_runnable(world, choice->fiber) || ends_a_wait(special)))
        choose_specially(special, world, choice);
    guide->points[choice->fiber]++;
    bool preempts = guide->previous != WORLD_NO_FIBER && guide->previous != choice->fiber &&
                    world_is_runnable(world, guide->previous) &&
                    point->site->kind != MF2_POINT_PAUSE;
    guide->preemptions += preempts;
    guide->previous = choice->fiber;
}
