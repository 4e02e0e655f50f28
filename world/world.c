// world.c: a world is made, looked into, put back to its snapshot, taken apart.
#include "world_internal.h"
#include "world_os.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_BYTES_DEFAULT = 256 << 10 };
#else
enum { STACK_BYTES_DEFAULT = 64 << 10 };
#endif
enum { STACK_BYTES_MIN = 16 << 10 };

// ---------------------------------------------------------------- making

static bool refuse(char *message, size_t message_size, const char *what) {
    snprintf(message, message_size, "%s", what);
    return false;
}

static bool options_are_possible(const struct world_options *options, char *message,
                                 size_t message_size) {
    uint32_t stack = options->stack_bytes;
    if (options->fiber_limit == 0 || options->fiber_limit >= WORLD_NO_FIBER - 1) {
        return refuse(message, message_size, "a world has at least one fiber");
    }
    if (stack % 4096 || (stack && stack < STACK_BYTES_MIN)) {
        return refuse(message, message_size, "a stack is a multiple of 4096 bytes, at least 16384");
    }
    return true;
}

static bool create_fibers(struct world *world, char *message, size_t message_size) {
    size_t count = (size_t)world->fiber_limit + 1; // and the helper
    uint32_t stack = world->options.stack_bytes;
    world->fibers = calloc(count, sizeof *world->fibers);
    world->runnable = malloc(count * sizeof *world->runnable);
    world->timed = malloc(count * sizeof *world->timed);
    world->driver_stack = world_os_reserve(WORLD_DRIVER_STACK_BYTES, 4096, false);
    world->crash_stack = world_os_reserve(WORLD_CRASH_STACK_BYTES, 4096, false);
    if (!world->fibers || !world->runnable || !world->timed || !world->driver_stack ||
        !world->crash_stack ||
        !fiber_stacks_create(&world->stacks, count, stack ? stack : STACK_BYTES_DEFAULT)) {
        return refuse(message, message_size, "no memory for the fibers");
    }
    for (size_t i = 0; i < count; i++) {
        world->fibers[i].number = (uint32_t)i;
        world->fibers[i].self = WORLD_NO_THREAD;
    }
    return true;
}

static bool create_views(struct world *world, char *message, size_t message_size) {
    bool wanted = world->options.memory == WORLD_MEMORY_C11;
    return !wanted || world_views_create(world) ||
           refuse(message, message_size, "no memory for what fibers see of memory");
}

struct world *world_create(const struct world_options *options, char *message,
                           size_t message_size) {
    if (!options_are_possible(options, message, message_size)) {
        return NULL;
    }
    struct world *world = calloc(1, sizeof *world);
    if (!world) {
        refuse(message, message_size, "no memory for a world");
        return NULL;
    }
    world->options = *options;
    world->fiber_limit = options->fiber_limit;
    world->point_limit = world->points_allowed = options->point_limit;
    world->strategy = options->strategy;
    world->strategy_self = options->strategy_self;
    world->acting = WORLD_NO_FIBER;
    world->deadline_ns = WORLD_NO_DEADLINE;
    world->self = WORLD_NO_THREAD;
    world->end = WORLD_DONE;
    world->root.number = world->driver.number = WORLD_NO_FIBER;
    world->running = &world->root;
    world_here = world;
    world_set_attention(world);
    if (!create_fibers(world, message, message_size) ||
        !world_memory_create(world, message, message_size) ||
        !world_oracle_create(world, message, message_size) ||
        !create_views(world, message, message_size)) {
        world_destroy(world);
        return NULL;
    }
    world->points = 0; // making an instance is no part of a run
    world->watches = options->oracles_at_points || options->page_bound;
    world_oracle_reset(world, options->mf2.thread_limit);
    world_set_attention(world);
    return world;
}

static void forget_contexts(struct world *world) {
    for (uint32_t i = 0; i < world->spawned; i++) {
        fiber_forget(&world->fibers[i].context);
    }
    fiber_forget(&world->fibers[world->fiber_limit].context);
    fiber_forget(&world->driver.context);
}

void world_destroy(struct world *world) {
    if (!world) {
        return;
    }
    if (world->fibers) {
        forget_contexts(world);
    }
    fiber_stacks_destroy(&world->stacks);
    if (world->driver_stack) {
        world_os_release(world->driver_stack, WORLD_DRIVER_STACK_BYTES);
    }
    if (world->crash_stack) {
        world_os_release(world->crash_stack, WORLD_CRASH_STACK_BYTES);
    }
    world_oracle_destroy(world);
    world_views_destroy(world);
    world_memory_destroy(world);
    free(world->runnable);
    free(world->timed);
    free(world->fibers);
    if (world_here == world) {
        world_here = NULL;
    }
    free(world);
}

