// seed_table.c: see seed_table.h.
#include "seed_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// ---------------------------------------------------------------- what the seed says

#define SECONDS             10.0
#define WARM_UP_ALLOCATIONS 200000.0 // of its four threads with 10,000 chunks each
#define SEED_OPERATION_NS   133000u  // 4 threads, about 30,000 operations a second

// A row as the seed has it. Counts of 0 and negative percentages: it says nothing.
struct published {
    const char *name, *route;
    bool predicted;
    double reuse_low, reuse_high; // per cent
    double new_low, new_high;     // pages in its run
    double rate_low, rate_high;   // operations a second
};
static const struct published published[SIM_SEED_ROWS] = {
    {"original", "cda", false, 40, 40, 227e3, 227e3, 44e3, 58e3},
    {"+ pending_claim", "cda-claim", false, 40, 40, 227e3, 227e3, 44e3, 58e3},
    {"threshold 4", "cda-t4", false, 0.6, 0.6, 138e3, 138e3, 29e3, 29e3},
    {"threshold 2", "cda-t2", false, 3.6, 3.6, 138e3, 138e3, 31e3, 31e3},
    {"1 + re-enqueue", "cda-reenqueue", false, 6.2, 6.2, 230267, 230267, 30377, 30377},
    {"Route S phase 1", "s1", true, 50, INFINITY, 0, 0, 60e3, INFINITY},
    {"Route S phase 2", "s2", true, 70, INFINITY, 0, 0, 80e3, INFINITY},
    {"Route S phase 3", "s3", true, 70, 80, 50e3, 80e3, 60e3, 100e3},
    {"Route P", "p", false, -1, -1, 0, 0, 0, 0},
    {"target", "best", true, 90, INFINITY, -INFINITY, 50e3, 1e6, 1e6},
};
_Static_assert(sizeof published / sizeof published[0] == SIM_SEED_ROWS, "all rows");

static double new_per_million(double pages, double rate) {
    return pages / (rate * SECONDS + WARM_UP_ALLOCATIONS) * 1e6;
}

struct sim_seed_row sim_seed_row(size_t row) {
    const struct published *p = &published[row];
    struct sim_claim reuse = {p->reuse_low >= 0, p->reuse_low, p->reuse_high};
    struct sim_claim pages = {p->new_high > 0, new_per_million(p->new_low, p->rate_high),
                              new_per_million(p->new_high, p->rate_low)};
    return (struct sim_seed_row){
        .name = p->name,
        .route = p->route,
        .predicted = p->predicted,
        .claims = {[SIM_SEED_REUSE] = reuse, [SIM_SEED_SHARE] = reuse, [SIM_SEED_NEW] = pages},
    };
}

// ---------------------------------------------------------------- a run

const struct sim_seed_options sim_seed_defaults = {
    .operations = 300000, .chunks = 10000, .threads = 4, .first_seed = 12345};

const char *sim_seed_pace_name(enum sim_seed_pace pace) {
    static const char *const names[] = {"seed", "modelled", "halved", "doubled"};
    return names[pace];
}

uint32_t sim_seed_pace_costs(enum sim_seed_pace pace) {
    static const uint32_t percents[] = {100, 100, 50, 200};
    return percents[pace];
}

// More than the operations need.
static unsigned long long generations(const struct sim_seed_options *options) {
    return options->operations / (options->threads * options->chunks) + 2;
}

struct sim_request sim_seed_request(size_t row, enum sim_seed_pace pace, uint64_t seed_number,
                                    const struct sim_seed_options *options,
                                    const struct sim_machine *machine) {
    struct sim_request request = {
        .machine = machine,
        .cores = options->cores,
        .geometry = mf2_geometry_find("seed"),
        .route_text = published[row].route,
        .seed = options->first_seed + seed_number,
        .brief = true,
        // An operation of Larson's is a free and an allocation.
        .pace_ps = pace == SIM_SEED_PACE_SEED ? SEED_OPERATION_NS * SIM_PS_PER_NS / 2 : 0,
        .settings = {.threads = options->threads, .seed = options->first_seed + seed_number},
    };
    char text[128], message[256];
    snprintf(text, sizeof text,
             "larson,rounds=1,min=2048,max=32768,chunks=%llu,generations=%llu,operations=%llu",
             (unsigned long long)options->chunks, generations(options),
             (unsigned long long)options->operations);
    request.workload = workload_parse(text, &request.settings, message, sizeof message);
    if (!mf2_route_parse(request.route_text, &request.route, message, sizeof message) ||
        !request.workload)
        abort(); // the table above names what there is
    return request;
}

