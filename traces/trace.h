// trace.h: the public header of the trace floor.
//
// Owns: the trace file of FORMAT.md, its writer, its reader and its checker.
// Does not know: how events were recorded or what they are replayed against.
//
// Words: an *event* is one row of the total order; an *object* is one life of one block, from
// the call that created it to the call that freed it; a *node* is one frame of a stack, linked to
// its caller; a *tick* is the unit of the time column, tick_ns long; a *chunk* is one zstd frame.
//
// Threads: a writer or reader belongs to one thread at a time; different ones are independent.
// Errors: functions return 0 (or a count) on success and -1 on failure, with one line in *error
// that names file, offset and what was expected. They never abort on bad input.
#ifndef HAK_TRACE_H
#define HAK_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_VERSION_MAJOR 1
#define TRACE_VERSION_MINOR 4

enum trace_op {
    TRACE_MALLOC = 1,
    TRACE_CALLOC = 2,
    TRACE_ALIGNED = 3,
    TRACE_FREE = 4,
    TRACE_FREE_NULL = 5,
    TRACE_REALLOC_RELEASE = 6,
    TRACE_REALLOC_ACQUIRE = 7,
    TRACE_REALLOC_FAIL = 8,
    TRACE_ALLOC_FAIL = 9,
    TRACE_USABLE = 10,
    TRACE_THREAD_CREATE = 11,
    TRACE_THREAD_START = 12,
    TRACE_THREAD_EXIT = 13,
    TRACE_THREAD_JOIN = 14,
    TRACE_FREE_UNKNOWN = 15,
    TRACE_FORK = 16,
    TRACE_LOST = 17,
    TRACE_OP_COUNT = 18
};

enum trace_entry {
    TRACE_ENTRY_UNKNOWN = 0,
    TRACE_ENTRY_MALLOC = 1,
    TRACE_ENTRY_CALLOC = 2,
    TRACE_ENTRY_REALLOC = 3,
    TRACE_ENTRY_REALLOCARRAY = 4,
    TRACE_ENTRY_MEMALIGN = 5,
    TRACE_ENTRY_POSIX_MEMALIGN = 6,
    TRACE_ENTRY_ALIGNED_ALLOC = 7,
    TRACE_ENTRY_VALLOC = 8,
    TRACE_ENTRY_PVALLOC = 9,
    TRACE_ENTRY_FREE = 10,
    TRACE_ENTRY_FREE_SIZED = 11,
    TRACE_ENTRY_FREE_ALIGNED_SIZED = 12,
    TRACE_ENTRY_CFREE = 13,
    TRACE_ENTRY_OPERATOR_NEW = 14,
    TRACE_ENTRY_OPERATOR_DELETE = 15,
    TRACE_ENTRY_COUNT = 16
};

// What an op does and which columns it has; the one table that writer, reader, checker and
// haktrace share (trace_op_info in trace_event.c).
enum trace_op_flag {
    TRACE_OP_CREATES = 1 << 0,
    TRACE_OP_REFERS = 1 << 1,
    TRACE_OP_HAS_SIZE = 1 << 2,
    TRACE_OP_HAS_ALIGN = 1 << 3,
    TRACE_OP_HAS_STACK = 1 << 4,
    TRACE_OP_HAS_VALUE = 1 << 5,
    TRACE_OP_HAS_PEER = 1 << 6,
    TRACE_OP_HAS_ENTRY = 1 << 7
};
struct trace_op_info {
    const char *name; // lower case, as haktrace dump prints it: "malloc", "realloc-release"
    unsigned flags;   // enum trace_op_flag
};
extern const struct trace_op_info trace_op_table[TRACE_OP_COUNT];
extern const char *const trace_entry_names[TRACE_ENTRY_COUNT];

// One event. Fields that the op does not have are 0.
struct trace_event {
    uint64_t number;     // place in the total order, from 0 (set by reader and writer)
    uint64_t time_ticks; // since the recording began; never less than the event's before
    uint64_t object;     // created or referred to (set by the writer for creating events)
    uint64_t size;       // bytes asked for
    uint64_t address;    // returned by a creating call, 0 where not recorded
    uint64_t value;      // USABLE, ALLOC_FAIL (errno), FORK (pid), LOST (count)
    uint32_t thread;     // thread number, from 0 in order of first mention (as thread or peer)
    uint32_t stack;      // node number, 0 = none
    uint32_t peer;       // THREAD_CREATE, THREAD_JOIN
    uint8_t op;          // enum trace_op
    uint8_t align_log2;  // 0 = none asked
    uint8_t entry;       // enum trace_entry
};

