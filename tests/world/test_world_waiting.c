// Waiting: futexes, time-outs, spurious returns, parking, pauses; what ends as a deadlock or a
// livelock; MF2's helper.
#include "world_test.h"

#include "check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct scene {
    struct world *world;
    mf2_atomic_u32 word;
    uint32_t order[16];
    uint32_t ended;
    uint64_t woke_ns;
    struct test_random random;
};

static struct scene scene;

static void begin(const struct world_strategy *strategy) {
    memset(&scene, 0, sizeof scene);
    struct world_options options = test_options("cda", 4);
    options.strategy = strategy;
    options.strategy_self = &scene.random;
    scene.world = test_world(&options);
}

static void note_end(void) {
    scene.order[scene.ended++] = world_fiber(scene.world);
}

// ---------------------------------------------------------------- futexes

static void wait_for_one(void *argument) {
    (void)argument;
    mf2_futex_wait(&scene.word, 0, MF2_WAIT_FOREVER);
    note_end();
}

static void wake_one_by_one(void *argument) {
    (void)argument;
    mf2_store_release(&scene.word, 1);
    mf2_futex_wake(&scene.word, 1);
    ck_assert_uint_eq(world_runnable_count(scene.world), 2);
    mf2_futex_wake(&scene.word, 5);
    note_end();
}

START_TEST(a_wake_wakes_in_order_of_arrival) {
    begin(&test_recorded);
    world_spawn(scene.world, wait_for_one, NULL);
    world_spawn(scene.world, wait_for_one, NULL);
    world_spawn(scene.world, wake_one_by_one, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.ended, 3);
    ck_assert_uint_eq(scene.order[0], 2); // who wakes goes on
    ck_assert_uint_eq(scene.order[1], 0);
    ck_assert_uint_eq(scene.order[2], 1);
    world_destroy(scene.world);
}
END_TEST

START_TEST(a_wait_for_another_value_returns) {
    begin(&test_recorded);
    scene.word.value = 1;
    world_spawn(scene.world, wait_for_one, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.ended, 1);
    world_destroy(scene.world);
}
END_TEST

START_TEST(a_wait_without_a_wake_is_a_deadlock) {
    begin(&test_recorded);
    world_spawn(scene.world, wait_for_one, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DEADLOCK);
    ck_assert_uint_eq(world_violation(scene.world)->oracle, WORLD_ORACLE_LOST_WAKE);
    ck_assert_ptr_nonnull(strstr(world_message(scene.world), "&scene.word"));
    world_destroy(scene.world);
}
END_TEST

static void wait_a_while(void *argument) {
    (void)argument;
    mf2_futex_wait(&scene.word, 0, 5000);
    scene.woke_ns = mf2_clock_ns();
    note_end();
}

START_TEST(where_nobody_can_run_the_clock_jumps_to_the_deadline) {
    begin(&test_recorded);
    world_clock_advance(scene.world, 100);
    world_spawn(scene.world, wait_a_while, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.woke_ns, 5100);
    world_clock_advance(scene.world, 10);
    ck_assert_uint_eq(world_clock_ns(scene.world), 5100);
    world_destroy(scene.world);
}
END_TEST

static void sleep_a_while(void *argument) {
    (void)argument;
    world_sleep(scene.world, 700);
    scene.woke_ns = world_clock_ns(scene.world);
    note_end();
}

static void wake_all_others(void *argument) {
    (void)argument;
    mf2_futex_wake(&scene.word, 100);
    note_end();
}

START_TEST(who_sleeps_is_woken_by_the_clock_alone) {
    begin(&test_recorded);
    world_clock_advance(scene.world, 100);
    world_spawn(scene.world, sleep_a_while, NULL);
    world_spawn(scene.world, wake_all_others, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.order[0], 1);
    ck_assert_uint_eq(scene.woke_ns, 800);
    world_destroy(scene.world);
}
END_TEST

