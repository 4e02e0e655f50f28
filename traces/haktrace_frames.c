// haktrace_frames.c: see haktrace_frames.h.
#include "haktrace_frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 1024 };

bool haktrace_frames_begin(struct haktrace_frames *frames, const struct trace_reader *reader) {
    *frames = (struct haktrace_frames){.reader = reader, .place_count = 1, .slot_count = SLOTS_MIN};
    frames->slots = calloc(SLOTS_MIN, sizeof *frames->slots);
    return frames->slots != NULL;
}

void haktrace_frames_end(struct haktrace_frames *frames) {
    for (uint32_t i = 0; i < frames->module_capacity; i++)
        json_decref(frames->modules[i]);
    free(frames->modules);
    haktrace_symbols_close(frames->symbols);
    free(frames->place_of_node);
    free(frames->places);
    free(frames->slots);
}

// Makes a zeroed table hold `index`.
static bool make_room(void *table_pointer, uint32_t *capacity, uint32_t index, size_t size) {
    void **table = table_pointer;
    if (index < *capacity)
        return true;
    uint32_t wanted = index + index / 2 + 256;
    char *grown = realloc(*table, wanted * size);
    if (!grown)
        return false;
    memset(grown + *capacity * size, 0, (wanted - *capacity) * size);
    *table = grown;
    *capacity = wanted;
    return true;
}

static uint32_t home_slot(const struct haktrace_frames *frames, const struct trace_node *node) {
    uint64_t hash = (node->offset ^ (uint64_t)node->module << 40) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32) & (frames->slot_count - 1);
}

static uint32_t *find_slot(const struct haktrace_frames *frames, const struct trace_node *node) {
    uint32_t slot = home_slot(frames, node);
    for (;; slot = (slot + 1) & (frames->slot_count - 1)) {
        const struct haktrace_place *place = &frames->places[frames->slots[slot]];
        if (!frames->slots[slot] ||
            (place->module == node->module && place->offset == node->offset))
            return &frames->slots[slot];
    }
}

static bool grow_slots(struct haktrace_frames *frames) {
    uint32_t *old = frames->slots;
    frames->slots = calloc(2 * (size_t)frames->slot_count, sizeof *old);
    if (!frames->slots) {
        frames->slots = old;
        return false;
    }
    frames->slot_count *= 2;
    for (uint32_t place = 1; place < frames->place_count; place++) {
        struct trace_node node = {.module = frames->places[place].module,
                                  .offset = frames->places[place].offset};
        *find_slot(frames, &node) = place;
    }
    free(old);
    return true;
}

static uint32_t number_place(struct haktrace_frames *frames, const struct trace_node *node) {
    if (!make_room(&frames->places, &frames->place_capacity, frames->place_count,
                   sizeof *frames->places) ||
        (frames->place_count > frames->slot_count / 2 && !grow_slots(frames)))
        return 0;
    uint32_t *slot = find_slot(frames, node);
    if (!*slot) {
        frames->places[frames->place_count] =
            (struct haktrace_place){.module = node->module, .offset = node->offset};
        *slot = frames->place_count++;
    }
    return *slot;
}

uint32_t haktrace_place_of(struct haktrace_frames *frames, uint32_t node) {
    struct trace_node content;
    if (!trace_reader_node(frames->reader, node, &content) ||
        !make_room(&frames->place_of_node, &frames->node_capacity, node,
                   sizeof *frames->place_of_node))
        return 0;
    if (!frames->place_of_node[node])
        frames->place_of_node[node] = number_place(frames, &content);
    return frames->place_of_node[node];
}

static json_t *module_of(struct haktrace_frames *frames, uint32_t module) {
    const char *text = trace_reader_module(frames->reader, module);
    if (!text ||
        !make_room(&frames->modules, &frames->module_capacity, module, sizeof *frames->modules))
        return NULL;
    if (!frames->modules[module])
        frames->modules[module] = json_loads(text, 0, NULL);
    return frames->modules[module];
}

const char *haktrace_module_text(struct haktrace_frames *frames, uint32_t module, const char *key) {
    const char *text = json_string_value(json_object_get(module_of(frames, module), key));
    return text ? text : "";
}

uint64_t haktrace_module_size(struct haktrace_frames *frames, uint32_t module) {
    json_int_t size = json_integer_value(json_object_get(module_of(frames, module), "size"));
    return size > 0 ? (uint64_t)size : 0;
}

const char *haktrace_place_function(struct haktrace_frames *frames, uint32_t place) {
    const struct haktrace_place *at = &frames->places[place];
    if (!frames->symbols || !at->module)
        return NULL;
    return haktrace_symbols_name(frames->symbols, at->module,
                                 haktrace_module_text(frames, at->module, "name"),
                                 haktrace_module_text(frames, at->module, "build_id"), at->offset);
}

void haktrace_place_name(struct haktrace_frames *frames, uint32_t place, char *text, size_t size) {
    const struct haktrace_place *at = &frames->places[place];
    const char *function = haktrace_place_function(frames, place);
    if (function)
        snprintf(text, size, "%s", function);
    else if (!at->module && !at->offset)
        snprintf(text, size, "[cut]");
    else
        snprintf(text, size, "%.200s+0x%" PRIx64,
                 at->module ? haktrace_module_text(frames, at->module, "name") : "?", at->offset);
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == ';' || *text == 0x7f)
            *text = '_';
}
