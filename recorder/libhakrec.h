// libhakrec.h: what the files of libhakrec.so share; a map of the library.
//
// The library lives inside a stranger's process. It owns no heap, no descriptor and no lock that
// the program could hold on to: its memory is static or the session's mapping (ring.h), its calls
// of the program's allocator are the program's own, and on every path errno is as the real
// function left it.
//
// Words: an *event* is one call being recorded; its *level* is how many events of this thread it
// interrupted (0 but in signal handlers); its *phase* says whose code runs meanwhile. See ring.h.
//
// Threads: everything may be called from any thread and from signal handlers, unless said.
#ifndef HAK_LIBHAKREC_H
#define HAK_LIBHAKREC_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <threads.h>

#include "ring.h"
#include "stamp.h"
#include "trace.h"

#define REC_EXPORT              __attribute__((visibility("default")))
#define REC_LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define REC_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

// ---------------------------------------------------------------- preload_real.c
// The functions that the program would have called without us (RTLD_NEXT).

struct rec_real {
    void *(*malloc)(size_t);
    void (*free)(void *);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*memalign)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
    int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    int (*pthread_join)(pthread_t, void **);
    int (*pthread_tryjoin_np)(pthread_t, void **);
    int (*pthread_timedjoin_np)(pthread_t, void **, const struct timespec *);
    int (*pthread_clockjoin_np)(pthread_t, void **, clockid_t, const struct timespec *);
    int (*thrd_create)(thrd_t *, thrd_start_t, void *);
    int (*thrd_join)(thrd_t, int *);
    pid_t (*fork)(void);
    pid_t (*_Fork)(void);
    int (*dlclose)(void *);
    void (*_exit)(int);
    void *(*mmap)(void *, size_t, int, int, int, off_t);
    int (*munmap)(void *, size_t);
    void *(*mremap)(void *, size_t, size_t, int, ...);
};
extern struct rec_real rec_real;

// Fills rec_real. Called once, before the first event, with the phase REC_PHASE_OWN.
void rec_real_resolve(void);
// Loads libunwind behind the program's back; NULL where there is none. Phase REC_PHASE_OWN.
int (*rec_real_unwinder(void))(void **, int);
// Whether a call from `caller` is the allocator's own (or, in phase OWN, ours): not an event.
bool rec_real_is_inside(const void *caller, uint32_t phase);
// Whether `caller` is the dynamic linker, which may hold its locks.
bool rec_real_is_linker(const void *caller);
// Whether realloc(p, 0) of the real allocator is known to free p.
extern bool rec_real_realloc_zero_frees;
// Whether malloc_usable_size is the real allocator's own, and may be asked about its blocks.
extern bool rec_real_tells_size;
// What the program calls past ours (enum ring_own), and of which module, if of any.
uint32_t rec_real_own_allocator(const char **module);

// ---------------------------------------------------------------- preload_pool.c
// Memory for what the dynamic linker allocates on our behalf, so that the program's heap does not
// notice us.

void *rec_pool_allocate(size_t size_bytes, size_t align_bytes); // zeroed; NULL when exhausted
void rec_pool_free(void *block);
size_t rec_pool_usable(const void *block);
extern char rec_pool_memory[];
extern const size_t rec_pool_bytes;
static inline bool rec_pool_owns(const void *block) {
    return (uintptr_t)block - (uintptr_t)rec_pool_memory < rec_pool_bytes;
}

// ---------------------------------------------------------------- preload_session.c
// The session: reaching the drainer, the mapping, this thread's rings.

enum rec_phase {
    REC_PHASE_RECORD = 0, // our code, which calls nobody; also the value at rest
    REC_PHASE_REAL = 1,   // the real allocator
    REC_PHASE_OWN = 2,    // the dynamic linker, libc or the unwinder at our request
};

struct rec_scratch;