START_TEST(who_acts_sleeps_without_others) {
    begin(&test_recorded);
    world_act_as(scene.world, 0);
    world_sleep(scene.world, 50);
    ck_assert_uint_eq(world_clock_ns(scene.world), 50);
    world_destroy(scene.world);
}
END_TEST

static void pass_time(void *argument) {
    (void)argument;
    ck_assert(!world_is_runnable(scene.world, 0));
    world_clock_advance(scene.world, 4999);
    ck_assert(!world_is_runnable(scene.world, 0));
    world_clock_advance(scene.world, 6000);
    ck_assert(world_is_runnable(scene.world, 0));
    note_end();
}

START_TEST(a_deadline_that_the_clock_passes_ends_the_wait) {
    begin(&test_recorded);
    world_spawn(scene.world, wait_a_while, NULL);
    world_spawn(scene.world, pass_time, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.order[0], 1);
    ck_assert_uint_eq(scene.woke_ns, 6000);
    world_destroy(scene.world);
}
END_TEST

#define SLEEPERS 12

static void sleep_by_number(void *argument) {
    const uint64_t *timeout_ns = argument;
    mf2_futex_wait(&scene.word, 0, *timeout_ns);
    scene.woke_ns = world_clock_ns(scene.world);
    note_end();
}

static void wake_two(void *argument) {
    (void)argument;
    mf2_futex_wake(&scene.word, 2); // the first two, from the midst of the deadlines
    note_end();
}

START_TEST(deadlines_pass_in_their_order) {
    static const uint64_t timeouts_ns[SLEEPERS] = {500, 900, 300, 1200, 100, 800,
                                                   600, 200, 700, 1100, 400, 1000};
    memset(&scene, 0, sizeof scene);
    struct world_options options = test_options("cda", SLEEPERS + 1);
    options.strategy = &test_recorded;
    scene.world = test_world(&options);
    for (uint32_t i = 0; i < SLEEPERS; i++)
        world_spawn(scene.world, sleep_by_number, (void *)(uintptr_t)&timeouts_ns[i]);
    world_spawn(scene.world, wake_two, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.ended, SLEEPERS + 1);
    ck_assert_uint_eq(scene.order[0], SLEEPERS); // then those whom it has woken
    ck_assert_uint_eq(scene.order[1], 0);
    ck_assert_uint_eq(scene.order[2], 1);
    for (uint32_t i = 4; i < scene.ended; i++)
        ck_assert_uint_lt(timeouts_ns[scene.order[i - 1]], timeouts_ns[scene.order[i]]);
    ck_assert_uint_eq(scene.woke_ns, 1200);
    world_destroy(scene.world);
}
END_TEST

// Ends the first wait in one of the environment's ways, when nobody else can.
static void outcome_pick(void *self, struct world *world, const struct world_point *point,
                         struct world_choice *choice) {
    (void)self;
    bool at_wait = point->site->kind == MF2_POINT_FUTEX_WAIT;
    if (at_wait && scene.order[15] == 0 && world_is_runnable(world, point->fiber)) {
        choice->outcome = scene.order[14];
        scene.order[15] = 1;
    }
}
static const struct world_strategy outcome = {.name = "outcome", .pick = outcome_pick};

START_TEST(a_wait_may_return_spuriously) {
    begin(&outcome);
    scene.order[14] = WORLD_OUTCOME_SPURIOUS;
    world_spawn(scene.world, wait_for_one, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.ended, 1);
    world_destroy(scene.world);
}
END_TEST

START_TEST(a_wait_may_time_out_at_once) {
    begin(&outcome);
    scene.order[14] = WORLD_OUTCOME_TIMEOUT;
    world_spawn(scene.world, wait_a_while, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.woke_ns, 5000);
    world_destroy(scene.world);
}
END_TEST

// Chooses fiber 0, which waits, with an outcome, when fiber 1 reaches its operation point.
static void late_pick(void *self, struct world *world, const struct world_point *point,
                      struct world_choice *choice) {
    (void)self;
    (void)world;
    if (point->site->kind == MF2_POINT_OPERATION && point->operand == 1) {
        choice->fiber = 0;
        choice->outcome = scene.order[14];
    }
}
static const struct world_strategy late = {.name = "late", .pick = late_pick};

