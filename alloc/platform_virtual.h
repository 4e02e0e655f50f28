// platform_virtual.h: platform.h for the virtual worlds: every access is a point.
// Included by platform.h only. The functions are defined by world/, which runs one fiber at a
// time, so that the access itself is plain; what a load may return is the world's to decide.
#ifndef MF2_PLATFORM_VIRTUAL_H
#define MF2_PLATFORM_VIRTUAL_H

typedef struct {
    uint32_t value;
} mf2_atomic_u32;
typedef struct {
    uint64_t value;
} mf2_atomic_u64;

// What happens at a point. The order of the names is part of the schedule file's format.
enum mf2_point_kind {
    MF2_POINT_LOAD,
    MF2_POINT_STORE,
    MF2_POINT_EXCHANGE,
    MF2_POINT_ADD,
    MF2_POINT_SUB,
    MF2_POINT_OR,
    MF2_POINT_AND,
    MF2_POINT_CAS,
    MF2_POINT_FENCE,
    MF2_POINT_PLAIN_READ,
    MF2_POINT_PLAIN_WRITE,
    MF2_POINT_CLOCK,
    MF2_POINT_COMMIT,
    MF2_POINT_PURGE,
    MF2_POINT_FUTEX_WAIT,
    MF2_POINT_FUTEX_WAKE,
    MF2_POINT_PAUSE,
    MF2_POINT_HELPER_START,
    MF2_POINT_OPERATION,  // between two operations of the program (not inside alloc/)
    MF2_POINT_THREAD_END, // a fiber has ended (not inside alloc/)
    MF2_POINT_KIND_COUNT
};

enum mf2_order { MF2_RELAXED, MF2_ACQUIRE, MF2_RELEASE, MF2_ACQ_REL, MF2_SEQ_CST, MF2_PLAIN };

// Where in the source a point stands. One constant per point.
struct mf2_site {
    const char *file; // without folders: a path would say how the compiler was called
    const char *function;
    const char *expression; // the access as written: "&page->holder"
    uint32_t line;
    uint8_t kind;  // enum mf2_point_kind
    uint8_t order; // enum mf2_order
};

#ifdef __FILE_NAME__
#define MF2_FILE __FILE_NAME__
#else
#define MF2_FILE __FILE__
#endif
#define MF2_SITE(kind_, order_, text_)                                                             \
    (__extension__({                                                                               \
        static const struct mf2_site mf2_site_here_ = {MF2_FILE, __func__, text_,                  \
                                                       __LINE__, kind_,    order_};                \
        &mf2_site_here_;                                                                           \
    }))

uint64_t mf2_virtual_load(const void *address, unsigned bytes, const struct mf2_site *site);
void mf2_virtual_store(void *address, unsigned bytes, uint64_t value, const struct mf2_site *site);
// kind of the site says which: exchange, add, sub, or, and. Returns the value before.
uint64_t mf2_virtual_rmw(void *address, unsigned bytes, uint64_t operand,
                         const struct mf2_site *site);
bool mf2_virtual_cas(void *address, unsigned bytes, void *expected, uint64_t value,
                     const struct mf2_site *site);
void mf2_virtual_fence(const struct mf2_site *site);
bool mf2_virtual_fence_all(const struct mf2_site *site);

