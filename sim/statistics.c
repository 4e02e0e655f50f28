// statistics.c: see statistics.h.
#include "statistics.h"

#include <math.h>

// Quantiles of Student's t, 0.975, for 1, 2, ... degrees of freedom, as in every table of it.
static const double quantiles[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                   2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                   2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                   2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
#define QUANTILE_COUNT  (sizeof quantiles / sizeof quantiles[0])
#define NORMAL_QUANTILE 1.959964

double sim_student_t(size_t degrees) {
    if (degrees <= QUANTILE_COUNT)
        return quantiles[degrees - 1];
    // First terms of the expansion around the normal distribution; exact to 0.0002 from 30 on.
    double z = NORMAL_QUANTILE, n = (double)degrees;
    return z + (z * z * z + z) / (4 * n) + (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * n * n);
}

struct sim_interval sim_interval_of(const double *values, size_t count) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    double deviation = sqrt(squares / (double)(count - 1));
    double half = sim_student_t(count - 1) * deviation / sqrt((double)count);
    return (struct sim_interval){mean, mean - half, mean + half};
}

bool sim_intervals_separate(struct sim_interval a, struct sim_interval b) {
    return a.low > b.high || a.high < b.low;
}
