// explore.c: `hakreplay explore`: many schedules of one program under one route, until an oracle
// fires. A schedule that fails is run again with its choices recorded: it must fail in the same
// way, or the run was not determined by its seed, which is a defect of hak's and is said.
#include "replayer.h"

#include "hak_version.h"
#include "progress.h"
#include "replayer_os.h"
#include "world_os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct exploration {
    struct replay_options *options;
    struct replay_input input;
    struct replay_trial trial;
    struct replay_coverage *coverage;
    struct replay_tree *tree; // of strategy `exhaustive`; NULL: another one
    uint64_t tried;
    bool all; // orders were tried
    uint64_t begun_ns;
    struct trace_progress progress;
};

// ---------------------------------------------------------------- a failing schedule

static void set_number(struct world_schedule *schedule, const char *key, uint64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    world_schedule_key(schedule, key, text);
}

static void describe(const struct replay_options *options, const struct replay_input *input,
                     struct world_schedule *schedule, uint64_t seed, uint64_t point_limit,
                     const struct replay_outcome *outcome) {
    char digest[20];
    snprintf(digest, sizeof digest, "%016" PRIx64, outcome->digest);
    world_schedule_key(schedule, "tool", "hakreplay " HAK_VERSION);
    world_schedule_key(schedule, "commit", HAK_COMMIT);
    world_schedule_key(schedule, "sources", world_source_hash());
    world_schedule_key(schedule, "input", options->input);
    if (input->scenario != NULL)
        world_schedule_key(schedule, "scenario", replay_scenario_line(input->scenario));
    else
        world_schedule_key(schedule, "trace", input->source->trace.hash);
    world_schedule_key(schedule, "geometry", input->geometry->name);
    world_schedule_key(schedule, "route", options->routes.list[0].text);
    world_schedule_key(
        schedule, "order",
        replay_order_name(input->scenario == NULL ? options->order : PROGRAM_DATAFLOW));
    world_schedule_key(schedule, "memory", replay_memory_name(options->memory));
    world_schedule_key(schedule, "strategy", options->strategy);
    set_number(schedule, "seed", seed);
    set_number(schedule, "point-limit", point_limit);
    world_schedule_key(schedule, "oracle", world_oracle_name(outcome->violation.oracle));
    set_number(schedule, "point", outcome->violation.point);
    world_schedule_key(schedule, "digest", digest);
    world_schedule_key(schedule, "text", outcome->violation.text);
}

static bool write_schedule(const struct world_schedule *schedule, const char *path) {
    char message[REPLAY_TEXT_MAX];
    bool written = world_schedule_write(schedule, path, message, sizeof message) == 0;
    if (!written)
        replay_fail("%s", message);
    return written;
}

// FAIL.hks → FAIL-small.hks
static void name_small(const char *path, char *small, size_t size) {
    size_t length = strlen(path), end = length;
    if (length > 4 && strcmp(path + length - 4, ".hks") == 0)
        end -= 4;
    snprintf(small, size, "%.*s-small%s", (int)end, path, path + end);
}

// Says nothing where nothing was to be gained.
static void minimise(struct exploration *exploration, uint64_t seed,
                     const struct replay_outcome *failure, const char *path) {
    struct replay_options *options = exploration->options;
    struct replay_small small;
    char small_path[560];
    uint64_t begun_ns = replay_os_clock_ns();
    bool fine = replay_shrink(&exploration->trial, options->routes.list[0].text, options->memory,
                              seed, failure, &small);
    name_small(path, small_path, sizeof small_path);
    if (fine) {
        describe(options, &small.input, small.schedule, 0, small.point_limit, &small.outcome);
        fine = write_schedule(small.schedule, small_path);
    }
    if (fine && !options->quiet)
        printf("  made smaller: %u operations, %u preemptions (%" PRIu64 " runs, %.1f s), %s: %s\n"
               "  written to %s\n",
               small.operations, small.preemptions, small.runs,
               (double)(replay_os_clock_ns() - begun_ns) / 1e9,
               world_oracle_name(small.outcome.violation.oracle), small.outcome.violation.text,
               small_path);
    replay_small_free(&small);
}

