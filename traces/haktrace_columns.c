// haktrace_columns.c: `haktrace info --columns`: where a file's bytes go, in bits per event.
//
// Owns: which columns are the core: what a replay reads, the stack's number, and the index.
#include "haktrace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LEVEL = 9 }; // of zstd, for the columns' shares

static bool is_core(unsigned column) {
    static const char *const others[] = {"address", "entry", "other-entry", "others"};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(trace_budget_column(column), others[i]) == 0)
            return false;
    return true;
}

static const char *const kind_names[TRACE_BUDGET_KINDS] = {
    "others", "META", "MODULES", "STACKS", "EVENTS", "END", "INFO", "RESIDENT", "PROCESS", "MAPS"};

struct lines {
    const struct trace_budget *budget;
    json_t *json; // NULL: as text
};

static double bits(const struct trace_budget *budget, double bytes) {
    return budget->events ? 8 * bytes / (double)budget->events : 0;
}

static void line(const struct lines *lines, const char *name, const char *note, uint64_t raw,
                 double bytes) {
    if (lines->json) {
        json_object_set_new(lines->json, name,
                            json_pack("{s:I, s:f, s:f}", "raw_bytes", (json_int_t)raw, "bytes",
                                      bytes, "bits_per_event", bits(lines->budget, bytes)));
        return;
    }
    printf("%-12s %12.0f %9.3f", name, bytes, bits(lines->budget, bytes));
    if (raw)
        printf(" %12" PRIu64, raw);
    printf("%s%s\n", *note ? "  " : "", note);
}

static void write_lines(const struct lines *lines) {
    const struct trace_budget *budget = lines->budget;
    double core = (double)budget->other_bytes;
    for (unsigned column = 0; column < TRACE_BUDGET_COLUMNS; column++) {
        if (budget->raw[column] == 0)
            continue;
        line(lines, trace_budget_column(column), is_core(column) ? "core" : "", budget->raw[column],
             budget->bytes[column]);
        core += is_core(column) ? budget->bytes[column] : 0;
    }
    for (unsigned kind = 1; kind < TRACE_BUDGET_KINDS; kind++)
        if (budget->kinds[kind] > 0)
            line(lines, kind_names[kind],
                 strcmp(kind_names[kind], "EVENTS") == 0 ? "the above" : "", 0,
                 (double)budget->kinds[kind]);
    line(lines, "index", "core; with identity and foreign frames", 0, (double)budget->other_bytes);
    line(lines, "core", "", 0, core);
    line(lines, "file", "", 0, (double)budget->file_bytes);
}

int haktrace_columns(const struct haktrace_options *options) {
    struct trace_error error;
    struct trace_budget budget;
    if (trace_budget(options->path, LEVEL, &budget, &error))
        return haktrace_fail("%s", error.text);
    struct lines lines = {.budget = &budget, .json = options->json ? json_object() : NULL};
    if (!options->json)
        printf("%-12s %12s %9s %12s\n", "", "bytes", "bits/event", "uncompressed");
    write_lines(&lines);
    if (options->json) {
        json_dumpf(lines.json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
        putchar('\n');
        json_decref(lines.json);
    }
    return haktrace_finish_output(HAKTRACE_OK);
}
