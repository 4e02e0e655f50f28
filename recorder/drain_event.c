// drain_event.c: what a record means in the trace.
//
// Owns: object numbers, thread numbers, and the pairs of realloc. Records arrive in their final
// order (drain_merge.c).
//
// What the program did cannot always be seen whole (blocks from before the recording, calls past
// the preloaded library), but a trace must be sound: a free of what is not known becomes
// FREE_UNKNOWN, a block that reappears at a live address was freed unseen and gets a FREE of its
// own before it. Both are counted.
#include "drainer.h"

#include <stdlib.h>
#include <string.h>

static struct drain_thread *thread_of(struct drain_session *session, uint32_t raw) {
    if (raw >= session->thread_capacity) {
        uint32_t capacity = raw < 64 ? 128 : 2 * raw;
        struct drain_thread *threads = realloc(session->threads, capacity * sizeof *threads);
        if (threads == NULL)
            return NULL;
        memset(threads + session->thread_capacity, 0,
               (capacity - session->thread_capacity) * sizeof *threads);
        session->threads = threads;
        session->thread_capacity = capacity;
    }
    struct drain_thread *thread = &session->threads[raw];
    if (thread->number_plus_one == 0)
        thread->number_plus_one = ++session->thread_numbers;
    return thread;
}

static void emit(struct drain_session *session, struct trace_event *event) {
    struct trace_error error;
    if (!session->failed && trace_writer_event(session->writer, event, &error) != 0)
        drain_session_fail(session, error.text);
    if (session->failed)
        session->counts.lost++;
}

void drain_side(struct drain_session *session, struct trace_side *side) {
    struct trace_writer_totals totals;
    struct trace_error error;
    if (session->failed)
        return;
    trace_writer_totals(session->writer, &totals);
    side->event = totals.events;
    if (trace_writer_side(session->writer, side, &error) != 0)
        drain_session_fail(session, error.text);
}

// ---------------------------------------------------------------- objects

static void emit_creation(struct drain_session *session, struct trace_event *event) {
    emit(session, event);
    if (!session->failed && !address_map_add(&session->objects, event->address, event->object))
        drain_session_fail(session, "out of memory");
}

// A live block at this address was freed unseen. Between a release and its acquire the thread may
// not have another event: the old object then just stays.
static void forget_unseen(struct drain_session *session, const struct trace_event *creation,
                          bool may_emit) {
    uint64_t object;
    if (!address_map_remove(&session->objects, creation->address, &object))
        return;
    session->counts.unseen_frees++;
    struct trace_event event = {.op = TRACE_FREE,
                                .thread = creation->thread,
                                .time_ticks = creation->time_ticks,
                                .object = object};
    if (may_emit)
        emit(session, &event);
}

static void on_creation(struct drain_session *session, const struct ring_record *record,
                        uint32_t node, struct trace_event *event) {
    event->address = record->address;
    event->size = record->size;
    event->align_log2 = record->align_log2;
    event->stack = node;
    forget_unseen(session, event, true);
    emit_creation(session, event);
}

static void on_free(struct drain_session *session, const struct ring_record *record,
                    struct trace_event *event) {
    if (!address_map_remove(&session->objects, record->address, &event->object)) {
        event->op = TRACE_FREE_UNKNOWN;
        session->counts.unknown_frees++;
    }
    emit(session, event);
}

static void on_usable(struct drain_session *session, const struct ring_record *record,
                      struct trace_event *event) {
    event->value = record->size;
    if (address_map_find(&session->objects, record->address, &event->object))
        emit(session, event);
    else
        session->counts.unknown_usable++;
}

// Of a block that is not known, nobody wants to know.
static void on_resident(struct drain_session *session, const struct ring_record *record) {
    struct trace_side side = {
        .kind = TRACE_SIDE_RESIDENT,
        .values = {[TRACE_RESIDENT_PAGES] = record->size, [TRACE_RESIDENT_FOUND] = record->stack}};
    if (address_map_find(&session->objects, record->address, &side.values[TRACE_RESIDENT_OBJECT]))
        drain_side(session, &side);
}