static double ratio(double numerator, double denominator) {
    return denominator > 0 ? numerator / denominator : 0;
}

double sim_seed_figure_of(const struct sim_outcome *outcome, enum sim_seed_figure figure) {
    const struct program_measures *m = &outcome->measures;
    double made = (double)m->new_pages, reused = (double)m->page_reuses;
    double millions = (double)m->allocations / 1e6;
    switch (figure) {
    case SIM_SEED_REUSE:
        return 100 * ratio(reused, made);
    case SIM_SEED_SHARE:
        return 100 * ratio(reused, reused + made);
    case SIM_SEED_NEW:
        return ratio(made, millions);
    case SIM_SEED_HELD:
        return ratio((double)m->held_max, (double)m->fewest_max);
    case SIM_SEED_RECYCLED:
        return ratio((double)m->recycled_pages, millions);
    case SIM_SEED_REUSED:
        return ratio(reused, millions);
    case SIM_SEED_FIGURE_COUNT:
        break;
    }
    return 0;
}

const char *sim_seed_figure_key(enum sim_seed_figure figure) {
    static const char *const keys[] = {
#define X(name, key, unit) key,
        SIM_SEED_FIGURES(X)
#undef X
    };
    return keys[figure];
}

const char *sim_seed_figure_unit(enum sim_seed_figure figure) {
    static const char *const units[] = {
#define X(name, key, unit) unit,
        SIM_SEED_FIGURES(X)
#undef X
    };
    return units[figure];
}

// ---------------------------------------------------------------- judging

static struct sim_interval interval_of(const sim_seed_values *values, size_t seeds, size_t row,
                                       enum sim_seed_figure figure, double *list) {
    for (size_t i = 0; i < seeds; i++)
        list[i] = values[i][row][figure];
    return sim_interval_of(list, seeds);
}

static struct sim_interval t2_over_t4(const sim_seed_values *values, size_t seeds, double *list) {
    for (size_t i = 0; i < seeds; i++)
        list[i] = ratio(values[i][SIM_SEED_ROW_T2][SIM_SEED_REUSE],
                        values[i][SIM_SEED_ROW_T4][SIM_SEED_REUSE]);
    return sim_interval_of(list, seeds);
}

static size_t most_seeds(const size_t row_seeds[SIM_SEED_ROWS]) {
    size_t most = 0;
    for (size_t row = 0; row < SIM_SEED_ROWS; row++)
        most = row_seeds[row] > most ? row_seeds[row] : most;
    return most;
}

bool sim_seed_judge(const sim_seed_values *values, const size_t row_seeds[SIM_SEED_ROWS],
                    struct sim_seed_verdicts *verdicts) {
    double *list = malloc(most_seeds(row_seeds) * sizeof *list);
    if (!list)
        return false;
    size_t both = row_seeds[SIM_SEED_ROW_T2] < row_seeds[SIM_SEED_ROW_T4]
                      ? row_seeds[SIM_SEED_ROW_T2]
                      : row_seeds[SIM_SEED_ROW_T4];
    *verdicts = (struct sim_seed_verdicts){.t2_over_t4 = t2_over_t4(values, both, list)};
    for (enum sim_seed_figure f = 0; f < SIM_SEED_FIGURE_COUNT; f++)
        for (size_t row = 0; row < SIM_SEED_ROWS; row++)
            verdicts->findings[f][row] =
                (struct sim_finding){.claim = f < SIM_SEED_CLAIM_COUNT ? sim_seed_row(row).claims[f]
                                                                       : (struct sim_claim){0},
                                     .found = interval_of(values, row_seeds[row], row, f, list)};
    for (enum sim_seed_figure f = 0; f < SIM_SEED_FIGURE_COUNT; f++)
        for (size_t row = 0; row < SIM_SEED_ROWS; row++)
            verdicts->verdicts[f][row] = sim_verdict_of(verdicts->findings[f], SIM_SEED_ROWS, row);
    free(list);
    return true;
}
