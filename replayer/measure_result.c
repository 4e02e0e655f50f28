// measure_result.c: what was found: the table, a verdict in plain words where intervals separate,
// and hak.measure of doc/results.md.
#include "measure.h"

#include "hak_version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB 1048576.0

static const struct measure_subject *none_of(const struct measure_session *session) {
    return &session->subjects.list[0];
}

static struct measure_interval metric(const struct measure_session *session, size_t subject,
                                      enum measure_metric which) {
    return measure_metric(&session->subjects.list[subject], none_of(session), which);
}

// ---------------------------------------------------------------- the table

static void print_row(const struct measure_session *session, size_t i, int width) {
    const struct measure_subject *subject = &session->subjects.list[i];
    struct measure_interval wall = metric(session, i, MEASURE_WALL);
    struct measure_interval net = metric(session, i, MEASURE_NET_WALL);
    struct measure_interval processor = metric(session, i, MEASURE_PROCESSOR);
    struct measure_interval peak = metric(session, i, MEASURE_PEAK);
    struct measure_interval idle = metric(session, i, MEASURE_IDLE);
    if (subject->failure[0] != '\0' || wall.count == 0) {
        printf("%-*s FAILED: %s\n", width, subject->name,
               subject->failure[0] == '\0' ? "not measured" : subject->failure);
        return;
    }
    printf("%-*s %8.2f %9.2f %4.0f%%%s", width, subject->name,
           (double)session->plan.calls / wall.median * 1e3, wall.median / 1e6,
           100 * measure_half_width(&wall), wall.is_interval ? " " : "?");
    if (subject->is_null)
        printf(" %9s %5s ", "-", "");
    else
        printf(" %9.2f %4.0f%%%s", net.median / 1e6, 100 * measure_half_width(&net),
               net.is_interval ? " " : "?");
    printf(" %8.2f %9.1f", processor.median / 1e6, peak.median / MIB);
    printf(" %6.2f", session->source->live_bytes_max == 0
                         ? 0
                         : peak.median / (double)session->source->live_bytes_max);
    if (idle.count > 0)
        printf(" %8.1f", idle.median / MIB);
    else
        printf(" %8s", "-");
    for (int m = MEASURE_MALLOC_P50; m <= MEASURE_FREE_P999; m++)
        printf(" %6.0f", metric(session, i, (enum measure_metric)m).median);
    printf(" %4u\n", wall.count);
}

// ---------------------------------------------------------------- the verdict

static bool is_measured(const struct measure_session *session, size_t i) {
    return session->subjects.list[i].failure[0] == '\0' && session->subjects.list[i].count > 0;
}

static size_t best_of(const struct measure_session *session, enum measure_metric which) {
    size_t best = 0;
    for (size_t i = 1; i < session->subjects.count; i++) {
        if (!is_measured(session, i))
            continue;
        if (best == 0 || metric(session, i, which).median < metric(session, best, which).median)
            best = i;
    }
    return best;
}

static void append(char *text, size_t size, const char *what) {
    size_t length = strlen(text);
    snprintf(text + length, size - length, "%s", what);
}

static void append_comparison(const struct measure_session *session, size_t i,
                              const struct measure_interval *best, enum measure_metric which,
                              char *behind, char *unclear, size_t size) {
    char part[256];
    struct measure_interval other = metric(session, i, which);
    const char *name = session->subjects.list[i].name;
    if (!measure_separate(&other, best)) {
        snprintf(part, sizeof part, "%s%s", unclear[0] == '\0' ? "" : ", ", name);
        append(unclear, size, part);
    } else if (best->median > 0) {
        snprintf(part, sizeof part, "%s%s %+.0f %%", behind[0] == '\0' ? "" : ", ", name,
                 100 * (other.median / best->median - 1));
        append(behind, size, part);
    } else {
        snprintf(part, sizeof part, "%s%s", behind[0] == '\0' ? "" : ", ", name);
        append(behind, size, part);
    }
}

