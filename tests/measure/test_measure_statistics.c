// test_measure_statistics.c: intervals of medians against the table of the sign test, and buckets
// against the ticks put into them.
#include "check_main.h"

#include "measure.h"

#include <math.h>
#include <string.h>

static struct measure_interval interval_up_to(uint32_t count) {
    double values[MEASURE_REPS_MAX];
    for (uint32_t i = 0; i < count; i++)
        values[i] = count - i; // not in order
    return measure_interval_of(values, count);
}

START_TEST(too_few_values_have_no_interval) {
    ck_assert(!interval_up_to(6).is_interval);
    ck_assert(interval_up_to(7).is_interval);
}
END_TEST

// Count, and the order statistic that the two-sided sign test at 2 % gives.
START_TEST(intervals_are_those_of_the_sign_test) {
    static const struct {
        uint32_t count, order;
    } table[] = {{7, 1}, {9, 1}, {11, 2}, {12, 2}, {15, 3}, {20, 5}, {25, 7}, {50, 17}};
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
        latency->ticks_max = ticks;
        measure_latencies(board, PLAYER_CALL_FREE, 1, out);
        ck_assert_double_ge(out[1], (double)ticks * 0.96);
        ck_assert_double_le(out[1], (double)ticks);
        ck_assert_double_eq(out[4], (double)ticks);
    }
    free(board);
}
END_TEST

// ---------------------------------------------------------------- repeated measurements
//
// Times as they come: most near the least, some far above it. Median 1.

struct maker {
    uint64_t random;
};

static double next_time(struct maker *maker) {
    maker->random = maker->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    double even = ((double)(maker->random >> 11) + 0.5) / (double)(UINT64_C(1) << 53);
    double delay = -log(1 - even) / log(2); // exponential, median 1
    return even < 0.9 ? 0.97 + 0.03 * delay : 0.97 + 0.1 * delay;
}

// As measure_session.c decides how often to repeat.
static struct measure_interval measure_once(struct maker *maker) {
    double values[MEASURE_REPS_MAX], copy[MEASURE_REPS_MAX];
    struct measure_interval interval = {0};
    for (uint32_t count = 0; measure_goes_on(count, &interval);) {
        values[count++] = next_time(maker);
        memcpy(copy, values, count * sizeof *copy);
        interval = measure_interval_of(copy, count);
    }
    return interval;
}

#define MEASUREMENTS 5000

// Stopping when an interval looks narrow must not make it a wrong one.
START_TEST(intervals_hold_the_median_95_times_in_100) {
    struct maker maker = {1};
    uint32_t held = 0;
    for (uint32_t i = 0; i < MEASUREMENTS; i++) {
        struct measure_interval interval = measure_once(&maker);
        held += interval.low <= 1 && 1 <= interval.high;
    }
    ck_assert_uint_ge(held, MEASUREMENTS * 95 / 100);
}
END_TEST

START_TEST(two_measurements_agree_95_times_in_100) {
    struct maker maker = {2};
    uint32_t agreed = 0;
    for (uint32_t i = 0; i < MEASUREMENTS; i++) {
        struct measure_interval a = measure_once(&maker), b = measure_once(&maker);
        agreed += !measure_separate(&a, &b);
    }
    ck_assert_uint_ge(agreed, MEASUREMENTS * 95 / 100);
}
END_TEST

CHECK_MAIN("measure statistics", intervals_hold_the_median_95_times_in_100,
           two_measurements_agree_95_times_in_100, too_few_values_have_no_interval,
           intervals_are_those_of_the_sign_test, only_intervals_apart_are_separate,
           a_latency_comes_back_within_its_bucket)
