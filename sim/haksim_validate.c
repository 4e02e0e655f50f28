// haksim_validate.c: `haksim validate`: the model against MF2 on real threads of this machine.
//
// The workloads are held out: no cost is fitted on them. What comes out is printed as it is.
#include "batch.h"
#include "haksim.h"
#include "real_run_os.h"
#include "sim_os.h"
#include "validation.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_PATH "validate.sim.json"
#define ROUTES      "cda,s2,p,home,best"
#define SEEDS_MAX   100
#define CASES_MAX   16
#define KEY_BYTES   4096

// Mailbox, reclaimer and thread churn (Larson whose threads live for 250 operations), long enough
// that making the first threads does not count.
static const char *const held_out[] = {
    "mailbox,batch=256,batches=800,queue=16",
    "reclaimer,live=1000,blocks=200000,batch=128",
    "larson,rounds=1,chunks=250,generations=100,min=16,max=2048",
};
static const uint32_t thread_counts[] = {1, 2, 4, 8, 16};
#define THREAD_COUNTS (sizeof thread_counts / sizeof thread_counts[0])

struct command {
    struct haksim_command job;
    const char *workloads[CASES_MAX];
    size_t workload_count;
    const char *hakload, *library, *real_path;
    uint64_t seeds, jobs, threads_max, repeats;
    bool unpinned;
};

struct validation {
    const struct command *command;
    struct sim_machine machine;
    const struct mf2_geometry *geometry;
    struct program_routes routes;
    char hakload[768], library[768];
    struct sim_validation_row *rows; // [workload][threads][route]
    struct sim_real_run *real;       // [row][seed]
    struct sim_job *jobs;            // likewise
    size_t thread_count, row_count;
    struct sim_progress progress;
};

static void print_help(void) {
    puts(
        "Usage: haksim validate --machine=FILE [OPTIONS]\n"
        "Run workloads on real threads of this machine under the real MF2, and the same ones in\n"
        "the simulated machine that FILE describes; print by how much the model is wrong. Nothing\n"
        "else should run meanwhile.\n"
        "\n"
        "  -m, --machine=FILE  this machine, as haksim calibrate has written it\n"
        "  -w, --workload=W    as in haksim run; may be given several times (mailbox, reclaimer "
        "and\n"
        "                      larson with threads of 250 operations: held out of all fitting)\n"
        "  -r, --route=R[,R]   routes (" ROUTES ")\n"
        "  -t, --threads=N     1, 2, 4, 8, 16, up to N (16)\n"
        "  -n, --seeds=N       seeds, the same for both, 2 or more (5)\n"
        "      --repeats=N     real runs of each, of which the fastest counts: what else runs on "
        "a\n"
        "                      machine only ever takes time (3)\n"
        "      --unpinned      the OS places the threads as it likes (thread i stays on core i,\n"
        "                      counted around, in both)\n"
        "      --hakload=FILE  runs the workloads (beside haksim)\n"
        "      --malloc=FILE   libmf2.so (../lib of that)\n"
        "  -g, -s, --json, --quiet   as in haksim run\n"
        "      --jobs=N        simulated runs side by side (one for each core here)\n"
        "  -o, --output=FILE   write the report there (" REPORT_PATH ")\n"
        "      --help          print this help\n"
        "\n"
        "Limits, in the mean of absolute errors: pages 5 %, remote share 2 points, owner changes "
        "10 %\n"
        "(of the real figure, or of 1 per 100 allocations where there are fewer), throughput 15 "
        "%.\n"
        "\nExample:\n"
        "  haksim calibrate -o here.json && haksim validate --machine=here.json --threads=4");
}

// ---------------------------------------------------------------- rows

static void lay_rows(struct validation *all) {
    size_t row = 0;
    for (size_t w = 0; w < all->command->workload_count; w++)
        for (size_t t = 0; t < all->thread_count; t++)
            for (size_t r = 0; r < all->routes.count; r++, row++)
                all->rows[row] = (struct sim_validation_row){
                    .workload = all->command->workloads[w],
                    .route = all->routes.list[r].text,
                    .threads = thread_counts[t],
                };
}

