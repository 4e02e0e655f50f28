// result.c: the hak.run and hak.runs objects of doc/results.md as text, and that text as a file.
// Keys stand in the order of that page, and equal results give equal bytes; what may differ between
// runs is the caller's, under `unreliable`. Reads a finished result, counts nothing.
#include "program_internal.h"

#include "hak_version.h"
#include "world_os.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATIO_DIGITS 9

static json_t *integer(uint64_t value) {
    return json_integer((json_int_t)value);
}

static void set(json_t *object, const char *key, json_t *value) {
    json_object_set_new(object, key, value);
}

static void set_text(json_t *object, const char *key, const char *text) {
    set(object, key, text == NULL ? json_null() : json_string(text));
}

static json_t *hexadecimal(uint64_t value) {
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)value);
    return json_string(text);
}

static json_t *ratio(double numerator, double denominator) {
    return denominator == 0 ? json_null() : json_real(numerator / denominator);
}

// A whole JSON text as a value; null where there is none.
static json_t *embedded(const char *text) {
    json_t *value = text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
    return value == NULL ? json_null() : value;
}

// ---------------------------------------------------------------- the run

static json_t *trace_json(const struct program_source *source) {
    if (source == NULL || source->trace.path[0] == '\0')
        return json_null();
    json_t *trace = json_object();
    set_text(trace, "path", source->trace.path);
    set_text(trace, "hash", source->trace.hash);
    set_text(trace, "program", source->trace.program);
    set(trace, "events", integer(source->trace.events));
    set(trace, "objects", integer(source->objects));
    set(trace, "threads", integer(source->threads));
    set(trace, "lost", integer(source->trace.lost));
    set(trace, "complete", json_boolean(source->trace.complete));
    set(trace, "tick_ns", integer(source->trace.tick_ns));
    return trace;
}

static const char *order_name(enum program_order order) {
    static const char *const names[] = {"strict", "window", "dataflow"};
    return names[order];
}

// A value that is a number becomes one.
static json_t *switch_value(const char *text) {
    long long value;
    int length = 0;
    if (sscanf(text, "%lld%n", &value, &length) == 1 && text[length] == '\0')
        return json_integer(value);
    return json_string(text);
}

static json_t *switches_json(const struct mf2_route *route) {
    json_t *switches = json_object();
    char value[64];
    const char *name;
    for (size_t i = 0; (name = mf2_route_switch(route, i, value, sizeof value)) != NULL; i++)
        set(switches, name, switch_value(value));
    return switches;
}

static json_t *counters_json(const struct mf2_counters *counters) {
    json_t *object = json_object();
    const uint64_t *values = (const uint64_t *)(const void *)counters;
    for (size_t i = 0; i < MF2_COUNTER_COUNT; i++)
        set(object, mf2_counter_table[i].name, integer(values[i]));
    return object;
}

static json_t *thread_json(uint32_t number, const struct program_thread_row *row) {
    json_t *thread = json_object();
    set(thread, "id", integer(number));
    set(thread, "operations", integer(row->operations));
    set(thread, "allocations", integer(row->allocations));
    set(thread, "frees", integer(row->frees));
    set(thread, "remote_frees", integer(row->counts.remote_frees));
    set(thread, "new_pages", integer(row->counts.new_pages));
    set(thread, "recycled_pages", integer(row->counts.recycled_pages));
    set(thread, "page_reuses", integer(row->counts.page_reuses));
    set(thread, "pages_adopted_from_it", integer(row->counts.adopted_from));
    set(thread, "pages_it_adopted", integer(row->counts.adopted));
    return thread;
}

static json_t *threads_json(const struct program_result *result) {
    json_t *threads = json_array();
    for (uint32_t i = 0; i < result->thread_count; i++)
        if (result->threads[i].seen)
            json_array_append_new(threads, thread_json(i, &result->threads[i]));
    return threads;
}

// ---------------------------------------------------------------- what was measured

static json_t *measures_json(const struct program_result *result) {
    struct program_measures m;
    program_result_measures(result, &m);
    json_t *object = json_object();
    set(object, "held_max", integer(m.held_max));
    set(object, "fewest_max", integer(m.fewest_max));
    set(object, "held_over_fewest", ratio((double)m.held_max, (double)m.fewest_max));
    set(object, "held_mean", json_real(m.held_mean));
    set(object, "fewest_mean", json_real(m.fewest_mean));
    set(object, "constant_pages", integer(m.constant_pages));
    set(object, "live_bytes_max", integer(m.live_bytes_max));
    set(object, "live_pages_max", integer(m.live_pages_max));
    set(object, "new_pages", integer(m.new_pages));
    set(object, "recycled_pages", integer(m.recycled_pages));
    set(object, "page_reuses", integer(m.page_reuses));
    set(object, "reuse_over_new", ratio((double)m.page_reuses, (double)m.new_pages));
    set(object, "reuse_share", ratio((double)m.page_reuses, (double)(m.page_reuses + m.new_pages)));
    set(object, "new_pages_per_million", ratio((double)m.new_pages * 1e6, (double)m.allocations));
    set(object, "owner_changes_per_page", ratio((double)m.owner_changes, (double)m.new_pages));
    set(object, "allocations", integer(m.allocations));
    set(object, "failed_allocations", integer(m.failed_allocations));
    set(object, "unresolved", integer(m.unresolved));
    return object;
}

