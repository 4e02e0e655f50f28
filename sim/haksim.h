// haksim.h: what the files of the haksim tool share. Private to the tool.
#ifndef SIM_HAKSIM_H
#define SIM_HAKSIM_H

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

// optarg as a number; name is the option's, for the error. HAKSIM_OK or HAKSIM_USAGE.
int haksim_take_number(const char *name, uint64_t least, uint64_t most, uint64_t *number);

// ---------------------------------------------------------------- haksim_report.c

// A report's first keys: schema, who made it from which sources, on which machine.
json_t *haksim_report_begin(const char *schema, const struct sim_machine *machine, uint32_t cores);
json_t *haksim_report_interval(struct sim_interval interval);
// Writes it to the output's path or else the default one, and prints it where asked for. Takes the
// report over.
int haksim_report_write(json_t *report, const struct haksim_output *output,
                        const char *default_path);

// ---------------------------------------------------------------- haksim_seed_table.c

int haksim_seed_table_command(int argc, char **argv);

// ---------------------------------------------------------------- haksim_run.c

int haksim_run_command(int argc, char **argv);
void haksim_print_run_help(void);

#endif
