// The checker: each anomaly is found where it is, and only there; totals are right.
#include "sample.h"

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct trace_error error;

static struct trace_check_result check_file(const char *path) {
    struct trace_check_result result;
    struct trace_reader *reader = trace_reader_open(path, &error);
    ck_assert_msg(reader != NULL, "%s", error.text);
    ck_assert_msg(trace_check(reader, &result, &error) == 0, "%s", error.text);
    trace_reader_close(reader);
    return result;
}

static struct trace_check_result check_events(const struct trace_event *events, size_t count) {
    struct trace_writer_options options = {.overwrite = true, .addresses = true};
    ck_assert_msg(sample_write_events("check.zst", events, count, &options, &error) == 0, "%s",
                  error.text);
    return check_file("check.zst");
}

START_TEST(the_sample_has_no_anomaly_and_these_totals) {
    ck_assert_int_eq(sample_write("sample.zst", 6, true, &error), 0);
    struct trace_check_result result = check_file("sample.zst");
    ck_assert_msg(result.anomalies.total == 0, "%s", result.anomalies.first_text);
    ck_assert_uint_eq(result.anomalies.first_event, UINT64_MAX);
    ck_assert_uint_eq(result.by_op[TRACE_FREE], 4);
    ck_assert_uint_eq(result.by_op[TRACE_ALIGNED], 2);
    ck_assert_uint_eq(result.cross_thread_frees, 2); // 0 by FREE, 1 by REALLOC_RELEASE
    ck_assert_uint_eq(result.live_objects, 1);
    ck_assert_uint_eq(result.live_bytes, 0);
    ck_assert_uint_eq(result.peak_live_objects, 4);
    ck_assert_uint_eq(result.peak_live_bytes, 64 + (UINT64_C(1) << 40) + 8192);
    ck_assert_uint_eq(result.lost, 2);
    ck_assert_uint_eq(result.distinct_stacks, 4);
    ck_assert_uint_eq(result.duration_ticks, sample_events[SAMPLE_EVENTS - 1].time_ticks);
}
END_TEST

#define COUNTER(name) offsetof(struct trace_anomalies, name)
enum { SCENE_EVENTS = 6 };

