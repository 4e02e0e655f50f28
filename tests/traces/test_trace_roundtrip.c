// What is written comes back: every op and column, chunks of every size, random traces, seeking.
#include "sample.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct trace_error error;

static struct trace_reader *open_trace(const char *path) {
    struct trace_reader *reader = trace_reader_open(path, &error);
    ck_assert_msg(reader != NULL, "%s", error.text);
    return reader;
}

static void expect_events(struct trace_reader *reader, const struct trace_event *expected,
                          size_t count, size_t batch) {
    struct trace_event *events = malloc(batch * sizeof *events);
    size_t seen = 0;
    ptrdiff_t got;
    while ((got = trace_reader_next(reader, events, batch, &error)) > 0)
        for (ptrdiff_t i = 0; i < got; i++, seen++) {
            ck_assert_uint_lt(seen, count);
            ck_assert_msg(sample_equal(&events[i], &expected[seen]),
                          "event %zu differs: op %u object %llu size %llu", seen, events[i].op,
                          (unsigned long long)events[i].object, (unsigned long long)events[i].size);
        }
    ck_assert_msg(got == 0, "%s", error.text);
    ck_assert_uint_eq(seen, count);
    free(events);
}

// Cuts END and index off, whatever their sizes: what is left is an unfinished recording.
static void remove_index(const char *path) {
    FILE *file = fopen(path, "r+b");
    uint8_t footer[8];
    ck_assert(file && fseek(file, -8, SEEK_END) == 0 && fread(footer, 1, 8, file) == 8);
    uint32_t size;
    memcpy(&size, footer, 4);
    ck_assert(ftruncate(fileno(file), ftell(file) - (long)size) == 0);
    fclose(file);
}

START_TEST(every_op_and_column_comes_back) {
    for (uint32_t rows = 1; rows <= SAMPLE_EVENTS + 1; rows++) {
        ck_assert_msg(sample_write("sample.zst", rows, true, &error) == 0, "%s", error.text);
        struct trace_reader *reader = open_trace("sample.zst");
        expect_events(reader, sample_events, SAMPLE_EVENTS, rows % 7 + 1);
        struct trace_summary summary;
        trace_reader_summary(reader, &summary);
        ck_assert_uint_eq(summary.events, SAMPLE_EVENTS);
        ck_assert_uint_eq(summary.objects, 6);
        ck_assert_uint_eq(summary.threads, 2);
        ck_assert_uint_eq(summary.nodes, SAMPLE_NODES);
        ck_assert_uint_eq(summary.modules, SAMPLE_MODULES);
        ck_assert_uint_eq(summary.tick_ns, 100);
        ck_assert_uint_eq(summary.stamp_ticks_max, 3);
        ck_assert(summary.complete && summary.cut_bytes == 0);
        ck_assert_str_eq(summary.meta_json, SAMPLE_META);
        ck_assert_ptr_nonnull(strstr(summary.end_json, "\"events\":24"));
        ck_assert_ptr_nonnull(strstr(summary.end_json, "\"objects\":6"));
        ck_assert_ptr_nonnull(strstr(summary.end_json, "\"threads\":2"));
        trace_reader_close(reader);
    }
}
END_TEST

START_TEST(every_op_is_in_the_sample) {
    bool seen[TRACE_OP_COUNT] = {true};
    for (unsigned i = 0; i < SAMPLE_EVENTS; i++)
        seen[sample_events[i].op] = true;
    for (unsigned op = 0; op < TRACE_OP_COUNT; op++)
        ck_assert_msg(seen[op], "op %u is missing", op);
}
END_TEST

