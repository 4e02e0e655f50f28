// validation.c: see validation.h.
#include "validation.h"

#include <math.h>

static const struct {
    const char *key, *unit;
    double limit, base;
} figures[SIM_VALIDATED_COUNT] = {
#define X(name, key, unit, limit, base) {key, unit, limit, base},
    SIM_VALIDATED(X)
#undef X
};

const char *sim_validated_key(enum sim_validated figure) {
    return figures[figure].key;
}

const char *sim_validated_unit(enum sim_validated figure) {
    return figures[figure].unit;
}

double sim_validated_limit(enum sim_validated figure) {
    return figures[figure].limit;
}

double sim_validation_error(enum sim_validated figure, double real, double model) {
    double base = figures[figure].base;
    if (base == 0)
        return model - real;
    return 100 * (model - real) / (real > base ? real : base);
}

struct sim_validation_summary sim_validation_sum(const struct sim_validation_row *rows,
                                                 size_t count, enum sim_validated figure) {
    struct sim_validation_summary summary = {0};
    for (size_t i = 0; i < count; i++) {
        double error = fabs(rows[i].figures[figure].error);
        summary.mean_error += error / (double)count;
        summary.mean_repeat += fabs(rows[i].figures[figure].repeat) / (double)count;
        summary.beyond += error > figures[figure].limit;
        if (i == 0 || error > fabs(summary.worst_error)) {
            summary.worst_error = rows[i].figures[figure].error;
            summary.worst = i;
        }
    }
    summary.met = summary.mean_error <= figures[figure].limit;
    return summary;
}

struct sim_validation_ranking sim_validation_rank(const struct sim_validation_row *rows,
                                                  size_t count, size_t routes,
                                                  enum sim_validated figure) {
    struct sim_validation_ranking ranking = {0};
    for (size_t begin = 0; begin + routes <= count; begin += routes)
        for (size_t a = begin; a < begin + routes; a++)
            for (size_t b = a + 1; b < begin + routes; b++) {
                struct sim_interval real_a = rows[a].figures[figure].real;
                struct sim_interval real_b = rows[b].figures[figure].real;
                if (!sim_intervals_separate(real_a, real_b))
                    continue;
                double model =
                    rows[a].figures[figure].model.mean - rows[b].figures[figure].model.mean;
                ranking.pairs++;
                ranking.agree += (model > 0 && real_a.mean > real_b.mean) ||
                                 (model < 0 && real_a.mean < real_b.mean);
            }
    return ranking;
}
