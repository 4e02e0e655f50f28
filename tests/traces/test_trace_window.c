// A window keeps every event of its range and rebuilds the heap before it: judged against a simple
// simulation of the source, for every range of the sample and many of random histories.
#include "sample.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct trace_error error;

enum { EVENTS_MAX = 4096, THREADS_MAX = 64 };

// One object of the source while it lives.
struct life {
    bool live;
    uint64_t size;
    uint32_t owner;
};

struct loaded {
    struct trace_event events[EVENTS_MAX];
    size_t count;
    struct trace_check_result check;
};

static void load(const char *path, struct loaded *loaded) {
    struct trace_reader *reader = trace_reader_open(path, &error);
    ck_assert_msg(reader != NULL, "%s", error.text);
    ck_assert_msg(trace_check(reader, &loaded->check, &error) == 0, "%s", error.text);
    ck_assert_int_eq(trace_reader_seek(reader, 0, &error), 0);
    loaded->count = 0;
    ptrdiff_t got;
    while ((got = trace_reader_next(reader, loaded->events + loaded->count,
                                    EVENTS_MAX - loaded->count, &error)) > 0)
        loaded->count += (size_t)got;
    ck_assert_int_eq(got, 0);
    struct trace_summary summary;
    trace_reader_summary(reader, &summary);
    ck_assert(summary.complete);
    trace_reader_close(reader);
}

// Plays `count` events; a realloc's block is live until its second half, as in a replay.
static void play(const struct trace_event *events, size_t count, struct life *lives) {
    struct {
        uint64_t object, size;
    } pending[THREADS_MAX] = {{0}};
    memset(lives, 0, EVENTS_MAX * sizeof *lives);
    for (size_t i = 0; i < count; i++) {
        const struct trace_event *event = &events[i];
        uint64_t size = event->size;
        ck_assert_uint_lt(event->thread, THREADS_MAX);
        if (event->op == TRACE_REALLOC_RELEASE) {
            pending[event->thread].object = event->object;
            pending[event->thread].size = event->size;
        }
        if (event->op == TRACE_REALLOC_ACQUIRE) {
            lives[pending[event->thread].object].live = false;
            size = pending[event->thread].size;
        }
        if (event->op == TRACE_FREE)
            lives[event->object].live = false;
        if (trace_op_table[event->op].flags & TRACE_OP_CREATES)
            lives[event->object] = (struct life){true, size, event->thread};
    }
}

static size_t count_live(const struct life *lives) {
    size_t count = 0;
    for (size_t i = 0; i < EVENTS_MAX; i++)
        count += lives[i].live;
    return count;
}

// The window's numbers for the source's, found by comparing events; each must stay what it is.
struct mapping {
    int64_t objects[EVENTS_MAX], threads[THREADS_MAX];
};

static void expect_same(int64_t *known, uint64_t found, const char *what, size_t event) {
    if (*known < 0)
        *known = (int64_t)found;
    ck_assert_msg(*known == (int64_t)found, "event %zu: %s %lld has become %lld", event, what,
                  (long long)*known, (long long)found);
}

static void compare_event(const struct trace_event *source, const struct trace_event *window,
                          struct mapping *mapping, size_t number) {
    unsigned flags = trace_op_table[source->op].flags;
    ck_assert_uint_eq(source->op, window->op);
    ck_assert_uint_eq(source->time_ticks, window->time_ticks);
    ck_assert_uint_eq(source->size, window->size);
    ck_assert_uint_eq(source->value, window->value);
    ck_assert_uint_eq(source->align_log2, window->align_log2);
    ck_assert_uint_eq(source->entry, window->entry);
    ck_assert_uint_eq(source->address, window->address);
    ck_assert_int_eq(source->stack == 0, window->stack == 0);
    expect_same(&mapping->threads[source->thread], window->thread, "thread", number);
    if (flags & TRACE_OP_HAS_PEER)
        expect_same(&mapping->threads[source->peer], window->peer, "peer", number);
    if (flags & (TRACE_OP_CREATES | TRACE_OP_REFERS))
        expect_same(&mapping->objects[source->object], window->object, "object", number);
}

static void judge(const struct loaded *source, uint64_t from, uint64_t to) {
    static struct loaded window;
    static struct life before[EVENTS_MAX], built[EVENTS_MAX];
    static struct mapping mapping;
    struct trace_window_range range = {from, to};
    struct trace_window_result result;
    ck_assert_msg(trace_window("source.zst", &range, "window.zst", true, &result, &error) == 0,
                  "%s", error.text);
    load("window.zst", &window);
    ck_assert_msg(window.check.anomalies.total == 0, "%llu..%llu: %s", (unsigned long long)from,
                  (unsigned long long)to, window.check.anomalies.first_text);
    ck_assert_uint_eq(window.count, result.events);
    ck_assert_uint_eq(window.count, result.first_event + (to - from));

    memset(&mapping, -1, sizeof mapping);
    for (size_t i = 0; i < to - from; i++)
        compare_event(&source->events[from + i], &window.events[result.first_event + i], &mapping,
                      from + i);
    // The same blocks by the same owners: as many, and the mapped ones equal.
    play(source->events, from, before);
    play(window.events, result.first_event, built);
    ck_assert_uint_eq(count_live(before), count_live(built));
    ck_assert_uint_eq(count_live(before), result.live_at_start);
    for (size_t i = 0, at = 0; i < EVENTS_MAX; i++) {
        if (!before[i].live)
            continue;
        while (!built[at].live)
            at++;
        ck_assert_uint_eq(before[i].size, built[at].size);
        expect_same(&mapping.threads[before[i].owner], built[at].owner, "owner of object", i);
        if (mapping.objects[i] >= 0)
            ck_assert_int_eq(mapping.objects[i], (int64_t)at);
        at++;
    }
}

