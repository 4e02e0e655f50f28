// preload_place.c: the session's table of places (ring.h).
//
// Owns: giving a return address its place, with the rule that leads outwards from it.
// Does not own: the cache of each thread before this table (preload_walk.c).
//
// Threads: lock-free and insert-only. A place is written whole, then published by one
// compare-and-swap of an index slot. Two threads that meet the same address at once may waste a
// place. A full table answers "no room".
#include "libhakrec.h"

enum { PROBES_MAX = 64 };

static struct ring_place *places(void) {
    return (struct ring_place *)((char *)rec_session + rec_session->places_offset);
}

static _Atomic uint32_t *place_slots(void) {
    return (_Atomic uint32_t *)((char *)rec_session + rec_session->place_index_offset);
}

// ---------------------------------------------------------------- places

static void place_describe(struct ring_place *place, uint64_t address, uint32_t epoch) {
    rec_module_cover(address);
    place->rule = rec_rule_of(address - 1);
    place->address = address;
    place->epoch = epoch;
    place->modules =
        (uint16_t)atomic_load_explicit(&rec_session->module_count, memory_order_acquire);
}

// 0 when the table is full.
static uint32_t place_append(const struct ring_place *place) {
    uint32_t number = atomic_load_explicit(&rec_session->place_count, memory_order_relaxed);
    do {
        if (number >= rec_session->places_max || number >= RING_PLACES_MAX)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&rec_session->place_count, &number, number + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    places()[number] = *place;
    return number;
}

uint32_t rec_place_of(uint64_t address, uint32_t epoch, struct ring_place *copy) {
    uint64_t hash = (address ^ (uint64_t)epoch << 48) * 0x9e3779b97f4a7c15ull >> 32;
    uint32_t own = 0;
    for (unsigned probe = 0; probe < PROBES_MAX; probe++) {
        _Atomic uint32_t *slot = &place_slots()[(hash + probe) & (RING_PLACE_SLOTS - 1)];
        // Acquire pairs with the swap below, by whichever thread wrote that place.
        uint32_t number = atomic_load_explicit(slot, memory_order_acquire);
        if (number == 0) {
            if (own == 0) {
                place_describe(copy, address, epoch);
                own = place_append(copy);
            }
            if (own == 0)
                return 0;
            if (atomic_compare_exchange_strong_explicit(slot, &number, own, memory_order_acq_rel,
                                                        memory_order_acquire))
                return own;
        }
        const struct ring_place *place = &places()[number];
        if (place->address == address && place->epoch == epoch) {
            *copy = *place;
            return number;
        }
    }
    place_describe(copy, address, epoch);
    return 0;
}
