// haksim_output.c: results as files, the table for a person, and the run's facts.
#include "haksim.h"
#include "hak_version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_ratio(int width, int digits, uint64_t numerator, uint64_t denominator) {
    if (denominator == 0)
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, (double)numerator / (double)denominator);
}

void haksim_print_head(const struct haksim_output *output, const struct sim_request *request) {
    if (output->quiet || output->json)
        return;
    printf("haksim %s (%s): %s, geometry %s, machine %s with %u cores, seed %llu; modelled\n",
           HAK_VERSION, HAK_COMMIT, output->workload, request->geometry->name,
           request->machine->name, request->cores ? request->cores : request->machine->cores,
           (unsigned long long)request->seed);
    printf("%-16s %10s %8s %8s %6s %8s %8s %8s %8s %7s %8s %10s  %s\n", "route", "time ms", "held",
           "fewest", "held/f", "new", "recycled", "reused", "reuse/n", "share", "stranded",
           "remote", "digest");
    fflush(stdout);
}

static void print_counts(const struct sim_outcome *outcome) {
    printf("  %-14s", "counted");
    for (size_t i = 0; i < outcome->count_count; i++)
        printf(" %s=%llu", outcome->counts[i].name, (unsigned long long)outcome->counts[i].value);
    printf("%s steps=%llu points=%llu switches=%llu preemptions=%llu\n",
           outcome->count_count ? ";" : "", (unsigned long long)outcome->steps,
           (unsigned long long)outcome->points, (unsigned long long)outcome->totals.switches,
           (unsigned long long)outcome->totals.preemptions);
}

void haksim_print_run(const struct haksim_output *output, const struct sim_request *request,
                      const struct sim_outcome *outcome) {
    if (output->quiet || output->json)
        return;
    const struct program_measures *m = &outcome->measures;
    printf("%-16s %10.3f %8llu %8llu", request->route_text, (double)outcome->end_ps / 1e9,
           (unsigned long long)m->held_max, (unsigned long long)m->fewest_max);
    print_ratio(6, 2, m->held_max, m->fewest_max);
    printf(" %8llu %8llu %8llu", (unsigned long long)m->new_pages,
           (unsigned long long)m->recycled_pages, (unsigned long long)m->page_reuses);
    print_ratio(8, 3, m->page_reuses, m->new_pages);
    print_ratio(7, 3, m->page_reuses, m->page_reuses + m->new_pages);
    printf(" %8llu %10llu  %016llx%s\n", (unsigned long long)m->stranded_max,
           (unsigned long long)m->remote_frees, (unsigned long long)outcome->digest,
           m->interrupted ? " interrupted" : "");
    print_counts(outcome);
    fflush(stdout);
}

// ---------------------------------------------------------------- files

// One run stands for itself, several in one object.
static char *all_in_one(const struct program_source *source, const struct sim_outcome *outcomes,
                        size_t count) {
    if (count == 1)
        return strdup(outcomes[0].json);
    char **runs = malloc(count * sizeof *runs);
    if (!runs)
        return NULL;
    for (size_t i = 0; i < count; i++)
        runs[i] = outcomes[i].json;
    char *text = program_runs_json("haksim", source, runs, count);
    free(runs);
    return text;
}

static int write_file(const char *path, const char *json, char *message, size_t message_size) {
    const char *why = program_result_write(path, json);
    if (why)
        snprintf(message, message_size, "%s: cannot write: %s", path, why);
    return why ? -1 : 0;
}

// "larson.s2,orphans=strand.sim.json": routes hold no '/'.
static int write_own_files(const struct haksim_output *output, const struct program_routes *routes,
                           const struct sim_outcome *outcomes, size_t count, char *message,
                           size_t message_size) {
    for (size_t i = 0; i < count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s.%s.sim.json", output->workload, routes->list[i].text);
        if (write_file(path, outcomes[i].json, message, message_size))
            return -1;
    }
    return 0;
}

static int print_json(const char *json, char *message, size_t message_size) {
    if (puts(json) >= 0 && fflush(stdout) == 0)
        return 0;
    snprintf(message, message_size, "cannot write standard output");
    return -1;
}

int haksim_write(const struct haksim_output *output, const struct program_routes *routes,
                 const struct program_source *source, const struct sim_outcome *outcomes,
                 size_t count, char *message, size_t message_size) {
    if (count == 0)
        return 0;
    char *all = all_in_one(source, outcomes, count);
    if (!all) {
        snprintf(message, message_size, "out of memory for the results");
        return -1;
    }
    int failed = output->path
                     ? write_file(output->path, all, message, message_size)
                     : write_own_files(output, routes, outcomes, count, message, message_size);
    if (!failed && output->json)
        failed = print_json(all, message, message_size);
    free(all);
    return failed;
}
