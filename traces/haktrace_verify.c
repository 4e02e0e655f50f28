// haktrace_verify.c: `haktrace verify`: whether a trace is whole and replayable as it is.
//
// Owns: the verdict. Structure and totals are the reader's to refuse, order rules the checker's.
#include "haktrace.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

// Every kind of anomaly once: its key in JSON and its words.
static const struct {
    const char *key, *words;
    size_t offset;
} anomaly_kinds[] = {
    {"dead_reference", "references to objects that are not live",
     offsetof(struct trace_anomalies, dead_reference)},
    {"address_overlap", "blocks at addresses that a live block covers",
     offsetof(struct trace_anomalies, address_overlap)},
    {"thread_before_start", "events of threads that have not started",
     offsetof(struct trace_anomalies, thread_before_start)},
    {"thread_after_exit", "events of threads that have been joined",
     offsetof(struct trace_anomalies, thread_after_exit)},
    {"thread_order", "thread numbers out of turn", offsetof(struct trace_anomalies, thread_order)},
    {"realloc_unpaired", "unpaired halves of realloc",
     offsetof(struct trace_anomalies, realloc_unpaired)},
};
enum { ANOMALY_KIND_COUNT = sizeof anomaly_kinds / sizeof *anomaly_kinds };

static uint64_t anomaly_count(const struct trace_anomalies *anomalies, unsigned kind) {
    return *(const uint64_t *)(const void *)((const char *)anomalies + anomaly_kinds[kind].offset);
}

static void print_json(const struct haktrace_reading *reading, const char *missing,
                       const char *unseen, bool fine) {
    const struct trace_anomalies *anomalies = &reading->check.anomalies;
    json_t *counts = json_object();
    for (unsigned kind = 0; kind < ANOMALY_KIND_COUNT; kind++)
        json_object_set_new(counts, anomaly_kinds[kind].key,
                            json_integer((json_int_t)anomaly_count(anomalies, kind)));
    json_t *verdict = json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:I, s:b, s:s?, s:o, s:s?, s:s?}", "ok", fine, "events",
        (json_int_t)reading->summary.events, "objects", (json_int_t)reading->summary.objects,
        "threads", (json_int_t)reading->summary.threads, "lost", (json_int_t)reading->check.lost,
        "anomalies_total", (json_int_t)anomalies->total, "complete", reading->summary.complete,
        "missing", missing, "anomalies", counts, "first_anomaly",
        anomalies->total ? anomalies->first_text : NULL, "note", unseen);
    json_dumpf(verdict, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(verdict);
}

static const char *plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

static void print_text(const char *path, const struct haktrace_reading *reading,
                       const char *missing, const char *unseen, bool fine) {
    const struct trace_anomalies *anomalies = &reading->check.anomalies;
    printf("%s: %s: %" PRIu64 " event%s, %" PRIu64 " object%s, %" PRIu32 " thread%s\n", path,
           fine ? "OK" : "NOT OK", reading->summary.events, plural(reading->summary.events),
           reading->summary.objects, plural(reading->summary.objects), reading->summary.threads,
           plural(reading->summary.threads));
    if (missing)
        printf("%s: incomplete: %s\n", path, missing);
    for (unsigned kind = 0; kind < ANOMALY_KIND_COUNT; kind++)
        if (anomaly_count(anomalies, kind))
            printf("%s: %" PRIu64 " %s\n", path, anomaly_count(anomalies, kind),
                   anomaly_kinds[kind].words);
    if (anomalies->total)
        printf("%s: the first: %s\n", path, anomalies->first_text);
    if (reading->check.lost)
        printf("%s: %" PRIu64 " event%s lost while recording\n", path, reading->check.lost,
               reading->check.lost == 1 ? " was" : "s were");
    if (unseen) {
        printf("%s: note: ", path);
        haktrace_print_text(unseen);
        putchar('\n');
    }
}

int haktrace_verify(const struct haktrace_options *options) {
    struct haktrace_reading reading;
    char missing_text[160], unseen_text[240];
    int status = haktrace_read_whole(options->path, &reading);
    if (status != HAKTRACE_OK)
        return status;
    const char *missing = haktrace_missing(&reading, missing_text, sizeof missing_text);
    const char *unseen = haktrace_unseen(&reading, unseen_text, sizeof unseen_text);
    bool fine = !missing && reading.check.anomalies.total == 0;
    if (options->json)
        print_json(&reading, missing, unseen, fine);
    else if (!options->quiet)
        print_text(options->path, &reading, missing, unseen, fine);
    haktrace_close(&reading);
    return haktrace_finish_output(fine ? HAKTRACE_OK : HAKTRACE_FAILED_CHECK);
}
