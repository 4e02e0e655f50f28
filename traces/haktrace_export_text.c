// haktrace_export_text.c: exports of lines: collapsed stacks and comma-separated values.
//
// Collapsed: one line a stack, outermost frame first: `FRAME;FRAME BYTES`, bytes allocated there
// over the whole trace. What flamegraph.pl and its kin read; lines of equal stacks may recur.
//
// CSV: a heading and one event a line, all columns, empty where the op has none. Times in ns.
#include "haktrace_export.h"

#include <inttypes.h>
#include <stdlib.h>

enum { BATCH_EVENTS = 1024, NAME_BYTES = 256 };

// ---------------------------------------------------------------- collapsed

// The frames of a node, innermost first, into *chain; how many. A deeper stack is cut outside.
static uint32_t chain_of(const struct trace_reader *reader, uint32_t node, uint32_t *chain) {
    struct trace_node content;
    uint32_t depth = 0;
    for (; depth < HAKTRACE_DEPTH_MAX && trace_reader_node(reader, node, &content);
         node = content.parent)
        chain[depth++] = node;
    return depth;
}

static void write_stack(struct haktrace_export *export, uint32_t node, uint64_t bytes,
                        uint32_t *chain) {
    char name[NAME_BYTES];
    for (uint32_t depth = chain_of(export->reading.reader, node, chain); depth > 0; depth--) {
        uint32_t place = haktrace_place_of(&export->frames, chain[depth - 1]);
        haktrace_place_name(&export->frames, place, name, sizeof name);
        haktrace_output_text(&export->output, "%s%s", name, depth > 1 ? ";" : "");
    }
    haktrace_output_text(&export->output, "%s %" PRIu64 "\n", node ? "" : "[no_stack]", bytes);
}

int haktrace_export_collapsed(struct haktrace_export *export) {
    uint32_t *chain = malloc(HAKTRACE_DEPTH_MAX * sizeof *chain);
    struct haktrace_site *sums = chain ? haktrace_sum_nodes(export) : NULL;
    if (!chain)
        trace_report_file("export", &export->error, "out of memory");
    for (uint32_t node = 0; sums && node <= export->reading.summary.nodes; node++)
        if (sums[node].begun_bytes > 0)
            write_stack(export, node, sums[node].begun_bytes, chain);
    int status = sums ? 0 : -1;
    free(sums);
    free(chain);
    return status;
}

// ---------------------------------------------------------------- comma-separated values

static void write_value(struct haktrace_export *export, bool present, uint64_t value) {
    if (present)
        haktrace_output_text(&export->output, ",%" PRIu64, value);
    else
        haktrace_output_bytes(&export->output, ",", 1);
}

static void write_row(struct haktrace_export *export, const struct trace_event *event) {
    const struct trace_op_info *op = &trace_op_table[event->op];
    haktrace_output_text(&export->output, "%" PRIu64 ",%" PRIu64 ",%" PRIu32 ",%s", event->number,
                         event->time_ticks * export->reading.summary.tick_ns, event->thread,
                         op->name);
    write_value(export, op->flags & (TRACE_OP_CREATES | TRACE_OP_REFERS), event->object);
    write_value(export, op->flags & TRACE_OP_HAS_SIZE, event->size);
    write_value(export, event->align_log2 > 0, UINT64_C(1) << event->align_log2);
    write_value(export, op->flags & TRACE_OP_HAS_VALUE, event->value);
    write_value(export, op->flags & TRACE_OP_HAS_PEER, event->peer);
    write_value(export, event->stack > 0, event->stack);
    write_value(export, event->address > 0, event->address);
    haktrace_output_text(&export->output, ",%s\n",
                         event->entry ? trace_entry_names[event->entry] : "");
}

int haktrace_export_csv(struct haktrace_export *export) {
    struct trace_event events[BATCH_EVENTS];
    struct trace_reader *reader = export->reading.reader;
    ptrdiff_t count;
    haktrace_output_text(&export->output,
                         "number,time_ns,thread,op,object,size,align,value,peer,stack,address,"
                         "entry\n");
    if (trace_reader_seek(reader, 0, &export->error))
        return -1;
    while ((count = trace_reader_next(reader, events, BATCH_EVENTS, &export->error)) > 0)
        for (ptrdiff_t i = 0; i < count; i++)
            write_row(export, &events[i]);
    return count < 0 ? -1 : 0;
}
