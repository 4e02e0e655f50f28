// grid.c: see grid.h.
#include "grid.h"
#include "sim_os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const struct {
    const char *key;
    bool rated;
} figure_table[SIM_GRID_FIGURE_COUNT] = {
#define X(name, key, rated) {key, rated},
    SIM_GRID_FIGURES(X)
#undef X
};

struct report {
    const char *file;
    char *message;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static int fail(const struct report *report,
                                                      const char *format, ...) {
    int used = snprintf(report->message, report->size, "%s: ", report->file);
    va_list arguments;
    va_start(arguments, format);
    if (used >= 0 && (size_t)used < report->size)
        vsnprintf(report->message + used, report->size - (size_t)used, format, arguments);
    va_end(arguments);
    return -1;
}

// ---------------------------------------------------------------- the file

static int add_axis(struct sim_grid *grid, const char *name, enum sim_grid_axis_kind kind,
                    json_t *values, bool numbers, const struct report *report) {
    if (grid->axis_count == SIM_GRID_AXES_MAX)
        return fail(report, "expected at most %d axes", SIM_GRID_AXES_MAX);
    if (!json_is_array(values) || json_array_size(values) == 0 || strlen(name) >= 32)
        return fail(report, "'%s': expected a list of one value or more", name);
    for (size_t i = 0; i < json_array_size(values); i++) {
        json_t *value = json_array_get(values, i);
        if (numbers ? !json_is_integer(value) || json_integer_value(value) < 0
                    : !json_is_string(value))
            return fail(report, "'%s': expected %s", name, numbers ? "numbers" : "texts");
    }
    struct sim_grid_axis *axis = &grid->axes[grid->axis_count++];
    snprintf(axis->name, sizeof axis->name, "%s", name);
    axis->kind = kind;
    axis->values = values;
    axis->count = json_array_size(values);
    return 0;
}

// A list under this key, or one value of `absent` (NULL: there must be one).
static int add_list(struct sim_grid *grid, const char *key, const char *name,
                    enum sim_grid_axis_kind kind, bool numbers, json_t *absent,
                    const struct report *report) {
    json_t *values = json_object_get(grid->root, key);
    if (!values && absent) {
        values = json_array();
        json_array_append_new(values, absent);
        json_object_set_new(grid->root, key, values);
    } else {
        json_decref(absent);
    }
    if (!values)
        return fail(report, "expected '%s', a list", key);
    return add_axis(grid, name, kind, values, numbers, report);
}

static int add_named(struct sim_grid *grid, const char *key, enum sim_grid_axis_kind kind,
                     const struct report *report) {
    json_t *object = json_object_get(grid->root, key), *values;
    const char *name;
    if (object && !json_is_object(object))
        return fail(report, "'%s': expected an object of lists", key);
    json_object_foreach(object, name, values) {
        if (add_axis(grid, name, kind, values, true, report))
            return -1;
    }
    return 0;
}

static int read_axes(struct sim_grid *grid, const struct report *report) {
    struct sim_grid_axis *seeds;
    if (add_list(grid, "workloads", "workload", SIM_GRID_WORKLOAD, false, NULL, report) ||
        add_named(grid, "parameters", SIM_GRID_PARAMETER, report) ||
        add_list(grid, "threads", "threads", SIM_GRID_THREADS, true, json_integer(4), report) ||
        add_list(grid, "machines", "machine", SIM_GRID_MACHINE, false,
                 json_string(SIM_MACHINE_DEFAULT), report) ||
        add_list(grid, "cores", "cores", SIM_GRID_CORES, true, json_integer(0), report) ||
        add_named(grid, "switches", SIM_GRID_SWITCH, report) ||
        add_list(grid, "costs", "costs", SIM_GRID_COSTS, true, json_integer(100), report) ||
        add_list(grid, "routes", "route", SIM_GRID_ROUTE, false, NULL, report))
        return -1;
    if (grid->axis_count == SIM_GRID_AXES_MAX)
        return fail(report, "expected at most %d axes", SIM_GRID_AXES_MAX);
    seeds = &grid->axes[grid->axis_count++];
    *seeds = (struct sim_grid_axis){"seed", SIM_GRID_SEED, NULL, grid->seeds};
    grid->point_count = 1;
    for (size_t i = 0; i < grid->axis_count; i++) {
        grid->point_count *= grid->axes[i].count;
        if (grid->point_count > SIM_GRID_POINTS_MAX)
            return fail(report, "expected at most %u points", SIM_GRID_POINTS_MAX);
    }
    return 0;
}

static int read_number(const struct sim_grid *grid, const char *key, uint64_t least, uint64_t most,
                       uint64_t absent, uint64_t *number, const struct report *report) {
    json_t *value = json_object_get(grid->root, key);
    *number = absent;
    if (!value)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < (json_int_t)least ||
        json_integer_value(value) > (json_int_t)most)
        return fail(report, "'%s': expected a number from %llu to %llu", key,
                    (unsigned long long)least, (unsigned long long)most);
    *number = (uint64_t)json_integer_value(value);
    return 0;
}

