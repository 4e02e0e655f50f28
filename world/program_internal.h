// program_internal.h: what the program's files share. Not for other folders.
//
//   program.c           the runner: executing an operation, strict order
//   program_dataflow.c  streams per thread, waits, fibers
//   program_object.c    the table of live objects
//   program_memory.c    a source held in memory
//   program_trace.c     a source that reads a trace
//   measure.c           digest, measures, timeline
//   measure_migrations.c  which thread's pages went to which
//   measure_sites.c     the objects that hold stranded pages
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
    char *arena;                     // offset 0
    bool failed;                     // no memory, or the source failed: source->message says which
    uint32_t waiters;                // dataflow: first thread that waited for the object made last
    struct program_operation *batch; // PROGRAM_BATCH of them, for who reads the source
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
    X(stranded_full_forgotten)                                                                     \
    X(stranded_below_threshold) X(stranded_pending_undrained) X(stranded_in_use)
struct program_row {
#define X(name) uint64_t name;
    PROGRAM_TIMELINE(X)
#undef X
};
#define PROGRAM_ROWS_MAX 4096

// Pages that went from one thread to another. A table by both, open addressing.
struct program_migration {
    uint32_t from, to; // threads
    uint64_t pages;    // 0 = nothing here
};
struct program_migrations {
    struct program_migration *slots;
    uint32_t count, capacity; // capacity: a power of two, or 0
    // By thread slot of MF2: who has it or had it last, and what its counters said when last seen.
    struct program_slot_seen {
        uint32_t thread_plus_one;
        uint32_t adopted_from;
        uint64_t owner_changes;
    } * seen;
    uint32_t seen_count;
};

// An object whose block keeps a stranded page from being given back.
struct program_site_object {
    uint64_t object;
    uint32_t page_millionths; // its part of the page: the page's size / live objects in it
    uint32_t cause;           // enum mf2_stranding
};
#define PROGRAM_SITE_OBJECTS_MAX 4096
// As it was at one row of the timeline.
struct program_sites {
    uint64_t step, total; // pages stranded then, and of these
    uint64_t in_use;      // those that the census found in use
    uint64_t empty;       // without any object of the program in them
    uint64_t objects;     // in all of the others
    uint64_t stride;      // every so many-th of them is below
    struct program_site_object *list;
    uint32_t count;
    uint64_t looked_at; // pages and objects, by all looks so far
};

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
    bool at_rest; // what must hold at rest has been checked
    enum world_end end;
    void (*on_done)(void *self, struct world *world, const struct program_done *done);
    void *on_done_self;

    // -- digest
    XXH3_state_t *hash; // NULL: all records are still below
    uint32_t digest_pending;

    // -- pages and bytes; sums are over steps
    uint64_t steps, steps_done, points, time_ns;
    uint64_t held, held_max, held_sum, share_held_max;
    uint64_t fewest, fewest_max, fewest_sum;
    uint64_t live_bytes, live_bytes_max;
    uint64_t constant_pages, constant_pages_max;
    uint64_t failed_allocations, unresolved;
    uint64_t allocations;

    // -- threads, by number; slots' counts when their present thread got them
    struct program_thread_row *threads;
    uint32_t thread_count;
    struct program_slot_counts *slot_bases;
    uint32_t slot_count;

    // -- timeline
    struct program_row *rows;
    uint32_t row_count, row_capacity;
    uint64_t steps_per_row, next_row_step;
    uint64_t looks, looks_of_row; // what rows have cost; what the last one has
    struct mf2_census stranded;
    uint64_t stranded_total, stranded_step;

    // -- who took whose pages, and what holds the stranded ones
    struct program_migrations migrations;
    struct program_sites sites;
    const struct program_objects *objects; // NULL: nobody knows objects (workloads)

    // -- end
    struct mf2_counters counters;
    bool violated;
    struct world_violation violation;

    // Last, because they do not begin as zero; of classes those that there are do.
    struct program_class_row classes[MF2_CLASS_MAX];
    struct program_digest_record digest_records[PROGRAM_DIGEST_BATCH];
};

// ---------------------------------------------------------------- measure_migrations.c

// The thread works with this slot of MF2 from now on. False: no memory.
bool program_migrations_slot(struct program_result *result, uint32_t slot, uint32_t thread);
// After an operation of the slot's thread: what it took from others is put down to it. Exact in
// order strict; where operations overlap, one that ended first may be given another's.
bool program_migrations_look(struct program_result *result, uint32_t slot);
void program_migrations_free(struct program_migrations *migrations);

// ---------------------------------------------------------------- measure_sites.c

// At a row that strands so many pages: looks which objects hold those in use, if these are a
// twentieth more than at the last look, and if looking has not cost more than the run.
void program_sites_look(struct program_result *result, uint64_t total, uint64_t in_use);

// ---------------------------------------------------------------- measure.c, for the runner

// An operation on an object that does not live: counted, not done.
void program_meter_unresolved(struct program_result *result);
// A hash over every operation, its result and the counters; of a run that has ended.
uint64_t program_behaviour(const struct program_result *result);

#endif