static int make_room(struct validation *all) {
    while (all->thread_count < THREAD_COUNTS &&
           thread_counts[all->thread_count] <= all->command->threads_max)
        all->thread_count++;
    all->row_count = all->command->workload_count * all->thread_count * all->routes.count;
    size_t runs = all->row_count * all->command->seeds;
    all->rows = calloc(all->row_count, sizeof *all->rows);
    all->real = calloc(runs, sizeof *all->real);
    all->jobs = calloc(runs, sizeof *all->jobs);
    if (!all->rows || !all->real || !all->jobs)
        return haksim_fail("out of memory for %zu runs", runs);
    lay_rows(all);
    return HAKSIM_OK;
}

// ---------------------------------------------------------------- real threads

static int run_fastest(const struct validation *all, const struct sim_real_options *options,
                       struct sim_real_run *fastest) {
    char message[1024];
    for (uint64_t i = 0; i < all->command->repeats; i++) {
        struct sim_real_run run;
        if (sim_os_interrupted)
            return haksim_fail("validate: interrupted; a comparison needs all of its runs");
        if (sim_real_run(options, &run, message, sizeof message))
            return haksim_fail("validate: %s", message);
        if (i == 0 || run.seconds < fastest->seconds)
            *fastest = run;
    }
    return HAKSIM_OK;
}

// Run `i` in the order of measuring: seed by seed, so that what changes on this machine meanwhile
// meets all rows alike.
static struct sim_real_run *real_run(const struct validation *all, size_t i) {
    return &all->real[i % all->row_count * all->command->seeds + i / all->row_count];
}

static int measure(const struct validation *all, size_t i) {
    const struct sim_validation_row *facts = &all->rows[i % all->row_count];
    struct sim_real_options options = {
        .hakload = all->hakload,
        .library = all->library,
        .workload = facts->workload,
        .route = facts->route,
        .geometry = all->geometry->name,
        .threads = facts->threads,
        .seed = all->command->job.seed + i / all->row_count,
        .pinned = !all->command->unpinned,
    };
    return run_fastest(all, &options, real_run(all, i));
}

// ---------------------------------------------------------------- real runs in a file
//
// A line for each, in the order of measuring, behind a head line that says what was asked for: the
// measuring wants the machine to itself, the simulating does not. A file that was cut is gone on
// with.

static void print_key(const struct validation *all, char *key, size_t size) {
    const struct command *command = all->command;
    size_t used =
        (size_t)snprintf(key, size, "hak.real-runs 2 %s%s %llu %llu %llu %zu", all->geometry->name,
                         command->unpinned ? " unpinned" : "",
                         (unsigned long long)command->job.seed, (unsigned long long)command->seeds,
                         (unsigned long long)command->repeats, all->thread_count);
    for (size_t w = 0; w < command->workload_count && used < size; w++)
        used += (size_t)snprintf(key + used, size - used, " %s", command->workloads[w]);
    for (size_t r = 0; r < all->routes.count && used < size; r++)
        used += (size_t)snprintf(key + used, size - used, " %s", all->routes.list[r].text);
}

static void write_run(FILE *file, const struct sim_real_run *run) {
    fprintf(file, "%.9f %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
            run->seconds, run->allocations, run->frees, run->pages, run->remote_frees,
            run->owner_changes);
    fflush(file);
}

// How many of the runs are in the file: `done`.
static int read_real(const struct validation *all, FILE *file, size_t count, size_t *done) {
    char key[KEY_BYTES], line[KEY_BYTES];
    print_key(all, key, sizeof key - 1);
    strcat(key, "\n");
    if (!fgets(line, sizeof line, file) || strcmp(line, key) != 0)
        return haksim_fail("%s: holds other runs; expected those of '%.*s'",
                           all->command->real_path, (int)strcspn(key, "\n"), key);
    for (*done = 0; *done < count && fgets(line, sizeof line, file); ++*done) {
        struct sim_real_run *run = real_run(all, *done);
        if (sscanf(line, "%lf %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                   &run->seconds, &run->allocations, &run->frees, &run->pages, &run->remote_frees,
                   &run->owner_changes) != 6)
            return haksim_fail("%s: line %zu: expected a run's six figures",
                               all->command->real_path, *done + 2);
    }
    return HAKSIM_OK;
}