static json_t *remote_frees_json(const struct mf2_counters *counters) {
    json_t *object = json_object();
    set(object, "owner_running", integer(counters->remote_owner_running));
    set(object, "owner_idle", integer(counters->remote_owner_idle));
    set(object, "owner_exited", integer(counters->remote_owner_exited));
    set(object, "no_owner", integer(counters->remote_no_owner));
    return object;
}

static json_t *stranded_json(const struct program_result *result) {
    json_t *object = json_object();
    const struct mf2_census *census = &result->stranded;
    set(object, "owner_exited", integer(census->stranded_owner_exited));
    set(object, "owner_idle", integer(census->stranded_owner_idle));
    set(object, "full_forgotten", integer(census->stranded_full_forgotten));
    set(object, "below_threshold", integer(census->stranded_below_threshold));
    set(object, "pending_undrained", integer(census->stranded_pending_undrained));
    set(object, "total", integer(result->stranded_total));
    set(object, "at_step", integer(result->stranded_step));
    return object;
}

// [from, to, pages], in the order of both.
static int compare_migrations(const void *left, const void *right) {
    const struct program_migration *a = left, *b = right;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

static json_t *migrations_json(const struct program_result *result) {
    const struct program_migrations *migrations = &result->migrations;
    json_t *list = json_array();
    struct program_migration *sorted = calloc(migrations->count + 1, sizeof *sorted);
    uint32_t count = 0;
    for (uint32_t i = 0; sorted != NULL && i < migrations->capacity; i++)
        if (migrations->slots[i].pages > 0)
            sorted[count++] = migrations->slots[i];
    if (sorted != NULL)
        qsort(sorted, count, sizeof *sorted, compare_migrations);
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list,
                              json_pack("[I,I,I]", (json_int_t)sorted[i].from,
                                        (json_int_t)sorted[i].to, (json_int_t)sorted[i].pages));
    free(sorted);
    return list;
}

static const char *stranding_name(uint32_t cause) {
    static const char *const names[] = {"none",           "owner_exited",    "owner_idle",
                                        "full_forgotten", "below_threshold", "pending_undrained"};
    return names[cause];
}

static json_t *sites_json(const struct program_sites *sites) {
    if (sites->total == 0)
        return json_null();
    json_t *object = json_object(), *rows = json_array();
    set(object, "at_step", integer(sites->step));
    set(object, "stranded", integer(sites->total));
    set(object, "without_objects", integer(sites->empty));
    set(object, "objects", integer(sites->objects));
    set(object, "stride", integer(sites->stride));
    set(object, "columns", json_pack("[s,s,s]", "object", "cause", "page_millionths"));
    for (uint32_t i = 0; i < sites->count; i++)
        json_array_append_new(rows, json_pack("[I,s,I]", (json_int_t)sites->list[i].object,
                                              stranding_name(sites->list[i].cause),
                                              (json_int_t)sites->list[i].page_millionths));
    set(object, "rows", rows);
    return object;
}

static json_t *class_json(const struct program_result *result, uint32_t class_index) {
    const struct program_class_row *row = &result->classes[class_index];
    json_t *object = json_object();
    uint64_t fewest = (row->peak_live_blocks + row->capacity - 1) / row->capacity;
    set(object, "class", integer(class_index));
    set(object, "block_bytes", integer(result->geometry->block_bytes[class_index]));
    set(object, "blocks_per_page", integer(row->capacity));
    set(object, "allocations", integer(row->allocations));
    set(object, "new_pages", integer(row->new_pages));
    set(object, "recycled_pages", integer(row->recycled_pages));
    set(object, "page_reuses", integer(row->page_reuses));
    set(object, "peak_live_blocks", integer(row->peak_live_blocks));
    set(object, "peak_pages", integer(row->peak_pages));
    set(object, "peak_fewest_pages", integer(fewest));
    return object;
}

static json_t *classes_json(const struct program_result *result) {
    json_t *classes = json_array();
    for (uint32_t k = 0; k < result->geometry->class_count; k++)
        json_array_append_new(classes, class_json(result, k));
    return classes;
}

static json_t *timeline_json(const struct program_result *result) {
    json_t *timeline = json_object(), *columns = json_array(), *rows = json_array();
#define X(name) json_array_append_new(columns, json_string(#name));
    PROGRAM_TIMELINE(X)
#undef X
    for (uint32_t i = 0; i < result->row_count; i++) {
        json_t *row = json_array();
#define X(name) json_array_append_new(row, integer(result->rows[i].name));
        PROGRAM_TIMELINE(X)
#undef X
        json_array_append_new(rows, row);
    }
    set(timeline, "columns", columns);
    set(timeline, "rows", rows);
    return timeline;
}

