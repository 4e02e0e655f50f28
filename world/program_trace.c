// program_trace.c: a recorded trace, as a source of operations.
//
// Owns: what an event means to an allocator that is not the one recorded.
//   - A realloc is done whole where it began. Its new object's number stands in its second half,
//     which other threads' events may precede; operations therefore wait in a queue while the
//     realloc at its head is open. The queue is as long as the longest realloc, not as the trace.
//   - A block whose usable size the program asked for is replayed with at least that size, because
//     the program may have used it. A first pass collects these objects.
//   - What recorded failed, and what says nothing to an allocator, is a step without work.
// Does not know: orders, MF2.
//
// The first pass is also the check of the whole trace (trace_check), so that a damaged or anomalous
// trace is refused before anything is replayed.
#include "program_internal.h"

#include "trace.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_BATCH        1024
#define USABLE_OBJECTS_MAX (UINT64_C(1) << 26) // 1 GiB of them
#define OP_OPEN            PROGRAM_OP_COUNT    // a realloc whose second half has not been read

struct usable {
    uint64_t object, bytes;
};

struct from_trace {
    struct program_source source;
    struct trace_reader *reader;

    // Objects whose usable size was asked, ascending; the most that was answered.
    struct usable *usables;
    uint64_t usable_count, usable_capacity;

    struct trace_event events[EVENT_BATCH]; // read, not yet operations: [event_next, event_count)
    size_t event_next, event_count;
    bool at_end;

    // Operations in order, waiting for the first one's second half: [queue_head, queue_tail).
    struct program_operation *queue;
    uint64_t queue_head, queue_tail, queue_capacity;
    uint64_t *open_by_thread; // place in the queue of the thread's open realloc + 1
};

static int fail(struct from_trace *from, const char *text) {
    snprintf(from->source.message, sizeof from->source.message, "%s", text);
    return -1;
}

static int out_of_memory(struct from_trace *from, const char *what) {
    snprintf(from->source.message, sizeof from->source.message, "%s: out of memory for %s",
             from->source.trace.path, what);
    return -1;
}

// ---------------------------------------------------------------- usable sizes

static int compare_usables(const void *left, const void *right) {
    const struct usable *a = left, *b = right;
    if (a->object != b->object)
        return a->object < b->object ? -1 : 1;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

// Sorts, and keeps the greatest answer of each object.
static void usables_tidy(struct from_trace *from) {
    if (from->usable_count == 0)
        return;
    qsort(from->usables, from->usable_count, sizeof *from->usables, compare_usables);
    uint64_t kept = 0;
    for (uint64_t i = 1; i < from->usable_count; i++) {
        if (from->usables[i].object != from->usables[kept].object)
            kept++;
        from->usables[kept] = from->usables[i];
    }
    from->usable_count = kept + 1;
}

// Full: tidies first, because a program often asks about the same block again.
static int usables_make_room(struct from_trace *from) {
    usables_tidy(from);
    if (from->usable_count * 2 < from->usable_capacity)
        return 0;
    uint64_t capacity = from->usable_capacity == 0 ? 1024 : from->usable_capacity * 2;
    void *larger = NULL;
    if (capacity <= USABLE_OBJECTS_MAX)
        larger = realloc(from->usables, capacity * sizeof *from->usables);
    if (larger == NULL)
        return out_of_memory(from, "the objects whose usable size was asked");
    from->usables = larger;
    from->usable_capacity = capacity;
    return 0;
}

static int usables_add(struct from_trace *from, const struct trace_event *event) {
    if (from->usable_count == from->usable_capacity && usables_make_room(from) != 0)
        return -1;
    from->usables[from->usable_count++] = (struct usable){event->object, event->value};
    return 0;
}

static uint64_t size_wanted(const struct from_trace *from, uint64_t object, uint64_t size) {
    uint64_t low = 0, high = from->usable_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (from->usables[middle].object < object)
            low = middle + 1;
        else
            high = middle;
    }
    bool asked = low < from->usable_count && from->usables[low].object == object;
    return asked && from->usables[low].bytes > size ? from->usables[low].bytes : size;
}

