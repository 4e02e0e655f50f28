// drain_merge.c: many rings, one order.
//
// Owns: a pass: which records are taken and in which order. Does not own: what they mean
// (drain_event.c).
//
// Sealing. A pass reads the clock (T) before it reads any ring's head, moves every record into the
// spool (drain_spool.c), then takes those with a stamp up to T, in the order of stamps. A record
// that was unpublished when its ring was read may still have a stamp below T; it is late, comes
// first in the next pass, and gets the time of what was written last. That order is legal: a thread
// publishes before it lets its call take effect, so an unpublished event cannot have caused a
// published one. Taking T after the heads would not do.
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
    TAKEN_MAX = 4096,         // by a pass, after which the rings are looked at again
    AHEAD_RECORDS = 12,       // the time that it takes to fetch a slot of a large table
};

static struct ring_control *controls(const struct drain_session *session) {
    return (struct ring_control *)((char *)session->ring + session->ring->controls_offset);
}

static const struct ring_record *records_of(const struct drain_session *session, uint32_t index) {
    return (const struct ring_record *)((char *)session->ring + session->ring->records_offset) +
           ring_records_before(index);
}

static const struct ring_record *record_at(const struct drain_session *session,
                                           const struct drain_cursor *cursor, uint64_t position) {
    return drain_spool_slot(&session->spool, cursor->queue, position);
}

