// trace_ranks.c: see trace_ranks.h.
//
// Programs free much in the order in which they allocated, or in its reverse, from wherever they
// are: a few steps among the live objects, where a number of objects made since would be large.
// Steps over objects that have ended are shortened as they are taken (halving paths, as in a
// union-find), so that long runs of them cost next to nothing.
#include "trace_ranks.h"

#include <stdlib.h>

bool trace_ranks_begin(struct trace_ranks *ranks, uint32_t objects) {
    if (objects + 1 > ranks->capacity) {
        trace_ranks_free(ranks);
        ranks->newer = malloc(((size_t)objects + 1) * sizeof *ranks->newer);
        ranks->older = malloc(((size_t)objects + 1) * sizeof *ranks->older);
        if (!ranks->newer || !ranks->older)
            return false;
        ranks->capacity = objects + 1;
    }
    ranks->created = 0;
    memset(ranks->fingers, 0, sizeof ranks->fingers);
    return true;
}

void trace_ranks_free(struct trace_ranks *ranks) {
    free(ranks->newer);
    free(ranks->older);
    *ranks = (struct trace_ranks){0};
}

// The oldest live object that is not older than `object`; created + 1 if there is none.
static uint32_t live_from(struct trace_ranks *ranks, uint32_t object) {
    while (object <= ranks->created && ranks->newer[object] != object) {
        uint32_t next = ranks->newer[object];
        if (next <= ranks->created)
            ranks->newer[object] = ranks->newer[next];
        object = next;
    }
    return object;
}

// The newest live object that is not newer than `object`; 0 if there is none.
static uint32_t live_to(struct trace_ranks *ranks, uint32_t object) {
    while (object > 0 && ranks->older[object] != object) {
        uint32_t next = ranks->older[object];
        if (next > 0)
            ranks->older[object] = ranks->older[next];
        object = next;
    }
    return object;
}

static bool is_live(const struct trace_ranks *ranks, int64_t object) {
    return object >= 1 && object <= ranks->created && ranks->newer[object] == object;
}

void trace_ranks_end(struct trace_ranks *ranks, uint32_t thread, int64_t object) {
    if (is_live(ranks, object)) {
        ranks->newer[object] = (uint32_t)object + 1;
        ranks->older[object] = (uint32_t)object - 1;
    }
    ranks->fingers[thread % TRACE_RANK_FINGERS] = object;
}

// The finger among the chunk's own objects; 0 is before all of them.
static uint32_t own_finger(const struct trace_ranks *ranks, uint32_t thread) {
    int64_t finger = trace_ranks_finger(ranks, thread);
    return finger > 0 ? (uint32_t)finger : 0;
}

// How many steps down from `from` (itself the first) it is to `object`; TRACE_RANKS if too many.
static unsigned steps_down(struct trace_ranks *ranks, uint32_t from, uint32_t object) {
    unsigned steps = 0;
    uint32_t at = live_to(ranks, from);
    for (; steps < TRACE_RANKS && at > object; steps++)
        at = live_to(ranks, at - 1);
    return at == object ? steps : TRACE_RANKS;
}

static unsigned steps_up(struct trace_ranks *ranks, uint32_t from, uint32_t object) {
    unsigned steps = 0;
    uint32_t at = live_from(ranks, from);
    for (; steps < TRACE_RANKS && at < object; steps++)
        at = live_from(ranks, at + 1);
    return at == object ? steps : TRACE_RANKS;
}

uint8_t trace_ranks_code(struct trace_ranks *ranks, uint32_t thread, int64_t wanted) {
    if (!is_live(ranks, wanted))
        return 0;
    uint32_t object = (uint32_t)wanted, finger = own_finger(ranks, thread);
    // The fewest steps, and of equal ones the first way: what is regular gets one code.
    unsigned best = object > finger ? steps_up(ranks, finger + 1, object) : TRACE_RANKS;
    unsigned code = TRACE_RANK_NEWER + best;
    unsigned steps = best ? steps_down(ranks, ranks->created, object) : TRACE_RANKS;
    if (steps < best) {
        best = steps;
        code = TRACE_RANK_NEWEST + steps;
    }
    steps = best && object < finger ? steps_down(ranks, finger - 1, object) : TRACE_RANKS;
    if (steps < best) {
        best = steps;
        code = TRACE_RANK_OLDER + steps;
    }
    return best < TRACE_RANKS ? (uint8_t)code : 0;
}

uint32_t trace_ranks_object(struct trace_ranks *ranks, uint32_t thread, uint8_t code) {
    uint32_t finger = own_finger(ranks, thread);
    if (code == 0 || code >= TRACE_RANK_END)
        return 0;
    if (code < TRACE_RANK_NEWEST) {
        uint32_t at = live_from(ranks, finger + 1);
        for (unsigned steps = code - TRACE_RANK_NEWER; steps > 0 && at <= ranks->created; steps--)
            at = live_from(ranks, at + 1);
        return at <= ranks->created ? at : 0;
    }
    bool newest = code < TRACE_RANK_OLDER;
    unsigned steps = code - (newest ? TRACE_RANK_NEWEST : TRACE_RANK_OLDER);
    if (!newest && finger == 0)
        return 0;
    uint32_t at = live_to(ranks, newest ? ranks->created : finger - 1);
    for (; steps > 0 && at > 0; steps--)
        at = live_to(ranks, at - 1);
    return at;
}
