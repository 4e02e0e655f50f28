// drainer.h: what the files of the hakrec program share; a map of it.
//
// Words: the *launcher* is the hakrec that the user started and that waits for the program; the
// *drainer* is a process of its own that turns rings (ring.h) into traces (trace.h) until the last
// recorded process is gone; a *pass* is one look at all rings of a session; see ring.h for more.
//
// Threads: the launcher has one. The drainer has one that accepts sessions (drainer.c) and one per
// session (drain_session.c), which alone touches that session's structures.
#ifndef HAK_DRAINER_H
#define HAK_DRAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ring.h"
#include "trace.h"

#define DRAIN_EXIT_CANNOT_RECORD 125
#define DRAIN_EXIT_CANNOT_RUN    126
#define DRAIN_EXIT_NOT_FOUND     127

// ---------------------------------------------------------------- options (hakrec.c)

struct drain_options {
    const char *output; // the main trace; others have the process id inserted
    uint64_t tick_ns, flush_ns;
    uint32_t stacks; // enum ring_stacks
    bool addresses, redact;
    uint32_t resident_every; // one free in so many has its block's pages looked at; 0 = none
    bool maps;               // memory that the program maps itself
    uint64_t spool_bytes;    // of the file that takes bursts
    uint64_t process_ns;     // how often the process's memory and faults are looked at; 0 = never
    bool starts_paused;
    uint64_t delay_ns, duration_ns; // of the recording; 0 = at once, without end
    uint64_t status_ns;             // how often the launcher wants CONTROL_STATUS; 0 = never
};

// ---------------------------------------------------------------- control messages
// SOCK_SEQPACKET between launcher and drainer, one struct each.

enum control_kind {
    CONTROL_READY,     // drainer: accepts sessions
    CONTROL_LINE,      // drainer: text is for the user
    CONTROL_SESSION,   // drainer: a trace is complete; text is its path
    CONTROL_DONE,      // drainer: all processes that have ended are done with; running: the others
    CONTROL_STATUS,    // drainer: events, file_bytes, lost and stalled_ns so far, of all traces
    CONTROL_MAIN_EXIT, // launcher: pid has ended with wait status `status`
    CONTROL_SWITCH,    // launcher: pause the recording, or go on with it
};

struct control_message {
    uint32_t kind;
    int32_t pid, status;
    uint32_t running;
    bool is_main;
    uint32_t own; // enum ring_own, of own_module
    uint32_t threads;
    uint64_t events, file_bytes, lost, stalled_ns;
    bool paused;
    char text[600];
    char program[256], own_module[128]; // CONTROL_SESSION
    char successor[600];                // the trace of what the process executed next; "" = nothing
};

// ---------------------------------------------------------------- live_view.c
// What the program does, at the foot of the terminal that is standard error (hakrec --live).

struct live_view;
struct live_status { // of all traces, as CONTROL_STATUS has it
    uint64_t events, lost;
    bool paused;
};
// Whether standard error is a terminal with lines enough.
bool live_view_fits(void);
// `path`: the main trace, whose name is kept; it may be without content yet. NULL: out of memory.
struct live_view *live_view_begin(const char *path, bool tinted);
// Reads on for some milliseconds at most and draws when it is time. Returns how many milliseconds
// there is nothing to do.
int live_view_step(struct live_view *live);
void live_view_status(struct live_view *live, const struct live_status *status);
// Reads to the end of the trace, gives the terminal back and prints what the view came to.
void live_view_end(struct live_view *live);

// ---------------------------------------------------------------- target.c

// What stands between a program's name and a recording of it.
struct program_check {
    char path[4096]; // what to execute
    int exit_code;   // 0, or what hakrec exits with
    char problem[4608];
};
void program_find(const char *name, struct program_check *check);
// Whether the file is a libhakrec.so, of whatever version.
bool library_is_ours(const char *path);

// ---------------------------------------------------------------- drainer.c

// Runs the drainer in this process; does not return.
_Noreturn void drainer_run(int listener, int control, const struct drain_options *options);

