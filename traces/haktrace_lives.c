// haktrace_lives.c: see haktrace_lives.h.
#include "haktrace_lives.h"

#include <stdlib.h>

enum { BATCH_EVENTS = 1024 };

static int fail_memory(struct haktrace_lives *lives) {
    return trace_fail_file("lives", lives->error, "out of memory");
}

static bool make_room(struct haktrace_lives *lives, uint32_t thread) {
    if (thread < lives->thread_capacity)
        return true;
    uint32_t capacity = thread + thread / 2 + 64;
    struct haktrace_open_realloc *grown =
        realloc(lives->reallocs, capacity * sizeof *lives->reallocs);
    if (!grown)
        return false;
    memset(grown + lives->thread_capacity, 0, (capacity - lives->thread_capacity) * sizeof *grown);
    lives->reallocs = grown;
    lives->thread_capacity = capacity;
    return true;
}

static int begin(struct haktrace_lives *lives, const struct trace_event *event, uint64_t size,
                 uint32_t stack) {
    struct live_object live = {
        .key = event->object + 1, .size = size, .creator = event->thread, .stack = stack};
    struct haktrace_life life = {.object = event->object,
                                 .size = size,
                                 .time_ticks = event->time_ticks,
                                 .thread = event->thread,
                                 .creator = event->thread,
                                 .stack = stack,
                                 .note = &live.address};
    int status = lives->visitor(lives->self, &life);
    if (status)
        return status;
    return trace_live_add(&lives->live, &live) ? 0 : fail_memory(lives);
}

// An object that is not live is an anomaly, and no life of it ends.
static int end(struct haktrace_lives *lives, const struct trace_event *event, uint64_t object) {
    struct live_object *live = trace_live_find(&lives->live, object);
    if (!live)
        return 0;
    struct haktrace_life life = {.ends = true,
                                 .object = object,
                                 .size = live->size,
                                 .time_ticks = event->time_ticks,
                                 .thread = event->thread,
                                 .creator = live->creator,
                                 .stack = live->stack,
                                 .note = &live->address};
    int status = lives->visitor(lives->self, &life);
    trace_live_remove(&lives->live, live);
    return status;
}

int haktrace_lives_event(struct haktrace_lives *lives, const struct trace_event *event) {
    if (event->op == TRACE_MALLOC || event->op == TRACE_CALLOC || event->op == TRACE_ALIGNED)
        return begin(lives, event, event->size, event->stack);
    if (event->op == TRACE_FREE)
        return end(lives, event, event->object);
    if (event->op < TRACE_REALLOC_RELEASE || event->op > TRACE_REALLOC_FAIL)
        return 0;
    if (!make_room(lives, event->thread))
        return fail_memory(lives);
    struct haktrace_open_realloc *open = &lives->reallocs[event->thread];
    if (event->op == TRACE_REALLOC_RELEASE) {
        *open = (struct haktrace_open_realloc){true, event->object, event->size, event->stack};
        return 0;
    }
    int status = 0;
    if (event->op == TRACE_REALLOC_ACQUIRE) {
        if (open->open)
            status = end(lives, event, open->object);
        if (!status)
            status = begin(lives, event, open->open ? open->size : 0, open->open ? open->stack : 0);
    }
    open->open = false;
    return status;
}

int haktrace_lives_begin(struct haktrace_lives *lives, haktrace_life_visitor visitor, void *self,
                         struct trace_error *error) {
    *lives = (struct haktrace_lives){.visitor = visitor, .self = self, .error = error};
    return trace_live_begin(&lives->live) ? 0 : fail_memory(lives);
}

void haktrace_lives_end(struct haktrace_lives *lives) {
    trace_live_free(&lives->live);
    free(lives->reallocs);
}

int haktrace_follow_lives(struct trace_reader *reader, haktrace_life_visitor visitor, void *self,
                          struct trace_error *error) {
    struct trace_event events[BATCH_EVENTS];
    struct haktrace_lives lives;
    ptrdiff_t count = -1;
    int status = haktrace_lives_begin(&lives, visitor, self, error);
    if (!status)
        status = trace_reader_seek(reader, 0, error);
    while (!status && (count = trace_reader_next(reader, events, BATCH_EVENTS, error)) > 0)
        for (ptrdiff_t i = 0; !status && i < count; i++)
            status = haktrace_lives_event(&lives, &events[i]);
    if (!status && count < 0)
        status = -1;
    haktrace_lives_end(&lives);
    return status;
}
