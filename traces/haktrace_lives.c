// haktrace_lives.c: see haktrace_lives.h.
#include "haktrace_lives.h"

#include "trace_live.h"

#include <stdlib.h>

enum { BATCH_EVENTS = 1024 };

// A realloc that has begun.
struct open_realloc {
    bool open;
    uint64_t object, size;
    uint32_t stack;
};

struct following {
    struct live_table live;
    struct open_realloc *reallocs; // by thread
    uint32_t thread_capacity;
    haktrace_life_visitor visitor;
    void *self;
    struct trace_error *error;
};

static int fail_memory(struct following *following) {
    return trace_fail_file("lives", following->error, "out of memory");
}

static bool make_room(struct following *following, uint32_t thread) {
    if (thread < following->thread_capacity)
        return true;
    uint32_t capacity = thread + thread / 2 + 64;
    struct open_realloc *grown =
        realloc(following->reallocs, capacity * sizeof *following->reallocs);
    if (!grown)
        return false;
    memset(grown + following->thread_capacity, 0,
           (capacity - following->thread_capacity) * sizeof *grown);
    following->reallocs = grown;
    following->thread_capacity = capacity;
    return true;
}

static int begin(struct following *following, const struct trace_event *event, uint64_t size,
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
    int status = following->visitor(following->self, &life);
    if (status)
        return status;
    return trace_live_add(&following->live, &live) ? 0 : fail_memory(following);
}

// An object that is not live is an anomaly, and no life of it ends.
static int end(struct following *following, const struct trace_event *event, uint64_t object) {
    struct live_object *live = trace_live_find(&following->live, object);
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
    int status = following->visitor(following->self, &life);
    trace_live_remove(&following->live, live);
    return status;
}

static int follow(struct following *following, const struct trace_event *event) {
    if (event->op == TRACE_MALLOC || event->op == TRACE_CALLOC || event->op == TRACE_ALIGNED)
        return begin(following, event, event->size, event->stack);
    if (event->op == TRACE_FREE)
        return end(following, event, event->object);
    if (event->op < TRACE_REALLOC_RELEASE || event->op > TRACE_REALLOC_FAIL)
        return 0;
    if (!make_room(following, event->thread))
        return fail_memory(following);
    struct open_realloc *open = &following->reallocs[event->thread];
    if (event->op == TRACE_REALLOC_RELEASE) {
        *open = (struct open_realloc){true, event->object, event->size, event->stack};
        return 0;
    }
    int status = 0;
    if (event->op == TRACE_REALLOC_ACQUIRE) {
        if (open->open)
            status = end(following, event, open->object);
        if (!status)
            status =
                begin(following, event, open->open ? open->size : 0, open->open ? open->stack : 0);
    }
    open->open = false;
    return status;
}

int haktrace_follow_lives(struct trace_reader *reader, haktrace_life_visitor visitor, void *self,
                          struct trace_error *error) {
    struct trace_event events[BATCH_EVENTS];
    struct following following = {.visitor = visitor, .self = self, .error = error};
    ptrdiff_t count = -1;
    int status = -1;
    if (!trace_live_begin(&following.live))
        fail_memory(&following);
    else
        status = trace_reader_seek(reader, 0, error);
    while (!status && (count = trace_reader_next(reader, events, BATCH_EVENTS, error)) > 0)
        for (ptrdiff_t i = 0; !status && i < count; i++)
            status = follow(&following, &events[i]);
    if (!status && count < 0)
        status = -1;
    trace_live_free(&following.live);
    free(following.reallocs);
    return status;
}
