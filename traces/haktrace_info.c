// haktrace_info.c: `haktrace info`: what a trace holds.
//
// Owns: the choice and wording of figures. The figures are the checker's and the reader's.
#include "haktrace.h"

#include <inttypes.h>
#include <stdio.h>

// Facts that both forms of output show.
struct facts {
    const struct haktrace_reading *reading;
    uint64_t frees; // blocks given up by a thread: FREE and REALLOC_RELEASE
    uint64_t lost;
    double bits_per_event; // 0 where there are no events
    const char *missing;   // NULL = complete
    char missing_text[160];
    const char *unseen; // NULL = nothing known
    char unseen_text[240];
};

static void gather(const struct haktrace_reading *reading, struct facts *facts) {
    const struct trace_check_result *check = &reading->check;
    const struct trace_summary *summary = &reading->summary;
    json_t *lost = json_object_get(reading->end, "lost");
    facts->reading = reading;
    facts->frees = check->by_op[TRACE_FREE] + check->by_op[TRACE_REALLOC_RELEASE];
    facts->lost = json_is_integer(lost) ? (uint64_t)json_integer_value(lost) : check->lost;
    facts->bits_per_event =
        summary->events ? 8.0 * (double)summary->file_bytes / (double)summary->events : 0;
    facts->missing = haktrace_missing(reading, facts->missing_text, sizeof facts->missing_text);
    facts->unseen = haktrace_unseen(reading, facts->unseen_text, sizeof facts->unseen_text);
}

static double duration_seconds(const struct facts *facts) {
    return (double)facts->reading->check.duration_ticks * (double)facts->reading->summary.tick_ns *
           1e-9;
}