// Invariant: limit − head records may be written before rec_level_room must be asked again.
struct rec_level {
    struct ring_control *ring;   // NULL until this thread has an event at this level
    struct rec_scratch *scratch; // NULL where there was no memory for it
    struct ring_record *records;
    uint64_t head, limit;
    volatile uint32_t phase;
    uint32_t capacity; // of the ring; a power of two
};

struct rec_thread {
    volatile uint32_t depth; // events under way in this thread; its latest is level[depth − 1]
    uint32_t id_plus_one;    // raw thread id + 1; 0 = not yet known
    uint32_t tid;            // the kernel's; 0 = not yet asked for
    uint32_t resident_in;    // so many frees until a block's pages are looked at
    uint32_t resident_random;
    uint64_t lost;                  // events of this thread not yet confessed by a LOST record
    uint64_t stack_low, stack_high; // its stack; 0 = not known
    struct rec_level level[RING_LEVELS + 1]; // the last one only for rec_own_begin
};
extern __thread struct rec_thread rec_thread __attribute__((tls_model("initial-exec")));

// 1 while this process records. It stands in a page that the kernel wipes in a fork child, so a
// child finds 0 before anything else of it can run, whichever way it was forked.
extern volatile uint64_t *rec_gate;

// The session in force; valid while *rec_gate is 1.
extern struct ring_session *rec_session;

// ---------------------------------------------------------------- preload_rule.c

enum rec_cfa { // where the caller's frame begins
    REC_CFA_SP = 0,
    REC_CFA_BP = 1,
    REC_CFA_BP_DEREF = 2, // at the address that stands there
    REC_CFA_END = 3,      // there is no caller
    REC_CFA_SIGNAL = 4,   // interrupted: the kernel's saved context
    REC_CFA_GUESS = 5,    // no unwind information
    REC_CFA_FOREIGN = 6,  // information that we do not follow
};
enum rec_bp { // where the caller's frame pointer is
    REC_BP_SAME = 0,
    REC_BP_AT_CFA = 1, // at CFA + bp_offset
    REC_BP_AT_BP = 2,  // at our frame pointer + bp_offset
    REC_BP_FOREIGN = 3,
};

// The rule for an instruction. Takes no lock, allocates nothing.
struct ring_rule rec_rule_of(uint64_t pc);

// ---------------------------------------------------------------- preload_place.c

// The place of a return address, and a copy of what is known of it. 0: the table is full; the copy
// is right all the same.
uint32_t rec_place_of(uint64_t address, uint32_t epoch, struct ring_place *copy);

// ---------------------------------------------------------------- preload_walk.c

// The state in which a call of the program reached us: where it goes on afterwards.
struct rec_caller {
    const void *address;
    uint64_t sp, bp;
};
// In an entry point, whose frame pointer is on the stack (-fno-omit-frame-pointer).
#define REC_CALLER_HERE                                                                            \
    {                                                                                              \
        __builtin_return_address(0), (uint64_t)__builtin_frame_address(0) + 16,                    \
            *(const uint64_t *)__builtin_frame_address(0)                                          \
    }

enum { REC_STEPS_LOG2 = 11 };

// A return address that this thread has met, with its place, which is 0 if the table of places
// has no room.
struct rec_step {
    uint64_t address : 47; // 0 = free
    uint64_t place : 17;
    struct ring_rule rule;
};
static_assert(sizeof(struct rec_step) == 16, "");

// Invariant: frames stand outermost first; bp_from and is_opaque tell how the walk went on from
// this frame to the one before it.
struct rec_frame {
    uint64_t address, sp, bp;
    const uint64_t *bp_from; // where the outer frame's bp was read
    uint32_t place;
    uint8_t depth;          // frames up to this one that are not our own
    bool is_own, is_opaque; // opaque: more was read than bp_from and the return address
    bool is_interrupted;    // by the signal whose frame is next inwards: not at a call
};

