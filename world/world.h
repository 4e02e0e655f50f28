// world.h: the public header of the world floor: the machine that MF2 runs in when it is not on
// the real OS.
//
// Owns: fibers, points, the virtual clock, memory and futexes, thread life, the schedule, the
// oracles, and the one `pick next` seam that the replayer's strategies and the simulator's virtual
// time both plug into. It defines the functions that alloc/platform_virtual.h declares.
// Does not know: which strategy picks, what an access costs, where operations come from
// (program.h reads them from traces).
//
// Words
//   point     one access or service call of MF2 about to happen, or the place between two
//             operations of the program (MF2_POINT_OPERATION)
//   choice    what a strategy answers at a point: which fiber runs next, which clock value it
//             then sees, which outcome of the environment, which store is read
//   schedule  the choices of a run, in order. Same sources, same program, same schedule: same run
//   offset    an address as its distance from the arena's start; nothing else may decide anything
//
// Threads: a world belongs to one OS thread at a time. Several worlds may live in one process, on
// one OS thread in turn or on several.
// Errors: NULL or a world_end other than WORLD_DONE, with one line in world_message().
#ifndef HAK_WORLD_H
#define HAK_WORLD_H

#include "mf2.h"
#include "platform.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;

#define WORLD_NO_FIBER  UINT32_MAX
#define WORLD_NO_OFFSET UINT64_MAX

// ---------------------------------------------------------------- the pick-next seam

// What is about to happen. The access itself is done after the choice, when the fiber runs again.
struct world_point {
    const struct mf2_site *site; // where in the source, kind and memory order
    uint64_t number;             // points before this one in this run
    uint64_t offset;             // of the address touched; WORLD_NO_OFFSET where there is none
    uint64_t operand;            // STORE, RMW, CAS: the new value or operand; CLOCK: the clock;
                                 // FUTEX_WAIT: time-out; FUTEX_WAKE: count; COMMIT, PURGE: pages
    uint32_t fiber;              // who stands at the point
    uint32_t bytes;
};

// Outcomes of the environment; which are possible depends on the point's kind.
enum world_outcome {
    WORLD_OUTCOME_NORMAL,
    WORLD_OUTCOME_FAIL,     // COMMIT: the OS has no memory; CAS: fails spuriously; HELPER_START:
                            // the OS has no thread
    WORLD_OUTCOME_SPURIOUS, // FUTEX_WAIT: returns without a wake, at once or when it waits already
    WORLD_OUTCOME_TIMEOUT,  // FUTEX_WAIT: the clock goes on to the time-out
    WORLD_OUTCOME_COUNT
};

struct world_choice {
    uint32_t fiber;     // runnable; a fiber that has ended its point's wait counts as runnable
    uint32_t outcome;   // enum world_outcome, for the point of the fiber that stands at one
    uint64_t clock_ns;  // what clocks read from here on; never less than before
    uint32_t store_age; // which store to its address the chosen fiber's LOAD or CAS reads: 0 the
                        // newest, 1 the one before, and so on, up to world_store_ages; a CAS fails
                        // where it reads another value than it expects. Sequentially consistent
                        // memory shows the newest alone
};

// A strategy. `pick` starts from *choice = {point->fiber, NORMAL, present clock, newest store};
// where that fiber cannot run (it waits or has ended), the lowest runnable fiber; at a PAUSE, the
// next runnable one after it in turn. Where none can run but some wait with a time-out, the clock
// has been put on to the earliest before. `pick` runs on the stack of the fiber that stands at the
// point.
//
// A fiber that waits on a futex may be chosen too, with the outcome SPURIOUS or, if it has a
// time-out, TIMEOUT. Any other choice that cannot be made ends the run as WORLD_DIVERGED.
struct world_strategy {
    const char *name;
    // Before the first pick of a run; fibers may have been spawned already. May be NULL.
    void (*begin)(void *self, struct world *world, uint64_t seed);
    void (*pick)(void *self, struct world *world, const struct world_point *point,
                 struct world_choice *choice);
    // Told whenever a fiber becomes runnable after `begin`: spawned, woken, unparked. May be NULL.
    void (*ready)(void *self, struct world *world, uint32_t fiber);
};

// Runnable fibers, ascending; valid until the next switch.
uint32_t world_runnable_count(const struct world *world);
uint32_t world_runnable(const struct world *world, uint32_t i);
bool world_is_runnable(const struct world *world, uint32_t fiber);
// All of them at once, for who picks at every point.
const uint32_t *world_runnables(const struct world *world, uint32_t *count);
// Where a fiber stands: the point whose access it does when it runs next. NULL if there is no such
// fiber or it has ended. A fiber that has not begun stands at an OPERATION point.
const struct world_point *world_point_of(const struct world *world, uint32_t fiber);
// How many stores before the newest the access may read at which a fiber stands; 0 where it is not
// a LOAD or CAS, or memory is sequentially consistent.
uint32_t world_store_ages(struct world *world, uint32_t fiber);
// The helper's number; program fibers are numbered from 0 and never reach it.
uint32_t world_helper(const struct world *world);

