// drain_stack.c: from the program's stacks to the trace's tree of frames.
//
// Owns: each ring's stack, as its records change it (ring.h); which frame inside which other is
// which node of the trace; which loaded file has which module number. Each node and module is
// written to the trace once, when the first stack needs it.
//
// A *frame* here is a place in a file. Places of the program's table (ring.h) that differ only
// because something was unloaded meanwhile are one frame. An address belongs to the latest module
// of the log, as far as it was known when the place was met, that covers it; failing that to a
// later one (the log was being extended by another thread at that moment).
//
// A program makes a few new frames at each event and the drainer must keep up: a small cache takes
// what recurs, the tables behind it are looked up in memory that is far away.
#include "drainer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Keys to numbers, never removed: open addressing, linear probing, at most half full.
struct number_slot {
    uint64_t key;    // of nodes: parent << 32 | frame; of frames: offset
    uint32_t extra;  // of frames: module
    uint32_t number; // 0 = free
};

struct number_table {
    struct number_slot *slots;
    uint64_t mask, count;
};

struct edge {     // recently met
    uint64_t key; // parent << 32 | place
    uint32_t node;
};

// Recently met likewise: up to three frames that follow each other.
struct group {
    uint64_t places; // as ring_stack() packs them, without what is kept
    uint32_t parent;
    uint32_t nodes[RING_INLINE_PLACES];
    uint32_t padding[2];
};
static_assert(sizeof(struct group) == 32, "two a cache line");

enum { SLOTS_MIN = 1 << 10, EDGES_LOG2 = 15, GROUPS_LOG2 = 18 };

#define GROUPS_BYTES (sizeof(struct group) << GROUPS_LOG2)

struct drain_stacks {
    bool redact;
    struct number_table nodes, frames;
    uint32_t module_numbers[RING_MODULES_MAX]; // in the trace; 0 = not written yet
    uint32_t frame_of[RING_PLACES_MAX];        // of a place; 0 = not met yet
    struct frame_place {
        uint32_t module;
        uint64_t offset;
    } * places; // of frames, by number
    uint32_t place_capacity;
    struct group *groups;
    struct edge edges[1 << EDGES_LOG2];
};

// ---------------------------------------------------------------- numbers

static bool table_open(struct number_table *table) {
    table->slots = drain_table_make(SLOTS_MIN * sizeof *table->slots);
    table->mask = SLOTS_MIN - 1;
    return table->slots != NULL;
}

static void table_close(struct number_table *table) {
    drain_table_free(table->slots, (table->mask + 1) * sizeof *table->slots);
}

// The slot of a key, or the free one where it belongs.
static struct number_slot *table_find(const struct number_table *table, uint64_t key,
                                      uint32_t extra) {
    uint64_t hash = (key ^ (uint64_t)extra << 40) * 0x9e3779b97f4a7c15ull;
    uint64_t i = (hash ^ hash >> 32) & table->mask;
    while (table->slots[i].number != 0 &&
           (table->slots[i].key != key || table->slots[i].extra != extra))
        i = (i + 1) & table->mask;
    return &table->slots[i];
}

// Fills a free slot; the slots may move. False: out of memory.
static bool table_add(struct number_table *table, struct number_slot *slot,
                      const struct number_slot *content) {
    *slot = *content;
    if (2 * ++table->count <= table->mask)
        return true;
    struct number_table grown = {drain_table_make(2 * (table->mask + 1) * sizeof *slot),
                                 2 * table->mask + 1, table->count};
    if (grown.slots == NULL)
        return false;
    for (uint64_t i = 0; i <= table->mask; i++)
        if (table->slots[i].number != 0)
            *table_find(&grown, table->slots[i].key, table->slots[i].extra) = table->slots[i];
    table_close(table);
    *table = grown;
    return true;
}

struct drain_stacks *drain_stacks_open(const struct drain_options *options) {
    struct drain_stacks *stacks = calloc(1, sizeof *stacks);
    if (stacks == NULL)
        return NULL;
    stacks->redact = options->redact;
    stacks->groups = drain_table_make(GROUPS_BYTES);
    if (stacks->groups != NULL && table_open(&stacks->nodes) && table_open(&stacks->frames))
        return stacks;
    drain_stacks_close(stacks);
    return NULL;
}

void drain_stacks_close(struct drain_stacks *stacks) {
    if (stacks == NULL)
        return;
    table_close(&stacks->nodes);
    table_close(&stacks->frames);
    drain_table_free(stacks->groups, GROUPS_BYTES);
    free(stacks->places);
    free(stacks);
}

// ---------------------------------------------------------------- modules

static const struct ring_module *module_at(const struct drain_session *session, uint32_t index) {
    return (const struct ring_module *)((char *)session->ring + session->ring->modules_offset) +
           index;
}

