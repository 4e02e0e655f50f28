// trace_window.c: a part of a trace as a trace of its own, with the heap as it was at its start.
//
// Owns: what of the history before the window is needed to play the window alone. That is, in
// their old order, with their old times:
//   - the calls that created the objects live at its start, by the threads that made them; what a
//     realloc created becomes a malloc, since the block that was given up for it is gone;
//   - the begin of a realloc that is open there;
//   - the greatest usable size that the program was told of such an object;
//   - creation, start, exit and join of the threads that did this, that appear in the window, or
//     that created or joined one of these.
// What is left out: blocks that were freed before, and with them the holes that they left; threads
// that had ended and left nothing. The allocator's own state at the start (which page is whose, how
// free lists are ordered) is therefore that of a program that never made the dead blocks.
//
// What stands before the window is read five times (check, live objects, threads, counting,
// writing); memory follows the objects live at the window's start, the threads and the stacks.
#include "trace_copy.h"
#include "trace_live.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { BATCH_EVENTS = 1024 };
#define NO_THREAD UINT32_MAX
#define NO_EVENT  UINT64_MAX

struct kept_object {
    uint64_t number; // in the source
    uint64_t usable; // the greatest answer so far
};

struct window_thread {
    uint32_t number;   // in the window, NO_THREAD while not mentioned
    bool relevant;     // appears in the window's trace
    bool pending;      // between the halves of a realloc
    uint64_t release;  // number of the event that began it
    uint64_t released; // the object
    uint64_t size;     // and what was asked for
    uint32_t stack;
    uint64_t open_release; // number of the release that is open at the start, NO_EVENT if none
};

struct window {
    const struct trace_window_range *range;
    struct trace_window_result *result;
    struct trace_reader *reader;
    struct trace_writer *writer; // NULL: only count
    struct trace_copy copy;
    struct trace_summary summary; // of the whole source
    struct window_thread *threads;
    uint32_t thread_count; // mentioned in the window's trace
    struct live_table live;
    struct kept_object *kept;     // ascending: the objects live at the start
    size_t kept_count, kept_next; // creations come in ascending order: the next one
    uint64_t object0;             // objects created before the window
    struct trace_error *error;
};

static int fail_memory(const struct window *window) {
    return trace_fail_file("window", window->error, "out of memory");
}

// ---------------------------------------------------------------- passes over the source

typedef int (*window_visitor)(struct window *window, const struct trace_event *event);

// Every event of [from, to) in order.
static int visit(struct window *window, uint64_t from, uint64_t to, window_visitor visitor) {
    struct trace_event events[BATCH_EVENTS];
    if (from >= to)
        return 0;
    if (trace_reader_seek(window->reader, from, window->error))
        return -1;
    while (from < to) {
        ptrdiff_t count =
            trace_reader_next(window->reader, events,
                              to - from < BATCH_EVENTS ? to - from : BATCH_EVENTS, window->error);
        if (count <= 0)
            return count < 0 ? -1 : 0;
        for (ptrdiff_t i = 0; i < count; i++)
            if (visitor(window, &events[i]))
                return -1;
        from += (uint64_t)count;
    }
    return 0;
}

static struct window_thread *thread_of(struct window *window, const struct trace_event *event) {
    return &window->threads[event->thread];
}

// Any other event of a thread than the second half says that the second half has been lost.
static void note_realloc(struct window *window, const struct trace_event *event) {
    struct window_thread *thread = thread_of(window, event);
    if (event->op == TRACE_REALLOC_RELEASE) {
        thread->pending = true;
        thread->release = event->number;
        thread->released = event->object;
        thread->size = event->size;
        thread->stack = event->stack;
    } else if (event->op != TRACE_LOST) {
        thread->pending = false;
    }
}

// Before another pass over the same events.
static void begin_pass(struct window *window) {
    for (uint32_t i = 0; i < window->summary.threads; i++)
        window->threads[i].pending = false;
    for (size_t i = 0; i < window->kept_count; i++)
        window->kept[i].usable = 0;
    window->kept_next = 0;
}

// ---------------------------------------------------------------- what is live at the start

static int add_live(struct window *window, uint64_t object) {
    struct live_object live = {.key = object + 1};
    return trace_live_add(&window->live, &live) ? 0 : fail_memory(window);
}