// What each ring's owner keeps to itself. Private memory: a fork child sees its parent's.
struct rec_scratch {
    volatile uint64_t unwinding; // its owner is inside libunwind
    uint32_t session;            // that the caches are of: rec_session_number() + 1
    uint32_t epoch;
    uint32_t check_in; // so many stacks until one is taken twice
    uint32_t trail_count;
    uint32_t trail_kept; // so many of them are as in the walk before
    bool trail_keeps;    // the trail may serve the next walk
    bool is_uncertain;   // a module is being unloaded: nothing found now may be kept
    struct rec_step steps[1 << REC_STEPS_LOG2];
    struct rec_frame trail[RING_STACK_FRAMES_MAX + 2], fresh[RING_STACK_FRAMES_MAX + 1];
    uint64_t frames[RING_STACK_FRAMES_MAX + 15];
};
// Whether any thread was inside libunwind: asked in a fork child, of its parent's last moment.
bool rec_scratch_unwinding(void);

enum rec_walk_end {
    REC_WALK_GOES_ON,
    REC_WALK_COMPLETE,
    REC_WALK_COMPLETE_ZERO, // likewise; inside preload_walk.c only
    REC_WALK_CUT,           // RING_STACK_FRAMES_MAX frames, and there are more
    REC_WALK_LOST,          // there are more, and it is not known which
    REC_WALK_FOREIGN,       // nothing has been done: it takes a full unwinder
};

// Learns the bounds of this thread's stack.
void rec_walk_thread_open(bool is_first);
// Puts the stack of a call into the trail.
enum rec_walk_end rec_walk(struct rec_scratch *scratch, const struct rec_caller *caller);
// The same with addresses that were found otherwise, at most RING_STACK_FRAMES_MAX.
void rec_walk_adopt(struct rec_scratch *scratch, const uint64_t *addresses, unsigned count,
                    bool is_cut);
// Empties the caches. `is_uncertain`: what is found from now on is kept nowhere.
void rec_walk_forget(struct rec_scratch *scratch, uint32_t epoch, bool is_uncertain);

// How many sessions this process and the forked line before it had, without the present one.
uint32_t rec_session_number(void);

// Slow half of rec_begin: opens the session, and sorts interrupted calls. False: do not record.
bool rec_begin_slow(const void *caller);
// Makes room for one record, waiting for the drainer if it must. False: recording is off, or
// there is no ring; the event is then counted as lost.
bool rec_level_room(struct rec_level *level);
// The same for several, in a level that has a ring.
bool rec_level_reserve(struct rec_level *level, uint32_t records);
// The thread's id, a new one if it has none.
uint32_t rec_thread_id(void);
// This thread's rings may be given to others once it is gone.
void rec_thread_retire(void);
// A library call at our request: nested calls of malloc are served from the pool until the end.
void rec_own_begin(void);
void rec_own_end(void);
// Whether calls of malloc are now made at our request.
static inline bool rec_own_active(void) {
    return rec_thread.depth != 0 && rec_thread.level[rec_thread.depth - 1].phase == REC_PHASE_OWN;
}

// Opens an event of a call from `caller`, leaving the phase at REAL. False: forward, do not
// record. Every true is followed by rec_end.
static inline bool rec_begin(const void *caller) {
    if (REC_UNLIKELY(*rec_gate == 0 || rec_thread.depth != 0) && !rec_begin_slow(caller))
        return false;
    // A handler that comes in between finds the phase at rest and may record: nothing has begun.
    rec_thread.depth = rec_thread.depth + 1;
    rec_thread.level[rec_thread.depth - 1].phase = REC_PHASE_REAL;
    return true;
}

static inline struct rec_level *rec_level_now(void) {
    return &rec_thread.level[rec_thread.depth - 1];
}

static inline void rec_end(void) {
    rec_level_now()->phase = REC_PHASE_RECORD;
    rec_thread.depth = rec_thread.depth - 1;
}

