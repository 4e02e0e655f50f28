// batch.h: many independent runs, side by side on the cores of this machine.
//
// Threads: the jobs are shared by the OS threads that sim_batch_run starts; a job is written by one
// of them. Results do not depend on how many there are.
#ifndef SIM_BATCH_H
#define SIM_BATCH_H

#include "progress.h"
#include "sim_run.h"

struct sim_job {
    struct sim_request request;
    uint64_t tag;               // the caller's
    struct sim_outcome outcome; // of a job that is done
    bool done;                  // false: not begun, cut short, or failed
    char message[320];          // why it failed; empty if it did not
};

struct sim_batch {
    struct sim_job *jobs; // begun in this order
    size_t count;
    unsigned workers; // 0: one for each core
    // Told after each job, one call at a time; may be NULL.
    void (*on_done)(void *self, const struct sim_job *job);
    void *self;
    // No more jobs are begun when it becomes non-zero; may be NULL. The jobs' requests have their
    // own.
    const volatile sig_atomic_t *stop;
};

// Runs them all. A job that fails does not stop the others.
void sim_batch_run(const struct sim_batch *batch);
// The first failed or violated job, or NULL.
const struct sim_job *sim_batch_first_failure(const struct sim_batch *batch);

// Progress on stderr, for on_done: count, rate and time to go, where stderr is a terminal.
struct sim_progress {
    struct trace_progress line;
    const char *what; // "runs"
    size_t done, count;
};
struct sim_progress sim_progress_begin(const char *what, size_t count, bool quiet);
void sim_progress_step(struct sim_progress *progress);
void sim_progress_end(struct sim_progress *progress);

#endif
