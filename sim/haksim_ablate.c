// haksim_ablate.c: `haksim ablate`: every combination of the seed's flaws, and what each flaw and
// each pair of them costs.
#include "ablation.h"
#include "batch.h"
#include "factorial.h"
#include "haksim.h"
#include "sim_os.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_PATH    "ablate.sim.json"
#define SEEDS_DEFAULT  3
#define SEEDS_MAX      100
#define WORKLOADS_MAX  32
#define ALL_FLAWS      (SIM_FLAW_SETS - 1)
#define PAIR_SHARE_MIN 0.01 // of the sum of squares: interactions below are not printed

// Costs as they are, halved and doubled.
enum band { BAND_PLAIN, BAND_HALVED, BAND_DOUBLED, BAND_COUNT };
static const uint32_t band_percent[BAND_COUNT] = {100, 50, 200};

struct command {
    struct haksim_command job;
    const char *workloads[WORKLOADS_MAX];
    size_t workload_count;
    uint64_t seeds, jobs;
    bool band;
};

// One workload's runs and what came of them.
struct subject {
    const char *workload;
    struct workload_settings settings;
    const struct workload *body;
    struct sim_job *jobs; // [band][seed][set]; aliases are not run
    struct sim_interval effects[SIM_ABLATION_FIGURE_COUNT][SIM_FLAW_SETS];
    double shares[SIM_ABLATION_FIGURE_COUNT][SIM_FLAW_SETS];  // mean over seeds
    double cells[SIM_ABLATION_FIGURE_COUNT][SIM_FLAW_SETS];   // likewise, the figures themselves
    bool undecided[SIM_ABLATION_FIGURE_COUNT][SIM_FLAW_SETS]; // no sign, or none in all the band
};

struct ablation {
    const struct command *command;
    struct sim_machine machines[BAND_COUNT];
    const struct mf2_geometry *geometry;
    enum band bands; // how many are run
    struct subject *subjects;
    struct sim_progress progress;
};

static void print_help(void) {
    puts("Usage: haksim ablate [OPTIONS]\n"
         "Run MF2 with every combination of the seed's flaws, and say what each flaw costs alone\n"
         "and with another one: a full factorial. All figures are modelled.\n"
         "\n"
         "  -w, --workload=W    a workload as in haksim run; may be given several times (a set\n"
         "                      that has each of them)\n"
         "  -n, --seeds=N       seeds, the same for every combination, 2 or more (3)\n"
         "      --band          also with costs halved and doubled; an effect whose sign does not\n"
         "                      hold is undecided\n"
         "  -t, -c, -g, -s, -p, -m, --costs, --json, --quiet   as in haksim run; geometry: seed\n"
         "      --jobs=N        runs side by side (one for each core here)\n"
         "  -o, --output=FILE   write the report there (" REPORT_PATH ")\n"
         "      --help          print this help\n"
         "\n"
         "Flaws, and what stands in their place where they are mended:");
    for (enum sim_flaw flaw = 0; flaw < SIM_FLAW_COUNT; flaw++)
        printf("  %-18s %s | %s\n", sim_flaw_key(flaw), sim_flaw_there(flaw),
               sim_flaw_mended(flaw));
    puts("\nExample:\n"
         "  haksim ablate --workload=larson --workload=adopters --seeds=5");
}

// ---------------------------------------------------------------- running

static size_t job_place(const struct ablation *all, enum band band, size_t seed, unsigned set) {
    return (band * all->command->seeds + seed) * SIM_FLAW_SETS + sim_flaw_alias(set);
}

static size_t job_count(const struct ablation *all) {
    return all->bands * all->command->seeds * SIM_FLAW_SETS;
}

static void on_done(void *self, const struct sim_job *job) {
    (void)job;
    sim_progress_step(&((struct ablation *)self)->progress);
}

