// haksim_seed_table.c: `haksim seed-table`: the seed's rows run again, as a table and as JSON.
#include "batch.h"
#include "haksim.h"
#include "seed_table.h"
#include "sim_os.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT 30
#define SEEDS_MAX     1000
#define REPORT_PATH   "seed-table.sim.json"

struct command {
    struct sim_seed_options options;
    uint64_t seeds, slow_seeds, jobs, cores; // slow_seeds 0: as seeds
    const char *machine;
    bool paces[SIM_SEED_PACE_COUNT];
    bool help;
    struct haksim_output output;
};

// One pace's runs, seed by seed: an interrupt leaves whole seeds.
struct pace_runs {
    struct sim_machine machine;
    struct sim_job *jobs;            // [seed][row]
    size_t seeds;                    // of which all rows are done
    size_t row_seeds[SIM_SEED_ROWS]; // that, or fewer
    struct sim_seed_verdicts verdicts;
};

static void print_help(void) {
    puts(
        "Usage: haksim seed-table [OPTIONS]\n"
        "Run the seed document's rows under its geometry and its Larson, and say by the rule of\n"
        "doc/seed-table.md which of its figures come out. All figures are modelled.\n"
        "\n"
        "  -n, --seeds=N        seeds, the same for every row, 2 or more (30)\n"
        "      --slow-seeds=N   of Route S phase 3, whose runs take a hundred times as long\n"
        "                       (as --seeds)\n"
        "  -p, --pace=P         seed, modelled, halved, doubled, or all (seed and modelled)\n"
        "      --operations=N   of all chains together, after the warm-up (300000)\n"
        "      --chunks=N       live blocks per chain (10000)\n"
        "  -c, --cores=N        cores of the machine (the machine's own number)\n"
        "  -m, --machine=M      a machine's name or file (" SIM_MACHINE_DEFAULT ")\n"
        "  -s, --seed=N         the first seed; the others follow it (12345)\n"
        "      --jobs=N         runs side by side (one for each core here)\n"
        "  -o, --output=FILE    write the report there (" REPORT_PATH ")\n"
        "      --json           print the report as JSON instead of the table\n"
        "  -q, --quiet          print nothing but errors\n"
        "      --help           print this help\n"
        "\n"
        "Paces: `seed` is 133 microseconds an operation and thread, as the seed's 30,000 a second\n"
        "are; `modelled` is the machine's own; `halved` and `doubled` are the band around it: all\n"
        "costs but the program's own time halved and doubled.\n"
        "\n"
        "Example:\n"
        "  haksim seed-table --seeds=30 --pace=all");
}

// ---------------------------------------------------------------- options

static int take_pace(const char *text, void *target) {
    bool *paces = target;
    bool all = strcmp(text, "all") == 0, found = all;
    for (enum sim_seed_pace pace = 0; pace < SIM_SEED_PACE_COUNT; pace++) {
        bool named = strcmp(text, sim_seed_pace_name(pace)) == 0;
        paces[pace] = paces[pace] || all || named;
        found = found || named;
    }
    return found ? HAKSIM_OK
                 : haksim_fail("--pace: expected seed, modelled, halved, doubled or all, found "
                               "'%s'",
                               text);
}

static int take_options(int argc, char **argv, struct command *command) {
    const struct haksim_option options[] = {
        {"seeds", 'n', HAKSIM_NUMBER, &command->seeds, 2, SEEDS_MAX, NULL},
        {"slow-seeds", 0, HAKSIM_NUMBER, &command->slow_seeds, 2, SEEDS_MAX, NULL},
        {"pace", 'p', HAKSIM_CALL, command->paces, 0, 0, take_pace},
        {"operations", 0, HAKSIM_NUMBER, &command->options.operations, 1, UINT64_C(1) << 32, NULL},
        {"chunks", 0, HAKSIM_NUMBER, &command->options.chunks, 1, 1000000, NULL},
        {"seed", 's', HAKSIM_NUMBER, &command->options.first_seed, 0, INT64_MAX / 2, NULL},
        {"cores", 'c', HAKSIM_NUMBER, &command->cores, 1, SIM_CORE_LIMIT, NULL},
        {"machine", 'm', HAKSIM_TEXT, &command->machine, 0, 0, NULL},
        {"jobs", 0, HAKSIM_NUMBER, &command->jobs, 1, SIM_OS_THREADS_MAX, NULL},
        HAKSIM_OUTPUT_OPTIONS(command),
    };
    int status =
        haksim_take_options("seed-table", argc, argv, options, sizeof options / sizeof options[0]);
    bool any = false;
    for (enum sim_seed_pace pace = 0; pace < SIM_SEED_PACE_COUNT; pace++)
        any = any || command->paces[pace];
    if (!any)
        command->paces[SIM_SEED_PACE_SEED] = command->paces[SIM_SEED_PACE_MODELLED] = true;
    command->options.cores = (uint32_t)command->cores;
    return status;
}

