// program.h: what the program does, as the world is fed it, and what is measured on the way.
//
// Owns: operations (from a trace or made by a workload), the orders in which they may run, the
// digest, the measures of doc/results.md, results as JSON and as files, and the list of routes that
// they are for. Both hakreplay and haksim use it, so that one and the same run gives one and the
// same result in either.
// Does not know: strategies, costs.
//
// Use: open a source, make a world, program_run, program_result_json. A workload that calls MF2 by
// itself, without being a stream of operations, tells a meter what it has done instead
// (program_meter_begin ... program_meter_end) and gets the same result.
//
// Threads: a source, a run and a result belong to the OS thread of their world.
//
// Words
//   operation   one call of the program: allocate, free, realloc, ask for usable size, create,
//               exit or join a thread
//   order       which operations wait for which: `strict` all in recorded order; `dataflow` only
//               program order per thread, creation before use of an object, create before start,
//               exit before join; `window` also for whatever was certainly stamped earlier
//   step        an operation's place in the order in which they were begun
#ifndef HAK_WORLD_PROGRAM_H
#define HAK_WORLD_PROGRAM_H

#include "world.h"

#include <signal.h>

enum program_op {
    PROGRAM_MALLOC,
    PROGRAM_CALLOC,
    PROGRAM_ALIGNED,
    PROGRAM_FREE,
    PROGRAM_REALLOC, // object → new_object
    PROGRAM_USABLE,
    PROGRAM_CREATE, // peer
    PROGRAM_START,
    PROGRAM_EXIT,
    PROGRAM_JOIN,    // peer
    PROGRAM_NOTHING, // counted, but not an allocator's work (free of NULL, failed calls, markers)
    PROGRAM_SLEEP,   // for `size` ns
    PROGRAM_OP_COUNT
};

// A program of 10^9 operations is streamed, never held whole.
struct program_operation {
    uint64_t object;     // created (MALLOC, CALLOC, ALIGNED), freed, asked, or realloc's old one
    uint64_t new_object; // REALLOC
    uint64_t size;       // bytes; where the usable size was asked of the object, at least that
    uint64_t time_ns;    // trace time
    uint32_t thread;
    uint32_t peer; // CREATE, JOIN
    uint8_t op;    // enum program_op
    uint8_t align_log2;
};
_Static_assert(sizeof(struct program_operation) == 48, "what a program in memory takes");

// A stream of operations in recorded order.
struct program_source {
    void *self;
    // Fills up to `capacity`; returns how many, 0 at the end, -1 on failure (message is set).
    ptrdiff_t (*next)(void *self, struct program_operation *operations, size_t capacity);
    void (*rewind)(void *self);
    void (*close)(void *self);
    uint32_t threads;                // thread numbers are below this
    uint64_t objects;                // object numbers are below this
    uint64_t operations;             // 0 where not known beforehand
    uint64_t window_ns;              // times of two threads that differ by more are in order;
                                     // UINT64_MAX where that is not known
    uint64_t live_bytes_max;         // most bytes asked for at one time; 0 where not known
    struct program_streams *streams; // for dataflow; made by the first such run, kept until close
    char message[512];
    struct { // what the result says of it; empty for made-up programs
        char path[256], hash[20], program[128];
        uint64_t events, lost, tick_ns;
        bool complete;
    } trace;
};

// A trace as a source (program_trace.c). Checks the trace first; refuses one with anomalies unless
// told to go on. NULL on failure, with one line in message.
struct program_source *program_open_trace(const char *path, bool allow_anomalies, char *message,
                                          size_t message_size);
// A program held in memory (operations are copied).
struct program_source *program_open_memory(const struct program_operation *operations, size_t count,
                                           uint32_t threads, uint64_t objects);
void program_close(struct program_source *source);

struct program_done;

enum program_order { PROGRAM_STRICT, PROGRAM_WINDOW, PROGRAM_DATAFLOW };

struct program_options {
    enum program_order order;
    const char *strategy_name; // for the result
    bool stamps;               // write and check a stamp at both ends of every block
    bool brief;                // digest and counters only: no timeline, no page census
    bool clock_follows_trace;  // the clock is the greatest trace time of operations begun
    bool rests;                // what must hold is checked once more when the helper is at rest
    // Told at each operation begun, before it runs; NULL if nobody asks.
    void (*on_operation)(void *self, struct world *world, const struct program_operation *op);
    void *on_operation_self;
    // Told of each operation that has been done, by the fiber (or acting thread) that did it, also
    // by a meter without a source. May be NULL.
    void (*on_done)(void *self, struct world *world, const struct program_done *done);
    void *on_done_self;
    // Dataflow: told by a thread's fiber that waits for nobody any more, before the point at which
    // it begins the operation. The simulator charges the program's own time here. May be NULL.
    void (*on_turn)(void *self, struct world *world, const struct program_operation *op);
    void *on_turn_self;
    // Told now and then how many operations have been begun; NULL if nobody asks.
    void (*on_progress)(void *self, uint64_t steps);
    void *on_progress_self;
    // The run ends early, and says so in its result, when this becomes non-zero; may be NULL.
    const volatile sig_atomic_t *stop;
    // Dataflow: by fiber number, as many as the world's fiber_limit. The recorded number of the
    // operation that each fiber stands before or is in. Written by the run, read by strategies;
    // NULL if nobody asks.
    uint64_t *next_operations;
};

