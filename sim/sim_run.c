// sim_run.c: see sim_run.h.
//
// Owns: what a world, its virtual time, a host or a trace, and a meter need to come together for
// one run, and what the result says of workload and machine. Counts nothing itself.
#include "sim_run.h"
#include "sim_host.h"
#include "sim_os.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Address space, not memory: what is never touched costs nothing.
#define ARENA_PAGES (UINT64_C(1) << 20)

// A recorded thread's own time: the trace's time since its operation before.
struct own_time {
    struct sim_time *time;
    uint64_t operation_ps;
    uint64_t *last_ns; // by thread: its last operation's time + 1; 0: none yet
};

struct run {
    const struct sim_request *request;
    struct world *world;
    struct sim_time *time;
    struct program_options options;
    struct program_result *result;
    struct own_time own_time;
    struct sim_host *host;
    void *workload;
    char *message;
    size_t message_size;
};

static int fail(const struct run *run, const char *what) {
    snprintf(run->message, run->message_size, "%s", what);
    return -1;
}

static uint32_t thread_limit(const struct sim_request *request) {
    if (request->source)
        return request->source->threads ? request->source->threads : 1;
    return (uint32_t)request->workload->threads(&request->settings);
}

struct world_options sim_world_options(const struct sim_request *request) {
    uint32_t threads = thread_limit(request);
    return (struct world_options){
        .mf2 = {.geometry = request->geometry,
                .route = request->route,
                .arena_bytes = ARENA_PAGES * request->geometry->page_bytes,
                // A thread that frees after its end takes a slot anew.
                .thread_limit = 2 * threads + 1,
                .count_owner_states = true},
        .fiber_limit = threads,
        .seed = request->seed,
    };
}

static int open_world(struct run *run) {
    struct world_options options = sim_world_options(run->request);
    run->time = sim_time_new(run->request->machine, run->request->cores, options.fiber_limit);
    if (!run->time)
        return fail(run, "out of memory for the simulated machine");
    options.strategy = &sim_strategy;
    options.strategy_self = run->time;
    run->world = world_create(&options, run->message, run->message_size);
    if (!run->world)
        return -1;
    if (run->request->recording)
        world_schedule_record(run->world, run->request->recording);
    return 0;
}

// ---------------------------------------------------------------- a trace

// A thread that waits for another one, or has just begun, has done nothing on its own meanwhile.
static bool waits_for_others(const struct program_operation *operation) {
    return operation->op == PROGRAM_START || operation->op == PROGRAM_JOIN;
}

static void spend_own_time(void *self, struct world *world,
                           const struct program_operation *operation) {
    struct own_time *own = self;
    uint64_t *last_ns = &own->last_ns[operation->thread];
    bool known = *last_ns > 0 && !waits_for_others(operation);
    uint64_t gap_ns = known ? operation->time_ns + 1 - *last_ns : 0;
    *last_ns = operation->time_ns + 1;
    sim_time_spend(own->time, world_fiber(world), own->operation_ps + gap_ns * SIM_PS_PER_NS);
}

static int run_trace(struct run *run, enum world_end *end) {
    struct program_source *source = run->request->source;
    run->own_time = (struct own_time){
        .time = run->time,
        .operation_ps = run->request->machine->costs.operation_ps,
        .last_ns = calloc(source->threads + 1, sizeof(uint64_t)),
    };
    if (!run->own_time.last_ns)
        return fail(run, "out of memory for the trace's threads");
    run->options.on_turn = spend_own_time;
    run->options.on_turn_self = &run->own_time;
    *end = program_run(run->world, source, &run->options, &run->result);
    return run->result ? 0 : fail(run, source->message);
}

// ---------------------------------------------------------------- a workload