// ---------------------------------------------------------------- running

static void on_done(void *self, const struct sim_job *job) {
    (void)job;
    sim_progress_step(self);
}

static size_t seeds_wanted(const struct command *command, size_t row) {
    bool fewer = row == SIM_SEED_ROW_PHASE_3 && command->slow_seeds > 0 &&
                 command->slow_seeds < command->seeds;
    return fewer ? command->slow_seeds : command->seeds;
}

// Returns how many there are: what is run of a seed lies side by side.
static size_t make_jobs(const struct command *command, enum sim_seed_pace pace,
                        struct pace_runs *runs) {
    size_t count = 0;
    for (size_t seed = 0; seed < command->seeds; seed++)
        for (size_t row = 0; row < SIM_SEED_ROWS; row++) {
            if (seed >= seeds_wanted(command, row))
                continue;
            struct sim_request request =
                sim_seed_request(row, pace, seed, &command->options, &runs->machine);
            request.stop = &sim_os_interrupted;
            runs->jobs[count++] = (struct sim_job){.request = request, .tag = row};
        }
    return count;
}

// Of the jobs in their order, until one is not done: figures, and how many seeds are whole.
static void take_figures(const struct command *command, struct pace_runs *runs, size_t count,
                         sim_seed_values *values) {
    size_t done[SIM_SEED_ROWS] = {0};
    for (size_t i = 0; i < count && runs->jobs[i].done; i++) {
        size_t row = runs->jobs[i].tag;
        for (enum sim_seed_figure f = 0; f < SIM_SEED_FIGURE_COUNT; f++)
            values[done[row]][row][f] = sim_seed_figure_of(&runs->jobs[i].outcome, f);
        done[row]++;
    }
    runs->seeds = done[SIM_SEED_ROWS - 1]; // a seed's last job
    for (size_t row = 0; row < SIM_SEED_ROWS; row++) {
        size_t wanted = seeds_wanted(command, row);
        runs->row_seeds[row] = runs->seeds < wanted ? runs->seeds : wanted;
    }
}

static int judge(const struct command *command, struct pace_runs *runs, size_t count) {
    sim_seed_values *values = calloc(command->seeds, sizeof *values);
    if (!values)
        return haksim_fail("out of memory for the figures");
    take_figures(command, runs, count, values);
    bool judged = runs->seeds < 2 ||
                  sim_seed_judge((const sim_seed_values *)values, runs->row_seeds, &runs->verdicts);
    free(values);
    return judged ? HAKSIM_OK : haksim_fail("out of memory for the intervals");
}

static int run_pace(const struct command *command, enum sim_seed_pace pace,
                    const struct sim_machine *machine, struct pace_runs *runs) {
    runs->machine = *machine;
    sim_machine_scale(&runs->machine, sim_seed_pace_costs(pace));
    size_t most = command->seeds * SIM_SEED_ROWS;
    runs->jobs = calloc(most, sizeof *runs->jobs);
    if (!runs->jobs)
        return haksim_fail("out of memory for %zu runs", most);
    size_t count = make_jobs(command, pace, runs);
    struct sim_progress progress = sim_progress_begin("runs", count, command->output.quiet);
    struct sim_batch batch = {.jobs = runs->jobs,
                              .count = count,
                              .workers = (unsigned)command->jobs,
                              .on_done = on_done,
                              .self = &progress,
                              .stop = &sim_os_interrupted};
    sim_batch_run(&batch);
    sim_progress_end(&progress);
    const struct sim_job *failed = sim_batch_first_failure(&batch);
    if (failed && failed->message[0])
        return haksim_fail("seed-table: route %s: %s", failed->request.route_text, failed->message);
    if (failed && !sim_os_interrupted) {
        haksim_fail("seed-table: route %s, seed %llu: %s", failed->request.route_text,
                    (unsigned long long)failed->request.seed, failed->outcome.violation);
        return HAKSIM_VIOLATION;
    }
    return judge(command, runs, count);
}

