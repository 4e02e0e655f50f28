// measure_command.c: `hakreplay measure`: its command line, and the order of things.
#include "measure.h"

#include "nearest.h"
#include "replayer_os.h"
#include "world_os.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_S_DEFAULT   1.0
#define BUDGET_S_DEFAULT 60.0
#define STALL_S_DEFAULT  30.0
#define HELD_MIB_DEFAULT 256

static const struct option long_options[] = {{"allocator", required_argument, NULL, 'A'},
                                             {"sweep-env", required_argument, NULL, 'E'},
                                             {"time", required_argument, NULL, 't'},
                                             {"threads", required_argument, NULL, 'T'},
                                             {"touch", required_argument, NULL, 'w'},
                                             {"reps", required_argument, NULL, 'n'},
                                             {"budget", required_argument, NULL, 'b'},
                                             {"idle", required_argument, NULL, 'i'},
                                             {"stall", required_argument, NULL, 's'},
                                             {"hold", required_argument, NULL, 'H'},
                                             {"allow-anomalies", no_argument, NULL, 'a'},
                                             {"output", required_argument, NULL, 'o'},
                                             {"json", no_argument, NULL, 'j'},
                                             {"quiet", no_argument, NULL, 'q'},
                                             {"help", no_argument, NULL, 'h'},
                                             {NULL, 0, NULL, 0}};

static void print_help(void) {
    puts(
        "Usage: hakreplay measure [OPTIONS] trace.zst\n"
        "Measures allocators on real threads with a recorded program; writes NAME.measure.json.\n\n"
        "  --allocator=A[,A...]  mf2, glibc, jemalloc, mimalloc, tcmalloc, tbbmalloc,\n"
        "                        NAME=PATH.so; default: those of them that are installed\n"
        "  --sweep-env=VAR=a,b   the one allocator with each value; with ';' between values that\n"
        "                        have commas\n"
        "  --time=full|recorded  as fast as it goes (default), or at the program's pace\n"
        "  --threads=N           fold the recorded threads on N; default: one each\n"
        "  --touch=all|none|sampled|N%|FILE  bytes written: every one (default), none, by size "
        "the\n"
        "                        parts of blocks of a page or more that the trace's samples found\n"
        "                        resident, the first part of these, or as libhaktouch.so told\n"
        "  --reps=N              so many repetitions; default: until intervals are within 2 %\n"
        "  --budget=SECONDS      or this is spent; default 60\n"
        "  --idle=SECONDS        rest before memory after idling is read; default 1\n"
        "  --stall=SECONDS       without progress for so long, an allocator hangs; default 30\n"
        "  --hold=MIB            plans up to this are in memory before the play; default 256\n"
        "  --allow-anomalies     measure a trace although its order is anomalous\n"
        "  -o, --output=FILE     write there\n"
        "  --json                print the result as JSON instead of tables\n"
        "  -q, --quiet           print nothing but errors, and no progress\n"
        "  --help                print this help, and end\n\n"
        "Examples:\n"
        "  hakreplay measure trace.zst\n"
        "  hakreplay measure --allocator=mf2,glibc,mine=./libmine.so --budget=20 trace.zst\n\n"
        "Exit status: 0 measured, with an allocator's failure too where another succeeded; 1 none\n"
        "succeeded; 2 usage or bad input; 130 interrupted.");
}

// ---------------------------------------------------------------- the line

static bool parse_number(const char *name, const char *text, double least, double most,
                         double *number) {
    char *end;
    *number = strtod(text, &end);
    if (end != text && *end == '\0' && *number >= least && *number <= most)
        return true;
    replay_fail("--%s: expected a number from %g to %g, found \"%s\"", name, least, most, text);
    return false;
}

static bool parse_count(const char *name, const char *text, double most, uint32_t *count) {
    double number;
    if (!parse_number(name, text, 1, most, &number))
        return false;
    *count = (uint32_t)number;
    if ((double)*count == number)
        return true;
    replay_fail("--%s: expected a whole number, found \"%s\"", name, text);
    return false;
}

static bool parse_time(const char *text, struct measure_settings *settings) {
    settings->is_paced = strcmp(text, "recorded") == 0;
    if (settings->is_paced || strcmp(text, "full") == 0)
        return true;
    replay_fail("--time: expected full or recorded, found \"%s\"", text);
    return false;
}

static bool set_option(int letter, const char *value, struct measure_settings *settings) {
    double mib;
    switch (letter) {
    case 'A':
        settings->allocators = value;
        return true;
    case 'E':
        settings->sweep = value;
        return true;
    case 't':
        return parse_time(value, settings);
    case 'T':
        return parse_count("threads", value, PLAYER_STREAMS_MAX, &settings->threads);
    case 'w':
        return measure_touch_parse(value, settings);
    case 'n':
        return parse_count("reps", value, MEASURE_REPS_MAX, &settings->reps);
    case 'b':
        return parse_number("budget", value, 0, 1e6, &settings->budget_s);
    case 'i':
        return parse_number("idle", value, 0, 1e6, &settings->idle_s);
    case 's':
        return parse_number("stall", value, 0.1, 1e6, &settings->stall_s);
    case 'H':
        if (!parse_number("hold", value, 0, 1 << 20, &mib))
            return false;
        settings->held_bytes_max = (uint64_t)(mib * 1048576);
        return true;
    case 'a':
        settings->allow_anomalies = true;
        return true;
    case 'o':
        settings->output = value;
        return true;
    case 'j':
        settings->json = true;
        return true;
    default:
        settings->quiet = true;
        return true;
    }
}