static void end_life(struct window *window, uint64_t object) {
    struct live_object *live = trace_live_find(&window->live, object);
    if (live)
        trace_live_remove(&window->live, live);
}

static int follow_life(struct window *window, const struct trace_event *event) {
    const struct window_thread *thread = thread_of(window, event);
    bool failed = event->op == TRACE_REALLOC_FAIL && thread->pending;
    note_realloc(window, event);
    if (failed)
        return add_live(window, thread->released);
    if (event->op == TRACE_FREE || event->op == TRACE_REALLOC_RELEASE)
        end_life(window, event->object);
    if (!(trace_op_table[event->op].flags & TRACE_OP_CREATES))
        return 0;
    window->object0++;
    return add_live(window, event->object);
}

// What an open realloc has given up is created before the window, and given up where it was.
static int keep_open_reallocs(struct window *window) {
    for (uint32_t i = 0; i < window->summary.threads; i++) {
        struct window_thread *thread = &window->threads[i];
        thread->open_release = thread->pending ? thread->release : NO_EVENT;
        if (thread->pending && add_live(window, thread->released))
            return -1;
    }
    return 0;
}

static int compare_kept(const void *left, const void *right) {
    const struct kept_object *a = left, *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

static struct kept_object *find_kept(const struct window *window, uint64_t object) {
    struct kept_object wanted = {.number = object};
    return bsearch(&wanted, window->kept, window->kept_count, sizeof *window->kept, compare_kept);
}

static bool is_kept_creation(struct window *window, const struct trace_event *event) {
    if (window->kept_next == window->kept_count ||
        !(trace_op_table[event->op].flags & TRACE_OP_CREATES) ||
        window->kept[window->kept_next].number != event->object)
        return false;
    window->kept_next++;
    return true;
}

static int gather_live(struct window *window) {
    if (visit(window, 0, window->range->from, follow_life) || keep_open_reallocs(window))
        return -1;
    window->kept = malloc((window->live.count + 1) * sizeof *window->kept);
    if (!window->kept)
        return fail_memory(window);
    for (size_t slot = 0; slot < window->live.slot_count; slot++)
        if (window->live.slots[slot].key)
            window->kept[window->kept_count++] =
                (struct kept_object){.number = window->live.slots[slot].key - 1};
    qsort(window->kept, window->kept_count, sizeof *window->kept, compare_kept);
    trace_live_free(&window->live);
    return 0;
}

// ---------------------------------------------------------------- which threads

static bool is_thread_event(const struct trace_event *event) {
    return event->op >= TRACE_THREAD_CREATE && event->op <= TRACE_THREAD_JOIN;
}

// An answer of malloc_usable_size that the program may rely on in the window.
static bool is_usable_kept(struct window *window, const struct trace_event *event) {
    struct kept_object *kept = event->op == TRACE_USABLE ? find_kept(window, event->object) : NULL;
    if (!kept || event->value <= kept->usable)
        return false;
    kept->usable = event->value;
    return true;
}

static int mark_owner(struct window *window, const struct trace_event *event) {
    struct window_thread *thread = thread_of(window, event);
    if (is_kept_creation(window, event) || is_usable_kept(window, event) ||
        event->number == thread->open_release)
        thread->relevant = true;
    return 0;
}

static int mark_present(struct window *window, const struct trace_event *event) {
    thread_of(window, event)->relevant = true;
    if (trace_op_table[event->op].flags & TRACE_OP_HAS_PEER)
        window->threads[event->peer].relevant = true;
    return 0;
}

// The makers and joiners of relevant threads, until there is nothing to add.
struct relation {
    uint32_t thread, peer;
};
struct relations {
    struct relation *list;
    size_t count, capacity;
};

static int note_relation(struct relations *relations, const struct trace_event *event) {
    if (relations->count == relations->capacity) {
        size_t capacity = relations->capacity ? 2 * relations->capacity : 256;
        struct relation *grown = realloc(relations->list, capacity * sizeof *grown);
        if (!grown)
            return -1;
        relations->list = grown;
        relations->capacity = capacity;
    }
    relations->list[relations->count++] = (struct relation){event->thread, event->peer};
    return 0;
}

static int gather_relations(struct window *window, struct relations *relations) {
    struct trace_event events[BATCH_EVENTS];
    ptrdiff_t count;
    if (trace_reader_seek(window->reader, 0, window->error))
        return -1;
    while ((count = trace_reader_next(window->reader, events, BATCH_EVENTS, window->error)) > 0)
        for (ptrdiff_t i = 0; i < count; i++) {
            if (events[i].number >= window->range->from)
                return 0;
            if (trace_op_table[events[i].op].flags & TRACE_OP_HAS_PEER &&
                note_relation(relations, &events[i]))
                return fail_memory(window);
        }
    return count < 0 ? -1 : 0;
}

static int gather_relatives(struct window *window) {
    struct relations relations = {0};
    int status = gather_relations(window, &relations);
    for (bool changed = true; !status && changed;) {
        changed = false;
        // Backwards: a thread is created before it creates.
        for (size_t i = relations.count; i-- > 0;) {
            const struct relation *relation = &relations.list[i];
            if (window->threads[relation->peer].relevant &&
                !window->threads[relation->thread].relevant)
                changed = window->threads[relation->thread].relevant = true;
        }
    }
    free(relations.list);
    return status;
}

static int gather_threads(struct window *window) {
    const struct trace_window_range *range = window->range;
    begin_pass(window);
    if (visit(window, 0, range->from, mark_owner) ||
        visit(window, range->from, range->to, mark_present))
        return -1;
    return gather_relatives(window);
}

// ---------------------------------------------------------------- writing

static uint32_t number_of(struct window *window, uint32_t thread) {
    uint32_t *number = &window->threads[thread].number;
    if (*number == NO_THREAD)
        *number = window->thread_count++;
    return *number;
}

static uint64_t object_of(const struct window *window, uint64_t object) {
    if (object >= window->object0)
        return window->kept_count + (object - window->object0);
    const struct kept_object *kept = find_kept(window, object);
    return kept ? (uint64_t)(kept - window->kept) : 0;
}

// Writes an event of the source, with this trace's numbers.
static int put(struct window *window, struct trace_event event) {
    unsigned flags = trace_op_table[event.op].flags;
    if (!window->writer) {
        window->result->first_event++;
        return 0;
    }
    event.thread = number_of(window, event.thread);
    if (flags & TRACE_OP_HAS_PEER)
        event.peer = number_of(window, event.peer);
    if (flags & TRACE_OP_REFERS)
        event.object = object_of(window, event.object);
    if (flags & TRACE_OP_HAS_STACK &&
        trace_copy_stack(&window->copy, event.stack, &event.stack, window->error))
        return -1;
    return trace_writer_event(window->writer, &event, window->error);
}

// The creation of an object that is live at the start.
static int put_kept(struct window *window, const struct trace_event *event) {
    struct trace_event creation = *event;
    const struct window_thread *thread = thread_of(window, event);
    if (event->op == TRACE_REALLOC_ACQUIRE) {
        creation.op = TRACE_MALLOC;
        creation.size = thread->size;
        creation.stack = thread->stack;
    }
    return put(window, creation);
}

static bool is_relevant_thread_event(const struct window *window, const struct trace_event *event) {
    bool has_peer = trace_op_table[event->op].flags & TRACE_OP_HAS_PEER;
    return is_thread_event(event) && window->threads[event->thread].relevant &&
           (!has_peer || window->threads[event->peer].relevant);
}

static int write_before(struct window *window, const struct trace_event *event) {
    int status = 0;
    if (is_kept_creation(window, event))
        status = put_kept(window, event);
    else if (is_usable_kept(window, event) || is_relevant_thread_event(window, event) ||
             event->number == thread_of(window, event)->open_release)
        status = put(window, *event);
    note_realloc(window, event);
    return status;
}

static int write_within(struct window *window, const struct trace_event *event) {
    return put(window, *event);
}

// INFO texts that speak of threads are taken over with the new numbers; others are left out.
static int write_thread_names(struct window *window) {
    json_t *kept = json_array();
    const char *text;
    for (uint32_t n = 1; (text = trace_reader_info(window->reader, n)); n++) {
        json_t *info = json_loads(text, 0, NULL);
        json_t *row;
        size_t i;
        json_array_foreach(json_object_get(info, "threads"), i, row) {
            json_int_t number = json_integer_value(json_object_get(row, "thread"));
            if (!json_is_object(row) || number < 0 || number >= window->summary.threads ||
                window->threads[number].number == NO_THREAD)
                continue;
            json_object_set_new(row, "thread", json_integer(window->threads[number].number));
            json_array_append(kept, row);
        }
        json_decref(info);
    }
    int status = 0;
    if (json_array_size(kept) > 0) {
        json_t *info = json_pack("{s:O}", "threads", kept);
        char *dumped = json_dumps(info, JSON_COMPACT);
        status =
            dumped ? trace_writer_info(window->writer, dumped, window->error) : fail_memory(window);
        free(dumped);
        json_decref(info);
    }
    json_decref(kept);
    return status;
}

// META of the source with the key `window`.
static char *window_meta(const struct window *window) {
    json_t *meta = json_loads(window->summary.meta_json, 0, NULL);
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, window->summary.hash);
    json_object_set_new(meta, "window",
                        json_pack("{s:s, s:I, s:I, s:I, s:I}", "of", hash, "from",
                                  (json_int_t)window->range->from, "to",
                                  (json_int_t)window->range->to, "first_event",
                                  (json_int_t)window->result->first_event, "live_at_start",
                                  (json_int_t)window->kept_count));
    char *text = json_dumps(meta, JSON_COMPACT);
    json_decref(meta);
    return text;
}