static void on_map(struct drain_session *session, const struct ring_record *record, uint32_t node,
                   const struct trace_event *event) {
    struct trace_side side = {.kind = TRACE_SIDE_MAPS,
                              .values = {[TRACE_MAPS_TIME] = event->time_ticks,
                                         [TRACE_MAPS_THREAD] = event->thread,
                                         [TRACE_MAPS_OP] = record->op - RING_OP_MAP + TRACE_MAP,
                                         [TRACE_MAPS_ADDRESS] = record->address,
                                         [TRACE_MAPS_BYTES] = record->size,
                                         [TRACE_MAPS_PROTECTION] = (uint32_t)record->stack,
                                         [TRACE_MAPS_FLAGS] = record->stack >> 32,
                                         [TRACE_MAPS_STACK] = node}};
    drain_side(session, &side);
}

static void on_alloc_fail(struct drain_session *session, const struct ring_record *record,
                          uint32_t node, struct trace_event *event) {
    event->value = record->address;
    event->size = record->size;
    event->align_log2 = record->align_log2;
    event->stack = node;
    emit(session, event);
}

// ---------------------------------------------------------------- realloc

static void on_release(struct drain_session *session, struct drain_thread *thread,
                       const struct ring_record *record, uint32_t node, struct trace_event *event) {
    thread->release = *record;
    thread->release_node = node;
    thread->in_realloc = true;
    thread->released_unknown =
        !address_map_remove(&session->objects, record->address, &thread->released_object);
    if (thread->released_unknown) {
        session->counts.unknown_frees++;
        return; // its end says what it was
    }
    event->object = thread->released_object;
    event->size = record->size;
    event->stack = node;
    emit(session, event);
}

static void on_acquire(struct drain_session *session, struct drain_thread *thread,
                       const struct ring_record *record, struct trace_event *event) {
    event->address = record->address;
    if (thread->released_unknown) {
        event->op = TRACE_MALLOC;
        event->size = record->size;
        event->stack = thread->release_node;
    }
    forget_unseen(session, event, thread->released_unknown);
    emit_creation(session, event);
}

static void on_realloc_fail(struct drain_session *session, struct drain_thread *thread,
                            const struct ring_record *record, struct trace_event *event) {
    if (thread->released_unknown) {
        event->op = TRACE_ALLOC_FAIL;
        event->value = record->size;
        event->size = thread->release.size;
        event->stack = thread->release_node;
        emit(session, event);
        return;
    }
    event->entry = 0;
    emit(session, event);
    if (!session->failed &&
        !address_map_add(&session->objects, thread->release.address, thread->released_object))
        drain_session_fail(session, "out of memory");
}

// realloc(p, 0) that turned out to free: the release is taken back, and a free follows.
static void on_realloc_freed(struct drain_session *session, struct drain_thread *thread,
                             const struct ring_record *record, struct trace_event *event) {
    struct trace_event freed = *event;
    if (!thread->released_unknown) {
        event->op = TRACE_REALLOC_FAIL;
        event->entry = 0;
        emit(session, event);
    }
    freed.op = thread->released_unknown ? TRACE_FREE_UNKNOWN : TRACE_FREE;
    freed.object = thread->released_unknown ? 0 : thread->released_object;
    freed.entry = record->entry;
    emit(session, &freed);
}

static void write_deferred(struct drain_session *session, uint32_t raw) {
    // The writing may make the table of threads move, and nothing else be deferred.
    struct drain_record *deferred = session->threads[raw].deferred;
    uint32_t count = session->threads[raw].deferred_count;
    session->threads[raw].deferred = NULL;
    session->threads[raw].deferred_count = session->threads[raw].deferred_capacity = 0;
    for (uint32_t i = 0; i < count; i++)
        drain_event(session, raw, &deferred[i].record, deferred[i].node, deferred[i].time_ticks);
    free(deferred);
}

static void on_realloc_end(struct drain_session *session, uint32_t raw,
                           const struct ring_record *record, struct trace_event *event) {
    struct drain_thread *thread = &session->threads[raw];
    if (!thread->in_realloc)
        return; // its release was lost, and is counted there
    if (record->op == TRACE_REALLOC_ACQUIRE)
        on_acquire(session, thread, record, event);
    else if (record->op == TRACE_REALLOC_FAIL)
        on_realloc_fail(session, thread, record, event);
    else
        on_realloc_freed(session, thread, record, event);
    thread->in_realloc = false;
    write_deferred(session, raw);
}

// ---------------------------------------------------------------- threads

static void on_peer(struct drain_session *session, const struct ring_record *record,
                    struct trace_event *event) {
    struct drain_thread *peer = thread_of(session, (uint32_t)record->address);
    if (peer == NULL)
        return;
    event->peer = peer->number_plus_one - 1;
    emit(session, event);
}