static double percent(uint64_t part, uint64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

// ---------------------------------------------------------------- JSON

static json_t *ops_json(const struct trace_check_result *check) {
    json_t *ops = json_object();
    for (unsigned op = 1; op < TRACE_OP_COUNT; op++)
        if (check->by_op[op])
            json_object_set_new(ops, trace_op_table[op].name,
                                json_integer((json_int_t)check->by_op[op]));
    return ops;
}

// A value as the file has it, null where it has none.
static void copy_key(json_t *to, const char *key, json_t *from) {
    json_t *value = json_object_get(from, key);
    json_object_set_new(to, key, value ? json_incref(value) : json_null());
}

static void set_count(json_t *object, const char *key, uint64_t value) {
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_hash(json_t *object, uint64_t hash) {
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    json_object_set_new(object, "hash", json_string(text));
}

static json_t *memory_json(const struct haktrace_memory *memory) {
    json_t *json = json_object();
    set_count(json, "resident_samples", memory->samples);
    set_count(json, "sampled_pages", memory->sampled_pages);
    set_count(json, "resident_pages", memory->found_pages);
    set_count(json, "process_samples", memory->process_samples);
    set_count(json, "rss_bytes_max", memory->rss_max);
    set_count(json, "anonymous_bytes_max", memory->anonymous_max);
    set_count(json, "minor_faults", memory->minor_faults);
    set_count(json, "major_faults", memory->major_faults);
    set_count(json, "maps", memory->maps);
    set_count(json, "unmaps", memory->unmaps);
    set_count(json, "mapped_bytes", memory->mapped_bytes);
    return json;
}

static json_t *facts_json(const struct facts *facts) {
    static const char *const meta_keys[] = {"program", "command", "start_time",
                                            "pid",     "stacks",  "addresses"};
    static const char *const end_keys[] = {"late", "unknown_frees", "exit", "status"};
    const struct trace_check_result *check = &facts->reading->check;
    const struct trace_summary *summary = &facts->reading->summary;
    json_t *info = json_object();
    for (unsigned i = 0; i < sizeof meta_keys / sizeof *meta_keys; i++)
        copy_key(info, meta_keys[i], facts->reading->meta);
    set_hash(info, summary->hash);
    json_object_set_new(info, "complete", json_boolean(summary->complete));
    json_object_set_new(info, "missing",
                        facts->missing ? json_string(facts->missing) : json_null());
    json_object_set_new(info, "note", facts->unseen ? json_string(facts->unseen) : json_null());
    set_count(info, "tick_ns", summary->tick_ns);
    json_object_set_new(info, "duration_seconds", json_real(duration_seconds(facts)));
    set_count(info, "events", summary->events);
    set_count(info, "objects", summary->objects);
    set_count(info, "threads", summary->threads);
    json_object_set_new(info, "by_op", ops_json(check));
    set_count(info, "frees", facts->frees);
    set_count(info, "cross_thread_frees", check->cross_thread_frees);
    set_count(info, "peak_live_bytes", check->peak_live_bytes);
    set_count(info, "peak_live_objects", check->peak_live_objects);
    set_count(info, "live_bytes", check->live_bytes);
    set_count(info, "live_objects", check->live_objects);
    set_count(info, "distinct_stacks", check->distinct_stacks);
    set_count(info, "stack_nodes", summary->nodes);
    set_count(info, "modules", summary->modules);
    json_object_set_new(info, "memory", memory_json(&facts->reading->memory));
    set_count(info, "lost", facts->lost);
    for (unsigned i = 0; i < sizeof end_keys / sizeof *end_keys; i++)
        copy_key(info, end_keys[i], facts->reading->end);
    set_count(info, "anomalies", check->anomalies.total);
    set_count(info, "file_bytes", summary->file_bytes);
    set_count(info, "cut_bytes", summary->cut_bytes);
    json_object_set_new(info, "bits_per_event",
                        summary->events ? json_real(facts->bits_per_event) : json_null());
    return info;
}

static void print_json(const struct facts *facts) {
    json_t *info = facts_json(facts);
    json_dumpf(info, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(info);
}

// ---------------------------------------------------------------- text

// Digits in groups of three; `text` holds at least 27 bytes.
static const char *grouped(uint64_t value, char text[static 27]) {
    char digits[21];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, value);
    int at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

static void print_count(const char *name, uint64_t value) {
    char text[27];
    printf("%-18s %s\n", name, grouped(value, text));
}

static void print_program(const struct facts *facts) {
    const char *program = json_string_value(json_object_get(facts->reading->meta, "program"));
    json_t *command = json_object_get(facts->reading->meta, "command");
    json_t *argument;
    size_t i;
    printf("%-18s ", "program");
    haktrace_print_text(program ? program : "not recorded");
    printf("\n%-18s ", "command");
    if (!json_is_array(command))
        printf("not recorded");
    json_array_foreach(command, i, argument) {
        if (i > 0)
            putchar(' ');
        haktrace_print_text(json_is_string(argument) ? json_string_value(argument) : "?");
    }
    putchar('\n');
}

static void print_state(const struct facts *facts) {
    const char *exit = json_string_value(json_object_get(facts->reading->end, "exit"));
    json_t *status = json_object_get(facts->reading->end, "status");
    printf("%-18s ", "trace");
    printf(facts->missing ? "incomplete: %s\n" : "complete\n", facts->missing);
    printf("%-18s ", "exit");
    haktrace_print_text(exit ? exit : "unknown");
    if (json_is_integer(status))
        printf(" %" JSON_INTEGER_FORMAT, json_integer_value(status));
    putchar('\n');
    if (facts->unseen) {
        printf("%-18s ", "note");
        haktrace_print_text(facts->unseen);
        putchar('\n');
    }
}

static void print_memory(const struct haktrace_memory *memory) {
    char text[27];
    if (memory->samples)
        printf("%-18s %.1f %% of the pages of %s blocks that were given up\n", "resident",
               percent(memory->found_pages, memory->sampled_pages), grouped(memory->samples, text));
    if (memory->process_samples) {
        printf("%-18s %s bytes at most", "process", grouped(memory->rss_max, text));
        printf(", %s minor", grouped(memory->minor_faults, text));
        printf(" and %s major faults", grouped(memory->major_faults, text));
        printf(", in %s samples\n", grouped(memory->process_samples, text));
    }
    if (memory->maps || memory->unmaps) {
        printf("%-18s %s maps", "mapped", grouped(memory->maps, text));
        printf(" of %s bytes", grouped(memory->mapped_bytes, text));
        printf(", %s unmaps\n", grouped(memory->unmaps, text));
    }
}

static void print_text(const struct facts *facts) {
    const struct trace_check_result *check = &facts->reading->check;
    const struct trace_summary *summary = &facts->reading->summary;
    const char *stacks = json_string_value(json_object_get(facts->reading->meta, "stacks"));
    char text[27];
    print_program(facts);
    print_state(facts);
    printf("%-18s %.3f s, in ticks of %" PRIu64 " ns\n", "duration", duration_seconds(facts),
           summary->tick_ns);
    print_count("threads", summary->threads);
    print_count("events", summary->events);
    for (unsigned op = 1; op < TRACE_OP_COUNT; op++)
        if (check->by_op[op])
            printf("  %-16s %s\n", trace_op_table[op].name, grouped(check->by_op[op], text));
    print_count("objects", summary->objects);
    printf("%-18s %s", "cross-thread frees", grouped(check->cross_thread_frees, text));
    printf(" of %s (%.1f %%)\n", grouped(facts->frees, text),
           percent(check->cross_thread_frees, facts->frees));
    printf("%-18s %s bytes", "peak live", grouped(check->peak_live_bytes, text));
    printf(", %s objects\n", grouped(check->peak_live_objects, text));
    printf("%-18s ", "stacks");
    haktrace_print_text(stacks ? stacks : "not recorded");
    printf(", %s distinct", grouped(check->distinct_stacks, text));
    printf(" of %s frames\n", grouped(summary->nodes, text));
    print_memory(&facts->reading->memory);
    print_count("lost", facts->lost);
    if (facts->reading->end)
        print_count("late",
                    (uint64_t)json_integer_value(json_object_get(facts->reading->end, "late")));
    printf("%-18s %s bytes", "file", grouped(summary->file_bytes, text));
    if (summary->events)
        printf(", %.2f bits per event", facts->bits_per_event);
    printf("\n%-18s %016" PRIx64 "\n", "hash", summary->hash);
    if (check->anomalies.total)
        printf("%-18s %s, see haktrace verify\n", "anomalies",
               grouped(check->anomalies.total, text));
}

int haktrace_info(const struct haktrace_options *options) {
    struct haktrace_reading reading;
    struct facts facts;
    if (options->columns)
        return haktrace_columns(options);
    int status = haktrace_read_whole(options->path, &reading);
    if (status != HAKTRACE_OK)
        return status;
    gather(&reading, &facts);
    options->json ? print_json(&facts) : print_text(&facts);
    haktrace_close(&reading);
    return haktrace_finish_output(HAKTRACE_OK);
}
