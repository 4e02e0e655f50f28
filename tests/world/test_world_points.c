// Points: they are counted, strategies order fibers at them, errno and identity are each fiber's
// own, a run ends where it must.
#include "world_test.h"

#include "check_main.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char trace[4096];
static size_t traced;

static void note(char what) {
    trace[traced++] = what;
}

START_TEST(every_access_is_one_point) {
    struct world_options options = test_options("cda", 1);
    struct world *world = test_world(&options);
    mf2_atomic_u32 word = {5};
    mf2_atomic_u64 wide = {7};
    uint16_t plain = 0;
    uint64_t before = world_points(world);
    ck_assert_uint_eq(mf2_load_acquire(&word), 5);
    mf2_store_release(&word, 6);
    ck_assert_uint_eq(mf2_exchange_acq_rel(&word, 8), 6);
    ck_assert_uint_eq(mf2_fetch_add_relaxed(&wide, 3), 7);
    ck_assert_uint_eq(mf2_fetch_sub_relaxed(&wide, 1), 10);
    ck_assert_uint_eq(mf2_fetch_or_acq_rel(&word, 1), 8);
    ck_assert_uint_eq(mf2_fetch_and_acq_rel(&word, 1), 9);
    uint32_t expected = 2;
    ck_assert(!mf2_cas_acq_rel(&word, &expected, 3));
    ck_assert_uint_eq(expected, 1);
    ck_assert(mf2_cas_acq_rel(&word, &expected, 3));
    mf2_fence_seq_cst();
    mf2_plain_write(&plain, 0x1234);
    ck_assert_uint_eq(mf2_plain_read(&plain), 0x1234);
    (void)mf2_clock_ns();
    ck_assert_uint_eq(world_points(world) - before, 13);
    ck_assert_uint_eq(word.value, 3);
    ck_assert_uint_eq(wide.value, 9);
    world_destroy(world);
}
END_TEST

static void two_stores(void *argument) {
    mf2_atomic_u32 *word = argument;
    char name = (char)('a' + world_fiber(world_current()));
    note(name);
    mf2_store_relaxed(word, 1);
    note(name);
    mf2_store_relaxed(word, 2);
    note(name);
}

static void turn_pick(void *self, struct world *world, const struct world_point *point,
                      struct world_choice *choice) {
    (void)self;
    choice->fiber = world_runnable(world, (point->fiber + 1) % world_runnable_count(world));
}
static const struct world_strategy turn = {.name = "turn", .pick = turn_pick};

static const char *run_two_stores(const struct world_strategy *strategy) {
    struct world_options options = test_options("cda", 3);
    options.strategy = strategy;
    struct world *world = test_world(&options);
    mf2_atomic_u32 word = {0};
    traced = 0;
    memset(trace, 0, sizeof trace);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(world_spawn(world, two_stores, &word), (uint32_t)i);
    }
    ck_assert_uint_eq(world_spawn(world, two_stores, &word), WORLD_NO_FIBER);
    ck_assert_uint_eq(world_run(world), WORLD_DONE);
    ck_assert_uint_eq(word.value, 2);
    // Without the first pick and the two after a fiber's end: 2 points a fiber.
    ck_assert_uint_eq(world_points(world), 3 * 2 + 3);
    world_destroy(world);
    return trace;
}

START_TEST(without_a_strategy_nothing_interleaves) {
    ck_assert_str_eq(run_two_stores(NULL), "aaabbbccc");
}
END_TEST

START_TEST(a_default_choice_stays_with_who_runs) {
    ck_assert_str_eq(run_two_stores(&test_recorded), "aaabbbccc");
}
END_TEST

// The first pick, at fiber 0's beginning, already goes on to fiber 1. When b has ended, the turn is
// among a and c.
START_TEST(a_strategy_orders_the_fibers) {
    ck_assert_str_eq(run_two_stores(&turn), "bcabcabac");
}
END_TEST

