// batch.c: see batch.h.
#include "batch.h"
#include "sim_os.h"

#include <stdatomic.h>
#include <stdio.h>

struct shared {
    const struct sim_batch *batch;
    _Atomic size_t next; // job
};

static void run_job(struct sim_job *job) {
    int failed = sim_run(&job->request, &job->outcome, job->message, sizeof job->message);
    job->done = !failed && !job->outcome.measures.interrupted;
}

static void work(void *argument) {
    struct shared *shared = argument;
    const struct sim_batch *batch = shared->batch;
    while (!batch->stop || !*batch->stop) {
        size_t i = atomic_fetch_add(&shared->next, 1);
        if (i >= batch->count)
            return;
        run_job(&batch->jobs[i]);
        sim_os_lock();
        if (batch->on_done)
            batch->on_done(batch->self, &batch->jobs[i]);
        sim_os_unlock();
    }
}

void sim_batch_run(const struct sim_batch *batch) {
    struct shared shared = {.batch = batch};
    unsigned workers = batch->workers ? batch->workers : sim_os_cores();
    sim_os_run_all(batch->count < workers ? (unsigned)batch->count : workers, work, &shared);
}

const struct sim_job *sim_batch_first_failure(const struct sim_batch *batch) {
    for (size_t i = 0; i < batch->count; i++)
        if (batch->jobs[i].message[0] || batch->jobs[i].outcome.violation[0])
            return &batch->jobs[i];
    return NULL;
}

// ---------------------------------------------------------------- progress

struct sim_progress sim_progress_begin(const char *what, size_t count, bool quiet) {
    return (struct sim_progress){
        .line = trace_progress_begin("haksim", !quiet && sim_os_has_terminal()),
        .what = what,
        .count = count};
}

void sim_progress_step(struct sim_progress *progress) {
    uint64_t now_ns = sim_os_clock_ns();
    progress->done++;
    if (!trace_progress_is_due(&progress->line, now_ns))
        return;
    char more[64];
    snprintf(more, sizeof more, "%zu of %zu", progress->done, progress->count);
    struct trace_progress_state state = {.unit = progress->what,
                                         .done = (double)progress->done,
                                         .total = (double)progress->count,
                                         .left_s = -1,
                                         .more = more};
    trace_progress_tell(&progress->line, now_ns, &state);
}

void sim_progress_end(struct sim_progress *progress) {
    trace_progress_clear(&progress->line);
}
