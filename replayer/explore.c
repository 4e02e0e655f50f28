// explore.c: `hakreplay explore`: many schedules of one program under one route, until an oracle
// fires. A schedule that fails is run again with its choices recorded: it must fail in the same
// way, or the run was not determined by its seed, which is a defect of hak's and is said.
#include "replayer.h"

#include "hak_version.h"
#include "replayer_os.h"
#include "world_os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINT_LIMIT_MIN      1000000
#define POINTS_PER_OPERATION 10000
#define PROGRESS_EVERY_NS    UINT64_C(200000000)
#define TRAILS_LOG2_AT_FIRST 12

// Different schedules seen: a set of their trails' hashes. 0 is not kept.
struct trail_set {
    uint64_t *slots;
    uint64_t count;
    unsigned log2;
};

struct exploration {
    struct replay_options *options;
    struct replay_input input;
    struct replay_strategist strategist;
    struct world *world;
    struct program_options run_options;
    struct trail_set trails;
    uint64_t tried, points;
    uint64_t begun_ns, told_ns;
    bool tells;
};

// How one schedule ended.
struct outcome {
    enum world_end end;
    uint64_t digest, trail;
    struct world_violation violation;
};

// ---------------------------------------------------------------- coverage

static void trail_put(struct trail_set *set, uint64_t trail) {
    uint64_t mask = (UINT64_C(1) << set->log2) - 1;
    uint64_t i = trail & mask;
    while (set->slots[i] != 0 && set->slots[i] != trail)
        i = (i + 1) & mask;
    if (set->slots[i] == 0)
        set->count++;
    set->slots[i] = trail;
}

static bool trail_set_init(struct trail_set *set, unsigned log2) {
    *set = (struct trail_set){.log2 = log2};
    set->slots = calloc(UINT64_C(1) << log2, sizeof *set->slots);
    return set->slots != NULL;
}

static bool trail_add(struct trail_set *set, uint64_t trail) {
    if ((set->count + 1) * 2 > UINT64_C(1) << set->log2) {
        struct trail_set larger;
        if (!trail_set_init(&larger, set->log2 + 1))
            return false;
        for (uint64_t i = 0; i < UINT64_C(1) << set->log2; i++)
            if (set->slots[i] != 0)
                trail_put(&larger, set->slots[i]);
        free(set->slots);
        *set = larger;
    }
    trail_put(set, trail | 1);
    return true;
}

// ---------------------------------------------------------------- one schedule

// False: the run itself failed; a line was printed.
static bool try_schedule(struct exploration *exploration, uint64_t seed,
                         struct world_schedule *recording, struct outcome *outcome) {
    struct program_result *result;
    *outcome = (struct outcome){.end = WORLD_DONE};
    world_reset(exploration->world, seed);
    world_schedule_record(exploration->world, recording);
    outcome->end = program_run(exploration->world, exploration->input.source,
                               &exploration->run_options, &result);
    if (result == NULL) {
        replay_fail("%s", exploration->input.source->message);
        return false;
    }
    outcome->digest = program_result_digest(result);
    outcome->trail = world_trail(exploration->world);
    exploration->points += world_points(exploration->world);
    const struct world_violation *violation = world_violation(exploration->world);
    if (violation != NULL)
        outcome->violation = *violation;
    program_result_free(result);
    return true;
}

static bool same_outcome(const struct outcome *a, const struct outcome *b) {
    return a->end == b->end && a->digest == b->digest && a->trail == b->trail &&
           a->violation.oracle == b->violation.oracle && a->violation.point == b->violation.point;
}

// ---------------------------------------------------------------- a failing schedule

static void set_number(struct world_schedule *schedule, const char *key, uint64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    world_schedule_key(schedule, key, text);
}

static void describe(const struct exploration *exploration, struct world_schedule *schedule,
                     uint64_t seed, const struct outcome *outcome) {
    const struct replay_options *options = exploration->options;
    const struct replay_input *input = &exploration->input;
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
    world_schedule_key(schedule, "order", "dataflow");
    world_schedule_key(schedule, "strategy", options->strategy);
    set_number(schedule, "seed", seed);
    world_schedule_key(schedule, "oracle", world_oracle_name(outcome->violation.oracle));
    set_number(schedule, "point", outcome->violation.point);
    world_schedule_key(schedule, "digest", digest);
    world_schedule_key(schedule, "text", outcome->violation.text);
}

static int write_failure(struct exploration *exploration, uint64_t seed,
                         const struct outcome *first) {
    char path[512], message[REPLAY_TEXT_MAX];
    struct outcome second;
    struct world_schedule *schedule = world_schedule_new();
    if (schedule == NULL)
        return replay_fail("out of memory for the schedule");
    if (!try_schedule(exploration, seed, schedule, &second))
        return REPLAY_USAGE;
    if (!same_outcome(first, &second)) {
        replay_fail("seed %" PRIu64 " did not run twice in the same way (%s at point %" PRIu64
                    ", then %s at point %" PRIu64 "): a defect of hak's own",
                    seed, world_end_name(first->end), first->violation.point,
                    world_end_name(second.end), second.violation.point);
        return REPLAY_DIVERGED;
    }
    describe(exploration, schedule, seed, &second);
    if (exploration->options->output != NULL)
        snprintf(path, sizeof path, "%s", exploration->options->output);
    else
        snprintf(path, sizeof path, "%s-%" PRIu64 ".hks", exploration->input.name, seed);
    bool written = world_schedule_write(schedule, path, message, sizeof message) == 0;
    world_schedule_free(schedule);
    if (!written)
        return replay_fail("%s", message);
    printf("violation: %s: %s\n", world_oracle_name(second.violation.oracle),
           second.violation.text);
    printf("  seed %" PRIu64 ", point %" PRIu64 ", written to %s\n", seed, second.violation.point,
           path);
    printf("  to see it again: hakreplay repro %s\n", path);
    return REPLAY_VIOLATION;
}