// ---------------------------------------------------------------- the table

static void print_claim(const struct sim_claim *claim, int digits) {
    char text[32] = "-";
    if (claim->given && isinf(claim->high))
        snprintf(text, sizeof text, "> %.*f", digits, claim->low);
    else if (claim->given && isinf(claim->low))
        snprintf(text, sizeof text, "< %.*f", digits, claim->high);
    else if (claim->given && claim->low == claim->high)
        snprintf(text, sizeof text, "%.*f", digits, claim->low);
    else if (claim->given)
        snprintf(text, sizeof text, "%.*f-%.*f", digits, claim->low, digits, claim->high);
    printf("  %13s", text);
}

static void print_interval(struct sim_interval found, int digits) {
    char text[64];
    snprintf(text, sizeof text, "%.*f [%.*f, %.*f]", digits, found.mean, digits, found.low, digits,
             found.high);
    printf("  %-27s", text);
}

static void print_judged(const struct pace_runs *runs, enum sim_seed_figure f, int digits) {
    printf("\n%s, %s:\n", sim_seed_figure_key(f), sim_seed_figure_unit(f));
    printf("  %-16s %-14s  %13s  %-27s  %s\n", "row", "route", "the seed's", "here, mean [95 %]",
           "verdict");
    for (size_t row = 0; row < SIM_SEED_ROWS; row++) {
        struct sim_seed_row facts = sim_seed_row(row);
        printf("  %-16s %-14s", facts.name, facts.route);
        print_claim(&runs->verdicts.findings[f][row].claim, digits);
        print_interval(runs->verdicts.findings[f][row].found, digits);
        printf("  %s%s\n", sim_verdict_name(runs->verdicts.verdicts[f][row]),
               facts.predicted ? " (predicted)" : "");
    }
}

static void print_plain(const struct pace_runs *runs) {
    printf("\n  %-16s  %-27s  %-27s  %-27s\n", "row", "held / fewest", "recycled per million",
           "reused per million");
    for (size_t row = 0; row < SIM_SEED_ROWS; row++) {
        printf("  %-16s", sim_seed_row(row).name);
        print_interval(runs->verdicts.findings[SIM_SEED_HELD][row].found, 3);
        print_interval(runs->verdicts.findings[SIM_SEED_RECYCLED][row].found, 0);
        print_interval(runs->verdicts.findings[SIM_SEED_REUSED][row].found, 0);
        putchar('\n');
    }
}

static void print_pace(const struct command *command, enum sim_seed_pace pace,
                       const struct pace_runs *runs) {
    printf("pace %s: larson of %u chains, %llu chunks each, %llu operations; geometry seed, "
           "machine %s; %zu seeds from %llu; modelled\n",
           sim_seed_pace_name(pace), command->options.threads,
           (unsigned long long)command->options.chunks,
           (unsigned long long)command->options.operations, runs->machine.name, runs->seeds,
           (unsigned long long)command->options.first_seed);
    if (runs->seeds < 2) {
        puts("  fewer than two seeds were finished: no intervals");
        return;
    }
    if (runs->row_seeds[SIM_SEED_ROW_PHASE_3] < runs->seeds)
        printf("  Route S phase 3: the first %zu seeds only\n",
               runs->row_seeds[SIM_SEED_ROW_PHASE_3]);
    for (enum sim_seed_figure f = 0; f < SIM_SEED_CLAIM_COUNT; f++)
        print_judged(runs, f, f == SIM_SEED_NEW ? 0 : 2);
    print_plain(runs);
    struct sim_interval t2 = runs->verdicts.t2_over_t4;
    printf("\n  threshold 2 reuses %.1f [%.1f, %.1f] times as many pages for each new one as "
           "threshold 4 (the seed: %.1f)\n\n",
           t2.mean, t2.low, t2.high, SIM_SEED_T2_OVER_4);
}

// ---------------------------------------------------------------- the report

static json_t *bound(double value) {
    return isinf(value) ? json_null() : json_real(value);
}

static json_t *figure_json(const struct pace_runs *runs, enum sim_seed_figure f, size_t row) {
    const struct sim_finding *finding = &runs->verdicts.findings[f][row];
    json_t *figure = haksim_report_interval(finding->found);
    json_object_set_new(figure, "unit", json_string(sim_seed_figure_unit(f)));
    if (f >= SIM_SEED_CLAIM_COUNT)
        return figure;
    json_t *claim = finding->claim.given ? json_array() : json_null();
    if (finding->claim.given) {
        json_array_append_new(claim, bound(finding->claim.low));
        json_array_append_new(claim, bound(finding->claim.high));
    }
    json_object_set_new(figure, "seed", claim);
    json_object_set_new(figure, "verdict",
                        json_string(sim_verdict_name(runs->verdicts.verdicts[f][row])));
    return figure;
}