static struct sim_request request_of(const struct ablation *all, const struct subject *subject,
                                     enum band band, size_t seed, unsigned set) {
    uint64_t number = all->command->job.seed + seed;
    struct sim_request request = {
        .machine = &all->machines[band],
        .cores = (uint32_t)all->command->job.cores,
        .geometry = all->geometry,
        .route = sim_flaw_route(set),
        .route_text = "",
        .seed = number,
        .workload = subject->body,
        .settings = subject->settings,
        .pace_ps = all->command->job.pace_ns * SIM_PS_PER_NS,
        .stop = &sim_os_interrupted,
        .brief = true,
    };
    request.settings.seed = number;
    return request;
}

// The jobs of a batch lie side by side: those of aliases are left out.
static size_t make_jobs(const struct ablation *all, const struct subject *subject,
                        struct sim_job *jobs, size_t *places) {
    size_t count = 0;
    for (enum band band = 0; band < all->bands; band++)
        for (size_t seed = 0; seed < all->command->seeds; seed++)
            for (unsigned set = 0; set < SIM_FLAW_SETS; set++)
                if (sim_flaw_alias(set) == set) {
                    jobs[count].request = request_of(all, subject, band, seed, set);
                    places[count++] = job_place(all, band, seed, set);
                }
    return count;
}

static int run_batch(struct ablation *all, struct subject *subject, struct sim_job *jobs,
                     size_t *places) {
    size_t count = make_jobs(all, subject, jobs, places);
    struct sim_batch batch = {.jobs = jobs,
                              .count = count,
                              .workers = (unsigned)all->command->jobs,
                              .on_done = on_done,
                              .self = all,
                              .stop = &sim_os_interrupted};
    sim_batch_run(&batch);
    if (sim_os_interrupted)
        return haksim_fail("ablate: interrupted; a factorial needs all of its runs");
    const struct sim_job *failed = sim_batch_first_failure(&batch);
    for (size_t i = 0; i < count; i++)
        subject->jobs[places[i]] = jobs[i];
    if (!failed)
        return HAKSIM_OK;
    haksim_fail("ablate: %s: %s%s", subject->workload, failed->message, failed->outcome.violation);
    return failed->message[0] ? HAKSIM_USAGE : HAKSIM_VIOLATION;
}

static int run_subject(struct ablation *all, struct subject *subject) {
    size_t count = job_count(all);
    struct sim_job *jobs = calloc(count, sizeof *jobs);
    size_t *places = calloc(count, sizeof *places);
    subject->jobs = calloc(count, sizeof *subject->jobs);
    int status = jobs && places && subject->jobs ? run_batch(all, subject, jobs, places)
                                                 : haksim_fail("out of memory for the runs");
    free(jobs);
    free(places);
    return status;
}

// ---------------------------------------------------------------- effects

static double cell_of(const struct ablation *all, const struct subject *subject, enum band band,
                      size_t seed, unsigned set, enum sim_ablation_figure figure) {
    const struct sim_job *job = &subject->jobs[job_place(all, band, seed, set)];
    return sim_ablation_figure_of(&job->outcome, figure);
}

static void effects_of(const struct ablation *all, const struct subject *subject, enum band band,
                       size_t seed, enum sim_ablation_figure figure, double *effects) {
    double cells[SIM_FLAW_SETS];
    for (unsigned set = 0; set < SIM_FLAW_SETS; set++) {
        double cell = cell_of(all, subject, band, seed, set, figure);
        cells[set] = sim_ablation_multiplies(figure) ? log(cell) : cell;
    }
    sim_factorial_effects(cells, SIM_FLAW_COUNT, effects);
}

// Effects of every seed, their intervals and shares, in one band.
static void find_effects(const struct ablation *all, const struct subject *subject, enum band band,
                         enum sim_ablation_figure figure, struct sim_interval *intervals,
                         double *shares) {
    double by_seed[SEEDS_MAX][SIM_FLAW_SETS], list[SEEDS_MAX];
    size_t seeds = all->command->seeds;
    for (size_t seed = 0; seed < seeds; seed++)
        effects_of(all, subject, band, seed, figure, by_seed[seed]);
    for (unsigned m = 0; m < SIM_FLAW_SETS; m++) {
        shares[m] = 0;
        for (size_t seed = 0; seed < seeds; seed++) {
            list[seed] = by_seed[seed][m];
            shares[m] += sim_factorial_share(by_seed[seed], SIM_FLAW_COUNT, m) / (double)seeds;
        }
        intervals[m] = sim_interval_of(list, seeds);
    }
}

