// haksim_sweep.c: `haksim sweep GRID`: every point of a grid, in any order and any number of goes;
// one results file.
//
// What has been run is kept beside the results file, in FILE.part: a head line with the hashes of
// grid and sources, then a line for each point: its number and its figures. A sweep that is begun
// again goes on from there; whoever else runs points of it (--points) puts such lines there as
// well. The results file is made of all lines at the end, in the grid's order, so that it does not
// depend on who ran what when.
#include "batch.h"
#include "grid.h"
#include "haksim.h"
#include "sim_os.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_PATH "sweep.sim.json"
#define SLICE       256 // points that are begun together
#define LINE_BYTES  1024

struct command {
    const char *grid, *points;
    uint64_t jobs;
    bool count, help;
    struct haksim_output output;
};

struct sweep {
    const struct command *command;
    struct sim_grid grid;
    size_t first, end; // points to be run
    double *figures;   // [point][figure]
    bool *done;
    char part_path[1024];
    FILE *part; // where lines go
    struct sim_progress progress;
};

static void print_help(void) {
    puts("Usage: haksim sweep GRID [OPTIONS]\n"
         "Run every point of a grid: routes, workloads and their parameters, machines, threads,\n"
         "costs, seeds. All figures are modelled. Begun again, it goes on where it was.\n"
         "\n"
         "  -o, --output=FILE   write the results there (" REPORT_PATH "); FILE.part until then\n"
         "      --jobs=N        runs side by side (one for each core here)\n"
         "      --points=A-B    run these points only and print their lines for FILE.part\n"
         "      --count         print how many points there are\n"
         "      --json          print the results as JSON instead of the recommendations\n"
         "      --quiet         print nothing but errors\n"
         "      --help          print this help\n"
         "\n"
         "GRID is a JSON object: schema \"hak.grid\", version 1, routes and workloads (lists), "
         "and,\n"
         "where wanted, machines, threads, cores, costs (lists), parameters and switches (objects "
         "of\n"
         "lists), geometry (seed), seeds (5), seed (12345), pace_ns.\n"
         "\nExample:\n"
         "  echo '{\"schema\":\"hak.grid\",\"version\":1,\"routes\":[\"cda\",\"s2\",\"best\"],\n"
         "    \"workloads\":[\"larson\"],\"threads\":[2,4,8]}' > grid.json\n"
         "  haksim sweep grid.json");
}

// ---------------------------------------------------------------- lines

static void print_head(const struct sweep *sweep, FILE *file) {
    fprintf(file, "hak.sweep-part 1 %s %s\n", sweep->grid.hash, world_source_hash());
}

static void print_line(const struct sweep *sweep, size_t point, FILE *file) {
    fprintf(file, "%zu", point);
    for (size_t f = 0; f < SIM_GRID_FIGURE_COUNT; f++)
        fprintf(file, " %.17g", sweep->figures[point * SIM_GRID_FIGURE_COUNT + f]);
    fputc('\n', file);
    fflush(file);
}

// A line that was cut is as good as none.
static void take_line(struct sweep *sweep, const char *line) {
    double values[SIM_GRID_FIGURE_COUNT];
    char *end;
    size_t length = strlen(line);
    unsigned long long point = strtoull(line, &end, 10);
    if (end == line || length == 0 || line[length - 1] != '\n' || point >= sweep->grid.point_count)
        return;
    for (size_t f = 0; f < SIM_GRID_FIGURE_COUNT; f++) {
        const char *at = end;
        values[f] = strtod(at, &end);
        if (end == at || !isfinite(values[f]))
            return;
    }
    if (*end != '\n')
        return;
    memcpy(&sweep->figures[point * SIM_GRID_FIGURE_COUNT], values, sizeof values);
    sweep->done[point] = true;
}

