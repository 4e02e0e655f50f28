// drain_process.c: the process's memory and faults over time, as the kernel tells.
//
// Owns: when /proc is looked at (every process_ns while the process lives; a sample equal to the
// one before is not written) and what is taken from it. A program that forbids such looks (or a
// /proc that is not there) has no samples.
#include "drainer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stamp.h"

static int proc_open(pid_t pid, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void drain_process_open(struct drain_session *session) {
    bool wanted = session->options->process_ns > 0;
    session->process.statm = wanted ? proc_open(session->pid, "statm") : -1;
    session->process.stat = wanted ? proc_open(session->pid, "stat") : -1;
}

static void close_if_open(int file) {
    if (file >= 0)
        close(file);
}

void drain_process_close(struct drain_session *session) {
    close_if_open(session->process.statm);
    close_if_open(session->process.stat);
}

// The file's text; false: the process is gone.
static bool text_read(int file, char *text, size_t size) {
    ssize_t got = file >= 0 ? pread(file, text, size - 1, 0) : -1;
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

// Sizes in pages: total, resident, of files and shared.
static bool statm_read(int file, struct trace_side *side) {
    char text[256];
    unsigned long long total, resident, shared;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!text_read(file, text, sizeof text) ||
        sscanf(text, "%llu %llu %llu", &total, &resident, &shared) != 3 || resident == 0)
        return false;
    side->values[TRACE_PROCESS_RSS] = resident * page_bytes;
    side->values[TRACE_PROCESS_ANONYMOUS] =
        (resident > shared ? resident - shared : 0) * page_bytes;
    return true;
}

// Behind the program's name, which may hold anything: state, six numbers and flags, then faults.
static bool stat_read(int file, struct trace_side *side) {
    char text[1024];
    unsigned long long minor, major;
    const char *end = text_read(file, text, sizeof text) ? strrchr(text, ')') : NULL;
    if (end == NULL ||
        sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %llu %*u %llu", &minor, &major) != 2)
        return false;
    side->values[TRACE_PROCESS_MINOR_FAULTS] = minor;
    side->values[TRACE_PROCESS_MAJOR_FAULTS] = major;
    return true;
}

static uint64_t ticks_now(const struct drain_session *session) {
    uint64_t stamp = stamp_now(session->clock->clock);
    unsigned __int128 passed = stamp > session->base_stamp ? stamp - session->base_stamp : 0;
    return (uint64_t)(passed * session->ticks_per_stamp >> 48);
}

static bool is_same(const struct trace_side *a, const struct trace_side *b) {
    for (unsigned id = TRACE_PROCESS_RSS; id <= TRACE_PROCESS_MAJOR_FAULTS; id++)
        if (a->values[id] != b->values[id])
            return false;
    return a->kind == b->kind;
}

void drain_process_look(struct drain_session *session, uint64_t now_ns) {
    struct drain_process *process = &session->process;
    struct trace_side side = {.kind = TRACE_SIDE_PROCESS};
    if (session->options->process_ns == 0 ||
        (process->looked_ns != 0 && now_ns - process->looked_ns < session->options->process_ns))
        return;
    process->looked_ns = now_ns;
    if (!statm_read(process->statm, &side) || !stat_read(process->stat, &side) ||
        is_same(&side, &process->last))
        return;
    side.values[TRACE_PROCESS_TIME] = ticks_now(session);
    process->last = side;
    drain_side(session, &side);
}
