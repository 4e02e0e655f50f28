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

// Invariant: limit − head records may be written before rec_level_room must be asked again.
struct rec_level {
    struct ring_control *ring; // NULL until this thread has an event at this level
    struct ring_record *records;
    uint64_t head, limit;
    volatile uint32_t phase;
};

struct rec_thread {
    volatile uint32_t depth; // events under way in this thread; its latest is level[depth − 1]
    uint32_t id_plus_one;    // raw thread id + 1; 0 = not yet known
    uint64_t lost;           // events of this thread not yet confessed by a LOST record
    struct rec_level level[RING_LEVELS + 1]; // the last one only for rec_own_begin
};
extern __thread struct rec_thread rec_thread __attribute__((tls_model("initial-exec")));

// 1 while this process records. It stands in a page that the kernel wipes in a fork child, so a
// child finds 0 before anything else of it can run, whichever way it was forked.
extern volatile uint64_t *rec_gate;

// The session in force; valid while *rec_gate is 1.
extern struct ring_session *rec_session;

// What each ring's owner keeps to itself. Private memory: a fork child sees its parent's.
struct rec_scratch {
    volatile uint64_t unwinding; // its owner is inside libunwind
    uint64_t frames[RING_STACK_FRAMES_MAX + 15];
};
struct rec_scratch *rec_level_scratch(const struct rec_level *level);
// Whether any thread was inside libunwind: asked in a fork child, of its parent's last moment.
bool rec_scratch_unwinding(void);

// How many sessions this process and the forked line before it had, without the present one.
uint32_t rec_session_number(void);

// Slow half of rec_begin: opens the session, and sorts interrupted calls. False: do not record.
bool rec_begin_slow(const void *caller);
// Makes room for one record, waiting for the drainer if it must. False: recording is off, or
// there is no ring; the event is then counted as lost.
bool rec_level_room(struct rec_level *level);
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
                               uint64_t size, uint32_t stack, uint8_t align_log2) {
    struct ring_record *record = &level->records[level->head & (RING_RECORDS - 1)];
    record->address = address;
    record->size = size;
    record->stack = stack;
    record->op = op;
    record->entry = entry;
    record->align_log2 = align_log2;
    record->stamp = stamp_now(rec_session->clock);
    level->head++;
    atomic_store_explicit(&level->ring->head, level->head, memory_order_release);
}

// An event that is not a call of the allocator, whole.
void rec_event(uint8_t op, uint64_t address, uint64_t size);

// ---------------------------------------------------------------- preload_stack.c

// Loads and warms the unwinder, once. Not from within the dynamic linker.
void rec_stack_open(void);
// A fork child: drops the unwinder if another thread was inside it at the fork.
void rec_stack_open_child(void);
// The number of the stack that ends in `caller`, 0 = none.
uint32_t rec_stack_capture(struct rec_level *level, const void *caller);

// ---------------------------------------------------------------- preload_module.c

// Copies what is known of the loaded files into a new session's log.
void rec_module_publish(void);
// Brings the log up to date for a new stack with these addresses.
void rec_module_cover(const uint64_t *frames, unsigned count);
// Something may have been unloaded: stacks seen from now on are other stacks.
void rec_module_unloaded(void);
uint32_t rec_module_epoch(void);
void rec_module_refresh(void);
void rec_module_reset_child(void);

// ---------------------------------------------------------------- preload_thread.c

// Makes the key whose destructor says THREAD_EXIT. Once, while the session is opened.
void rec_thread_open(void);
// Has THREAD_EXIT recorded when this thread ends.
void rec_thread_watch_exit(void);

#endif
