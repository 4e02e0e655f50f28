// Traces of every version of format 1 are read by today's reader, and today's writer
// still writes the same chunks.
#include "sample.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static struct trace_error error;

enum form { PLAIN, RANKED, WITH_SIDES };

// One trace a version; the last three are what today's writer writes.
static const struct {
    const char *name;
    uint64_t hash, stamp_ticks_max;
    enum form form;
} goldens[] = {{"every_op.zst", UINT64_C(0x6a7b7caf2ea970c4), 0, PLAIN},
               {"every_op_1_1.zst", UINT64_C(0xcadcaad7c9839ccd), 3, PLAIN},
               {"every_op_1_2.zst", UINT64_C(0xba257367f2efc5ad), 3, PLAIN},
               {"every_op_1_3.zst", UINT64_C(0x663d06a63aeb4214), 3, RANKED},
               {"every_op_1_4.zst", UINT64_C(0xdf949568ab8c390b), 3, WITH_SIDES}};
enum { GOLDENS = sizeof goldens / sizeof *goldens };

static const char *golden_path(unsigned version) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/tests/traces/golden/%s", getenv("HAK_SOURCE_DIR"),
             goldens[version].name);
    return path;
}

static unsigned side_at;

static int compare_sides(void *self, const struct trace_side *rows, size_t count,
                         struct trace_error *problem) {
    (void)self;
    (void)problem;
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_lt(side_at, SAMPLE_SIDES);
        const struct trace_side *wanted = &sample_sides[side_at++];
        ck_assert_uint_eq(rows[i].kind, wanted->kind);
        ck_assert_uint_eq(rows[i].event, wanted->event);
        ck_assert_mem_eq(rows[i].values, wanted->values, sizeof wanted->values);
    }
    return 0;
}

START_TEST(the_golden_traces_are_read) {
    struct trace_event event;
    struct trace_summary summary;
    struct trace_reader *reader = trace_reader_open(golden_path((unsigned)_i), &error);
    ck_assert_msg(reader != NULL, "%s", error.text);
    trace_reader_visit_sides(reader, compare_sides, NULL);
    side_at = 0;
    for (unsigned i = 0; i < SAMPLE_EVENTS; i++) {
        ck_assert_msg(trace_reader_next(reader, &event, 1, &error) == 1, "%s", error.text);
        ck_assert_msg(sample_equal(&event, &sample_events[i]), "event %u differs", i);
    }
    ck_assert_int_eq(trace_reader_next(reader, &event, 1, &error), 0);
    ck_assert_uint_eq(side_at, goldens[_i].form == WITH_SIDES ? SAMPLE_SIDES : 0);
    trace_reader_summary(reader, &summary);
    ck_assert(summary.complete);
    ck_assert_uint_eq(summary.hash, goldens[_i].hash);
    ck_assert_uint_eq(summary.stamp_ticks_max, goldens[_i].stamp_ticks_max);
    trace_reader_close(reader);
}
END_TEST

// The decompressed bytes: what zstd makes of them is zstd's affair.
static size_t content_of(const char *path, uint8_t *content, size_t capacity) {
    static uint8_t file_bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(file_bytes, 1, sizeof file_bytes, file);
    fclose(file);
    size_t content_size = ZSTD_decompress(content, capacity, file_bytes, size);
    ck_assert(!ZSTD_isError(content_size));
    return content_size;
}

START_TEST(the_writer_still_writes_it) {
    static uint8_t golden[1 << 16], today[1 << 16];
    int status = goldens[_i].form == RANKED       ? sample_write_ranked("today.zst", 8, &error)
                 : goldens[_i].form == WITH_SIDES ? sample_write_sides("today.zst", 8, &error)
                                                  : sample_write("today.zst", 8, true, &error);
    ck_assert_msg(status == 0, "%s", error.text);
    size_t golden_size = content_of(golden_path((unsigned)_i), golden, sizeof golden);
    size_t today_size = content_of("today.zst", today, sizeof today);
    ck_assert_uint_eq(today_size, golden_size);
    for (size_t i = 0; i < golden_size; i++)
        ck_assert_msg(today[i] == golden[i], "byte %zu: expected %02x, found %02x", i, golden[i],
                      today[i]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trace_golden");
    TCase *tests = tcase_create("all");
    tcase_add_loop_test(tests, the_golden_traces_are_read, 0, GOLDENS);
    tcase_add_loop_test(tests, the_writer_still_writes_it, GOLDENS - 3, GOLDENS);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