static void take_key(json_t *to, json_t *from, const char *key) {
    json_t *value = json_object_get(from, key);
    if (value)
        json_object_set(to, key, value);
}

// What END says of the whole recording does not hold for a part, but for how the program ended, if
// that is in the window, and for what it called past the recorder.
static char *window_end(const struct window *window) {
    json_t *source =
        json_loads(window->summary.end_json ? window->summary.end_json : "{}", 0, NULL);
    json_t *source_recorder = json_object_get(source, "recorder");
    json_t *end = json_pack("{s:s}", "exit", "unknown");
    json_t *recorder = json_object();
    if (window->range->to == window->summary.events) {
        take_key(end, source, "exit");
        take_key(end, source, "status");
    }
    take_key(recorder, source_recorder, "own_malloc");
    take_key(recorder, source_recorder, "own_operator_new");
    if (json_object_size(recorder) > 0)
        json_object_set(end, "recorder", recorder);
    char *text = json_dumps(end, JSON_COMPACT);
    json_decref(recorder);
    json_decref(end);
    json_decref(source);
    return text;
}

// The same source and range make the same file.
static uint64_t window_id(const struct window *window) {
    uint64_t words[3] = {window->summary.hash, window->range->from, window->range->to};
    uint64_t id = XXH64(words, sizeof words, 0);
    return id ? id : 1;
}