struct program_result; // digest, counters, measures, timeline

// Dataflow holds the whole program in memory; a longer one is refused.
#define PROGRAM_DATAFLOW_OPERATIONS_MAX (UINT64_C(1) << 25)

// Feeds the source to the world until its end or a violation. A world is used for one run, or
// reset in between. Strict wants a world without strategy and calls MF2 without fibers; dataflow
// gives every thread of the program a fiber, and so does window, for a source that says window_ns.
// Where the source fails, or the run's own memory, *result is NULL and source->message says why;
// the value returned then means nothing.
enum world_end program_run(struct world *world, struct program_source *source,
                           const struct program_options *options, struct program_result **result);
void program_result_free(struct program_result *result);
uint64_t program_result_digest(const struct program_result *result);
uint64_t program_result_steps(const struct program_result *result);
// An operation's name as in timelines: "malloc".
const char *program_op_name(unsigned op);

// The figures of a result that a person's table shows; doc/results.md says what they mean.
struct program_measures {
    uint64_t held_max, fewest_max, constant_pages, live_bytes_max, live_pages_max;
    double held_mean, fewest_mean;
    uint64_t new_pages, recycled_pages, page_reuses, owner_changes;
    uint64_t allocations, remote_frees;
    uint64_t stranded_max;       // pages, all causes, where that was greatest
    uint64_t failed_allocations; // that succeeded when recorded, and found no memory here
    uint64_t unresolved;         // operations on objects that do not live (anomalous traces)
    bool interrupted;
    uint64_t violations;
};
void program_result_measures(const struct program_result *result, struct program_measures *out);

// ---------------------------------------------------------------- a meter by itself (measure.c)

// One operation that has been done. What an operation does not have is 0.
struct program_done {
    uint64_t step;          // from program_meter_step, taken when the operation was begun
    uint64_t object;        // the number or name that the digest knows it by
    uint64_t size;          // bytes asked for
    uint64_t released_size; // bytes that had been asked for the block given up
    uint64_t result;        // offset of the block made, usable size, or WORLD_NO_OFFSET
    uint32_t thread;
    uint8_t op; // enum program_op
    uint8_t align_log2;
    uint8_t released_align_log2;
    bool made;     // a block was given out
    bool released; // a block was given up
};

// NULL where there is no memory. `operations`: how many will come, 0 = not known. The world must
// outlive the meter's end.
struct program_result *program_meter_begin(struct world *world,
                                           const struct program_options *options,
                                           uint64_t operations);
// The next step's number: an operation is begun.
uint64_t program_meter_step(struct program_result *result);
// Called by the fiber (or acting thread) that did it. False where there is no memory.
bool program_meter_operation(struct program_result *result, const struct program_done *done);
// Called by thread `thread` just before its mf2_thread_exit(). False where there is no memory.
bool program_meter_exit(struct program_result *result, uint32_t thread);
// The run was told to end early; its result says so.
void program_meter_interrupted(struct program_result *result);
// Ends it: checks the world at rest if the run ended well, then takes counters and digest. Returns
// how the run ended in the light of that check.
enum world_end program_meter_end(struct program_result *result, enum world_end end);

// Facts of the caller that the result carries.
struct program_result_labels {
    const char *tool;       // "hakreplay"
    const char *world;      // "controlled", "simulated"
    const char *certainty;  // "measured", "sampled", "modelled"
    const char *route_text; // as given
    const char *geometry;
    const char *memory;                       // "sc"
    const char *workload_json, *machine_json; // whole JSON objects, or NULL
    const char *unreliable_json;              // likewise
    uint64_t seed;
};
// The hak.run object of doc/results.md as text; free() it.
char *program_result_json(const struct program_result *result, const struct program_source *source,
                          const struct program_options *options,
                          const struct program_result_labels *labels);
// The hak.runs object around `count` such texts, all by `tool` and of that source (which may be
// NULL, as above); free() it. NULL: no memory.
char *program_runs_json(const char *tool, const struct program_source *source, char *const *runs,
                        size_t count);
// Writes either of them to a file, with a line end. NULL, or why it could not be written, as
// world_os_write_file has it.
const char *program_result_write(const char *path, const char *json);

// ---------------------------------------------------------------- program_routes.c

// A list of routes as --route= takes it: "s2,orphans=strand,best". A name begins a route, `all`
// one for each preset; a word with '=' is an override, of every route that the name before it
// stood for.
#define PROGRAM_ROUTE_TEXT_MAX 256 // with the zero byte

struct program_route {
    char text[PROGRAM_ROUTE_TEXT_MAX]; // as given, without its neighbours: "s2,orphans=strand"
    struct mf2_route route;
};
struct program_routes {
    struct program_route *list; // in the order given
    size_t count;               // at least 1 after a success
    // After a failure: the one that is no route; NULL where the list itself is at fault.
    const struct program_route *refused;
};
// What *routes was before is not looked at. False with half a line in message: what is wrong and
// what was expected. program_routes_free frees, also after a failure.
bool program_routes_parse(const char *text, struct program_routes *routes, char *message,
                          size_t message_size);
void program_routes_free(struct program_routes *routes);

#endif