// ---------------------------------------------------------------- the search

static double rate(const struct exploration *exploration, double count) {
    double seconds = (double)(replay_os_clock_ns() - exploration->begun_ns) / 1e9;
    return seconds > 0 ? count / seconds : 0;
}

static void tell_progress(struct exploration *exploration) {
    uint64_t now_ns = replay_os_clock_ns();
    if (!exploration->tells || now_ns - exploration->told_ns < PROGRESS_EVERY_NS)
        return;
    exploration->told_ns = now_ns;
    double per_second = rate(exploration, (double)exploration->tried);
    double left = (double)(exploration->options->schedules - exploration->tried);
    fprintf(stderr, "\r%" PRIu64 " schedules, %" PRIu64 " different, %.0f a second, %.0f s left ",
            exploration->tried, exploration->trails.count, per_second,
            per_second > 0 ? left / per_second : 0);
}

// One line; `outcome` says what came of it.
static void print_coverage(const struct exploration *exploration, const char *outcome) {
    if (exploration->tells)
        fprintf(stderr, "\r%70s\r", "");
    if (exploration->options->quiet)
        return;
    printf("%s: route %s, strategy %s: %" PRIu64 " schedules, %" PRIu64
           " different, %.1f points each; %.0f schedules/s; %s\n",
           exploration->input.name, exploration->options->routes.list[0].text,
           exploration->options->strategy, exploration->tried, exploration->trails.count,
           exploration->tried > 0 ? (double)exploration->points / (double)exploration->tried : 0,
           rate(exploration, (double)exploration->tried), outcome);
}

static int search(struct exploration *exploration) {
    const struct replay_options *options = exploration->options;
    while (exploration->tried < options->schedules) {
        struct outcome outcome;
        uint64_t seed = options->seed + exploration->tried;
        if (!try_schedule(exploration, seed, NULL, &outcome))
            return REPLAY_USAGE;
        if (replay_os_interrupted)
            return REPLAY_INTERRUPTED;
        exploration->tried++;
        if (!trail_add(&exploration->trails, outcome.trail))
            return replay_fail("out of memory for the set of schedules");
        if (outcome.end != WORLD_DONE) {
            print_coverage(exploration, "violation found");
            return write_failure(exploration, seed, &outcome);
        }
        tell_progress(exploration);
    }
    return REPLAY_OK;
}

// ---------------------------------------------------------------- the command

static bool prepare(struct exploration *exploration) {
    struct replay_options *options = exploration->options;
    struct replay_input *input = &exploration->input;
    if (!replay_input_open(input, options->input, NULL, options->geometry,
                           options->allow_anomalies))
        return false;
    replay_input_settle_route(input, options);
    const char *why = options->output == NULL ? NULL : world_os_cannot_write(options->output);
    if (why != NULL) {
        replay_fail("%s: %s", options->output, why);
        return false;
    }
    if (!replay_strategist_init(&exploration->strategist, input->source->threads + 1) ||
        !trail_set_init(&exploration->trails, TRAILS_LOG2_AT_FIRST)) {
        replay_fail("%s: out of memory", options->input);
        return false;
    }
    exploration->world = replay_world_create(
        input, options->routes.list[0].text, &replay_strategy_find(options->strategy)->strategy,
        &exploration->strategist, options->seed,
        POINT_LIMIT_MIN + input->source->operations * POINTS_PER_OPERATION);
    if (exploration->world == NULL)
        return false;
    world_snapshot(exploration->world);
    exploration->run_options =
        (struct program_options){.order = PROGRAM_DATAFLOW,
                                 .strategy_name = options->strategy,
                                 .stamps = true,
                                 .brief = true,
                                 .clock_follows_trace = true,
                                 .stop = &replay_os_interrupted,
                                 .next_operations = exploration->strategist.next_operations};
    return true;
}

static void finish(struct exploration *exploration) {
    world_destroy(exploration->world);
    replay_strategist_free(&exploration->strategist);
    free(exploration->trails.slots);
    replay_input_close(&exploration->input);
}

int replay_command_explore(struct replay_options *options) {
    struct exploration exploration = {.options = options, .begun_ns = replay_os_clock_ns()};
    int status = REPLAY_USAGE;
    if (options->routes.count != 1)
        return replay_fail("explore: expected one route, found %zu", options->routes.count);
    if (strcmp(options->strategy, "schedule") == 0)
        return replay_fail("explore: a schedule is played by hakreplay repro FILE");
    if (prepare(&exploration)) {
        replay_os_catch_interrupts();
        exploration.tells = !options->quiet && replay_os_stderr_is_terminal();
        status = search(&exploration);
        if (status == REPLAY_OK)
            print_coverage(&exploration, "no violation found");
        else if (status == REPLAY_INTERRUPTED)
            print_coverage(&exploration, "interrupted, no violation found");
    }
    finish(&exploration);
    return status;
}
