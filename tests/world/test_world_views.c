// C11 memory: what a load may read and what it may not, by the usual small programs; races of plain
// accesses, and what orders them.
#include "world_test.h"

#include "check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

// Any runnable fiber, any store that memory shows.
struct chooser {
    uint64_t state;
};

static void chooser_begin(void *self, struct world *world, uint64_t seed) {
    (void)world;
    ((struct chooser *)self)->state = seed;
}

static void chooser_pick(void *self, struct world *world, const struct world_point *point,
                         struct world_choice *choice) {
    struct chooser *chooser = self;
    (void)point;
    choice->fiber = world_runnable(
        world, (uint32_t)(test_random_next(&chooser->state) % world_runnable_count(world)));
    choice->store_age = (uint32_t)(test_random_next(&chooser->state) %
                                   (world_store_ages(world, choice->fiber) + 1));
}
static const struct world_strategy chooser_strategy = {
    .name = "chooser", .begin = chooser_begin, .pick = chooser_pick};

enum { RUNS = 3000, VARIABLES = 4, RESULTS = 4 };

static struct {
    struct world *world;
    struct chooser chooser;
    mf2_atomic_u32 *variables[VARIABLES];
    uint32_t *plain;
    uint32_t results[RESULTS];
} scene;
#define X (scene.variables[0])
#define Y (scene.variables[1])

// Four atomics and a plain place in the arena, all zero.
static void begin(enum world_memory memory) {
    memset(&scene, 0, sizeof scene);
    struct world_options options = test_options("cda", 4);
    options.strategy = &chooser_strategy;
    options.strategy_self = &scene.chooser;
    options.memory = memory;
    scene.world = test_world(&options);
    world_act_as(scene.world, 0);
    char *block = mf2_calloc(1, 512);
    ck_assert_ptr_nonnull(block);
    for (size_t i = 0; i < VARIABLES; i++) {
        scene.variables[i] = (mf2_atomic_u32 *)(void *)(block + 64 * i);
    }
    scene.plain = (uint32_t *)(void *)(block + 64 * VARIABLES);
    world_snapshot(scene.world);
}

// How many of the runs of these fibers end with these first two results.
static unsigned count(world_body *const *bodies, size_t body_count, uint32_t first,
                      uint32_t second) {
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        world_reset(scene.world, seed);
        memset(scene.results, 0, sizeof scene.results);
        for (size_t i = 0; i < body_count; i++) {
            world_spawn(scene.world, bodies[i], NULL);
        }
        enum world_end end = world_run(scene.world);
        ck_assert_msg(end == WORLD_DONE, "%s", world_message(scene.world));
        seen += scene.results[0] == first && scene.results[1] == second;
    }
    return seen;
}
#define COUNT(first, second, ...)                                                                  \
    count((world_body *const[]){__VA_ARGS__}, sizeof((world_body *const[]){__VA_ARGS__}) / 8,      \
          first, second)

// ---------------------------------------------------------------- message passing

static void send_relaxed(void *argument) {
    (void)argument;
    mf2_store_relaxed(X, 1);
    mf2_store_relaxed(Y, 1);
}
static void send_release(void *argument) {
    (void)argument;
    mf2_store_relaxed(X, 1);
    mf2_store_release(Y, 1);
}
static void send_by_fence(void *argument) {
    (void)argument;
    mf2_store_relaxed(X, 1);
    mf2_fence_seq_cst();
    mf2_store_relaxed(Y, 1);
}
static void receive_relaxed(void *argument) {
    (void)argument;
    scene.results[0] = mf2_load_relaxed(Y);
    scene.results[1] = mf2_load_relaxed(X);
}
static void receive_acquire(void *argument) {
    (void)argument;
    scene.results[0] = mf2_load_acquire(Y);
    scene.results[1] = mf2_load_relaxed(X);
}
static void receive_by_fence(void *argument) {
    (void)argument;
    scene.results[0] = mf2_load_relaxed(Y);
    mf2_fence_seq_cst();
    scene.results[1] = mf2_load_relaxed(X);
}
static void receive_by_failed_cas(void *argument) {
    uint32_t found = 7;
    (void)argument;
    mf2_cas_acq_rel(Y, &found, 8);
    scene.results[0] = found;
    scene.results[1] = mf2_load_relaxed(X);
}

START_TEST(a_message_needs_release_and_acquire) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_gt(COUNT(1, 0, send_relaxed, receive_relaxed), 0);
    ck_assert_uint_gt(COUNT(1, 0, send_relaxed, receive_acquire), 0);
    ck_assert_uint_gt(COUNT(1, 0, send_release, receive_relaxed), 0);
    ck_assert_uint_eq(COUNT(1, 0, send_release, receive_acquire), 0);
    ck_assert_uint_gt(COUNT(0, 0, send_release, receive_acquire), 0);
    ck_assert_uint_gt(COUNT(1, 1, send_release, receive_acquire), 0);
    world_destroy(scene.world);
}
END_TEST

