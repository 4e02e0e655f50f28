// haktrace_import.h: what the forms of `haktrace import` share; a map, grouped by file.
//
// A form's reader says what the program did, in order: threads by any number of theirs, blocks by
// address or any other number. From that come objects, threads and a legal order. One thread.
#ifndef HAK_HAKTRACE_IMPORT_H
#define HAK_HAKTRACE_IMPORT_H

#include "haktrace.h"
#include "trace_live.h"

struct haktrace_import {
    const struct haktrace_options *options;
    const char *output;
    struct trace_writer *writer; // NULL before haktrace_import_begin
    struct live_table blocks;    // by their number; `address` is the object
    struct live_table threads;   // by their number; `address` is the thread here
    uint32_t thread_count;
    uint64_t time_ticks;    // of the next event
    uint64_t unknown_frees; // of blocks that were not seen to be allocated
    uint64_t implied_frees; // of blocks whose number was given out again
    struct trace_error error;
};

// What a form allocates.
struct haktrace_block {
    uint64_t number; // 0: the allocation failed
    uint64_t size;
    uint64_t align; // 0 = none asked; made up to a power of two
    uint8_t op;     // TRACE_MALLOC, TRACE_CALLOC or TRACE_ALIGNED
    uint8_t entry;  // enum trace_entry
    uint32_t stack; // node written
};

// All return 0, or -1 with import->error set.
int haktrace_import_begin(struct haktrace_import *import, const char *program, uint64_t tick_ns,
                          const char *clock, bool stacks);
// The thread's number here, in *thread. One that is new appears: all but the first start.
int haktrace_import_thread(struct haktrace_import *import, uint64_t number, uint32_t *thread);
int haktrace_import_thread_exit(struct haktrace_import *import, uint64_t number);
int haktrace_import_allocate(struct haktrace_import *import, uint32_t thread,
                             const struct haktrace_block *block);
// A number of 0 is free(NULL).
int haktrace_import_free(struct haktrace_import *import, uint32_t thread, uint64_t number,
                         uint8_t entry);
int haktrace_import_realloc(struct haktrace_import *import, uint32_t thread, uint64_t number_new,
                            uint64_t number_old, uint64_t size);

int haktrace_import_heaptrack(struct haktrace_import *import); // haktrace_import_heaptrack.c
int haktrace_import_android(struct haktrace_import *import);   // haktrace_import_android.c
int haktrace_import_glibc(struct haktrace_import *import);     // haktrace_import_glibc.c

#endif