START_TEST(nodes_modules_and_info_come_back) {
    ck_assert_int_eq(sample_write("sample.zst", 5, true, &error), 0);
    struct trace_reader *reader = open_trace("sample.zst");
    struct trace_node node;
    ck_assert(!trace_reader_node(reader, 1, &node)); // not read yet
    expect_events(reader, sample_events, SAMPLE_EVENTS, 8);
    for (uint32_t i = 0; i < SAMPLE_NODES; i++) {
        ck_assert(trace_reader_node(reader, i + 1, &node));
        ck_assert_uint_eq(node.parent, sample_nodes[i].parent);
        ck_assert_uint_eq(node.module, sample_nodes[i].module);
        ck_assert_uint_eq(node.offset, sample_nodes[i].offset);
    }
    ck_assert(!trace_reader_node(reader, 0, &node));
    ck_assert(!trace_reader_node(reader, SAMPLE_NODES + 1, &node));
    for (uint32_t i = 0; i < SAMPLE_MODULES; i++)
        ck_assert_str_eq(trace_reader_module(reader, i + 1), sample_modules[i]);
    ck_assert_ptr_null(trace_reader_module(reader, 0));
    ck_assert_ptr_null(trace_reader_module(reader, SAMPLE_MODULES + 1));
    ck_assert_str_eq(trace_reader_info(reader, 1), SAMPLE_INFO);
    ck_assert_ptr_null(trace_reader_info(reader, 2));
    // Reading again from the start repeats events only.
    ck_assert_int_eq(trace_reader_seek(reader, 0, &error), 0);
    expect_events(reader, sample_events, SAMPLE_EVENTS, 8);
    ck_assert_ptr_null(trace_reader_info(reader, 2));
    struct trace_summary summary;
    trace_reader_summary(reader, &summary);
    ck_assert_uint_eq(summary.nodes, SAMPLE_NODES);
    ck_assert_uint_eq(summary.modules, SAMPLE_MODULES);
    trace_reader_close(reader);
}
END_TEST

START_TEST(random_traces_come_back) {
    static const uint32_t rows[] = {1, 7, 64, 1000, 65536, 1 << 20};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        size_t count = seed * seed * 60;
        struct trace_event *events = sample_random(seed * 77777, count);
        struct trace_writer_options options = {
            .rows_per_chunk = rows[seed % 6], .addresses = true, .overwrite = true};
        ck_assert_msg(sample_write_events("random.zst", events, count, &options, &error) == 0, "%s",
                      error.text);
        struct trace_reader *reader = open_trace("random.zst");
        expect_events(reader, events, count, seed * 37);
        trace_reader_close(reader);
        free(events);
    }
}
END_TEST

// In both forms, whatever the chunk, and from any event on.
START_TEST(the_small_form_comes_back) {
    enum { COUNT = 5000 };
    static const uint32_t rows[] = {1, 7, 100, 5000};
    struct trace_event *events = sample_random((uint64_t)_i + 77, COUNT);
    struct trace_writer_options options = {
        .addresses = true, .ranked = true, .overwrite = true, .rows_per_chunk = rows[_i % 4]};
    ck_assert_msg(sample_write_events("ranked.zst", events, COUNT, &options, &error) == 0, "%s",
                  error.text);
    struct trace_reader *reader = open_trace("ranked.zst");
    expect_events(reader, events, COUNT, 999);
    for (uint64_t number = 0; number < COUNT; number += 617) {
        struct trace_event event;
        ck_assert_int_eq(trace_reader_seek(reader, number, &error), 0);
        ck_assert_int_eq(trace_reader_next(reader, &event, 1, &error), 1);
        ck_assert(sample_equal(&event, &events[number]));
    }
    trace_reader_close(reader);
    free(events);
}
END_TEST

START_TEST(every_op_comes_back_from_the_small_form) {
    for (uint32_t rows = 1; rows <= SAMPLE_EVENTS + 1; rows++) {
        ck_assert_msg(sample_write_ranked("ranked.zst", rows, &error) == 0, "%s", error.text);
        struct trace_reader *reader = open_trace("ranked.zst");
        expect_events(reader, sample_events, SAMPLE_EVENTS, 5);
        trace_reader_close(reader);
    }
}
END_TEST