START_TEST(every_window_of_the_sample) {
    static struct loaded source;
    ck_assert_int_eq(sample_write("source.zst", 7, true, &error), 0);
    load("source.zst", &source);
    for (uint64_t from = 0; from <= SAMPLE_EVENTS; from++)
        for (uint64_t to = from; to <= SAMPLE_EVENTS; to++)
            judge(&source, from, to);
}
END_TEST

// What sample_random does not heed: threads in order of mention, and no event before a start.
static void bring_threads_in_order(struct trace_event *events, size_t count) {
    uint32_t numbers[THREADS_MAX], known = 0;
    memset(numbers, 0xff, sizeof numbers);
    for (size_t i = 0; i < count; i++) {
        struct trace_event *event = &events[i];
        if (event->op == TRACE_THREAD_CREATE) {
            event->op = TRACE_FREE_NULL;
            event->peer = 0;
        }
        if (numbers[event->thread] == UINT32_MAX)
            numbers[event->thread] = known++;
        event->thread = numbers[event->thread];
    }
}

START_TEST(windows_of_random_histories) {
    static struct loaded source;
    enum { COUNT = 3000 };
    struct trace_event *events = sample_random((uint64_t)_i + 1, COUNT);
    struct trace_writer_options options = {.overwrite = true, .rows_per_chunk = 100};
    bring_threads_in_order(events, COUNT);
    ck_assert_int_eq(sample_write_events("source.zst", events, COUNT, &options, &error), 0);
    free(events);
    load("source.zst", &source);
    ck_assert_msg(source.check.anomalies.total == 0, "%s", source.check.anomalies.first_text);
    for (uint64_t from = 0; from < COUNT; from += 271)
        judge(&source, from, from + 7 * (from % 100) > COUNT ? COUNT : from + 7 * (from % 100));
}
END_TEST

START_TEST(usable_sizes_told_before_are_kept) {
    struct trace_event events[] = {{.op = TRACE_MALLOC, .size = 10},
                                   {.op = TRACE_USABLE, .object = 0, .value = 24},
                                   {.op = TRACE_USABLE, .object = 0, .value = 24},
                                   {.op = TRACE_FREE_NULL},
                                   {.op = TRACE_FREE, .object = 0}};
    static struct loaded window;
    struct trace_writer_options options = {.overwrite = true};
    struct trace_window_range range = {4, 5};
    struct trace_window_result result;
    ck_assert_int_eq(sample_write_events("source.zst", events, 5, &options, &error), 0);
    ck_assert_int_eq(trace_window("source.zst", &range, "window.zst", true, &result, &error), 0);
    load("window.zst", &window);
    ck_assert_uint_eq(result.first_event, 2);
    ck_assert_uint_eq(window.events[1].op, TRACE_USABLE);
    ck_assert_uint_eq(window.events[1].value, 24);
}
END_TEST

static void expect_refusal(const char *path, uint64_t from, uint64_t to, const char *words) {
    struct trace_window_range range = {from, to};
    struct trace_window_result result;
    remove("refused.zst");
    ck_assert_int_eq(trace_window(path, &range, "refused.zst", false, &result, &error), -1);
    ck_assert_msg(strstr(error.text, words) != NULL, "expected \"%s\" in: %s", words, error.text);
    FILE *file = fopen("refused.zst", "r");
    ck_assert_msg(file == NULL, "a refused window has left a file");
}

START_TEST(what_cannot_be_cut_is_refused) {
    struct trace_event events[] = {
        {.op = TRACE_MALLOC}, {.op = TRACE_FREE, .object = 0}, {.op = TRACE_FREE, .object = 0}};
    struct trace_writer_options options = {.overwrite = true};
    ck_assert_int_eq(sample_write_events("anomalous.zst", events, 3, &options, &error), 0);
    ck_assert_int_eq(sample_write("source.zst", 7, true, &error), 0);
    expect_refusal("anomalous.zst", 0, 1, "expected a trace in order, found: event 2");
    expect_refusal("source.zst", 3, 2, "expected a window within its 24 events, found 3..2");
    expect_refusal("source.zst", 0, 25, "found 0..25");
    expect_refusal("absent.zst", 0, 1, "absent.zst: cannot open");
}
END_TEST

START_TEST(an_existing_file_is_kept_unless_told) {
    struct trace_window_range range = {2, 9};
    struct trace_window_result result;
    ck_assert_int_eq(sample_write("source.zst", 7, true, &error), 0);
    ck_assert_int_eq(sample_write("window.zst", 7, true, &error), 0);
    ck_assert_int_eq(trace_window("source.zst", &range, "window.zst", false, &result, &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "the file exists and is not overwritten"));
    static struct loaded kept;
    load("window.zst", &kept);
    ck_assert_uint_eq(kept.count, SAMPLE_EVENTS);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trace_window");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, every_window_of_the_sample);
    tcase_add_loop_test(tests, windows_of_random_histories, 0, 8);
    tcase_add_test(tests, usable_sizes_told_before_are_kept);
    tcase_add_test(tests, what_cannot_be_cut_is_refused);
    tcase_add_test(tests, an_existing_file_is_kept_unless_told);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
