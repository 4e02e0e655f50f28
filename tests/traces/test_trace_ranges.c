// A set of ranges, judged against a table of bytes: what overlaps is refused, what is there is
// removed, in random order, densely, sparsely and until it is empty again.
#include "trace_ranges.h"

#include <check.h>

enum { BYTES = 1 << 16 };

static uint64_t state = 88172645463325252;

static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static uint32_t owner[BYTES];     // of each byte: where its range begins, + 1
static uint32_t length_at[BYTES]; // of the range that begins here, 0 if none

static bool is_free(uint32_t start, uint32_t end) {
    for (uint32_t at = start; at < end; at++)
        if (owner[at])
            return false;
    return true;
}

static void fill(uint32_t start, uint32_t end, uint32_t value) {
    for (uint32_t at = start; at < end; at++)
        owner[at] = value;
}

static void add(struct trace_ranges *ranges, uint32_t start, uint32_t length) {
    uint32_t end = start + length < BYTES ? start + length : BYTES;
    bool expected = is_free(start, end);
    ck_assert_int_eq(trace_ranges_add(ranges, start, end),
                     expected ? TRACE_RANGES_ADDED : TRACE_RANGES_OVERLAP);
    if (expected) {
        fill(start, end, start + 1);
        length_at[start] = end - start;
    }
}

static void take(struct trace_ranges *ranges, uint32_t start) {
    ck_assert(trace_ranges_remove(ranges, start) == (length_at[start] > 0));
    fill(start, start + length_at[start], 0);
    length_at[start] = 0;
}

START_TEST(it_is_what_a_table_is) {
    struct trace_ranges ranges = {0};
    uint32_t longest = 1u << (1 + _i % 7);
    memset(owner, 0, sizeof owner);
    memset(length_at, 0, sizeof length_at);
    for (unsigned phase = 0; phase < 6; phase++) {
        unsigned adding = phase % 2 ? 1 : 7; // of 8 steps
        for (unsigned step = 0; step < 15000; step++) {
            uint32_t at = (uint32_t)(next_random() % BYTES);
            if (next_random() % 8 < adding)
                add(&ranges, at, 1 + (uint32_t)(next_random() % longest));
            else
                take(&ranges, owner[at] ? owner[at] - 1 : at);
        }
    }
    for (uint32_t at = 0; at < BYTES; at++) // up, or down
        if (length_at[_i % 2 ? at : BYTES - 1 - at])
            take(&ranges, _i % 2 ? at : BYTES - 1 - at);
    ck_assert_ptr_eq(ranges.height ? ranges.root : NULL, NULL);
    add(&ranges, 5, 5);
    trace_ranges_free(&ranges);
}
END_TEST

START_TEST(the_ends_of_the_address_space_are_no_edge) {
    struct trace_ranges ranges = {0};
    ck_assert_int_eq(trace_ranges_add(&ranges, UINT64_MAX - 1, UINT64_MAX), TRACE_RANGES_ADDED);
    ck_assert_int_eq(trace_ranges_add(&ranges, 0, UINT64_MAX - 1), TRACE_RANGES_ADDED);
    ck_assert_int_eq(trace_ranges_add(&ranges, 0, 1), TRACE_RANGES_OVERLAP);
    ck_assert_int_eq(trace_ranges_add(&ranges, 7, UINT64_MAX), TRACE_RANGES_OVERLAP);
    ck_assert(!trace_ranges_remove(&ranges, 1));
    ck_assert(trace_ranges_remove(&ranges, 0));
    ck_assert(!trace_ranges_remove(&ranges, 0));
    trace_ranges_free(&ranges);
}
END_TEST

// Once the first leaves are gone, what is less than every key left is put before them, and splits.
START_TEST(the_low_end_may_go_and_come_back) {
    enum { MANY = 3000, GONE = 1200, STEP = 100, LENGTH = 10 };
    struct trace_ranges ranges = {0};
    for (uint64_t i = 1000; i < MANY; i++)
        ck_assert_int_eq(trace_ranges_add(&ranges, i * STEP, i * STEP + LENGTH),
                         TRACE_RANGES_ADDED);
    for (uint64_t i = 1000; i < GONE; i++)
        ck_assert(trace_ranges_remove(&ranges, i * STEP));
    for (uint64_t i = 0; i < GONE; i++) { // in no order
        uint64_t start = i * 7 % GONE * STEP;
        ck_assert_int_eq(trace_ranges_add(&ranges, start, start + LENGTH), TRACE_RANGES_ADDED);
    }
    for (uint64_t i = 0; i < MANY; i++)
        ck_assert_int_eq(trace_ranges_add(&ranges, i * STEP + 5, i * STEP + 6),
                         TRACE_RANGES_OVERLAP);
    for (uint64_t i = 0; i < MANY; i++)
        ck_assert(trace_ranges_remove(&ranges, i * STEP));
    trace_ranges_free(&ranges);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trace_ranges");
    TCase *tests = tcase_create("all");
    tcase_add_loop_test(tests, it_is_what_a_table_is, 0, 5);
    tcase_add_test(tests, the_low_end_may_go_and_come_back);
    tcase_add_test(tests, the_ends_of_the_address_space_are_no_edge);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