static int sign_of(struct sim_interval interval) {
    return (interval.low > 0) - (interval.high < 0);
}

static void judge_figure(const struct ablation *all, struct subject *subject,
                         enum sim_ablation_figure figure) {
    struct sim_interval *effects = subject->effects[figure], others[SIM_FLAW_SETS];
    double shares[SIM_FLAW_SETS];
    find_effects(all, subject, BAND_PLAIN, figure, effects, subject->shares[figure]);
    for (unsigned m = 0; m < SIM_FLAW_SETS; m++)
        subject->undecided[figure][m] = sign_of(effects[m]) == 0;
    for (enum band band = BAND_HALVED; band < all->bands; band++) {
        find_effects(all, subject, band, figure, others, shares);
        for (unsigned m = 0; m < SIM_FLAW_SETS; m++)
            subject->undecided[figure][m] |= sign_of(others[m]) != sign_of(effects[m]);
    }
    for (unsigned set = 0; set < SIM_FLAW_SETS; set++)
        for (size_t seed = 0; seed < all->command->seeds; seed++)
            subject->cells[figure][set] +=
                cell_of(all, subject, BAND_PLAIN, seed, set, figure) / (double)all->command->seeds;
}

// ---------------------------------------------------------------- the table

static void print_effect(const struct subject *subject, enum sim_ablation_figure figure,
                         unsigned m) {
    struct sim_interval effect = subject->effects[figure][m];
    bool multiplies = sim_ablation_multiplies(figure);
    char text[64];
    snprintf(text, sizeof text, multiplies ? "x%.3f [%.3f, %.3f]" : "%+.3f [%+.3f, %+.3f]",
             multiplies ? exp(effect.mean) : effect.mean, multiplies ? exp(effect.low) : effect.low,
             multiplies ? exp(effect.high) : effect.high);
    printf(" %-26s %5.1f %%%s\n", text, 100 * subject->shares[figure][m],
           subject->undecided[figure][m] ? "  undecided" : "");
}

static bool is_pair(unsigned m) {
    return __builtin_popcount(m) == 2;
}

static void print_name(unsigned m) {
    char name[128] = "";
    for (enum sim_flaw flaw = 0; flaw < SIM_FLAW_COUNT; flaw++)
        if (m >> flaw & 1)
            snprintf(name + strlen(name), sizeof name - strlen(name), "%s%s", name[0] ? " & " : "",
                     sim_flaw_key(flaw));
    printf("    %-40s", name);
}

static void print_figure(const struct subject *subject, enum sim_ablation_figure figure) {
    const double *cells = subject->cells[figure];
    printf("  %s (%s): all mended %.4g, all there %.4g\n", sim_ablation_figure_key(figure),
           sim_ablation_figure_unit(figure), cells[0], cells[ALL_FLAWS]);
    printf("    %-40s %-26s %s\n", "flaw", "effect of its being there", "share");
    for (enum sim_flaw flaw = 0; flaw < SIM_FLAW_COUNT; flaw++) {
        print_name(1u << flaw);
        print_effect(subject, figure, 1u << flaw);
    }
    double others = 0;
    for (unsigned m = 1; m < SIM_FLAW_SETS; m++) {
        bool shown = is_pair(m) && subject->shares[figure][m] >= PAIR_SHARE_MIN;
        if (shown) {
            print_name(m);
            print_effect(subject, figure, m);
        } else if (__builtin_popcount(m) > 1) {
            others += subject->shares[figure][m];
        }
    }
    printf("    %-40s %-26s %5.1f %%\n", "all other interactions", "", 100 * others);
    printf("    %-40s %-14s %s\n", "one flaw", "alone there", "alone mended");
    for (enum sim_flaw flaw = 0; flaw < SIM_FLAW_COUNT; flaw++)
        printf("    %-40s %-14.4g %.4g\n", sim_flaw_key(flaw), cells[1u << flaw],
               cells[ALL_FLAWS & ~(1u << flaw)]);
}

