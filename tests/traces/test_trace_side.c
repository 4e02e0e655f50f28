// Rows beside the events: what is written comes back, and what FORMAT.md §9 forbids is refused.
#include "check_main.h"
#include "sample.h"
#include "trace_internal.h"

#include <check.h>

static struct trace_error error;

static struct trace_writer *writer_with_events(const char *path, unsigned count) {
    struct trace_writer_options options = {.overwrite = true, .rows_per_chunk = 16};
    struct trace_writer *writer = trace_writer_create(path, SAMPLE_META, &options, &error);
    ck_assert_msg(writer != NULL, "%s", error.text);
    for (unsigned i = 0; i < count; i++) {
        struct trace_event event = {.op = TRACE_MALLOC, .size = i, .time_ticks = i};
        ck_assert_int_eq(trace_writer_event(writer, &event, &error), 0);
    }
    return writer;
}

static struct trace_side resident(uint64_t event, uint64_t object, uint64_t pages, uint64_t found) {
    return (struct trace_side){TRACE_SIDE_RESIDENT,
                               event,
                               {[TRACE_RESIDENT_OBJECT] = object,
                                [TRACE_RESIDENT_PAGES] = pages,
                                [TRACE_RESIDENT_FOUND] = found}};
}

static struct trace_side mapping(uint64_t op, uint64_t thread, uint64_t stack) {
    return (struct trace_side){
        TRACE_SIDE_MAPS,
        0,
        {[TRACE_MAPS_OP] = op, [TRACE_MAPS_THREAD] = thread, [TRACE_MAPS_STACK] = stack}};
}

START_TEST(the_writer_refuses_what_is_no_row) {
    struct trace_writer *writer = writer_with_events("refused.zst", 10);
    struct trace_side wrong[] = {resident(11, 0, 1, 1),
                                 resident(1, 10, 1, 1),
                                 resident(1, 1, 0, 0),
                                 resident(1, 1, 4, 5),
                                 mapping(0, 0, 0),
                                 mapping(TRACE_MAP_OP_COUNT, 0, 0),
                                 mapping(TRACE_MAP, 1u << 24, 0),
                                 mapping(TRACE_MAP, 0, 1),
                                 {.kind = 6},
                                 {.kind = TRACE_SIDE_END}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(trace_writer_side(writer, &wrong[i], &error) == -1, "row %zu is taken", i);
    struct trace_side later = resident(10, 0, 1, 0), earlier = resident(9, 0, 1, 0);
    ck_assert_int_eq(trace_writer_side(writer, &later, &error), 0);
    ck_assert_int_eq(trace_writer_side(writer, &earlier, &error), -1);
    trace_writer_close(writer, "{}", &error);
}
END_TEST

struct sum {
    uint64_t rows, chunks, pages, last;
};

static int add(void *self, const struct trace_side *rows, size_t count, struct trace_error *none) {
    struct sum *sum = self;
    (void)none;
    sum->chunks++;
    for (size_t i = 0; i < count; i++) {
        sum->rows++;
        sum->pages += rows[i].values[TRACE_RESIDENT_PAGES];
        ck_assert_uint_ge(rows[i].event, sum->last);
        sum->last = rows[i].event;
    }
    return 0;
}

static void read_all(struct trace_reader *reader) {
    struct trace_event events[7];
    ptrdiff_t count;
    while ((count = trace_reader_next(reader, events, 7, &error)) > 0)
        ;
    ck_assert_msg(count == 0, "%s", error.text);
}

START_TEST(many_rows_come_back_also_after_seeking) {
    enum { EVENTS = 1000, ROWS = 10000 };
    struct trace_writer *writer = writer_with_events("many.zst", EVENTS);
    for (uint64_t i = 0; i < ROWS; i++) {
        struct trace_side side = resident(i * EVENTS / ROWS, i % EVENTS, i + 1, i);
        ck_assert_msg(trace_writer_side(writer, &side, &error) == 0, "%s", error.text);
    }
    ck_assert_int_eq(trace_writer_close(writer, "{}", &error), 0);
    struct sum sum = {0};
    struct trace_reader *reader = trace_reader_open("many.zst", &error);
    trace_reader_visit_sides(reader, add, &sum);
    read_all(reader);
    ck_assert_uint_eq(sum.rows, ROWS);
    ck_assert_uint_ge(sum.chunks, 2);
    ck_assert_uint_eq(sum.pages, (uint64_t)ROWS * (ROWS + 1) / 2);
    struct sum again = {0};
    trace_reader_visit_sides(reader, add, &again);
    ck_assert_int_eq(trace_reader_seek(reader, EVENTS / 2, &error), 0);
    read_all(reader);
    ck_assert_uint_eq(again.rows, ROWS); // all stand behind the events
    trace_reader_close(reader);
}
END_TEST

static int refuse(void *self, const struct trace_side *rows, size_t count,
                  struct trace_error *why) {
    (void)self;
    (void)rows;
    (void)count;
    return trace_fail_file("here", why, "enough");
}

START_TEST(a_visitor_may_stop_the_reading) {
    struct trace_event event;
    ck_assert_int_eq(sample_write_sides("sides.zst", 8, &error), 0);
    struct trace_reader *reader = trace_reader_open("sides.zst", &error);
    trace_reader_visit_sides(reader, refuse, NULL);
    for (unsigned i = 0; i < SAMPLE_EVENTS; i++)
        ck_assert_int_eq(trace_reader_next(reader, &event, 1, &error), 1);
    ck_assert_int_eq(trace_reader_next(reader, &event, 1, &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "enough"));
    trace_reader_close(reader);
}
END_TEST

CHECK_MAIN("trace_side", the_writer_refuses_what_is_no_row, many_rows_come_back_also_after_seeking,
           a_visitor_may_stop_the_reading)