static int measure_from(struct validation *all, size_t done, size_t count, FILE *file) {
    all->progress = sim_progress_begin("real runs", count - done, all->command->job.output.quiet);
    for (; done < count; done++) {
        if (measure(all, done))
            return HAKSIM_USAGE;
        if (file)
            write_run(file, real_run(all, done));
        sim_progress_step(&all->progress);
    }
    sim_progress_end(&all->progress);
    return HAKSIM_OK;
}

static int keep_real(struct validation *all, size_t done, size_t count) {
    char key[KEY_BYTES];
    FILE *file = fopen(all->command->real_path, "ae");
    if (!file)
        return haksim_fail("%s: cannot write", all->command->real_path);
    print_key(all, key, sizeof key);
    if (ftell(file) == 0)
        fprintf(file, "%s\n", key);
    int status = measure_from(all, done, count, file);
    bool written = fclose(file) == 0;
    return written ? status : haksim_fail("%s: cannot write", all->command->real_path);
}

// Measured now, or read. `ends`: they have been put into the file, and that is all for this time.
static int find_real(struct validation *all, bool *ends) {
    size_t count = all->row_count * all->command->seeds, done = 0;
    *ends = false;
    if (!all->command->real_path)
        return measure_from(all, 0, count, NULL);
    FILE *file = fopen(all->command->real_path, "re");
    int status = file ? read_real(all, file, count, &done) : HAKSIM_OK;
    if (file)
        fclose(file);
    if (status != HAKSIM_OK || done == count)
        return status;
    *ends = true;
    return keep_real(all, done, count);
}

// ---------------------------------------------------------------- the model

static void on_done(void *self, const struct sim_job *job) {
    (void)job;
    sim_progress_step(self);
}

static int make_job(const struct validation *all, size_t row, size_t seed,
                    struct sim_request *request) {
    const struct sim_validation_row *facts = &all->rows[row];
    char message[512];
    *request = (struct sim_request){
        .machine = &all->machine,
        .geometry = all->geometry,
        .route = all->routes.list[row % all->routes.count].route,
        .route_text = facts->route,
        .seed = all->command->job.seed + seed,
        .settings = {.threads = facts->threads, .seed = all->command->job.seed + seed},
        .stop = &sim_os_interrupted,
        .brief = true,
    };
    request->workload =
        workload_parse(facts->workload, &request->settings, message, sizeof message);
    return request->workload ? HAKSIM_OK : haksim_fail("%s", message);
}

static int run_model(struct validation *all) {
    size_t count = all->row_count * all->command->seeds;
    for (size_t i = 0; i < count; i++)
        if (make_job(all, i / all->command->seeds, i % all->command->seeds, &all->jobs[i].request))
            return HAKSIM_USAGE;
    all->progress = sim_progress_begin("simulated runs", count, all->command->job.output.quiet);
    struct sim_batch batch = {.jobs = all->jobs,
                              .count = count,
                              .workers = (unsigned)all->command->jobs,
                              .on_done = on_done,
                              .self = &all->progress,
                              .stop = &sim_os_interrupted};
    sim_batch_run(&batch);
    sim_progress_end(&all->progress);
    if (sim_os_interrupted)
        return haksim_fail("validate: interrupted; a comparison needs all of its runs");
    const struct sim_job *failed = sim_batch_first_failure(&batch);
    if (!failed)
        return HAKSIM_OK;
    haksim_fail("validate: route %s: %s%s", failed->request.route_text, failed->message,
                failed->outcome.violation);
    return failed->message[0] ? HAKSIM_USAGE : HAKSIM_VIOLATION;
}

// ---------------------------------------------------------------- figures

static uint64_t count_named(const struct sim_outcome *outcome, const char *name) {
    for (size_t i = 0; i < outcome->count_count; i++)
        if (strcmp(outcome->counts[i].name, name) == 0)
            return outcome->counts[i].value;
    return 0;
}

static double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

