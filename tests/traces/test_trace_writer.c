// The writer in adversity: files in the way, full disks, wrong events. Nothing is lost or half
// done.
#include "sample.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct trace_error error;

static void put_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    ck_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static bool has_text(const char *path, const char *text) {
    char found[64] = "";
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(found, 1, sizeof found - 1, file);
    fclose(file);
    return size == strlen(text) && memcmp(found, text, size) == 0;
}

static struct trace_writer *create(const char *path, uint32_t rows) {
    struct trace_writer_options options = {.rows_per_chunk = rows};
    struct trace_writer *writer = trace_writer_create(path, SAMPLE_META, &options, &error);
    ck_assert_msg(writer != NULL, "%s", error.text);
    return writer;
}

static void expect_no_writer(const char *path, const char *meta, bool overwrite,
                             const char *words) {
    struct trace_writer_options options = {.overwrite = overwrite};
    error.text[0] = '\0';
    ck_assert_ptr_null(trace_writer_create(path, meta, &options, &error));
    ck_assert_msg(strstr(error.text, words) != NULL, "expected \"%s\" in: %s", words, error.text);
    ck_assert_msg(strstr(error.text, path) == error.text, "no file name: %s", error.text);
}

static size_t count_events(const char *path, struct trace_summary *summary) {
    struct trace_event events[64];
    ptrdiff_t got;
    size_t count = 0;
    struct trace_reader *reader = trace_reader_open(path, &error);
    ck_assert_msg(reader != NULL, "%s", error.text);
    while ((got = trace_reader_next(reader, events, 64, &error)) > 0)
        count += (size_t)got;
    ck_assert_msg(got == 0, "%s", error.text);
    trace_reader_summary(reader, summary);
    trace_reader_close(reader);
    return count;
}

// A limit on file size stands for a full disk: a write stops half way. Check keeps its own notes in
// a file, so nothing may be asserted while the limit is on.
static struct rlimit size_limit_saved;

static void limit_file_size(uint64_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &size_limit_saved);
    struct rlimit tight = {bytes, size_limit_saved.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tight);
}

static void lift_limit(void) {
    setrlimit(RLIMIT_FSIZE, &size_limit_saved);
}

// How many files this test's folder holds.
static int file_count(void) {
    FILE *list = popen("ls -A | wc -l", "r");
    int count = -1;
    ck_assert(list && fscanf(list, "%d", &count) == 1);
    pclose(list);
    return count;
}

// ---------------------------------------------------------------- creating

START_TEST(an_existing_file_is_kept) {
    put_text("kept", "precious");
    expect_no_writer("kept", SAMPLE_META, false, "kept: cannot create: the file exists");
    ck_assert(has_text("kept", "precious"));
    unlink("kept");
}
END_TEST

START_TEST(overwriting_replaces_the_file) {
    struct trace_summary summary;
    put_text("old", "precious");
    ck_assert_int_eq(symlink("old", "link"), 0);
    ck_assert_msg(sample_write("link", 6, true, &error) == 0, "%s", error.text);
    ck_assert_uint_eq(count_events("old", &summary), SAMPLE_EVENTS);
    struct stat status;
    ck_assert(lstat("link", &status) == 0 && S_ISLNK(status.st_mode));
    ck_assert_int_eq(file_count(), 2); // no part file is left
    unlink("old");
    unlink("link");
}
END_TEST

// A recording that cannot even begin leaves the old file and no other.
START_TEST(a_failed_start_loses_nothing) {
    put_text("old", "precious");
    expect_no_writer("old", "{\"format\":\"hak-trace\"}", true, "META: expected a JSON object");
    expect_no_writer("old", "not json", true, "META: expected a JSON object");
    ck_assert(has_text("old", "precious"));

    for (int overwrite = 0; overwrite <= 1; overwrite++) {
        struct trace_writer_options options = {.overwrite = overwrite};
        limit_file_size(40); // room for the identity, not for META
        struct trace_writer *writer =
            trace_writer_create(overwrite ? "old" : "new", SAMPLE_META, &options, &error);
        lift_limit();
        ck_assert_ptr_null(writer);
        ck_assert_msg(strstr(error.text, "offset 40: cannot write: File too large"), "%s",
                      error.text);
    }
    ck_assert(has_text("old", "precious"));
    ck_assert_int_eq(file_count(), 1);
    unlink("old");
}
END_TEST