START_TEST(a_fence_on_either_side_will_do) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_eq(COUNT(1, 0, send_by_fence, receive_acquire), 0);
    ck_assert_uint_eq(COUNT(1, 0, send_release, receive_by_fence), 0);
    ck_assert_uint_eq(COUNT(1, 0, send_by_fence, receive_by_fence), 0);
    ck_assert_uint_gt(COUNT(1, 0, send_by_fence, receive_relaxed), 0);
    ck_assert_uint_gt(COUNT(1, 0, send_relaxed, receive_by_fence), 0);
    world_destroy(scene.world);
}
END_TEST

START_TEST(a_failed_swap_acquires) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_eq(COUNT(1, 0, send_release, receive_by_failed_cas), 0);
    ck_assert_uint_gt(COUNT(1, 0, send_relaxed, receive_by_failed_cas), 0);
    world_destroy(scene.world);
}
END_TEST

static void pass_on(void *argument) {
    (void)argument;
    mf2_fetch_add_relaxed(Y, 2);
}
static void receive_what_was_passed_on(void *argument) {
    (void)argument;
    scene.results[0] = mf2_load_acquire(Y);
    scene.results[1] = mf2_load_relaxed(X);
}

START_TEST(a_swap_in_between_carries_the_message_on) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_eq(COUNT(3, 0, send_release, pass_on, receive_what_was_passed_on), 0);
    ck_assert_uint_gt(COUNT(3, 1, send_release, pass_on, receive_what_was_passed_on), 0);
    world_destroy(scene.world);
}
END_TEST

// ---------------------------------------------------------------- store buffering

static void left(void *argument) {
    (void)argument;
    mf2_store_release(X, 1);
    scene.results[0] = mf2_load_acquire(Y);
}
static void right(void *argument) {
    (void)argument;
    mf2_store_release(Y, 1);
    scene.results[1] = mf2_load_acquire(X);
}
static void fenced_left(void *argument) {
    (void)argument;
    mf2_store_relaxed(X, 1);
    mf2_fence_seq_cst();
    scene.results[0] = mf2_load_relaxed(Y);
}
static void fenced_right(void *argument) {
    (void)argument;
    mf2_store_relaxed(Y, 1);
    mf2_fence_seq_cst();
    scene.results[1] = mf2_load_relaxed(X);
}

START_TEST(both_miss_the_other_without_fences) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_gt(COUNT(0, 0, left, right), 0);
    ck_assert_uint_gt(COUNT(0, 0, fenced_left, right), 0);
    ck_assert_uint_eq(COUNT(0, 0, fenced_left, fenced_right), 0);
    world_destroy(scene.world);
}
END_TEST

START_TEST(sequentially_consistent_memory_shows_the_newest) {
    begin(WORLD_MEMORY_SC);
    ck_assert_uint_eq(COUNT(0, 0, left, right), 0);
    ck_assert_uint_eq(COUNT(1, 0, send_relaxed, receive_relaxed), 0);
    world_destroy(scene.world);
}
END_TEST

// ---------------------------------------------------------------- one location

static void read_twice(void *argument) {
    (void)argument;
    scene.results[0] = mf2_load_relaxed(X);
    scene.results[1] = mf2_load_relaxed(X);
}
static void write_and_read(void *argument) {
    (void)argument;
    mf2_store_relaxed(X, 5);
    scene.results[0] = mf2_load_relaxed(X);
}
static void write_twice(void *argument) {
    (void)argument;
    mf2_store_relaxed(X, 1);
    mf2_store_relaxed(X, 2);
}

START_TEST(one_location_goes_forward) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_eq(COUNT(2, 1, write_twice, read_twice), 0);
    ck_assert_uint_eq(COUNT(1, 0, write_twice, read_twice), 0);
    ck_assert_uint_gt(COUNT(1, 2, write_twice, read_twice), 0);
    ck_assert_uint_eq(COUNT(0, 0, write_and_read), 0);
    world_destroy(scene.world);
}
END_TEST

static void add_first(void *argument) {
    (void)argument;
    scene.results[0] = mf2_fetch_add_relaxed(X, 1);
}
static void add_second(void *argument) {
    (void)argument;
    scene.results[1] = mf2_fetch_add_relaxed(X, 1);
}

START_TEST(swaps_read_the_newest) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_eq(COUNT(0, 0, add_first, add_second), 0);
    ck_assert_uint_eq(COUNT(1, 1, add_first, add_second), 0);
    ck_assert_uint_eq(COUNT(0, 1, add_first, add_second) + COUNT(1, 0, add_first, add_second),
                      RUNS);
    world_destroy(scene.world);
}
END_TEST

// The limit that doc/what-a-replay-proves.md states: C11 allows it.
static void load_then_store(void *argument) {
    (void)argument;
    scene.results[0] = mf2_load_relaxed(X);
    mf2_store_relaxed(Y, 1);
}
static void load_then_store_back(void *argument) {
    (void)argument;
    scene.results[1] = mf2_load_relaxed(Y);
    mf2_store_relaxed(X, 1);
}

START_TEST(no_load_reads_a_later_store) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_eq(COUNT(1, 1, load_then_store, load_then_store_back), 0);
    world_destroy(scene.world);
}
END_TEST

