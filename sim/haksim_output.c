// haksim_output.c: results as files, the table for a person, and the run's facts.
#include "haksim.h"
#include "hak_version.h"
#include "sim_os.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double ratio(uint64_t numerator, uint64_t denominator) {
    return denominator ? (double)numerator / (double)denominator : 0;
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
    printf("%-16s %10.3f %8llu %8llu %6.2f %8llu %8llu %8llu %8.3f %7.3f %8llu %10llu  %016llx\n",
           request->route_text, (double)outcome->end_ps / 1e9, (unsigned long long)m->held_max,
           (unsigned long long)m->fewest_max, ratio(m->held_max, m->fewest_max),
           (unsigned long long)m->new_pages, (unsigned long long)m->recycled_pages,
           (unsigned long long)m->page_reuses, ratio(m->page_reuses, m->new_pages),
           ratio(m->page_reuses, m->page_reuses + m->new_pages),
           (unsigned long long)m->stranded_max, (unsigned long long)m->remote_frees,
           (unsigned long long)outcome->digest);
    print_counts(outcome);
    fflush(stdout);
}

// ---------------------------------------------------------------- files

// The trace that all runs are of, as JSON; "null" for a workload.
static char *trace_json(const struct sim_outcome *outcome) {
    json_t *run = json_loads(outcome->json, 0, NULL);
    char *text = json_dumps(json_object_get(run, "trace"), JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(run);
    return text;
}

static char *joined_runs(const struct sim_outcome *outcomes, size_t count) {
    char *trace = trace_json(&outcomes[0]);
    size_t size = 256 + (trace ? strlen(trace) : 0);
    for (size_t i = 0; i < count; i++)
        size += strlen(outcomes[i].json) + 1;
    char *text = malloc(size);
    if (!trace || !text) {
        free(trace);
        free(text);
        return NULL;
    }
    int used = snprintf(text, size,
                        "{\"schema\":\"hak.runs\",\"version\":1,\"tool\":\"haksim\","
                        "\"tool_version\":\"%s\",\"commit\":\"%s\",\"trace\":%s,\"runs\":[",
                        HAK_VERSION, HAK_COMMIT, trace);
    free(trace);
    char *end = text + used;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *end++ = ',';
        end = stpcpy(end, outcomes[i].json);
    }
    strcpy(end, "]}");
    return text;
}

// One run stands for itself, several in one object.
static char *all_in_one(const struct sim_outcome *outcomes, size_t count) {
    return count == 1 ? strdup(outcomes[0].json) : joined_runs(outcomes, count);
}

static int write_line(const char *path, const char *json, char *message, size_t message_size) {
    size_t length = strlen(json);
    char *text = malloc(length + 2);
    if (!text) {
        snprintf(message, message_size, "%s: out of memory", path);
        return -1;
    }
    memcpy(text, json, length);
    strcpy(text + length, "\n");
    int failed = sim_os_write_file(path, text, message, message_size);
    free(text);
    return failed;
}

// "larson.s2,orphans=strand.sim.json": routes hold no '/'.
static int write_own_files(const struct haksim_output *output, const struct haksim_routes *routes,
                           const struct sim_outcome *outcomes, size_t count, char *message,
                           size_t message_size) {
    for (size_t i = 0; i < count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s.%s.sim.json", output->workload, routes->routes[i].text);
        if (write_line(path, outcomes[i].json, message, message_size))
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

int haksim_write(const struct haksim_output *output, const struct haksim_routes *routes,
                 const struct sim_outcome *outcomes, size_t count, char *message,
                 size_t message_size) {
    if (count == 0)
        return 0;
    char *all = all_in_one(outcomes, count);
    if (!all) {
        snprintf(message, message_size, "out of memory for the results");
        return -1;
    }
    int failed = output->path
                     ? write_line(output->path, all, message, message_size)
                     : write_own_files(output, routes, outcomes, count, message, message_size);
    if (!failed && output->json)
        failed = print_json(all, message, message_size);
    free(all);
    return failed;
}
