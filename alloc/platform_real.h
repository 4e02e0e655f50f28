// platform_real.h: platform.h for the real world: C11 atomics, and platform_real.c for the OS.
// Included by platform.h only.
#ifndef MF2_PLATFORM_REAL_H
#define MF2_PLATFORM_REAL_H

#include <stdatomic.h>

typedef struct {
    _Atomic(uint32_t) value;
} mf2_atomic_u32;
typedef struct {
    _Atomic(uint64_t) value;
} mf2_atomic_u64;

#define mf2_load_relaxed(p)        atomic_load_explicit(&(p)->value, memory_order_relaxed)
#define mf2_load_acquire(p)        atomic_load_explicit(&(p)->value, memory_order_acquire)
#define mf2_store_relaxed(p, v)    atomic_store_explicit(&(p)->value, (v), memory_order_relaxed)
#define mf2_store_release(p, v)    atomic_store_explicit(&(p)->value, (v), memory_order_release)
#define mf2_exchange_acq_rel(p, v) atomic_exchange_explicit(&(p)->value, (v), memory_order_acq_rel)
#define mf2_fetch_add_relaxed(p, v)                                                                \
    atomic_fetch_add_explicit(&(p)->value, (v), memory_order_relaxed)
#define mf2_fetch_add_acq_rel(p, v)                                                                \
    atomic_fetch_add_explicit(&(p)->value, (v), memory_order_acq_rel)
#define mf2_fetch_sub_relaxed(p, v)                                                                \
    atomic_fetch_sub_explicit(&(p)->value, (v), memory_order_relaxed)
#define mf2_fetch_or_acq_rel(p, v) atomic_fetch_or_explicit(&(p)->value, (v), memory_order_acq_rel)
#define mf2_fetch_and_acq_rel(p, v)                                                                \
    atomic_fetch_and_explicit(&(p)->value, (v), memory_order_acq_rel)
#define mf2_cas_acq_rel(p, expected, v)                                                            \
    atomic_compare_exchange_strong_explicit(&(p)->value, (expected), (v), memory_order_acq_rel,    \
                                            memory_order_acquire)

// TSan knows no fences, and GCC warns of that. No plain field is ordered by these: both sides are
// atomics, of which at least one thread must see the other's.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
static inline void mf2_fence_seq_cst(void) {
    atomic_thread_fence(memory_order_seq_cst);
}
#pragma GCC diagnostic pop

// Page sizes differ in the virtual worlds only; a constant here, for the fast path.
#define MF2_PAGE_SHIFT(state) 16
// What an error line shows of a place.
#define MF2_SHOWN(state, place) ((uint64_t)(uintptr_t)(place))

#define mf2_plain_read(p)     (*(p))
#define mf2_plain_write(p, v) (*(p) = (v))
#define mf2_works_on(p)       ((void)0)

// The two roots of the real world, owned by platform_real.c: the only mutable variables of alloc/.
extern _Atomic(struct mf2_state *) mf2_real_state __attribute__((visibility("hidden")));
struct mf2_seat {
    _Atomic(struct MF2_ThreadPages *) self; // written by the helper too
    _Atomic(uint32_t) busy;
    struct MF2_ThreadPages *own;
};
extern _Thread_local struct mf2_seat mf2_real_seat
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

// Acquires the instance as mf2_state_ensure has made it, perhaps on another thread.
static inline struct mf2_state *mf2_state(void) {
    return atomic_load_explicit(&mf2_real_state, memory_order_acquire);
}
static inline struct MF2_ThreadPages *mf2_self(void) {
    return atomic_load_explicit(&mf2_real_seat.self, memory_order_relaxed);
}
static inline struct MF2_ThreadPages *mf2_own(void) {
    return mf2_real_seat.own;
}
static inline void mf2_self_restore(struct MF2_ThreadPages *own) {
    atomic_store_explicit(&mf2_real_seat.self, own, memory_order_relaxed);
}
// Nothing moves before the begin or behind the end: for the processor, mf2_fence_all sees to the
// first, and the second is a release.
static inline void mf2_busy_begin(void) {
    atomic_store_explicit(&mf2_real_seat.busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}
static inline void mf2_busy_end(void) {
    atomic_store_explicit(&mf2_real_seat.busy, 0, memory_order_release);
}
#define mf2_busy_begin_fast mf2_busy_begin
#define mf2_busy_end_fast   mf2_busy_end
static inline void mf2_pause(void) {
    __builtin_ia32_pause();
}

struct mf2_state *mf2_state_ensure(void);
void mf2_self_set(struct MF2_ThreadPages *thread);
bool mf2_seat_is_there(struct MF2_ThreadPages *thread);
void mf2_seat_watch(struct MF2_ThreadPages *thread);
bool mf2_seat_busy(struct MF2_ThreadPages *thread);
bool mf2_fence_all(void);
uint64_t mf2_clock_ns(void);
bool mf2_commit(struct mf2_state *state, uint32_t page, uint32_t count);
bool mf2_back(struct mf2_state *state, uint64_t offset, uint64_t bytes);
void mf2_purge(struct mf2_state *state, uint64_t offset, uint64_t bytes);
void mf2_futex_wait(mf2_atomic_u32 *word, uint32_t expected, uint64_t timeout_ns);
void mf2_futex_wake(mf2_atomic_u32 *word, uint32_t count);

// platform_helper.c. The process is new: it may start a helper, and has none.
void mf2_helper_prepare(void);
bool mf2_helper_start(struct mf2_state *state);
// Whether the calling thread is the helper, whose way to end the process is its own.
bool mf2_on_helper(void);
MF2_NORETURN void mf2_helper_abort(void);

MF2_NORETURN void mf2_fail(const char *text, uint64_t value);
// To stderr as it is; allocates nothing. For entry.c, which exists in the real world only.
void mf2_print_line(const char *line);

#endif