static int count_before(struct window *window) {
    begin_pass(window);
    return visit(window, 0, window->range->from, write_before);
}

// A row that precedes an event of the window, with this trace's numbers. False: it names what is
// not in the window.
static bool renumber_side(struct window *window, struct trace_side *side) {
    const struct trace_window_range *range = window->range;
    if (side->event < range->from || side->event >= range->to)
        return false;
    side->event += window->result->first_event - range->from;
    if (side->kind == TRACE_SIDE_RESIDENT) {
        uint64_t object = side->values[TRACE_RESIDENT_OBJECT];
        side->values[TRACE_RESIDENT_OBJECT] = object_of(window, object);
        return object >= window->object0 || find_kept(window, object);
    }
    if (side->kind == TRACE_SIDE_MAPS) {
        uint64_t thread = side->values[TRACE_MAPS_THREAD];
        if (thread >= window->summary.threads || window->threads[thread].number == NO_THREAD)
            return false;
        side->values[TRACE_MAPS_THREAD] = window->threads[thread].number;
    }
    return true;
}

static int write_sides(void *self, const struct trace_side *rows, size_t count,
                       struct trace_error *error) {
    struct window *window = self;
    for (size_t i = 0; i < count; i++) {
        struct trace_side side = rows[i];
        uint32_t stack = (uint32_t)side.values[TRACE_MAPS_STACK];
        if (!renumber_side(window, &side))
            continue;
        if (side.kind == TRACE_SIDE_MAPS) {
            if (trace_copy_stack(&window->copy, stack, &stack, error))
                return -1;
            side.values[TRACE_MAPS_STACK] = stack;
        }
        if (trace_writer_side(window->writer, &side, error))
            return -1;
    }
    return 0;
}

