// haktrace_memory.c: what a trace tells of memory beside its events: totals, and `dump --memory`.
//
// Owns: the text form of a row, which haktrace(1) documents and scripts rely on:
//
//     KIND event=N NAME=N ...
//
// names as in FORMAT.md §9, in the order of the columns; ops of mappings by name, their addresses
// in hexadecimal.
#include "haktrace.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t greater(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static void count_mapping(struct haktrace_memory *memory, const uint64_t *values) {
    switch (values[TRACE_MAPS_OP]) {
    case TRACE_MAP:
        memory->maps++;
        memory->mapped_bytes += values[TRACE_MAPS_BYTES];
        break;
    case TRACE_UNMAP:
        memory->unmaps++;
        break;
    default:
        break;
    }
}

int haktrace_memory_count(void *self, const struct trace_side *rows, size_t count,
                          struct trace_error *error) {
    struct haktrace_memory *memory = self;
    (void)error;
    for (size_t i = 0; i < count; i++) {
        const uint64_t *values = rows[i].values;
        if (rows[i].kind == TRACE_SIDE_RESIDENT) {
            memory->samples++;
            memory->sampled_pages += values[TRACE_RESIDENT_PAGES];
            memory->found_pages += values[TRACE_RESIDENT_FOUND];
        } else if (rows[i].kind == TRACE_SIDE_PROCESS) {
            memory->process_samples++;
            memory->rss_max = greater(memory->rss_max, values[TRACE_PROCESS_RSS]);
            memory->anonymous_max = greater(memory->anonymous_max, values[TRACE_PROCESS_ANONYMOUS]);
            memory->minor_faults = values[TRACE_PROCESS_MINOR_FAULTS];
            memory->major_faults = values[TRACE_PROCESS_MAJOR_FAULTS];
        } else {
            count_mapping(memory, values);
        }
    }
    return 0;
}

// ---------------------------------------------------------------- dump --memory

struct rows_dumped {
    const struct haktrace_options *options;
    uint64_t left;
};

static void print_value(const struct trace_side *side, unsigned id, bool json) {
    const char *name = trace_side_columns[side->kind][id].name;
    uint64_t value = side->values[id];
    if (side->kind == TRACE_SIDE_MAPS && id == TRACE_MAPS_OP)
        printf(json ? ",\"%s\":\"%s\"" : " %s=%s", name, trace_map_op_names[value]);
    else if (side->kind == TRACE_SIDE_MAPS && id == TRACE_MAPS_ADDRESS && !json)
        printf(" %s=0x%" PRIx64, name, value);
    else
        printf(json ? ",\"%s\":%" PRIu64 : " %s=%" PRIu64, name, value);
}

static int print_rows(void *self, const struct trace_side *rows, size_t count,
                      struct trace_error *error) {
    struct rows_dumped *dumped = self;
    bool json = dumped->options->json;
    (void)error;
    for (size_t i = 0; i < count && dumped->left > 0; i++) {
        if (rows[i].event < dumped->options->from)
            continue;
        printf(json ? "{\"kind\":\"%s\",\"event\":%" PRIu64 : "%s event=%" PRIu64,
               trace_side_names[rows[i].kind], rows[i].event);
        for (unsigned id = 2; id < TRACE_SIDE_VALUES && trace_side_columns[rows[i].kind][id].name;
             id++)
            print_value(&rows[i], id, json);
        puts(json ? "}" : "");
        dumped->left--;
    }
    return 0;
}

int haktrace_memory_dump(const struct haktrace_options *options) {
    enum { BATCH_EVENTS = 1024 };
    struct trace_event events[BATCH_EVENTS];
    struct trace_error error;
    struct rows_dumped dumped = {options, options->count};
    struct trace_reader *reader = trace_reader_open(options->path, &error);
    if (!reader)
        return haktrace_fail("%s", error.text);
    trace_reader_visit_sides(reader, print_rows, &dumped);
    ptrdiff_t count;
    while ((count = trace_reader_next(reader, events, BATCH_EVENTS, &error)) > 0 &&
           dumped.left > 0 && !haktrace_output_closed())
        ;
    fflush(stdout); // what could be read comes before the error
    int status = count < 0 ? haktrace_fail("%s", error.text) : HAKTRACE_OK;
    trace_reader_close(reader);
    return haktrace_finish_output(status);
}