// Short histories, each with exactly one anomaly.
static const struct {
    const char *name;
    size_t counter; // which of the anomalies
    uint64_t first_event;
    struct trace_event events[SCENE_EVENTS];
} scenes[] = {
    {"freed twice",
     COUNTER(dead_reference),
     2,
     {{.op = TRACE_MALLOC}, {.op = TRACE_FREE}, {.op = TRACE_FREE}}},
    {"asked for its size after its end",
     COUNTER(dead_reference),
     2,
     {{.op = TRACE_MALLOC}, {.op = TRACE_FREE}, {.op = TRACE_USABLE}}},
    {"reallocated after its end",
     COUNTER(dead_reference),
     2,
     {{.op = TRACE_MALLOC},
      {.op = TRACE_FREE},
      {.op = TRACE_REALLOC_RELEASE, .size = 9},
      {.op = TRACE_REALLOC_ACQUIRE}}},
    {"freed while realloc has it",
     COUNTER(dead_reference),
     3,
     {{.op = TRACE_MALLOC},
      {.op = TRACE_REALLOC_RELEASE},
      {.op = TRACE_FREE_NULL, .thread = 1},
      {.op = TRACE_FREE, .thread = 1},
      {.op = TRACE_REALLOC_ACQUIRE}}},
    {"freed after a realloc that failed, twice",
     COUNTER(dead_reference),
     4,
     {{.op = TRACE_MALLOC},
      {.op = TRACE_REALLOC_RELEASE},
      {.op = TRACE_REALLOC_FAIL},
      {.op = TRACE_FREE},
      {.op = TRACE_FREE}}},
    {"the same address",
     COUNTER(address_overlap),
     1,
     {{.op = TRACE_MALLOC, .size = 16, .address = 4096},
      {.op = TRACE_MALLOC, .size = 16, .address = 4096}}},
    {"an address within",
     COUNTER(address_overlap),
     2,
     {{.op = TRACE_MALLOC, .size = 16, .address = 4096},
      {.op = TRACE_MALLOC, .size = 16, .address = 4112},
      {.op = TRACE_MALLOC, .size = 1, .address = 4127}}},
    {"a block around others",
     COUNTER(address_overlap),
     1,
     {{.op = TRACE_MALLOC, .size = 16, .address = 4096},
      {.op = TRACE_MALLOC, .size = 16384, .address = 1024}}},
    {"empty blocks in one place",
     COUNTER(address_overlap),
     1,
     {{.op = TRACE_MALLOC, .address = 4096}, {.op = TRACE_MALLOC, .address = 4096}}},
    {"a grown block over its neighbour",
     COUNTER(address_overlap),
     3,
     {{.op = TRACE_MALLOC, .size = 16, .address = 4096},
      {.op = TRACE_MALLOC, .size = 16, .address = 4112},
      {.op = TRACE_REALLOC_RELEASE, .size = 32},
      {.op = TRACE_REALLOC_ACQUIRE, .address = 4096}}},
    {"an address taken while realloc failed",
     COUNTER(address_overlap),
     3,
     {{.op = TRACE_MALLOC, .size = 16, .address = 4096},
      {.op = TRACE_REALLOC_RELEASE, .size = 32},
      {.op = TRACE_MALLOC, .thread = 1, .size = 16, .address = 4096},
      {.op = TRACE_REALLOC_FAIL}}},
    {"an event before the start",
     COUNTER(thread_before_start),
     1,
     {{.op = TRACE_THREAD_CREATE, .peer = 1}, {.op = TRACE_MALLOC, .thread = 1}}},
    {"a start after the first event",
     COUNTER(thread_before_start),
     2,
     {{.op = TRACE_FREE_NULL},
      {.op = TRACE_MALLOC, .thread = 1},
      {.op = TRACE_THREAD_START, .thread = 1}}},
    {"created after its start",
     COUNTER(thread_before_start),
     2,
     {{.op = TRACE_FREE_NULL},
      {.op = TRACE_THREAD_START, .thread = 1},
      {.op = TRACE_THREAD_CREATE, .peer = 1}}},
    {"an event after the join",
     COUNTER(thread_after_exit),
     4,
     {{.op = TRACE_THREAD_CREATE, .peer = 1},
      {.op = TRACE_THREAD_START, .thread = 1},
      {.op = TRACE_THREAD_EXIT, .thread = 1},
      {.op = TRACE_THREAD_JOIN, .peer = 1},
      {.op = TRACE_MALLOC, .thread = 1}}},
    {"a thread number left out",
     COUNTER(thread_order),
     1,
     {{.op = TRACE_FREE_NULL}, {.op = TRACE_FREE_NULL, .thread = 2}}},
    {"a first thread that is not 0",
     COUNTER(thread_order),
     0,
     {{.op = TRACE_FREE_NULL, .thread = 1}}},
    {"acquire without release", COUNTER(realloc_unpaired), 0, {{.op = TRACE_REALLOC_ACQUIRE}}},
    {"fail without release", COUNTER(realloc_unpaired), 0, {{.op = TRACE_REALLOC_FAIL}}},
    {"an event within a realloc",
     COUNTER(realloc_unpaired),
     2,
     {{.op = TRACE_MALLOC},
      {.op = TRACE_REALLOC_RELEASE},
      {.op = TRACE_FREE_NULL},
      {.op = TRACE_FREE_NULL},
      {.op = TRACE_REALLOC_ACQUIRE}}},
    {"acquired twice",
     COUNTER(realloc_unpaired),
     3,
     {{.op = TRACE_MALLOC},
      {.op = TRACE_REALLOC_RELEASE},
      {.op = TRACE_REALLOC_ACQUIRE},
      {.op = TRACE_REALLOC_ACQUIRE}}},
};
enum { SCENE_COUNT = sizeof scenes / sizeof *scenes };

static size_t scene_length(unsigned scene) {
    size_t count = 0;
    while (count < SCENE_EVENTS && scenes[scene].events[count].op)
        count++;
    return count;
}

START_TEST(each_anomaly_is_found_where_it_is) {
    struct trace_check_result result = check_events(scenes[_i].events, scene_length((unsigned)_i));
    const struct trace_anomalies *anomalies = &result.anomalies;
    uint64_t count;
    memcpy(&count, (const char *)anomalies + scenes[_i].counter, sizeof count);
    ck_assert_msg(count == 1 && anomalies->total == 1, "%s: %llu of its kind, %llu in all: %s",
                  scenes[_i].name, (unsigned long long)count, (unsigned long long)anomalies->total,
                  anomalies->first_text);
    ck_assert_msg(anomalies->first_event == scenes[_i].first_event, "%s: at event %llu",
                  scenes[_i].name, (unsigned long long)anomalies->first_event);
    ck_assert_ptr_nonnull(strstr(anomalies->first_text, "event "));
}
END_TEST

// Everything but the last event of a scene is as it should be.
START_TEST(before_the_anomaly_there_is_none) {
    struct trace_check_result result =
        check_events(scenes[_i].events, (size_t)scenes[_i].first_event);
    ck_assert_msg(result.anomalies.total == 0, "%s: %s", scenes[_i].name,
                  result.anomalies.first_text);
}
END_TEST