// Gives the slots below back: whoever sees the new tail may write there. Sequentially consistent,
// both: the owner says that it waits and then looks at the tail.
static void tail_publish(struct ring_control *ring, uint64_t tail) {
    atomic_store(&ring->tail, tail);
    if (atomic_load(&ring->waiting) == 0)
        return;
    atomic_store(&ring->waiting, 0);
    atomic_fetch_add(&ring->wake, 1);
    syscall(SYS_futex, &ring->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
}

// ---------------------------------------------------------------- the heap

static uint64_t heap_key(const struct drain_session *session, uint32_t heap_index) {
    const struct drain_cursor *cursor = &session->cursors[session->heap[heap_index]];
    return record_at(session, cursor, cursor->position)->stamp;
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

// Has what the cursor's coming records need fetched meanwhile.
static void expect(struct drain_session *session, const struct drain_cursor *cursor,
                   uint32_t ring) {
    if (cursor->position + AHEAD_RECORDS < cursor->end)
        address_map_expect(&session->objects,
                           record_at(session, cursor, cursor->position + AHEAD_RECORDS)->address);
    if (cursor->position + 1 < cursor->end)
        drain_stack_expect(session, ring, record_at(session, cursor, cursor->position + 1));
}

// Whose record the cursor's next is.
static uint32_t thread_of(const struct drain_cursor *cursor) {
    struct drain_queue *queue = cursor->queue;
    while (queue->owner_count > 1 &&
           queue->owners[queue->owner_first + 1].begin <= cursor->position) {
        queue->owner_first++;
        queue->owner_count--;
    }
    return queue->owners[queue->owner_first].thread;
}

static void take(struct drain_session *session, struct drain_cursor *cursor) {
    const struct ring_record *record = record_at(session, cursor, cursor->position);
    uint32_t ring = (uint32_t)(cursor->ring - controls(session));
    uint32_t node = drain_stack_follow(session, ring, record);
    expect(session, cursor, ring);
    if (record->stamp < session->sealed_stamp)
        session->counts.late++;
    if (record->op != RING_OP_STACK && record->op != RING_OP_STACK_SPELLED)
        drain_event(session, thread_of(cursor), record, node,
                    time_ticks_of(session, record->stamp));
    cursor->position++;
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
static uint64_t position_of(const struct drain_session *session, const struct drain_cursor *cursor,
                            uint64_t address, bool wants_creation, uint64_t stamp_max) {
    for (uint64_t i = cursor->position; i < cursor->end; i++) {
        const struct ring_record *record = record_at(session, cursor, i);
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
        uint64_t found = position_of(session, cursor, early->address, wants_creation, stamp_max);
        if (found == cursor->end)
            continue;
        if (record_at(session, cursor, found)->stamp == early->stamp)
            session->counts.ties++;
        else
            count_skew(session, record_at(session, cursor, found)->stamp - early->stamp);
        while (cursor->position <= found)
            take(session, cursor);
        return true;
    }
    return false;
}

static void take_first(struct drain_session *session) {
    struct drain_cursor *cursor = &session->cursors[session->heap[0]];
    const struct ring_record *record = record_at(session, cursor, cursor->position);
    if (record->stamp > session->sealed_stamp)
        session->sealed_stamp = record->stamp;
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

// Moves a ring's records into the spool. Returns the stamp of the first that found no room,
// UINT64_MAX if all did.
static uint64_t ring_collect(struct drain_session *session, uint32_t index) {
    struct ring_control *ring = &controls(session)[index];
    struct drain_queue *queue = &session->queues[index];
    // Acquire pairs with the owner's publishing store: the records below head are whole.
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (head != queue->end && !drain_spool_owner(queue, queue->end, ring->thread))
        drain_session_fail(session, "out of memory");
    if (drain_spool_put(&session->spool, queue, records_of(session, index), ring_records(index),
                        head) > 0)
        tail_publish(ring, queue->end);
    if (queue->end == head)
        return UINT64_MAX;
    return records_of(session, index)[queue->end % ring_records(index)].stamp;
}

// Of all rings; makes the cursors. Returns up to which stamp nothing is missing.
static uint64_t cursors_collect(struct drain_session *session) {
    uint64_t missing = UINT64_MAX;
    session->cursor_count = 0;
    uint32_t high = atomic_load_explicit(&session->ring->ring_high, memory_order_acquire);
    session->spool.reserved = high;
    for (uint32_t i = 0; i < high && i < RING_COUNT_MAX; i++) {
        if (is_in_use(&controls(session)[i])) {
            uint64_t stamp = ring_collect(session, i);
            missing = stamp < missing ? stamp : missing;
        }
        struct drain_queue *queue = &session->queues[i];
        if (queue->begin != queue->end)
            session->cursors[session->cursor_count++] =
                (struct drain_cursor){&controls(session)[i], queue, queue->begin, queue->end};
    }
    session->spool.full += missing != UINT64_MAX;
    return missing;
}

static void cursors_close(struct drain_session *session) {
    for (uint32_t i = 0; i < session->cursor_count; i++)
        drain_spool_drop(&session->spool, session->cursors[i].queue, session->cursors[i].position);
}

static uint64_t pass(struct drain_session *session, bool last) {
    uint64_t seal = last ? UINT64_MAX : stamp_now(session->clock->clock);
    uint64_t missing = cursors_collect(session), taken = 0;
    seal = missing < seal ? missing : seal;
    heap_build(session);
    while (session->heap_count > 0 && heap_key(session, 0) <= seal && taken < TAKEN_MAX) {
        take_first(session);
        taken++;
    }
    session->has_backlog =
        missing != UINT64_MAX || (session->heap_count > 0 && heap_key(session, 0) <= seal);
    if (!session->has_backlog)
        session->sealed_stamp = seal;
    cursors_close(session);
    session->counts.passes++;
    return taken;
}

uint64_t drain_merge_pass(struct drain_session *session, bool last) {
    uint64_t taken = pass(session, last);
    while (last && session->has_backlog)
        taken += pass(session, last);
    return taken;
}

// ---------------------------------------------------------------- rings of threads that are gone

static bool is_gone(const struct drain_session *session, const struct ring_control *ring) {
    return syscall(SYS_tgkill, session->pid, ring->tid, 0) != 0 && errno == ESRCH;
}

static bool is_collected(const struct drain_session *session, uint32_t index) {
    return atomic_load_explicit(&controls(session)[index].head, memory_order_acquire) ==
           session->queues[index].end;
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
        if (candidate && is_collected(session, i) && is_gone(session, ring) &&
            is_collected(session, i))
            atomic_store_explicit(&ring->state, RING_FREE, memory_order_release);
    }
}
