// measure_touch.c: how much of the blocks is touched: what --touch= says, or what libhaktouch.so
// has found out about the program (player/touch_probe.c).
#include "measure.h"

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

bool measure_touch_parse(const char *text, struct measure_settings *settings) {
    char *end;
    double part = strtod(text, &end) / 100;
    settings->touch = PLAYER_TOUCH_SAMPLED;
    settings->touch_file = NULL;
    if (end != text && strcmp(end, "%") == 0 && part >= 0 && part <= 1) {
        set_parts(settings, part);
        return true;
    }
    if (strchr(text, '/') != NULL || strchr(text, '.') != NULL)
        return read_file(text, settings);
    settings->touch = strcmp(text, "none") == 0 ? PLAYER_TOUCH_NONE : PLAYER_TOUCH_ALL;
    if (settings->touch == PLAYER_TOUCH_NONE || strcmp(text, "all") == 0)
        return true;
    replay_fail("--touch: expected all, none, N%% or a file that libhaktouch.so has written, found "
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
    if (settings->touch_file != NULL)
        snprintf(text, sizeof text, "of blocks of a page or more the parts in %s are written",
                 settings->touch_file);
    else
        snprintf(text, sizeof text, "the first %.1f %% of blocks of a page or more are written",
                 settings->touched_part[PAGE_CLASS] * 100);
    return text;
}
