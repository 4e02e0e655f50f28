// trace_check.c: whether a trace keeps the order rules of FORMAT.md §3, and what it adds up to.
//
// Owns: the tables of addresses and of threads while one trace is read (live objects:
// trace_live.c). Does not know the file: it sees events through the reader. Memory follows the live
// objects (32 bytes each, at most three quarters of the table full), the threads and the stack
// nodes.
#include "trace_live.h"
#include "trace_ranges.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BATCH_EVENTS = 1024,
    PREFETCH_EVENTS = 16,
    THREADS_PER_BLOCK = 1 << 12,
    THREAD_BLOCKS = TRACE_THREADS_MAX / THREADS_PER_BLOCK
};

// The end of a block's bytes. A block of size 0 still has an address of its own.
static uint64_t end_of(uint64_t address, uint64_t size) {
    uint64_t end = address + (size ? size : 1);
    return end < address ? UINT64_MAX : end;
}

// ---------------------------------------------------------------- the check

struct thread_state {
    bool mentioned, seen, created, joined;
    bool pending;       // between REALLOC_RELEASE and its ACQUIRE or FAIL
    bool interrupted;   // pending, and an event of its own has come between
    bool released_live; // the object released was live
    uint64_t size;      // asked for by the release
    struct live_object released;
};

struct check {
    struct trace_check_result *result;
    struct live_table live;
    struct trace_ranges addresses; // of live blocks whose `address` is not 0
    struct thread_state *threads[THREAD_BLOCKS];
    uint32_t thread_count;
    uint64_t *stacks_used; // one bit a node
    size_t stack_words;
    bool out_of_memory;
};