static double real_figure(const struct sim_real_run *run, enum sim_validated figure) {
    switch (figure) {
    case SIM_VALIDATED_PAGES:
        return (double)run->pages;
    case SIM_VALIDATED_REMOTE:
        return 100 * ratio((double)run->remote_frees, (double)run->frees);
    case SIM_VALIDATED_OWNERS:
        return 100 * ratio((double)run->owner_changes, (double)run->allocations);
    case SIM_VALIDATED_SPEED:
        return ratio((double)run->allocations, run->seconds);
    case SIM_VALIDATED_COUNT:
        break;
    }
    return 0;
}

static double model_figure(const struct sim_outcome *outcome, enum sim_validated figure) {
    const struct mf2_counters *counters = &outcome->counters;
    switch (figure) {
    case SIM_VALIDATED_PAGES:
        return (double)(counters->new_page_count + counters->large_new_pages);
    case SIM_VALIDATED_REMOTE:
        return 100 * ratio((double)counters->remote_frees, (double)count_named(outcome, "frees"));
    case SIM_VALIDATED_OWNERS:
        return 100 *
               ratio((double)counters->owner_changes, (double)count_named(outcome, "allocations"));
    case SIM_VALIDATED_SPEED:
        return ratio((double)count_named(outcome, "allocations"), (double)outcome->end_ps / 1e12);
    case SIM_VALIDATED_COUNT:
        break;
    }
    return 0;
}

static double mean_of_every_second(const double *values, size_t from, size_t count) {
    double sum = 0;
    size_t taken = 0;
    for (size_t i = from; i < count; i += 2, taken++)
        sum += values[i];
    return sum / (double)taken;
}

static void compare(struct validation *all) {
    size_t seeds = all->command->seeds;
    double real[SEEDS_MAX], model[SEEDS_MAX];
    for (size_t row = 0; row < all->row_count; row++)
        for (enum sim_validated f = 0; f < SIM_VALIDATED_COUNT; f++) {
            for (size_t seed = 0; seed < seeds; seed++) {
                real[seed] = real_figure(&all->real[row * seeds + seed], f);
                model[seed] = model_figure(&all->jobs[row * seeds + seed].outcome, f);
            }
            struct sim_interval r = sim_interval_of(real, seeds), m = sim_interval_of(model, seeds);
            all->rows[row].figures[f].real = r;
            all->rows[row].figures[f].model = m;
            all->rows[row].figures[f].error = sim_validation_error(f, r.mean, m.mean);
            all->rows[row].figures[f].repeat = sim_validation_error(
                f, mean_of_every_second(real, 0, seeds), mean_of_every_second(real, 1, seeds));
        }
}

// ---------------------------------------------------------------- the table

static void print_row(const struct sim_validation_row *row) {
    printf("%-10.*s %4u  %-8s", (int)strcspn(row->workload, ","), row->workload, row->threads,
           row->route);
    for (enum sim_validated f = 0; f < SIM_VALIDATED_COUNT; f++)
        printf("  %9.4g %9.4g %+7.1f%s", row->figures[f].real.mean, row->figures[f].model.mean,
               row->figures[f].error,
               fabs(row->figures[f].error) > sim_validated_limit(f) ? "*" : " ");
    putchar('\n');
}

static void print_summary(const struct validation *all, enum sim_validated f) {
    struct sim_validation_summary sum = sim_validation_sum(all->rows, all->row_count, f);
    struct sim_validation_ranking rank =
        sim_validation_rank(all->rows, all->row_count, all->routes.count, f);
    const struct sim_validation_row *worst = &all->rows[sum.worst];
    printf("%-14s limit %2.0f: mean error %.1f: %s (one half of the real runs against the other: "
           "%.1f); %zu of %zu rows beyond; worst %+.1f (%.*s, %u threads, %s); order of %zu of %zu "
           "separate pairs agrees\n",
           sim_validated_key(f), sim_validated_limit(f), sum.mean_error,
           sum.met ? "met" : "NOT MET", sum.mean_repeat, sum.beyond, all->row_count,
           sum.worst_error, (int)strcspn(worst->workload, ","), worst->workload, worst->threads,
           worst->route, rank.agree, rank.pairs);
}

