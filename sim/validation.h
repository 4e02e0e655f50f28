// validation.h: the model's figures against those of real threads: errors, limits, and whether it
// ranks as reality does. Pure functions; who measured is not known here.
#ifndef SIM_VALIDATION_H
#define SIM_VALIDATION_H

#include "statistics.h"

#include <stdint.h>

// X(NAME, key, unit, limit, relative): how far the model may be off: in per cent of the real
// figure, or in the figure's own unit.
#define SIM_VALIDATED(X)                                                                           \
    X(PAGES, "pages", "pages from the OS", 5, true)                                                \
    X(REMOTE, "remote_share", "per cent of frees", 2, false)                                       \
    X(OWNERS, "owner_changes", "changes", 10, true)                                                \
    X(SPEED, "throughput", "allocations per second", 15, true)
enum sim_validated {
#define X(name, key, unit, limit, relative) SIM_VALIDATED_##name,
    SIM_VALIDATED(X)
#undef X
        SIM_VALIDATED_COUNT
};
const char *sim_validated_key(enum sim_validated figure);
const char *sim_validated_unit(enum sim_validated figure);
double sim_validated_limit(enum sim_validated figure);

// One workload, number of threads and route.
struct sim_validation_row {
    const char *workload, *route;
    uint32_t threads;
    struct {
        struct sim_interval real, model;
        double error; // signed; see sim_validation_error
    } figures[SIM_VALIDATED_COUNT];
};

// (model − real) in per cent of real, or in the figure's unit. Where real is 0 and the model is
// not, 100 for each unit of the model's: nothing is nearly right about it.
double sim_validation_error(enum sim_validated figure, double real, double model);

struct sim_validation_summary {
    double mean_error; // of absolute values
    double worst_error;
    size_t worst;  // row
    size_t beyond; // rows whose error is above the limit
    bool met;      // throughput: the mean is within the limit; else every row is
};
struct sim_validation_summary sim_validation_sum(const struct sim_validation_row *rows,
                                                 size_t count, enum sim_validated figure);

// Pairs of routes under one workload and number of threads whose real intervals are separate, and
// how many of them the model orders alike. Rows of one case stand side by side, `routes` of them.
struct sim_validation_ranking {
    size_t pairs, agree;
};
struct sim_validation_ranking sim_validation_rank(const struct sim_validation_row *rows,
                                                  size_t count, size_t routes,
                                                  enum sim_validated figure);

#endif
