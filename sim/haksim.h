// haksim.h: what the files of the haksim tool share. Private to the tool.
#ifndef SIM_HAKSIM_H
#define SIM_HAKSIM_H

#include "progress.h"
#include "sim_run.h"
#include "statistics.h"

#include <jansson.h>

#define HAKSIM_OK        0
#define HAKSIM_VIOLATION 1
#define HAKSIM_USAGE     2
#define HAKSIM_STOPPED   130 // interrupted, as shells say it; what there is has been written

// One line on stderr; returns HAKSIM_USAGE.
int haksim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---------------------------------------------------------------- haksim_output.c

struct haksim_output {
    const char *path;     // -o; NULL: a name of its own for every route
    const char *workload; // for that name
    bool json, quiet;
};
void haksim_print_head(const struct haksim_output *output, const struct sim_request *request);
void haksim_print_run(const struct haksim_output *output, const struct sim_request *request,
                      const struct sim_outcome *outcome);
// Writes the results' files and prints JSON where asked for. `source` is the trace that was run, or
// NULL. 0, or -1 with one line in message.
int haksim_write(const struct haksim_output *output, const struct program_routes *routes,
                 const struct program_source *source, const struct sim_outcome *outcomes,
                 size_t count, char *message, size_t message_size);

// ---------------------------------------------------------------- haksim_options.c

enum haksim_option_kind { HAKSIM_FLAG, HAKSIM_TEXT, HAKSIM_NUMBER, HAKSIM_CALL };
struct haksim_option {
    const char *name;
    char letter; // 0: none
    enum haksim_option_kind kind;
    void *target;         // bool, const char *, uint64_t; for CALL what `take` knows
    uint64_t least, most; // NUMBER
    int (*take)(const char *text, void *target); // CALL: HAKSIM_OK or HAKSIM_USAGE
};
// HAKSIM_OK or HAKSIM_USAGE, after one line. `command` is the subcommand's name, for errors.
int haksim_take_options(const char *command, int argc, char **argv,
                        const struct haksim_option *options, size_t count);

#define HAKSIM_OUTPUT_OPTIONS(command)                                                             \
    {"output", 'o', HAKSIM_TEXT, &(command)->output.path, 0, 0, NULL},                             \
        {"json", 0, HAKSIM_FLAG, &(command)->output.json, 0, 0, NULL},                             \
        {"quiet", 'q', HAKSIM_FLAG, &(command)->output.quiet, 0, 0, NULL}, {                       \
        "help", 'h', HAKSIM_FLAG, &(command)->help, 0, 0, NULL                                     \
    }

// ---------------------------------------------------------------- haksim_job.c

#define HAKSIM_THREADS_MAX     4096
#define HAKSIM_THREADS_DEFAULT 4

// What the subcommands that run one workload are told.
struct haksim_command {
    const char *workload, *route, *geometry, *machine;
    uint64_t threads; // 0: not given
    uint64_t cores, seed, pace_ns, cost_percent, scale;
    bool help, pinned;
    struct haksim_output output;
};
// The seed is Larson's, as the seed document ran it.
#define HAKSIM_COMMAND_DEFAULTS                                                                    \
    {                                                                                              \
        .route = MF2_ROUTE_DEFAULT, .geometry = "default", .machine = SIM_MACHINE_DEFAULT,         \
        .seed = 12345, .cost_percent = 100                                                         \
    }
// Where and how, for any subcommand that runs workloads; what, for those that run one.
#define HAKSIM_PLACE_OPTIONS(command)                                                              \
    {"geometry", 'g', HAKSIM_TEXT, &(command)->geometry, 0, 0, NULL},                              \
        {"machine", 'm', HAKSIM_TEXT, &(command)->machine, 0, 0, NULL},                            \
        {"threads", 't', HAKSIM_NUMBER, &(command)->threads, 1, HAKSIM_THREADS_MAX, NULL},         \
        {"cores", 'c', HAKSIM_NUMBER, &(command)->cores, 1, SIM_CORE_LIMIT, NULL},                 \
        {"seed", 's', HAKSIM_NUMBER, &(command)->seed, 0, INT64_MAX, NULL},                        \
        {"pace", 'p', HAKSIM_NUMBER, &(command)->pace_ns, 1, 1000000000, NULL},                    \
        {"costs", 0, HAKSIM_NUMBER, &(command)->cost_percent, 1, 10000, NULL},                     \
        HAKSIM_OUTPUT_OPTIONS(command)
#define HAKSIM_JOB_OPTIONS(command)                                                                \
    {"workload", 'w', HAKSIM_TEXT, &(command)->workload, 0, 0, NULL},                              \
        {"route", 'r', HAKSIM_TEXT, &(command)->route, 0, 0, NULL},                                \
        {"scale", 0, HAKSIM_NUMBER, &(command)->scale, 1, 4096, NULL},                             \
        {"pinned", 0, HAKSIM_FLAG, &(command)->pinned, 0, 0, NULL}, HAKSIM_PLACE_OPTIONS(command)

// All that the runs need, in the order of making.
struct haksim_job {
    struct sim_machine machine;
    struct program_routes routes;
    struct sim_request request;
    struct sim_outcome *outcomes; // of routes, as far as done
    size_t done;
    const struct haksim_output *output;
    struct trace_progress progress; // of the route that runs
    size_t chains;                  // of domino: how many are shown
    char name[256];                 // of the workload, for file names
    char message[512];
};
// HAKSIM_OK or HAKSIM_USAGE after one line; to be closed in either case.
int haksim_job_open(const struct haksim_command *command, struct haksim_job *job);
void haksim_job_close(struct haksim_job *job);
// One run after the other; each is shown when it is done. The worst status.
int haksim_job_run(struct haksim_job *job, void (*show)(const struct haksim_job *job, size_t i));

// ---------------------------------------------------------------- haksim_report.c

// A report's first keys: schema, who made it from which sources, on which machine.
json_t *haksim_report_begin(const char *schema, const struct sim_machine *machine, uint32_t cores);
json_t *haksim_report_interval(struct sim_interval interval);
// Writes it to the output's path or else the default one, and prints it where asked for. Takes the
// report over.
int haksim_report_write(json_t *report, const struct haksim_output *output,
                        const char *default_path);

// ---------------------------------------------------------------- haksim_calibrate.c

int haksim_calibrate_command(int argc, char **argv);

// ---------------------------------------------------------------- haksim_sweep.c

int haksim_sweep_command(int argc, char **argv);

// ---------------------------------------------------------------- haksim_validate.c

int haksim_validate_command(int argc, char **argv);

// ---------------------------------------------------------------- haksim_seed_table.c

int haksim_seed_table_command(int argc, char **argv);

// ---------------------------------------------------------------- haksim_run.c

int haksim_run_command(int argc, char **argv);
// With a heading; `parameters`: also those of each.
void haksim_print_workloads(bool parameters);
void haksim_print_machines(void);

// ---------------------------------------------------------------- haksim_domino.c

int haksim_domino_command(int argc, char **argv);

// ---------------------------------------------------------------- haksim_ablate.c

int haksim_ablate_command(int argc, char **argv);

#endif