// ---------------------------------------------------------------- races

// How many runs end as a race.
static unsigned races(world_body *first, world_body *second) {
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        world_reset(scene.world, seed);
        memset(scene.results, 0, sizeof scene.results);
        world_spawn(scene.world, first, NULL);
        world_spawn(scene.world, second, NULL);
        enum world_end end = world_run(scene.world);
        const struct world_violation *violation = world_violation(scene.world);
        ck_assert_uint_eq(end == WORLD_VIOLATION, violation != NULL);
        if (violation) {
            ck_assert_uint_eq(violation->oracle, WORLD_ORACLE_RACE);
            ck_assert_ptr_nonnull(strstr(violation->text, "test_world_views.c"));
            seen++;
        }
    }
    return seen;
}

static void write_plain(void *argument) {
    (void)argument;
    mf2_plain_write(scene.plain, 1);
}
static void read_plain(void *argument) {
    (void)argument;
    scene.results[0] = mf2_plain_read(scene.plain);
}
static void work_on_plain(void *argument) {
    (void)argument;
    mf2_works_on(scene.plain);
    mf2_store_relaxed(X, 1);
}
static void publish_plain(void *argument) {
    (void)argument;
    mf2_plain_write(scene.plain, 1);
    mf2_store_release(X, 1);
}
static void publish_plain_relaxed(void *argument) {
    (void)argument;
    mf2_plain_write(scene.plain, 1);
    mf2_store_relaxed(X, 1);
}
static void take_plain(void *argument) {
    (void)argument;
    uint32_t ready = mf2_load_acquire(X);
    if (ready) {
        mf2_plain_write(scene.plain, 2);
    }
}
static void take_plain_relaxed(void *argument) {
    (void)argument;
    uint32_t ready = mf2_load_relaxed(X);
    if (ready) {
        mf2_plain_write(scene.plain, 2);
    }
}
// Reads, and hands over; the other writes: an earlier read counts as well.
static void read_and_publish(void *argument) {
    (void)argument;
    scene.results[0] = mf2_plain_read(scene.plain);
    mf2_store_release(X, 1);
}
static void read_and_publish_relaxed(void *argument) {
    (void)argument;
    scene.results[0] = mf2_plain_read(scene.plain);
    mf2_store_relaxed(X, 1);
}

START_TEST(a_race_is_seen) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_eq(races(write_plain, write_plain), RUNS);
    ck_assert_uint_eq(races(write_plain, read_plain), RUNS);
    ck_assert_uint_eq(races(work_on_plain, read_plain), RUNS);
    ck_assert_uint_eq(races(read_plain, read_plain), 0);
    ck_assert_uint_eq(races(publish_plain, take_plain), 0);
    ck_assert_uint_gt(races(publish_plain_relaxed, take_plain), 0);
    ck_assert_uint_gt(races(publish_plain, take_plain_relaxed), 0);
    ck_assert_uint_eq(races(read_and_publish, take_plain), 0);
    ck_assert_uint_gt(races(read_and_publish_relaxed, take_plain), 0);
    world_destroy(scene.world);
}
END_TEST

// ---------------------------------------------------------------- what the program orders

static bool gives, awaits;

static void give_block(void *argument) {
    (void)argument;
    mf2_plain_write(scene.plain, 1);
    if (gives) {
        world_give(scene.world, scene.plain);
    }
    scene.results[3] = 1;
}
static void take_block(void *argument) {
    (void)argument;
    for (int i = 0; i < 20 && !scene.results[3]; i++) {
        world_operation_point(scene.world);
    }
    if (!scene.results[3]) {
        return;
    }
    world_take(scene.world, scene.plain);
    if (awaits) {
        world_await(scene.world, 0);
    }
    mf2_plain_write(scene.plain, 2);
}
static void spawn_writer(void *argument) {
    (void)argument;
    mf2_plain_write(scene.plain, 1);
    world_spawn(scene.world, write_plain, NULL);
}
static void do_nothing(void *argument) {
    (void)argument;
}

START_TEST(the_program_orders_by_blocks_ends_and_beginnings) {
    begin(WORLD_MEMORY_C11);
    ck_assert_uint_gt(races(give_block, take_block), 0);
    gives = true;
    ck_assert_uint_eq(races(give_block, take_block), 0);
    gives = false;
    awaits = true;
    ck_assert_uint_eq(races(give_block, take_block), 0);
    ck_assert_uint_eq(races(spawn_writer, do_nothing), 0);
    world_destroy(scene.world);
}
END_TEST

CHECK_MAIN("world_views", a_message_needs_release_and_acquire, a_fence_on_either_side_will_do,
           a_failed_swap_acquires, a_swap_in_between_carries_the_message_on,
           both_miss_the_other_without_fences, sequentially_consistent_memory_shows_the_newest,
           one_location_goes_forward, swaps_read_the_newest, no_load_reads_a_later_store,
           a_race_is_seen, the_program_orders_by_blocks_ends_and_beginnings)