static int read_part(struct sweep *sweep) {
    char line[LINE_BYTES], head[128];
    FILE *file = fopen(sweep->part_path, "re");
    if (!file)
        return HAKSIM_OK; // nothing has been run
    snprintf(head, sizeof head, "hak.sweep-part 1 %s %s\n", sweep->grid.hash, world_source_hash());
    bool ours = fgets(line, sizeof line, file) && strcmp(line, head) == 0;
    while (ours && fgets(line, sizeof line, file))
        take_line(sweep, line);
    fclose(file);
    return ours ? HAKSIM_OK
                : haksim_fail("%s: is of another grid or version of MF2; expected '%.*s'",
                              sweep->part_path, (int)strlen(head) - 1, head);
}

// Written anew, without what was cut; further lines go behind it.
static int open_part(struct sweep *sweep) {
    sweep->part = fopen(sweep->part_path, "we");
    if (!sweep->part)
        return haksim_fail("%s: cannot write", sweep->part_path);
    print_head(sweep, sweep->part);
    for (size_t point = 0; point < sweep->grid.point_count; point++)
        if (sweep->done[point])
            print_line(sweep, point, sweep->part);
    return HAKSIM_OK;
}

// ---------------------------------------------------------------- running

static void on_done(void *self, const struct sim_job *job) {
    struct sweep *sweep = self;
    size_t point = (size_t)job->tag;
    if (job->done && !job->outcome.violation[0]) {
        sim_grid_figures(&job->outcome, &sweep->figures[point * SIM_GRID_FIGURE_COUNT]);
        sweep->done[point] = true;
        print_line(sweep, point, sweep->part);
    }
    sim_progress_step(&sweep->progress);
}

static int run_slice(struct sweep *sweep, struct sim_job *jobs, size_t count) {
    struct sim_batch batch = {.jobs = jobs,
                              .count = count,
                              .workers = (unsigned)sweep->command->jobs,
                              .on_done = on_done,
                              .self = sweep,
                              .stop = &sim_os_interrupted};
    sim_batch_run(&batch);
    if (sim_os_interrupted)
        return HAKSIM_STOPPED;
    const struct sim_job *failed = sim_batch_first_failure(&batch);
    if (!failed)
        return HAKSIM_OK;
    haksim_fail("sweep: point %" PRIu64 ", route %s: %s%s", failed->tag, failed->request.route_text,
                failed->message, failed->outcome.violation);
    return failed->message[0] ? HAKSIM_USAGE : HAKSIM_VIOLATION;
}

// The next points that are not done, up to a slice; returns how many.
static size_t next_slice(const struct sweep *sweep, size_t *from, struct sim_job *jobs,
                         struct sim_grid_texts *texts) {
    char message[512];
    size_t count = 0;
    for (; *from < sweep->end && count < SLICE; ++*from) {
        if (sweep->done[*from])
            continue;
        jobs[count] = (struct sim_job){.tag = *from};
        // It was checked when the grid was read.
        sim_grid_request(&sweep->grid, *from, &jobs[count].request, &texts[count], message,
                         sizeof message);
        jobs[count].request.stop = &sim_os_interrupted;
        count++;
    }
    return count;
}

static int run_points(struct sweep *sweep) {
    struct sim_job *jobs = calloc(SLICE, sizeof *jobs);
    struct sim_grid_texts *texts = calloc(SLICE, sizeof *texts);
    int status = jobs && texts ? HAKSIM_OK : haksim_fail("out of memory for the runs");
    size_t left = 0, from = sweep->first, count;
    for (size_t point = sweep->first; point < sweep->end; point++)
        left += !sweep->done[point];
    sweep->progress = sim_progress_begin("points", left, sweep->command->output.quiet);
    while (status == HAKSIM_OK && (count = next_slice(sweep, &from, jobs, texts)) > 0)
        status = run_slice(sweep, jobs, count);
    sim_progress_end(&sweep->progress);
    free(jobs);
    free(texts);
    return status;
}

// ---------------------------------------------------------------- results

static void print_recommendation(json_t *each) {
    const char *key;
    json_t *value;
    json_object_foreach(each, key, value) {
        if (json_is_string(value))
            printf("%s=%s ", key, json_string_value(value));
        else if (json_is_integer(value))
            printf("%s=%lld ", key, (long long)json_integer_value(value));
    }
    puts(json_is_true(json_object_get(each, "undecided")) ? "UNDECIDED" : "");
}