static int collect_usables(struct from_trace *from) {
    struct trace_error error = {""};
    if (trace_reader_seek(from->reader, 0, &error) != 0)
        return fail(from, error.text);
    ptrdiff_t count;
    while ((count = trace_reader_next(from->reader, from->events, EVENT_BATCH, &error)) > 0)
        for (ptrdiff_t i = 0; i < count; i++)
            if (from->events[i].op == TRACE_USABLE && usables_add(from, &from->events[i]) != 0)
                return -1;
    if (count < 0)
        return fail(from, error.text);
    usables_tidy(from);
    return 0;
}

// ---------------------------------------------------------------- events to operations

static uint8_t operation_of(uint8_t event_op) {
    static const uint8_t operations[TRACE_OP_COUNT] = {
        [0] = PROGRAM_NOTHING,
        [TRACE_MALLOC] = PROGRAM_MALLOC,
        [TRACE_CALLOC] = PROGRAM_CALLOC,
        [TRACE_ALIGNED] = PROGRAM_ALIGNED,
        [TRACE_FREE] = PROGRAM_FREE,
        [TRACE_FREE_NULL] = PROGRAM_NOTHING,
        [TRACE_REALLOC_RELEASE] = OP_OPEN,
        [TRACE_REALLOC_ACQUIRE] = PROGRAM_NOTHING, // without its release: anomalous
        [TRACE_REALLOC_FAIL] = PROGRAM_NOTHING,
        [TRACE_ALLOC_FAIL] = PROGRAM_NOTHING,
        [TRACE_USABLE] = PROGRAM_USABLE,
        [TRACE_THREAD_CREATE] = PROGRAM_CREATE,
        [TRACE_THREAD_START] = PROGRAM_START,
        [TRACE_THREAD_EXIT] = PROGRAM_EXIT,
        [TRACE_THREAD_JOIN] = PROGRAM_JOIN,
        [TRACE_FREE_UNKNOWN] = PROGRAM_NOTHING,
        [TRACE_FORK] = PROGRAM_NOTHING,
        [TRACE_LOST] = PROGRAM_NOTHING,
    };
    return operations[event_op];
}

static bool makes_block(uint8_t op) {
    return op == PROGRAM_MALLOC || op == PROGRAM_CALLOC || op == PROGRAM_ALIGNED;
}

static void convert(const struct from_trace *from, const struct trace_event *event,
                    struct program_operation *operation) {
    *operation =
        (struct program_operation){.object = event->object,
                                   .size = event->size,
                                   .time_ns = event->time_ticks * from->source.trace.tick_ns,
                                   .thread = event->thread,
                                   .peer = event->peer,
                                   .op = operation_of(event->op),
                                   .align_log2 = event->align_log2};
    if (from->usable_count > 0 && makes_block(operation->op))
        operation->size = size_wanted(from, event->object, event->size);
}

// The second half of a realloc, or its absence (NULL: the trace ends before it).
static void close_realloc(const struct from_trace *from, struct program_operation *operation,
                          const struct trace_event *second) {
    if (second == NULL || second->op != TRACE_REALLOC_ACQUIRE) {
        operation->op = PROGRAM_NOTHING;
        return;
    }
    operation->op = PROGRAM_REALLOC;
    operation->new_object = second->object;
    if (from->usable_count > 0)
        operation->size = size_wanted(from, second->object, operation->size);
}

static bool is_second_half(const struct trace_event *event) {
    return event->op == TRACE_REALLOC_ACQUIRE || event->op == TRACE_REALLOC_FAIL;
}

// ---------------------------------------------------------------- the queue

