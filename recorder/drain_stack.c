// drain_stack.c: from the program's stacks to the trace's tree of frames.
//
// Owns: which stack of the program's table (ring.h) is which node, which node has which parent and
// place, which loaded file has which module number. Each stack, node and module is written to the
// trace once, when the first event needs it.
//
// An address belongs to the latest module of the log, as far as it was known when the stack was
// taken, that covers it; failing that to a later one (the log was being extended by another
// thread at that moment).
#include "drainer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct node_slot {
    uint32_t node; // 0 = free
    uint32_t parent, module;
    uint64_t offset;
};

struct place { // a resolved address
    uint64_t address;
    uint32_t modules; // how much of the log was known
    uint32_t module;
    uint64_t offset;
};

enum { NODE_SLOTS_MIN = 1 << 14, PLACES = 1 << 13 };

struct drain_stacks {
    bool redact;
    uint32_t *nodes; // by arena word of the stack; 0 = not met yet
    struct node_slot *slots;
    uint64_t slot_mask, slot_count;
    uint32_t module_numbers[RING_MODULES_MAX]; // in the trace; 0 = not written yet
    struct place places[PLACES];               // a cache
};

static const size_t nodes_bytes = (size_t)RING_STACK_ARENA_WORDS * sizeof(uint32_t);

struct drain_stacks *drain_stacks_open(const struct drain_options *options) {
    struct drain_stacks *stacks = calloc(1, sizeof *stacks);
    if (stacks == NULL)
        return NULL;
    stacks->redact = options->redact;
    stacks->slot_mask = NODE_SLOTS_MIN - 1;
    stacks->slots = calloc(NODE_SLOTS_MIN, sizeof *stacks->slots);
    stacks->nodes = mmap(NULL, nodes_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks->slots != NULL && stacks->nodes != MAP_FAILED)
        return stacks;
    free(stacks->slots);
    free(stacks);
    return NULL;
}

void drain_stacks_close(struct drain_stacks *stacks) {
    if (stacks == NULL)
        return;
    munmap(stacks->nodes, nodes_bytes);
    free(stacks->slots);
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

// ---------------------------------------------------------------- nodes

static const struct place *place_of(struct drain_session *session, uint64_t address,
                                    uint32_t modules) {
    uint64_t hash = (address ^ modules) * 0x9e3779b97f4a7c15ull >> 32;
    struct place *place = &session->stacks->places[hash % PLACES];
    if (place->address == address && place->modules == modules)
        return place;
    uint64_t call = address - 1; // inside the calling instruction
    uint32_t found = module_find(session, call, modules);
    *place = (struct place){.address = address, .modules = modules, .offset = call};
    if (found != 0) {
        place->module = module_number(session, found - 1);
        place->offset = call - module_at(session, found - 1)->start;
    }
    return place;
}

static struct node_slot *slot_of(struct drain_stacks *stacks, const struct trace_node *node) {
    uint64_t hash = (node->offset ^ (uint64_t)node->module << 40) * 0x9e3779b97f4a7c15ull;
    uint64_t i = ((hash ^ node->parent) * 0xff51afd7ed558ccdull >> 24) & stacks->slot_mask;
    while (stacks->slots[i].node != 0 &&
           (stacks->slots[i].parent != node->parent || stacks->slots[i].module != node->module ||
            stacks->slots[i].offset != node->offset))
        i = (i + 1) & stacks->slot_mask;
    return &stacks->slots[i];
}

static bool slots_grow(struct drain_stacks *stacks) {
    struct node_slot *old = stacks->slots;
    uint64_t old_mask = stacks->slot_mask;
    struct node_slot *slots = calloc(2 * (old_mask + 1), sizeof *slots);
    if (slots == NULL)
        return false;
    stacks->slots = slots;
    stacks->slot_mask = 2 * old_mask + 1;
    for (uint64_t i = 0; i <= old_mask; i++) {
        struct trace_node node = {old[i].parent, old[i].module, old[i].offset};
        if (old[i].node != 0)
            *slot_of(stacks, &node) = old[i];
    }
    free(old);
    return true;
}

static uint32_t node_number(struct drain_session *session, const struct trace_node *node) {
    struct drain_stacks *stacks = session->stacks;
    struct node_slot *slot = slot_of(stacks, node);
    if (slot->node != 0)
        return slot->node;
    struct trace_error error = {""};
    uint32_t number = trace_writer_node(session->writer, node, &error);
    if (number == 0) {
        drain_session_fail(session, error.text);
        return 0;
    }
    *slot = (struct node_slot){number, node->parent, node->module, node->offset};
    if (2 * ++stacks->slot_count > stacks->slot_mask && !slots_grow(stacks))
        drain_session_fail(session, "out of memory");
    return number;
}

static uint32_t node_of_entry(struct drain_session *session, const struct ring_stack *entry) {
    uint32_t parent = 0;
    for (unsigned i = entry->count; i-- > 0 && !session->failed;) {
        const struct place *place = place_of(session, entry->frames[i], entry->modules);
        struct trace_node node = {parent, place->module, place->offset};
        parent = node_number(session, &node);
    }
    return session->failed ? 0 : parent;
}

uint32_t drain_stack_node(struct drain_session *session, uint32_t stack) {
    struct drain_stacks *stacks = session->stacks;
    if (stack == 0 || stack >= RING_STACK_ARENA_WORDS || session->failed)
        return 0;
    if (stacks->nodes[stack] == 0) {
        const struct ring_stack *entry =
            (const struct ring_stack *)((const uint64_t *)(const void *)((char *)session->ring +
                                                                         session->ring
                                                                             ->stack_arena_offset) +
                                        stack);
        stacks->nodes[stack] = node_of_entry(session, entry);
    }
    return stacks->nodes[stack];
}
