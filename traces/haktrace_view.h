// haktrace_view.h: what a person wants to see of a trace at a glance, also while it is written.
//
// For `haktrace top` and `hakrec --live`. Does not own the reader nor the frames. One thread.
// Memory: the live objects, and 40 bytes for each node of the stack tree.
#ifndef HAK_HAKTRACE_VIEW_H
#define HAK_HAKTRACE_VIEW_H

#include "haktrace_frames.h"
#include "haktrace_lives.h"

// What blocks that begin at one node of the stack tree add up to.
struct haktrace_site {
    uint32_t node;               // 0 = without a stack
    uint64_t begun, begun_bytes; // so far
    uint64_t live, live_bytes;
};

struct haktrace_view {
    struct trace_reader *reader;
    struct haktrace_lives lives;
    struct trace_error error;
    uint64_t events, time_ticks;
    uint64_t ended, ended_elsewhere; // lives; those that another thread than the creator ended
    uint64_t live, live_bytes, live_bytes_max;
    uint32_t threads_exited;
    struct haktrace_site *sites; // by node
    uint32_t site_capacity;      // of a whole trace: all its nodes and node 0, at least
};

// 0, or -1 with view->error set; haktrace_view_end may be called in any case.
int haktrace_view_begin(struct haktrace_view *view, struct trace_reader *reader);
void haktrace_view_end(struct haktrace_view *view);
// Reads on, at most about `events_max` events. 1: there may be more; 0: the end of what is there;
// -1: view->error.
int haktrace_view_step(struct haktrace_view *view, uint64_t events_max);

// Up to `count` sites (few) with the most live bytes, most first; of equal ones the one seen first.
// Returns how many there are.
size_t haktrace_view_most_live(const struct haktrace_view *view, struct haktrace_site *sites,
                               size_t count);
// Reads the trace from its beginning to its end. 0, or -1 with view->error set.
int haktrace_view_whole(struct haktrace_view *view);

// The innermost frames of a node, "a < b < c < ...", as far as `size` allows.
void haktrace_view_stack(const struct haktrace_view *view, struct haktrace_frames *frames,
                         uint32_t node, char *text, size_t size);
// Figures in words: "8 threads (5 alive), live 1.2 MiB in 34 blocks (peak 2.0 MiB), 12.3 % of
// frees by another thread".
void haktrace_view_words(const struct haktrace_view *view, char *text, size_t size);
// "512 B", "1.2 MiB".
void haktrace_view_bytes(uint64_t bytes, char *text, size_t size);

#endif