static int queue_make_room(struct from_trace *from) {
    uint64_t used = from->queue_tail - from->queue_head;
    if (used < from->queue_capacity)
        return 0;
    uint64_t capacity = from->queue_capacity == 0 ? 64 : from->queue_capacity * 2;
    struct program_operation *larger = malloc(capacity * sizeof *larger);
    if (larger == NULL)
        return out_of_memory(from, "the operations behind an open realloc");
    for (uint64_t i = from->queue_head; i < from->queue_tail; i++)
        larger[i & (capacity - 1)] = from->queue[i & (from->queue_capacity - 1)];
    free(from->queue);
    from->queue = larger;
    from->queue_capacity = capacity;
    return 0;
}

static struct program_operation *queued(const struct from_trace *from, uint64_t place) {
    return &from->queue[place & (from->queue_capacity - 1)];
}

// Closes the thread's open realloc, if it has one.
static bool close_queued(struct from_trace *from, uint32_t thread,
                         const struct trace_event *second) {
    uint64_t open = from->open_by_thread[thread];
    if (open == 0)
        return false;
    from->open_by_thread[thread] = 0;
    close_realloc(from, queued(from, open - 1), second);
    return true;
}

static int enqueue(struct from_trace *from, const struct trace_event *event) {
    if (is_second_half(event) && close_queued(from, event->thread, event))
        return 0;
    if (queue_make_room(from) != 0)
        return -1;
    struct program_operation *operation = queued(from, from->queue_tail);
    convert(from, event, operation);
    if (operation->op == OP_OPEN) {
        close_queued(from, event->thread, NULL);
        from->open_by_thread[event->thread] = from->queue_tail + 1;
    }
    from->queue_tail++;
    return 0;
}

static void close_all(struct from_trace *from) {
    for (uint32_t thread = 0; thread < from->source.threads; thread++)
        close_queued(from, thread, NULL);
}

// ---------------------------------------------------------------- the stream

// False: the trace's end, or damage (source.message is set).
static bool refill(struct from_trace *from) {
    if (from->event_next < from->event_count)
        return true;
    if (from->at_end)
        return false;
    struct trace_error error = {""};
    ptrdiff_t count = trace_reader_next(from->reader, from->events, EVENT_BATCH, &error);
    from->event_next = 0;
    from->event_count = count > 0 ? (size_t)count : 0;
    if (count < 0)
        fail(from, error.text);
    from->at_end = count <= 0;
    if (from->at_end)
        close_all(from);
    return !from->at_end;
}

static size_t take_queued(struct from_trace *from, struct program_operation *operations,
                          size_t capacity) {
    size_t taken = 0;
    while (taken < capacity && from->queue_head < from->queue_tail &&
           queued(from, from->queue_head)->op != OP_OPEN)
        operations[taken++] = *queued(from, from->queue_head++);
    return taken;
}

// Straight from events, as long as no realloc is open. A realloc whose second half comes right
// after its first, as nearly all do, needs no queue either.
static size_t take_direct(struct from_trace *from, struct program_operation *operations,
                          size_t capacity) {
    size_t taken = 0;
    while (taken < capacity && from->event_next < from->event_count) {
        const struct trace_event *event = &from->events[from->event_next];
        struct program_operation *operation = &operations[taken];
        convert(from, event, operation);
        if (operation->op == OP_OPEN) {
            if (from->event_next + 1 == from->event_count || event[1].thread != event->thread ||
                !is_second_half(&event[1]))
                break;
            close_realloc(from, operation, &event[1]);
            from->event_next++;
        }
        from->event_next++;
        taken++;
    }
    return taken;
}

static ptrdiff_t trace_next(void *self, struct program_operation *operations, size_t capacity) {
    struct from_trace *from = self;
    size_t taken = 0;
    while (taken < capacity) {
        taken += take_queued(from, operations + taken, capacity - taken);
        if (taken == capacity)
            break;
        bool more = refill(from);
        if (from->source.message[0] != '\0')
            return -1;
        if (!more && from->queue_head == from->queue_tail)
            break;
        if (!more)
            continue;
        if (from->queue_head == from->queue_tail)
            taken += take_direct(from, operations + taken, capacity - taken);
        if (taken < capacity && from->event_next < from->event_count &&
            enqueue(from, &from->events[from->event_next++]) != 0)
            return -1;
    }
    return (ptrdiff_t)taken;
}