static void print_subject(const struct ablation *all, const struct subject *subject) {
    if (all->command->job.output.quiet || all->command->job.output.json)
        return;
    printf("%s, %u threads, geometry %s, machine %s, %llu seeds from %llu; modelled%s\n",
           subject->workload, subject->settings.threads, all->geometry->name, all->machines[0].name,
           (unsigned long long)all->command->seeds, (unsigned long long)all->command->job.seed,
           all->bands > 1 ? "; undecided also where costs halved or doubled change the sign" : "");
    for (enum sim_ablation_figure figure = 0; figure < SIM_ABLATION_FIGURE_COUNT; figure++)
        print_figure(subject, figure);
    putchar('\n');
    fflush(stdout);
}

// ---------------------------------------------------------------- the report

static json_t *names_json(unsigned m) {
    json_t *names = json_array();
    for (enum sim_flaw flaw = 0; flaw < SIM_FLAW_COUNT; flaw++)
        if (m >> flaw & 1)
            json_array_append_new(names, json_string(sim_flaw_key(flaw)));
    return names;
}

static json_t *figure_json(const struct subject *subject, enum sim_ablation_figure figure) {
    json_t *object = json_object(), *effects = json_array(), *cells = json_array();
    json_object_set_new(object, "unit", json_string(sim_ablation_figure_unit(figure)));
    json_object_set_new(object, "scale",
                        json_string(sim_ablation_multiplies(figure) ? "logarithm" : "plain"));
    for (unsigned m = 0; m < SIM_FLAW_SETS; m++) {
        json_array_append_new(cells, json_real(subject->cells[figure][m]));
        if (m == 0)
            continue;
        json_t *effect = haksim_report_interval(subject->effects[figure][m]);
        json_object_set_new(effect, "flaws", names_json(m));
        json_object_set_new(effect, "share", json_real(subject->shares[figure][m]));
        json_object_set_new(effect, "undecided", json_boolean(subject->undecided[figure][m]));
        json_array_append_new(effects, effect);
    }
    json_object_set_new(object, "cells", cells);
    json_object_set_new(object, "effects", effects);
    return object;
}

static json_t *report_json(const struct ablation *all) {
    const struct command *command = all->command;
    json_t *report =
        haksim_report_begin("hak.ablation", &all->machines[0], (uint32_t)command->job.cores);
    json_t *subjects = json_array();
    json_object_set_new(report, "geometry", json_string(all->geometry->name));
    json_object_set_new(report, "flaws", names_json(ALL_FLAWS));
    json_object_set_new(report, "seeds", json_integer((json_int_t)command->seeds));
    json_object_set_new(report, "first_seed", json_integer((json_int_t)command->job.seed));
    json_object_set_new(report, "band", json_boolean(all->bands > 1));
    for (size_t i = 0; i < command->workload_count; i++) {
        json_t *subject = json_object(), *figures = json_object();
        json_object_set_new(subject, "workload", json_string(all->subjects[i].workload));
        json_object_set_new(subject, "threads", json_integer(all->subjects[i].settings.threads));
        for (enum sim_ablation_figure f = 0; f < SIM_ABLATION_FIGURE_COUNT; f++)
            json_object_set_new(figures, sim_ablation_figure_key(f),
                                figure_json(&all->subjects[i], f));
        json_object_set_new(subject, "figures", figures);
        json_array_append_new(subjects, subject);
    }
    json_object_set_new(report, "workloads", subjects);
    return report;
}

// ---------------------------------------------------------------- the command

static int open_subject(const struct command *command, struct subject *subject,
                        const char *workload) {
    char message[320];
    subject->workload = workload;
    subject->settings.threads =
        (uint32_t)(command->job.threads ? command->job.threads : HAKSIM_THREADS_DEFAULT);
    subject->body = workload_parse(workload, &subject->settings, message, sizeof message);
    return subject->body ? HAKSIM_OK : haksim_fail("%s", message);
}

static size_t distinct_sets(void) {
    size_t count = 0;
    for (unsigned set = 0; set < SIM_FLAW_SETS; set++)
        count += sim_flaw_alias(set) == set;
    return count;
}