static json_t *row_json(enum sim_seed_pace pace, const struct pace_runs *runs, size_t row) {
    struct sim_seed_row facts = sim_seed_row(row);
    json_t *object = json_object(), *figures = json_object();
    json_object_set_new(object, "pace", json_string(sim_seed_pace_name(pace)));
    json_object_set_new(object, "name", json_string(facts.name));
    json_object_set_new(object, "route", json_string(facts.route));
    json_object_set_new(object, "predicted", json_boolean(facts.predicted));
    json_object_set_new(object, "seeds", json_integer((json_int_t)runs->row_seeds[row]));
    json_object_set_new(
        object, "verdict",
        json_string(sim_verdict_name(runs->verdicts.verdicts[SIM_SEED_REUSE][row])));
    for (enum sim_seed_figure f = 0; f < SIM_SEED_FIGURE_COUNT; f++)
        json_object_set_new(figures, sim_seed_figure_key(f), figure_json(runs, f, row));
    json_object_set_new(object, "figures", figures);
    return object;
}

static json_t *report_json(const struct command *command, const struct sim_machine *machine,
                           const struct pace_runs *paces) {
    json_t *report = haksim_report_begin("hak.seed-table", machine, command->options.cores);
    json_t *rows = json_array(), *ratios = json_object();
    json_object_set_new(report, "geometry", json_string("seed"));
    json_object_set_new(report, "operations",
                        json_integer((json_int_t)command->options.operations));
    json_object_set_new(report, "chunks", json_integer((json_int_t)command->options.chunks));
    json_object_set_new(report, "first_seed",
                        json_integer((json_int_t)command->options.first_seed));
    json_object_set_new(report, "interrupted", json_boolean(sim_os_interrupted));
    for (enum sim_seed_pace pace = 0; pace < SIM_SEED_PACE_COUNT; pace++) {
        if (paces[pace].seeds < 2)
            continue;
        for (size_t row = 0; row < SIM_SEED_ROWS; row++)
            json_array_append_new(rows, row_json(pace, &paces[pace], row));
        json_object_set_new(ratios, sim_seed_pace_name(pace),
                            haksim_report_interval(paces[pace].verdicts.t2_over_t4));
    }
    json_object_set_new(report, "rows", rows);
    json_object_set_new(report, "threshold_2_over_4", ratios);
    return report;
}

// ---------------------------------------------------------------- the command

static int run_paces(const struct command *command, const struct sim_machine *machine,
                     struct pace_runs *paces) {
    for (enum sim_seed_pace pace = 0; pace < SIM_SEED_PACE_COUNT; pace++) {
        if (!command->paces[pace] || sim_os_interrupted)
            continue;
        int status = run_pace(command, pace, machine, &paces[pace]);
        if (status != HAKSIM_OK)
            return status;
        if (!command->output.quiet && !command->output.json)
            print_pace(command, pace, &paces[pace]);
    }
    return HAKSIM_OK;
}

int haksim_seed_table_command(int argc, char **argv) {
    struct command command = {
        .options = sim_seed_defaults, .seeds = SEEDS_DEFAULT, .machine = SIM_MACHINE_DEFAULT};
    int status = take_options(argc, argv, &command);
    if (status != HAKSIM_OK)
        return status;
    if (command.help) {
        print_help();
        return HAKSIM_OK;
    }
    struct sim_machine machine;
    char message[320];
    if (sim_machine_load(command.machine, &machine, message, sizeof message))
        return haksim_fail("%s", message);
    sim_os_catch_interrupts();
    struct pace_runs paces[SIM_SEED_PACE_COUNT] = {0};
    status = run_paces(&command, &machine, paces);
    if (status == HAKSIM_OK)
        status = haksim_report_write(report_json(&command, &machine, paces), &command.output,
                                     REPORT_PATH);
    for (enum sim_seed_pace pace = 0; pace < SIM_SEED_PACE_COUNT; pace++)
        free(paces[pace].jobs);
    return status == HAKSIM_OK && sim_os_interrupted ? HAKSIM_STOPPED : status;
}
