// sim_host.h: a workload's host in the simulated world (see workload.h).
//
// Threads are fibers of the world, numbered alike. Memory comes from the world's MF2. What a
// workload does is told to a meter (program.h), so that it is measured as a trace's replay is.
#ifndef SIM_HOST_H
#define SIM_HOST_H

#include "program.h"
#include "sim.h"
#include "workload.h"

#include <signal.h>

struct sim_host;

struct sim_host_options {
    struct world *world;
    struct sim_time *time;
    const struct sim_costs *costs;
    uint64_t pace_ps;    // the program's own time before each operation; 0: what it draws counts
    uint64_t threads;    // most that there will ever be; the world's fiber_limit is at least that
    uint64_t semaphores; // how many the workload uses
    void (*on_progress)(void *self, uint64_t steps); // now and then; may be NULL
    void *on_progress_self;
    // When it becomes non-zero, no more memory is given out, so that the workload ends early; may
    // be NULL.
    const volatile sig_atomic_t *stop;
};

// What the options name must outlive the host. NULL: no memory.
struct sim_host *sim_host_new(const struct sim_host_options *options);
void sim_host_free(struct sim_host *host);
// The meter had no memory: its result is worth nothing.
bool sim_host_out_of_memory(const struct sim_host *host);
// Frees into a page whose home is a thread that was ready and had no core at that time.
uint64_t sim_host_frees_to_descheduled(const struct sim_host *host);
const struct workload_host *sim_host_interface(const struct sim_host *host);

// Runs body(argument) as thread 0 until all threads have ended, told to the meter.
enum world_end sim_host_run(struct sim_host *host, struct program_result *meter,
                            workload_body *body, void *argument);

#endif