static void anomaly(struct check *check, const struct trace_event *event, uint64_t *count,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
static void anomaly(struct check *check, const struct trace_event *event, uint64_t *count,
                    const char *format, ...) {
    struct trace_anomalies *anomalies = &check->result->anomalies;
    ++*count;
    if (anomalies->total++ > 0)
        return;
    anomalies->first_event = event->number;
    int length = snprintf(anomalies->first_text, sizeof anomalies->first_text,
                          "event %llu, %s by thread %u: ", (unsigned long long)event->number,
                          trace_op_table[event->op].name, event->thread);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(anomalies->first_text + length, sizeof anomalies->first_text - (size_t)length, format,
              arguments);
    va_end(arguments);
}

// ---------------------------------------------------------------- blocks

static void note_peaks(struct trace_check_result *result) {
    if (result->live_objects > result->peak_live_objects)
        result->peak_live_objects = result->live_objects;
    if (result->live_bytes > result->peak_live_bytes)
        result->peak_live_bytes = result->live_bytes;
}

static void occupy_address(struct check *check, const struct trace_event *event,
                           struct live_object *live) {
    switch (trace_ranges_add(&check->addresses, live->address, end_of(live->address, live->size))) {
    case TRACE_RANGES_ADDED:
        break;
    case TRACE_RANGES_NO_MEMORY:
        check->out_of_memory = true;
        break;
    case TRACE_RANGES_OVERLAP:
        anomaly(check, event, &check->result->anomalies.address_overlap,
                "its block at 0x%llx overlaps one that is live", (unsigned long long)live->address);
        live->address = 0;
    }
}

static void begin_life(struct check *check, const struct trace_event *event,
                       struct live_object live) {
    struct trace_check_result *result = check->result;
    if (live.address)
        occupy_address(check, event, &live);
    if (!trace_live_add(&check->live, &live))
        check->out_of_memory = true;
    result->live_objects++;
    result->live_bytes += live.size;
    note_peaks(result);
}

// Ends an object's life and copies what it was; false if it was not live.
static bool end_life(struct check *check, const struct trace_event *event,
                     struct live_object *ended) {
    struct trace_check_result *result = check->result;
    struct live_object *live = trace_live_find(&check->live, event->object);
    if (!live) {
        anomaly(check, event, &result->anomalies.dead_reference, "object %llu is not live",
                (unsigned long long)event->object);
        return false;
    }
    *ended = *live;
    if (live->address)
        trace_ranges_remove(&check->addresses, live->address);
    result->cross_thread_frees += live->creator != event->thread;
    result->live_objects--;
    result->live_bytes -= live->size;
    trace_live_remove(&check->live, live);
    return true;
}

static void check_usable(struct check *check, const struct trace_event *event) {
    if (!trace_live_find(&check->live, event->object))
        anomaly(check, event, &check->result->anomalies.dead_reference, "object %llu is not live",
                (unsigned long long)event->object);
}

// ---------------------------------------------------------------- realloc

static void check_release(struct check *check, const struct trace_event *event,
                          struct thread_state *thread) {
    thread->pending = true;
    thread->interrupted = false;
    thread->size = event->size;
    thread->released_live = end_life(check, event, &thread->released);
}

static void check_acquire(struct check *check, const struct trace_event *event,
                          struct thread_state *thread) {
    if (!thread->pending)
        anomaly(check, event, &check->result->anomalies.realloc_unpaired, "no realloc has begun");
    begin_life(check, event,
               (struct live_object){.key = event->object + 1,
                                    .size = thread->pending ? thread->size : 0,
                                    .address = event->address,
                                    .creator = event->thread});
    thread->pending = false;
}

static void check_fail(struct check *check, const struct trace_event *event,
                       struct thread_state *thread) {
    if (!thread->pending)
        anomaly(check, event, &check->result->anomalies.realloc_unpaired, "no realloc has begun");
    else if (thread->released_live)
        begin_life(check, event, thread->released);
    thread->pending = false;
}

// Any event of a thread whose realloc has begun and not ended.
static void check_pending(struct check *check, const struct trace_event *event,
                          struct thread_state *thread) {
    if (event->op == TRACE_REALLOC_ACQUIRE || event->op == TRACE_REALLOC_FAIL)
        return;
    if (!thread->interrupted && event->op != TRACE_LOST)
        anomaly(check, event, &check->result->anomalies.realloc_unpaired,
                "its realloc has not returned");
    thread->interrupted = true; // of what was lost, the end of the realloc may be a part
}

// ---------------------------------------------------------------- threads

// NULL when memory is out.
static struct thread_state *mention_thread(struct check *check, const struct trace_event *event,
                                           uint32_t number) {
    struct thread_state **block = &check->threads[number / THREADS_PER_BLOCK];
    if (!*block)
        *block = calloc(THREADS_PER_BLOCK, sizeof **block);
    if (!*block) {
        check->out_of_memory = true;
        return NULL;
    }
    struct thread_state *thread = &(*block)[number % THREADS_PER_BLOCK];
    if (!thread->mentioned && number != check->thread_count++)
        anomaly(check, event, &check->result->anomalies.thread_order,
                "thread %u is mentioned first where %u was expected", number,
                check->thread_count - 1);
    thread->mentioned = true;
    return thread;
}

static void check_thread(struct check *check, const struct trace_event *event,
                         struct thread_state *thread) {
    struct trace_anomalies *anomalies = &check->result->anomalies;
    if (thread->joined)
        anomaly(check, event, &anomalies->thread_after_exit,
                "the thread has ended and been joined");
    if (thread->seen && event->op == TRACE_THREAD_START)
        anomaly(check, event, &anomalies->thread_before_start, "the thread has had events before");
    if (!thread->seen && thread->created && event->op != TRACE_THREAD_START)
        anomaly(check, event, &anomalies->thread_before_start, "the thread has not started");
    thread->seen = true;
}

static void check_create(struct check *check, const struct trace_event *event) {
    struct thread_state *peer = mention_thread(check, event, event->peer);
    if (!peer)
        return;
    if (peer->seen)
        anomaly(check, event, &check->result->anomalies.thread_before_start,
                "thread %u has had events before it is created", event->peer);
    peer->created = true;
}

static void check_join(struct check *check, const struct trace_event *event) {
    struct thread_state *peer = mention_thread(check, event, event->peer);
    if (peer)
        peer->joined = true;
}

// ---------------------------------------------------------------- events

static void note_stack(struct check *check, uint32_t stack) {
    size_t word = stack / 64;
    uint64_t bit = UINT64_C(1) << (stack % 64);
    if (word >= check->stack_words) {
        size_t words = 2 * word + 1024;
        uint64_t *grown = realloc(check->stacks_used, words * sizeof *grown);
        if (!grown) {
            check->out_of_memory = true;
            return;
        }
        memset(grown + check->stack_words, 0, (words - check->stack_words) * sizeof *grown);
        check->stacks_used = grown;
        check->stack_words = words;
    }
    if (stack != 0 && !(check->stacks_used[word] & bit)) {
        check->stacks_used[word] |= bit;
        check->result->distinct_stacks++;
    }
}

static void check_event(struct check *check, const struct trace_event *event) {
    struct trace_check_result *result = check->result;
    struct thread_state *thread = mention_thread(check, event, event->thread);
    if (!thread)
        return;
    result->by_op[event->op]++;
    result->duration_ticks = event->time_ticks;
    check_thread(check, event, thread);
    if (thread->pending)
        check_pending(check, event, thread);
    note_stack(check, event->stack);
    switch (event->op) {
    case TRACE_MALLOC:
    case TRACE_CALLOC:
    case TRACE_ALIGNED:
        begin_life(check, event,
                   (struct live_object){.key = event->object + 1,
                                        .size = event->size,
                                        .address = event->address,
                                        .creator = event->thread});
        break;
    case TRACE_FREE: {
        struct live_object ended;
        end_life(check, event, &ended);
        break;
    }
    case TRACE_REALLOC_RELEASE:
        check_release(check, event, thread);
        break;
    case TRACE_REALLOC_ACQUIRE:
        check_acquire(check, event, thread);
        break;
    case TRACE_REALLOC_FAIL:
        check_fail(check, event, thread);
        break;
    case TRACE_USABLE:
        check_usable(check, event);
        break;
    case TRACE_THREAD_CREATE:
        check_create(check, event);
        break;
    case TRACE_THREAD_JOIN:
        check_join(check, event);
        break;
    case TRACE_LOST:
        result->lost += event->value;
        break;
    default:
        break;
    }
}

static void check_batch(struct check *check, const struct trace_event *events, size_t count) {
    for (size_t i = 0; i < count && !check->out_of_memory; i++) {
        if (i + PREFETCH_EVENTS < count) {
            size_t slot = trace_live_home(&check->live, events[i + PREFETCH_EVENTS].object + 1);
            __builtin_prefetch(&check->live.slots[slot], 1);
        }
        check_event(check, &events[i]);
    }
}

static int run(struct check *check, struct trace_reader *reader, struct trace_error *error) {
    struct trace_event events[BATCH_EVENTS];
    ptrdiff_t count;
    if (trace_reader_seek(reader, 0, error))
        return -1;
    while ((count = trace_reader_next(reader, events, BATCH_EVENTS, error)) > 0) {
        check_batch(check, events, (size_t)count);
        if (check->out_of_memory)
            return trace_fail_file("check", error, "out of memory");
    }
    return count < 0 ? -1 : 0;
}

int trace_check(struct trace_reader *reader, struct trace_check_result *result,
                struct trace_error *error) {
    *result = (struct trace_check_result){.anomalies.first_event = UINT64_MAX};
    struct check *check = calloc(1, sizeof *check);
    int status = -1;
    if (check && trace_live_begin(&check->live)) {
        check->result = result;
        status = run(check, reader, error);
        trace_live_free(&check->live);
        trace_ranges_free(&check->addresses);
        for (unsigned block = 0; block < THREAD_BLOCKS; block++)
            free(check->threads[block]);
        free(check->stacks_used);
    } else {
        trace_report_file("check", error, "out of memory");
    }
    free(check);
    return status;
}
