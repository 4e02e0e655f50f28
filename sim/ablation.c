// ablation.c: see ablation.h.
#include "ablation.h"

static const struct {
    const char *key, *there, *mended;
} flaws[SIM_FLAW_COUNT] = {
#define X(name, key, there, mended) {key, there, mended},
    SIM_FLAWS(X)
#undef X
};

const char *sim_flaw_key(enum sim_flaw flaw) {
    return flaws[flaw].key;
}

const char *sim_flaw_there(enum sim_flaw flaw) {
    return flaws[flaw].there;
}

const char *sim_flaw_mended(enum sim_flaw flaw) {
    return flaws[flaw].mended;
}

static bool has(unsigned set, enum sim_flaw flaw) {
    return set >> flaw & 1;
}

unsigned sim_flaw_alias(unsigned set) {
    const unsigned of_adoption = 1u << SIM_FLAW_PRIORITY | 1u << SIM_FLAW_NO_GATE;
    return has(set, SIM_FLAW_ADOPTION) ? set : set & ~of_adoption;
}

// Adoption asks the ready mask with and without priority, so that finding pages is not a factor.
static void set_adoption(struct mf2_route *route, unsigned set) {
    route->drain = MF2_DRAIN_OWNER;
    if (!has(set, SIM_FLAW_ADOPTION))
        return;
    route->drain = MF2_DRAIN_ANYONE;
    if (has(set, SIM_FLAW_PRIORITY))
        return;
    route->drain = MF2_DRAIN_GATED;
    route->gate_idle = 1;
    route->rfr_ns = 200000;
}

struct mf2_route sim_flaw_route(unsigned set) {
    struct mf2_route route = {.protocol = MF2_PROTOCOL_COUNTED,
                              .scan = MF2_SCAN_MASK,
                              .claim = 1,
                              .notify = 1,
                              .budget = 4,
                              .idle_ns = 150000};
    set_adoption(&route, set);
    route.must_reuse = !has(set, SIM_FLAW_NO_GATE);
    route.partial = !has(set, SIM_FLAW_NO_PARTIAL);
    route.full_free = route.partial ? MF2_FULL_FREE_PARTIAL : MF2_FULL_FREE_GRAVEYARD;
    route.orphans = has(set, SIM_FLAW_STRAND) ? MF2_ORPHANS_STRAND : MF2_ORPHANS_ADOPT;
    route.empty = has(set, SIM_FLAW_KEEP_EMPTY) ? MF2_EMPTY_KEEP : MF2_EMPTY_RECYCLE;
    return route;
}

// ---------------------------------------------------------------- figures

static const struct {
    const char *key, *unit;
    bool multiplies;
} figures[SIM_ABLATION_FIGURE_COUNT] = {
#define X(name, key, unit, multiplies) {key, unit, multiplies},
    SIM_ABLATION_FIGURES(X)
#undef X
};

const char *sim_ablation_figure_key(enum sim_ablation_figure figure) {
    return figures[figure].key;
}

const char *sim_ablation_figure_unit(enum sim_ablation_figure figure) {
    return figures[figure].unit;
}

bool sim_ablation_multiplies(enum sim_ablation_figure figure) {
    return figures[figure].multiplies;
}

static double ratio(double numerator, double denominator) {
    return denominator > 0 ? numerator / denominator : 0;
}

double sim_ablation_figure_of(const struct sim_outcome *outcome, enum sim_ablation_figure figure) {
    const struct program_measures *m = &outcome->measures;
    switch (figure) {
    case SIM_ABLATION_HELD:
        return ratio((double)m->held_max, (double)m->fewest_max);
    case SIM_ABLATION_NEW:
        return ratio(1e6 * (double)m->new_pages, (double)m->allocations);
    case SIM_ABLATION_LINES:
        return ratio((double)outcome->totals.line_moves, (double)outcome->steps);
    case SIM_ABLATION_OWNERS:
        return ratio((double)m->owner_changes, (double)m->new_pages);
    case SIM_ABLATION_FIGURE_COUNT:
        break;
    }
    return 0;
}

// ---------------------------------------------------------------- workloads

// Sizes of the seed's classes, in proportions that keep one run below a second.
#define SIZES "min=2048,max=32768"
static const char *const workloads[] = {
    "larson,rounds=1,chunks=2000,generations=8," SIZES,
    "larson,rounds=100,chunks=500,generations=2," SIZES,
    "pingpong,batch=200,exchanges=50," SIZES,
    "adopters,batch=200,exchanges=50,adopters=4,hunger=60,idle=2," SIZES,
    "mailbox,batch=256,batches=40,queue=8," SIZES,
    "stop,blocks=2000,rounds=5," SIZES,
    "reclaimer,live=1000,blocks=20000,batch=128," SIZES,
};

const char *sim_ablation_workload(size_t i) {
    return i < sizeof workloads / sizeof workloads[0] ? workloads[i] : NULL;
}
