// trace_live.h: the live objects of a trace while it is read, by number.
//
// Not for other floors: they include trace.h. One table belongs to one thread at a time; memory
// follows the live objects (32 bytes each, at most three quarters of the table full).
#ifndef HAK_TRACE_LIVE_H
#define HAK_TRACE_LIVE_H

#include "trace_internal.h"

#include <assert.h>

struct live_object {
    uint64_t key; // object + 1; 0 = the slot is free
    uint64_t size;
    uint64_t address; // 0 = not known, or not to be looked for
    uint32_t creator; // thread
    uint32_t stack;   // node of the creating call, 0 = none
};
static_assert(sizeof(struct live_object) == 32, "two slots fill a cache line");

struct live_table {
    struct live_object *slots;
    size_t slot_count; // a power of two
    size_t count;
};

// Eight consecutive objects have neighbouring homes, since objects made together tend to be used
// together; groups of eight are scattered, so that long-lived runs do not pile up.
static inline size_t trace_live_home(const struct live_table *table, uint64_t key) {
    uint64_t object = key - 1;
    uint64_t group = (object >> 3) * UINT64_C(0x9e3779b97f4a7c15);
    group ^= group >> 32;
    return (size_t)(group << 3 | (object & 7)) & (table->slot_count - 1);
}

// NULL if the object is not live. Valid until the table is changed.
static inline struct live_object *trace_live_find(const struct live_table *table, uint64_t object) {
    uint64_t key = object + 1;
    size_t slot = trace_live_home(table, key);
    while (table->slots[slot].key != key) {
        if (table->slots[slot].key == 0)
            return NULL;
        slot = (slot + 1) & (table->slot_count - 1);
    }
    return &table->slots[slot];
}

// False when memory is out; the table is then as before.
bool trace_live_begin(struct live_table *table);
bool trace_live_add(struct live_table *table, const struct live_object *live);
void trace_live_remove(struct live_table *table, struct live_object *live);
void trace_live_free(struct live_table *table);

#endif
