// sim_run.h: one simulated run, whole: a workload or a trace, on a machine, under a route.
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "domino.h"
#include "program.h"
#include "sim.h"
#include "workload.h"

#include <signal.h>

struct sim_request {
    const struct sim_machine *machine;
    uint32_t cores; // 0: the machine's
    const struct mf2_geometry *geometry;
    struct mf2_route route;
    const char *route_text;
    uint64_t seed;
    // Either a workload with its settings, or a trace.
    const struct workload *workload;
    struct workload_settings settings;
    uint64_t pace_ps; // the program's own time before each operation; 0: the machine's
    struct program_source *source;
    uint32_t scale;                    // of the trace: how many copies of it the source is; 0: one
    const volatile sig_atomic_t *stop; // ends the run early; may be NULL
    void (*on_progress)(void *self, uint64_t steps); // now and then; may be NULL
    void *on_progress_self;
    struct world_schedule *recording; // the run's choices are kept here; may be NULL
    bool domino;                      // the outcome has one
    bool brief;                       // no JSON and no timeline, so that no page is seen stranded
};

struct sim_outcome {
    char *json; // the hak.run object, unless brief; sim_outcome_free frees it
    struct program_measures measures;
    struct mf2_counters counters; // summed over threads
    uint64_t digest, steps, points, wall_ns;
    uint64_t end_ps; // virtual time at which the last thread stopped
    struct sim_time_totals totals;
    uint64_t frees_to_descheduled; // of a workload; see sim_host.h
    struct sim_domino *domino;     // NULL unless asked for; sim_outcome_free frees it
    struct workload_count counts[WORKLOAD_COUNT_MAX];
    size_t count_count;
    enum world_end end;
    char violation[320]; // how it ended, where not well
};

// The options of the world in which such a run takes place, without strategy.
struct world_options sim_world_options(const struct sim_request *request);

// 0, or -1 with one line in message. Runs may go on side by side in several OS threads, unless they
// share a trace. An oracle that fires is an outcome, not a failure.
int sim_run(const struct sim_request *request, struct sim_outcome *outcome, char *message,
            size_t message_size);
void sim_outcome_free(struct sim_outcome *outcome);

#endif
