// trace_ranks.h: objects named by their place among the live ones (FORMAT.md §3, RANK).
//
// Not for other floors: they include trace.h. Both writer and reader walk one of these along the
// events of a chunk: it holds the objects that the chunk has created, 1 for the first, and a finger
// for the threads. One belongs to one thread at a time; it takes 8 bytes an object of the chunk.
#ifndef HAK_TRACE_RANKS_H
#define HAK_TRACE_RANKS_H

#include "trace_internal.h"

enum {
    TRACE_RANKS = 64,        // reached by each of the three ways
    TRACE_RANK_NEWER = 1,    // codes from here: live objects newer than the finger, nearest first
    TRACE_RANK_NEWEST = 65,  // the newest live objects, newest first
    TRACE_RANK_OLDER = 129,  // live objects older than the finger, nearest first
    TRACE_RANK_END = 193,    // 0 is none of these
    TRACE_RANK_FINGERS = 256 // a thread has that of its number, modulo this
};

struct trace_ranks {
    // An object is live while both are its own number; one that has ended names a neighbour on the
    // way to the next live one.
    uint32_t *newer, *older;
    uint32_t capacity, created;
    // The object that a thread ended last, 0 before. Of objects that the chunk has not created,
    // the last has number 0, those before it -1, -2 and so on.
    int64_t fingers[TRACE_RANK_FINGERS];
};

// Before a chunk that creates up to `objects`. False when memory is out.
bool trace_ranks_begin(struct trace_ranks *ranks, uint32_t objects);
void trace_ranks_free(struct trace_ranks *ranks);

static inline void trace_ranks_create(struct trace_ranks *ranks) {
    uint32_t object = ++ranks->created;
    ranks->newer[object] = ranks->older[object] = object;
}
static inline int64_t trace_ranks_finger(const struct trace_ranks *ranks, uint32_t thread) {
    return ranks->fingers[thread % TRACE_RANK_FINGERS];
}
// The object's life has ended, by this thread.
void trace_ranks_end(struct trace_ranks *ranks, uint32_t thread, int64_t object);
// The code of a live object, 0 if it has none.
uint8_t trace_ranks_code(struct trace_ranks *ranks, uint32_t thread, int64_t object);
// The object of a code; 0 if there is none.
uint32_t trace_ranks_object(struct trace_ranks *ranks, uint32_t thread, uint8_t code);

#endif