// "least time: a; more: b +12 %; no difference shown: c". Empty where nothing can be compared.
static void verdict(const struct measure_session *session, enum measure_metric which,
                    const char *what, char *text, size_t size) {
    char behind[1024] = "", unclear[1024] = "";
    size_t best = best_of(session, which);
    text[0] = '\0';
    if (best == 0)
        return;
    struct measure_interval least = metric(session, best, which);
    if (least.count == 0)
        return;
    for (size_t i = 1; i < session->subjects.count; i++)
        if (i != best && is_measured(session, i))
            append_comparison(session, i, &least, which, behind, unclear, sizeof behind);
    if (behind[0] == '\0') {
        snprintf(text, size, "%s: no difference shown%s", what,
                 least.is_interval ? "" : " (too few repetitions for an interval)");
        return;
    }
    snprintf(text, size, "least %s: %s; more: %s%s%s", what, session->subjects.list[best].name,
             behind, unclear[0] == '\0' ? "" : "; no difference shown: ", unclear);
}

static const struct {
    enum measure_metric metric;
    const char *what;
} verdicts[] = {{MEASURE_WALL, "time"},
                {MEASURE_NET_WALL, "time net of the player"},
                {MEASURE_PROCESSOR, "processor time"},
                {MEASURE_PEAK, "peak memory"},
                {MEASURE_IDLE, "memory after idling"}};
#define VERDICT_COUNT (sizeof verdicts / sizeof *verdicts)

// The player's own time over the fastest allocator's; 0: not known.
static double player_share(const struct measure_session *session) {
    size_t fastest = best_of(session, MEASURE_WALL);
    if (fastest == 0 || none_of(session)->count == 0)
        return 0;
    return metric(session, 0, MEASURE_WALL).median / metric(session, fastest, MEASURE_WALL).median;
}

void measure_result_print(const struct measure_session *session) {
    int width = 9;
    char text[2560];
    for (size_t i = 0; i < session->subjects.count; i++)
        if ((int)strlen(session->subjects.list[i].name) > width)
            width = (int)strlen(session->subjects.list[i].name);
    printf("%llu calls, %llu blocks handed over, %u streams; %s\n",
           (unsigned long long)session->plan.calls, (unsigned long long)session->plan.handed_over,
           session->plan.stream_count, measure_touch_text(session->settings));
    printf("%-*s %8s %9s %6s %9s %6s %8s %9s %6s %8s %20s %20s %4s\n", width, "", "", "", "", "",
           "", "", "peak", "peak", "idle", "malloc ns      ", "free ns      ", "");
    printf("%-*s %8s %9s %6s %9s %6s %8s %9s %6s %8s %6s %6s %6s %6s %6s %6s %4s\n", width,
           "allocator", "Mcall/s", "wall ms", "+-", "net ms", "+-", "cpu ms", "MiB", "/live", "MiB",
           "p50", "p99", "p99.9", "p50", "p99", "p99.9", "reps");
    for (size_t i = 0; i < session->subjects.count; i++)
        print_row(session, i, width);
    for (size_t v = 0; v < VERDICT_COUNT; v++) {
        verdict(session, verdicts[v].metric, verdicts[v].what, text, sizeof text);
        if (text[0] != '\0')
            puts(text);
    }
    if (player_share(session) > 0)
        printf("the player itself takes %.0f %% of the fastest allocator's time\n",
               100 * player_share(session));
}

// ---------------------------------------------------------------- JSON

static json_t *interval_json(const struct measure_interval *interval) {
    if (interval->count == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:i, s:b}", "median", interval->median, "low", interval->low,
                     "high", interval->high, "count", (int)interval->count, "is_interval",
                     interval->is_interval);
}

static json_t *metrics_json(const struct measure_session *session, size_t i) {
    json_t *object = json_object();
    for (int m = 0; m < MEASURE_METRIC_COUNT; m++) {
        struct measure_interval interval = metric(session, i, (enum measure_metric)m);
        json_object_set_new(object, measure_metric_names[m], interval_json(&interval));
    }
    return object;
}