START_TEST(optional_columns_are_left_out) {
    struct trace_writer_options options = {.overwrite = true};
    struct trace_event events[] = {
        {.number = 0, .op = TRACE_MALLOC, .object = 0, .size = 8, .address = 4096},
        {.number = 1, .op = TRACE_FREE, .object = 0},
    };
    ck_assert_int_eq(sample_write_events("plain.zst", events, 2, &options, &error), 0);
    events[0].address = 0; // not asked for
    struct trace_reader *reader = open_trace("plain.zst");
    expect_events(reader, events, 2, 10);
    struct trace_summary summary;
    trace_reader_summary(reader, &summary);
    for (unsigned id = 6; id < 16; id++)
        ck_assert_uint_eq(summary.column_bytes[id], 0);
    trace_reader_close(reader);
}
END_TEST

START_TEST(time_never_goes_back) {
    struct trace_writer_options options = {.overwrite = true};
    struct trace_event events[] = {
        {.number = 0, .op = TRACE_FREE_NULL, .time_ticks = 50},
        {.number = 1, .op = TRACE_FREE_NULL, .time_ticks = 10},
        {.number = 2, .op = TRACE_FREE_NULL, .time_ticks = UINT64_MAX},
    };
    ck_assert_int_eq(sample_write_events("time.zst", events, 3, &options, &error), 0);
    events[1].time_ticks = 50;
    struct trace_reader *reader = open_trace("time.zst");
    expect_events(reader, events, 3, 10);
    trace_reader_close(reader);
}
END_TEST

// Seeks everywhere, and reads to the end from there, in an order that jumps to and fro.
static void seek_everywhere(struct trace_reader *reader, const struct trace_event *events,
                            size_t count) {
    for (size_t step = 0; step <= count; step++) {
        size_t number = step * 7919 % (count + 1);
        ck_assert_msg(trace_reader_seek(reader, number, &error) == 0, "%s", error.text);
        expect_events(reader, events + number, count - number, 16);
        uint64_t time =
            number < count ? events[number].time_ticks : events[count - 1].time_ticks + 1;
        while (number > 0 && events[number - 1].time_ticks >= time)
            number--;
        ck_assert_msg(trace_reader_seek_time(reader, time, &error) == 0, "%s", error.text);
        expect_events(reader, events + number, count - number, 16);
        if (number > 0 && time > events[number - 1].time_ticks + 1) { // a time between two events
            ck_assert_int_eq(trace_reader_seek_time(reader, time - 1, &error), 0);
            expect_events(reader, events + number, count - number, 16);
        }
    }
    ck_assert_int_eq(trace_reader_seek(reader, count + 1, &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "expected an event number up to"));
}

START_TEST(seeking_finds_every_event) {
    size_t count = 400;
    struct trace_event *events = sample_random(4711, count);
    struct trace_writer_options options = {
        .rows_per_chunk = 13, .addresses = true, .overwrite = true};
    ck_assert_int_eq(sample_write_events("seek.zst", events, count, &options, &error), 0);
    struct trace_reader *reader = open_trace("seek.zst");
    seek_everywhere(reader, events, count);
    trace_reader_close(reader);

    remove_index("seek.zst");
    reader = open_trace("seek.zst");
    seek_everywhere(reader, events, count);
    trace_reader_close(reader);
    free(events);
}
END_TEST

START_TEST(a_first_seek_has_its_stacks) {
    for (int with_index = 0; with_index <= 1; with_index++) {
        ck_assert_int_eq(sample_write("sample.zst", 5, true, &error), 0);
        if (!with_index)
            remove_index("sample.zst");
        struct trace_reader *reader = open_trace("sample.zst");
        struct trace_event event;
        struct trace_node node;
        ck_assert_int_eq(trace_reader_seek(reader, 22, &error), 0);
        ck_assert_int_eq(trace_reader_next(reader, &event, 1, &error), 1);
        ck_assert(sample_equal(&event, &sample_events[22]));
        ck_assert(trace_reader_node(reader, event.stack, &node));
        ck_assert_uint_eq(node.offset, sample_nodes[3].offset);
        ck_assert_str_eq(trace_reader_module(reader, 2), sample_modules[1]);
        trace_reader_close(reader);
    }
}
END_TEST

