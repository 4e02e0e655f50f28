// haktrace_window.c: `haktrace window`: the command line of trace_window.
//
// Owns: what FROM..TO means. Each side is an event's number, or a time with its unit (us, ms or
// s: the first event at or after it), or empty: the beginning, the end.
#include "haktrace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct side {
    bool given, is_time;
    double number; // events, or nanoseconds
};

// One side of the range, of `size` characters; false if it is neither number nor time.
static bool parse_side(const char *text, size_t size, struct side *side) {
    static const struct {
        const char *unit;
        double nanoseconds;
    } units[] = {{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}};
    char copy[64];
    *side = (struct side){0};
    if (size == 0)
        return true;
    if (size >= sizeof copy || *text < '0' || *text > '9')
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    char *end;
    side->given = true;
    side->number = strtod(copy, &end);
    if (*end == '\0')
        return strspn(copy, "0123456789") == size && side->number < 9e15;
    for (unsigned i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0) {
            side->is_time = true;
            side->number *= units[i].nanoseconds;
            return side->number < 9e18;
        }
    return false;
}

static bool parse_range(const char *text, struct side *from, struct side *to) {
    const char *dots = strstr(text, "..");
    return dots && parse_side(text, (size_t)(dots - text), from) &&
           parse_side(dots + 2, strlen(dots + 2), to);
}

// The number of the first event at or after a time, or of the end. 0 or -1.
static int event_at(struct trace_reader *reader, const struct side *side, uint64_t *number,
                    struct trace_error *error) {
    struct trace_summary summary;
    struct trace_event event;
    trace_reader_summary(reader, &summary);
    uint64_t ticks = (uint64_t)(side->number / (double)summary.tick_ns);
    if (trace_reader_seek_time(reader, ticks, error))
        return -1;
    ptrdiff_t count = trace_reader_next(reader, &event, 1, error);
    trace_reader_summary(reader, &summary);
    *number = count == 1 ? event.number : summary.events;
    return count < 0 ? -1 : 0;
}

// Counts the whole trace where a side needs it.
static int resolve(const char *path, const struct side *from, const struct side *to,
                   struct trace_window_range *range, struct trace_error *error) {
    struct trace_reader *reader = trace_reader_open(path, error);
    struct trace_event events[256];
    struct trace_summary summary;
    int status = reader ? 0 : -1;
    range->from = from->is_time ? 0 : (uint64_t)from->number;
    range->to = to->is_time ? 0 : (uint64_t)to->number;
    ptrdiff_t count = 0;
    if (!status && (!to->given || to->is_time || from->is_time)) {
        while ((count = trace_reader_next(reader, events, 256, error)) > 0)
            ;
        trace_reader_summary(reader, &summary);
        if (!to->given)
            range->to = summary.events;
        status = count < 0 ? -1 : 0;
    }
    if (!status && from->is_time)
        status = event_at(reader, from, &range->from, error);
    if (!status && to->is_time)
        status = event_at(reader, to, &range->to, error);
    trace_reader_close(reader);
    return status;
}

static void print_result(bool json, const char *output, const struct trace_window_range *range,
                         const struct trace_window_result *result) {
    if (json)
        printf("{\"events\":%" PRIu64 ",\"first_event\":%" PRIu64 ",\"live_at_start\":%" PRIu64
               ",\"threads\":%" PRIu64 ",\"from\":%" PRIu64 ",\"to\":%" PRIu64 "}\n",
               result->events, result->first_event, result->live_at_start, result->threads,
               range->from, range->to);
    else
        printf("%s: events %" PRIu64 " to %" PRIu64 " of the source, after %" PRIu64
               " that build its heap of %" PRIu64 " objects; %" PRIu64 " threads\n",
               output, range->from, range->to, result->first_event, result->live_at_start,
               result->threads);
}

int haktrace_window(const struct haktrace_options *options) {
    const char *output = options->output ? options->output : "window.zst";
    struct trace_window_range range;
    struct trace_window_result result;
    struct trace_error error;
    struct side from, to;
    if (!parse_range(options->range, &from, &to))
        return haktrace_fail("expected FROM..TO, event numbers or times such as 1.5s, found '%s'",
                             options->range);
    if (resolve(options->path, &from, &to, &range, &error) ||
        trace_window(options->path, &range, output, options->force, &result, &error))
        return haktrace_fail("%s", error.text);
    if (options->json || !options->quiet)
        print_result(options->json, output, &range, &result);
    return haktrace_finish_output(HAKTRACE_OK);
}