// The child's number means nothing to us where the program counts processes by itself.
static void on_fork(struct drain_session *session, const struct ring_record *record,
                    struct trace_event *event) {
    if (session->shares_pid_namespace)
        session->forked.pids[session->forked.count++ % DRAIN_FORKED_MAX] = (pid_t)record->size;
    event->value = record->size;
    emit(session, event);
}

// ---------------------------------------------------------------- all

static bool ends_realloc(const struct ring_record *record) {
    return record->op == TRACE_REALLOC_ACQUIRE || record->op == TRACE_REALLOC_FAIL ||
           record->op == RING_OP_REALLOC_FREED;
}

static void defer(struct drain_session *session, struct drain_thread *thread,
                  const struct ring_record *record, uint32_t node, uint64_t time_ticks) {
    if (thread->deferred_count == thread->deferred_capacity) {
        uint32_t capacity = thread->deferred_capacity == 0 ? 16 : 2 * thread->deferred_capacity;
        struct drain_record *deferred =
            realloc(thread->deferred, capacity * sizeof *thread->deferred);
        if (deferred == NULL) {
            session->counts.lost++;
            return;
        }
        thread->deferred = deferred;
        thread->deferred_capacity = capacity;
    }
    thread->deferred[thread->deferred_count++] = (struct drain_record){*record, time_ticks, node};
    session->counts.deferred++;
}

void drain_event(struct drain_session *session, uint32_t raw, const struct ring_record *record,
                 uint32_t node, uint64_t time_ticks) {
    struct drain_thread *thread = thread_of(session, raw);
    if (thread == NULL) {
        drain_session_fail(session, "out of memory");
        return;
    }
    if (thread->in_realloc && !ends_realloc(record) && record->op != TRACE_LOST) {
        defer(session, thread, record, node, time_ticks);
        return;
    }
    struct trace_event event = {.op = record->op,
                                .entry = record->entry,
                                .thread = thread->number_plus_one - 1,
                                .time_ticks = time_ticks};
    switch (record->op) {
    case TRACE_MALLOC:
    case TRACE_CALLOC:
    case TRACE_ALIGNED:
        on_creation(session, record, node, &event);
        break;
    case TRACE_FREE:
        on_free(session, record, &event);
        break;
    case TRACE_REALLOC_RELEASE:
        on_release(session, thread, record, node, &event);
        break;
    case TRACE_REALLOC_ACQUIRE:
    case TRACE_REALLOC_FAIL:
    case RING_OP_REALLOC_FREED:
        on_realloc_end(session, raw, record, &event);
        break;
    case TRACE_ALLOC_FAIL:
        on_alloc_fail(session, record, node, &event);
        break;
    case TRACE_USABLE:
        on_usable(session, record, &event);
        break;
    case RING_OP_RESIDENT:
        on_resident(session, record);
        break;
    case RING_OP_MAP:
    case RING_OP_UNMAP:
    case RING_OP_MAP_MOVE_FROM:
    case RING_OP_MAP_MOVE_TO:
    case RING_OP_MAP_KEPT:
        on_map(session, record, node, &event);
        break;
    case TRACE_THREAD_CREATE:
    case TRACE_THREAD_JOIN:
        on_peer(session, record, &event);
        break;
    case TRACE_LOST:
        session->counts.lost += record->size;
        event.value = record->size;
        emit(session, &event);
        break;
    case TRACE_FORK:
        on_fork(session, record, &event);
        break;
    default: // FREE_NULL, THREAD_START, THREAD_EXIT
        event.value = record->size;
        emit(session, &event);
    }
}

void drain_event_finish(struct drain_session *session) {
    for (uint32_t raw = 0; raw < session->thread_capacity; raw++) {
        session->counts.lost += session->threads[raw].deferred_count;
        free(session->threads[raw].deferred);
    }
}

bool drain_event_is_early(const struct drain_session *session, const struct ring_record *record,
                          bool *wants_creation) {
    uint64_t object;
    switch (record->op) {
    case TRACE_MALLOC:
    case TRACE_CALLOC:
    case TRACE_ALIGNED:
    case TRACE_REALLOC_ACQUIRE:
        *wants_creation = false;
        return address_map_find(&session->objects, record->address, &object);
    case TRACE_FREE:
    case TRACE_REALLOC_RELEASE:
    case TRACE_USABLE:
        *wants_creation = true;
        return !address_map_find(&session->objects, record->address, &object);
    default:
        return false;
    }
}
