// trace_live.c: see trace_live.h.
//
// Open addressing; deleting moves later entries back, so that there are no tombstones.
#include "trace_live.h"

#include <stdlib.h>

enum { SLOTS_MIN = 1024 };

bool trace_live_begin(struct live_table *table) {
    *table = (struct live_table){.slots = calloc(SLOTS_MIN, sizeof *table->slots),
                                 .slot_count = SLOTS_MIN};
    return table->slots != NULL;
}

void trace_live_free(struct live_table *table) {
    free(table->slots);
    *table = (struct live_table){0};
}

static void place(struct live_table *table, const struct live_object *live) {
    size_t slot = trace_live_home(table, live->key);
    while (table->slots[slot].key != 0)
        slot = (slot + 1) & (table->slot_count - 1);
    table->slots[slot] = *live;
}

static bool grow(struct live_table *table) {
    struct live_table grown = {.slot_count = 2 * table->slot_count, .count = table->count};
    grown.slots = calloc(grown.slot_count, sizeof *grown.slots);
    if (!grown.slots)
        return false;
    for (size_t slot = 0; slot < table->slot_count; slot++)
        if (table->slots[slot].key != 0)
            place(&grown, &table->slots[slot]);
    free(table->slots);
    *table = grown;
    return true;
}

bool trace_live_add(struct live_table *table, const struct live_object *live) {
    if (table->count + 1 > table->slot_count / 4 * 3 && !grow(table))
        return false;
    place(table, live);
    table->count++;
    return true;
}

void trace_live_remove(struct live_table *table, struct live_object *live) {
    size_t mask = table->slot_count - 1;
    size_t hole = (size_t)(live - table->slots);
    for (size_t slot = (hole + 1) & mask; table->slots[slot].key != 0; slot = (slot + 1) & mask) {
        size_t home = trace_live_home(table, table->slots[slot].key);
        // The entry may move back if its home is not between the hole and itself.
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            table->slots[hole] = table->slots[slot];
            hole = slot;
        }
    }
    table->slots[hole].key = 0;
    table->count--;
}