START_TEST(what_is_allowed_is_no_anomaly) {
    static const struct trace_event events[] = {
        {.op = TRACE_MALLOC, .size = 16, .address = 4096},
        {.op = TRACE_FREE},
        {.op = TRACE_MALLOC, .size = 4096, .address = 4096},      // reused
        {.op = TRACE_REALLOC_RELEASE, .object = 1, .size = 8192}, // in place,
        {.op = TRACE_FREE_NULL, .thread = 1},                     // others go on
        {.op = TRACE_REALLOC_ACQUIRE, .address = 4096},
        {.op = TRACE_REALLOC_RELEASE, .thread = 1, .object = 2, .size = 1}, // the end is lost
        {.op = TRACE_LOST, .thread = 1, .value = 1},
        {.op = TRACE_MALLOC, .thread = 1, .size = 1, .address = 4096},
        {.op = TRACE_THREAD_CREATE, .peer = 2}, // failed
        {.op = TRACE_THREAD_CREATE, .peer = 3},
        {.op = TRACE_THREAD_START, .thread = 3},
        {.op = TRACE_THREAD_EXIT, .thread = 3},
        {.op = TRACE_FREE, .thread = 3, .object = 3}, // late destructor
        {.op = TRACE_THREAD_JOIN, .peer = 3},
        {.op = TRACE_MALLOC, .size = UINT64_MAX, .address = UINT64_MAX - 5},
    };
    struct trace_check_result result = check_events(events, sizeof events / sizeof *events);
    ck_assert_msg(result.anomalies.total == 0, "%s", result.anomalies.first_text);
}
END_TEST

// The live table against a plain array, through growth and every order of deletion.
START_TEST(many_objects_are_kept_apart) {
    enum { OBJECTS = 20000 };
    struct trace_event *events = calloc(3 * OBJECTS, sizeof *events);
    bool *live = calloc(OBJECTS, sizeof *live);
    uint64_t state = 99, created = 0, dead = 0, crossing = 0, live_count = 0, peak = 0;
    uint32_t creator[OBJECTS];
    for (size_t i = 0; i < 3 * OBJECTS; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint32_t thread = (uint32_t)(i < 4 ? i : state >> 40 & 3);
        if (created < OBJECTS && (created < 10 || state >> 62 < 2)) {
            events[i] = (struct trace_event){.op = TRACE_MALLOC, .thread = thread};
            creator[created] = thread;
            live[created++] = true;
            peak = ++live_count > peak ? live_count : peak;
            continue;
        }
        uint64_t object = (state >> 20) % created;
        events[i] = (struct trace_event){.op = TRACE_FREE, .thread = thread, .object = object};
        dead += !live[object];
        crossing += live[object] && creator[object] != thread;
        live_count -= live[object];
        live[object] = false;
    }
    struct trace_check_result result = check_events(events, 3 * OBJECTS);
    ck_assert_uint_gt(dead, 0);
    ck_assert_uint_eq(result.anomalies.dead_reference, dead);
    ck_assert_uint_eq(result.anomalies.total, dead);
    ck_assert_uint_eq(result.cross_thread_frees, crossing);
    ck_assert_uint_eq(result.live_objects, live_count);
    ck_assert_uint_eq(result.peak_live_objects, peak);
    free(events);
    free(live);
}
END_TEST

START_TEST(a_damaged_trace_is_not_checked_to_the_end) {
    ck_assert_int_eq(sample_write("bad.zst", 6, true, &error), 0);
    struct trace_check_result result;
    FILE *file = fopen("bad.zst", "r+b");
    fseek(file, -400, SEEK_END); // within the chunks, before the index
    int byte = fgetc(file);
    fseek(file, -400, SEEK_END);
    fputc(byte ^ 0xff, file);
    fclose(file);
    struct trace_reader *reader = trace_reader_open("bad.zst", &error);
    ck_assert_ptr_nonnull(reader);
    ck_assert_int_eq(trace_check(reader, &result, &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "bad.zst: offset "));
    trace_reader_close(reader);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trace_check");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, the_sample_has_no_anomaly_and_these_totals);
    tcase_add_loop_test(tests, each_anomaly_is_found_where_it_is, 0, SCENE_COUNT);
    tcase_add_loop_test(tests, before_the_anomaly_there_is_none, 0, SCENE_COUNT);
    tcase_add_test(tests, what_is_allowed_is_no_anomaly);
    tcase_add_test(tests, many_objects_are_kept_apart);
    tcase_add_test(tests, a_damaged_trace_is_not_checked_to_the_end);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
