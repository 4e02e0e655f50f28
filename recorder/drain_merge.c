// drain_merge.c: many rings, one order.
//
// Owns: a pass: which records are taken and in which order. Does not own: what they mean
// (drain_event.c).
//
// Sealing. A pass reads the clock (T) before it reads any ring's head, then takes every record
// with a stamp up to T, in the order of stamps. A record that was unpublished when its ring was
// read may still have a stamp below T; it is late, comes first in the next pass, and gets the
// time of what was written last. That order is legal: a thread publishes before it lets its call
// take effect, so an unpublished event cannot have caused a published one. Taking T after the
// heads would not do.
//
// Repair. Equal stamps, or clocks of two processors slightly apart, can put a free before its
// allocation or an allocation before the free that made room. Such a record first pulls forward
// the one that it needs, if that follows within a few microseconds. Counted: ties and skewed.
#include "drainer.h"

#include <linux/futex.h>
#include <signal.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stamp.h"

enum {
    REPAIR_RECORDS_MAX = 256, // and how many of its ring's records are looked at
    TAIL_STEP_RECORDS = 1024, // room is given back at least this often
};

static struct ring_control *controls(const struct drain_session *session) {
    return (struct ring_control *)((char *)session->ring + session->ring->controls_offset);
}

static const struct ring_record *records_of(const struct drain_session *session, uint32_t index) {
    return (const struct ring_record *)((char *)session->ring + session->ring->records_offset) +
           (uint64_t)index * RING_RECORDS;
}

static const struct ring_record *record_at(const struct drain_cursor *cursor, uint64_t position) {
    return &cursor->records[position & (RING_RECORDS - 1)];
}

// Gives the slots below the cursor back. Release: whoever sees the new tail may write there.
static void tail_publish(const struct drain_cursor *cursor) {
    struct ring_control *ring = cursor->ring;
    atomic_store_explicit(&ring->tail, cursor->position, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); // against the owner's waiting-then-tail
    if (atomic_load_explicit(&ring->waiting, memory_order_relaxed) == 0)
        return;
    atomic_store(&ring->waiting, 0);
    atomic_fetch_add(&ring->wake, 1);
    syscall(SYS_futex, &ring->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
}

// ---------------------------------------------------------------- the heap

static uint64_t heap_key(const struct drain_session *session, uint32_t heap_index) {
    const struct drain_cursor *cursor = &session->cursors[session->heap[heap_index]];
    return record_at(cursor, cursor->position)->stamp;
}

static void heap_sink(struct drain_session *session, uint32_t i) {
    for (;;) {
        uint32_t least = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < session->heap_count; child++)
            if (heap_key(session, child) < heap_key(session, least))
                least = child;
        if (least == i)
            return;
        uint32_t cursor = session->heap[i];
        session->heap[i] = session->heap[least];
        session->heap[least] = cursor;
        i = least;
    }
}

static void heap_build(struct drain_session *session) {
    session->heap_count = 0;
    for (uint32_t i = 0; i < session->cursor_count; i++)
        if (session->cursors[i].position < session->cursors[i].end)
            session->heap[session->heap_count++] = i;
    for (uint32_t i = session->heap_count / 2; i-- > 0;)
        heap_sink(session, i);
}

static void heap_drop_first(struct drain_session *session) {
    session->heap[0] = session->heap[--session->heap_count];
    heap_sink(session, 0);
}

// ---------------------------------------------------------------- taking records

// In program order always; in time never back.
static uint64_t time_ticks_of(struct drain_session *session, uint64_t stamp) {
    if (stamp > session->time_stamp)
        session->time_stamp = stamp;
    unsigned __int128 ticks =
        (unsigned __int128)(session->time_stamp - session->base_stamp) * session->ticks_per_stamp;
    return (uint64_t)(ticks >> 48);
}

static void take(struct drain_session *session, struct drain_cursor *cursor) {
    const struct ring_record *record = record_at(cursor, cursor->position);
    uint32_t ring = (uint32_t)(cursor->ring - controls(session));
    uint32_t node = drain_stack_follow(session, ring, record);
    if (record->stamp < session->sealed_stamp)
        session->counts.late++;
    if (record->op != RING_OP_STACK && record->op != RING_OP_STACK_SPELLED)
        drain_event(session, cursor->ring->thread, record, node,
                    time_ticks_of(session, record->stamp));
    cursor->position++;
    if (cursor->position % TAIL_STEP_RECORDS == 0)
        tail_publish(cursor);
}

static bool is_wanted(const struct ring_record *record, uint64_t address, bool wants_creation) {
    if (record->address != address)
        return false;
    switch (record->op) {
    case TRACE_MALLOC:
    case TRACE_CALLOC:
    case TRACE_ALIGNED:
    case TRACE_REALLOC_ACQUIRE:
        return wants_creation;
    case TRACE_FREE:
    case TRACE_REALLOC_RELEASE:
        return !wants_creation;
    default:
        return false;
    }
}