static void one_operation(void *argument) {
    (void)argument;
    world_operation_point(scene.world);
    note_end();
}

static void end_a_wait_late(world_body *body, uint32_t how) {
    begin(&late);
    scene.order[14] = how;
    world_spawn(scene.world, body, NULL);
    world_spawn(scene.world, one_operation, NULL);
}

START_TEST(who_waits_already_may_return_spuriously) {
    end_a_wait_late(wait_for_one, WORLD_OUTCOME_SPURIOUS);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.order[0], 0);
    world_destroy(scene.world);
}
END_TEST

START_TEST(who_waits_already_may_time_out) {
    end_a_wait_late(wait_a_while, WORLD_OUTCOME_TIMEOUT);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.order[0], 0);
    ck_assert_uint_eq(scene.woke_ns, 5000);
    world_destroy(scene.world);
}
END_TEST

START_TEST(who_waits_cannot_be_chosen_otherwise) {
    end_a_wait_late(wait_for_one, WORLD_OUTCOME_NORMAL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DIVERGED);
    world_destroy(scene.world);
    end_a_wait_late(wait_for_one, WORLD_OUTCOME_TIMEOUT); // it has no deadline
    ck_assert_uint_eq(world_run(scene.world), WORLD_DIVERGED);
    world_destroy(scene.world);
}
END_TEST

// ---------------------------------------------------------------- parking

static void park_then_end(void *argument) {
    (void)argument;
    world_park(scene.world);
    note_end();
}

static void unpark_then_end(void *argument) {
    (void)argument;
    world_unpark(scene.world, 0);
    note_end();
}

START_TEST(an_unpark_ends_a_park) {
    begin(&test_recorded);
    world_spawn(scene.world, park_then_end, NULL);
    world_spawn(scene.world, unpark_then_end, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.order[0], 1);
    ck_assert_uint_eq(scene.order[1], 0);
    world_destroy(scene.world);
}
END_TEST

START_TEST(an_unpark_that_came_first_is_remembered_once) {
    begin(&test_recorded);
    world_spawn(scene.world, park_then_end, NULL);
    world_unpark(scene.world, 0);
    world_unpark(scene.world, 0);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    world_spawn(scene.world, park_then_end, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DEADLOCK);
    world_destroy(scene.world);
}
END_TEST

static void spawn_another(void *argument) {
    (void)argument;
    ck_assert_uint_eq(world_spawn(scene.world, one_operation, NULL), 1);
    note_end();
}

START_TEST(a_fiber_spawns_a_fiber) {
    begin(&test_recorded);
    world_spawn(scene.world, spawn_another, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.ended, 2);
    world_destroy(scene.world);
}
END_TEST

// ---------------------------------------------------------------- pauses

static void spin(void *argument) {
    (void)argument;
    for (;;) {
        uint32_t value = mf2_load_acquire(&scene.word);
        if (value) {
            break;
        }
        mf2_pause();
    }
    note_end();
}

static void release_spinners(void *argument) {
    (void)argument;
    mf2_store_release(&scene.word, 1);
    note_end();
}