static void keep_errno(void *argument) {
    mf2_atomic_u32 *word = argument;
    int own = 100 + (int)world_fiber(world_current());
    ck_assert_int_eq(errno, 0);
    errno = own;
    for (int i = 0; i < 10; i++) {
        (void)mf2_load_relaxed(word);
        ck_assert_int_eq(errno, own);
    }
}

START_TEST(errno_is_each_fibers_own) {
    struct world_options options = test_options("cda", 3);
    options.strategy = &turn;
    struct world *world = test_world(&options);
    mf2_atomic_u32 word = {0};
    errno = 7;
    for (int i = 0; i < 3; i++) {
        world_spawn(world, keep_errno, &word);
    }
    ck_assert_uint_eq(world_run(world), WORLD_DONE);
    ck_assert_int_eq(errno, 7);
    world_destroy(world);
}
END_TEST

static void allocate_twice(void *argument) {
    void **blocks = argument;
    uint32_t fiber = world_fiber(world_current());
    blocks[2 * fiber] = mf2_malloc(500);
    blocks[2 * fiber + 1] = mf2_malloc(500);
}

// Two threads' small blocks come from pages of their own.
static void check_pages(struct world *world, void **blocks) {
    uint64_t page = 4096;
    uint64_t first = world_offset(world, blocks[0]) / page;
    uint64_t second = world_offset(world, blocks[2]) / page;
    ck_assert_uint_eq(first, world_offset(world, blocks[1]) / page);
    ck_assert_uint_eq(second, world_offset(world, blocks[3]) / page);
    ck_assert_uint_ne(first, second);
}

START_TEST(fibers_are_threads_of_mf2) {
    struct world_options options = test_options("cda", 2);
    options.strategy = &turn;
    struct world *world = test_world(&options);
    void *blocks[4];
    world_spawn(world, allocate_twice, blocks);
    world_spawn(world, allocate_twice, blocks);
    ck_assert_uint_eq(world_run(world), WORLD_DONE);
    check_pages(world, blocks);
    world_destroy(world);
}
END_TEST

START_TEST(who_acts_is_a_thread_of_mf2) {
    struct world_options options = test_options("cda", 2);
    struct world *world = test_world(&options);
    void *blocks[4];
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t thread = i % 2;
        world_act_as(world, thread);
        ck_assert_uint_eq(world_fiber(world), thread);
        blocks[2 * thread + i / 2] = mf2_malloc(500);
    }
    check_pages(world, blocks);
    world_destroy(world);
}
END_TEST

// A thread that acted before the snapshot goes on as the fiber of its number.
START_TEST(a_fiber_continues_who_acted) {
    struct world_options options = test_options("cda", 2);
    struct world *world = test_world(&options);
    void *blocks[4], *acted[2];
    for (uint32_t i = 0; i < 2; i++) {
        world_act_as(world, i);
        acted[i] = mf2_malloc(500);
    }
    world_snapshot(world);
    for (int round = 0; round < 2; round++) {
        world_reset(world, 0);
        world_spawn(world, allocate_twice, blocks);
        world_spawn(world, allocate_twice, blocks);
        ck_assert_uint_eq(world_run(world), WORLD_DONE);
        check_pages(world, blocks);
        for (int i = 0; i < 2; i++) {
            ck_assert_uint_eq(world_offset(world, acted[i]) / 4096,
                              world_offset(world, blocks[2 * i]) / 4096);
        }
    }
    world_destroy(world);
}
END_TEST

static void fail_within(void *argument) {
    (void)mf2_load_relaxed((mf2_atomic_u32 *)argument);
    mf2_fail("planned failure", 42);
}

