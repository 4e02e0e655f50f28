// address_map.c: which live block is which object.
//
// Owns: a hash table from address to object number: open addressing, linear probing, at most half
// full; removal moves later entries back, so there are no tombstones. Address 0 marks a free slot:
// no block has it.
//
// Threads: one at a time.
#include "drainer.h"

struct address_slot {
    uint64_t address, object;
};

enum { SLOTS_MIN = 4096 };

static uint64_t home(const struct address_map *map, uint64_t address) {
    // Blocks are aligned to 16: the low bits say nothing.
    return ((address >> 4) * 0x9e3779b97f4a7c15ull >> 20) & map->mask;
}

bool address_map_open(struct address_map *map) {
    map->slots = drain_table_make(SLOTS_MIN * sizeof *map->slots);
    map->mask = SLOTS_MIN - 1;
    map->count = 0;
    return map->slots != NULL;
}

void address_map_close(struct address_map *map) {
    drain_table_free(map->slots, (map->mask + 1) * sizeof *map->slots);
    map->slots = NULL;
}

static struct address_slot *slot_of(const struct address_map *map, uint64_t address) {
    uint64_t i = home(map, address);
    while (map->slots[i].address != 0 && map->slots[i].address != address)
        i = (i + 1) & map->mask;
    return &map->slots[i];
}

void address_map_expect(const struct address_map *map, uint64_t address) {
    __builtin_prefetch(&map->slots[home(map, address)], 1);
}

bool address_map_find(const struct address_map *map, uint64_t address, uint64_t *object) {
    const struct address_slot *slot = slot_of(map, address);
    *object = slot->object;
    return slot->address == address;
}

static bool grow(struct address_map *map) {
    struct address_map greater = {.mask = 2 * map->mask + 1, .count = map->count};
    greater.slots = drain_table_make((greater.mask + 1) * sizeof *greater.slots);
    if (greater.slots == NULL)
        return false;
    for (uint64_t i = 0; i <= map->mask; i++)
        if (map->slots[i].address != 0)
            *slot_of(&greater, map->slots[i].address) = map->slots[i];
    drain_table_free(map->slots, (map->mask + 1) * sizeof *map->slots);
    *map = greater;
    return true;
}

bool address_map_add(struct address_map *map, uint64_t address, uint64_t object) {
    if (2 * map->count > map->mask && !grow(map))
        return false;
    *slot_of(map, address) = (struct address_slot){address, object};
    map->count++;
    return true;
}

bool address_map_remove(struct address_map *map, uint64_t address, uint64_t *object) {
    struct address_slot *slot = slot_of(map, address);
    if (slot->address != address)
        return false;
    *object = slot->object;
    uint64_t hole = (uint64_t)(slot - map->slots);
    for (uint64_t i = (hole + 1) & map->mask; map->slots[i].address != 0; i = (i + 1) & map->mask) {
        // An entry may fill the hole if the hole lies between its home and where it is.
        uint64_t distance = (i - home(map, map->slots[i].address)) & map->mask;
        if (distance >= ((i - hole) & map->mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole].address = 0;
    map->count--;
    return true;
}