static int refuse_unknown(const struct sim_grid *grid, const struct report *report) {
    static const char *const known[] = {"schema",   "version", "workloads", "parameters", "threads",
                                        "machines", "cores",   "switches",  "costs",      "routes",
                                        "seeds",    "seed",    "pace_ns",   "geometry"};
    const char *key;
    json_t *value;
    json_object_foreach(grid->root, key, value) {
        size_t i = 0;
        while (i < sizeof known / sizeof known[0] && strcmp(key, known[i]) != 0)
            i++;
        if (i == sizeof known / sizeof known[0])
            return fail(report, "unknown key '%s'", key);
    }
    return 0;
}

static int read_root(struct sim_grid *grid, const struct report *report) {
    uint64_t seeds, pace_ns;
    const char *schema = json_string_value(json_object_get(grid->root, "schema"));
    json_t *geometry = json_object_get(grid->root, "geometry");
    if (!schema || strcmp(schema, "hak.grid") != 0 ||
        json_integer_value(json_object_get(grid->root, "version")) != 1)
        return fail(report, "expected schema \"hak.grid\", version 1");
    if (refuse_unknown(grid, report) || read_number(grid, "seeds", 2, 1000, 5, &seeds, report) ||
        read_number(grid, "seed", 0, INT64_MAX / 2, 12345, &grid->first_seed, report) ||
        read_number(grid, "pace_ns", 0, 1000000000, 0, &pace_ns, report))
        return -1;
    grid->seeds = seeds;
    grid->pace_ps = pace_ns * SIM_PS_PER_NS;
    grid->geometry = mf2_geometry_find(geometry ? json_string_value(geometry) : "seed");
    if (!grid->geometry)
        return fail(report, "'geometry': expected default, seed or scenario");
    return read_axes(grid, report);
}

static const struct sim_grid_axis *axis_of(const struct sim_grid *grid,
                                           enum sim_grid_axis_kind kind) {
    const struct sim_grid_axis *axis = grid->axes;
    while (axis->kind != kind)
        axis++;
    return axis;
}

static int load_machines(struct sim_grid *grid, const struct report *report) {
    const struct sim_grid_axis *machines = axis_of(grid, SIM_GRID_MACHINE);
    const struct sim_grid_axis *costs = axis_of(grid, SIM_GRID_COSTS);
    grid->machine_count = machines->count;
    grid->cost_count = costs->count;
    grid->machines = calloc(machines->count * costs->count, sizeof *grid->machines);
    if (!grid->machines)
        return fail(report, "out of memory for its machines");
    for (size_t i = 0; i < machines->count * costs->count; i++) {
        json_int_t percent = json_integer_value(json_array_get(costs->values, i % costs->count));
        if (percent < 1 || percent > 10000)
            return fail(report, "'costs': expected per cents from 1 to 10000");
        if (sim_machine_load(json_string_value(json_array_get(machines->values, i / costs->count)),
                             &grid->machines[i], report->message, report->size))
            return -1;
        sim_machine_scale(&grid->machines[i], (uint32_t)percent);
    }
    return 0;
}

