// program.h: what the program does, as the world is fed it, and what is measured on the way.
//
// Owns: operations (from a trace or made by a workload), the orders in which they may run, the
// digest, the measures of doc/results.md, and the JSON of a result. Both hakreplay and haksim use
// it, so that one and the same run gives one and the same result in either.
// Does not know: strategies, costs.
//
// Words
//   operation   one call of the program: allocate, free, realloc, ask for usable size, create,
//               exit or join a thread
//   order       which operations wait for which: `strict` all in recorded order; `dataflow` only
//               program order per thread, creation before use of an object, create before start,
//               exit before join
//   step        an operation's place in the order in which they were begun
#ifndef HAK_WORLD_PROGRAM_H
#define HAK_WORLD_PROGRAM_H

#include "world.h"

enum program_op {
    PROGRAM_MALLOC,
    PROGRAM_CALLOC,
    PROGRAM_ALIGNED,
    PROGRAM_FREE,
    PROGRAM_REALLOC, // object → new_object
    PROGRAM_USABLE,
    PROGRAM_CREATE,  // peer
    PROGRAM_START,
    PROGRAM_EXIT,
    PROGRAM_JOIN,    // peer
    PROGRAM_NOTHING, // counted, but not an allocator's work (free of NULL, failed calls, markers)
    PROGRAM_OP_COUNT
};

// 40 bytes; a program of 10^9 operations is streamed, never held whole.
struct program_operation {
    uint64_t object;     // created (MALLOC, CALLOC, ALIGNED), freed, asked, or realloc's old one
    uint64_t new_object; // REALLOC
    uint64_t size;       // bytes; where the usable size was asked of the object, at least that
    uint64_t time_ns;    // trace time
    uint32_t thread;
    uint32_t peer;       // CREATE, JOIN
    uint8_t op;          // enum program_op
    uint8_t align_log2;
};

// A stream of operations in recorded order.
struct program_source {
    void *self;
    // Fills up to `capacity`; returns how many, 0 at the end, -1 on failure (message is set).
    ptrdiff_t (*next)(void *self, struct program_operation *operations, size_t capacity);
    void (*rewind)(void *self);
    void (*close)(void *self);
    uint32_t threads;  // thread numbers are below this
    uint64_t objects;  // object numbers are below this
    uint64_t operations; // 0 where not known beforehand
    char message[512];
    struct {           // what the result says of it; empty for made-up programs
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
struct program_source *program_open_memory(const struct program_operation *operations,
                                           size_t count, uint32_t threads, uint64_t objects);
void program_close(struct program_source *source);

enum program_order { PROGRAM_STRICT, PROGRAM_WINDOW, PROGRAM_DATAFLOW };

struct program_options {
    enum program_order order;
    const char *strategy_name;  // for the result
    bool stamps;                // write and check a stamp at both ends of every block
    uint64_t page_bound;        // oracle: most pages mapped, 0 = none
    bool clock_follows_trace;   // the clock is the greatest trace time of operations begun
    // Told at each operation begun, before it runs; NULL if nobody asks. The simulator charges the
    // program's own time here.
    void (*on_operation)(void *self, struct world *world, const struct program_operation *op);
    void *on_operation_self;
};

struct program_result; // digest, counters, measures, timeline

// Feeds the source to the world until its end or a violation. A world is used for one run, or
// reset in between.
enum world_end program_run(struct world *world, struct program_source *source,
                           const struct program_options *options, struct program_result **result);
void program_result_free(struct program_result *result);
uint64_t program_result_digest(const struct program_result *result);
uint64_t program_result_steps(const struct program_result *result);

// Facts of the caller that the result carries.
struct program_result_labels {
    const char *tool;       // "hakreplay"
    const char *world;      // "controlled", "simulated"
    const char *certainty;  // "measured", "sampled", "modelled"
    const char *route_text; // as given
    const char *geometry;
    const char *memory;     // "sc"
    const char *workload_json, *machine_json; // whole JSON objects, or NULL
    const char *unreliable_json;              // likewise
    uint64_t seed;
};
// The hak.run object of doc/results.md as text; free() it.
char *program_result_json(const struct program_result *result, const struct program_source *source,
                          const struct program_options *options,
                          const struct program_result_labels *labels);

#endif
