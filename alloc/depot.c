// depot.c: batches: blocks that one thread's front gave away and another's may want. Per class a
// lock-free stack (stack.h) of batches, and one stack of batches without blocks for all.
//
// What consumers free and producers allocate passes here whole: 62 blocks for a push and a pop,
// and neither a page nor a block is touched. The idea of magazines and their depot is that of
// J. Bonwick and J. Adams, "Magazines and Vmem", 2001; the blocks are copied here, so that a
// front's place in memory stays and its newest blocks stay with it.
//
// A batch belongs to who has popped it, or has taken it anew, until it is pushed. How much waits
// in a class is bounded by the route; depot_count may be above the stack's length for a moment.
#include "internal.h"
#include "stack.h"

#include <string.h>

// Small blocks are cheap to keep and dear to link one by one; programs use few of their classes
// much. Middle ones are the other way round.
#define MIDDLE_PART      16 // of what small blocks may: for those of MF2_LINK_BYTES and more
#define DEPOT_LEAST      (1u << 22) // bytes of a class, whatever the heap's size
#define HEAP_PART        4          // beyond that no more than this part of the held pages,
#define HEAP_PART_MIDDLE 128        // and of middle ones than this

static struct mf2_links batch_links(struct mf2_state *state) {
    char *batches = (char *)state + state->batches_offset - sizeof(struct mf2_batch); // from 1
    return (struct mf2_links){batches + offsetof(struct mf2_batch, next), sizeof(struct mf2_batch)};
}

// Batches that so many bytes of a class are: at least two, if the class has a front.
static uint32_t batches_in(const struct mf2_geometry *geometry, const struct mf2_route *route,
                           uint32_t class_index, uint64_t bytes) {
    uint32_t blocks = mf2_front_capacity(geometry, route, class_index) / 2;
    if (route->depot == 0 || blocks == 0)
        return 0;
    uint64_t batches = bytes / (geometry->block_bytes[class_index] * blocks);
    return batches > 2 ? (uint32_t)batches : 2;
}

static bool is_small(const struct mf2_geometry *geometry, uint32_t class_index) {
    return geometry->block_bytes[class_index] < MF2_LINK_BYTES;
}

static uint64_t bytes_at_most(const struct mf2_geometry *geometry, const struct mf2_route *route,
                              uint32_t class_index) {
    return is_small(geometry, class_index) ? route->depot : route->depot / MIDDLE_PART;
}

uint32_t mf2_depot_batches(const struct mf2_geometry *geometry, const struct mf2_route *route,
                           uint32_t class_index) {
    uint64_t bytes = bytes_at_most(geometry, route, class_index);
    return batches_in(geometry, route, class_index, bytes);
}

// The same, but of a small heap no more than a part of it.
static uint32_t batches_now(struct mf2_state *state, uint32_t class_index) {
    bool small = is_small(state->geometry, class_index);
    uint64_t held = mf2_load_relaxed(&state->held_pages);
    uint64_t bytes = (held << state->page_shift) / (small ? HEAP_PART : HEAP_PART_MIDDLE);
    uint64_t least = small ? DEPOT_LEAST : DEPOT_LEAST / MIDDLE_PART;
    uint64_t most = bytes_at_most(state->geometry, &state->route, class_index);
    if (bytes < least)
        bytes = least;
    return batches_in(state->geometry, &state->route, class_index, bytes < most ? bytes : most);
}

static uint32_t batch_new(struct mf2_state *state) {
    uint32_t number = mf2_stack_pop(&state->batches_free, batch_links(state));
    if (number)
        return number;
    uint32_t used = mf2_load_relaxed(&state->batch_fresh);
    while (used < state->batch_limit) {
        bool taken = mf2_cas_acq_rel(&state->batch_fresh, &used, used + 1);
        if (taken)
            return used + 1;
    }
    return 0;
}

bool mf2_depot_put(struct mf2_state *state, uint32_t class_index, void *const *blocks,
                   uint32_t count) {
    uint32_t waiting = mf2_load_relaxed(&state->depot_count[class_index]);
    uint32_t most = batches_now(state, class_index);
    if (waiting >= most)
        return false;
    uint32_t number = batch_new(state);
    if (!number)
        return false;
    struct mf2_batch *batch = mf2_batch_of(state, number);
    mf2_works_on(batch);
    mf2_plain_write(&batch->count, count);
    memcpy(batch->blocks, blocks, count * sizeof *blocks);
    mf2_fetch_add_relaxed(&state->depot_count[class_index], 1);
    mf2_stack_push(&state->depot[class_index], batch_links(state), number);
    bool looked_after = !state->route.purge_ns || mf2_helper_tick_wanted(state);
    if (!looked_after)
        mf2_helper_look_instead(state);
    return true;
}

uint32_t mf2_depot_take(struct mf2_state *state, uint32_t class_index, void **blocks) {
    uint32_t number = mf2_stack_pop(&state->depot[class_index], batch_links(state));
    if (!number)
        return 0;
    uint32_t left = mf2_fetch_sub_relaxed(&state->depot_count[class_index], 1) - 1;
    uint32_t low = mf2_load_relaxed(&state->depot_low[class_index]);
    if (left < low) // a race may lose this: the helper then gives back a batch too many
        mf2_store_relaxed(&state->depot_low[class_index], left);
    struct mf2_batch *batch = mf2_batch_of(state, number);
    mf2_works_on(batch);
    uint32_t count = mf2_plain_read(&batch->count);
    memcpy(blocks, batch->blocks, count * sizeof *blocks);
    mf2_stack_push(&state->batches_free, batch_links(state), number);
    return count;
}

void mf2_depot_tick(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index) {
    uint32_t unused = mf2_load_relaxed(&state->depot_low[class_index]);
    for (; unused > 0; unused--) {
        void *blocks[MF2_BATCH_BLOCKS];
        uint32_t count = mf2_depot_take(state, class_index, blocks);
        if (count == 0)
            break;
        mf2_free_to_pages(state, self, class_index, blocks, count);
    }
    uint32_t waiting = mf2_load_relaxed(&state->depot_count[class_index]);
    mf2_store_relaxed(&state->depot_low[class_index], waiting);
}