static void print_table(const struct validation *all) {
    printf("machine %s, geometry %s, threads %s, %llu seeds from %llu; for each figure: real, "
           "modelled, error "
           "(per cent; remote share: points); *: beyond the limit\n",
           all->machine.name, all->geometry->name,
           all->command->unpinned ? "where the OS puts them" : "pinned",
           (unsigned long long)all->command->seeds, (unsigned long long)all->command->job.seed);
    printf("%-10s %4s  %-8s  %28s  %28s  %28s  %28s\n", "workload", "N", "route", "pages",
           "remote share", "owner changes per 100", "allocations/s");
    for (size_t row = 0; row < all->row_count; row++)
        print_row(&all->rows[row]);
    for (enum sim_validated f = 0; f < SIM_VALIDATED_COUNT; f++)
        print_summary(all, f);
}

// ---------------------------------------------------------------- the report

static json_t *row_json(const struct sim_validation_row *row) {
    json_t *object = json_object();
    json_object_set_new(object, "workload", json_string(row->workload));
    json_object_set_new(object, "threads", json_integer(row->threads));
    json_object_set_new(object, "route", json_string(row->route));
    for (enum sim_validated f = 0; f < SIM_VALIDATED_COUNT; f++) {
        json_t *figure = json_object();
        json_object_set_new(figure, "real", haksim_report_interval(row->figures[f].real));
        json_object_set_new(figure, "modelled", haksim_report_interval(row->figures[f].model));
        json_object_set_new(figure, "error", json_real(row->figures[f].error));
        json_object_set_new(figure, "repeat", json_real(row->figures[f].repeat));
        json_object_set_new(object, sim_validated_key(f), figure);
    }
    return object;
}

static json_t *summary_json(const struct validation *all, enum sim_validated f) {
    struct sim_validation_summary sum = sim_validation_sum(all->rows, all->row_count, f);
    struct sim_validation_ranking rank =
        sim_validation_rank(all->rows, all->row_count, all->routes.count, f);
    json_t *object = json_object();
    json_object_set_new(object, "unit", json_string(sim_validated_unit(f)));
    json_object_set_new(object, "limit", json_real(sim_validated_limit(f)));
    json_object_set_new(object, "mean_error", json_real(sum.mean_error));
    json_object_set_new(object, "mean_repeat", json_real(sum.mean_repeat));
    json_object_set_new(object, "worst_error", json_real(sum.worst_error));
    json_object_set_new(object, "worst_row", json_integer((json_int_t)sum.worst));
    json_object_set_new(object, "beyond", json_integer((json_int_t)sum.beyond));
    json_object_set_new(object, "met", json_boolean(sum.met));
    json_object_set_new(object, "separate_pairs", json_integer((json_int_t)rank.pairs));
    json_object_set_new(object, "pairs_in_order", json_integer((json_int_t)rank.agree));
    return object;
}

static json_t *report_json(const struct validation *all) {
    json_t *report = haksim_report_begin("hak.validation", &all->machine, 0);
    json_t *rows = json_array(), *summary = json_object();
    json_object_set_new(report, "geometry", json_string(all->geometry->name));
    json_object_set_new(report, "pinned", json_boolean(!all->command->unpinned));
    json_object_set_new(report, "seeds", json_integer((json_int_t)all->command->seeds));
    json_object_set_new(report, "seed", json_integer((json_int_t)all->command->job.seed));
    for (size_t row = 0; row < all->row_count; row++)
        json_array_append_new(rows, row_json(&all->rows[row]));
    for (enum sim_validated f = 0; f < SIM_VALIDATED_COUNT; f++)
        json_object_set_new(summary, sim_validated_key(f), summary_json(all, f));
    json_object_set_new(report, "rows", rows);
    json_object_set_new(report, "summary", summary);
    return report;
}

// ---------------------------------------------------------------- the command

static int take_workload(const char *text, void *target) {
    struct command *command = target;
    if (command->workload_count == CASES_MAX)
        return haksim_fail("--workload: at most %d of them", CASES_MAX);
    command->workloads[command->workload_count++] = text;
    return HAKSIM_OK;
}