// ---------------------------------------------------------------- looking in

struct mf2_state *world_mf2(const struct world *world) {
    return world->mf2;
}
uint64_t world_points(const struct world *world) {
    return world->points;
}
void world_limit_points(struct world *world, uint64_t point_limit) {
    world->point_limit = world->points_allowed = point_limit;
    world_set_attention(world);
}
uint64_t world_trail(const struct world *world) {
    return world->trail;
}
const char *world_message(const struct world *world) {
    return world->message;
}

uint64_t world_offset(const struct world *world, const void *address) {
    uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)world->arena);
    return offset < world->arena_bytes ? offset : WORLD_NO_OFFSET;
}

const struct world_violation *world_violation(const struct world *world) {
    return world->violation.oracle == WORLD_ORACLE_NONE ? NULL : &world->violation;
}

void world_census(struct world *world, struct mf2_census *census) {
    uint64_t points = world_look_begin(world);
    mf2_census(world->mf2, world->clock_ns, census);
    world_look_end(world, points);
}

void world_counters(struct world *world, struct mf2_counters *sum) {
    uint64_t points = world_look_begin(world);
    mf2_counters_sum(world->mf2, sum);
    world_look_end(world, points);
}

// ---------------------------------------------------------------- snapshot and reset

void world_snapshot(struct world *world) {
    struct world_saved *saved = &world->saved;
    world_here = world;
    if (saved->taken) {
        mf2_fail("a world has one snapshot", 0);
    }
    world_stop_acting(world);
    saved->clock_ns = world->clock_ns;
    saved->helper_started = world->fibers[world->fiber_limit].state != FIBER_UNUSED;
    saved->self_count = world->acted_high;
    saved->selves = malloc((saved->self_count + 1) * sizeof *saved->selves);
    if (!saved->selves || !world_memory_snapshot(world)) {
        mf2_fail("no memory for a snapshot", 0);
    }
    for (uint32_t i = 0; i < saved->self_count; i++) {
        saved->selves[i] = world->fibers[i].self;
    }
}

static void drop_fiber(struct fiber *fiber) {
    fiber_forget(&fiber->context);
    fiber->state = FIBER_UNUSED;
    fiber->self = WORLD_NO_THREAD;
    fiber->timed_place = 0;
}

static void drop_fibers(struct world *world) {
    uint32_t high = world->spawned > world->acted_high ? world->spawned : world->acted_high;
    for (uint32_t i = 0; i < high; i++) {
        drop_fiber(&world->fibers[i]);
    }
    drop_fiber(&world->fibers[world->fiber_limit]);
    fiber_stacks_reset(&world->stacks);
    world->spawned = world->alive = world->runnable_count = 0;
    for (size_t i = 0; i < WORLD_WAIT_BUCKETS; i++) {
        world->waiters[i] = (struct fiber_list){0};
    }
    world->timed_count = 0;
    world->deadline_ns = WORLD_NO_DEADLINE;
}

static void restore_selves(struct world *world) {
    const struct world_saved *saved = &world->saved;
    for (uint32_t i = 0; i < saved->self_count; i++) {
        world->fibers[i].self = saved->selves[i];
    }
    world->acted_high = saved->self_count;
    world->acting = WORLD_NO_FIBER;
    world->self = WORLD_NO_THREAD;
}

void world_reset(struct world *world, uint64_t seed) {
    world_here = world;
    if (!world->saved.taken) {
        mf2_fail("a reset needs a snapshot before", 0);
    }
    uint32_t slots_used = world->mf2->thread_high.value;
    world->strategy_begun = false; // nobody is told of the helper's start below
    drop_fibers(world);
    world_memory_reset(world);
    restore_selves(world);
    if (world->saved.helper_started) {
        world_start_helper(world);
    }
    world_oracle_reset(world, slots_used);
    if (world->views) {
        world_views_reset(world);
    }
    if (world->recording) {
        world_schedule_clear(world->recording);
    }
    world->options.seed = seed;
    world->clock_ns = world->saved.clock_ns;
    world->points = world->operations = world->trail = world->pauses_alone = 0;
    world->points_allowed = world->point_limit;
    world->violation = (struct world_violation){0};
    world->message[0] = 0;
    world->stopping = world->cas_failed = false;
    world->end = WORLD_DONE;
    world_set_attention(world);
}
