// test_measure_statistics.c: intervals of medians against the table of the sign test, and buckets
// against the ticks put into them.
#include "check_main.h"

#include "measure.h"

#include <string.h>

static struct measure_interval interval_up_to(uint32_t count) {
    double values[MEASURE_REPS_MAX];
    for (uint32_t i = 0; i < count; i++)
        values[i] = count - i; // not in order
    return measure_interval_of(values, count);
}

START_TEST(too_few_values_have_no_interval) {
    ck_assert(!interval_up_to(5).is_interval);
    ck_assert(interval_up_to(6).is_interval);
}
END_TEST

// Count, and the order statistic that the two-sided sign test at 5 % gives.
START_TEST(intervals_are_those_of_the_sign_test) {
    static const struct {
        uint32_t count, order;
    } table[] = {{6, 1}, {8, 1}, {9, 2}, {11, 2}, {12, 3}, {15, 4}, {20, 6}, {25, 8}, {50, 18}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct measure_interval interval = interval_up_to(table[i].count);
        ck_assert_double_eq(interval.low, table[i].order);
        ck_assert_double_eq(interval.high, table[i].count + 1 - table[i].order);
        ck_assert_double_eq(interval.median, (table[i].count + 1) / 2.0);
    }
}
END_TEST

START_TEST(only_intervals_apart_are_separate) {
    struct measure_interval a = {.low = 1, .high = 2, .is_interval = true};
    struct measure_interval b = {.low = 2, .high = 3, .is_interval = true};
    struct measure_interval c = {.low = 2.1, .high = 3, .is_interval = true};
    struct measure_interval few = {.low = 9, .high = 9};
    ck_assert(!measure_separate(&a, &b));
    ck_assert(measure_separate(&a, &c) && measure_separate(&c, &a));
    ck_assert(!measure_separate(&a, &few));
}
END_TEST

START_TEST(a_latency_comes_back_within_its_bucket) {
    struct player_board *board = calloc(1, player_board_bytes(1));
    board->options.stream_count = 1;
    struct player_latency *latency = &player_latency_set(board, 0)->calls[PLAYER_CALL_FREE];
    for (uint64_t ticks = 1; ticks >> PLAYER_TICK_BITS == 0; ticks = ticks * 5 / 4 + 1) {
        double out[5];
        memset(latency, 0, sizeof *latency);
        latency->buckets[player_bucket(ticks)] = 1;
        measure_latencies(board, PLAYER_CALL_FREE, 1, out);
        ck_assert_double_ge(out[1], (double)ticks * 0.96);
        ck_assert_double_le(out[1], (double)ticks * 1.04 + 1);
    }
    free(board);
}
END_TEST

CHECK_MAIN("measure statistics", too_few_values_have_no_interval,
           intervals_are_those_of_the_sign_test, only_intervals_apart_are_separate,
           a_latency_comes_back_within_its_bucket)
