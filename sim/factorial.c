// factorial.c: see factorial.h.
#include "factorial.h"

#include <string.h>

void sim_factorial_effects(const double *figures, unsigned factors, double *effects) {
    size_t count = (size_t)1 << factors;
    memcpy(effects, figures, count * sizeof *effects);
    for (size_t bit = 1; bit < count; bit *= 2)
        for (size_t m = 0; m < count; m++)
            if (!(m & bit)) {
                double without = effects[m], with = effects[m | bit];
                effects[m] = without + with;
                effects[m | bit] = with - without;
            }
    effects[0] /= (double)count;
    for (size_t m = 1; m < count; m++)
        effects[m] /= (double)count / 2;
}

double sim_factorial_share(const double *effects, unsigned factors, size_t m) {
    double all = 0;
    for (size_t i = 1; i < (size_t)1 << factors; i++)
        all += effects[i] * effects[i];
    return all > 0 ? effects[m] * effects[m] / all : 0;
}