static json_t *repetitions_json(const struct measure_subject *subject) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < subject->count; i++) {
        const struct measure_repetition *one = &subject->repetitions[i];
        const struct player_results *results = &one->results;
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "wall_ns",
                                        (json_int_t)results->wall_ns, "processor_ns",
                                        (json_int_t)results->processor_ns, "peak_anonymous_bytes",
                                        (json_int_t)one->peak_anonymous, "minor_faults",
                                        (json_int_t)results->minor_faults, "major_faults",
                                        (json_int_t)results->major_faults, "malloc_ns_max",
                                        one->latency_ns[PLAYER_CALL_MALLOC][4], "realloc_ns_max",
                                        one->latency_ns[PLAYER_CALL_REALLOC][4], "free_ns_max",
                                        one->latency_ns[PLAYER_CALL_FREE][4]));
    }
    return list;
}

static json_t *series_json(const struct measure_session *session,
                           const struct measure_subject *subject) {
    const struct measure_subject *none = none_of(session);
    uint64_t own = none->count == 0 ? 0 : none->repetitions[0].results.ready.anonymous;
    json_t *rows = json_array();
    for (uint32_t i = 0; i < subject->series_count; i++) {
        const struct measure_sample *sample = &subject->series[i];
        uint64_t resident = sample->resident_bytes > own ? sample->resident_bytes - own : 0;
        json_array_append_new(rows,
                              json_pack("[I, I, I]", (json_int_t)sample->time_ns,
                                        (json_int_t)resident, (json_int_t)sample->live_bytes));
    }
    return json_pack("{s:[s, s, s], s:o}", "columns", "time_ns", "resident_bytes", "live_bytes",
                     "rows", rows);
}

static json_t *subject_json(const struct measure_session *session, size_t i) {
    const struct measure_subject *subject = &session->subjects.list[i];
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:o, s:o, s:o}", "name", subject->name,
                     "library", subject->library[0] == '\0' ? NULL : subject->library,
                     "allocator_version", subject->version[0] == '\0' ? NULL : subject->version,
                     "variable", subject->variable[0] == '\0' ? NULL : subject->variable, "failure",
                     subject->failure[0] == '\0' ? NULL : subject->failure, "metrics",
                     metrics_json(session, i), "repetitions", repetitions_json(subject), "series",
                     series_json(session, subject));
}

static json_t *trace_json(const struct program_source *source) {
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:i, s:I}", "path", source->trace.path, "hash",
                     source->trace.hash, "program", source->trace.program, "events",
                     (json_int_t)source->trace.events, "objects", (json_int_t)source->objects,
                     "threads", (int)source->threads, "live_bytes_max",
                     (json_int_t)source->live_bytes_max);
}

static json_t *settings_json(const struct measure_session *session) {
    const struct measure_settings *settings = session->settings;
    const struct measure_plan *plan = &session->plan;
    return json_pack("{s:s, s:i, s:s, s:f, s:f, s:b, s:I, s:I, s:I}", "time",
                     settings->is_paced ? "recorded" : "full", "streams", (int)plan->stream_count,
                     "touch", measure_touch_text(settings), "idle_seconds", settings->idle_s,
                     "budget_seconds", settings->budget_s, "plan_held",
                     plan->bytes <= settings->held_bytes_max, "calls", (json_int_t)plan->calls,
                     "handed_over", (json_int_t)plan->handed_over, "left_out",
                     (json_int_t)plan->left_out);
}

char *measure_result_json(const struct measure_session *session) {
    json_t *subjects = json_array(), *words = json_array();
    for (size_t i = 0; i < session->subjects.count; i++)
        json_array_append_new(subjects, subject_json(session, i));
    for (size_t v = 0; v < VERDICT_COUNT; v++) {
        char text[2560];
        verdict(session, verdicts[v].metric, verdicts[v].what, text, sizeof text);
        if (text[0] != '\0')
            json_array_append_new(words, json_string(text));
    }
    json_t *root = json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:f}", "schema", "hak.measure",
        "version", 1, "tool", "hakreplay", "tool_version", HAK_VERSION, "commit", HAK_COMMIT,
        "trace", trace_json(session->source), "settings", settings_json(session), "environment",
        measure_os_environment(), "interrupted", session->interrupted, "subjects", subjects,
        "verdicts", words, "player_share", player_share(session));
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    json_decref(root);
    return text;
}
