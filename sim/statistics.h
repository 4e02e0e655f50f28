// statistics.h: a mean and its 95 % interval from independent runs.
#ifndef SIM_STATISTICS_H
#define SIM_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

struct sim_interval {
    double mean, low, high;
};

// Student's t with count − 1 degrees of freedom; count must be 2 or more.
struct sim_interval sim_interval_of(const double *values, size_t count);
// The t that 97.5 % of the distribution lie below.
double sim_student_t(size_t degrees);
// True where no value of either lies within the other.
bool sim_intervals_separate(struct sim_interval a, struct sim_interval b);

#endif
