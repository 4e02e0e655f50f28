// Snapshot and reset: a reset brings back every byte of MF2 that the run has changed, the clock and
// who acts as whom, and costs no run its determinism.
#include "state.h"
#include "world_test.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct test_exchange exchange;
static struct test_random random_state;

static struct world *begin(const char *route) {
    struct world_options options = test_options(route, 4);
    options.strategy = &test_random;
    options.strategy_self = &random_state;
    struct world *world = test_world(&options);
    exchange = (struct test_exchange){
        .world = world, .threads = 4, .rounds = 12, .seed = 5, .threads_exit = true};
    return world;
}

static char *arena_copy(struct world *world) {
    const struct mf2_state *state = world_mf2(world);
    char *copy = malloc(state->arena_bytes);
    memcpy(copy, state, state->arena_bytes);
    return copy;
}

// The first byte at which the arena differs from the copy; the arena's size if none.
static uint64_t first_difference(struct world *world, const char *copy) {
    const struct mf2_state *state = world_mf2(world);
    const char *arena = (const char *)state;
    uint64_t i = 0;
    while (i < state->arena_bytes && arena[i] == copy[i]) {
        i++;
    }
    return i;
}

static uint64_t run_to_trail(struct world *world, uint64_t seed) {
    world_reset(world, seed);
    test_exchange_spawn(&exchange);
    ck_assert_uint_eq(world_run(world), WORLD_DONE);
    ck_assert_uint_gt(exchange.freed, 0);
    ck_assert_uint_eq(exchange.freed, exchange.allocated);
    return world_trail(world);
}

START_TEST(a_reset_brings_back_every_byte) {
    static const char *const routes[] = {"cda", "s3", "p", "best", "best,empty=unmap"};
    struct world *world = begin(routes[_i]);
    world_snapshot(world);
    char *copy = arena_copy(world);
    for (uint64_t seed = 0; seed < 50; seed++) {
        run_to_trail(world, seed);
        ck_assert_uint_lt(first_difference(world, copy), world_mf2(world)->arena_bytes);
        world_reset(world, seed);
        ck_assert_uint_eq(first_difference(world, copy), world_mf2(world)->arena_bytes);
        ck_assert_uint_eq(world_points(world), 0);
    }
    free(copy);
    world_destroy(world);
}
END_TEST

// A heap in the middle of its life, and time gone by.
static void build_heap(struct world *world, void **blocks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        world_act_as(world, (uint32_t)i % 2);
        size_t bytes = i % 5 ? 500 : 1000;
        blocks[i] = mf2_malloc(bytes);
        memset(blocks[i], (int)i, bytes);
    }
    for (size_t i = 0; i < count; i += 3) {
        world_act_as(world, 2);
        mf2_free(blocks[i]);
    }
    world_clock_advance(world, 12345);
}

START_TEST(a_reset_brings_back_a_heap_in_use) {
    enum { BLOCKS = 60 };
    void *blocks[BLOCKS];
    struct world *world = begin("best");
    build_heap(world, blocks, BLOCKS);
    world_snapshot(world);
    char *copy = arena_copy(world);
    uint64_t trail = run_to_trail(world, 9);
    for (size_t i = 1; i < BLOCKS; i += 3) {
        memset(blocks[i], 0xEE, 500); // the program writes, too
    }
    world_reset(world, 9);
    ck_assert_uint_eq(world_clock_ns(world), 12345);
    ck_assert_uint_eq(first_difference(world, copy), world_mf2(world)->arena_bytes);
    ck_assert_uint_eq(run_to_trail(world, 9), trail);
    free(copy);
    world_destroy(world);
}
END_TEST

// More metadata than is zeroed byte by byte, and not from the beginning of one of the OS's pages.
START_TEST(a_reset_brings_back_a_large_heap) {
    struct world_options options = test_options("best", 1);
    options.mf2.arena_bytes = UINT64_C(1) << 27;
    struct world *world = test_world(&options);
    world_act_as(world, 0);
    void *first = mf2_malloc(9000);
    ck_assert_ptr_nonnull(first);
    world_snapshot(world);
    char *copy = arena_copy(world);
    world_act_as(world, 0);
    for (uint32_t pages = 1; pages < 40; pages++) {
        void *block = mf2_malloc((size_t)pages * 100000);
        ck_assert_ptr_nonnull(block);
        memset(block, 1, (size_t)pages * 100000);
    }
    world_reset(world, 1);
    ck_assert_uint_eq(first_difference(world, copy), world_mf2(world)->arena_bytes);
    free(copy);
    world_destroy(world);
}
END_TEST

START_TEST(a_seed_is_a_run) {
    struct world *world = begin("cda");
    world_snapshot(world);
    uint64_t first = run_to_trail(world, 1);
    uint64_t second = run_to_trail(world, 2);
    ck_assert_uint_ne(first, second);
    ck_assert_uint_eq(run_to_trail(world, 1), first);
    ck_assert_uint_eq(run_to_trail(world, 2), second);
    world_destroy(world);
}
END_TEST

START_TEST(worlds_live_side_by_side) {
    struct world *one = begin("cda");
    world_snapshot(one);
    uint64_t first = run_to_trail(one, 1);
    struct world *two = begin("best"); // exchange now runs in it
    world_snapshot(two);
    uint64_t other = run_to_trail(two, 1);
    exchange.world = one;
    ck_assert_uint_eq(run_to_trail(one, 1), first);
    exchange.world = two;
    ck_assert_uint_eq(run_to_trail(two, 1), other);
    world_destroy(one);
    ck_assert_uint_eq(run_to_trail(two, 1), other);
    world_destroy(two);
}
END_TEST

// A run that is cut off in the middle leaves nothing behind.
START_TEST(a_reset_after_a_violation_is_whole) {
    struct world_options options = test_options("best", 4);
    options.strategy = &test_random;
    options.strategy_self = &random_state;
    options.point_limit = 150;
    struct world *world = test_world(&options);
    exchange = (struct test_exchange){.world = world, .threads = 4, .rounds = 12, .seed = 5};
    world_snapshot(world);
    char *copy = arena_copy(world);
    for (int i = 0; i < 20; i++) {
        world_reset(world, 3);
        ck_assert_uint_eq(first_difference(world, copy), world_mf2(world)->arena_bytes);
        ck_assert_ptr_null(world_violation(world));
        ck_assert_str_eq(world_message(world), "");
        test_exchange_spawn(&exchange);
        ck_assert_uint_eq(world_run(world), WORLD_LIVELOCK);
    }
    free(copy);
    world_destroy(world);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("world_snapshot");
    TCase *cases = tcase_create("snapshot");
    tcase_add_loop_test(cases, a_reset_brings_back_every_byte, 0, 5);
    tcase_add_test(cases, a_reset_brings_back_a_heap_in_use);
    tcase_add_test(cases, a_reset_brings_back_a_large_heap);
    tcase_add_test(cases, a_seed_is_a_run);
    tcase_add_test(cases, worlds_live_side_by_side);
    tcase_add_test(cases, a_reset_after_a_violation_is_whole);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
