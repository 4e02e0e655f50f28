// calibrate_os.h: microbenchmarks of this machine, one for each cost that can be measured.
//
// They measure the OS and the processor, never a workload that is predicted, and are the only part
// of the simulator that looks at real time for a result. Call them with nothing else running.
// Threads: from one thread; they start their own.
#ifndef SIM_CALIBRATE_OS_H
#define SIM_CALIBRATE_OS_H

#include "sim.h"

#define SIM_CALIBRATE_REPEATS 9 // odd: the median is one of them

// A figure in nanoseconds, its spread over the repeats, and what it was taken from.
struct sim_calibrated {
    double value_ns, low_ns, high_ns;
    char source[160];
};

struct sim_calibration {
    char processor[128]; // as the kernel names it
    uint32_t cores;
    struct sim_topology topology;
    struct {
#define X(name, meaning) struct sim_calibrated name;
        SIM_COSTS(X)
#undef X
    } costs;
};

// malloc_path: a shared library whose malloc and free are MF2's, for the cost `operation`; NULL: it
// stays the default machine's. The cost `program` is the caller's to measure
// (sim_calibrate_program). 0, or -1 with one line in message.
int sim_calibrate(const char *malloc_path, struct sim_calibration *calibration, char *message,
                  size_t message_size);

#endif
