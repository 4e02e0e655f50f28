// grid.h: a sweep's grid: a JSON file that names axes and their values; every combination is a
// point. doc/simulation.md has the form.
//
// Owns: the file, the points' order, what a point runs, the figures of a run, the cells (points
// that differ by their seed only) and the recommendation per case (cells that differ by route and
// cost only). Does not know: who runs points, in which order, and where results are kept meanwhile.
//
// Order of points: the axes from left to right as in SIM_GRID_AXES, the last one fastest.
#ifndef SIM_GRID_H
#define SIM_GRID_H

#include "sim_run.h"
#include "statistics.h"

#include <jansson.h>

#define SIM_GRID_AXES_MAX   16
#define SIM_GRID_POINTS_MAX (1u << 22)

// What the values of an axis are.
enum sim_grid_axis_kind {
    SIM_GRID_WORKLOAD,
    SIM_GRID_PARAMETER, // of the workload: ",name=value" is put behind it
    SIM_GRID_THREADS,
    SIM_GRID_MACHINE,
    SIM_GRID_CORES,
    SIM_GRID_SWITCH, // of the route, likewise
    SIM_GRID_COSTS,  // per cent
    SIM_GRID_ROUTE,
    SIM_GRID_SEED
};

struct sim_grid_axis {
    char name[32];
    enum sim_grid_axis_kind kind;
    json_t *values; // texts or numbers; NULL for seeds
    size_t count;
};

struct sim_grid {
    json_t *root;
    const struct mf2_geometry *geometry;
    struct sim_grid_axis axes[SIM_GRID_AXES_MAX];
    size_t axis_count, point_count;
    size_t seeds;
    uint64_t first_seed, pace_ps;
    struct sim_machine *machines; // [machine][costs]
    size_t machine_count, cost_count;
    char hash[17]; // of the file's bytes
};

// 0, or -1 with one line in message. To be freed in either case.
int sim_grid_load(const char *path, struct sim_grid *grid, char *message, size_t message_size);
void sim_grid_free(struct sim_grid *grid);

// What the point runs; texts go into `texts`, which must live as long as the request.
struct sim_grid_texts {
    char workload[256], route[256];
};
int sim_grid_request(const struct sim_grid *grid, size_t point, struct sim_request *request,
                     struct sim_grid_texts *texts, char *message, size_t message_size);

// X(NAME, key, lower is better in a recommendation or not asked): figures of a run.
#define SIM_GRID_FIGURES(X)                                                                        \
    X(HELD, "held_over_fewest", true)                                                              \
    X(TIME, "time_per_operation_ns", true)                                                         \
    X(LINES, "line_moves_per_operation", true)                                                     \
    X(NEW, "new_pages_per_million", false)                                                         \
    X(REMOTE, "remote_frees_per_operation", false)                                                 \
    X(OWNERS, "owner_changes_per_thousand", false)                                                 \
    X(REUSE, "reuse_over_new", false)                                                              \
    X(BOUND, "held_over_bound", false)                                                             \
    X(MEAN, "mean_held_over_bound", false)                                                         \
    X(HELD_PAGES, "held_max_pages", false)                                                         \
    X(FEWEST_PAGES, "fewest_max_pages", false)                                                     \
    X(CLASS_PAGES, "constant_pages", false)                                                        \
    X(PREEMPTIONS, "preemptions", false)
enum sim_grid_figure {
#define X(name, key, rated) SIM_GRID_##name,
    SIM_GRID_FIGURES(X)
#undef X
        SIM_GRID_FIGURE_COUNT
};
void sim_grid_figures(const struct sim_outcome *outcome, double *figures);

// The whole sweep from the figures of all its points ([point][figure]): `cells` and
// `recommendations`. NULL: no memory.
json_t *sim_grid_cells(const struct sim_grid *grid, const double *figures);
json_t *sim_grid_recommendations(const struct sim_grid *grid, const double *figures);

#endif
