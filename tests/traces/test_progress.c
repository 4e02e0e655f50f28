// The line that says how far a long command is: when it comes, what it says, and that it goes
// again.
#include "check_main.h"
#include "progress.h"

#include <unistd.h>

#define MS UINT64_C(1000000)

// What has been said on standard error since `said_begin`.
static char said_text[4096];
static FILE *said_file;
static int said_stderr;

static void said_begin(void) {
    said_file = tmpfile();
    said_stderr = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(fileno(said_file), STDERR_FILENO);
}

static const char *said_end(void) {
    fflush(stderr);
    dup2(said_stderr, STDERR_FILENO);
    close(said_stderr);
    rewind(said_file);
    size_t size = fread(said_text, 1, sizeof said_text - 1, said_file);
    said_text[size] = '\0';
    fclose(said_file);
    return said_text;
}

START_TEST(comes_late_and_seldom) {
    struct trace_progress progress = trace_progress_begin("tool", true);
    struct trace_progress_state state = {.unit = "runs", .left_s = -1};
    said_begin();
    ck_assert(!trace_progress_is_due(&progress, 1000 * MS)); // the clock begins here
    ck_assert(!trace_progress_is_due(&progress, 1499 * MS));
    ck_assert(trace_progress_is_due(&progress, 1500 * MS));
    trace_progress_tell(&progress, 1500 * MS, &state);
    ck_assert(!trace_progress_is_due(&progress, 1699 * MS));
    ck_assert(trace_progress_is_due(&progress, 1700 * MS));
    said_end();
}
END_TEST

START_TEST(says_share_rate_and_time_left) {
    struct trace_progress progress = trace_progress_begin("tool", true);
    struct trace_progress_state state = {
        .what = "best", .unit = "runs", .done = 250, .total = 1000, .left_s = -1, .more = "more"};
    said_begin();
    trace_progress_is_due(&progress, 1000 * MS);
    trace_progress_tell(&progress, 2000 * MS, &state);
    ck_assert_str_eq(said_end(), "tool: best: 25.0 %, 250 runs/s, more, 3 s left");
}
END_TEST

START_TEST(says_what_is_known) {
    struct trace_progress progress = trace_progress_begin("tool", true);
    struct trace_progress_state state = {.unit = "runs", .done = 2500000, .left_s = -1};
    said_begin();
    trace_progress_is_due(&progress, 1000 * MS);
    trace_progress_tell(&progress, 2000 * MS, &state);
    ck_assert_str_eq(said_end(), "tool: 2.5 M runs/s");
    state.left_s = 600;
    said_begin();
    trace_progress_tell(&progress, 2000 * MS, &state);
    ck_assert_ptr_nonnull(strstr(said_end(), "10 min left"));
}
END_TEST

START_TEST(goes_without_a_trace) {
    struct trace_progress progress = trace_progress_begin("tool", true);
    struct trace_progress_state state = {.unit = "runs", .left_s = -1};
    said_begin();
    trace_progress_is_due(&progress, 1000 * MS);
    trace_progress_tell(&progress, 2000 * MS, &state);
    trace_progress_clear(&progress);
    trace_progress_clear(&progress); // nothing stands there any more
    ck_assert_str_eq(said_end(), "tool: 0 runs/s\r              \r");
}
END_TEST

START_TEST(keeps_silent_where_nobody_looks) {
    struct trace_progress progress = trace_progress_begin("tool", false);
    said_begin();
    for (uint64_t ms = 1000; ms < 100000; ms += 1000)
        ck_assert(!trace_progress_is_due(&progress, ms * MS));
    trace_progress_clear(&progress);
    ck_assert_str_eq(said_end(), "");
}
END_TEST

CHECK_MAIN("progress", comes_late_and_seldom, says_share_rate_and_time_left, says_what_is_known,
           goes_without_a_trace, keeps_silent_where_nobody_looks)
