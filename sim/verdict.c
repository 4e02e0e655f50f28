// verdict.c: see verdict.h.
#include "verdict.h"

#include <math.h>

#define WIDENING 0.25

const char *sim_verdict_name(enum sim_verdict verdict) {
    static const char *const names[] = {"-", "reproduced", "order only", "not reproduced"};
    return names[verdict];
}

static bool is_reproduced(const struct sim_finding *finding) {
    double low = finding->found.low * (1 - WIDENING), high = finding->found.high * (1 + WIDENING);
    const struct sim_claim *claim = &finding->claim;
    if (isinf(claim->high))
        return high >= claim->low;
    if (isinf(claim->low))
        return low <= claim->high;
    return low <= claim->low && claim->high <= high;
}

// 1: a's claim lies above b's; -1: below; 0: they are no different figures.
static int claimed_sign(const struct sim_claim *a, const struct sim_claim *b) {
    return (a->low > b->high) - (a->high < b->low);
}

static int found_sign(const struct sim_interval *a, const struct sim_interval *b) {
    return (a->low > b->high) - (a->high < b->low);
}

enum neighbour { NEIGHBOUR_MISSING, NEIGHBOUR_AGREES, NEIGHBOUR_DISAGREES };

// The nearest row in that direction for which another figure was published.
static enum neighbour compare(const struct sim_finding *findings, size_t count, size_t row,
                              int step) {
    for (size_t i = row + (size_t)step; i < count; i += (size_t)step) { // below 0 is beyond count
        if (!findings[i].claim.given)
            continue;
        int claimed = claimed_sign(&findings[row].claim, &findings[i].claim);
        if (claimed != 0)
            return claimed == found_sign(&findings[row].found, &findings[i].found)
                       ? NEIGHBOUR_AGREES
                       : NEIGHBOUR_DISAGREES;
    }
    return NEIGHBOUR_MISSING;
}

enum sim_verdict sim_verdict_of(const struct sim_finding *findings, size_t count, size_t row) {
    if (!findings[row].claim.given)
        return SIM_VERDICT_NONE;
    if (is_reproduced(&findings[row]))
        return SIM_VERDICT_REPRODUCED;
    enum neighbour above = compare(findings, count, row, -1);
    enum neighbour below = compare(findings, count, row, 1);
    bool agrees = above != NEIGHBOUR_DISAGREES && below != NEIGHBOUR_DISAGREES &&
                  (above == NEIGHBOUR_AGREES || below == NEIGHBOUR_AGREES);
    return agrees ? SIM_VERDICT_ORDER_ONLY : SIM_VERDICT_NOT_REPRODUCED;
}