#define MF2_AS(p) __typeof__((p)->value)
#define mf2_load_relaxed(p)                                                                        \
    ((MF2_AS(p))mf2_virtual_load((p), sizeof((p)->value),                                          \
                                 MF2_SITE(MF2_POINT_LOAD, MF2_RELAXED, #p)))
#define mf2_load_acquire(p)                                                                        \
    ((MF2_AS(p))mf2_virtual_load((p), sizeof((p)->value),                                          \
                                 MF2_SITE(MF2_POINT_LOAD, MF2_ACQUIRE, #p)))
#define mf2_store_relaxed(p, v)                                                                    \
    mf2_virtual_store((p), sizeof((p)->value), (v), MF2_SITE(MF2_POINT_STORE, MF2_RELAXED, #p))
#define mf2_store_release(p, v)                                                                    \
    mf2_virtual_store((p), sizeof((p)->value), (v), MF2_SITE(MF2_POINT_STORE, MF2_RELEASE, #p))
// A statement expression, so that the value may be left unused without a warning.
#define MF2_RMW(p, v, kind, order, text)                                                           \
    (__extension__({                                                                               \
        MF2_AS(p)                                                                                  \
        mf2_before_ =                                                                              \
            (MF2_AS(p))mf2_virtual_rmw((p), sizeof((p)->value), (v), MF2_SITE(kind, order, text)); \
        mf2_before_;                                                                               \
    }))
#define mf2_exchange_acq_rel(p, v)  MF2_RMW(p, v, MF2_POINT_EXCHANGE, MF2_ACQ_REL, #p)
#define mf2_fetch_add_relaxed(p, v) MF2_RMW(p, v, MF2_POINT_ADD, MF2_RELAXED, #p)
#define mf2_fetch_add_acq_rel(p, v) MF2_RMW(p, v, MF2_POINT_ADD, MF2_ACQ_REL, #p)
#define mf2_fetch_sub_relaxed(p, v) MF2_RMW(p, v, MF2_POINT_SUB, MF2_RELAXED, #p)
#define mf2_fetch_or_acq_rel(p, v)  MF2_RMW(p, v, MF2_POINT_OR, MF2_ACQ_REL, #p)
#define mf2_fetch_and_acq_rel(p, v) MF2_RMW(p, v, MF2_POINT_AND, MF2_ACQ_REL, #p)
#define mf2_cas_acq_rel(p, expected, v)                                                            \
    mf2_virtual_cas((p), sizeof((p)->value), (expected), (v),                                      \
                    MF2_SITE(MF2_POINT_CAS, MF2_ACQ_REL, #p))
#define mf2_fence_seq_cst() mf2_virtual_fence(MF2_SITE(MF2_POINT_FENCE, MF2_SEQ_CST, "fence"))

#define mf2_fence_all()                                                                            \
    mf2_virtual_fence_all(MF2_SITE(MF2_POINT_FENCE, MF2_SEQ_CST, "fence of all threads"))

#define MF2_PAGE_SHIFT(state)   ((state)->page_shift)
#define MF2_SHOWN(state, place) ((uint64_t)((uintptr_t)(place) - (uintptr_t)(state)))

#define mf2_plain_read(p)                                                                          \
    ((__typeof__(*(p)))mf2_virtual_load((p), sizeof(*(p)),                                         \
                                        MF2_SITE(MF2_POINT_PLAIN_READ, MF2_PLAIN, #p)))
#define mf2_plain_write(p, v)                                                                      \
    mf2_virtual_store((p), sizeof(*(p)), (v), MF2_SITE(MF2_POINT_PLAIN_WRITE, MF2_PLAIN, #p))

// No point: nothing is interleaved here. Races between what is said so are looked for.
void mf2_virtual_works_on(const void *place, const struct mf2_site *site);
#define mf2_works_on(p) mf2_virtual_works_on((p), MF2_SITE(MF2_POINT_PLAIN_WRITE, MF2_PLAIN, #p))

struct mf2_state *mf2_state(void);
static inline struct mf2_state *mf2_state_ensure(void) {
    return mf2_state();
}
struct MF2_ThreadPages *mf2_self(void);
struct MF2_ThreadPages *mf2_own(void);
void mf2_self_set(struct MF2_ThreadPages *thread);
void mf2_virtual_self_restore(struct MF2_ThreadPages *own, const struct mf2_site *site);
#define mf2_self_restore(own)                                                                      \
    mf2_virtual_self_restore(own, MF2_SITE(MF2_POINT_PLAIN_WRITE, MF2_PLAIN, #own))
// Between two points nobody else runs: what the fast path says could not be seen.
#define mf2_busy_begin_fast() ((void)0)
#define mf2_busy_end_fast()   ((void)0)
// A point where somebody could see it: on routes that watch.
void mf2_virtual_busy_begin(const struct mf2_site *site);
#define mf2_busy_begin() mf2_virtual_busy_begin(MF2_SITE(MF2_POINT_PLAIN_WRITE, MF2_PLAIN, "busy"))
void mf2_busy_end(void);
static inline bool mf2_seat_is_there(struct MF2_ThreadPages *thread) {
    (void)thread;
    return true;
}
void mf2_virtual_seat_watch(struct MF2_ThreadPages *thread, const struct mf2_site *site);
#define mf2_seat_watch(thread)                                                                     \
    mf2_virtual_seat_watch(thread, MF2_SITE(MF2_POINT_PLAIN_WRITE, MF2_PLAIN, #thread))
bool mf2_seat_busy(struct MF2_ThreadPages *thread);

// All metadata is memory from the start, for a copy of it is a snapshot.
static inline bool mf2_back(struct mf2_state *state, uint64_t offset, uint64_t bytes) {
    (void)state;
    (void)offset;
    (void)bytes;
    return true;
}

uint64_t mf2_virtual_clock_ns(const struct mf2_site *site);
bool mf2_virtual_commit(struct mf2_state *state, uint32_t page, uint32_t count,
                        const struct mf2_site *site);
void mf2_virtual_purge(struct mf2_state *state, uint64_t offset, uint64_t bytes,
                       const struct mf2_site *site);
void mf2_virtual_futex_wait(mf2_atomic_u32 *word, uint32_t expected, uint64_t timeout_ns,
                            const struct mf2_site *site);
void mf2_virtual_futex_wake(mf2_atomic_u32 *word, uint32_t count, const struct mf2_site *site);
void mf2_virtual_pause(const struct mf2_site *site);
bool mf2_virtual_helper_start(struct mf2_state *state, const struct mf2_site *site);
MF2_NORETURN void mf2_fail(const char *text, uint64_t value);

#define mf2_clock_ns() mf2_virtual_clock_ns(MF2_SITE(MF2_POINT_CLOCK, MF2_PLAIN, "clock"))
#define mf2_commit(state, page, count)                                                             \
    mf2_virtual_commit(state, page, count, MF2_SITE(MF2_POINT_COMMIT, MF2_PLAIN, "commit"))
#define mf2_purge(state, offset, bytes)                                                            \
    mf2_virtual_purge(state, offset, bytes, MF2_SITE(MF2_POINT_PURGE, MF2_PLAIN, "purge"))
#define mf2_futex_wait(word, expected, timeout_ns)                                                 \
    mf2_virtual_futex_wait(word, expected, timeout_ns,                                             \
                           MF2_SITE(MF2_POINT_FUTEX_WAIT, MF2_PLAIN, #word))
#define mf2_futex_wake(word, count)                                                                \
    mf2_virtual_futex_wake(word, count, MF2_SITE(MF2_POINT_FUTEX_WAKE, MF2_PLAIN, #word))
#define mf2_pause() mf2_virtual_pause(MF2_SITE(MF2_POINT_PAUSE, MF2_PLAIN, "pause"))
#define mf2_helper_start(state)                                                                    \
    mf2_virtual_helper_start(state, MF2_SITE(MF2_POINT_HELPER_START, MF2_PLAIN, "helper"))

#endif