static int write_failure(struct exploration *exploration, uint64_t seed,
                         const struct replay_outcome *first) {
    char path[512];
    struct replay_outcome second;
    struct replay_options *options = exploration->options;
    struct world_schedule *schedule = world_schedule_new();
    if (schedule == NULL)
        return replay_fail("out of memory for the schedule");
    if (exploration->tree != NULL)
        replay_tree_repeat(exploration->tree);
    if (!replay_trial_run(&exploration->trial, seed, schedule, &second))
        return REPLAY_USAGE;
    if (!replay_outcome_is_same(first, &second)) {
        replay_fail("seed %" PRIu64 " did not run twice in the same way (%s at point %" PRIu64
                    ", then %s at point %" PRIu64 "): a defect of hak's own",
                    seed, world_end_name(first->end), first->violation.point,
                    world_end_name(second.end), second.violation.point);
        return REPLAY_DIVERGED;
    }
    describe(options, &exploration->input, schedule, seed, exploration->trial.point_limit, &second);
    if (options->output != NULL)
        snprintf(path, sizeof path, "%s", options->output);
    else
        snprintf(path, sizeof path, "%s-%" PRIu64 ".hks", exploration->input.name, seed);
    bool written = write_schedule(schedule, path);
    world_schedule_free(schedule);
    if (!written)
        return REPLAY_USAGE;
    printf("violation: %s: %s\n", world_oracle_name(second.violation.oracle),
           second.violation.text);
    printf("  seed %" PRIu64 ", point %" PRIu64 ", written to %s\n", seed, second.violation.point,
           path);
    if (options->minimise)
        minimise(exploration, seed, &second, path);
    printf("  to see it again: hakreplay repro %s\n", path);
    return REPLAY_VIOLATION;
}

// ---------------------------------------------------------------- the search

static double rate(const struct exploration *exploration, double count) {
    double seconds = (double)(replay_os_clock_ns() - exploration->begun_ns) / 1e9;
    return seconds > 0 ? count / seconds : 0;
}

static uint64_t begun_ago_ns(const struct exploration *exploration) {
    return replay_os_clock_ns() - exploration->begun_ns;
}

// Of schedules or of time, whichever ends sooner; where neither is known, below 0.
static double seconds_left(const struct exploration *exploration, double per_second) {
    const struct replay_options *options = exploration->options;
    double by_count = per_second > 0 && options->schedules != UINT64_MAX
                          ? (double)(options->schedules - exploration->tried) / per_second
                          : 1e18;
    double by_time = options->budget_ns != 0
                         ? ((double)options->budget_ns - (double)begun_ago_ns(exploration)) / 1e9
                         : 1e18;
    double left = by_count < by_time ? by_count : by_time;
    return left >= 1e18 ? -1 : left < 0 ? 0 : left;
}

static void tell_progress(struct exploration *exploration) {
    struct replay_coverage_figures seen;
    char meetings[64];
    uint64_t now_ns = replay_os_clock_ns();
    if (!trace_progress_is_due(&exploration->progress, now_ns))
        return;
    replay_coverage_figures(exploration->coverage, &seen);
    snprintf(meetings, sizeof meetings, "%" PRIu64 " meetings", seen.meetings);
    struct trace_progress_state state = {
        .unit = "schedules",
        .done = (double)exploration->tried,
        .left_s = seconds_left(exploration, rate(exploration, (double)exploration->tried)),
        .more = meetings};
    trace_progress_tell(&exploration->progress, now_ns, &state);
}

// A chance as a person reads it; Good and Turing's estimate is 0 where nothing was seen just once.
static void print_chance(const char *what, uint64_t once, uint64_t schedules) {
    if (schedules == 0)
        return;
    if (once == 0)
        printf("; the next schedule shows a new %s with less than %.3g %%", what,
               100.0 / (double)schedules);
    else
        printf("; the next schedule shows a new %s with about %.3g %%", what,
               once < schedules ? 100.0 * (double)once / (double)schedules : 100.0);
}

// Two lines; `outcome` says what came of it.
static void print_coverage(struct exploration *exploration, const char *outcome) {
    const struct replay_trial *trial = &exploration->trial;
    struct replay_coverage_figures seen;
    trace_progress_clear(&exploration->progress);
    if (exploration->options->quiet)
        return;
    printf("%s: route %s, strategy %s: %" PRIu64
           " schedules, %.1f points each; %.0f schedules/s; %s\n",
           exploration->input.name, exploration->options->routes.list[0].text,
           exploration->options->strategy, exploration->tried,
           exploration->tried > 0 ? (double)trial->points / (double)exploration->tried : 0,
           rate(exploration, (double)exploration->tried), outcome);
    replay_coverage_figures(exploration->coverage, &seen);
    printf("  coverage (of %" PRIu64 " schedules looked at): %" PRIu64
           " meetings, the last new one in schedule %" PRIu64,
           seen.schedules, seen.meetings, seen.meetings_last + 1);
    print_chance("meeting", seen.meetings_once, seen.schedules);
    printf("; %" PRIu64 " classes", seen.classes);
    print_chance("class", seen.classes_once, seen.schedules);
    printf("\n");
}

static bool is_enough(const struct exploration *exploration) {
    const struct replay_options *options = exploration->options;
    return exploration->tried >= options->schedules ||
           (options->budget_ns != 0 && exploration->tried % 64 == 0 &&
            begun_ago_ns(exploration) >= options->budget_ns);
}

