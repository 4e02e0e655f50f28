// sim.h: the public header of the simulator's floor.
//
// Owns: virtual time as a strategy of the world (world.h), the cost model of a machine, and the
// made-up workloads (workload.h). Does not know: what MF2 does at its points, how a run is
// measured (program.h).
//
// Words
//   machine      cores, a time slice and a table of costs: one data file, sim/machines/*.json
//   event        something that happens at a virtual time: a fiber's next point begins, a fiber
//                becomes ready, a core becomes free
//   actor        who an event belongs to: a fiber (its number) or a core (fiber_limit + number)
//   line         64 bytes of the arena
//   core         runs one fiber at a time; a fiber without a core is ready or blocked. Where a
//                machine has siblings (SMT), each of them is a core here
//
// Units: virtual time is in picoseconds inside the simulator (`_ps`), because costs are fractions
// of a nanosecond; what clocks read, and every result, is in nanoseconds.
// Threads: everything here belongs to one OS thread at a time; nothing is shared between runs.
// Errors: -1 or NULL, with one line in `message`.
#ifndef HAK_SIM_H
#define HAK_SIM_H

#include "world.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PS_PER_NS  1000u
#define SIM_LINE_BYTES 64u
#define SIM_CORE_LIMIT 1024u // most cores of one machine

// ---------------------------------------------------------------- machines (machine_table.c)

// X(name, meaning): every figure of a machine's file, in nanoseconds. All must be there.
#define SIM_COSTS(X)                                                                               \
    X(line_same_core, "an access to a line that the core has in the state needed")                 \
    X(line_other_core, "moving or sharing a line that another core of the same L3 group has")      \
    X(line_other_l3, "the same, from another L3 group of the same socket")                         \
    X(line_other_socket, "the same, from another socket")                                          \
    X(line_memory, "the first access of all to a line, beside the page's fault")                   \
    X(line_stream, "a line of the program's that another core has written, one of many in order")  \
    X(read_modify_write, "an atomic read-modify-write, beside the access to its line")             \
    X(fence, "a full fence")                                                                       \
    X(pause, "one turn of a waiting loop")                                                         \
    X(clock_read, "reading the clock")                                                             \
    X(commit_call, "asking the OS for memory, without its page faults; one at a time")             \
    X(page_fault, "the first touch of 4 KiB of memory, beside the access")                         \
    X(purge_call, "giving memory back, without its pages; one at a time")                          \
    X(purge_page, "giving 4 KiB of touched memory back")                                           \
    X(futex_wait, "the call that puts a thread to sleep")                                          \
    X(futex_wake, "the call that wakes one whose core is idle, for the caller")                    \
    X(wake_latency, "from that call until the woken thread is ready to run")                       \
    X(wake_busy, "the call that wakes one where no core is idle for it, for the caller")           \
    X(wake_busy_latency, "from that call until it can take the core, if it may")                   \
    X(wake_own, "the call that wakes one on the caller's own core, for the caller")                \
    X(thread_create_call, "the call that creates a thread, for the caller")                        \
    X(thread_create, "from the call's begin until the new thread is ready to run")                 \
    X(thread_exit, "what a thread's beginning and end take of its core, beside what it does")      \
    X(context_switch, "giving a core to another thread")                                           \
    X(time_slice, "how long a thread keeps its core while others are ready")                       \
    X(operation, "MF2's own instructions in one operation, beside its points")                     \
    X(slow_operation, "the same beyond that, in an operation that leaves the thread's front")      \
    X(program, "a made-up workload's own time for each number that it draws")

struct sim_costs {
#define X(name, meaning) uint64_t name##_ps;
    SIM_COSTS(X)
#undef X
};

// Which cores stand close: groups of so many, by number from 0. 0: no such groups (no siblings; all
// cores in one L3 group, in one socket).
struct sim_topology {
    uint32_t smt;    // cores that are threads of one physical core
    uint32_t l3;     // cores that share a last-level cache
    uint32_t socket; // cores of one socket
    // How much slower a core's own work goes while a sibling works, in thousandths; 1000: not at
    // all.
    uint32_t smt_slowdown_permille;
};