static int pass_over(struct window *window, const struct trace_event *event) {
    (void)window;
    (void)event;
    return 0;
}

// The rows beside the window's events may stand anywhere behind these.
static int write_all_sides(struct window *window) {
    trace_reader_visit_sides(window->reader, write_sides, window);
    int status = visit(window, window->range->from, UINT64_MAX, pass_over);
    trace_reader_visit_sides(window->reader, NULL, NULL);
    return status;
}

static int write_events(struct window *window) {
    const struct trace_window_range *range = window->range;
    begin_pass(window);
    return visit(window, 0, range->from, write_before) ||
                   visit(window, range->from, range->to, write_within) || write_all_sides(window) ||
                   write_thread_names(window)
               ? -1
               : 0;
}

static struct trace_writer *create(const struct window *window, const char *path, bool overwrite) {
    json_t *meta = json_loads(window->summary.meta_json, 0, NULL);
    struct trace_writer_options options = {
        .addresses = json_is_true(json_object_get(meta, "addresses")),
        .overwrite = overwrite,
        .named_at_end = true,
        .trace_id = window_id(window),
    };
    json_decref(meta);
    char *text = window_meta(window);
    struct trace_writer *writer = NULL;
    if (text)
        writer = trace_writer_create(path, text, &options, window->error);
    else
        fail_memory(window);
    free(text);
    return writer;
}

static int write_window(struct window *window, const char *path, bool overwrite) {
    char *end = window_end(window);
    window->writer = end ? create(window, path, overwrite) : NULL;
    if (!window->writer) {
        free(end);
        return end ? -1 : fail_memory(window);
    }
    window->copy = (struct trace_copy){.reader = window->reader, .writer = window->writer};
    int status = write_events(window);
    struct trace_writer_totals totals;
    trace_writer_totals(window->writer, &totals);
    window->result->events = totals.events;
    window->result->threads = totals.threads;
    window->result->live_at_start = window->kept_count;
    int closed =
        trace_writer_close(window->writer, status ? NULL : end, status ? NULL : window->error);
    free(end);
    return status || closed ? -1 : 0;
}

// ---------------------------------------------------------------- the whole

static int check_source(struct window *window, const char *path) {
    struct trace_check_result check;
    const struct trace_window_range *range = window->range;
    if (trace_check(window->reader, &check, window->error))
        return -1;
    trace_reader_summary(window->reader, &window->summary);
    if (check.anomalies.total > 0)
        return trace_fail_file(path, window->error, "expected a trace in order, found: %s",
                               check.anomalies.first_text);
    if (range->from > range->to || range->to > window->summary.events)
        return trace_fail_file(path, window->error,
                               "expected a window within its %" PRIu64 " events, found %" PRIu64
                               "..%" PRIu64,
                               window->summary.events, range->from, range->to);
    window->threads = calloc(window->summary.threads + 1, sizeof *window->threads);
    if (!window->threads || !trace_live_begin(&window->live))
        return fail_memory(window);
    for (uint32_t i = 0; i < window->summary.threads; i++)
        window->threads[i].number = NO_THREAD;
    return 0;
}

int trace_window(const char *path, const struct trace_window_range *range, const char *path_out,
                 bool overwrite, struct trace_window_result *result, struct trace_error *error) {
    struct window window = {.range = range, .result = result, .error = error};
    *result = (struct trace_window_result){0};
    window.reader = trace_reader_open(path, error);
    if (!window.reader)
        return -1;
    int status = check_source(&window, path) || gather_live(&window) || gather_threads(&window) ||
                         count_before(&window) || write_window(&window, path_out, overwrite)
                     ? -1
                     : 0;
    trace_copy_free(&window.copy);
    trace_live_free(&window.live);
    free(window.kept);
    free(window.threads);
    trace_reader_close(window.reader);
    return status;
}