struct trace_node {
    uint32_t parent; // node number of the caller, 0 = outermost; less than the node's own number
    uint32_t module; // module number from 1, 0 = not known
    uint64_t offset; // of the call within the module, or the address where module is 0
};

// What a trace tells beside its events (since 1.4), a row each. Kinds and columns are the numbers
// of FORMAT.md §9; trace_side_columns names them.
enum trace_side_kind {
    TRACE_SIDE_RESIDENT = 7, // of a block that is about to be given up: pages, and those resident
    TRACE_SIDE_PROCESS = 8,  // of the whole process: memory and faults
    TRACE_SIDE_MAPS = 9,     // memory that the program mapped itself
    TRACE_SIDE_END = 10
};
enum trace_side_value { // of trace_side.values, by kind
    TRACE_RESIDENT_OBJECT = 2,
    TRACE_RESIDENT_PAGES = 3, // wholly inside the block
    TRACE_RESIDENT_FOUND = 4, // of these
    TRACE_PROCESS_TIME = 2,   // ticks
    TRACE_PROCESS_RSS = 3,    // bytes
    TRACE_PROCESS_ANONYMOUS = 4,
    TRACE_PROCESS_MINOR_FAULTS = 5, // since the process began
    TRACE_PROCESS_MAJOR_FAULTS = 6,
    TRACE_MAPS_TIME = 2,
    TRACE_MAPS_THREAD = 3,
    TRACE_MAPS_OP = 4, // enum trace_map_op
    TRACE_MAPS_ADDRESS = 5,
    TRACE_MAPS_BYTES = 6,
    TRACE_MAPS_PROTECTION = 7, // as mmap's
    TRACE_MAPS_FLAGS = 8,      // as mmap's, or mremap's
    TRACE_MAPS_STACK = 9,
    TRACE_SIDE_VALUES = 10
};
enum trace_map_op {
    TRACE_MAP = 1,
    TRACE_UNMAP = 2,
    TRACE_MAP_MOVE_FROM = 3, // mremap begins: the old range is given up
    TRACE_MAP_MOVE_TO = 4,   // the same thread's mremap has returned
    TRACE_MAP_KEPT = 5,      // the same thread's UNMAP or MOVE_FROM failed: the range is as it was
    TRACE_MAP_OP_COUNT = 6
};
struct trace_side {
    uint16_t kind;                      // enum trace_side_kind
    uint64_t event;                     // number of the event that it precedes
    uint64_t values[TRACE_SIDE_VALUES]; // by enum trace_side_value
};
struct trace_side_column {
    const char *name; // NULL: the kind has no such column
    uint8_t encoding;
};
extern const struct trace_side_column trace_side_columns[TRACE_SIDE_END][TRACE_SIDE_VALUES];
extern const char *const trace_side_names[TRACE_SIDE_END];       // "resident", "process", "maps"
extern const char *const trace_map_op_names[TRACE_MAP_OP_COUNT]; // "map", "unmap", ...

struct trace_error {
    char text[512]; // "FILE: offset N: expected ..., found ..."; empty where there is none
};

// ---------------------------------------------------------------- writer (trace_writer.c)

struct trace_writer;

struct trace_writer_options {
    int compression_level;   // zstd, 0 = the default (3)
    uint32_t rows_per_chunk; // 0 = the default (65,536)
    bool addresses;          // keep the ADDRESS column
    bool overwrite;          // replace an existing file, once the new one has proved writable
    bool ranked;             // the smallest form: RANK for OBJECT, OTHER_ENTRY for ENTRY
    bool named_at_end;       // the file gets its name when it is closed with END, and not before
    uint64_t trace_id;       // 0 = random; a fixed one makes equal traces equal files
};

// The writer's functions change nothing when they fail: rows stay buffered, and the same call may
// be made again later (when a full disk has room again).