static void refuse_option(const char *word) {
    const char *names[sizeof long_options / sizeof *long_options];
    char meant[TRACE_MEANT_BYTES] = "";
    size_t count = 0;
    for (; long_options[count].name != NULL; count++)
        names[count] = long_options[count].name;
    if (strncmp(word, "--", 2) == 0 && optopt == 0)
        trace_meant(meant, "--", word + 2, names, count);
    replay_fail("%s: %s%s", word,
                optopt == 0 ? "unknown option"
                            : "unknown option, or its value is missing or not "
                              "wanted; see hakreplay measure --help",
                meant);
}

// False: *status is what to exit with.
static bool parse_line(int argc, char **argv, struct measure_settings *settings, int *status) {
    int letter;
    *settings = (struct measure_settings){.touch = PLAYER_TOUCH_ALL,
                                          .budget_s = BUDGET_S_DEFAULT,
                                          .idle_s = IDLE_S_DEFAULT,
                                          .stall_s = STALL_S_DEFAULT,
                                          .held_bytes_max = (uint64_t)HELD_MIB_DEFAULT << 20};
    *status = REPLAY_USAGE;
    opterr = 0;
    while ((letter = getopt_long(argc, argv, "o:qh", long_options, NULL)) != -1) {
        if (letter == 'h') {
            print_help();
            *status = REPLAY_OK;
            return false;
        }
        if (letter == '?') {
            refuse_option(argv[optind - 1]);
            return false;
        }
        if (!set_option(letter, optarg, settings))
            return false;
    }
    if (optind + 1 != argc) {
        replay_fail("expected: hakreplay measure [OPTIONS] trace.zst");
        return false;
    }
    settings->input = argv[optind];
    return true;
}

// ---------------------------------------------------------------- the order of things

static bool is_enough_memory(const struct measure_session *session) {
    uint64_t available = measure_os_memory_available(), wanted = session->source->live_bytes_max;
    if (session->settings->touch != PLAYER_TOUCH_ALL || available == 0 || wanted < available)
        return true;
    replay_fail("%s: the program holds %llu MiB at one time, and %llu MiB of memory are available; "
                "expected more memory, or --touch=none",
                session->settings->input, (unsigned long long)wanted >> 20,
                (unsigned long long)available >> 20);
    return false;
}

static void output_name(const struct measure_settings *settings, char *name, size_t size) {
    const char *slash = strrchr(settings->input, '/');
    const char *base = slash == NULL ? settings->input : slash + 1;
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".zst") == 0)
        length -= 4;
    if (settings->output != NULL)
        snprintf(name, size, "%s", settings->output);
    else
        snprintf(name, size, "%.*s.measure.json", (int)length, base);
}

static bool find_player(struct measure_session *session) {
    if (measure_os_beside("hakplayer", session->player, sizeof session->player) ||
        measure_os_beside("../libexec/hak/hakplayer", session->player, sizeof session->player))
        return true;
    replay_fail("expected hakplayer beside hakreplay, or in ../libexec/hak");
    return false;
}

static bool prepare(struct measure_session *session, const char *output) {
    const struct measure_settings *settings = session->settings;
    char message[MEASURE_TEXT_MAX];
    const char *why = world_os_cannot_write(output);
    if (why != NULL) {
        replay_fail("%s: %s", output, why);
        return false;
    }
    if (!find_player(session) || !measure_subjects_find(&session->subjects, settings))
        return false;
    session->source =
        program_open_trace(settings->input, settings->allow_anomalies, message, sizeof message);
    if (session->source == NULL ||
        !measure_plan_make(&session->plan, session->source, settings, message, sizeof message)) {
        replay_fail("%s", message);
        return false;
    }
    return is_enough_memory(session);
}

static int outcome(const struct measure_session *session) {
    bool succeeded = false, refused = false;
    for (size_t i = 1; i < session->subjects.count; i++) {
        const struct measure_subject *subject = &session->subjects.list[i];
        succeeded |= subject->failure[0] == '\0';
        refused |= subject->is_refused;
        if (subject->failure[0] != '\0')
            fprintf(stderr, "hakreplay: %s: %s\n", subject->name, subject->failure);
    }
    if (session->interrupted)
        return REPLAY_INTERRUPTED;
    if (refused)
        return REPLAY_USAGE;
    return succeeded ? REPLAY_OK : REPLAY_VIOLATION;
}

static int report(const struct measure_session *session, const char *output) {
    char *text = measure_result_json(session);
    const char *why =
        text == NULL ? "out of memory for the result" : program_result_write(output, text);
    if (why != NULL)
        replay_fail("%s: %s", output, why);
    else if (session->settings->json)
        puts(text);
    else if (!session->settings->quiet)
        measure_result_print(session);
    free(text);
    return why != NULL ? REPLAY_USAGE : outcome(session);
}

int measure_command(int argc, char **argv) {
    struct measure_settings settings;
    struct measure_session session = {.settings = &settings};
    char output[MEASURE_TEXT_MAX];
    int status;
    if (!parse_line(argc, argv, &settings, &status))
        return status;
    if (!measure_touch_prepare(&settings))
        return REPLAY_USAGE;
    output_name(&settings, output, sizeof output);
    status = REPLAY_USAGE;
    replay_os_catch_interrupts();
    if (prepare(&session, output)) {
        if (measure_session_run(&session))
            status = report(&session, output);
        else
            replay_fail("%s", session.trouble);
    }
    measure_plan_free(&session.plan);
    measure_subjects_free(&session.subjects);
    program_close(session.source);
    return status;
}