static int write_results(struct sweep *sweep) {
    json_t *report = haksim_report_begin("hak.sweep", &sweep->grid.machines[0], 0);
    json_t *recommendations = sim_grid_recommendations(&sweep->grid, sweep->figures);
    size_t i;
    json_t *each;
    json_object_del(report, "machine"); // there may be several; cells name theirs
    json_object_set(report, "grid", sweep->grid.root);
    json_object_set_new(report, "grid_hash", json_string(sweep->grid.hash));
    json_object_set_new(report, "cells", sim_grid_cells(&sweep->grid, sweep->figures));
    json_object_set_new(report, "recommendations", recommendations);
    if (!sweep->command->output.quiet && !sweep->command->output.json) {
        printf("%zu points; modelled\n", sweep->grid.point_count);
        json_array_foreach(recommendations, i, each) print_recommendation(each);
    }
    return haksim_report_write(report, &sweep->command->output, REPORT_PATH);
}

static int run_all(struct sweep *sweep) {
    snprintf(sweep->part_path, sizeof sweep->part_path, "%s.part",
             sweep->command->output.path ? sweep->command->output.path : REPORT_PATH);
    int status = read_part(sweep);
    if (status == HAKSIM_OK)
        status = open_part(sweep);
    if (status != HAKSIM_OK)
        return status;
    status = run_points(sweep);
    fclose(sweep->part);
    if (status == HAKSIM_OK)
        status = write_results(sweep);
    if (status == HAKSIM_OK)
        remove(sweep->part_path);
    return status;
}

static int run_some(struct sweep *sweep) {
    char *end;
    sweep->first = strtoull(sweep->command->points, &end, 10);
    bool read = end != sweep->command->points && *end == '-';
    const char *second = end + read;
    sweep->end = strtoull(second, &end, 10) + 1;
    if (!read || end == second || *end || sweep->first >= sweep->end ||
        sweep->end > sweep->grid.point_count)
        return haksim_fail("--points: expected A-B, at most %zu", sweep->grid.point_count - 1);
    sweep->part = stdout;
    print_head(sweep, stdout);
    return run_points(sweep);
}

// ---------------------------------------------------------------- the command

static int sweep_grid(struct sweep *sweep) {
    char message[1024];
    if (sim_grid_load(sweep->command->grid, &sweep->grid, message, sizeof message))
        return haksim_fail("%s", message);
    if (sweep->command->count) {
        printf("%zu\n", sweep->grid.point_count);
        return HAKSIM_OK;
    }
    sweep->end = sweep->grid.point_count;
    sweep->figures =
        calloc(sweep->grid.point_count, SIM_GRID_FIGURE_COUNT * sizeof *sweep->figures);
    sweep->done = calloc(sweep->grid.point_count, sizeof *sweep->done);
    if (!sweep->figures || !sweep->done)
        return haksim_fail("out of memory for %zu points", sweep->grid.point_count);
    return sweep->command->points ? run_some(sweep) : run_all(sweep);
}

int haksim_sweep_command(int argc, char **argv) {
    struct command command = {0};
    const struct haksim_option options[] = {
        {"points", 0, HAKSIM_TEXT, &command.points, 0, 0, NULL},
        {"count", 0, HAKSIM_FLAG, &command.count, 0, 0, NULL},
        {"jobs", 0, HAKSIM_NUMBER, &command.jobs, 1, SIM_OS_THREADS_MAX, NULL},
        HAKSIM_OUTPUT_OPTIONS(&command),
    };
    if (argc > 1 && argv[1][0] != '-') {
        command.grid = argv[1];
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    int status =
        haksim_take_options("sweep", argc, argv, options, sizeof options / sizeof options[0]);
    if (status != HAKSIM_OK)
        return status;
    if (command.help) {
        print_help();
        return HAKSIM_OK;
    }
    if (!command.grid)
        return haksim_fail("sweep: expected a grid's file first (see haksim sweep --help)");
    sim_os_catch_interrupts();
    struct sweep sweep = {.command = &command};
    status = sweep_grid(&sweep);
    sim_grid_free(&sweep.grid);
    free(sweep.figures);
    free(sweep.done);
    return status;
}