// False: there is none, or no room for it.
static bool next_order(struct exploration *exploration) {
    enum replay_tree_state state = replay_tree_next(exploration->tree);
    exploration->all = state == REPLAY_TREE_DONE;
    if (state == REPLAY_TREE_FAILED)
        replay_fail("%s: too large for strategy exhaustive", exploration->options->input);
    return state == REPLAY_TREE_MORE;
}

static int search(struct exploration *exploration) {
    struct replay_trial *trial = &exploration->trial;
    struct replay_coverage *coverage = exploration->coverage;
    while (!is_enough(exploration)) {
        struct replay_outcome outcome;
        uint64_t seed = exploration->options->seed + exploration->tried;
        bool noted = replay_coverage_begin(coverage, exploration->tried);
        trial->strategist.coverage = replay_coverage_looks(coverage) ? coverage : NULL;
        if (!replay_trial_run(trial, seed, NULL, &outcome))
            return REPLAY_USAGE;
        if (replay_os_interrupted)
            return REPLAY_INTERRUPTED;
        bool redundant = exploration->tree != NULL && replay_tree_was_redundant(exploration->tree);
        exploration->tried += !redundant;
        if (redundant)
            replay_coverage_drop(coverage);
        if (!replay_coverage_end(coverage) || !noted)
            return replay_fail("out of memory for the coverage");
        if (outcome.end != WORLD_DONE && !redundant) {
            print_coverage(exploration, "violation found");
            return write_failure(exploration, seed, &outcome);
        }
        tell_progress(exploration);
        if (exploration->tree != NULL && !next_order(exploration))
            break;
    }
    return REPLAY_OK;
}

// ---------------------------------------------------------------- the command

static bool prepare_tree(struct exploration *exploration) {
    struct replay_options *options = exploration->options;
    struct replay_strategist *strategist = &exploration->trial.strategist;
    if (options->memory != WORLD_MEMORY_SC) {
        replay_fail("--strategy=exhaustive means nothing with --memory=c11: it tries orders, not "
                    "what loads may read");
        return false;
    }
    exploration->tree = strategist->tree = replay_tree_new(strategist->fiber_limit);
    strategist->environment = false;
    if (!options->has_schedules)
        options->schedules = UINT64_MAX;
    if (exploration->tree == NULL)
        replay_fail("%s: too many threads for strategy exhaustive, or out of memory",
                    options->input);
    return exploration->tree != NULL;
}

static bool prepare(struct exploration *exploration) {
    struct replay_options *options = exploration->options;
    struct replay_input *input = &exploration->input;
    struct replay_trial *trial = &exploration->trial;
    if (!replay_input_open(input, options->input, NULL, options->geometry,
                           options->allow_anomalies))
        return false;
    replay_input_settle_route(input, options);
    const char *why = options->output == NULL ? NULL : world_os_cannot_write(options->output);
    if (why != NULL) {
        replay_fail("%s: %s", options->output, why);
        return false;
    }
    if (!replay_trial_open(trial, input, options->routes.list[0].text, options->memory,
                           replay_strategy_find(options->strategy)) ||
        !replay_trial_measure(trial))
        return false;
    trial->strategist.environment = options->environment;
    trial->run_options.order = options->order;
    if (strcmp(options->strategy, "exhaustive") == 0 && !prepare_tree(exploration))
        return false;
    exploration->coverage = replay_coverage_new();
    if (exploration->coverage == NULL)
        replay_fail("%s: out of memory", options->input);
    return exploration->coverage != NULL;
}

static void finish(struct exploration *exploration) {
    replay_coverage_free(exploration->coverage);
    replay_tree_free(exploration->tree);
    replay_trial_close(&exploration->trial);
    replay_input_close(&exploration->input);
}

int replay_command_explore(struct replay_options *options) {
    struct exploration exploration = {.options = options, .begun_ns = replay_os_clock_ns()};
    int status = REPLAY_USAGE;
    if (options->routes.count != 1)
        return replay_fail("explore: expected one route, found %zu", options->routes.count);
    if (strcmp(options->strategy, "schedule") == 0)
        return replay_fail("explore: a schedule is played by hakreplay repro FILE");
    if (options->budget_ns != 0 && !options->has_schedules)
        options->schedules = UINT64_MAX;
    if (prepare(&exploration)) {
        replay_os_catch_interrupts();
        exploration.progress =
            trace_progress_begin("hakreplay", !options->quiet && replay_os_stderr_is_terminal());
        status = search(&exploration);
        if (status == REPLAY_OK)
            print_coverage(&exploration, exploration.all ? "every order tried; no violation found"
                                                         : "no violation found");
        else if (status == REPLAY_INTERRUPTED)
            print_coverage(&exploration, "interrupted, no violation found");
    }
    finish(&exploration);
    return status;
}