// Creates `path` and writes the identity and META frames. meta_json: the text of META, whole.
// NULL options: the defaults. Fails without touching anything if the file exists (unless
// overwrite) or cannot be written. An existing device or pipe is written to as it is.
struct trace_writer *trace_writer_create(const char *path, const char *meta_json,
                                         const struct trace_writer_options *options,
                                         struct trace_error *error);

// Appends one event. For creating events sets event->object; always sets event->number. A time
// less than the previous event's is raised to it. Rows are buffered until the chunk is full.
int trace_writer_event(struct trace_writer *writer, struct trace_event *event,
                       struct trace_error *error);

// Appends a node; returns its number (from 1), or 0 on failure.
uint32_t trace_writer_node(struct trace_writer *writer, const struct trace_node *node,
                           struct trace_error *error);

// Appends a module (JSON text of one row's object); returns its number (from 1), or 0 on failure.
uint32_t trace_writer_module(struct trace_writer *writer, const char *module_json,
                             struct trace_error *error);

// Appends an INFO chunk with this JSON text.
int trace_writer_info(struct trace_writer *writer, const char *info_json,
                      struct trace_error *error);

// Appends a row beside the events. It names an event that has been appended, or the next; within a
// kind the numbers ascend. Written out when there are many, and at the end.
int trace_writer_side(struct trace_writer *writer, const struct trace_side *side,
                      struct trace_error *error);

// Ends the current chunks and writes them out as whole frames (modules, nodes, events, in this
// order). What has been flushed survives a kill.
int trace_writer_flush(struct trace_writer *writer, struct trace_error *error);

struct trace_writer_totals {
    uint64_t events, objects, file_bytes, nodes, modules, chunks, threads;
};
void trace_writer_totals(const struct trace_writer *writer, struct trace_writer_totals *totals);

// Flushes, writes END and the index, closes, frees the writer, also on failure. end_json: the text
// of END, in which the writer sets `events`, `objects` and `threads` itself. NULL end_json closes
// without END and index (an interrupted recording).
int trace_writer_close(struct trace_writer *writer, const char *end_json,
                       struct trace_error *error);

// ---------------------------------------------------------------- reader (trace_reader.c and kin)

struct trace_reader;

// Opens a trace and reads META. A file that is missing, empty, foreign or newer is refused here.
struct trace_reader *trace_reader_open(const char *path, struct trace_error *error);
void trace_reader_close(struct trace_reader *reader);

// Decodes the next up to `capacity` events, in order. Returns how many; 0 at the end of what is
// whole; -1 on damage. Nodes and modules that the events name are readable after the call.
ptrdiff_t trace_reader_next(struct trace_reader *reader, struct trace_event *events,
                            size_t capacity, struct trace_error *error);

// After trace_reader_next has come to the end of a trace that is still being written: looks how far
// the file has grown, and the next call goes on from there. The summary's `complete` needs an index
// and stays false; END shows that the recording has ended.
int trace_reader_grow(struct trace_reader *reader, struct trace_error *error);

// Positions before event `number` (0 ≤ number ≤ events), in O(log n) with an index.
int trace_reader_seek(struct trace_reader *reader, uint64_t number, struct trace_error *error);
// Positions before the first event with time_ticks ≥ time.
int trace_reader_seek_time(struct trace_reader *reader, uint64_t time_ticks,
                           struct trace_error *error);

// Has `visit` called with the rows beside the events that trace_reader_next comes to, chunk by
// chunk in the order of the file: after the events that they name. What it returns, if not 0, is
// what trace_reader_next fails with; it sets *error itself. NULL: nobody wants them.
typedef int (*trace_side_visit)(void *self, const struct trace_side *rows, size_t count,
                                struct trace_error *error);
void trace_reader_visit_sides(struct trace_reader *reader, trace_side_visit visit, void *self);

// A stack frame; false if the node has not been read yet or does not exist.
bool trace_reader_node(const struct trace_reader *reader, uint32_t number, struct trace_node *node);
// The JSON text of a module's row; NULL if there is none. Valid until the reader is closed.
const char *trace_reader_module(const struct trace_reader *reader, uint32_t number);
// The JSON text of the INFO chunk read as `number`-th, from 1; NULL if there is none.
const char *trace_reader_info(const struct trace_reader *reader, uint32_t number);

