// haktrace_repack.c: `haktrace repack`: the same trace in the smallest form.
//
// Owns: what that is: larger chunks, objects by rank, entry points by difference, a slower level of
// zstd. Events, nodes, modules, META, INFO and END are the source's, under their old numbers. With
// --core, entry points, addresses and the rows beside the events are left out: what remains is what
// a replay reads, and stacks.
#include "haktrace.h"
#include "trace_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { BATCH_EVENTS = 1024, ROWS_PER_CHUNK = 1 << 19, LEVEL = 9 };

struct repacking {
    struct trace_reader *reader;
    struct trace_writer *writer;
    uint32_t nodes, modules; // written
    bool core;
    struct trace_error *error;
};

// What the reader has come to know is written before the events that name it.
static int copy_tables(struct repacking *repacking) {
    const char *text;
    struct trace_node node;
    for (; (text = trace_reader_module(repacking->reader, repacking->modules + 1));
         repacking->modules++)
        if (!trace_writer_module(repacking->writer, text, repacking->error))
            return -1;
    for (; trace_reader_node(repacking->reader, repacking->nodes + 1, &node); repacking->nodes++)
        if (!trace_writer_node(repacking->writer, &node, repacking->error))
            return -1;
    return 0;
}

static int copy_sides(void *self, const struct trace_side *rows, size_t count,
                      struct trace_error *error) {
    struct repacking *repacking = self;
    if (copy_tables(repacking))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (trace_writer_side(repacking->writer, &rows[i], error))
            return -1;
    return 0;
}

// The rows beside the events come when all events before them have been written. What a replay
// does without is left out of the core.
static int copy_events(struct repacking *repacking) {
    struct trace_event events[BATCH_EVENTS];
    ptrdiff_t count;
    if (!repacking->core)
        trace_reader_visit_sides(repacking->reader, copy_sides, repacking);
    while ((count = trace_reader_next(repacking->reader, events, BATCH_EVENTS, repacking->error)) >
           0) {
        if (copy_tables(repacking))
            return -1;
        for (ptrdiff_t i = 0; i < count; i++) {
            if (repacking->core)
                events[i].entry = events[i].op < TRACE_OP_COUNT ? trace_usual_entries[events[i].op]
                                                                : TRACE_ENTRY_UNKNOWN;
            if (trace_writer_event(repacking->writer, &events[i], repacking->error))
                return -1;
        }
    }
    return count < 0 || copy_tables(repacking) ? -1 : 0;
}

static int copy_infos(struct repacking *repacking) {
    const char *text;
    for (uint32_t i = 1; (text = trace_reader_info(repacking->reader, i)); i++)
        if (trace_writer_info(repacking->writer, text, repacking->error))
            return -1;
    return 0;
}

static struct trace_writer *create(struct repacking *repacking, const char *output, bool force) {
    struct trace_summary summary;
    trace_reader_summary(repacking->reader, &summary);
    json_t *meta = json_loads(summary.meta_json, 0, NULL);
    bool addresses = json_is_true(json_object_get(meta, "addresses")) && !repacking->core;
    json_object_set_new(meta, "addresses", json_boolean(addresses));
    char *text = json_dumps(meta, JSON_COMPACT);
    json_decref(meta);
    uint64_t id = text ? XXH64(text, strlen(text), 0) : 0;
    struct trace_writer_options options = {.compression_level = LEVEL,
                                           .rows_per_chunk = ROWS_PER_CHUNK,
                                           .addresses = addresses,
                                           .overwrite = force,
                                           .ranked = true,
                                           .named_at_end = true,
                                           .trace_id = id ? id : 1};
    struct trace_writer *writer = NULL;
    if (text)
        writer = trace_writer_create(output, text, &options, repacking->error);
    else
        trace_report_file(output, repacking->error, "out of memory");
    free(text);
    return writer;
}

// A source without END is made one that says so little, and is then complete.
static int repack(struct repacking *repacking, const char *output, bool force) {
    struct trace_summary summary;
    repacking->writer = create(repacking, output, force);
    if (!repacking->writer)
        return -1;
    int status = copy_events(repacking) || copy_infos(repacking) ? -1 : 0;
    trace_reader_summary(repacking->reader, &summary);
    const char *end = summary.end_json ? summary.end_json : "{\"exit\":\"unknown\"}";
    if (trace_writer_close(repacking->writer, status ? NULL : end,
                           status ? NULL : repacking->error))
        status = -1;
    return status;
}

int haktrace_repack(const struct haktrace_options *options) {
    struct trace_error error;
    const char *output = options->output ? options->output : "repacked.zst";
    struct repacking repacking = {.core = options->core, .error = &error};
    repacking.reader = trace_reader_open(options->path, &error);
    if (!repacking.reader)
        return haktrace_fail("%s", error.text);
    int status =
        repack(&repacking, output, options->force) ? haktrace_fail("%s", error.text) : HAKTRACE_OK;
    trace_reader_close(repacking.reader);
    if (status == HAKTRACE_OK)
        haktrace_tell_written(options, output);
    return haktrace_finish_output(status);
}
