// real_run_os.h: a workload on real threads of this machine, under the real MF2: one process of
// hakload with libmf2.so preloaded, and what both of them counted.
#ifndef SIM_REAL_RUN_OS_H
#define SIM_REAL_RUN_OS_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

struct sim_real_options {
    const char *hakload, *library; // files
    const char *workload;          // as hakload takes it
    const char *route, *geometry;
    uint32_t threads;
    uint64_t seed;
    bool pinned;
};

struct sim_real_run {
    double seconds;
    uint64_t allocations, frees; // the workload's own count
    uint64_t pages;              // taken from the OS, less those of hakload's own tables
    uint64_t remote_frees, owner_changes;
};

// 0, or -1 with one line in message.
int sim_real_run(const struct sim_real_options *options, struct sim_real_run *run, char *message,
                 size_t message_size);

// A file that lies at `relative` of this program's own: "../lib/libmf2.so".
int sim_real_beside(const char *relative, char *path, size_t size);

#endif
