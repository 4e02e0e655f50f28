// Columns: the fast decoders against plain ones, on right and on spoilt bytes of every length.
#include "trace_internal.h"

#include <check.h>
#include <stdlib.h>

static uint64_t state;

static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

// The definition of a uvarint column, as FORMAT.md has it.
static bool decode_plainly(const uint8_t *data, size_t size, uint64_t *values, size_t count) {
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned length = 0;
        values[i] = 0;
        do {
            if (at == size || length == 10 || (length == 9 && data[at] > 1))
                return false;
            values[i] |= (uint64_t)(data[at] & 0x7f) << 7 * length++;
        } while (data[at++] & 0x80);
        if (length > 1 && data[at - 1] == 0)
            return false;
    }
    return at == size;
}

// Lengths of values as real columns have them: all short, mixed, all long.
static uint64_t random_value(unsigned style) {
    static const unsigned bits[] = {7, 8, 14, 21, 64, 64, 56, 1};
    unsigned limit = bits[style % 8];
    unsigned length = style & 8 ? limit : (unsigned)(next_random() % (limit + 1));
    return length ? next_random() >> (64 - length) : 0;
}

static void compare(const uint8_t *data, size_t size, size_t count) {
    // Exact allocations, so that a sanitizer sees a byte too much.
    uint8_t *copy = malloc(size ? size : 1);
    uint64_t *fast = malloc((count ? count : 1) * sizeof *fast);
    uint64_t *plain = malloc((count ? count : 1) * sizeof *plain);
    memcpy(copy, data, size);
    bool right = decode_plainly(copy, size, plain, count);
    ck_assert_msg(trace_decode_uvarint(copy, size, fast, count) == right,
                  "%zu values in %zu bytes: expected %d", count, size, right);
    if (right)
        ck_assert_mem_eq(fast, plain, count * sizeof *fast);
    free(copy);
    free(fast);
    free(plain);
}

START_TEST(uvarints_decode_as_defined) {
    state = 12345;
    for (unsigned round = 0; round < 3000; round++) {
        struct trace_bytes bytes = {0};
        size_t count = next_random() % (round % 100 == 0 ? 3000 : 60);
        for (size_t i = 0; i < count; i++) {
            ck_assert(trace_bytes_reserve(&bytes, TRACE_VARINT_BYTES_MAX));
            trace_put_uvarint(&bytes, random_value(round));
        }
        ck_assert(trace_bytes_reserve(&bytes, 1));
        uint64_t *values = malloc((count + 1) * sizeof *values);
        ck_assert(decode_plainly(bytes.data, bytes.size, values, count));
        compare(bytes.data, bytes.size, count);
        compare(bytes.data, bytes.size, count + 1);
        if (count > 0)
            compare(bytes.data, bytes.size, count - 1);
        for (unsigned spoilt = 0; bytes.size > 0 && spoilt < 8; spoilt++) {
            uint8_t *byte = &bytes.data[next_random() % bytes.size], kept = *byte;
            *byte = spoilt % 3 == 0 ? 0 : (uint8_t)(*byte ^ (spoilt % 3 == 1 ? 0x80 : 0xff));
            compare(bytes.data, bytes.size, count);
            *byte = kept;
        }
        free(values);
        trace_bytes_free(&bytes);
    }
}
END_TEST

START_TEST(random_bytes_are_refused_or_read_as_defined) {
    uint8_t data[64];
    state = 777;
    for (unsigned round = 0; round < 200000; round++) {
        size_t size = next_random() % sizeof data;
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)(round & 1 ? next_random() : next_random() | 0x80);
        size_t count = 0;
        for (size_t i = 0; i < size; i++)
            count += data[i] < 0x80;
        compare(data, size, count);
    }
}
END_TEST

START_TEST(deltas_wrap_around) {
    static const uint64_t values[] = {5, 3, UINT64_MAX, 0, UINT64_C(1) << 63, 1};
    uint64_t found[6], before = 0;
    struct trace_bytes bytes = {0};
    for (unsigned i = 0; i < 6; i++) {
        ck_assert(trace_bytes_reserve(&bytes, TRACE_VARINT_BYTES_MAX));
        trace_put_uvarint(&bytes, trace_zigzag(values[i] - before));
        before = values[i];
    }
    ck_assert(trace_decode_delta(bytes.data, bytes.size, found, 6));
    ck_assert_mem_eq(found, values, sizeof values);
    ck_assert_uint_eq(trace_zigzag(UINT64_MAX), 1); // -1
    ck_assert_uint_eq(trace_zigzag(1), 2);
    trace_bytes_free(&bytes);
}
END_TEST

START_TEST(runs_of_every_length_come_back) {
    state = 99;
    for (unsigned round = 0; round < 2000; round++) {
        struct trace_bytes bytes = {0};
        uint32_t expected[400];
        size_t count = 0, room = next_random() % 300 + 1;
        while (count < room) {
            uint32_t value = (uint32_t)next_random() >> (next_random() % 32) & 0xffffff;
            size_t run = next_random() % (round % 2 ? 6 : 90) + 1;
            run = run > room - count ? room - count : run;
            ck_assert(trace_bytes_reserve(&bytes, 2 * TRACE_VARINT_BYTES_MAX));
            trace_put_uvarint(&bytes, value);
            trace_put_uvarint(&bytes, run);
            for (; run > 0; run--)
                expected[count++] = value;
        }
        uint32_t *found = malloc(count * sizeof *found);
        ck_assert(trace_decode_runs(bytes.data, bytes.size, found, count, 0xffffff));
        ck_assert_mem_eq(found, expected, count * sizeof *found);
        ck_assert(!trace_decode_runs(bytes.data, bytes.size, found, count - 1, 0xffffff));
        ck_assert(!trace_decode_runs(bytes.data, bytes.size - 1, found, count, 0xffffff));
        free(found);
        trace_bytes_free(&bytes);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trace_columns");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, uvarints_decode_as_defined);
    tcase_add_test(tests, random_bytes_are_refused_or_read_as_defined);
    tcase_add_test(tests, deltas_wrap_around);
    tcase_add_test(tests, runs_of_every_length_come_back);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
