// measure_touch.c: how much of the blocks is touched: what --touch= says, what the trace's samples
// of resident pages say, or what libhaktouch.so has found out about the program
// (player/touch_probe.c).
#include "measure.h"

#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES          64
#define PAGE_CLASS       12 // blocks within a page are resident whole
#define SCHEMA           "hak.touch"
#define EXPECTED_TO_FIND "expected a " SCHEMA " file, as libhaktouch.so writes it"

static void set_parts(struct measure_settings *settings, double part) {
    for (int i = 0; i < CLASSES; i++)
        settings->touched_part[i] = i < PAGE_CLASS ? 1 : part;
}

static bool set_class(struct measure_settings *settings, const json_t *class) {
    int log2;
    json_int_t bytes, used;
    if (json_unpack((json_t *)(uintptr_t) class, "{s:i, s:I, s:I}", "log2", &log2, "bytes", &bytes,
                    "used_bytes", &used) != 0 ||
        log2 < 0 || log2 >= CLASSES || used < 0 || bytes < used || bytes == 0)
        return false;
    if (log2 >= PAGE_CLASS)
        settings->touched_part[log2] = (double)used / (double)bytes;
    return true;
}

// Classes that the probe has not met are touched whole.
static bool read_file(const char *path, struct measure_settings *settings) {
    json_error_t error;
    size_t i;
    json_t *class, *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        replay_fail("%s:%d: %s; " EXPECTED_TO_FIND, path, error.line, error.text);
        return false;
    }
    const char *schema = json_string_value(json_object_get(root, "schema"));
    const json_t *classes = json_object_get(root, "classes");
    bool fine = schema != NULL && strcmp(schema, SCHEMA) == 0 && json_is_array(classes);
    set_parts(settings, 1);
    json_array_foreach(classes, i, class) fine = fine && set_class(settings, class);
    json_decref(root);
    if (!fine)
        replay_fail("%s: " EXPECTED_TO_FIND, path);
    settings->touch_file = path;
    return fine;
}

// ---------------------------------------------------------------- the trace's own samples

struct samples {
    uint64_t pages[CLASSES], found[CLASSES], count;
};

// Pages that lie wholly inside a block are told: it is larger by one, on the whole.
static int count_samples(void *self, const struct trace_side *rows, size_t count,
                         struct trace_error *error) {
    struct samples *samples = self;
    (void)error;
    for (size_t i = 0; i < count; i++) {
        uint64_t pages = rows[i].values[TRACE_RESIDENT_PAGES];
        if (rows[i].kind != TRACE_SIDE_RESIDENT || pages >> (CLASSES - PAGE_CLASS - 1) != 0)
            continue;
        int class = PAGE_CLASS + 63 - __builtin_clzll(pages + 1);
        samples->pages[class] += pages;
        samples->found[class] += rows[i].values[TRACE_RESIDENT_FOUND];
        samples->count++;
    }
    return 0;
}

static int read_samples(const char *path, struct samples *samples, struct trace_error *error) {
    struct trace_event events[256];
    ptrdiff_t count;
    struct trace_reader *reader = trace_reader_open(path, error);
    if (reader == NULL)
        return -1;
    trace_reader_visit_sides(reader, count_samples, samples);
    while ((count = trace_reader_next(reader, events, 256, error)) > 0)
        ;
    trace_reader_close(reader);
    return count < 0 ? -1 : 0;
}

// Classes without samples are touched whole.
bool measure_touch_prepare(struct measure_settings *settings) {
    struct samples samples = {.count = 0};
    struct trace_error error;
    if (!settings->touch_trace)
        return true;
    if (read_samples(settings->input, &samples, &error) != 0) {
        replay_fail("%s", error.text);
        return false;
    }
    if (samples.count == 0) {
        replay_fail("%s: --touch=sampled: expected samples of resident pages, found none: the "
                    "program gave up no block of a page or more that was looked at, or the trace "
                    "is older than format 1.4",
                    settings->input);
        return false;
    }
    set_parts(settings, 1);
    for (int i = PAGE_CLASS; i < CLASSES; i++)
        if (samples.pages[i] > 0)
            settings->touched_part[i] = (double)samples.found[i] / (double)samples.pages[i];
    return true;
}

bool measure_touch_parse(const char *text, struct measure_settings *settings) {
    char *end;
    double part = strtod(text, &end) / 100;
    settings->touch = PLAYER_TOUCH_SAMPLED;
    settings->touch_file = NULL;
    settings->touch_trace = strcmp(text, "sampled") == 0;
    if (settings->touch_trace)
        return true;
    if (end != text && strcmp(end, "%") == 0 && part >= 0 && part <= 1) {
        set_parts(settings, part);
        return true;
    }
    if (strchr(text, '/') != NULL || strchr(text, '.') != NULL)
        return read_file(text, settings);
    settings->touch = strcmp(text, "none") == 0 ? PLAYER_TOUCH_NONE : PLAYER_TOUCH_ALL;
    if (settings->touch == PLAYER_TOUCH_NONE || strcmp(text, "all") == 0)
        return true;
    replay_fail("--touch: expected all, none, sampled, N%% or a file that libhaktouch.so has "
                "written, found "
                "\"%s\"",
                text);
    return false;
}

const char *measure_touch_text(const struct measure_settings *settings) {
    static char text[512];
    if (settings->touch == PLAYER_TOUCH_ALL)
        return "every byte asked for is written";
    if (settings->touch == PLAYER_TOUCH_NONE)
        return "no byte is written by the program";
    if (settings->touch_trace)
        return "of blocks of a page or more the parts sampled in the trace are written";
    if (settings->touch_file != NULL)
        snprintf(text, sizeof text, "of blocks of a page or more the parts in %s are written",
                 settings->touch_file);
    else
        snprintf(text, sizeof text, "the first %.1f %% of blocks of a page or more are written",
                 settings->touched_part[PAGE_CLASS] * 100);
    return text;
}