// The same for a call of the allocator, which is not recorded while the recording is paused; the
// life of threads always is.
static inline bool rec_begin_call(const void *caller) {
    if (!rec_begin(caller))
        return false;
    // Relaxed: when exactly a pause begins, nobody can tell.
    if (REC_LIKELY(atomic_load_explicit(&rec_session->paused, memory_order_relaxed) == 0))
        return true;
    rec_end();
    return false;
}

// Before a call through rec_real that may be the first of the process.
static inline void rec_real_need(void) {
    if (REC_UNLIKELY(rec_real.malloc == NULL) && rec_begin(NULL))
        rec_end();
}

static inline bool rec_level_has_room(struct rec_level *level) {
    return REC_LIKELY(level->head != level->limit) || rec_level_room(level);
}

// Stamps and publishes one record; the caller has made room. The stamp is read here, as late as
// can be; the record becomes the drainer's with the one release store at the end, which pairs
// with the acquire of `head` in its pass.
static inline void rec_publish(struct rec_level *level, uint8_t op, uint8_t entry, uint64_t address,
                               uint64_t size, uint64_t stack, uint8_t align_log2) {
    struct ring_record *record = &level->records[level->head & (level->capacity - 1)];
    *record = (struct ring_record){.address = address,
                                   .op = op,
                                   .entry = entry,
                                   .align_log2 = align_log2,
                                   .size = size,
                                   .stack = stack,
                                   .stamp = stamp_now(rec_session->clock)};
    level->head++;
    atomic_store_explicit(&level->ring->head, level->head, memory_order_release);
}

// An event that is not a call of the allocator, whole.
void rec_event(uint8_t op, uint64_t address, uint64_t size);

// ---------------------------------------------------------------- preload_sandbox.c

// The process has forbidden itself system calls, or is about to: an event must make none.
extern _Atomic bool rec_sandboxed;
static inline bool rec_is_sandboxed(void) {
    return atomic_load_explicit(&rec_sandboxed, memory_order_relaxed);
}
// A system call past everything, errno and all.
long rec_raw(long number, long a, long b, long c, long d, long e, long f);

// ---------------------------------------------------------------- preload_resident.c

// Looks at the pages of a block that is about to be given up and says what it found in the ring,
// where there is room for a record afterwards as before.
void rec_resident_look(struct rec_level *level, const void *block);
// Once for each block given up, when its level has room for a record. Most often counts down.
static inline void rec_resident(struct rec_level *level, const void *block) {
    if (REC_UNLIKELY(rec_thread.resident_in == 0))
        rec_resident_look(level, block);
    rec_thread.resident_in--;
}

// ---------------------------------------------------------------- preload_stack.c

// Loads and warms the unwinder, once. Not from within the dynamic linker.
void rec_stack_open(void);
// A fork child: drops the unwinder if another thread was inside it at the fork.
void rec_stack_open_child(void);
// The stack of a call, as the next record says it. The caller has made room for one record; what
// does not fit into that goes into the ring before, and there is room for one again.
uint64_t rec_stack_capture(struct rec_level *level, const struct rec_caller *caller);

// ---------------------------------------------------------------- preload_module.c

// Copies what is known of the loaded files into a new session's log.
void rec_module_publish(void);
// Brings the log up to date for a new place of this address.
void rec_module_cover(uint64_t address);
// Around every unloading: until it is over, nothing is certain about any address, and what is
// unloaded makes the same addresses other places.
void rec_module_unload_begin(void);
void rec_module_unload_end(void);
bool rec_module_is_unloading(void);
uint32_t rec_module_epoch(void);
void rec_module_refresh(void);
void rec_module_reset_child(void);

// ---------------------------------------------------------------- preload_thread.c

// Makes the key whose destructor says THREAD_EXIT. Once, while the session is opened.
void rec_thread_open(void);
// Has THREAD_EXIT recorded when this thread ends.
void rec_thread_watch_exit(void);

#endif