// ---------------------------------------------------------------- a world

// What a load may read, where fibers interleave: the newest store; or what C11 allows for
// release, acquire, relaxed and fences, where plain accesses that nothing orders are races, too.
// views.h says how, doc/what-a-replay-proves.md what is not in it.
enum world_memory { WORLD_MEMORY_SC, WORLD_MEMORY_C11 };

struct world_options {
    struct mf2_config mf2;
    uint32_t fiber_limit; // program fibers ever spawned in one run, and bound of world_act_as
    uint32_t stack_bytes; // per fiber, 0 = 64 KiB (256 KiB under a sanitizer)
    uint64_t point_limit; // ends a run as WORLD_LIVELOCK; 0 = none
    const struct world_strategy *strategy; // NULL: nothing interleaves, points cost nothing
    void *strategy_self;
    uint64_t seed;
    enum world_memory memory;
    uint32_t page_bound;    // oracle: most pages held; 0 = none
    bool oracles_at_points; // check the cheap oracles at every point, not only at quiescence
};

struct world *world_create(const struct world_options *options, char *message, size_t message_size);
void world_destroy(struct world *world);

struct mf2_state *world_mf2(const struct world *world);
uint64_t world_offset(const struct world *world, const void *address);
uint64_t world_clock_ns(const struct world *world);
// Whether somebody waits for a time.
bool world_clock_is_awaited(const struct world *world);
// The clock goes on to at least this; never back.
void world_clock_advance(struct world *world, uint64_t clock_ns);
uint64_t world_points(const struct world *world);
// Another limit than world_options had, between runs.
void world_limit_points(struct world *world, uint64_t point_limit);
// A hash over every point of the run (fiber, place, offset, operand) where fibers interleave:
// equal trails, equal runs.
uint64_t world_trail(const struct world *world);

// mf2_census and mf2_counters_sum without their accesses being points. They may be called from
// anywhere between two points.
void world_census(struct world *world, struct mf2_census *census);
void world_counters(struct world *world, struct mf2_counters *sum);

// The state right now becomes what world_reset returns to: MF2's metadata, memory, clock, no
// fibers. Called once, between runs. A reset copies what has changed, no more.
void world_snapshot(struct world *world);
void world_reset(struct world *world, uint64_t seed);

// ---------------------------------------------------------------- fibers

typedef void world_body(void *argument);

// A new fiber, runnable from now on; from outside or from another fiber. Returns its number (from
// 0, in order, not used again before world_reset), or WORLD_NO_FIBER where the limit is reached.
// Its MF2 thread is the one that its number had at the snapshot (by world_act_as), else none. A
// fiber ends by returning; it must have called mf2_thread_exit() before if it allocated. When a
// run ends otherwise, its fibers are dropped where they stand: what they hold is not released.
uint32_t world_spawn(struct world *world, world_body *body, void *argument);

// What the program orders beside MF2, for C11 memory; nothing happens elsewhere. A new fiber comes
// after what the spawning one has done by then.
//   world_await     what `fiber` has done so far comes before what the running one does next
//   world_give      what the running fiber has done comes before what whoever takes this block does
//   world_take      see world_give
//   world_touch     the running fiber reads or writes the program's bytes at this place
void world_await(struct world *world, uint32_t fiber);
void world_give(struct world *world, const void *block);
void world_take(struct world *world, const void *block);
void world_touch(struct world *world, const void *place, bool writes);

// From inside a fiber:
struct world *world_current(void);
uint32_t world_fiber(const struct world *world);
// The point between two operations of the program.
void world_operation_point(struct world *world);
// The program waits for so long; the clock goes on by itself where nobody else can run.
void world_sleep(struct world *world, uint64_t for_ns);
// Waits until world_unpark(this fiber); an unpark that came first is remembered.
void world_park(struct world *world);
void world_unpark(struct world *world, uint32_t fiber);

// Without switching stacks: the calling code acts as this (never spawned) thread of the program
// until the next call; for strategies that never interleave inside an operation. Numbers are
// chosen by the caller below fiber_limit. world_step_helper then lets MF2's helper run until it
// waits.
//
// MF2's own failure must leave the code that acts; so that it can, run that code by world_call.
// Outside world_call a failure prints its line and aborts the process.
void world_act_as(struct world *world, uint32_t fiber);
void world_step_helper(struct world *world);

