// replay.c: `hakreplay trace.zst`: plays one program under each route asked for, writes one result,
// prints the comparison.
#include "replayer.h"

#include "progress.h"
#include "replayer_os.h"
#include "world_os.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
    struct replay_options *options;
    struct replay_input input;
    struct world_schedule *schedule; // for strategy `schedule`
    char output[512];
    char *results[REPLAY_ROUTES_MAX]; // hak.run texts
    struct replay_comparison_row rows[REPLAY_ROUTES_MAX];
    size_t done;
    int status;
    uint64_t begun_ns, begun_processor_ns; // of the route that runs
    struct trace_progress progress;
};

// The route that runs.
static const char *route_text(const struct session *session) {
    return session->options->routes.list[session->done].text;
}

// ---------------------------------------------------------------- progress

static void tell_progress(void *self, uint64_t steps) {
    struct session *session = self;
    uint64_t now_ns = replay_os_clock_ns();
    if (!trace_progress_is_due(&session->progress, now_ns))
        return;
    struct trace_progress_state state = {.what = route_text(session),
                                         .unit = "operations",
                                         .done = (double)steps,
                                         .total = (double)session->input.source->operations,
                                         .left_s = -1};
    trace_progress_tell(&session->progress, now_ns, &state);
}

// ---------------------------------------------------------------- one route

static const char *strategy_name(const struct replay_options *options) {
    return options->order == PROGRAM_STRICT ? "recorded" : options->strategy;
}

static char *unreliable_json(const struct session *session, uint64_t steps) {
    double seconds = (double)(replay_os_clock_ns() - session->begun_ns) / 1e9;
    double processor = (double)(replay_os_processor_ns() - session->begun_processor_ns) / 1e9;
    json_t *object = json_pack("{s:f, s:f, s:f}", "seconds", seconds, "processor_seconds",
                               processor, "operations_per_processor_second",
                               processor > 0 ? (double)steps / processor : 0.0);
    char *text = json_dumps(object, JSON_REAL_PRECISION(6));
    json_decref(object);
    return text;
}

static char *result_json(struct session *session, const struct program_options *run_options,
                         const struct program_result *result, const char *unreliable) {
    const struct replay_options *options = session->options;
    json_t *scenario =
        session->input.scenario == NULL ? NULL : json_pack("{s:s}", "name", session->input.name);
    char *workload = scenario == NULL ? NULL : json_dumps(scenario, 0);
    struct program_result_labels labels = {
        .tool = "hakreplay",
        .world = "controlled",
        .certainty = options->order == PROGRAM_STRICT ? "measured" : "sampled",
        .route_text = route_text(session),
        .geometry = session->input.geometry->name,
        .memory = "sc",
        .workload_json = workload,
        .unreliable_json = unreliable,
        .seed = options->seed};
    char *text = program_result_json(result, session->input.source, run_options, &labels);
    json_decref(scenario);
    free(workload);
    return text;
}

static void report_troubles(const struct session *session, const struct program_measures *m,
                            const struct world *world, enum world_end end) {
    const char *route = route_text(session);
    if (end == WORLD_DIVERGED)
        fprintf(stderr, "hakreplay: %s: diverged: %s\n", route, world_message(world));
    else if (end != WORLD_DONE)
        fprintf(stderr, "hakreplay: %s: %s: %s\n", route, world_end_name(end),
                world_message(world));
    if (m->failed_allocations > 0)
        fprintf(stderr,
                "hakreplay: %s: %llu allocations found no memory: the figures are not those of "
                "the program\n",
                route, (unsigned long long)m->failed_allocations);
    if (m->unresolved > 0)
        fprintf(stderr,
                "hakreplay: %s: %llu operations on objects that do not live were left out\n", route,
                (unsigned long long)m->unresolved);
}

static int status_of(enum world_end end, bool interrupted) {
    if (end == WORLD_DIVERGED)
        return REPLAY_DIVERGED;
    if (end != WORLD_DONE)
        return REPLAY_VIOLATION;
    return interrupted ? REPLAY_INTERRUPTED : REPLAY_OK;
}

// Keeps what is worse: a violation before a divergence before an interruption.
static void keep_status(struct session *session, int status) {
    if (session->status == REPLAY_OK || session->status == REPLAY_INTERRUPTED ||
        status == REPLAY_VIOLATION)
        session->status = status == REPLAY_OK ? session->status : status;
}

static bool keep_result(struct session *session, const struct program_options *run_options,
                        struct program_result *result, const struct world *world,
                        enum world_end end) {
    char *unreliable = unreliable_json(session, program_result_steps(result));
    struct replay_comparison_row *row = &session->rows[session->done];
    row->route = route_text(session);
    row->digest = program_result_digest(result);
    program_result_measures(result, &row->measures);
    report_troubles(session, &row->measures, world, end);
    keep_status(session, status_of(end, row->measures.interrupted));
    session->results[session->done] = result_json(session, run_options, result, unreliable);
    free(unreliable);
    if (session->results[session->done] == NULL) {
        session->status = replay_fail("%s: out of memory for the result", session->output);
        return false;
    }
    session->done++;
    return true;
}

