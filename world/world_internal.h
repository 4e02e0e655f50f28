// world_internal.h: what the files of the machine share; the functions by the file that defines
// them. Nobody outside world/ includes it.
//
// Who runs: `running` is the fiber whose code executes. Outside every fiber it is `root`, which
// stands for the stack that called world_run. Code under world_call runs as `driver`.
#ifndef HAK_WORLD_INTERNAL_H
#define HAK_WORLD_INTERNAL_H

#include "fiber.h"
#include "state.h"
#include "views.h"
#include "world.h"

#define WORLD_WAIT_BUCKETS       64
#define WORLD_NO_DEADLINE        UINT64_MAX
#define WORLD_LIMIT_TIMES        64 // the point limit, that a run has at most
#define WORLD_DRIVER_STACK_BYTES (1u << 20)
#define WORLD_CRASH_STACK_BYTES  (64u << 10)

// The identity of a thread that has no pages. Constant: MF2 never writes to it.
#define WORLD_NO_THREAD ((struct MF2_ThreadPages *)(uintptr_t)&mf2_no_thread)

// A place of the program, where the machine's own code stands for it.
#define WORLD_SITE(function_, text_, kind_)                                                        \
    {                                                                                              \
        .file = "program", .function = function_, .expression = text_, .kind = kind_,              \
        .order = MF2_PLAIN                                                                         \
    }

// What a run came to, until it has come to an end.
#define WORLD_RUNNING ((enum world_end)UINT32_MAX)

enum fiber_state { FIBER_UNUSED, FIBER_RUNNABLE, FIBER_PARKED, FIBER_FUTEX, FIBER_ENDED };

struct fiber_list {
    struct fiber *first, *last;
};

struct fiber {
    struct fiber_context context;
    struct MF2_ThreadPages *self; // while it does not run; world->self while it does
    uint32_t number;
    uint8_t state;     // enum fiber_state
    uint8_t outcome;   // enum world_outcome, of the point it stands at
    uint8_t store_age; // likewise
    bool unpark_kept;  // an unpark came before its park
    struct world_point point;

    world_body *body;
    void *argument;

    // Waiting on a futex: in the bucket of its word, in order of arrival; with a deadline also in
    // the world's heap of timed waiters.
    const mf2_atomic_u32 *word; // NULL: it only sleeps
    uint32_t expected;          // what the word was
    uint64_t deadline_ns;
    struct fiber *wait_next, *wait_previous;
    uint32_t timed_place; // plus one; 0: not there
};

// A part of the arena that is used from its beginning.
struct world_range {
    char *place;
    size_t element_bytes, used;
};
#define WORLD_RANGES 7

// What world_reset returns to. Of MF2's metadata only the parts in use are kept.
struct world_saved {
    bool taken;
    struct world_range ranges[WORLD_RANGES];
    char *copies[WORLD_RANGES];
    uint64_t clock_ns;
    struct MF2_ThreadPages **selves; // by fiber number
    uint32_t self_count;
    bool helper_started;
};

struct oracle_memory; // oracle.c
struct world_views;   // views.c

struct world {
    // -- read or written at every point
    struct MF2_ThreadPages *self; // of who runs
    struct mf2_state *mf2;
    uint64_t points;
    uint64_t points_quiet; // up to this many, an arrival at a point needs no attention
    struct fiber *running;
    char *arena;
    uint64_t arena_bytes;
    uint64_t clock_ns;
    uint64_t trail;
    uint64_t switches; // from one fiber to another
    const struct world_strategy *strategy;
    void *strategy_self;
    struct world_schedule *recording;
    bool interleaves; // world_run is running and there is a strategy
    bool looking;     // MF2's code looks on behalf of the world: its accesses are no points
    bool stopping;    // a violation is to end the run
    bool watches;     // the oracles look on at every point
    bool has_views;   // accesses go through them: C11 memory, fibers interleave, nobody looks
    struct world_views *views; // NULL: memory is sequentially consistent

