// verdict.h: did a figure that somebody has published come out of the simulator? The rule is in
// doc/seed-table.md, "The rule"; this is the rule as a function.
#ifndef SIM_VERDICT_H
#define SIM_VERDICT_H

#include "statistics.h"

enum sim_verdict {
    SIM_VERDICT_NONE, // nothing was published
    SIM_VERDICT_REPRODUCED,
    SIM_VERDICT_ORDER_ONLY,
    SIM_VERDICT_NOT_REPRODUCED
};
const char *sim_verdict_name(enum sim_verdict verdict);

// What was published: from low to high, the same for a point. -INFINITY: "less than high";
// INFINITY: "more than low".
struct sim_claim {
    bool given;
    double low, high;
};

struct sim_finding {
    struct sim_claim claim;
    struct sim_interval found;
};

// Of findings[row], in the light of its neighbours in the table.
enum sim_verdict sim_verdict_of(const struct sim_finding *findings, size_t count, size_t row);

#endif