// Every combination of workload, parameters, route and switches that can be asked for, before the
// first run.
static int check_points(const struct sim_grid *grid, const struct report *report) {
    struct sim_grid_texts texts;
    struct sim_request request;
    char why[512];
    for (size_t point = 0; point < grid->point_count; point += grid->seeds)
        if (sim_grid_request(grid, point, &request, &texts, why, sizeof why))
            return fail(report, "%s", why);
    return 0;
}

int sim_grid_load(const char *path, struct sim_grid *grid, char *message, size_t message_size) {
    struct report report = {path, message, message_size};
    *grid = (struct sim_grid){0};
    size_t size;
    char *text = sim_os_read_file(path, &size, message, message_size);
    if (!text)
        return -1;
    json_error_t error;
    grid->root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    snprintf(grid->hash, sizeof grid->hash, "%016llx", (unsigned long long)XXH3_64bits(text, size));
    free(text);
    if (!json_is_object(grid->root))
        return fail(&report, "line %d, offset %d: expected a JSON object: %s", error.line,
                    error.position, error.text);
    return read_root(grid, &report) || load_machines(grid, &report) || check_points(grid, &report)
               ? -1
               : 0;
}

void sim_grid_free(struct sim_grid *grid) {
    json_decref(grid->root);
    free(grid->machines);
    grid->root = NULL;
    grid->machines = NULL;
}

// ---------------------------------------------------------------- points

static void digits_of(const struct sim_grid *grid, size_t point, size_t *digits) {
    for (size_t i = grid->axis_count; i-- > 0;) {
        digits[i] = point % grid->axes[i].count;
        point /= grid->axes[i].count;
    }
}

static void append(char *text, size_t size, const char *name, json_t *value) {
    size_t used = strlen(text);
    snprintf(text + used, size - used, ",%s=%lld", name, (long long)json_integer_value(value));
}

// The texts and numbers that the digits name.
struct choice {
    size_t machine, costs, seed;
    uint32_t threads, cores;
};

static struct choice choose(const struct sim_grid *grid, const size_t *digits,
                            struct sim_grid_texts *texts) {
    struct choice choice = {0};
    const char *workload = "", *route = "";
    for (size_t i = 0; i < grid->axis_count; i++) {
        json_t *value = json_array_get(grid->axes[i].values, digits[i]);
        switch (grid->axes[i].kind) {
        case SIM_GRID_WORKLOAD:
            workload = json_string_value(value);
            break;
        case SIM_GRID_ROUTE:
            route = json_string_value(value);
            break;
        case SIM_GRID_THREADS:
            choice.threads = (uint32_t)json_integer_value(value);
            break;
        case SIM_GRID_CORES:
            choice.cores = (uint32_t)json_integer_value(value);
            break;
        case SIM_GRID_MACHINE:
            choice.machine = digits[i];
            break;
        case SIM_GRID_COSTS:
            choice.costs = digits[i];
            break;
        case SIM_GRID_SEED:
            choice.seed = digits[i];
            break;
        case SIM_GRID_PARAMETER:
        case SIM_GRID_SWITCH:
            break;
        }
    }
    snprintf(texts->workload, sizeof texts->workload, "%s", workload);
    snprintf(texts->route, sizeof texts->route, "%s", route);
    for (size_t i = 0; i < grid->axis_count; i++) {
        json_t *value = json_array_get(grid->axes[i].values, digits[i]);
        if (grid->axes[i].kind == SIM_GRID_PARAMETER)
            append(texts->workload, sizeof texts->workload, grid->axes[i].name, value);
        else if (grid->axes[i].kind == SIM_GRID_SWITCH)
            append(texts->route, sizeof texts->route, grid->axes[i].name, value);
    }
    return choice;
}

