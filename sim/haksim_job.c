// haksim_job.c: what a command line asks to be run: machine, routes, workload or trace, checked and
// opened, for the subcommands that run one workload.
#include "haksim.h"
#include "scaled_source.h"
#include "sim_os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_THREADS_MAX (1u << 20)

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int open_trace(const struct haksim_command *command, struct haksim_job *job) {
    const char *path = command->workload + strlen("trace:");
    if (command->threads)
        return haksim_fail("--threads: a trace has its own threads");
    if (command->pace_ns)
        return haksim_fail("--pace: a trace has its own pace");
    job->request.source = program_open_trace(path, false, job->message, sizeof job->message);
    if (!job->request.source)
        return haksim_fail("%s", job->message);
    if (command->scale > 1) {
        struct program_source *scaled =
            sim_scaled_source(job->request.source, (uint32_t)command->scale);
        if (!scaled)
            return haksim_fail("--scale: out of memory, or more than 2^32 threads");
        job->request.source = scaled;
        job->request.scale = (uint32_t)command->scale;
    }
    const char *base = base_name(path);
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".zst") == 0)
        length -= 4;
    snprintf(job->name, sizeof job->name, "%.*s", (int)length, base);
    return HAKSIM_OK;
}

static int open_workload(const struct haksim_command *command, struct haksim_job *job) {
    if (strncmp(command->workload, "trace:", strlen("trace:")) == 0)
        return open_trace(command, job);
    if (command->scale)
        return haksim_fail("--scale: for a trace; a workload has --threads");
    job->request.settings.threads =
        (uint32_t)(command->threads ? command->threads : HAKSIM_THREADS_DEFAULT);
    job->request.settings.seed = command->seed;
    job->request.workload = workload_parse(command->workload, &job->request.settings, job->message,
                                           sizeof job->message);
    if (!job->request.workload)
        return haksim_fail("%s", job->message);
    if (job->request.workload->threads(&job->request.settings) > ALL_THREADS_MAX)
        return haksim_fail("workload %s: more than %u threads in all", job->request.workload->name,
                           ALL_THREADS_MAX);
    snprintf(job->name, sizeof job->name, "%s", job->request.workload->name);
    return HAKSIM_OK;
}

int haksim_job_open(const struct haksim_command *command, struct haksim_job *job) {
    *job = (struct haksim_job){.request = {
                                   .machine = &job->machine,
                                   .cores = (uint32_t)command->cores,
                                   .geometry = mf2_geometry_find(command->geometry),
                                   .seed = command->seed,
                                   .pace_ps = command->pace_ns * SIM_PS_PER_NS,
                                   .stop = &sim_os_interrupted,
                               }};
    if (!job->request.geometry)
        return haksim_fail("--geometry: expected default, seed or scenario, found '%s'",
                           command->geometry);
    if (sim_machine_load(command->machine, &job->machine, job->message, sizeof job->message))
        return haksim_fail("%s", job->message);
    sim_machine_scale(&job->machine, (uint32_t)command->cost_percent);
    job->machine.pinned = command->pinned;
    if (!program_routes_parse(command->route, &job->routes, job->message, sizeof job->message))
        return haksim_fail("%s%s", job->routes.refused ? "" : "--route: ", job->message);
    job->outcomes = calloc(job->routes.count, sizeof *job->outcomes);
    if (!job->outcomes)
        return haksim_fail("out of memory");
    return open_workload(command, job);
}

void haksim_job_close(struct haksim_job *job) {
    for (size_t i = 0; i < job->done; i++)
        sim_outcome_free(&job->outcomes[i]);
    free(job->outcomes);
    program_routes_free(&job->routes);
    if (job->request.source)
        program_close(job->request.source);
}

static void tell_progress(void *self, uint64_t steps) {
    struct haksim_job *job = self;
    uint64_t now_ns = sim_os_clock_ns();
    if (!trace_progress_is_due(&job->progress, now_ns))
        return;
    char more[64];
    snprintf(more, sizeof more, "route %zu of %zu", job->done + 1, job->routes.count);
    const struct program_source *source = job->request.source;
    struct trace_progress_state state = {.what = job->request.route_text,
                                         .unit = "operations",
                                         .done = (double)steps,
                                         .total = source ? (double)source->operations : 0,
                                         .left_s = -1,
                                         .more = job->routes.count > 1 ? more : NULL};
    trace_progress_tell(&job->progress, now_ns, &state);
}

static int run_route(struct haksim_job *job, size_t i,
                     void (*show)(const struct haksim_job *job, size_t i)) {
    job->request.route = job->routes.list[i].route;
    job->request.route_text = job->routes.list[i].text;
    job->request.on_progress = tell_progress;
    job->request.on_progress_self = job;
    job->progress = trace_progress_begin("haksim", !job->output->quiet && sim_os_has_terminal());
    struct sim_outcome *outcome = &job->outcomes[i];
    int failed = sim_run(&job->request, outcome, job->message, sizeof job->message);
    trace_progress_clear(&job->progress);
    if (failed)
        return haksim_fail("%s: %s", job->name, job->message);
    job->done++;
    show(job, i);
    if (!outcome->violation[0])
        return HAKSIM_OK;
    haksim_fail("route %s: %s", job->request.route_text, outcome->violation);
    return HAKSIM_VIOLATION;
}

// The worst that happened: a usage error ends at once, a violation does not. An interrupt ends the
// run that it finds; the first one is begun in any case, so that there is a result.
int haksim_job_run(struct haksim_job *job, void (*show)(const struct haksim_job *job, size_t i)) {
    int worst = HAKSIM_OK;
    for (size_t i = 0; i < job->routes.count && (i == 0 || !sim_os_interrupted); i++) {
        int status = run_route(job, i, show);
        if (status == HAKSIM_USAGE)
            return status;
        worst = status > worst ? status : worst;
    }
    return worst;
}