enum world_end {
    WORLD_DONE,      // every fiber of the program has ended
    WORLD_DEADLOCK,  // none can run: a lost wake-up or a cycle of waits
    WORLD_LIVELOCK,  // the point limit was reached
    WORLD_VIOLATION, // an oracle fired; see world_violation
    WORLD_DIVERGED   // a choice cannot be made: a schedule that is played does not fit
};
// Runs the fibers until one of these. From outside any fiber.
enum world_end world_run(struct world *world);
// Calls body(argument) on a stack of its own (1 MiB), for code that uses world_act_as. WORLD_DONE
// when it has returned, WORLD_VIOLATION when MF2 or an oracle ended it in the middle.
enum world_end world_call(struct world *world, world_body *body, void *argument);
// From a strategy's pick: the run is of no further use, and ends as WORLD_DIVERGED.
void world_stop(struct world *world);
// Why the last run ended, one line; empty after WORLD_DONE.
const char *world_message(const struct world *world);
const char *world_end_name(enum world_end end);

// ---------------------------------------------------------------- oracles (oracle.c)

// What must hold in any interleaving, without knowing any bug. The first that fires ends the run.
enum world_oracle {
    WORLD_ORACLE_NONE,
    WORLD_ORACLE_BLOCK_STAMP,   // a live block's stamp changed, or two live blocks overlap
    WORLD_ORACLE_CONSERVATION,  // at quiescence: blocks given out + free = capacity, every page
    WORLD_ORACLE_ONE_OWNER,     // a held page is another thread's too
    WORLD_ORACLE_ONE_LIST,      // a page is on two lists, or twice on one
    WORLD_ORACLE_STRANDED_FREE, // at quiescence: remote frees that nobody has been told of
    WORLD_ORACLE_GATE_OWN,      // a new page while own pending or partial pages exist (must-reuse)
    WORLD_ORACLE_GATE_ADOPTION, // an adoption inside the window or with a failed gate (Route P)
    WORLD_ORACLE_LOST_WAKE,     // deadlock
    WORLD_ORACLE_LIVELOCK,
    WORLD_ORACLE_PAGE_BOUND, // more pages mapped than the stated bound
    WORLD_ORACLE_ABORT,      // MF2 itself called mf2_fail, or crashed inside a fiber
    WORLD_ORACLE_RACE,       // C11 memory: two plain accesses that nothing orders
    WORLD_ORACLE_COUNT
};
struct world_violation {
    enum world_oracle oracle;
    uint64_t point, operation; // when
    uint32_t fiber;
    char text[240];
};
const char *world_oracle_name(enum world_oracle oracle);
// The violation that ended the run, or NULL.
const struct world_violation *world_violation(const struct world *world);
// Records a violation (the program's own checks use it too) and ends the run at the next point.
void world_violate(struct world *world, enum world_oracle oracle, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Checks everything that must hold when no thread is inside MF2.
bool world_check_quiescent(struct world *world);
// After a run that is done: time passes until the helper sleeps for good, and then nothing may be
// left for it to do. Costs nothing where there is no helper.
enum world_end world_rest(struct world *world);
// The same, and that MF2 counts exactly these blocks as the program's, page by page.
bool world_check_blocks(struct world *world, void *const *blocks, size_t count);

// ---------------------------------------------------------------- schedules (schedule.c)

// A schedule on disk (NAME.hks): text lines `key value`, then the choices, run-length coded.
// doc/schedules.md is its format. world/ keeps the choices; what a schedule belongs to (trace or
// scenario, route, seed, sources, oracle, digest) its user writes as keys.
struct world_schedule;
struct world_schedule *world_schedule_new(void);
void world_schedule_free(struct world_schedule *schedule);
// Every later choice of this world's runs is appended; world_reset empties it. NULL: no more.
void world_schedule_record(struct world *world, struct world_schedule *schedule);
int world_schedule_key(struct world_schedule *schedule, const char *key, const char *value);
const char *world_schedule_value(const struct world_schedule *schedule, const char *key);
uint64_t world_schedule_choices(const struct world_schedule *schedule);
int world_schedule_write(const struct world_schedule *schedule, const char *path, char *message,
                         size_t message_size);
struct world_schedule *world_schedule_read(const char *path, char *message, size_t message_size);
// A strategy that plays a schedule; self is the schedule. A choice that cannot be made ends the
// run as WORLD_DIVERGED.
extern const struct world_strategy world_strategy_schedule;

// XXH3-64 over the sources of alloc/ that this build was made from: schedules and results carry it.
const char *world_source_hash(void);

#endif