static bool run_in_world(struct session *session, struct world *world, uint64_t *next_operations) {
    const struct replay_options *options = session->options;
    struct program_options run_options = {.order = options->order,
                                          .strategy_name = strategy_name(options),
                                          .stamps = options->stamps,
                                          .clock_follows_trace = true,
                                          .on_progress = tell_progress,
                                          .on_progress_self = session,
                                          .stop = &replay_os_interrupted,
                                          .next_operations = next_operations};
    struct program_result *result;
    session->begun_ns = replay_os_clock_ns();
    session->begun_processor_ns = replay_os_processor_ns();
    session->progress =
        trace_progress_begin("hakreplay", !options->quiet && replay_os_stderr_is_terminal());
    enum world_end end = program_run(world, session->input.source, &run_options, &result);
    trace_progress_clear(&session->progress);
    if (result == NULL) {
        session->status = replay_fail("%s", session->input.source->message);
        return false;
    }
    bool kept = keep_result(session, &run_options, result, world, end);
    program_result_free(result);
    return kept;
}

static bool run_route(struct session *session) {
    const struct replay_options *options = session->options;
    struct replay_strategist strategist = {0};
    const struct world_strategy *strategy = NULL;
    void *self = NULL;
    if (options->order != PROGRAM_STRICT && session->schedule != NULL) {
        strategy = &world_strategy_schedule;
        self = session->schedule;
    } else if (options->order != PROGRAM_STRICT) {
        strategy = &replay_explorer;
        self = &strategist;
    }
    if (!replay_strategist_init(&strategist, replay_strategy_find(options->strategy),
                                session->input.source->threads + 1)) {
        session->status = replay_fail("%s: out of memory", options->input);
        return false;
    }
    struct world *world = replay_world_create(&session->input, route_text(session), WORLD_MEMORY_SC,
                                              strategy, self, options->seed, 0);
    bool fine = world != NULL && run_in_world(session, world, strategist.next_operations);
    if (world == NULL)
        session->status = REPLAY_USAGE;
    world_destroy(world);
    replay_strategist_free(&strategist);
    return fine;
}

// ---------------------------------------------------------------- the result

// One route: its hak.run; several: a hak.runs around them.
static char *whole_result(const struct session *session) {
    if (session->options->routes.count == 1)
        return strdup(session->results[0]);
    return program_runs_json("hakreplay", session->input.source, session->results, session->done);
}

static void print_head(const struct session *session) {
    const struct replay_options *options = session->options;
    const struct program_source *source = session->input.source;
    printf("%s: %llu operations, %llu objects, %u thread%s%s; order %s, strategy %s, seed %llu, "
           "geometry %s\n",
           session->input.name, (unsigned long long)source->operations,
           (unsigned long long)source->objects, source->threads, source->threads == 1 ? "" : "s",
           source->trace.complete ? "" : " (the trace is incomplete)",
           replay_order_name(options->order), strategy_name(options),
           (unsigned long long)options->seed, session->input.geometry->name);
}

static void write_result(struct session *session) {
    char *text = whole_result(session);
    if (text == NULL) {
        session->status = replay_fail("%s: out of memory for the result", session->output);
        return;
    }
    const char *why = program_result_write(session->output, text);
    if (why != NULL)
        session->status = replay_fail("%s: %s", session->output, why);
    else if (session->options->json)
        puts(text);
    else if (!session->options->quiet) {
        print_head(session);
        replay_comparison_print(session->rows, session->done);
        printf("written to %s\n", session->output);
    }
    free(text);
}

// ---------------------------------------------------------------- the command

static bool open_all(struct session *session) {
    struct replay_options *options = session->options;
    if (!replay_input_open(&session->input, options->input, NULL, options->geometry,
                           options->allow_anomalies))
        return false;
    replay_input_settle_route(&session->input, options);
    if (options->output != NULL)
        snprintf(session->output, sizeof session->output, "%s", options->output);
    else
        snprintf(session->output, sizeof session->output, "%s.replay.json", session->input.name);
    const char *why = world_os_cannot_write(session->output);
    if (why != NULL) {
        replay_fail("%s: %s", session->output, why);
        return false;
    }
    if (options->schedule == NULL)
        return true;
    char message[REPLAY_TEXT_MAX];
    session->schedule = world_schedule_read(options->schedule, message, sizeof message);
    if (session->schedule == NULL)
        replay_fail("%s", message);
    return session->schedule != NULL;
}

int replay_command_replay(struct replay_options *options) {
    struct session session = {.options = options, .status = REPLAY_OK};
    if (!open_all(&session)) {
        replay_input_close(&session.input);
        return REPLAY_USAGE;
    }
    replay_os_catch_interrupts();
    while (session.done < options->routes.count && session.status != REPLAY_INTERRUPTED &&
           run_route(&session))
        continue;
    if (session.done > 0 && session.status != REPLAY_USAGE)
        write_result(&session);
    for (size_t i = 0; i < session.done; i++)
        free(session.results[i]);
    world_schedule_free(session.schedule);
    replay_input_close(&session.input);
    return session.status;
}