static int do_all(struct ablation *all) {
    const struct command *command = all->command;
    for (size_t i = 0; i < command->workload_count; i++) {
        int status = open_subject(command, &all->subjects[i], command->workloads[i]);
        if (status != HAKSIM_OK)
            return status;
    }
    size_t each = job_count(all) / SIM_FLAW_SETS * distinct_sets();
    all->progress =
        sim_progress_begin("runs", each * command->workload_count, command->job.output.quiet);
    for (size_t i = 0; i < command->workload_count; i++) {
        int status = run_subject(all, &all->subjects[i]);
        if (status != HAKSIM_OK)
            return status;
        for (enum sim_ablation_figure f = 0; f < SIM_ABLATION_FIGURE_COUNT; f++)
            judge_figure(all, &all->subjects[i], f);
        print_subject(all, &all->subjects[i]);
    }
    sim_progress_end(&all->progress);
    return haksim_report_write(report_json(all), &command->job.output, REPORT_PATH);
}

static int open_all(struct ablation *all) {
    const struct command *command = all->command;
    char message[320];
    all->geometry = mf2_geometry_find(command->job.geometry);
    if (!all->geometry)
        return haksim_fail("--geometry: expected default, seed or scenario, found '%s'",
                           command->job.geometry);
    all->bands = command->band ? BAND_COUNT : BAND_HALVED;
    for (enum band band = 0; band < BAND_COUNT; band++) {
        if (sim_machine_load(command->job.machine, &all->machines[band], message, sizeof message))
            return haksim_fail("%s", message);
        sim_machine_scale(&all->machines[band],
                          (uint32_t)command->job.cost_percent * band_percent[band] / 100);
    }
    all->subjects = calloc(command->workload_count, sizeof *all->subjects);
    return all->subjects ? HAKSIM_OK : haksim_fail("out of memory");
}

static int take_workload(const char *text, void *target) {
    struct command *command = target;
    if (command->workload_count == WORKLOADS_MAX)
        return haksim_fail("--workload: more than %d", WORKLOADS_MAX);
    if (strncmp(text, "trace:", strlen("trace:")) == 0)
        return haksim_fail("--workload: a trace has no seeds; expected a made-up workload");
    command->workloads[command->workload_count++] = text;
    return HAKSIM_OK;
}

static void take_default_workloads(struct command *command) {
    while (sim_ablation_workload(command->workload_count)) {
        command->workloads[command->workload_count] =
            sim_ablation_workload(command->workload_count);
        command->workload_count++;
    }
}

int haksim_ablate_command(int argc, char **argv) {
    static const struct haksim_command defaults = HAKSIM_COMMAND_DEFAULTS;
    struct command command = {.job = defaults, .seeds = SEEDS_DEFAULT};
    command.job.geometry = "seed";
    const struct haksim_option options[] = {
        {"workload", 'w', HAKSIM_CALL, &command, 0, 0, take_workload},
        {"seeds", 'n', HAKSIM_NUMBER, &command.seeds, 2, SEEDS_MAX, NULL},
        {"band", 0, HAKSIM_FLAG, &command.band, 0, 0, NULL},
        {"jobs", 0, HAKSIM_NUMBER, &command.jobs, 1, SIM_OS_THREADS_MAX, NULL},
        HAKSIM_PLACE_OPTIONS(&command.job),
    };
    int status =
        haksim_take_options("ablate", argc, argv, options, sizeof options / sizeof options[0]);
    if (status != HAKSIM_OK)
        return status;
    if (command.job.help) {
        print_help();
        return HAKSIM_OK;
    }
    if (command.workload_count == 0)
        take_default_workloads(&command);
    struct ablation all = {.command = &command};
    sim_os_catch_interrupts();
    status = open_all(&all);
    if (status == HAKSIM_OK)
        status = do_all(&all);
    for (size_t i = 0; all.subjects && i < command.workload_count; i++)
        free(all.subjects[i].jobs);
    free(all.subjects);
    return status == HAKSIM_USAGE && sim_os_interrupted ? HAKSIM_STOPPED : status;
}
