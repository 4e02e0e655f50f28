// haktrace_anonymise.c: `haktrace anonymise`: a trace that can be given away.
//
// Owns: what is kept: every event with thread, time, object, size, alignment, entry point and the
// shape of its stack; of META the clock and the units; of END counts and how the program ended.
// Everything else goes, known or not: only what is listed here is written. Modules become
// "module-N" without build-id and size; a place in code becomes its number in the order in which
// places first appear; process ids of children become 0; addresses go. Of the rows beside the
// events all is kept, mappings as distances from the first.
//
// What remains can still tell a program from another: its sizes, its rhythm, the shape of its
// stacks. haktrace(1) says so.
#include "haktrace.h"
#include "haktrace_frames.h"
#include "trace_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { BATCH_EVENTS = 1024 };

static char *plain_module(void *self, uint32_t module) {
    char text[64];
    (void)self;
    snprintf(text, sizeof text, "{\"name\":\"module-%u\",\"build_id\":\"\",\"size\":0}", module);
    return strdup(text);
}

// The outer frames of a stack that was cut have no place, and no number.
static uint64_t plain_offset(void *self, uint32_t node) {
    struct haktrace_frames *frames = self;
    uint32_t place = haktrace_place_of(frames, node);
    bool cut = !frames->places[place].module && !frames->places[place].offset;
    return cut ? 0 : place;
}

static void keep_integer(json_t *to, json_t *from, const char *key) {
    json_t *value = json_object_get(from, key);
    if (json_is_integer(value))
        json_object_set(to, key, value);
}

// A word only if it is one of the format's own.
static void keep_word(json_t *to, json_t *from, const char *key, const char *const *words) {
    const char *found = json_string_value(json_object_get(from, key));
    for (; found && *words; words++)
        if (strcmp(found, *words) == 0)
            json_object_set_new(to, key, json_string(*words));
}

static char *dump_and_free(json_t *json) {
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

static char *plain_meta(json_t *meta) {
    static const char *const clocks[] = {"tsc", "monotonic", "counter", NULL};
    static const char *const stacks[] = {"full", "caller", "none", NULL};
    static const char *const integers[] = {"tick_ns", "stamp_ticks_max", "page_size", "cores",
                                           "resident_every"};
    static const char *const window_integers[] = {"from", "to", "first_event", "live_at_start"};
    json_t *plain = json_pack("{s:s, s:s, s:n, s:b, s:b}", "format", "hak-trace", "tool",
                              "haktrace", "command", "addresses", 0, "anonymous", 1);
    json_t *window = json_object_get(meta, "window");
    for (unsigned i = 0; i < sizeof integers / sizeof *integers; i++)
        keep_integer(plain, meta, integers[i]);
    keep_word(plain, meta, "clock", clocks);
    keep_word(plain, meta, "stacks", stacks);
    if (json_is_object(window)) {
        json_t *plain_window = json_object();
        for (unsigned i = 0; i < sizeof window_integers / sizeof *window_integers; i++)
            keep_integer(plain_window, window, window_integers[i]);
        json_object_set_new(plain, "window", plain_window);
    }
    return dump_and_free(plain);
}

static char *plain_end(json_t *end) {
    static const char *const exits[] = {"exited",   "signalled", "exec", "killed",
                                        "detached", "unknown",   NULL};
    static const char *const integers[] = {"lost", "late", "unknown_frees", "status"};
    json_t *plain = json_object();
    for (unsigned i = 0; i < sizeof integers / sizeof *integers; i++)
        keep_integer(plain, end, integers[i]);
    keep_word(plain, end, "exit", exits);
    return dump_and_free(plain);
}

struct plain_sides {
    struct trace_copy *copy;
    bool has_address;
    uint64_t address; // of the first mapping
};

// Addresses are told as distances from the first, so that a mapping and its end still meet.
static int copy_sides(void *self, const struct trace_side *rows, size_t count,
                      struct trace_error *error) {
    struct plain_sides *plain = self;
    for (size_t i = 0; i < count; i++) {
        struct trace_side side = rows[i];
        uint32_t stack = (uint32_t)side.values[TRACE_MAPS_STACK];
        if (side.kind == TRACE_SIDE_MAPS) {
            if (!plain->has_address)
                plain->address = side.values[TRACE_MAPS_ADDRESS];
            plain->has_address = true;
            side.values[TRACE_MAPS_ADDRESS] -= plain->address;
            if (trace_copy_stack(plain->copy, stack, &stack, error))
                return -1;
            side.values[TRACE_MAPS_STACK] = stack;
        }
        if (trace_writer_side(plain->copy->writer, &side, error))
            return -1;
    }
    return 0;
}

static int copy_events(struct trace_reader *reader, struct trace_copy *copy,
                       struct trace_error *error) {
    struct trace_event events[BATCH_EVENTS];
    struct plain_sides plain = {.copy = copy};
    ptrdiff_t count;
    if (trace_reader_seek(reader, 0, error))
        return -1;
    trace_reader_visit_sides(reader, copy_sides, &plain);
    while ((count = trace_reader_next(reader, events, BATCH_EVENTS, error)) > 0)
        for (ptrdiff_t i = 0; i < count; i++) {
            if (events[i].op == TRACE_FORK)
                events[i].value = 0;
            if (trace_copy_stack(copy, events[i].stack, &events[i].stack, error) ||
                trace_writer_event(copy->writer, &events[i], error))
                return -1;
        }
    return count < 0 ? -1 : 0;
}

static int write_plain(const struct haktrace_reading *reading, const char *output, bool force,
                       struct trace_error *error) {
    uint64_t hash = reading->summary.hash;
    uint64_t id = XXH64(&hash, sizeof hash, 1); // the same trace makes the same file
    struct trace_writer_options options = {
        .overwrite = force, .named_at_end = true, .trace_id = id ? id : 1};
    struct haktrace_frames frames;
    char *meta = plain_meta(reading->meta), *end = plain_end(reading->end);
    struct trace_copy copy = {.reader = reading->reader,
                              .rewrite_module = plain_module,
                              .rewrite_offset = plain_offset,
                              .self = &frames};
    int status = -1;
    if (!haktrace_frames_begin(&frames, reading->reader) || !meta || !end)
        trace_report_file(output, error, "out of memory");
    else if ((copy.writer = trace_writer_create(output, meta, &options, error))) {
        status = copy_events(reading->reader, &copy, error);
        if (trace_writer_close(copy.writer, status ? NULL : end, status ? NULL : error))
            status = -1;
    }
    trace_copy_free(&copy);
    haktrace_frames_end(&frames);
    free(meta);
    free(end);
    return status;
}

int haktrace_anonymise(const struct haktrace_options *options) {
    struct haktrace_reading reading;
    struct trace_error error = {""};
    int status = haktrace_read_whole(options->path, &reading);
    if (status != HAKTRACE_OK)
        return status;
    const char *output = options->output ? options->output : "anonymous.zst";
    if (write_plain(&reading, output, options->force, &error))
        status = haktrace_fail("%s", error.text);
    haktrace_close(&reading);
    if (status == HAKTRACE_OK)
        haktrace_tell_written(options, output);
    return haktrace_finish_output(status);
}