static int find_programs(struct validation *all) {
    const struct command *command = all->command;
    int failed = 0;
    if (command->hakload)
        snprintf(all->hakload, sizeof all->hakload, "%s", command->hakload);
    else
        failed = sim_real_beside("hakload", all->hakload, sizeof all->hakload);
    if (command->library)
        snprintf(all->library, sizeof all->library, "%s", command->library);
    else
        failed |= sim_real_beside("../lib/libmf2.so", all->library, sizeof all->library);
    return failed ? haksim_fail("validate: expected --hakload and --malloc") : HAKSIM_OK;
}

static int open_validation(struct validation *all) {
    const struct command *command = all->command;
    char message[512];
    all->geometry = mf2_geometry_find(command->job.geometry);
    if (!all->geometry)
        return haksim_fail("--geometry: expected default or seed, found '%s'",
                           command->job.geometry);
    if (sim_machine_load(command->job.machine, &all->machine, message, sizeof message))
        return haksim_fail("%s", message);
    all->machine.pinned = !all->command->unpinned;
    if (!program_routes_parse(command->job.route, &all->routes, message, sizeof message))
        return haksim_fail("%s%s", all->routes.refused ? "" : "--route: ", message);
    int status = find_programs(all);
    return status == HAKSIM_OK ? make_room(all) : status;
}

static int validate(struct validation *all) {
    bool ends = false;
    int status = open_validation(all);
    if (status == HAKSIM_OK)
        status = find_real(all, &ends);
    if (status == HAKSIM_OK && !ends)
        status = run_model(all);
    if (status != HAKSIM_OK || ends)
        return status;
    compare(all);
    if (!all->command->job.output.quiet && !all->command->job.output.json)
        print_table(all);
    return haksim_report_write(report_json(all), &all->command->job.output, REPORT_PATH);
}

int haksim_validate_command(int argc, char **argv) {
    struct command command = {.job = HAKSIM_COMMAND_DEFAULTS,
                              .seeds = 5,
                              .repeats = 3,
                              .threads_max = thread_counts[THREAD_COUNTS - 1]};
    command.job.machine = NULL;
    command.job.route = ROUTES;
    const struct haksim_option options[] = {
        {"workload", 'w', HAKSIM_CALL, &command, 0, 0, take_workload},
        {"route", 'r', HAKSIM_TEXT, &command.job.route, 0, 0, NULL},
        {"threads", 't', HAKSIM_NUMBER, &command.threads_max, 1, 16, NULL},
        {"seeds", 'n', HAKSIM_NUMBER, &command.seeds, 2, SEEDS_MAX, NULL},
        {"seed", 's', HAKSIM_NUMBER, &command.job.seed, 0, INT64_MAX / 2, NULL},
        {"machine", 'm', HAKSIM_TEXT, &command.job.machine, 0, 0, NULL},
        {"geometry", 'g', HAKSIM_TEXT, &command.job.geometry, 0, 0, NULL},
        {"hakload", 0, HAKSIM_TEXT, &command.hakload, 0, 0, NULL},
        {"malloc", 0, HAKSIM_TEXT, &command.library, 0, 0, NULL},
        {"real", 0, HAKSIM_TEXT, &command.real_path, 0, 0, NULL},
        {"jobs", 0, HAKSIM_NUMBER, &command.jobs, 1, SIM_OS_THREADS_MAX, NULL},
        {"repeats", 0, HAKSIM_NUMBER, &command.repeats, 1, 100, NULL},
        {"unpinned", 0, HAKSIM_FLAG, &command.unpinned, 0, 0, NULL},
        HAKSIM_OUTPUT_OPTIONS(&command.job),
    };
    int status =
        haksim_take_options("validate", argc, argv, options, sizeof options / sizeof options[0]);
    if (status != HAKSIM_OK)
        return status;
    if (command.job.help) {
        print_help();
        return HAKSIM_OK;
    }
    if (!command.job.machine)
        return haksim_fail("validate: expected --machine, as haksim calibrate writes it");
    if (command.workload_count == 0)
        for (size_t i = 0; i < sizeof held_out / sizeof held_out[0]; i++)
            command.workloads[command.workload_count++] = held_out[i];
    sim_os_catch_interrupts();
    struct validation all = {.command = &command};
    status = validate(&all);
    free(all.rows);
    free(all.real);
    free(all.jobs);
    program_routes_free(&all.routes);
    return status;
}
