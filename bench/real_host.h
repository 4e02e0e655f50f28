// real_host.h: the host of sim/workload.h on real threads: malloc and free of the process, POSIX
// threads, counting semaphores. A workload runs here as it runs in the simulator.
//
// Threads: create and destroy from the main thread, with no other running; the host's functions
// from the workload's threads, as workload.h says.
#ifndef BENCH_REAL_HOST_H
#define BENCH_REAL_HOST_H

#include "workload.h"

struct real_host;

// At most `threads` threads ever, the calling one included, and so many semaphores. NULL: no
// memory.
struct real_host *real_host_create(uint64_t threads, uint64_t semaphores);
void real_host_destroy(struct real_host *host);
const struct workload_host *real_host_interface(const struct real_host *host);
// Thread i stays on core i, counted around those that the process may use; the caller's first.
// Once, before the run.
void real_host_pin(struct real_host *host);
// Runs the body as thread 0 in the calling thread and waits for all threads it has led to.
void real_host_run(struct real_host *host, workload_body *body, void *argument);

#endif