int sim_grid_request(const struct sim_grid *grid, size_t point, struct sim_request *request,
                     struct sim_grid_texts *texts, char *message, size_t message_size) {
    size_t digits[SIM_GRID_AXES_MAX];
    digits_of(grid, point, digits);
    struct choice choice = choose(grid, digits, texts);
    *request = (struct sim_request){
        .machine = &grid->machines[choice.machine * grid->cost_count + choice.costs],
        .cores = choice.cores,
        .geometry = grid->geometry,
        .route_text = texts->route,
        .seed = grid->first_seed + choice.seed,
        .settings = {.threads = choice.threads, .seed = grid->first_seed + choice.seed},
        .pace_ps = grid->pace_ps,
        .brief = true,
    };
    if (choice.threads < 1 || choice.threads > 4096 || choice.cores > SIM_CORE_LIMIT) {
        snprintf(message, message_size, "expected 1 to 4096 threads, and at most %u cores",
                 SIM_CORE_LIMIT);
        return -1;
    }
    request->workload = workload_parse(texts->workload, &request->settings, message, message_size);
    return request->workload &&
                   mf2_route_parse(texts->route, &request->route, message, message_size)
               ? 0
               : -1;
}

// ---------------------------------------------------------------- figures

static double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

void sim_grid_figures(const struct sim_outcome *outcome, double *figures) {
    const struct program_measures *m = &outcome->measures;
    double steps = (double)outcome->steps, classes = (double)m->constant_pages;
    figures[SIM_GRID_HELD] = ratio((double)m->held_max, (double)m->fewest_max);
    figures[SIM_GRID_TIME] = ratio((double)outcome->end_ps / SIM_PS_PER_NS, steps);
    figures[SIM_GRID_LINES] = ratio((double)outcome->totals.line_moves, steps);
    figures[SIM_GRID_NEW] = ratio(1e6 * (double)m->new_pages, (double)m->allocations);
    figures[SIM_GRID_REMOTE] = ratio((double)m->remote_frees, steps);
    figures[SIM_GRID_OWNERS] = ratio(1e3 * (double)m->owner_changes, steps);
    figures[SIM_GRID_REUSE] = ratio((double)m->page_reuses, (double)m->new_pages);
    figures[SIM_GRID_BOUND] = ratio((double)m->held_max, 1.15 * (double)m->fewest_max + classes);
    figures[SIM_GRID_MEAN] = ratio(m->held_mean, 1.15 * m->fewest_mean + classes);
    figures[SIM_GRID_HELD_PAGES] = (double)m->held_max;
    figures[SIM_GRID_FEWEST_PAGES] = (double)m->fewest_max;
    figures[SIM_GRID_CLASS_PAGES] = classes;
    figures[SIM_GRID_PREEMPTIONS] = (double)outcome->totals.preemptions;
}

// Over the seeds of the cell that begins with this point.
static struct sim_interval interval_at(const struct sim_grid *grid, const double *figures,
                                       size_t point, enum sim_grid_figure figure) {
    double values[1000];
    for (size_t seed = 0; seed < grid->seeds; seed++)
        values[seed] = figures[(point + seed) * SIM_GRID_FIGURE_COUNT + figure];
    return sim_interval_of(values, grid->seeds);
}

static json_t *interval_json(struct sim_interval interval) {
    json_t *object = json_object();
    json_object_set_new(object, "mean", json_real(interval.mean));
    json_object_set_new(object, "low", json_real(interval.low));
    json_object_set_new(object, "high", json_real(interval.high));
    return object;
}