START_TEST(end_is_known_at_once_with_an_index) {
    struct trace_summary summary;
    ck_assert_int_eq(sample_write("sample.zst", 5, true, &error), 0);
    struct trace_reader *reader = open_trace("sample.zst");
    trace_reader_summary(reader, &summary);
    ck_assert(summary.complete && summary.end_json != NULL);
    const char *text = summary.end_json;
    expect_events(reader, sample_events, SAMPLE_EVENTS, 8);
    trace_reader_summary(reader, &summary);
    ck_assert_ptr_eq(summary.end_json, text); // lent out until the reader is closed
    trace_reader_close(reader);
}
END_TEST

START_TEST(a_trace_without_events_is_a_trace) {
    struct trace_writer_options options = {.overwrite = true};
    ck_assert_int_eq(sample_write_events("none.zst", NULL, 0, &options, &error), 0);
    struct trace_reader *reader = open_trace("none.zst");
    expect_events(reader, NULL, 0, 4);
    ck_assert_int_eq(trace_reader_seek(reader, 0, &error), 0);
    ck_assert_int_eq(trace_reader_seek_time(reader, 100, &error), 0);
    expect_events(reader, NULL, 0, 4);
    struct trace_summary summary;
    trace_reader_summary(reader, &summary);
    ck_assert(summary.complete && summary.events == 0 && summary.threads == 0);
    ck_assert_int_eq(trace_reader_seek(reader, 1, &error), -1);
    trace_reader_close(reader);
}
END_TEST

START_TEST(the_hash_is_of_all_bytes) {
    struct trace_summary whole, sought;
    ck_assert_int_eq(sample_write("sample.zst", 3, true, &error), 0);
    struct trace_reader *reader = open_trace("sample.zst");
    expect_events(reader, sample_events, SAMPLE_EVENTS, 8);
    trace_reader_summary(reader, &whole);
    trace_reader_close(reader);
    ck_assert_uint_ne(whole.hash, 0);

    reader = open_trace("sample.zst");
    ck_assert_int_eq(trace_reader_seek(reader, 20, &error), 0);
    expect_events(reader, sample_events + 20, SAMPLE_EVENTS - 20, 8);
    trace_reader_summary(reader, &sought);
    ck_assert_uint_eq(sought.hash, whole.hash);
    trace_reader_close(reader);

    FILE *file = fopen("sample.zst", "r+b"); // the trace id, which nothing else looks at
    fseek(file, 24, SEEK_SET);
    fputc('x', file);
    fclose(file);
    reader = open_trace("sample.zst");
    expect_events(reader, sample_events, SAMPLE_EVENTS, 8);
    trace_reader_summary(reader, &sought);
    ck_assert_uint_ne(sought.hash, whole.hash);
    trace_reader_close(reader);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trace_roundtrip");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, every_op_and_column_comes_back);
    tcase_add_test(tests, every_op_is_in_the_sample);
    tcase_add_test(tests, nodes_modules_and_info_come_back);
    tcase_add_test(tests, random_traces_come_back);
    tcase_add_loop_test(tests, the_small_form_comes_back, 0, 8);
    tcase_add_test(tests, every_op_comes_back_from_the_small_form);
    tcase_add_test(tests, optional_columns_are_left_out);
    tcase_add_test(tests, time_never_goes_back);
    tcase_add_test(tests, seeking_finds_every_event);
    tcase_add_test(tests, a_first_seek_has_its_stacks);
    tcase_add_test(tests, end_is_known_at_once_with_an_index);
    tcase_add_test(tests, a_trace_without_events_is_a_trace);
    tcase_add_test(tests, the_hash_is_of_all_bytes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
