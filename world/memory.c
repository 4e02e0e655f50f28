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
#define DISCARD_BYTES_MIN (UINT64_C(1) << 20) // less is zeroed sooner than it is mapped anew

static char *page_memory(const struct world *world, uint32_t page) {
    return world->arena + ((uint64_t)page << world->mf2->page_shift);
}

static void zero(char *memory, uint64_t bytes) {
    if (bytes >= DISCARD_BYTES_MIN) {
        world_os_discard(memory, bytes);
    } else {
        memset(memory, 0, bytes);
    }
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
    free(saved->header);
    free(saved->pages);
    free(saved->threads);
    free(saved->masks);
    free(saved->memory);
    free(saved->selves);
    if (world->arena) {
        world_os_release(world->arena, world->arena_bytes);
    }
}

void world_memory_purge(struct world *world, uint32_t page, uint32_t count) {
    zero(page_memory(world, page), (uint64_t)count << world->mf2->page_shift);
}

// ---------------------------------------------------------------- snapshot and reset

static size_t header_bytes(void) {
    return offsetof(struct mf2_state, pages);
}

static size_t mask_bytes(const struct mf2_state *state) {
    return (size_t)state->geometry->class_count * state->mask_words * sizeof(mf2_atomic_u64);
}

// malloc(0) may be NULL; a copy of nothing is not a failure.
static void *copy_of(const void *source, size_t bytes) {
    void *copy = malloc(bytes ? bytes : 1);
    if (copy && bytes) {
        memcpy(copy, source, bytes);
    }
    return copy;
}

bool world_memory_snapshot(struct world *world) {
    struct mf2_state *state = world->mf2;
    struct world_saved *saved = &world->saved;
    saved->page_count = state->fresh_page - state->first_page;
    saved->thread_count = state->thread_high.value;
    saved->header = copy_of(state, header_bytes());
    saved->pages =
        copy_of(state->pages + state->first_page, saved->page_count * sizeof *saved->pages);
    saved->threads =
        copy_of(mf2_thread_of_slot(state, 1), saved->thread_count * sizeof *saved->threads);
    saved->masks = copy_of(mf2_ready_mask(state, 0), mask_bytes(state));
    saved->memory = copy_of(page_memory(world, state->first_page),
                            (size_t)saved->page_count << state->page_shift);
    saved->taken = saved->header && saved->pages && saved->threads && saved->masks && saved->memory;
    return saved->taken;
}

// Puts `kept` elements back and zeroes those up to `used` that were not there then.
static void put_back(void *place, const void *copy, size_t kept, size_t used, size_t bytes) {
    memcpy(place, copy, kept * bytes);
    if (used > kept) {
        memset((char *)place + kept * bytes, 0, (used - kept) * bytes);
    }
}

void world_memory_reset(struct world *world) {
    struct mf2_state *state = world->mf2;
    const struct world_saved *saved = &world->saved;
    uint32_t pages_used = state->fresh_page - state->first_page;
    uint32_t first = state->first_page;
    put_back(mf2_thread_of_slot(state, 1), saved->threads, saved->thread_count,
             state->thread_high.value, sizeof *saved->threads);
    put_back(state->pages + first, saved->pages, saved->page_count, pages_used,
             sizeof *saved->pages);
    memcpy(mf2_ready_mask(state, 0), saved->masks, mask_bytes(state));
    memcpy((void *)state, saved->header, header_bytes());
    memcpy(page_memory(world, first), saved->memory,
           (size_t)saved->page_count << state->page_shift);
    if (pages_used > saved->page_count) {
        zero(page_memory(world, first + saved->page_count),
             (uint64_t)(pages_used - saved->page_count) << state->page_shift);
    }
}