static bool covers(const struct ring_module *module, uint64_t address) {
    return address >= module->start && address < module->end;
}

// Index in the log + 1; 0 = no module.
static uint32_t module_find(const struct drain_session *session, uint64_t address, uint32_t known) {
    for (uint32_t i = known; i-- > 0;)
        if (covers(module_at(session, i), address))
            return i + 1;
    uint32_t count = atomic_load_explicit(&session->ring->module_count, memory_order_acquire);
    for (uint32_t i = known; i < count && i < RING_MODULES_MAX; i++)
        if (covers(module_at(session, i), address))
            return i + 1;
    return 0;
}

static char *module_json(const struct ring_module *module, bool redact) {
    char build_id[2 * sizeof module->build_id + 1] = "";
    for (unsigned i = 0; i < module->build_id_bytes && i < sizeof module->build_id; i++)
        snprintf(build_id + 2 * i, 3, "%02x", module->build_id[i]);
    const char *slash = strrchr(module->path, '/');
    const char *name = slash != NULL ? slash + 1 : module->path;
    json_t *json = json_pack("{s:s+, s:s, s:I}", "name", name, "", "build_id", build_id, "size",
                             (json_int_t)(module->end - module->start));
    if (json == NULL)
        json = json_pack("{s:s, s:s, s:I}", "name", "(not UTF-8)", "build_id", build_id, "size",
                         (json_int_t)(module->end - module->start));
    if (!redact)
        json_object_set_new(json, "path", json_string(module->path));
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

static uint32_t module_number(struct drain_session *session, uint32_t index) {
    struct drain_stacks *stacks = session->stacks;
    if (stacks->module_numbers[index] != 0)
        return stacks->module_numbers[index];
    struct trace_error error = {""};
    char *json = module_json(module_at(session, index), stacks->redact);
    uint32_t number = json != NULL ? trace_writer_module(session->writer, json, &error) : 0;
    free(json);
    if (number == 0)
        drain_session_fail(session, error.text[0] != '\0' ? error.text : "out of memory");
    stacks->module_numbers[index] = number;
    return number;
}

// ---------------------------------------------------------------- frames

static bool places_grow(struct drain_stacks *stacks, uint32_t number) {
    if (number < stacks->place_capacity)
        return true;
    uint32_t capacity = 2 * number + 256;
    struct frame_place *places = realloc(stacks->places, capacity * sizeof *places);
    if (places == NULL)
        return false;
    stacks->places = places;
    stacks->place_capacity = capacity;
    return true;
}

// The number of the frame that returns to this address; 0 if the session has failed.
static uint32_t frame_number(struct drain_session *session, uint64_t address, uint32_t modules) {
    struct drain_stacks *stacks = session->stacks;
    struct frame_place place = {.offset = address - 1}; // inside the calling instruction
    uint32_t found = module_find(session, place.offset, modules);
    if (found != 0) {
        place.module = module_number(session, found - 1);
        place.offset -= module_at(session, found - 1)->start;
    }
    struct number_slot *slot = table_find(&stacks->frames, place.offset, place.module);
    if (slot->number != 0 || session->failed)
        return slot->number;
    uint32_t number = (uint32_t)stacks->frames.count + 1;
    struct number_slot content = {place.offset, place.module, number};
    if (!places_grow(stacks, number) || !table_add(&stacks->frames, slot, &content)) {
        drain_session_fail(session, "out of memory");
        return 0;
    }
    stacks->places[number] = place;
    return number;
}

static struct ring_place *places_of(const struct ring_session *ring) {
    return (struct ring_place *)((uintptr_t)ring + ring->places_offset);
}

static uint32_t frame_of_place(struct drain_session *session, uint32_t number) {
    uint32_t *frame = &session->stacks->frame_of[number];
    const struct ring_place *place = &places_of(session->ring)[number];
    if (*frame == 0)
        *frame = frame_number(session, place->address, place->modules);
    return *frame;
}

void drain_stacks_prepare(struct ring_session *ring) {
    places_of(ring)[RING_PLACE_CUT].address = RING_STACK_CUT;
    atomic_store(&ring->place_count, RING_PLACE_CUT + 1);
}

// ---------------------------------------------------------------- nodes

// One more frame inwards. 0 if the session has failed.
static uint32_t node_number(struct drain_session *session, uint32_t parent, uint32_t frame) {
    struct drain_stacks *stacks = session->stacks;
    if (frame == 0)
        return 0;
    uint64_t key = (uint64_t)parent << 32 | frame;
    struct number_slot *slot = table_find(&stacks->nodes, key, 0);
    if (slot->number != 0 || session->failed)
        return slot->number;
    struct trace_error error = {""};
    struct trace_node node = {parent, stacks->places[frame].module, stacks->places[frame].offset};
    struct number_slot content = {key, 0, trace_writer_node(session->writer, &node, &error)};
    if (content.number == 0)
        drain_session_fail(session, error.text);
    else if (!table_add(&stacks->nodes, slot, &content))
        drain_session_fail(session, "out of memory");
    return content.number;
}

static uint32_t node_of_place(struct drain_session *session, uint32_t parent, uint32_t place) {
    uint64_t key = (uint64_t)parent << 32 | place;
    struct edge *edge = &session->stacks->edges[key * 0x9e3779b97f4a7c15ull >> (64 - EDGES_LOG2)];
    if (edge->key == key)
        return edge->node;
    uint32_t node = node_number(session, parent, frame_of_place(session, place));
    if (node != 0)
        *edge = (struct edge){key, node};
    return node;
}

// ---------------------------------------------------------------- a ring's stack

static bool has_stack(const struct ring_record *record) {
    switch (record->op) {
    case TRACE_MALLOC:
    case TRACE_CALLOC:
    case TRACE_ALIGNED:
    case TRACE_REALLOC_RELEASE:
    case TRACE_ALLOC_FAIL:
    case RING_OP_STACK:
    case RING_OP_STACK_SPELLED:
        return true;
    default:
        return false;
    }
}

static void trail_add(struct drain_trail *trail, uint32_t node) {
    if (trail->count < sizeof trail->nodes / sizeof *trail->nodes)
        trail->nodes[trail->count++] = node;
}

static uint32_t trail_node(const struct drain_trail *trail) {
    return trail->count > 0 ? trail->nodes[trail->count - 1] : 0;
}

// By the places alone, and how many.
static uint64_t group_key(uint64_t packed, uint32_t count) {
    uint64_t bits = 17 * count;
    return (packed >> 10 & ((1ull << bits) - 1)) << 2 | count;
}

static struct group *group_of(const struct drain_session *session, uint32_t parent, uint64_t key) {
    uint64_t hash = (key ^ (uint64_t)parent << 31) * 0x9e3779b97f4a7c15ull;
    hash = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9ull;
    return &session->stacks->groups[hash >> (64 - GROUPS_LOG2)];
}

static void trail_add_places(struct drain_session *session, struct drain_trail *trail,
                             uint64_t packed, uint32_t count) {
    if (count == 0)
        return;
    if (count > RING_INLINE_PLACES)
        count = RING_INLINE_PLACES;
    uint32_t parent = trail_node(trail), node = parent;
    uint64_t key = group_key(packed, count);
    struct group *group = group_of(session, parent, key);
    if (group->places != key || group->parent != parent) {
        struct group found = {.places = key, .parent = parent};
        for (uint32_t i = 0; i < count; i++)
            node = found.nodes[i] = node_of_place(session, node, ring_stack_place(packed, i));
        if (node != 0)
            *group = found;
        else
            group = NULL; // the session has failed
    }
    for (uint32_t i = 0; i < count && group != NULL; i++)
        trail_add(trail, group->nodes[i]);
}

void drain_stack_expect(struct drain_session *session, uint32_t ring,
                        const struct ring_record *record) {
    const struct drain_trail *trail = &session->trails[ring];
    if (!has_stack(record))
        return;
    uint32_t kept = ring_stack_kept(record->stack), count = ring_stack_count(record->stack);
    if (record->op == RING_OP_STACK && record->align_log2 < RING_INLINE_PLACES)
        count = record->align_log2;
    kept = kept < trail->count ? kept : trail->count;
    if (count == 0)
        return;
    uint32_t parent = kept > 0 ? trail->nodes[kept - 1] : 0;
    __builtin_prefetch(group_of(session, parent, group_key(record->stack, count)));
}

uint32_t drain_stack_follow(struct drain_session *session, uint32_t ring,
                            const struct ring_record *record) {
    struct drain_trail *trail = &session->trails[ring];
    if (record->op >= RING_OP_MAP && record->op <= RING_OP_MAP_KEPT)
        return session->failed ? 0 : trail_node(trail);
    if (!has_stack(record))
        return 0;
    uint32_t kept = ring_stack_kept(record->stack);
    if (kept < trail->count)
        trail->count = kept;
    if (record->op == RING_OP_STACK) {
        // As stack_publish packs them.
        uint32_t count = record->align_log2;
        trail_add_places(session, trail, record->stack, count);
        trail_add_places(session, trail, record->size << 10, count > 3 ? count - 3 : 0);
        trail_add_places(session, trail, (uint64_t)record->address << 10,
                         count > 6 ? count - 6 : 0);
    } else if (record->op == RING_OP_STACK_SPELLED) {
        uint32_t frame = frame_number(session, record->address, (uint32_t)record->size);
        trail_add(trail, node_number(session, trail_node(trail), frame));
    } else {
        trail_add_places(session, trail, record->stack, ring_stack_count(record->stack));
    }
    return session->failed ? 0 : trail_node(trail);
}
