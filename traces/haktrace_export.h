// haktrace_export.h: what the forms of `haktrace export` share; a map, grouped by file.
#ifndef HAK_HAKTRACE_EXPORT_H
#define HAK_HAKTRACE_EXPORT_H

#include "haktrace.h"
#include "haktrace_frames.h"
#include "haktrace_lives.h"
#include "haktrace_output.h"
#include "haktrace_view.h"

// Frames of one stack that forms with whole stacks write; what is further out is left off.
enum { HAKTRACE_DEPTH_MAX = 1024 };

struct haktrace_export {
    struct haktrace_reading reading; // read whole once, in order
    struct haktrace_frames frames;
    struct haktrace_output output;
    struct trace_error error;
};

// What the blocks of each node add up to, by node number, of summary.nodes + 1 entries at least,
// malloc; NULL after an error in export->error.
struct haktrace_site *haktrace_sum_nodes(struct haktrace_export *export); // haktrace_export.c

// Reads the trace whole, refuses one in disorder, and has `writer` write to the output that the
// options name. The exit status.
int haktrace_write_export(const struct haktrace_options *options,
                          int (*writer)(struct haktrace_export *export, uint64_t argument),
                          uint64_t argument); // haktrace_export.c

// Each writes all of the export to export->output. 0, or -1 with export->error set.
int haktrace_export_heaptrack(struct haktrace_export *export); // haktrace_export_heaptrack.c
int haktrace_export_pprof(struct haktrace_export *export);     // haktrace_export_pprof.c
int haktrace_export_chrome(struct haktrace_export *export);    // haktrace_export_chrome.c
int haktrace_export_collapsed(struct haktrace_export *export); // haktrace_export_text.c
int haktrace_export_csv(struct haktrace_export *export);       // haktrace_export_text.c

#endif
