// program_internal.h: what the program's files share. Not for other folders.
//
//   program.c           the runner: executing an operation, strict order
//   program_dataflow.c  streams per thread, waits, fibers
//   program_object.c    the table of live objects
//   program_memory.c    a source held in memory
//   program_trace.c     a source that reads a trace
//   measure.c           digest, measures, timeline
//   result.c            results as JSON and as files
//   program_routes.c    a list of routes as text
#ifndef HAK_PROGRAM_INTERNAL_H
#define HAK_PROGRAM_INTERNAL_H

#include "program.h"
#include "program_object.h"
#include "state.h"

#include <xxhash.h>

#define PROGRAM_BATCH 512 // operations taken from a source at a time

// ---------------------------------------------------------------- program.c

#define PROGRAM_NOBODY UINT32_MAX // no thread

struct program_run {
    struct world *world;
    struct program_source *source;
    const struct program_options *options;
    struct program_result *result;
    struct program_objects objects;
    char *arena;      // offset 0
    bool failed;      // no memory, or the source failed: source->message says which
    uint32_t waiters; // dataflow: first thread that waited for the object made last
    struct program_operation batch[PROGRAM_BATCH];
};

// Does one operation on MF2 as the calling thread or fiber, checks stamps, tells the meter. Waits
// for nothing: whoever calls has seen to the order.
void program_execute(struct program_run *run, const struct program_operation *operation);
// The caller asked for an early end; the result will say so.
bool program_run_is_stopped(struct program_run *run);
// The run cannot go on; the reason goes to source->message.
void program_run_fail(struct program_run *run, const char *what);

// ---------------------------------------------------------------- program_dataflow.c

enum world_end program_run_dataflow(struct program_run *run);
void program_streams_free(struct program_streams *streams);

// ---------------------------------------------------------------- measure.c

// Columns of a timeline's row, in the order of doc/results.md.
#define PROGRAM_TIMELINE(X)                                                                        \
    X(step)                                                                                        \
    X(time_ns)                                                                                     \
    X(held)                                                                                        \
    X(held_max)                                                                                    \
    X(fewest)                                                                                      \
    X(live_bytes)                                                                                  \
    X(new_pages)                                                                                   \
    X(recycled_pages)                                                                              \
    X(page_reuses)                                                                                 \
    X(active)                                                                                      \
    X(partial)                                                                                     \
    X(full)                                                                                        \
    X(pending)                                                                                     \
    X(orphan)                                                                                      \
    X(empty)                                                                                       \
    X(large)                                                                                       \
    X(stranded_owner_exited)                                                                       \
    X(stranded_owner_idle)                                                                         \
    X(stranded_full_forgotten) X(stranded_below_threshold) X(stranded_pending_undrained)
struct program_row {
#define X(name) uint64_t name;
    PROGRAM_TIMELINE(X)
#undef X
};
#define PROGRAM_ROWS_MAX 4096

// What MF2 counts per thread slot, as far as a thread's row in the result shows it.
struct program_slot_counts {
    uint64_t remote_frees, new_pages, recycled_pages, page_reuses, adopted_from, adopted;
};

// A thread of the program.
struct program_thread_row {
    uint64_t operations, allocations, frees;
    struct program_slot_counts counts; // of the slots it has had so far, without the present one
    uint64_t classes_used[(MF2_CLASS_MAX + 63) / 64];
    uint32_t slot; // its present MF2_ThreadPages, 0 = none
    bool seen;
};

struct program_class_row {
    uint64_t allocations, live_blocks, peak_live_blocks, peak_pages;
    uint64_t new_pages, recycled_pages, page_reuses;
    uint32_t capacity, last_page_fill; // live_blocks modulo capacity
};

// One operation as the digest takes it.
struct program_digest_record {
    uint64_t step, object, size, result;
    uint32_t thread;
    uint32_t held;
    uint64_t op_and_align;
};
#define PROGRAM_DIGEST_BATCH 128

struct program_result {
    struct world *world; // NULL once ended
    struct mf2_state *state;
    const struct mf2_geometry *geometry;
    struct mf2_route route;
    bool brief, interrupted;
    enum world_end end;
    void (*on_done)(void *self, struct world *world, const struct program_done *done);
    void *on_done_self;

    // -- digest
    XXH3_state_t *hash;
    uint32_t digest_pending;
    struct program_digest_record digest_records[PROGRAM_DIGEST_BATCH];
    uint64_t behaviour, digest; // see digest_of_run

    // -- pages and bytes; sums are over steps
    uint64_t steps, steps_done, points, time_ns;
    uint64_t held, held_max, held_sum, share_held_max;
    uint64_t fewest, fewest_max, fewest_sum;
    uint64_t live_bytes, live_bytes_max;
    uint64_t constant_pages, constant_pages_max;
    uint64_t failed_allocations, unresolved;
    uint64_t allocations;

    // -- classes
    struct program_class_row classes[MF2_CLASS_MAX];

    // -- threads, by number; slots' counts when their present thread got them
    struct program_thread_row *threads;
    uint32_t thread_count;
    struct program_slot_counts *slot_bases;
    uint32_t slot_count;

    // -- timeline
    struct program_row *rows;
    uint32_t row_count, row_capacity;
    uint64_t steps_per_row, next_row_step;
    uint64_t pages_looked_at;
    struct mf2_census stranded;
    uint64_t stranded_total, stranded_step;

    // -- end
    struct mf2_counters counters;
    bool violated;
    struct world_violation violation;
};

// An operation on an object that does not live: counted, not done.
void program_meter_unresolved(struct program_result *result);

#endif