    // -- fibers
    struct fiber *fibers; // fiber_limit program fibers, then the helper
    uint32_t fiber_limit;
    uint32_t spawned;   // program fibers of this run
    uint32_t alive;     // of these, not ended
    uint32_t *runnable; // numbers, ascending
    uint32_t runnable_count;
    uint32_t acting;     // world_act_as; WORLD_NO_FIBER: nobody
    uint32_t acted_high; // highest number that ever acted, plus one
    bool strategy_begun;
    bool helper_stepping; // the helper runs until it waits, then `helper_caller` goes on
    struct fiber *helper_caller;
    struct fiber root, driver;
    struct fiber_stacks stacks;
    void *driver_stack;
    void *crash_stack; // who has crashed goes on here: its own stack may be the trouble

    // -- waiting
    struct fiber_list waiters[WORLD_WAIT_BUCKETS];
    struct fiber **timed; // waiters with a deadline: a heap with room for all fibers
    uint32_t timed_count;
    uint64_t deadline_ns; // the earliest of them

    // -- memory
    struct world_saved saved;

    // -- the run
    enum world_end end;
    uint64_t operations;
    uint64_t point_limit;
    uint64_t points_allowed; // point_limit, and as many again whenever nobody could run
    bool cas_failed;         // for no reason: what a claim that fails so drops is nobody's
    uint64_t pauses_alone;   // pauses in a row while nobody else could run
    struct world_violation violation;
    char message[320];
    struct oracle_memory *oracle_memory;

    struct world_options options;
};

// ---------------------------------------------------------------- machine.c

// The world that this OS thread's accesses belong to.
extern _Thread_local struct world *world_here __attribute__((tls_model("initial-exec")));

// Sets points_quiet from what now needs attention.
void world_set_attention(struct world *world);
// Between these, accesses are neither counted nor interleaved; what looks must not wait.
uint64_t world_look_begin(struct world *world);
void world_look_end(struct world *world, uint64_t points);
// The fiber that runs cannot go on: another one does. Returns when it runs again.
void world_block(struct world *world);
// Ends the run; does not return where a fiber or the driver runs.
void world_end_run(struct world *world, enum world_end end);
// As WORLD_DIVERGED, with a line.
void world_diverge(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// What the acting thread of the program holds of MF2 is put down under its number.
void world_stop_acting(struct world *world);
// The helper runs from its beginning.
bool world_start_helper(struct world *world);
// Fills in the point of the running fiber where it does not stand at an access of MF2.
void world_stand(struct world *world, struct fiber *fiber, const struct mf2_site *site);
// The place where a fiber stands before its first statement.
extern const struct mf2_site world_site_begin;

// ---------------------------------------------------------------- waiting.c

void world_make_runnable(struct world *world, struct fiber *fiber);
void world_make_waiting(struct world *world, struct fiber *fiber, enum fiber_state state);
void world_wait_on(struct world *world, struct fiber *fiber, const mf2_atomic_u32 *word,
                   uint32_t expected, uint64_t deadline_ns);
void world_wake_waiter(struct world *world, struct fiber *fiber);
void world_wake_word(struct world *world, const void *word, uint32_t count);
// Nobody can run: the clock goes on to the earliest deadline. False if there is none.
bool world_jump_clock(struct world *world);

// ---------------------------------------------------------------- memory.c

bool world_memory_create(struct world *world, char *message, size_t message_size);
void world_memory_destroy(struct world *world);
void world_memory_purge(struct world *world, uint64_t offset, uint64_t bytes);
bool world_memory_snapshot(struct world *world);
void world_memory_reset(struct world *world);

// ---------------------------------------------------------------- oracle.c

bool world_oracle_create(struct world *world, char *message, size_t message_size);
void world_oracle_destroy(struct world *world);
// A run has used these slots of MF2, 1 to slots_used.
void world_oracle_reset(struct world *world, uint32_t slots_used);
// Who runs has arrived at this point.
void world_oracle_arrival(struct world *world, const struct world_point *point);
// It is about to do the access.
void world_oracle_access(struct world *world, const struct world_point *point);

// ---------------------------------------------------------------- schedule.c

// The clock is kept as its step, whatever choice->clock_ns says.
void world_schedule_append(struct world_schedule *schedule, const struct world_choice *choice,
                           uint64_t clock_step_ns);
void world_schedule_clear(struct world_schedule *schedule);

#endif