START_TEST(a_failure_of_mf2_ends_the_run) {
    struct world_options options = test_options("cda", 2);
    options.strategy = &turn;
    struct world *world = test_world(&options);
    mf2_atomic_u32 word = {0};
    world_spawn(world, two_stores, &word);
    world_spawn(world, fail_within, &word);
    ck_assert_uint_eq(world_run(world), WORLD_VIOLATION);
    const struct world_violation *violation = world_violation(world);
    ck_assert_ptr_nonnull(violation);
    ck_assert_uint_eq(violation->oracle, WORLD_ORACLE_ABORT);
    ck_assert_uint_eq(violation->fiber, 1);
    ck_assert_str_eq(violation->text, "mf2: planned failure (42)");
    ck_assert_ptr_nonnull(strstr(world_message(world), "planned failure"));
    world_destroy(world);
}
END_TEST

START_TEST(a_failure_ends_a_call_too) {
    struct world_options options = test_options("cda", 2);
    struct world *world = test_world(&options);
    mf2_atomic_u32 word = {0};
    ck_assert_uint_eq(world_call(world, fail_within, &word), WORLD_VIOLATION);
    ck_assert_str_eq(world_violation(world)->text, "mf2: planned failure (42)");
    world_destroy(world);
}
END_TEST

static void act_twice(void *argument) {
    void **blocks = argument;
    for (uint32_t i = 0; i < 4; i++) {
        world_act_as(world_current(), i % 2);
        blocks[2 * (i % 2) + i / 2] = mf2_malloc(500);
    }
}

START_TEST(a_call_acts_as_any_thread) {
    struct world_options options = test_options("cda", 2);
    struct world *world = test_world(&options);
    void *blocks[4];
    ck_assert_uint_eq(world_call(world, act_twice, blocks), WORLD_DONE);
    check_pages(world, blocks);
    void *next = mf2_malloc(500); // the caller goes on as who acted last
    ck_assert_uint_eq(world_offset(world, next) / 4096, world_offset(world, blocks[2]) / 4096);
    world_destroy(world);
}
END_TEST

static void violate(void *argument) {
    world_violate(world_current(), WORLD_ORACLE_PAGE_BOUND, "%d pages", 3);
    world_violate(world_current(), WORLD_ORACLE_ABORT, "the second is not kept");
    note('v');
    (void)mf2_load_relaxed((mf2_atomic_u32 *)argument);
    note('x');
}

START_TEST(a_violation_ends_the_run_at_the_next_point) {
    struct world_options options = test_options("cda", 2);
    struct world *world = test_world(&options);
    mf2_atomic_u32 word = {0};
    traced = 0;
    memset(trace, 0, sizeof trace);
    world_spawn(world, violate, &word);
    ck_assert_uint_eq(world_run(world), WORLD_VIOLATION);
    ck_assert_str_eq(trace, "v");
    ck_assert_str_eq(world_violation(world)->text, "3 pages");
    ck_assert_str_eq(world_message(world), "page-bound: 3 pages");
    world_destroy(world);
}
END_TEST

static void bad_pick(void *self, struct world *world, const struct world_point *point,
                     struct world_choice *choice) {
    (void)self, (void)world, (void)point;
    choice->fiber = 77;
}

static void fail_store_pick(void *self, struct world *world, const struct world_point *point,
                            struct world_choice *choice) {
    (void)self, (void)world;
    if (point->site->kind == MF2_POINT_STORE) {
        choice->outcome = WORLD_OUTCOME_FAIL;
    }
}

START_TEST(an_outcome_that_the_access_has_not_ends_the_run) {
    static const struct world_strategy bad = {.name = "bad", .pick = fail_store_pick};
    struct world_options options = test_options("cda", 2);
    options.strategy = &bad;
    struct world *world = test_world(&options);
    mf2_atomic_u32 word = {0};
    world_spawn(world, two_stores, &word);
    ck_assert_uint_eq(world_run(world), WORLD_DIVERGED);
    ck_assert_ptr_nonnull(strstr(world_message(world), "outcome 1"));
    world_destroy(world);
}
END_TEST

static void load_twice(void *argument) {
    mf2_atomic_u32 *word = argument;
    (void)mf2_load_acquire(word);
    (void)mf2_load_acquire(word);
}

