// state.c: an instance is laid out and started. See state.h for the picture.
#include "internal.h"

#include <string.h>

struct layout {
    uint64_t masks_offset, batches_offset, threads_offset, thread_bytes, pages_offset;
    uint64_t metadata_bytes;
    uint32_t page_count, mask_words, batch_limit;
};

static uint64_t round_up(uint64_t value, uint64_t to) {
    return (value + to - 1) / to * to;
}

static uint64_t round_down(uint64_t value, uint64_t to) {
    return value / to * to;
}

#define BATCH_ARENA_BYTES 32768 // of the arena, per batch: of a small one batches are 1/64

// Every class's depot full, and a batch in the hands of each of some threads.
static uint32_t batches_at_most(const struct mf2_config *config) {
    uint64_t room = config->arena_bytes / BATCH_ARENA_BYTES;
    uint32_t batches = 0;
    for (uint32_t k = 0; k < config->geometry->class_count; k++)
        batches += mf2_depot_batches(config->geometry, &config->route, k);
    if (batches > room)
        batches = (uint32_t)room;
    return batches ? batches + 64 : 0;
}

static bool lay_out(const struct mf2_config *config, struct layout *layout) {
    uint64_t page_bytes = config->geometry->page_bytes;
    uint64_t page_count = config->arena_bytes / page_bytes;
    if (page_count == 0 || page_count > UINT32_MAX || config->thread_limit == 0)
        return false;
    layout->page_count = (uint32_t)page_count;
    layout->masks_offset = round_up(sizeof(struct mf2_state) + page_count, MF2_LINE);
    layout->mask_words = (config->thread_limit + 63) / 64;
    uint64_t masks_bytes =
        (uint64_t)config->geometry->class_count * layout->mask_words * sizeof(uint64_t);
    layout->batches_offset = round_up(layout->masks_offset + masks_bytes, MF2_LINE);
    layout->batch_limit = batches_at_most(config);
    // From here on memory may come bit by bit, page by page of it.
    layout->threads_offset =
        round_up(layout->batches_offset + (uint64_t)layout->batch_limit * sizeof(struct mf2_batch),
                 page_bytes);
    layout->thread_bytes = mf2_thread_bytes(config->geometry, &config->route);
    layout->pages_offset = round_up(
        layout->threads_offset + (uint64_t)config->thread_limit * layout->thread_bytes, page_bytes);
    layout->metadata_bytes =
        round_up(layout->pages_offset + page_count * sizeof(struct MidPage), page_bytes);
    return layout->metadata_bytes + page_bytes <= page_count * page_bytes;
}

uint64_t mf2_metadata_bytes(const struct mf2_config *config) {
    struct layout layout;
    return lay_out(config, &layout) ? layout.metadata_bytes : 0;
}

uint64_t mf2_metadata_bytes_at_once(const struct mf2_config *config) {
    struct layout layout;
    return lay_out(config, &layout) ? layout.threads_offset : 0;
}

bool mf2_metadata_ready(struct mf2_state *state, uint64_t *ready, uint64_t end) {
    if (end <= *ready)
        return true;
    uint64_t wanted = round_up(end, (uint64_t)1 << state->page_shift);
    bool usable = mf2_back(state, *ready, wanted - *ready);
    if (usable)
        *ready = wanted;
    return usable;
}

static uint8_t class_plus_one(const struct mf2_geometry *geometry, size_t bytes) {
    uint32_t k = mf2_geometry_class(geometry, 0, bytes, 1);
    return k < geometry->class_count ? (uint8_t)(k + 1) : 0;
}

static void fill_class_table(struct mf2_state *state) {
    const struct mf2_geometry *geometry = state->geometry;
    state->class_bytes_max = geometry->block_bytes[geometry->class_count - 1];
    for (uint32_t unit = 0; unit <= MF2_TABLE_BYTES / MF2_UNIT_BYTES; unit++)
        state->class_of_unit[unit] = class_plus_one(geometry, (size_t)unit * MF2_UNIT_BYTES);
}

struct mf2_state *mf2_init(void *arena, const struct mf2_config *config) {
    struct layout layout;
    if (!lay_out(config, &layout))
        return NULL;
    struct mf2_state *state = arena;
    uint64_t page_bytes = config->geometry->page_bytes;
    state->geometry = config->geometry;
    state->route = config->route;
    state->page_shift = (uint32_t)__builtin_ctz(config->geometry->page_bytes);
    state->page_count = layout.page_count;
    state->arena_bytes = (uint64_t)layout.page_count << state->page_shift;
    state->first_page = (uint32_t)(layout.metadata_bytes >> state->page_shift);
    state->fresh_page = state->first_page;
    // The first one has a neighbour; the other pages of the metadata are never looked at.
    state->pages_ready = round_down(
        layout.pages_offset + (state->first_page - 1) * sizeof(struct MidPage), page_bytes);
    state->committed_page = state->first_page;
    state->thread_limit = config->thread_limit;
    state->mask_words = layout.mask_words;
    state->pages = (struct MidPage *)(void *)((char *)arena + layout.pages_offset);
    state->pages_offset = layout.pages_offset;
    state->threads_offset = layout.threads_offset;
    state->threads_ready = layout.threads_offset;
    state->thread_bytes = layout.thread_bytes;
    state->masks_offset = layout.masks_offset;
    state->batches_offset = layout.batches_offset;
    state->batch_limit = layout.batch_limit;
    state->helper_wanted =
        (config->route.helper || config->route.purge_ns) && !config->without_helper;
    state->watching = config->route.front != 0;
    state->count_owner_states = config->count_owner_states;
    state->clock_wanted =
        config->count_owner_states || config->route.gate_idle || config->route.helper;
    fill_class_table(state);
    return state;
}