struct sim_machine {
    char name[64];
    uint32_t cores; // unless the caller asks for another number
    // Thread i stays on core i modulo their number, and each core shares its time out fairly; else
    // a thread that is ready takes any idle core, and all queue in one line. Not in a file.
    bool pinned;
    uint32_t cost_percent; // by what the costs were scaled, see sim_machine_scale; 100 in a file
    struct sim_topology topology;
    struct sim_costs costs;
    char hash[17]; // XXH3-64 of the file's bytes: names the table in results
};

// A machine that is built in, by name, or one in a file: what contains a '/' or a '.' is a file.
int sim_machine_load(const char *name_or_path, struct sim_machine *machine, char *message,
                     size_t message_size);
// All costs but the program's own, in per cent; the time slice stays.
void sim_machine_scale(struct sim_machine *machine, uint32_t percent);
// Name of built-in machine i; NULL past the last one.
const char *sim_machine_name(size_t i);
#define SIM_MACHINE_DEFAULT "desktop"

// ---------------------------------------------------------------- lines (line_table.c)

enum sim_access { SIM_READ, SIM_WRITE, SIM_READ_MODIFY_WRITE };

// Who has which line, and until when a line that moves is busy. Grows with the lines touched.
struct sim_lines;
struct sim_lines *sim_lines_new(const struct sim_topology *topology, uint32_t cores);
void sim_lines_free(struct sim_lines *lines);
void sim_lines_clear(struct sim_lines *lines);
// Accesses that had to move a line from another core or from memory.
uint64_t sim_lines_moves(const struct sim_lines *lines);

// One access by `core` to an offset below 256 GiB, asked for at begin_ps. Returns when it is done.
// Accesses must come in the order of begin_ps: that order is the order of service where cores
// contend for a line.
uint64_t sim_lines_access(struct sim_lines *lines, const struct sim_costs *costs, uint64_t offset,
                          uint32_t core, enum sim_access access, uint64_t begin_ps);

// ---------------------------------------------------------------- events (event_heap.c)

// Order: time, then actor, then sequence.
struct sim_event {
    uint64_t time_ps;
    uint32_t actor;
    uint32_t sequence;
};

struct sim_heap {
    struct sim_event *events; // 4-ary: the children of i are 4i + 1 .. 4i + 4
    size_t count, capacity;
};

// false: no memory.
bool sim_heap_reserve(struct sim_heap *heap, size_t capacity);
void sim_heap_free(struct sim_heap *heap);
// There must be room.
void sim_heap_push(struct sim_heap *heap, struct sim_event event);
// count must not be 0.
struct sim_event sim_heap_pop(struct sim_heap *heap);

// ---------------------------------------------------------------- virtual time (virtual_time.c)

// The strategy: every fiber has a time of its own; the earliest event happens next. self is a
// struct sim_time.
extern const struct world_strategy sim_strategy;
#define SIM_STRATEGY_NAME "virtual-time"

struct sim_time;
// fiber_limit: as in the world's options. The machine is copied; cores replaces its number of
// cores unless it is 0.
struct sim_time *sim_time_new(const struct sim_machine *machine, uint32_t cores,
                              uint32_t fiber_limit);
void sim_time_free(struct sim_time *time);

// The running fiber has spent this much time on its own work.
void sim_time_spend(struct sim_time *time, uint32_t fiber, uint64_t spent_ps);
// The running fiber's program accesses its block at this offset: charged at its next point.
void sim_time_touch(struct sim_time *time, uint32_t fiber, uint64_t offset);
// What it costs the running fiber to wake this one, as things stand.
uint64_t sim_time_wake_ps(const struct sim_time *time, uint32_t fiber);
// The running fiber's core is another one than this fiber had last.
bool sim_time_is_elsewhere(const struct sim_time *time, uint32_t fiber);
// The fiber is ready and has no core: it was preempted, or woken where none was idle.
bool sim_time_is_descheduled(const struct sim_time *time, uint32_t fiber);
// When the last fiber stopped, or the latest event so far.
uint64_t sim_time_end_ps(const struct sim_time *time);

// What the machine did, for people and tests.
struct sim_time_totals {
    uint64_t events;      // taken from the heap
    uint64_t switches;    // a core given to a fiber
    uint64_t preemptions; // of these, taken from a fiber that could have gone on
    uint64_t busy_ps;     // sum over fibers of the time spent on a core
    uint64_t queued_ps;   // likewise, of the time ready and without one
    uint64_t line_moves;  // see sim_lines_moves
};
void sim_time_totals(const struct sim_time *time, struct sim_time_totals *totals);

#endif
