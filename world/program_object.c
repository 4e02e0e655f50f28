// program_object.c: the table of live objects: object number → where its block is.
//
// Why not an array by object number: numbers are never used again, so that it would grow with the
// program's length instead of with what it holds. Why not numbers given out anew: a source would
// then need this very table to translate.
//
// Eight consecutive numbers have neighbouring homes, since objects made together tend to be used
// together; groups of eight are scattered, so that long-lived runs do not pile up. The price, a
// cache miss for many operations, is paid ahead of time by program_objects_prefetch.
#include "program_object.h"

#include <stdlib.h>
#include <string.h>

#define LOG2_SLOTS_MIN      4 // two groups
#define LOG2_SLOTS_AT_FIRST 7

static uint64_t slot_count(const struct program_objects *objects) {
    return UINT64_C(1) << (64 - objects->shift);
}

static uint64_t home_slot(const struct program_objects *objects, uint64_t key) {
    uint64_t group = (key >> 3) * UINT64_C(0x9E3779B97F4A7C15) >> (objects->shift + 3);
    return group << 3 | (key & 7);
}

bool program_objects_init(struct program_objects *objects, uint64_t expected) {
    unsigned log2 = LOG2_SLOTS_MIN;
    while (log2 < LOG2_SLOTS_AT_FIRST && expected > (UINT64_C(3) << log2) / 4)
        log2++;
    objects->shift = 64 - log2;
    objects->count = 0;
    objects->slots = calloc(slot_count(objects), sizeof *objects->slots);
    return objects->slots != NULL;
}

void program_objects_free(struct program_objects *objects) {
    free(objects->slots);
    objects->slots = NULL;
}

// The slot that holds the key, or the free one where it belongs.
static struct program_object *probe(const struct program_objects *objects, uint64_t key) {
    uint64_t mask = slot_count(objects) - 1;
    uint64_t i = home_slot(objects, key);
    while (objects->slots[i].key != 0 && objects->slots[i].key != key)
        i = (i + 1) & mask;
    return &objects->slots[i];
}

void program_objects_prefetch(const struct program_objects *objects, uint64_t object) {
    __builtin_prefetch(&objects->slots[home_slot(objects, object + 1)], 1);
}

struct program_object *program_objects_find(const struct program_objects *objects,
                                            uint64_t object) {
    if (objects->slots == NULL)
        return NULL;
    struct program_object *slot = probe(objects, object + 1);
    return slot->key == 0 ? NULL : slot;
}

static bool grow(struct program_objects *objects) {
    struct program_objects larger = {.shift = objects->shift - 1, .count = objects->count};
    larger.slots = calloc(slot_count(&larger), sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (uint64_t i = 0; i < slot_count(objects); i++)
        if (objects->slots[i].key != 0)
            *probe(&larger, objects->slots[i].key) = objects->slots[i];
    free(objects->slots);
    *objects = larger;
    return true;
}

struct program_object *program_objects_add(struct program_objects *objects, uint64_t object) {
    struct program_object *slot = probe(objects, object + 1);
    if (slot->key != 0)
        return slot;
    if ((objects->count + 1) * 4 > slot_count(objects) * 3) {
        if (!grow(objects))
            return NULL;
        slot = probe(objects, object + 1);
    }
    *slot = (struct program_object){.key = object + 1};
    objects->count++;
    return slot;
}

// Closes the gap by moving back what had been pushed past it, so that no marker of a removed entry
// is needed and probes stay short however long the program is.
void program_objects_remove(struct program_objects *objects, struct program_object *entry) {
    uint64_t mask = slot_count(objects) - 1;
    uint64_t gap = (uint64_t)(entry - objects->slots);
    for (uint64_t i = (gap + 1) & mask; objects->slots[i].key != 0; i = (i + 1) & mask) {
        uint64_t home = home_slot(objects, objects->slots[i].key);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            objects->slots[gap] = objects->slots[i];
            gap = i;
        }
    }
    objects->slots[gap].key = 0;
    objects->count--;
}