// Where in this cursor's near future the wanted record stands; its end if nowhere.
static uint64_t position_of(const struct drain_cursor *cursor, uint64_t address,
                            bool wants_creation, uint64_t stamp_max) {
    for (uint64_t i = cursor->position; i < cursor->end; i++) {
        const struct ring_record *record = record_at(cursor, i);
        if (record->stamp > stamp_max || i - cursor->position == REPAIR_RECORDS_MAX)
            break;
        if (is_wanted(record, address, wants_creation))
            return i;
    }
    return cursor->end;
}

static void count_skew(struct drain_session *session, uint64_t stamps) {
    session->counts.skewed++;
    if (stamps > session->counts.skew_stamps_max)
        session->counts.skew_stamps_max = stamps;
}

// Takes, before `early`, what it needs. True: the cursors have moved.
static bool repair(struct drain_session *session, const struct drain_cursor *own,
                   const struct ring_record *early, bool wants_creation) {
    uint64_t stamp_max =
        early->stamp + (uint64_t)(DRAIN_REPAIR_NS_MAX / session->clock->ns_per_stamp);
    for (uint32_t i = 0; i < session->cursor_count; i++) {
        struct drain_cursor *cursor = &session->cursors[i];
        if (cursor == own)
            continue;
        uint64_t found = position_of(cursor, early->address, wants_creation, stamp_max);
        if (found == cursor->end)
            continue;
        if (record_at(cursor, found)->stamp == early->stamp)
            session->counts.ties++;
        else
            count_skew(session, record_at(cursor, found)->stamp - early->stamp);
        while (cursor->position <= found)
            take(session, cursor);
        return true;
    }
    return false;
}

static void take_first(struct drain_session *session) {
    struct drain_cursor *cursor = &session->cursors[session->heap[0]];
    const struct ring_record *record = record_at(cursor, cursor->position);
    bool wants_creation;
    bool moved = drain_event_is_early(session, record, &wants_creation) &&
                 repair(session, cursor, record, wants_creation);
    take(session, cursor);
    if (moved)
        heap_build(session);
    else if (cursor->position < cursor->end)
        heap_sink(session, 0);
    else
        heap_drop_first(session);
}

// ---------------------------------------------------------------- a pass

static bool is_in_use(const struct ring_control *ring) {
    uint32_t state = atomic_load_explicit(&ring->state, memory_order_acquire);
    return state == RING_LIVE || state == RING_EXITING;
}

static void cursors_read(struct drain_session *session) {
    session->cursor_count = 0;
    uint32_t high = atomic_load_explicit(&session->ring->ring_high, memory_order_acquire);
    for (uint32_t i = 0; i < high && i < RING_COUNT_MAX; i++) {
        struct ring_control *ring = &controls(session)[i];
        if (!is_in_use(ring))
            continue;
        // Acquire pairs with the owner's publishing store: the records below head are whole.
        uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (head != session->tails[i])
            session->cursors[session->cursor_count++] =
                (struct drain_cursor){ring, records_of(session, i), session->tails[i], head};
    }
}

static void cursors_close(struct drain_session *session) {
    for (uint32_t i = 0; i < session->cursor_count; i++) {
        const struct drain_cursor *cursor = &session->cursors[i];
        session->tails[cursor->ring - controls(session)] = cursor->position;
        tail_publish(cursor);
    }
}

uint64_t drain_merge_pass(struct drain_session *session, bool last) {
    uint64_t seal = last ? UINT64_MAX : stamp_now(session->clock->clock);
    uint64_t taken = 0;
    cursors_read(session);
    heap_build(session);
    while (session->heap_count > 0) {
        if (heap_key(session, 0) > seal)
            break;
        take_first(session);
        taken++;
    }
    cursors_close(session);
    session->sealed_stamp = seal;
    session->counts.passes++;
    return taken;
}

// ---------------------------------------------------------------- rings of threads that are gone

static bool is_gone(const struct drain_session *session, const struct ring_control *ring) {
    return syscall(SYS_tgkill, session->pid, ring->tid, 0) != 0 && errno == ESRCH;
}

void drain_merge_recycle(struct drain_session *session, bool all) {
    if (!session->shares_pid_namespace)
        return; // its thread ids mean nothing here
    uint32_t high = atomic_load_explicit(&session->ring->ring_high, memory_order_acquire);
    for (uint32_t i = 0; i < high && i < RING_COUNT_MAX; i++) {
        struct ring_control *ring = &controls(session)[i];
        uint32_t state = atomic_load_explicit(&ring->state, memory_order_acquire);
        bool candidate = state == RING_EXITING || (all && state == RING_LIVE);
        // Looked at again after the thread is known to be gone: then its head stands still.
        if (candidate && is_gone(session, ring) &&
            atomic_load_explicit(&ring->head, memory_order_acquire) == session->tails[i])
            atomic_store_explicit(&ring->state, RING_FREE, memory_order_release);
    }
}
