// test_scenario.c: what a scenario means as operations, and that a wrong one is refused with its
// line.
#include "replayer.h"

#include "check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Operations as text, one a line: "0 malloc #0 512".
static char *operations_of(const char *text) {
    static char out[8192];
    char message[256] = "";
    struct replay_scenario *scenario =
        replay_scenario_parse("test.scn", text, message, sizeof message);
    ck_assert_msg(scenario != NULL, "%s", message);
    struct program_source *source = replay_scenario_source(scenario);
    struct program_operation operations[256];
    ptrdiff_t count = source->next(source->self, operations, 256);
    size_t used = 0;
    for (ptrdiff_t i = 0; i < count; i++)
        used += (size_t)snprintf(out + used, sizeof out - used, "%u %s #%llu %llu\n",
                                 operations[i].thread, program_op_name(operations[i].op),
                                 (unsigned long long)operations[i].object,
                                 (unsigned long long)operations[i].size);
    program_close(source);
    replay_scenario_free(scenario);
    return out;
}

static void refused(const char *text, const char *expected) {
    char message[256] = "";
    struct replay_scenario *scenario =
        replay_scenario_parse("test.scn", text, message, sizeof message);
    ck_assert_msg(scenario == NULL, "accepted: %s", text);
    ck_assert_msg(strstr(message, expected) != NULL && strncmp(message, "test.scn: line ", 15) == 0,
                  "expected \"%s\" in \"%s\"", expected, message);
    ck_assert_ptr_null(strchr(message, '\n'));
}

START_TEST(recorded_order_runs_each_thread_until_it_waits) {
    ck_assert_str_eq(operations_of("thread a\n x = malloc 16\n free y\n"
                                   "thread b\n y = malloc 32 # made late\n free x\n"),
                     "0 malloc #0 16\n1 malloc #1 32\n1 free #0 0\n0 free #1 0\n");
}
END_TEST

START_TEST(created_threads_start_after_their_creation) {
    ck_assert_str_eq(operations_of("thread a; create b; join b; exit\nthread b; exit"),
                     "0 create #0 0\n1 start #0 0\n1 exit #0 0\n0 join #0 0\n0 exit #0 0\n");
}
END_TEST

START_TEST(ranges_go_up_and_down) {
    ck_assert_str_eq(
        operations_of("thread a; x[0..1] = calloc 8; free x[1..0]; y[3] = aligned 64 8"),
        "0 calloc #0 8\n0 calloc #1 8\n0 free #1 0\n0 free #0 0\n0 aligned #2 8\n");
}
END_TEST

START_TEST(realloc_makes_a_new_object) {
    ck_assert_str_eq(operations_of("thread a; x = malloc 8; y = realloc x 9; usable y; free y"),
                     "0 malloc #0 8\n0 realloc #0 9\n0 usable #1 0\n0 free #1 0\n");
}
END_TEST

START_TEST(a_sleep_keeps_its_time) {
    ck_assert_str_eq(operations_of("thread a; sleep 1500; nothing"),
                     "0 sleep #0 1500\n0 nothing #0 0\n");
}
END_TEST

START_TEST(the_text_on_one_line_means_the_same) {
    char message[256];
    const char *text = "thread a # one\n x = malloc 8\n\n free x # gone";
    char *before = strdup(operations_of(text));
    struct replay_scenario *scenario =
        replay_scenario_parse("test.scn", text, message, sizeof message);
    ck_assert_ptr_null(strchr(replay_scenario_line(scenario), '\n'));
    ck_assert_str_eq(operations_of(replay_scenario_line(scenario)), before);
    replay_scenario_free(scenario);
    free(before);
}
END_TEST

START_TEST(wrong_texts_are_refused_with_their_line) {
    refused("", "at least one operation");
    refused("x = malloc 8", "line 1: expected a line \"thread NAME\"");
    refused("thread a\nx = malloc", "line 2: expected malloc SIZE");
    refused("thread a\nx = malloc -8", "line 2: expected a number");
    refused("thread a\nx = malloc 99999999999", "at most 4294967296");
    refused("thread a\nx = aligned 3 8", "power of two");
    refused("thread a\nx = aligned 0 8", "power of two");
    refused("thread a\n\nmalloc 8", "line 3: expected thread, create");
    refused("thread a\nsleep 1x", "line 2: expected a number of at most 1000000000000");
    refused("thread a\nx = malloc 8\nx = malloc 8", "line 3: x is made twice, first in line 2");
    refused("thread a\nx = malloc 8\nfree x\nfree x", "line 4: x is given up twice");
    refused("thread a\nfree x", "line 2: x is never made");
    refused("thread a\nx = malloc 8\nfree x\nusable x",
            "line 4: x may have been given up in line 3");
    refused("thread a\nfree x\ny = malloc 8\nthread b\nfree y\nx = malloc 8",
            "line 2: x can never have been made by then");
    refused("thread a\ncreate b", "line 2: thread b is named, but nothing says");
    refused("thread a\nexit\nthread a", "line 3: thread a is described twice");
    refused("thread a\ncreate b\ncreate b\nthread b\nexit", "line 3: thread b is created twice");
    refused("thread a\njoin a", "can never be joined");
    refused("geometry round\n", "line 1: expected geometry");
    refused("route cdb\nthread a\nexit", "cda");
    refused("thread 9a", "expected a thread's name");
    refused("thread a\nx[1 = malloc 8", "expected NAME[I]");
    refused("thread a\nx[0..1] = malloc 8\ny[0..2] = realloc x[0..1] 8", "differ in length");
    refused("thread a\nx = malloc 8 9 10 11 12 13 14", "at most 8 words");
    refused("thread a\nx[0..9999] = malloc 8", "more than 4096 objects");
}
END_TEST

CHECK_MAIN("scenario", recorded_order_runs_each_thread_until_it_waits,
           created_threads_start_after_their_creation, ranges_go_up_and_down,
           realloc_makes_a_new_object, a_sleep_keeps_its_time, the_text_on_one_line_means_the_same,
           wrong_texts_are_refused_with_their_line)
