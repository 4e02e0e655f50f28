// progress.h: how far a long command is: one line on standard error, written over and over.
//
//   hakreplay: best: 34.5 %, 12.3 M operations/s, 4 s left
//
// Only where the tool says that standard error is a terminal and nobody asked for quiet. Nothing
// is shown in the first half second, so that short commands stay silent. The caller brings the
// clock (monotonic nanoseconds). One thread, or the caller's lock.
#ifndef HAK_TRACES_PROGRESS_H
#define HAK_TRACES_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TRACE_PROGRESS_FIRST_NS UINT64_C(500000000)
#define TRACE_PROGRESS_EVERY_NS UINT64_C(200000000)

struct trace_progress {
    bool tells;
    const char *tool;  // "hakreplay"
    uint64_t began_ns; // when it was first asked whether it is time: what came before made ready
    uint64_t told_ns;
    int width; // of the line that stands there; 0 = none
};

// What there is to say. `left_s` below 0 is worked out from done, total and rate; where the total
// is 0 it is not known.
struct trace_progress_state {
    const char *what; // what is being done: a route, a file; NULL = nothing to name
    const char *unit; // of done: "operations"
    double done, total, left_s;
    const char *more; // further figures, or NULL
};

static inline struct trace_progress trace_progress_begin(const char *tool, bool tells) {
    return (struct trace_progress){.tells = tells, .tool = tool};
}

// Whether it is time for trace_progress_tell.
static inline bool trace_progress_is_due(struct trace_progress *progress, uint64_t now_ns) {
    if (!progress->tells)
        return false;
    if (progress->began_ns == 0)
        progress->began_ns = now_ns;
    return progress->told_ns == 0 ? now_ns - progress->began_ns >= TRACE_PROGRESS_FIRST_NS
                                  : now_ns - progress->told_ns >= TRACE_PROGRESS_EVERY_NS;
}

static inline void trace_progress_clear(struct trace_progress *progress) {
    if (progress->width > 0)
        fprintf(stderr, "\r%*s\r", progress->width, "");
    progress->width = 0;
}

static inline int trace_progress_rate(char *text, size_t size, double rate, const char *unit) {
    if (rate >= 1e6)
        return snprintf(text, size, "%.1f M %.16s/s", rate / 1e6, unit);
    return snprintf(text, size, rate >= 100 ? "%.0f %.16s/s" : "%.2g %.16s/s", rate, unit);
}

static inline void trace_progress_left(char *text, size_t size, double seconds) {
    if (seconds < 100)
        snprintf(text, size, ", %.0f s left", seconds);
    else if (seconds < 6000)
        snprintf(text, size, ", %.0f min left", seconds / 60);
    else
        snprintf(text, size, ", %.1f h left", seconds / 3600);
}

// Writes the line, whether it is time or not.
static inline void trace_progress_tell(struct trace_progress *progress, uint64_t now_ns,
                                       const struct trace_progress_state *state) {
    char share[32] = "", rate_text[48] = "", left_text[32] = "", line[240];
    double seconds = (double)(now_ns - progress->began_ns) / 1e9;
    double rate = seconds > 0 ? state->done / seconds : 0, left = state->left_s;
    if (state->total > 0)
        snprintf(share, sizeof share, "%.1f %%, ", 100 * state->done / state->total);
    trace_progress_rate(rate_text, sizeof rate_text, rate, state->unit);
    if (left < 0 && state->total > 0 && rate > 0)
        left = (state->total - state->done) / rate;
    if (left >= 0)
        trace_progress_left(left_text, sizeof left_text, left);
    snprintf(line, sizeof line, "%.16s: %.36s%s%s%s%s%.40s%s", progress->tool,
             state->what ? state->what : "", state->what ? ": " : "", share, rate_text,
             state->more ? ", " : "", state->more ? state->more : "", left_text);
    trace_progress_clear(progress);
    progress->width = fprintf(stderr, "%s", line);
    fflush(stderr);
    progress->told_ns = now_ns;
}

#endif