static void older_store_pick(void *self, struct world *world, const struct world_point *point,
                             struct world_choice *choice) {
    (void)self, (void)world;
    ck_assert_uint_eq(choice->store_age, 0);
    choice->store_age = point->site->kind == MF2_POINT_LOAD ? 2 : 0;
}

START_TEST(an_older_store_than_the_newest_ends_the_run) {
    static const struct world_strategy older = {.name = "older", .pick = older_store_pick};
    struct world_options options = test_options("cda", 1);
    options.strategy = &older;
    struct world *world = test_world(&options);
    mf2_atomic_u32 word = {0};
    world_spawn(world, load_twice, &word);
    ck_assert_uint_eq(world_run(world), WORLD_DIVERGED);
    ck_assert_str_eq(world_message(world),
                     "point 2: fiber 0 is to read a store of age 2, which memory does not show it");
    world_destroy(world);
}
END_TEST

START_TEST(a_choice_that_cannot_be_made_ends_the_run) {
    static const struct world_strategy bad = {.name = "bad", .pick = bad_pick};
    struct world_options options = test_options("cda", 2);
    options.strategy = &bad;
    struct world *world = test_world(&options);
    mf2_atomic_u32 word = {0};
    world_spawn(world, two_stores, &word);
    ck_assert_uint_eq(world_run(world), WORLD_DIVERGED);
    ck_assert_ptr_nonnull(strstr(world_message(world), "fiber 77"));
    world_destroy(world);
}
END_TEST

static void refuse_commit_pick(void *self, struct world *world, const struct world_point *point,
                               struct world_choice *choice) {
    (void)world;
    uint32_t *commits = self;
    if (point->site->kind == MF2_POINT_COMMIT) {
        ck_assert_uint_gt(point->operand, 0);
        ++*commits;
        choice->outcome = WORLD_OUTCOME_FAIL;
    }
}

START_TEST(memory_can_be_refused) {
    static const struct world_strategy refusing = {.name = "r", .pick = refuse_commit_pick};
    uint32_t commits = 0;
    void *blocks[4] = {0};
    struct world_options options = test_options("cda", 2);
    options.strategy = &refusing;
    options.strategy_self = &commits;
    struct world *world = test_world(&options);
    world_spawn(world, allocate_twice, blocks);
    ck_assert_uint_eq(world_run(world), WORLD_DONE);
    ck_assert_ptr_null(blocks[0]);
    ck_assert_ptr_null(blocks[1]);
    ck_assert_uint_ge(commits, 2);
    world_destroy(world);
}
END_TEST

START_TEST(impossible_options_are_refused) {
    char message[200];
    struct world_options options = test_options("cda", 2);
    options.fiber_limit = 0;
    ck_assert_ptr_null(world_create(&options, message, sizeof message));
    ck_assert_str_ne(message, "");
    options = test_options("cda", 2);
    options.mf2.arena_bytes = 8192;
    ck_assert_ptr_null(world_create(&options, message, sizeof message));
    ck_assert_ptr_nonnull(strstr(message, "8192"));
    options = test_options("cda", 2);
    options.stack_bytes = 5000;
    ck_assert_ptr_null(world_create(&options, message, sizeof message));
}
END_TEST

CHECK_MAIN("world_points", every_access_is_one_point, without_a_strategy_nothing_interleaves,
           a_default_choice_stays_with_who_runs, a_strategy_orders_the_fibers,
           errno_is_each_fibers_own, fibers_are_threads_of_mf2, who_acts_is_a_thread_of_mf2,
           a_fiber_continues_who_acted, a_failure_of_mf2_ends_the_run, a_failure_ends_a_call_too,
           a_call_acts_as_any_thread, a_violation_ends_the_run_at_the_next_point,
           an_older_store_than_the_newest_ends_the_run, a_choice_that_cannot_be_made_ends_the_run,
           an_outcome_that_the_access_has_not_ends_the_run, memory_can_be_refused,
           impossible_options_are_refused)