START_TEST(what_cannot_be_written_is_named) {
    expect_no_writer("no/such/folder", SAMPLE_META, false, "cannot create: No such file");
    expect_no_writer(".", SAMPLE_META, true, "it is a directory");
    expect_no_writer("/dev/full", SAMPLE_META, false, "No space left on device");
    expect_no_writer("/dev/full", SAMPLE_META, true, "No space left on device");
    struct stat status;
    ck_assert(stat("/dev/full", &status) == 0 && S_ISCHR(status.st_mode)); // still the device
    ck_assert_int_eq(mkdir("locked", 0500), 0);
    if (geteuid() != 0) // root may write anywhere
        expect_no_writer("locked/new", SAMPLE_META, false, "Permission denied");
    ck_assert_int_eq(rmdir("locked"), 0);
    ck_assert_int_eq(file_count(), 0);
}
END_TEST

// ---------------------------------------------------------------- growing

START_TEST(flushed_events_can_be_read_while_writing) {
    struct trace_summary summary;
    struct trace_writer *writer = create("growing", 1000);
    for (unsigned i = 0; i < 10; i++) {
        struct trace_event event = {.op = TRACE_MALLOC, .size = i};
        ck_assert_int_eq(trace_writer_event(writer, &event, &error), 0);
        ck_assert_uint_eq(event.object, i);
        ck_assert_uint_eq(event.number, i);
        if (i == 6)
            ck_assert_int_eq(trace_writer_flush(writer, &error), 0);
        if (i >= 6)
            ck_assert_uint_eq(count_events("growing", &summary), 7);
    }
    ck_assert(!summary.complete && summary.cut_bytes == 0);
    ck_assert_int_eq(trace_writer_close(writer, NULL, &error), 0);
    ck_assert_uint_eq(count_events("growing", &summary), 10);
    ck_assert(!summary.complete && summary.end_json == NULL);
    unlink("growing");
}
END_TEST

START_TEST(a_full_disk_keeps_whole_frames_and_can_be_retried) {
    struct trace_writer_totals totals;
    struct trace_summary summary;
    struct trace_writer *writer = create("full", 512);
    uint64_t state = 1, written = 0;
    struct trace_event event;
    limit_file_size(10000);
    for (; written < 100000; written++) {
        state = state * UINT64_C(6364136223846793005) + 1;
        event = (struct trace_event){.op = TRACE_MALLOC, .size = state >> 20};
        if (trace_writer_event(writer, &event, &error))
            break;
    }
    int again = trace_writer_event(writer, &event, NULL); // no better yet
    lift_limit();
    ck_assert_int_eq(again, -1);
    ck_assert_msg(strstr(error.text, "full: offset 10000: cannot write: File too large"), "%s",
                  error.text);
    trace_writer_totals(writer, &totals);
    ck_assert_uint_eq(totals.events, written);
    size_t flushed = count_events("full", &summary);
    ck_assert_uint_eq(flushed, written - 512);
    ck_assert_uint_eq(summary.cut_bytes, 0);
    ck_assert_uint_eq(summary.file_bytes, totals.file_bytes);

    ck_assert_msg(trace_writer_event(writer, &event, &error) == 0, "%s", error.text);
    ck_assert_uint_eq(event.number, written);
    ck_assert_int_eq(trace_writer_close(writer, "{}", &error), 0);
    ck_assert_uint_eq(count_events("full", &summary), written + 1);
    ck_assert(summary.complete);
    unlink("full");
}
END_TEST

START_TEST(a_full_disk_at_the_end_is_reported) {
    struct trace_summary summary;
    struct trace_writer *writer = create("full", 512);
    struct trace_event event = {.op = TRACE_FREE_NULL};
    trace_writer_event(writer, &event, &error);
    ck_assert_int_eq(trace_writer_flush(writer, &error), 0);
    trace_writer_event(writer, &event, &error);
    struct trace_writer_totals totals;
    trace_writer_totals(writer, &totals);
    limit_file_size(totals.file_bytes);
    int result = trace_writer_close(writer, "{}", &error);
    lift_limit();
    ck_assert_int_eq(result, -1);
    ck_assert_ptr_nonnull(strstr(error.text, "cannot write: File too large"));
    ck_assert_uint_eq(count_events("full", &summary), 1);
    ck_assert(!summary.complete);
    unlink("full");
}
END_TEST

START_TEST(a_write_that_cannot_be_undone_stops_the_writer) {
    // /dev/full takes nothing at all, so a pipe whose reader leaves half way.
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    FILE *reader = popen("head -c 100 pipe >/dev/null", "r");
    struct trace_writer *writer = create("pipe", 65536);
    uint64_t state = 1;
    int result = 0;
    for (unsigned i = 0; i < 1000000 && result == 0; i++) {
        state = state * UINT64_C(6364136223846793005) + 1;
        struct trace_event event = {.op = TRACE_MALLOC, .size = state};
        result = trace_writer_event(writer, &event, &error);
    }
    ck_assert_int_eq(result, -1);
    ck_assert_ptr_nonnull(strstr(error.text, "pipe: offset "));
    ck_assert_int_eq(trace_writer_close(writer, "{}", &error), -1);
    pclose(reader);
    unlink("pipe");
}
END_TEST

