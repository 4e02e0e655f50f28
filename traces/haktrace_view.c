// haktrace_view.c: see haktrace_view.h.
#include "haktrace_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_EVENTS = 1024, FRAMES_SHOWN = 4, NAME_BYTES = 128 };

// ---------------------------------------------------------------- reading

static struct haktrace_site *site_of(struct haktrace_view *view, uint32_t node) {
    if (node >= view->site_capacity) {
        uint32_t capacity = node + node / 2 + 1024;
        struct haktrace_site *grown = realloc(view->sites, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        memset(grown + view->site_capacity, 0, (capacity - view->site_capacity) * sizeof *grown);
        view->sites = grown;
        view->site_capacity = capacity;
    }
    return &view->sites[node];
}

static void count_begin(struct haktrace_view *view, struct haktrace_site *site, uint64_t size) {
    site->begun++;
    site->begun_bytes += size;
    site->live++;
    site->live_bytes += size;
    view->live++;
    view->live_bytes += size;
    if (view->live_bytes > view->live_bytes_max)
        view->live_bytes_max = view->live_bytes;
}

static void count_end(struct haktrace_view *view, struct haktrace_site *site,
                      const struct haktrace_life *life) {
    site->live--;
    site->live_bytes -= life->size;
    view->live--;
    view->live_bytes -= life->size;
    view->ended++;
    view->ended_elsewhere += life->thread != life->creator;
}

static int visit(void *self, const struct haktrace_life *life) {
    struct haktrace_view *view = self;
    struct haktrace_site *site = site_of(view, life->stack);
    if (!site)
        return trace_fail_file("view", &view->error, "out of memory");
    site->node = life->stack;
    if (life->ends)
        count_end(view, site, life);
    else
        count_begin(view, site, life->size);
    return 0;
}

int haktrace_view_begin(struct haktrace_view *view, struct trace_reader *reader) {
    *view = (struct haktrace_view){.reader = reader};
    return haktrace_lives_begin(&view->lives, visit, view, &view->error);
}

void haktrace_view_end(struct haktrace_view *view) {
    haktrace_lives_end(&view->lives);
    free(view->sites);
}

int haktrace_view_step(struct haktrace_view *view, uint64_t events_max) {
    struct trace_event events[BATCH_EVENTS];
    for (uint64_t taken = 0; taken < events_max;) {
        ptrdiff_t count = trace_reader_next(view->reader, events, BATCH_EVENTS, &view->error);
        if (count <= 0)
            return (int)count;
        for (ptrdiff_t i = 0; i < count; i++) {
            view->threads_exited += events[i].op == TRACE_THREAD_EXIT;
            if (haktrace_lives_event(&view->lives, &events[i]) != 0)
                return -1;
        }
        taken += (uint64_t)count;
        view->events += (uint64_t)count;
        view->time_ticks = events[count - 1].time_ticks;
    }
    return 1;
}

int haktrace_view_whole(struct haktrace_view *view) {
    int more = trace_reader_seek(view->reader, 0, &view->error) == 0 ? 1 : -1;
    while (more > 0)
        more = haktrace_view_step(view, UINT64_MAX);
    struct trace_summary summary;
    trace_reader_summary(view->reader, &summary);
    if (more == 0 && !site_of(view, summary.nodes))
        return trace_fail_file("view", &view->error, "out of memory");
    return more;
}

// ---------------------------------------------------------------- what to show

size_t haktrace_view_most_live(const struct haktrace_view *view, struct haktrace_site *sites,
                               size_t count) {
    size_t found = 0;
    for (uint32_t node = 0; node < view->site_capacity; node++) {
        const struct haktrace_site *site = &view->sites[node];
        size_t at = found;
        while (at > 0 && site->live_bytes > sites[at - 1].live_bytes)
            at--;
        if (at == count || site->live == 0)
            continue;
        found += found < count;
        memmove(&sites[at + 1], &sites[at], (found - at - 1) * sizeof *sites);
        sites[at] = *site;
    }
    return found;
}

void haktrace_view_stack(const struct haktrace_view *view, struct haktrace_frames *frames,
                         uint32_t node, char *text, size_t size) {
    char name[NAME_BYTES];
    struct trace_node content;
    unsigned shown = 0;
    size_t length = 0;
    text[0] = '\0';
    for (; shown < FRAMES_SHOWN && length < size && trace_reader_node(view->reader, node, &content);
         node = content.parent, shown++) {
        haktrace_place_name(frames, haktrace_place_of(frames, node), name, sizeof name);
        length += (size_t)snprintf(text + length, size - length, "%s%s", shown ? " < " : "", name);
    }
    if (length < size)
        snprintf(text + length, size - length, "%s", !shown ? "[no stack]" : node ? " < ..." : "");
}

void haktrace_view_bytes(uint64_t bytes, char *text, size_t size) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    unsigned unit = 0;
    for (; value >= 1024 && unit < 3; unit++)
        value /= 1024;
    if (bytes < 1024)
        snprintf(text, size, "%" PRIu64 " B", bytes);
    else
        snprintf(text, size, "%.1f %s", value, units[unit]);
}

void haktrace_view_words(const struct haktrace_view *view, char *text, size_t size) {
    struct trace_summary summary;
    char live[32], peak[32];
    trace_reader_summary(view->reader, &summary);
    haktrace_view_bytes(view->live_bytes, live, sizeof live);
    haktrace_view_bytes(view->live_bytes_max, peak, sizeof peak);
    double elsewhere =
        view->ended ? 100.0 * (double)view->ended_elsewhere / (double)view->ended : 0;
    snprintf(text, size,
             "%" PRIu32 " thread%s (%" PRIu32 " alive), live %s in %" PRIu64
             " block%s (peak %s), %.1f %% of frees by another thread",
             summary.threads, summary.threads == 1 ? "" : "s",
             summary.threads - view->threads_exited, live, view->live, view->live == 1 ? "" : "s",
             peak, elsewhere);
}
