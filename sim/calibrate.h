// calibrate.h: what the parts of sim_calibrate share. Private to the calibrate*_os.c files.
#ifndef SIM_CALIBRATE_H
#define SIM_CALIBRATE_H

#include "calibrate_os.h"

// Everything is measured `repeats` times; the figure is the median, the band the least and the
// most. A measurement gives nanoseconds, or a negative number where it cannot be made here.
struct calibrate_series {
    double values[SIM_CALIBRATE_REPEATS];
    unsigned count;
};

struct calibrate {
    unsigned repeats;
    uint64_t loops; // turns of the shortest loops; the longer ones take a share of it
    uint32_t cores[SIM_CORE_LIMIT]; // of this process, as the OS numbers them
    uint32_t core_count;
};

// Runs measure(run, self) for each repeat. The figure's source becomes `what`, or, where nothing
// could be measured, stays what it was.
void calibrate_repeat(const struct calibrate *run, struct sim_calibrated *figure, const char *what,
                      double (*measure)(const struct calibrate *run, void *self), void *self);
// The figure is another one's, and says why.
void calibrate_as(struct sim_calibrated *figure, const struct sim_calibrated *other,
                  const char *why);

// ---------------------------------------------------------------- calibrate_os.c
void calibrate_pin(uint32_t core);                 // the calling thread; as the OS numbers them
void calibrate_unpin(const struct calibrate *run); // to all of them
double calibrate_now_ns(void);

// ---------------------------------------------------------------- calibrate_core_os.c
void calibrate_core(const struct calibrate *run, struct sim_calibration *calibration);

// ---------------------------------------------------------------- calibrate_memory_os.c
void calibrate_memory(const struct calibrate *run, struct sim_calibration *calibration);

// ---------------------------------------------------------------- calibrate_pair_os.c
// Needs the topology.
void calibrate_pairs(const struct calibrate *run, struct sim_calibration *calibration);

// ---------------------------------------------------------------- calibrate_thread_os.c
void calibrate_threads(const struct calibrate *run, struct sim_calibration *calibration);

#endif