// ---------------------------------------------------------------- wrong arguments

static void refuse_event(struct trace_event event, const char *words) {
    struct trace_summary summary;
    struct trace_writer *writer = create("wrong", 100);
    struct trace_event block = {.op = TRACE_MALLOC, .size = 8};
    ck_assert_int_eq(trace_writer_event(writer, &block, &error), 0);
    ck_assert_int_eq(trace_writer_event(writer, &event, &error), -1);
    ck_assert_msg(strstr(error.text, words) && strstr(error.text, "wrong: event 1"), "%s",
                  error.text);
    ck_assert_int_eq(trace_writer_close(writer, "{}", &error), 0);
    ck_assert_uint_eq(count_events("wrong", &summary), 1); // as if it had not been asked
    ck_assert(summary.complete);
    unlink("wrong");
}

START_TEST(wrong_events_are_refused) {
    refuse_event((struct trace_event){.op = 0}, "expected a known op");
    refuse_event((struct trace_event){.op = TRACE_OP_COUNT}, "expected a known op");
    refuse_event((struct trace_event){.op = TRACE_FREE, .object = 1}, "an object that has been");
    refuse_event((struct trace_event){.op = TRACE_MALLOC, .stack = 1},
                 "a stack node that has been");
    refuse_event((struct trace_event){.op = TRACE_MALLOC, .thread = 1 << 24}, "below 2^24");
    refuse_event((struct trace_event){.op = TRACE_THREAD_CREATE, .peer = 1 << 24}, "below 2^24");
    refuse_event((struct trace_event){.op = TRACE_ALIGNED, .align_log2 = 41}, "at most 2^40");
    refuse_event((struct trace_event){.op = TRACE_FREE, .entry = 16}, "a known entry point");
}
END_TEST

START_TEST(wrong_nodes_modules_and_texts_are_refused) {
    struct trace_writer *writer = create("wrong", 100);
    struct trace_node orphan = {.parent = 1}, foreign = {.module = 1};
    ck_assert_uint_eq(trace_writer_node(writer, &orphan, &error), 0);
    ck_assert_ptr_nonnull(strstr(error.text, "node 1: expected a parent and a module"));
    ck_assert_uint_eq(trace_writer_node(writer, &foreign, &error), 0);
    ck_assert_uint_eq(trace_writer_module(writer, "[]", &error), 0);
    ck_assert_uint_eq(trace_writer_module(writer, "{},{}", &error), 0);
    ck_assert_ptr_nonnull(strstr(error.text, "module 1: expected a JSON object"));
    ck_assert_int_eq(trace_writer_info(writer, "{", &error), -1);
    ck_assert_int_eq(trace_writer_close(writer, "[]", &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "END: expected a JSON object"));
    unlink("wrong");
}
END_TEST

START_TEST(end_totals_are_the_writer_s_own) {
    struct trace_summary summary;
    struct trace_writer *writer = create("totals", 100);
    struct trace_event event = {.op = TRACE_MALLOC};
    ck_assert_int_eq(trace_writer_event(writer, &event, &error), 0);
    ck_assert_int_eq(trace_writer_close(writer, "{\"events\":7,\"objects\":-1,\"lost\":3}", &error),
                     0);
    struct trace_reader *reader = trace_reader_open("totals", &error);
    trace_reader_summary(reader, &summary);
    ck_assert_str_eq(summary.end_json, "{\"events\":1,\"objects\":1,\"lost\":3,\"threads\":1}");
    trace_reader_close(reader);
    ck_assert_uint_eq(count_events("totals", &summary), 1);
    unlink("totals");
}
END_TEST

START_TEST(equal_traces_are_equal_files) {
    ck_assert_int_eq(sample_write("one", 6, true, &error), 0);
    ck_assert_int_eq(sample_write("two", 6, true, &error), 0);
    ck_assert_int_eq(system("cmp one two"), 0);
    unlink("one");
    unlink("two");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trace_writer");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, an_existing_file_is_kept);
    tcase_add_test(tests, overwriting_replaces_the_file);
    tcase_add_test(tests, a_failed_start_loses_nothing);
    tcase_add_test(tests, what_cannot_be_written_is_named);
    tcase_add_test(tests, flushed_events_can_be_read_while_writing);
    tcase_add_test(tests, a_full_disk_keeps_whole_frames_and_can_be_retried);
    tcase_add_test(tests, a_full_disk_at_the_end_is_reported);
    tcase_add_test(tests, a_write_that_cannot_be_undone_stops_the_writer);
    tcase_add_test(tests, wrong_events_are_refused);
    tcase_add_test(tests, wrong_nodes_modules_and_texts_are_refused);
    tcase_add_test(tests, end_totals_are_the_writer_s_own);
    tcase_add_test(tests, equal_traces_are_equal_files);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
