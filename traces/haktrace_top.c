// haktrace_top.c: `haktrace top`: which stacks allocate most.
//
// Owns: the table. One line a stack, most bytes allocated first: bytes and blocks over the whole
// trace, bytes and blocks alive at its end, and the innermost frames.
#include "haktrace_export.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ROWS_DEFAULT = 20, FRAMES_SHOWN = 4, NAME_BYTES = 128 };

struct row {
    uint32_t node;
    const struct haktrace_node_sums *sums;
};

// Most bytes first; of equal ones, the stack that was seen first.
static int compare_rows(const void *left, const void *right) {
    const struct row *a = left, *b = right;
    if (a->sums->begun_bytes != b->sums->begun_bytes)
        return a->sums->begun_bytes < b->sums->begun_bytes ? 1 : -1;
    return a->node < b->node ? -1 : a->node > b->node;
}

static void write_frames(struct haktrace_export *export, uint32_t node) {
    char name[NAME_BYTES];
    struct trace_node content;
    unsigned shown = 0;
    for (; shown < FRAMES_SHOWN && trace_reader_node(export->reading.reader, node, &content);
         node = content.parent, shown++) {
        haktrace_place_name(&export->frames, haktrace_place_of(&export->frames, node), name,
                            sizeof name);
        haktrace_output_text(&export->output, "%s%s", shown ? " < " : "  ", name);
    }
    haktrace_output_text(&export->output, "%s\n", shown ? node ? " < ..." : "" : "  [no stack]");
}

static int write_table(struct haktrace_export *export, uint64_t row_count) {
    uint32_t nodes = export->reading.summary.nodes;
    struct haktrace_node_sums *sums = haktrace_sum_nodes(export);
    struct row *rows = malloc(((size_t)nodes + 1) * sizeof *rows);
    size_t count = 0;
    if (sums && !rows)
        trace_report_file("top", &export->error, "out of memory");
    for (uint32_t node = 0; sums && rows && node <= nodes; node++)
        if (sums[node].begun > 0)
            rows[count++] = (struct row){node, &sums[node]};
    if (sums && rows) {
        qsort(rows, count, sizeof *rows, compare_rows);
        haktrace_output_text(&export->output, "%14s %10s %14s %10s  %s\n", "bytes", "blocks",
                             "live at end", "blocks", "stack, innermost frame first");
        for (size_t i = 0; i < count && i < row_count; i++) {
            haktrace_output_text(&export->output,
                                 "%14" PRIu64 " %10" PRIu64 " %14" PRIu64 " %10" PRIu64,
                                 rows[i].sums->begun_bytes, rows[i].sums->begun,
                                 rows[i].sums->live_bytes, rows[i].sums->live);
            write_frames(export, rows[i].node);
        }
    }
    int status = sums && rows ? 0 : -1;
    free(rows);
    free(sums);
    return status;
}

int haktrace_top(const struct haktrace_options *options) {
    return haktrace_write_export(options, write_table,
                                 options->count == UINT64_MAX ? ROWS_DEFAULT : options->count);
}
