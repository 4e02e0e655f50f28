// ablation.h: the seed's flaws as factors: each is there or mended, in all combinations.
//
// Owns: which switches a flaw is, which figures are looked at, the workloads that are run unless
// others are asked for. Does not know: options, printing.
#ifndef SIM_ABLATION_H
#define SIM_ABLATION_H

#include "sim_run.h"

// X(NAME, key, there, mended)
#define SIM_FLAWS(X)                                                                               \
    X(ADOPTION, "adoption", "anybody adopts pending pages", "only owners drain them")              \
    X(PRIORITY, "no-owner-priority", "adoption at once",                                           \
      "an owner has 200 us to itself and must be idle for 150 us")                                 \
    X(NO_GATE, "no-must-reuse-gate", "a new page before own pending ones",                         \
      "own pending pages and remote frees come first")                                             \
    X(NO_PARTIAL, "no-partial-list", "local frees into full pages go unnoticed",                   \
      "such pages are taken back on a partial list")                                               \
    X(STRAND, "orphans-stranded", "pages of exited owners are left",                               \
      "slow paths adopt pages of exited owners")                                                   \
    X(KEEP_EMPTY, "empties-kept", "an empty page stays with its owner and class",                  \
      "an empty page goes to a cache that all share")
enum sim_flaw {
#define X(name, key, there, mended) SIM_FLAW_##name,
    SIM_FLAWS(X)
#undef X
        SIM_FLAW_COUNT
};
const char *sim_flaw_key(enum sim_flaw flaw);
const char *sim_flaw_there(enum sim_flaw flaw);
const char *sim_flaw_mended(enum sim_flaw flaw);

#define SIM_FLAW_SETS (1u << SIM_FLAW_COUNT)

// The route with these flaws (bit by enum) and no others; of a set that is its own alias.
struct mf2_route sim_flaw_route(unsigned flaws);
// The set that is run instead of this one. Without adoption there is nothing that an owner's
// priority could hold up, and the gate is there: it is then what drains at all.
unsigned sim_flaw_alias(unsigned flaws);

// X(NAME, key, unit, multiplies): what is looked at. A figure that multiplies is analysed by its
// logarithm: effects are factors.
#define SIM_ABLATION_FIGURES(X)                                                                    \
    X(HELD, "held_over_fewest", "pages held at most / fewest at most", true)                       \
    X(NEW, "new_pages_per_million", "pages per million allocations", true)                         \
    X(LINES, "line_moves_per_operation", "modelled cache lines fetched", true)                     \
    X(OWNERS, "owner_changes_per_page", "changes of owner per new page", false)
enum sim_ablation_figure {
#define X(name, key, unit, multiplies) SIM_ABLATION_##name,
    SIM_ABLATION_FIGURES(X)
#undef X
        SIM_ABLATION_FIGURE_COUNT
};
const char *sim_ablation_figure_key(enum sim_ablation_figure figure);
const char *sim_ablation_figure_unit(enum sim_ablation_figure figure);
bool sim_ablation_multiplies(enum sim_ablation_figure figure);
double sim_ablation_figure_of(const struct sim_outcome *outcome, enum sim_ablation_figure figure);

// Workload i of the default set, as --workload takes it; NULL past the last one.
const char *sim_ablation_workload(size_t i);

#endif