// What is known of the whole file. Complete after trace_reader_next has returned 0.
struct trace_summary {
    const char *meta_json;    // text of META; valid until close
    const char *end_json;     // text of END, NULL while not read (without index) or missing
    uint64_t tick_ns;         // from META
    uint64_t stamp_ticks_max; // from META: how far times of two threads may deceive; 0 = not known
    uint64_t events;          // read so far
    uint64_t objects;         // created so far
    uint32_t threads;         // greatest number seen as thread or peer + 1
    uint32_t nodes, modules;  // read so far, without node 0 and module 0
    uint64_t file_bytes;
    uint64_t hash;      // XXH3-64 of the file's bytes, once the end was read; names the trace
    bool complete;      // END and index were found
    uint64_t cut_bytes; // bytes after the last whole frame of a cut file
    uint64_t column_bytes[16]; // compressed share is not known per column: raw bytes by column id
};
void trace_reader_summary(const struct trace_reader *reader, struct trace_summary *summary);

// ---------------------------------------------------------------- checker (trace_check.c)

// What the order rules of FORMAT.md §3 forbid, counted. All zero: the trace is replayable as is.
struct trace_anomalies {
    uint64_t dead_reference;      // an event refers to an object that is not live
    uint64_t address_overlap;     // an object created at an address that a live object covers
    uint64_t thread_before_start; // an event of a created thread before its THREAD_START
    uint64_t thread_after_exit;   // an event of a thread that has been joined
    uint64_t thread_order;        // a thread number first mentioned out of turn
    uint64_t
        realloc_unpaired; // REALLOC_ACQUIRE or _FAIL without its release, or other events between
    uint64_t total;
    uint64_t first_event; // number of the first anomalous event, UINT64_MAX if none
    char first_text[160];
};

struct trace_check_result {
    struct trace_anomalies anomalies;
    uint64_t by_op[TRACE_OP_COUNT];
    uint64_t cross_thread_frees; // FREE and REALLOC_RELEASE by another thread than the creator
    uint64_t live_objects, live_bytes, peak_live_objects, peak_live_bytes;
    uint64_t lost;            // events that LOST events count
    uint64_t duration_ticks;  // time of the last event
    uint64_t distinct_stacks; // nodes that events name, without node 0
};

// Reads the whole trace once from its beginning, in memory bounded by live objects and stack nodes.
// On damage -1, with *result holding what was counted before it.
int trace_check(struct trace_reader *reader, struct trace_check_result *result,
                struct trace_error *error);

// ---------------------------------------------------------------- where bytes go (trace_budget.c)

enum { TRACE_BUDGET_COLUMNS = 16, TRACE_BUDGET_KINDS = 10 };
struct trace_budget {
    uint64_t events, file_bytes;
    uint64_t
        kinds[TRACE_BUDGET_KINDS]; // bytes of frames by kind of chunk (FORMAT.md §2), 0: others
    uint64_t other_bytes;          // identity, index, foreign frames, what was cut
    uint64_t raw[TRACE_BUDGET_COLUMNS]; // of EVENTS by column id, before compression; 0: others
    double bytes[TRACE_BUDGET_COLUMNS]; // the column's share of its frames
};
// Reads the whole file. `level` of zstd: at which columns are compressed alone to find their
// shares.
int trace_budget(const char *path, int level, struct trace_budget *budget,
                 struct trace_error *error);
const char *trace_budget_column(unsigned column);

// ---------------------------------------------------------------- parts of a trace
// (trace_window.c)

struct trace_window_range {
    uint64_t from, to; // events from ≤ number < to of the source
};
struct trace_window_result {
    uint64_t events;        // in the new trace
    uint64_t first_event;   // of the window; those before it build the heap
    uint64_t live_at_start; // objects
    uint64_t threads;
};

// Writes events from..to of the trace at `path` to `path_out`, as a trace that can be played by
// itself: events that create the objects live at the window's start, by the threads that owned
// them, stand before it. A source with anomalies is refused. The file gets its name when complete.
int trace_window(const char *path, const struct trace_window_range *range, const char *path_out,
                 bool overwrite, struct trace_window_result *result, struct trace_error *error);

#endif
