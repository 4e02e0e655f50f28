// haktrace_lives.h: a trace as lives of blocks: each begins once and ends at most once.
//
// A realloc is the end of one life and the beginning of another, when it has succeeded; one that
// fails is nothing. One thread.
#ifndef HAK_HAKTRACE_LIVES_H
#define HAK_HAKTRACE_LIVES_H

#include "trace_live.h"

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

// The lives of a trace that is read by somebody else, event by event.
struct haktrace_lives {
    struct live_table live;
    struct haktrace_open_realloc { // by thread: a realloc that has begun
        bool open;
        uint64_t object, size;
        uint32_t stack;
    } * reallocs;
    uint32_t thread_capacity;
    haktrace_life_visitor visitor;
    void *self;
    struct trace_error *error;
};
// 0, or -1 with *error set; haktrace_lives_end may be called in any case. *error and *self are
// kept.
int haktrace_lives_begin(struct haktrace_lives *lives, haktrace_life_visitor visitor, void *self,
                         struct trace_error *error);
int haktrace_lives_event(struct haktrace_lives *lives, const struct trace_event *event);
void haktrace_lives_end(struct haktrace_lives *lives);

// Reads the trace from its beginning. 0, or -1 with *error set, or the visitor's result.
int haktrace_follow_lives(struct trace_reader *reader, haktrace_life_visitor visitor, void *self,
                          struct trace_error *error);

#endif