static int run_workload(struct run *run, enum world_end *end) {
    const struct sim_request *request = run->request;
    const struct sim_costs *costs = &request->machine->costs;
    struct sim_host_options options = {
        .world = run->world,
        .time = run->time,
        .costs = costs,
        .pace_ps = request->pace_ps,
        .threads = thread_limit(request),
        .semaphores = request->workload->semaphores(&request->settings),
        .stop = request->stop,
        .on_progress = request->on_progress,
        .on_progress_self = request->on_progress_self,
    };
    run->host = sim_host_new(&options);
    if (run->host)
        run->workload = request->workload->begin(&request->settings, sim_host_interface(run->host));
    run->result = program_meter_begin(run->world, &run->options, 0);
    if (!run->host || !run->workload || !run->result)
        return fail(run, "out of memory for the workload");
    *end = sim_host_run(run->host, run->result, request->workload->main, run->workload);
    if (request->stop && *request->stop)
        program_meter_interrupted(run->result);
    *end = program_meter_end(run->result, *end);
    return sim_host_out_of_memory(run->host) ? fail(run, "out of memory for the measures") : 0;
}

// ---------------------------------------------------------------- what the result says

static void set_number(json_t *object, const char *key, uint64_t value) {
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *counts_json(const struct sim_outcome *outcome) {
    json_t *counts = json_object();
    for (size_t i = 0; i < outcome->count_count; i++)
        set_number(counts, outcome->counts[i].name, outcome->counts[i].value);
    return counts;
}

static char *workload_json(const struct sim_request *request, const struct sim_outcome *outcome) {
    json_t *workload = json_object();
    if (request->workload) {
        json_object_set_new(workload, "name", json_string(request->workload->name));
        set_number(workload, "threads", request->settings.threads);
        if (request->pace_ps)
            set_number(workload, "pace_ns", request->pace_ps / SIM_PS_PER_NS);
        for (size_t i = 0; i < request->workload->parameter_count; i++)
            set_number(workload, request->workload->parameters[i].name,
                       request->settings.values[i]);
        json_object_set_new(workload, "counts", counts_json(outcome));
    } else {
        json_object_set_new(workload, "name", json_string("trace"));
        if (request->scale)
            set_number(workload, "scale", request->scale);
    }
    char *text = json_dumps(workload, JSON_COMPACT);
    json_decref(workload);
    return text;
}

static char *machine_json(const struct sim_request *request, const struct sim_outcome *outcome) {
    const struct sim_machine *from = request->machine;
    json_t *machine = json_object();
    json_t *table = json_object();
    json_object_set_new(machine, "name", json_string(from->name));
    set_number(machine, "cores", request->cores ? request->cores : from->cores);
    json_object_set_new(table, "name", json_string(from->name));
    json_object_set_new(table, "hash", json_string(from->hash));
    if (from->cost_percent != 100)
        set_number(table, "percent", from->cost_percent);
    json_object_set_new(machine, "cost_table", table);
    if (from->pinned)
        json_object_set_new(machine, "pinned", json_true());
    set_number(machine, "end_ns", outcome->end_ps / SIM_PS_PER_NS);
    set_number(machine, "busy_ns", outcome->totals.busy_ps / SIM_PS_PER_NS);
    set_number(machine, "queued_ns", outcome->totals.queued_ps / SIM_PS_PER_NS);
    if (request->workload)
        set_number(machine, "frees_to_descheduled", outcome->frees_to_descheduled);
    set_number(machine, "switches", outcome->totals.switches);
    set_number(machine, "preemptions", outcome->totals.preemptions);
    set_number(machine, "line_moves", outcome->totals.line_moves);
    char *text = json_dumps(machine, JSON_COMPACT);
    json_decref(machine);
    return text;
}

static char *unreliable_json(const struct sim_outcome *outcome) {
    double seconds = (double)outcome->wall_ns / 1e9;
    json_t *unreliable = json_object();
    json_object_set_new(unreliable, "seconds", json_real(seconds));
    if (seconds > 0)
        json_object_set_new(unreliable, "operations_per_second",
                            json_real((double)outcome->steps / seconds));
    char *text = json_dumps(unreliable, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(unreliable);
    return text;
}

static int make_json(struct run *run, struct sim_outcome *outcome) {
    const struct sim_request *request = run->request;
    char *workload = workload_json(request, outcome);
    char *machine = machine_json(request, outcome);
    char *unreliable = unreliable_json(outcome);
    struct program_result_labels labels = {
        .tool = "haksim",
        .world = "simulated",
        .certainty = "modelled",
        .route_text = request->route_text,
        .geometry = request->geometry->name,
        .memory = "sc",
        .workload_json = workload,
        .machine_json = machine,
        .unreliable_json = unreliable,
        .seed = request->seed,
    };
    outcome->json = program_result_json(run->result, request->source, &run->options, &labels);
    free(workload);
    free(machine);
    free(unreliable);
    return outcome->json ? 0 : fail(run, "out of memory for the result");
}

// ---------------------------------------------------------------- the run

static int watch_domino(struct run *run, struct sim_outcome *outcome) {
    outcome->domino = sim_domino_new(run->world);
    run->options.on_done = sim_domino_on_done;
    run->options.on_done_self = outcome->domino;
    return outcome->domino ? 0 : fail(run, "out of memory for chains");
}

static int run_program(struct run *run, struct sim_outcome *outcome) {
    run->options = (struct program_options){
        .order = PROGRAM_DATAFLOW,
        .strategy_name = SIM_STRATEGY_NAME,
        .brief = run->request->brief,
        .stop = run->request->stop,
        .on_progress = run->request->on_progress,
        .on_progress_self = run->request->on_progress_self,
    };
    if (run->request->domino && watch_domino(run, outcome))
        return -1;
    uint64_t began_ns = sim_os_clock_ns();
    int failed =
        run->request->source ? run_trace(run, &outcome->end) : run_workload(run, &outcome->end);
    outcome->wall_ns = sim_os_clock_ns() - began_ns;
    if (!failed && outcome->domino && sim_domino_out_of_memory(outcome->domino))
        return fail(run, "out of memory for chains");
    return failed;
}

static void note_outcome(struct run *run, struct sim_outcome *outcome) {
    program_result_measures(run->result, &outcome->measures);
    outcome->digest = program_result_digest(run->result);
    world_counters(run->world, &outcome->counters);
    outcome->steps = program_result_steps(run->result);
    outcome->points = world_points(run->world);
    outcome->end_ps = sim_time_end_ps(run->time);
    sim_time_totals(run->time, &outcome->totals);
    if (run->host)
        outcome->frees_to_descheduled = sim_host_frees_to_descheduled(run->host);
    if (run->workload)
        outcome->count_count = run->request->workload->counts(run->workload, outcome->counts);
    if (outcome->end != WORLD_DONE)
        snprintf(outcome->violation, sizeof outcome->violation, "%s: %s",
                 world_end_name(outcome->end), world_message(run->world));
    else if (run->workload && run->request->workload->failed(run->workload) &&
             !outcome->measures.interrupted)
        snprintf(outcome->violation, sizeof outcome->violation,
                 "the workload found no memory or no thread and has stopped early");
}

static void close_run(struct run *run) {
    if (run->workload)
        run->request->workload->end(run->workload);
    sim_host_free(run->host);
    program_result_free(run->result);
    free(run->own_time.last_ns);
    if (run->world)
        world_destroy(run->world);
    sim_time_free(run->time);
}

int sim_run(const struct sim_request *request, struct sim_outcome *outcome, char *message,
            size_t message_size) {
    struct run run = {.request = request, .message = message, .message_size = message_size};
    *outcome = (struct sim_outcome){0};
    int failed = open_world(&run) || run_program(&run, outcome);
    if (!failed) {
        note_outcome(&run, outcome);
        failed = request->brief ? 0 : make_json(&run, outcome);
    }
    close_run(&run);
    return failed ? -1 : 0;
}

void sim_outcome_free(struct sim_outcome *outcome) {
    free(outcome->json);
    outcome->json = NULL;
    sim_domino_free(outcome->domino);
    outcome->domino = NULL;
}
