// memory.c: the arena, and going back to an earlier state of it.
//
// Owns: the reservation, the copy that a snapshot takes, what a reset must undo. Knows from
// state.h which parts of MF2's metadata can have been written: nothing beyond fresh_page and
// thread_high.
// Does not know: fibers.
//
// The whole arena is memory that reads as zero until it is written, so that a commit has nothing
// to do. The arena starts at a multiple of 1 GiB: an alignment up to that is one of offsets, too,
// and where the OS puts the arena decides nothing.
#include "world_internal.h"
#include "world_os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGNMENT   (UINT64_C(1) << 30)
#define OS_PAGE_BYTES     UINT64_C(4096)
#define DISCARD_BYTES_MIN (UINT64_C(1) << 20) // less is zeroed sooner than it is mapped anew

static char *page_memory(const struct world *world, uint32_t page) {
    return world->arena + ((uint64_t)page << world->mf2->page_shift);
}

static void zero(char *memory, uint64_t bytes) {
    if (bytes < DISCARD_BYTES_MIN) {
        memset(memory, 0, bytes);
        return;
    }
    // Whole pages of the OS can be discarded; the ends may share theirs with what stays.
    uint64_t before = -(uintptr_t)memory % OS_PAGE_BYTES;
    uint64_t behind = ((uintptr_t)memory + bytes) % OS_PAGE_BYTES;
    memset(memory, 0, before);
    world_os_discard(memory + before, bytes - before - behind);
    memset(memory + bytes - behind, 0, behind);
}

bool world_memory_create(struct world *world, char *message, size_t message_size) {
    const struct mf2_config *config = &world->options.mf2;
    if (!config->geometry || mf2_metadata_bytes(config) == 0) {
        snprintf(message, message_size,
                 "an arena of %llu bytes has no room for MF2's metadata of %u threads and a page",
                 (unsigned long long)config->arena_bytes, config->thread_limit);
        return false;
    }
    world->arena_bytes = config->arena_bytes;
    world->arena = world_os_reserve(config->arena_bytes, ARENA_ALIGNMENT, false);
    if (!world->arena) {
        snprintf(message, message_size, "no address space for an arena of %llu bytes",
                 (unsigned long long)config->arena_bytes);
        return false;
    }
    world->mf2 = mf2_init(world->arena, config);
    return true;
}

void world_memory_destroy(struct world *world) {
    struct world_saved *saved = &world->saved;
    for (size_t i = 0; i < WORLD_RANGES; i++) {
        free(saved->copies[i]);
    }
    free(saved->selves);
    if (world->arena) {
        world_os_release(world->arena, world->arena_bytes);
    }
}

void world_memory_purge(struct world *world, uint64_t offset, uint64_t bytes) {
    zero((char *)world->mf2 + offset, bytes);
}

// ---------------------------------------------------------------- snapshot and reset

// Where MF2's metadata can have been written; the arena's pages are the last range. Elements of a
// range are used from its beginning: what lies beyond `used` reads as zero.
static void find_ranges(struct world *world, struct world_range ranges[WORLD_RANGES]) {
    struct mf2_state *state = world->mf2;
    uint32_t first = state->first_page;
    uint32_t pages = state->fresh_page - first;
    uint32_t batches = state->batch_fresh.value;
    size_t masks = (size_t)state->geometry->class_count * state->mask_words;
    struct world_range found[WORLD_RANGES] = {
        {(char *)state, sizeof *state, 1},
        {(char *)state->page_class + first, 1, pages},
        {(char *)(state->pages + first), sizeof *state->pages, pages},
        {(char *)state + state->threads_offset, state->thread_bytes, state->thread_high.value},
        {(char *)state + state->masks_offset, sizeof(mf2_atomic_u64), masks},
        {(char *)state + state->batches_offset, sizeof(struct mf2_batch), batches},
        {page_memory(world, first), (size_t)1 << state->page_shift, pages},
    };
    memcpy(ranges, found, sizeof found);
}

bool world_memory_snapshot(struct world *world) {
    struct world_saved *saved = &world->saved;
    find_ranges(world, saved->ranges);
    saved->taken = true;
    for (size_t i = 0; i < WORLD_RANGES; i++) {
        size_t bytes = saved->ranges[i].element_bytes * saved->ranges[i].used;
        saved->copies[i] = malloc(bytes ? bytes : 1); // malloc(0) may be NULL
        saved->taken = saved->taken && saved->copies[i];
        if (saved->copies[i]) {
            memcpy(saved->copies[i], saved->ranges[i].place, bytes);
        }
    }
    return saved->taken;
}

void world_memory_reset(struct world *world) {
    const struct world_saved *saved = &world->saved;
    struct world_range now[WORLD_RANGES];
    find_ranges(world, now); // before the header, which says how much is used, is put back
    for (size_t i = 0; i < WORLD_RANGES; i++) {
        const struct world_range *range = &saved->ranges[i];
        size_t kept_bytes = range->element_bytes * range->used;
        memcpy(range->place, saved->copies[i], kept_bytes);
        if (now[i].used > range->used) {
            zero(range->place + kept_bytes, (now[i].used - range->used) * range->element_bytes);
        }
    }
}
