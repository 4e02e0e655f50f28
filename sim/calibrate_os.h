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
    bool measured; // false: taken over from another figure or machine, as the source says
    char source[200];
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

struct sim_calibrate_options {
    // A shared library whose malloc and free are MF2's, for the costs `operation`, `slow_operation`
    // and `program`; NULL: those stay the base's.
    const char *malloc_path;
    const struct sim_machine *base; // whose figures stand where nothing can be measured
    bool quick;                     // fewer and shorter repeats: for trying, not for use
};

// 0, or -1 with one line in message.
int sim_calibrate(const struct sim_calibrate_options *options, struct sim_calibration *calibration,
                  char *message, size_t message_size);

#endif
