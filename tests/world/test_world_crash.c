// A crash inside a run is a violation of that run, with its point: the process goes on, and so does
// the world after a reset. Skipped under the sanitizers, which keep these signals for themselves.
#include "world_test.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world *world;
static volatile int zero;

static void read_nowhere(void *argument) {
    (void)argument;
    world_operation_point(world);
    void *block = mf2_malloc(1000);
    zero = *(volatile int *)(uintptr_t)(zero + 8);
    mf2_free(block);
}

static void divide(void *argument) {
    (void)argument;
    world_operation_point(world);
    zero = 7 / zero;
}

static void give_up(void *argument) {
    (void)argument;
    world_operation_point(world);
    abort();
}

static int deep(volatile char *above) {
    volatile char here[512];
    here[0] = above[0];
    return here[0] == 1 ? 0 : deep(here) + here[0];
}

static void descend(void *argument) {
    volatile char first = 0;
    (void)argument;
    world_operation_point(world);
    zero = deep(&first);
}

static void allocate(void *argument) {
    (void)argument;
    for (int i = 0; i < 20; i++) {
        world_operation_point(world);
        mf2_free(mf2_malloc(500));
    }
}

static void make(void) {
    static struct test_random random;
    struct world_options options = test_options("best", 2);
    options.strategy = &test_random;
    options.strategy_self = &random;
    world = test_world(&options);
    world_snapshot(world);
}

static void expect(enum world_end end, const char *text) {
    const struct world_violation *violation = world_violation(world);
    ck_assert_uint_eq(end, WORLD_VIOLATION);
    ck_assert_ptr_nonnull(violation);
    ck_assert_uint_eq(violation->oracle, WORLD_ORACLE_ABORT);
    ck_assert_msg(strstr(violation->text, text) != NULL, "%s", violation->text);
}

static void crashes(world_body *body, const char *text) {
    make();
    for (uint64_t seed = 0; seed < 200; seed++) {
        world_reset(world, seed);
        world_spawn(world, allocate, NULL);
        world_spawn(world, body, NULL);
        expect(world_run(world), text);
    }
    world_reset(world, 1);
    world_spawn(world, allocate, NULL);
    ck_assert_uint_eq(world_run(world), WORLD_DONE);
    world_destroy(world);
}

START_TEST(a_wild_read) {
    crashes(read_nowhere, "SIGSEGV after the access at protocol_word.c:");
}
END_TEST

START_TEST(a_division_by_zero) {
    crashes(divide, "SIGFPE after the access at program:0");
}
END_TEST

START_TEST(an_abort) {
    crashes(give_up, "SIGABRT");
}
END_TEST

START_TEST(a_stack_overflow) {
    crashes(descend, "SIGSEGV");
}
END_TEST

START_TEST(without_interleaving) {
    make();
    ck_assert_uint_eq(world_call(world, allocate, NULL), WORLD_DONE);
    world_reset(world, 0);
    expect(world_call(world, divide, NULL), "SIGFPE");
    world_reset(world, 0);
    ck_assert_uint_eq(world_call(world, allocate, NULL), WORLD_DONE);
    world_destroy(world);
}
END_TEST

START_TEST(a_crash_outside_any_run_ends_the_process) {
    make();
    ck_assert_uint_eq(world_call(world, allocate, NULL), WORLD_DONE);
    zero = 7 / zero;
}
END_TEST

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

int main(void) {
    if (SANITIZED) {
        puts("skipped: a sanitizer keeps crashes for its own report");
        return 77;
    }
    TCase *cases = tcase_create("crash");
    tcase_add_test(cases, a_wild_read);
    tcase_add_test(cases, a_division_by_zero);
    tcase_add_test(cases, an_abort);
    tcase_add_test(cases, a_stack_overflow);
    tcase_add_test(cases, without_interleaving);
    tcase_add_test_raise_signal(cases, a_crash_outside_any_run_ends_the_process, SIGFPE);
    Suite *suite = suite_create("world_crash");
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