// Where the point lies, but for the axes of these kinds.
static json_t *place_json(const struct sim_grid *grid, size_t point, bool with_route) {
    size_t digits[SIM_GRID_AXES_MAX];
    json_t *place = json_object();
    digits_of(grid, point, digits);
    for (size_t i = 0; i < grid->axis_count; i++) {
        const struct sim_grid_axis *axis = &grid->axes[i];
        bool of_route = axis->kind == SIM_GRID_ROUTE || axis->kind == SIM_GRID_COSTS;
        if (axis->values && (with_route || !of_route))
            json_object_set(place, axis->name, json_array_get(axis->values, digits[i]));
    }
    return place;
}

json_t *sim_grid_cells(const struct sim_grid *grid, const double *figures) {
    json_t *cells = json_array();
    for (size_t point = 0; point < grid->point_count; point += grid->seeds) {
        json_t *cell = place_json(grid, point, true);
        for (enum sim_grid_figure f = 0; f < SIM_GRID_FIGURE_COUNT; f++)
            json_object_set_new(cell, figure_table[f].key,
                                interval_json(interval_at(grid, figures, point, f)));
        json_array_append_new(cells, cell);
    }
    return cells;
}

// ---------------------------------------------------------------- recommendations
//
// Costs and routes are the last axes but the seeds, so that a case's cells stand side by side.

struct case_view {
    const struct sim_grid *grid;
    const double *figures;
    size_t first; // point
    size_t routes;
};

static struct sim_interval at(const struct case_view *view, size_t costs, size_t route,
                              enum sim_grid_figure figure) {
    size_t point = view->first + (costs * view->routes + route) * view->grid->seeds;
    return interval_at(view->grid, view->figures, point, figure);
}

static size_t least(const struct case_view *view, size_t costs, enum sim_grid_figure figure) {
    size_t best = 0;
    for (size_t route = 1; route < view->routes; route++)
        if (at(view, costs, route, figure).mean < at(view, costs, best, figure).mean)
            best = route;
    return best;
}

// The costs as the table has them, if the grid has them; else its first.
static size_t plain_costs(const struct sim_grid *grid) {
    const struct sim_grid_axis *costs = axis_of(grid, SIM_GRID_COSTS);
    for (size_t i = 0; i < costs->count; i++)
        if (json_integer_value(json_array_get(costs->values, i)) == 100)
            return i;
    return 0;
}

// "": decided.
static const char *why_undecided(const struct case_view *view, enum sim_grid_figure figure,
                                 size_t plain, size_t best) {
    struct sim_interval of_best = at(view, plain, best, figure);
    for (size_t route = 0; route < view->routes; route++)
        if (route != best && !sim_intervals_separate(of_best, at(view, plain, route, figure)))
            return "tie";
    for (size_t costs = 0; costs < view->grid->cost_count; costs++)
        if (least(view, costs, figure) != best)
            return "flips inside the band";
    return "";
}

static json_t *recommend(const struct case_view *view, enum sim_grid_figure figure) {
    const struct sim_grid_axis *routes = axis_of(view->grid, SIM_GRID_ROUTE);
    size_t plain = plain_costs(view->grid), best = least(view, plain, figure);
    const char *why = why_undecided(view, figure, plain, best);
    json_t *object = place_json(view->grid, view->first, false);
    json_object_set_new(object, "figure", json_string(figure_table[figure].key));
    json_object_set(object, "least", json_array_get(routes->values, best));
    json_object_set_new(object, "undecided", json_boolean(*why != '\0'));
    if (*why)
        json_object_set_new(object, "why", json_string(why));
    return object;
}

json_t *sim_grid_recommendations(const struct sim_grid *grid, const double *figures) {
    json_t *list = json_array();
    size_t routes = axis_of(grid, SIM_GRID_ROUTE)->count;
    size_t of_case = grid->cost_count * routes * grid->seeds;
    for (size_t first = 0; routes > 1 && first < grid->point_count; first += of_case) {
        struct case_view view = {grid, figures, first, routes};
        for (enum sim_grid_figure f = 0; f < SIM_GRID_FIGURE_COUNT; f++)
            if (figure_table[f].rated)
                json_array_append_new(list, recommend(&view, f));
    }
    return list;
}
