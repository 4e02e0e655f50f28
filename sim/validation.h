// validation.h: the model's figures against those of real threads: errors, limits, and whether it
// ranks as reality does. Pure functions; who measured is not known here.
#ifndef SIM_VALIDATION_H
#define SIM_VALIDATION_H

#include "statistics.h"

#include <stdint.h>

// X(NAME, key, unit, limit, base): how far the model may be off in the mean of all rows: in per
// cent of the real figure, or of `base` where the real one is less; base 0: in the figure's own
// unit.
//
// A change of owner for each hundredth allocation is the least that is taken for a figure: what
// happens more rarely than that costs nothing that shows, and is a matter of few events.
#define SIM_VALIDATED(X)                                                                           \
    X(PAGES, "pages", "pages from the OS", 5, 1)                                                   \
    X(REMOTE, "remote_share", "per cent of frees", 2, 0)                                           \
    X(OWNERS, "owner_changes", "changes per 100 allocations", 10, 1)                               \
    X(SPEED, "throughput", "allocations per second", 15, 1)
enum sim_validated {
#define X(name, key, unit, limit, base) SIM_VALIDATED_##name,
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
        double error;  // signed; see sim_validation_error
        double repeat; // likewise, of the real runs' one half against the other
    } figures[SIM_VALIDATED_COUNT];
};

// (model − real), see SIM_VALIDATED.
double sim_validation_error(enum sim_validated figure, double real, double model);

struct sim_validation_summary {
    double mean_error;  // of absolute values
    double mean_repeat; // likewise: what repeating the real runs comes to
    double worst_error;
    size_t worst;  // row
    size_t beyond; // rows whose error is above the limit
    bool met;      // the mean is within the limit
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
