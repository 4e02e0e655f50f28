// measure_migrations.c: which thread took how many pages of which other: the table behind the
// result's `migrations`.
//
// Nothing is hooked into MF2. A thread's slot counts its owner changes, and each slot how many
// pages were taken from it; so after an operation whose own count has moved, the slots whose count
// has moved too are those that it took from. That costs a comparison an operation, and a walk over
// the slots only where a page changed hands.
#include "program_internal.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_AT_FIRST 64

static uint32_t place_of(uint32_t capacity, uint32_t from, uint32_t to) {
    uint64_t hash = ((uint64_t)from << 32 | to) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(hash >> 32) & (capacity - 1);
}

static struct program_migration *probe(struct program_migration *slots, uint32_t capacity,
                                       uint32_t from, uint32_t to) {
    uint32_t i = place_of(capacity, from, to);
    while (slots[i].pages > 0 && (slots[i].from != from || slots[i].to != to))
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static bool make_room(struct program_migrations *migrations) {
    if (migrations->count * 2 < migrations->capacity)
        return true;
    uint32_t capacity = migrations->capacity == 0 ? CAPACITY_AT_FIRST : migrations->capacity * 2;
    struct program_migration *larger = calloc(capacity, sizeof *larger);
    if (larger == NULL)
        return false;
    for (uint32_t i = 0; i < migrations->capacity; i++) {
        const struct program_migration *old = &migrations->slots[i];
        if (old->pages > 0)
            *probe(larger, capacity, old->from, old->to) = *old;
    }
    free(migrations->slots);
    migrations->slots = larger;
    migrations->capacity = capacity;
    return true;
}

static bool add(struct program_migrations *migrations, uint32_t from, uint32_t to, uint64_t pages) {
    if (!make_room(migrations))
        return false;
    struct program_migration *entry = probe(migrations->slots, migrations->capacity, from, to);
    migrations->count += entry->pages == 0;
    entry->from = from;
    entry->to = to;
    entry->pages += pages;
    return true;
}

bool program_migrations_slot(struct program_result *result, uint32_t slot, uint32_t thread) {
    struct program_migrations *migrations = &result->migrations;
    if (slot >= migrations->seen_count) {
        uint32_t count = migrations->seen_count == 0 ? 16 : migrations->seen_count;
        while (count <= slot)
            count *= 2;
        void *larger = realloc(migrations->seen, count * sizeof *migrations->seen);
        if (larger == NULL)
            return false;
        migrations->seen = larger;
        memset(&migrations->seen[migrations->seen_count], 0,
               (count - migrations->seen_count) * sizeof *migrations->seen);
        migrations->seen_count = count;
    }
    migrations->seen[slot].thread_plus_one = thread + 1;
    return true;
}

static bool take_from(struct program_result *result, uint32_t slot, uint32_t thread) {
    struct program_slot_seen *seen = &result->migrations.seen[slot];
    uint32_t now = mf2_thread_of_slot(result->state, slot)->adopted_from.value;
    uint32_t taken = now - seen->adopted_from;
    seen->adopted_from = now;
    return taken == 0 || seen->thread_plus_one == 0 ||
           add(&result->migrations, seen->thread_plus_one - 1, thread, taken);
}

bool program_migrations_look(struct program_result *result, uint32_t slot) {
    struct program_slot_seen *own = &result->migrations.seen[slot];
    uint64_t changes = mf2_thread_of_slot(result->state, slot)->counters.owner_changes;
    if (changes == own->owner_changes)
        return true;
    own->owner_changes = changes;
    for (uint32_t i = 1; i < result->migrations.seen_count; i++)
        if (i <= result->state->thread_high.value &&
            !take_from(result, i, own->thread_plus_one - 1))
            return false;
    return true;
}

void program_migrations_free(struct program_migrations *migrations) {
    free(migrations->slots);
    free(migrations->seen);
}