// One line for the user, if the launcher is still there. Any thread.
void drainer_say(int control, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---------------------------------------------------------------- drain_clock.c

struct drain_clock {
    uint32_t clock; // enum ring_clock
    double ns_per_stamp;
    double error_ns; // how far readings on two processors may deceive about which came first
};
// Chooses the clock of all sessions and measures its rate and error (takes some milliseconds).
void drain_clock_choose(struct drain_clock *clock);
const char *drain_clock_name(uint32_t clock);

// ---------------------------------------------------------------- drain_table.c

// Zeroed memory; NULL: there is none. Freed with the same size.
void *drain_table_make(size_t bytes);
void drain_table_free(void *table, size_t bytes);

// ---------------------------------------------------------------- address_map.c
// Address of a live block → object number.

struct address_map {
    struct address_slot *slots;
    uint64_t mask, count;
};
bool address_map_open(struct address_map *map);
void address_map_close(struct address_map *map);
bool address_map_find(const struct address_map *map, uint64_t address, uint64_t *object);
// The address is not in the map yet. False: out of memory.
bool address_map_add(struct address_map *map, uint64_t address, uint64_t object);
bool address_map_remove(struct address_map *map, uint64_t address, uint64_t *object);
// The address will be asked for soon.
void address_map_expect(const struct address_map *map, uint64_t address);

// ---------------------------------------------------------------- drain_session.c

// What happened on the way; ends up in END's `recorder`.
struct drain_counts {
    uint64_t passes, late, ties, skewed, unseen_frees, unknown_frees, unknown_usable;
    uint64_t deferred, lost;
    uint64_t skew_stamps_max; // the widest disorder that was repaired
};

// Records of one ring that wait to be merged, by their positions in the ring. The ring may have
// gone from one thread to the next meanwhile.
struct drain_owner {
    uint64_t begin; // of its records
    uint32_t thread;
};
struct drain_queue {
    struct drain_owner *owners; // of the records that wait; owners[owner_first] of the next
    uint32_t owner_first, owner_count, owner_capacity;
    uint64_t begin, end;
    uint64_t first_segment; // of the position's, the one that segments[first] is
    uint32_t *segments;     // numbers in the spool
    uint32_t first, count, capacity;
};

enum { DRAIN_SEGMENT_RECORDS = 256 };
static_assert(RING_RECORDS % DRAIN_SEGMENT_RECORDS == 0,
              "a segment does not run over a ring's end");

struct drain_spool {
    struct ring_record *records; // all segments that there may be
    size_t bytes;
    uint32_t segment_count, segment_max; // in being, and as many there may be
    uint32_t *free, free_count;
    uint32_t reserved;       // segments for rings whose queue is empty
    int file;                // -1 = memory alone
    uint64_t held, held_max; // records
    uint64_t file_bytes;
    uint64_t full; // passes in which not all found room
};

struct drain_cursor {
    struct ring_control *ring;
    struct drain_queue *queue;
    uint64_t position, end;
};

// A ring's stack (ring.h): the trace's node of each frame and all outside of it.
struct drain_trail {
    uint32_t count;
    uint32_t nodes[RING_STACK_FRAMES_MAX + 2];
};

struct drain_record { // a record held back, with its time
    struct ring_record record;
    uint64_t time_ticks;
    uint32_t node;
};

// What the kernel tells of the process, and when.
struct drain_process {
    int statm, stat; // files below /proc; -1 = there is none
    uint64_t looked_ns;
    struct trace_side last; // written; kind 0 = none yet
};

// The last children that the process forked: those that may not have said hello yet. Read by
// drainer.c once the session has finished.
enum { DRAIN_FORKED_MAX = 64 };
struct drain_forked {
    pid_t pids[DRAIN_FORKED_MAX];
    uint32_t count; // of all; the newest overwrites the oldest
};

// One thread of the program, by raw id.
struct drain_thread {
    uint32_t number_plus_one; // in the trace; 0 = has not appeared
    bool in_realloc;          // its release has been written, its end not
    bool released_unknown;    // the block of that release was not known
    struct ring_record release;
    uint32_t release_node;
    uint64_t released_object;
    struct drain_record *deferred; // what a signal handler did meanwhile
    uint32_t deferred_count, deferred_capacity;
};

struct drain_session {
    // by drainer.c, before the session's thread starts
    const struct drain_options *options;
    const struct drain_clock *clock;
    int control, connection, pidfd;
    pid_t pid, parent_pid;
    bool is_main, shares_pid_namespace;
    char path[4096];

    // between the two
    _Atomic bool paused;             // by drainer.c
    _Atomic uint64_t events_written; // by the session's thread, as are the next three
    _Atomic uint64_t bytes_written, events_lost, stalled_ns;
    char successor[4096];        // by drainer.c before superseded: the other program's trace
    _Atomic bool superseded;     // by drainer.c: the process has executed another program
    _Atomic bool finished;       // by the session's thread: everything is written
    _Atomic int32_t wait_status; // by drainer.c, if known
    _Atomic bool has_wait_status;
    struct drain_session *next; // drainer.c's list

    // by the session's thread
    struct ring_session *ring;
    int memory;
    char program[256]; // its file's name
    uint64_t base_stamp;
    uint64_t ticks_per_stamp; // times 2^48
    struct trace_writer *writer;
    bool failed; // the trace cannot be written any more: events are counted as lost
    char failure[sizeof((struct trace_error *)0)->text];
    struct drain_spool spool;
    struct drain_queue queues[RING_COUNT_MAX]; // only those of rings in use are ever touched
    bool has_backlog; // the last pass left records that it could have taken
    struct drain_trail trails[RING_COUNT_MAX]; // only those of rings in use are ever touched
    struct drain_cursor cursors[RING_COUNT_MAX];
    uint32_t heap[RING_COUNT_MAX]; // of cursors, by the stamp of their next record
    uint32_t cursor_count, heap_count;
    uint64_t sealed_stamp; // everything up to here is written
    uint64_t time_stamp;   // of the last event written
    struct address_map objects;
    struct drain_thread *threads;
    uint32_t thread_capacity, thread_numbers;
    struct drain_counts counts;
    struct drain_forked forked;
    struct drain_stacks *stacks;
    struct drain_process process;
};

// Body of a session's thread; argument: struct drain_session.
void *drain_session_run(void *session);
void drain_session_fail(struct drain_session *session, const char *text);

// ---------------------------------------------------------------- drain_spool.c

// The file lies in this folder. False: out of memory. Without the file the spool is small.
bool drain_spool_open(struct drain_spool *spool, const char *folder, uint64_t file_bytes_max);
void drain_spool_close(struct drain_spool *spool);
// Copies a ring's records from queue->end up to `end`; returns how many found room.
uint64_t drain_spool_put(struct drain_spool *spool, struct drain_queue *queue,
                         const struct ring_record *ring, uint64_t ring_capacity, uint64_t end);
// The records from here on are this thread's. False: out of memory.
bool drain_spool_owner(struct drain_queue *queue, uint64_t position, uint32_t thread);
void drain_spool_forget(struct drain_queue *queue); // frees what a queue has
// The records before this position are done with.
void drain_spool_drop(struct drain_spool *spool, struct drain_queue *queue, uint64_t position);

// A record of the queue.
static inline struct ring_record *drain_spool_slot(const struct drain_spool *spool,
                                                   const struct drain_queue *queue,
                                                   uint64_t position) {
    uint64_t number = position / DRAIN_SEGMENT_RECORDS - queue->first_segment;
    return &spool
                ->records[(uint64_t)queue->segments[queue->first + number] * DRAIN_SEGMENT_RECORDS +
                          position % DRAIN_SEGMENT_RECORDS];
}

// ---------------------------------------------------------------- drain_merge.c

// How much later than an event the one that it needs may be stamped, to be put before it.
enum { DRAIN_REPAIR_NS_MAX = 20000 };

// One pass: moves what the rings hold into the spool, and takes the spool's oldest records, not too
// many, so that the rings are looked at again in time. `last`: the process is gone, take
// everything. Returns the number of records taken.
uint64_t drain_merge_pass(struct drain_session *session, bool last);
// Gives the rings of threads that are gone back to the program. `all`: also those whose thread
// has not said goodbye.
void drain_merge_recycle(struct drain_session *session, bool all);

// ---------------------------------------------------------------- drain_process.c

void drain_process_open(struct drain_session *session);
void drain_process_close(struct drain_session *session);
// Writes a sample of the process's memory and faults if one is due and it differs from the last.
void drain_process_look(struct drain_session *session, uint64_t now_ns);

// ---------------------------------------------------------------- drain_event.c

// Writes a row beside the events, before the next of them.
void drain_side(struct drain_session *session, struct trace_side *side);

void drain_event(struct drain_session *session, uint32_t raw_thread,
                 const struct ring_record *record, uint32_t node, uint64_t time_ticks);
// Writes what was held back for the end of a realloc that will never come.
void drain_event_finish(struct drain_session *session);
// True if the record can only follow one that has not been written yet: the freeing (or, if
// *wants_creation, the creation) of its address.
bool drain_event_is_early(const struct drain_session *session, const struct ring_record *record,
                          bool *wants_creation);

// ---------------------------------------------------------------- drain_stack.c

// Fills what the program finds in the tables of stacks. Before the mapping is handed over.
void drain_stacks_prepare(struct ring_session *ring);
struct drain_stacks *drain_stacks_open(const struct drain_options *options);
void drain_stacks_close(struct drain_stacks *stacks);
// Carries out what a record says of its ring's stack, and returns the trace's node for that; 0 = no
// stack. Nodes that the trace does not have yet are written to it. Once for each record, in the
// ring's order.
uint32_t drain_stack_follow(struct drain_session *session, uint32_t ring,
                            const struct ring_record *record);
// The record will be the ring's next to be followed.
void drain_stack_expect(struct drain_session *session, uint32_t ring,
                        const struct ring_record *record);

#endif
