// haktrace_top.c: `haktrace top`: which stacks allocate most.
//
// Owns: the table. Two lines on the whole trace, then one a stack, most bytes allocated first:
// bytes and blocks over the whole trace, bytes and blocks alive at its end, and the innermost
// frames.
#include "haktrace_export.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ROWS_DEFAULT = 20, STACK_BYTES = 640 };

static void write_figures(struct haktrace_export *export, const struct haktrace_view *view) {
    char words[240];
    double seconds = (double)view->time_ticks * (double)export->reading.summary.tick_ns * 1e-9;
    haktrace_view_words(view, words, sizeof words);
    haktrace_output_text(&export->output, "%" PRIu64 " events in %.2f s", view->events, seconds);
    if (seconds > 0)
        haktrace_output_text(&export->output, ", %.3g M/s", (double)view->events * 1e-6 / seconds);
    haktrace_output_text(&export->output, "\n%s\n", words);
}

static void write_row(struct haktrace_export *export, const struct haktrace_view *view,
                      const struct haktrace_site *site) {
    char stack[STACK_BYTES];
    haktrace_view_stack(view, &export->frames, site->node, stack, sizeof stack);
    haktrace_output_text(&export->output,
                         "%14" PRIu64 " %10" PRIu64 " %14" PRIu64 " %10" PRIu64 "  %s\n",
                         site->begun_bytes, site->begun, site->live_bytes, site->live, stack);
}

// Most bytes first; of equal ones, the stack that was seen first.
static int compare_sites(const void *left, const void *right) {
    const struct haktrace_site *a = left, *b = right;
    if (a->begun_bytes != b->begun_bytes)
        return a->begun_bytes < b->begun_bytes ? 1 : -1;
    return a->node < b->node ? -1 : a->node > b->node;
}

static int write_view(struct haktrace_export *export, struct haktrace_view *view,
                      uint64_t row_count) {
    if (haktrace_view_whole(view) != 0)
        return -1;
    uint32_t count = 0; // sites of which no block was made stand nowhere
    for (uint32_t node = 0; node < view->site_capacity; node++)
        if (view->sites[node].begun > 0)
            view->sites[count++] = view->sites[node];
    qsort(view->sites, count, sizeof *view->sites, compare_sites);
    write_figures(export, view);
    haktrace_output_text(&export->output, "\n%14s %10s %14s %10s  %s\n", "bytes", "blocks",
                         "live at end", "blocks", "stack, innermost frame first");
    for (uint32_t i = 0; i < count && i < row_count; i++)
        write_row(export, view, &view->sites[i]);
    return 0;
}

static int write_table(struct haktrace_export *export, uint64_t row_count) {
    struct haktrace_view view;
    int status = haktrace_view_begin(&view, export->reading.reader);
    if (status == 0)
        status = write_view(export, &view, row_count);
    if (status != 0)
        export->error = view.error;
    haktrace_view_end(&view);
    return status;
}

int haktrace_top(const struct haktrace_options *options) {
    return haktrace_write_export(options, write_table,
                                 options->count == UINT64_MAX ? ROWS_DEFAULT : options->count);
}
