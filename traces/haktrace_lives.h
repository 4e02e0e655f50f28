// haktrace_lives.h: a trace as lives of blocks: each begins once and ends at most once.
//
// A realloc is the end of one life and the beginning of another, when it has succeeded; one that
// fails is nothing. One thread.
#ifndef HAK_HAKTRACE_LIVES_H
#define HAK_HAKTRACE_LIVES_H

#include "trace.h"

struct haktrace_life {
    bool ends; // else it begins
    uint64_t object, size, time_ticks;
    uint32_t thread;  // that begins or ends it
    uint32_t creator; // thread that began it
    uint32_t stack;   // where it began, 0 = not known
    uint64_t *note;   // the visitor's own, kept from the life's beginning to its end
};

// Called in order; a result other than 0 ends the reading with it.
typedef int (*haktrace_life_visitor)(void *self, const struct haktrace_life *life);

// Reads the trace from its beginning. 0, or -1 with *error set, or the visitor's result.
int haktrace_follow_lives(struct trace_reader *reader, haktrace_life_visitor visitor, void *self,
                          struct trace_error *error);

#endif