static json_t *violations_json(const struct program_result *result) {
    json_t *violations = json_array();
    if (!result->violated)
        return violations;
    json_t *violation = json_object();
    set_text(violation, "oracle", world_oracle_name(result->violation.oracle));
    set(violation, "step", integer(result->violation.operation));
    set_text(violation, "text", result->violation.text);
    set(violation, "point", integer(result->violation.point));
    json_array_append_new(violations, violation);
    return violations;
}

// ---------------------------------------------------------------- all of it

static void set_origin(json_t *object, const char *schema, const char *tool) {
    set_text(object, "schema", schema);
    set(object, "version", integer(1));
    set_text(object, "tool", tool);
    set_text(object, "tool_version", HAK_VERSION);
    set_text(object, "commit", HAK_COMMIT);
}

static void set_head(json_t *run, const struct program_result *result,
                     const struct program_source *source, const struct program_options *options,
                     const struct program_result_labels *labels) {
    set_origin(run, "hak.run", labels->tool);
    set_text(run, "sources", world_source_hash());
    set_text(run, "world", labels->world);
    set_text(run, "certainty", labels->certainty);
    set(run, "trace", trace_json(source));
    set(run, "workload", embedded(labels->workload_json));
    set(run, "machine", embedded(labels->machine_json));
    set_text(run, "order", order_name(options->order));
    set_text(run, "strategy", options->strategy_name);
    set(run, "seed", integer(labels->seed));
    set_text(run, "memory", labels->memory);
    set_text(run, "geometry", labels->geometry);
    set(run, "page_bytes", integer(result->geometry->page_bytes));
    set_text(run, "route", labels->route_text);
}

static const char *end_name(const struct program_result *result) {
    bool stopped = result->interrupted && result->end == WORLD_DONE;
    return stopped ? "interrupted" : world_end_name(result->end);
}

static void set_body(json_t *run, const struct program_result *result) {
    set(run, "switches", switches_json(&result->route));
    set(run, "digest", hexadecimal(program_result_digest(result)));
    set(run, "behaviour", hexadecimal(program_behaviour(result)));
    set(run, "steps", integer(result->steps));
    set(run, "points", integer(result->points));
    set(run, "time_ns", integer(result->time_ns));
    set(run, "end", json_string(end_name(result)));
    set(run, "interrupted", json_boolean(result->interrupted));
    set(run, "counters", counters_json(&result->counters));
    set(run, "threads", threads_json(result));
    set(run, "measures", measures_json(result));
    set(run, "remote_frees", remote_frees_json(&result->counters));
    set(run, "stranded", stranded_json(result));
    set(run, "stranded_objects", sites_json(&result->sites));
    set(run, "migrations", migrations_json(result));
    set(run, "classes", classes_json(result));
    set(run, "timeline", timeline_json(result));
    set(run, "violations", violations_json(result));
}

char *program_result_json(const struct program_result *result, const struct program_source *source,
                          const struct program_options *options,
                          const struct program_result_labels *labels) {
    json_t *run = json_object();
    set_head(run, result, source, options, labels);
    set_body(run, result);
    json_t *unreliable = embedded(labels->unreliable_json);
    if (!json_is_object(unreliable)) {
        json_decref(unreliable);
        unreliable = json_object();
    }
    set(run, "unreliable", unreliable);
    char *text = json_dumps(run, JSON_COMPACT | JSON_REAL_PRECISION(RATIO_DIGITS));
    json_decref(run);
    return text;
}

// ---------------------------------------------------------------- several runs

// The object as far as it is before its runs, and closed: "{...}".
static char *runs_head(const char *tool, const struct program_source *source) {
    json_t *head = json_object();
    set_origin(head, "hak.runs", tool);
    set(head, "trace", trace_json(source));
    char *text = json_dumps(head, JSON_COMPACT);
    json_decref(head);
    return text;
}

// The runs' texts are taken as they are: reading them again, only to write them, would need many
// times their memory.
char *program_runs_json(const char *tool, const struct program_source *source, char *const *runs,
                        size_t count) {
    char *text = NULL, *head = runs_head(tool, source);
    size_t size;
    FILE *out = head == NULL ? NULL : open_memstream(&text, &size);
    if (out != NULL) {
        fprintf(out, "%.*s,\"runs\":[", (int)strlen(head) - 1, head);
        for (size_t i = 0; i < count; i++)
            fprintf(out, "%s%s", i == 0 ? "" : ",", runs[i]);
        fputs("]}", out);
        bool broken = ferror(out);
        if (fclose(out) != 0 || broken) {
            free(text);
            text = NULL;
        }
    }
    free(head);
    return text;
}

// ---------------------------------------------------------------- files

const char *program_result_write(const char *path, const char *json) {
    size_t length = strlen(json);
    char *line = malloc(length + 1);
    if (line == NULL)
        return "out of memory for the result";
    memcpy(line, json, length);
    line[length] = '\n';
    const char *why = world_os_write_file(path, line, length + 1);
    free(line);
    return why;
}
