// seed_table.h: the seed document's table, run again: its rows, the figures compared, the verdicts.
//
// Owns: what the seed says and which route stands for it, how a row is run, how its figures are
// found and judged. doc/seed-table.md says why. Does not know: options, printing.
#ifndef SIM_SEED_TABLE_H
#define SIM_SEED_TABLE_H

#include "sim_run.h"
#include "verdict.h"

// X(NAME, key, unit): what each run is asked for; the first three have claims.
#define SIM_SEED_FIGURES(X)                                                                        \
    X(REUSE, "reuse_over_new", "per cent of new pages")                                            \
    X(SHARE, "reuse_share", "per cent of reuses and new pages")                                    \
    X(NEW, "new_pages_per_million", "pages per million allocations")                               \
    X(HELD, "held_over_fewest", "pages held at most / fewest at most")                             \
    X(RECYCLED, "recycled_pages_per_million", "pages per million allocations")                     \
    X(REUSED, "page_reuses_per_million", "pages per million allocations")
enum sim_seed_figure {
#define X(name, key, unit) SIM_SEED_##name,
    SIM_SEED_FIGURES(X)
#undef X
        SIM_SEED_FIGURE_COUNT,
    SIM_SEED_CLAIM_COUNT = SIM_SEED_HELD
};
const char *sim_seed_figure_key(enum sim_seed_figure figure);
const char *sim_seed_figure_unit(enum sim_seed_figure figure);

struct sim_seed_row {
    const char *name, *route;
    bool predicted; // the seed did not measure it
    struct sim_claim claims[SIM_SEED_CLAIM_COUNT];
};
#define SIM_SEED_ROWS 10
struct sim_seed_row sim_seed_row(size_t row);

// The place of the two rows whose ratio is looked at by itself.
#define SIM_SEED_ROW_T4    2
#define SIM_SEED_ROW_T2    3
#define SIM_SEED_T2_OVER_4 (3.6 / 0.6)
// The row whose runs take a hundred times as long as another's: its helper looks at every page that
// waits for an owner, each time that one comes to wait.
#define SIM_SEED_ROW_PHASE_3 7

// How fast the program goes.
enum sim_seed_pace {
    SIM_SEED_PACE_SEED,     // 133 µs an operation and thread
    SIM_SEED_PACE_MODELLED, // the machine's costs
    SIM_SEED_PACE_HALVED,   // all of MF2's and the machine's costs halved, the program's as before
    SIM_SEED_PACE_DOUBLED,
    SIM_SEED_PACE_COUNT
};
const char *sim_seed_pace_name(enum sim_seed_pace pace);
uint32_t sim_seed_pace_costs(enum sim_seed_pace pace); // in per cent

struct sim_seed_options {
    uint64_t operations, chunks;
    uint32_t threads, cores;
    uint64_t first_seed;
};
extern const struct sim_seed_options sim_seed_defaults;

// One run of a row. `machine` is scaled for the pace already (sim_machine_scale).
struct sim_request sim_seed_request(size_t row, enum sim_seed_pace pace, uint64_t seed_number,
                                    const struct sim_seed_options *options,
                                    const struct sim_machine *machine);
double sim_seed_figure_of(const struct sim_outcome *outcome, enum sim_seed_figure figure);

// values[seed number][row][figure]; of a row the first `row_seeds` count, 2 or more.
struct sim_seed_verdicts {
    struct sim_finding findings[SIM_SEED_FIGURE_COUNT][SIM_SEED_ROWS];
    enum sim_verdict verdicts[SIM_SEED_FIGURE_COUNT][SIM_SEED_ROWS];
    struct sim_interval t2_over_t4; // of reuse, seed by seed
};
typedef double sim_seed_values[SIM_SEED_ROWS][SIM_SEED_FIGURE_COUNT];
// False: no memory.
bool sim_seed_judge(const sim_seed_values *values, const size_t row_seeds[SIM_SEED_ROWS],
                    struct sim_seed_verdicts *verdicts);

#endif