static void run_spinners(const struct world_strategy *strategy) {
    begin(strategy);
    world_spawn(scene.world, spin, NULL);
    world_spawn(scene.world, spin, NULL);
    world_spawn(scene.world, release_spinners, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(scene.order[0], 2);
    world_destroy(scene.world);
}

START_TEST(a_pause_lets_the_others_run) {
    run_spinners(NULL);
    run_spinners(&test_recorded);
}
END_TEST

START_TEST(spinning_for_ever_is_a_livelock) {
    begin(&test_recorded);
    world_spawn(scene.world, spin, NULL);
    world_spawn(scene.world, spin, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_LIVELOCK);
    ck_assert_uint_eq(world_violation(scene.world)->oracle, WORLD_ORACLE_LIVELOCK);
    world_destroy(scene.world);
}
END_TEST

START_TEST(spinning_alone_is_a_livelock_without_a_limit) {
    struct world_options options = test_options("cda", 1);
    options.point_limit = 0;
    memset(&scene, 0, sizeof scene);
    scene.world = test_world(&options);
    world_spawn(scene.world, spin, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_LIVELOCK);
    ck_assert_uint_eq(world_call(scene.world, spin, NULL), WORLD_LIVELOCK);
    world_destroy(scene.world);
}
END_TEST

// ---------------------------------------------------------------- news for strategies

static uint32_t heard[8], heard_count;

static void hear(void *self, struct world *world, uint32_t fiber) {
    (void)self;
    (void)world;
    heard[heard_count++] = fiber;
}

static void stay(void *self, struct world *world, const struct world_point *point,
                 struct world_choice *choice) {
    (void)self, (void)world, (void)point, (void)choice;
}

START_TEST(a_strategy_hears_who_becomes_runnable) {
    static const struct world_strategy hearing = {.name = "h", .pick = stay, .ready = hear};
    begin(&hearing);
    heard_count = 0;
    world_spawn(scene.world, park_then_end, NULL); // before begin: not told
    world_spawn(scene.world, unpark_then_end, NULL);
    world_spawn(scene.world, wait_a_while, NULL);
    ck_assert_uint_eq(world_run(scene.world), WORLD_DONE);
    ck_assert_uint_eq(heard_count, 2);
    ck_assert_uint_eq(heard[0], 0);
    ck_assert_uint_eq(heard[1], 2);
    world_destroy(scene.world);
}
END_TEST

// ---------------------------------------------------------------- the helper

// Thread 1 frees thread 0's blocks after thread 0 has been idle for long.
static void strand_and_wake_helper(void *argument) {
    struct world *world = argument;
    void *blocks[8];
    world_act_as(world, 0);
    for (int i = 0; i < 8; i++) {
        blocks[i] = mf2_malloc(1000);
    }
    world_clock_advance(world, 10000000);
    world_act_as(world, 1);
    (void)mf2_malloc(1000);
    for (int i = 0; i < 8; i++) {
        mf2_free(blocks[i]);
        (void)mf2_malloc(1); // starts the helper, which a free may not
        world_step_helper(world);
    }
}

static void check_helper(bool acting) {
    struct world_options options = test_options("s3,empty=recycle", 2);
    struct world *world = test_world(&options);
    struct mf2_counters sum;
    if (acting) {
        ck_assert_uint_eq(world_call(world, strand_and_wake_helper, world), WORLD_DONE);
    } else {
        strand_and_wake_helper(world);
    }
    world_counters(world, &sum);
    ck_assert_uint_ge(sum.helper_wakes, 1);
    ck_assert_uint_ge(sum.helper_drains, 1);
    ck_assert(!world_is_runnable(world, world_helper(world)));
    ck_assert(world_check_quiescent(world));
    world_destroy(world);
}

START_TEST(the_helper_runs_until_it_waits) {
    check_helper(true);
    check_helper(false);
}
END_TEST

CHECK_MAIN("world_waiting", a_wake_wakes_in_order_of_arrival, a_wait_for_another_value_returns,
           a_wait_without_a_wake_is_a_deadlock,
           where_nobody_can_run_the_clock_jumps_to_the_deadline,
           a_deadline_that_the_clock_passes_ends_the_wait, who_sleeps_is_woken_by_the_clock_alone,
           who_acts_sleeps_without_others, deadlines_pass_in_their_order,
           a_wait_may_return_spuriously, a_wait_may_time_out_at_once,
           who_waits_already_may_return_spuriously, who_waits_already_may_time_out,
           who_waits_cannot_be_chosen_otherwise, an_unpark_ends_a_park,
           an_unpark_that_came_first_is_remembered_once, a_fiber_spawns_a_fiber,
           a_pause_lets_the_others_run, spinning_for_ever_is_a_livelock,
           spinning_alone_is_a_livelock_without_a_limit, a_strategy_hears_who_becomes_runnable,
           the_helper_runs_until_it_waits)