static void trace_rewind(void *self) {
    struct from_trace *from = self;
    struct trace_error error = {""};
    from->event_next = from->event_count = 0;
    from->queue_head = from->queue_tail = 0;
    from->at_end = false;
    memset(from->open_by_thread, 0, from->source.threads * sizeof *from->open_by_thread);
    if (trace_reader_seek(from->reader, 0, &error) != 0) {
        fail(from, error.text);
        from->at_end = true;
    }
}

static void trace_close(void *self) {
    struct from_trace *from = self;
    trace_reader_close(from->reader);
    free(from->usables);
    free(from->queue);
    free(from->open_by_thread);
    free(from);
}

// ---------------------------------------------------------------- opening

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

// What the program was called as: "redis-server", though the file behind that link is
// redis-check-rdb. The file's name where the command is not known.
static void read_program_name(struct from_trace *from, const char *meta_json) {
    json_t *meta = json_loads(meta_json, 0, NULL);
    const char *file = json_string_value(json_object_get(meta, "program"));
    const char *called = json_string_value(json_array_get(json_object_get(meta, "command"), 0));
    const char *name = called == NULL || called[0] == '\0' ? file : base_name(called);
    snprintf(from->source.trace.program, sizeof from->source.trace.program, "%s",
             name == NULL ? "" : name);
    json_decref(meta);
}

static void describe(struct from_trace *from, const struct trace_check_result *check) {
    struct trace_summary summary;
    struct program_source *source = &from->source;
    trace_reader_summary(from->reader, &summary);
    read_program_name(from, summary.meta_json);
    source->threads = summary.threads;
    source->objects = summary.objects;
    source->operations =
        summary.events - check->by_op[TRACE_REALLOC_ACQUIRE] - check->by_op[TRACE_REALLOC_FAIL];
    source->live_bytes_max = check->peak_live_bytes;
    source->window_ns =
        summary.stamp_ticks_max ? summary.stamp_ticks_max * summary.tick_ns : UINT64_MAX;
    source->trace.events = summary.events;
    source->trace.lost = check->lost;
    source->trace.tick_ns = summary.tick_ns;
    source->trace.complete = summary.complete;
    snprintf(source->trace.hash, sizeof source->trace.hash, "%016llx",
             (unsigned long long)summary.hash);
}

static int check_and_prepare(struct from_trace *from, const char *path, bool allow_anomalies) {
    struct trace_error error = {""};
    struct trace_check_result check;
    from->reader = trace_reader_open(path, &error);
    if (from->reader == NULL || trace_check(from->reader, &check, &error) != 0)
        return fail(from, error.text);
    if (check.anomalies.total > 0 && !allow_anomalies) {
        snprintf(from->source.message, sizeof from->source.message,
                 "%s: not replayable as it is: %llu ordering anomalies, the first at %s", path,
                 (unsigned long long)check.anomalies.total, check.anomalies.first_text);
        return -1;
    }
    describe(from, &check);
    from->open_by_thread = calloc(from->source.threads + 1, sizeof *from->open_by_thread);
    if (from->open_by_thread == NULL)
        return out_of_memory(from, "its threads");
    return check.by_op[TRACE_USABLE] > 0 ? collect_usables(from) : 0;
}

struct program_source *program_open_trace(const char *path, bool allow_anomalies, char *message,
                                          size_t message_size) {
    struct from_trace *from = calloc(1, sizeof *from);
    if (from == NULL) {
        snprintf(message, message_size, "%s: out of memory", path);
        return NULL;
    }
    from->source.self = from;
    from->source.next = trace_next;
    from->source.rewind = trace_rewind;
    from->source.close = trace_close;
    snprintf(from->source.trace.path, sizeof from->source.trace.path, "%s", base_name(path));
    if (check_and_prepare(from, path, allow_anomalies) != 0) {
        snprintf(message, message_size, "%s", from->source.message);
        trace_close(from);
        return NULL;
    }
    trace_rewind(from);
    return &from->source;
}
