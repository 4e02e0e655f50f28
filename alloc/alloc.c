// alloc.c: allocation. The fast path takes a block of the active page, one that was freed or one
// never given out; everything else is behind mf2_alloc_slow, which is the order of reuse read from
// top to bottom.
#include "internal.h"

#include <string.h>

// ---------------------------------------------------------------- one block of a page with blocks

static inline void *pop_free(struct mf2_state *state, struct MidPage *page, uint16_t unit) {
    uint16_t next = mf2_page_link(state, page, unit);
    page->used++;
    page->free = next;
    return mf2_page_block(state, page, unit);
}

static inline void *take_block(struct mf2_state *state, struct MidPage *page, bool *zeroed) {
    *zeroed = false;
    uint16_t unit = page->free;
    if (MF2_LIKELY(unit != MF2_UNIT_NONE))
        return pop_free(state, page, unit);
    unit = page->fresh_unit;
    if (unit == page->end_unit)
        return NULL;
    *zeroed = page->zeroed;
    page->used++;
    page->fresh_unit = (uint16_t)(unit + page->stride_units);
    return mf2_page_block(state, page, unit);
}

// ---------------------------------------------------------------- the slow path

static struct MidPage *mf2_alloc_new_page(struct mf2_state *state, struct MF2_ThreadPages *self,
                                          uint32_t class_index) {
    bool zeroed, recycled;
    uint32_t number = mf2_heap_take(state, 1, &zeroed, &recycled);
    if (!number)
        return NULL;
    struct mf2_class_counters *counters = &self->classes[class_index];
    if (recycled) {
        self->counters.recycled_pages++;
        counters->recycled_pages++;
    } else {
        self->counters.new_page_count++;
        counters->new_pages++;
        if (state->route.must_reuse)
            self->counters.new_page_forced++;
    }
    mf2_page_format(state, &state->pages[number], class_index, self->slot, zeroed);
    return &state->pages[number];
}

// Must-reuse gate, first part: own pages with pending frees, at most `budget` of them.
static bool reuse_own_pending(struct mf2_state *state, struct MF2_ThreadPages *self,
                              uint32_t class_index) {
    for (uint32_t i = 0; i < state->route.budget; i++) {
        struct MidPage *page = mf2_dequeue_pending(state, self, class_index);
        if (!page)
            return false;
        bool activated = mf2_try_drain_and_activate(state, self, class_index, page);
        if (activated) {
            self->counters.pending_drained++;
            self->counters.mustreuse_hit++;
            return true;
        }
    }
    return false;
}

// Must-reuse gate, second part: the active page's own remote frees.
static bool drain_active(struct mf2_state *state, struct MF2_ThreadPages *self,
                         uint32_t class_index) {
    struct MidPage *page = self->bins[class_index].active;
    if (page == &mf2_no_page)
        return false;
    uint32_t remotes = mf2_protocol_remotes(state, page);
    if (remotes == 0)
        return false;
    uint32_t drained = mf2_drain_remote_frees(state, page);
    if (drained == 0)
        return false;
    self->counters.drained_blocks += drained;
    self->counters.active_drain_hit++;
    return true;
}

static bool reuse_partial(struct mf2_state *state, struct MF2_ThreadPages *self,
                          uint32_t class_index) {
    struct MidPage *page = mf2_partial_pop(state, self, class_index);
    if (!page)
        return false;
    mf2_activate(state, self, page);
    self->counters.partial_hit++;
    mf2_count_reuse(self, class_index);
    return true;
}

// Makes the bin's active page one that has a block. False: there is no memory.
static bool refill(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index) {
    const struct mf2_route *route = &state->route;
    if (route->partial && reuse_partial(state, self, class_index))
        return true;
    if (route->must_reuse) {
        if (reuse_own_pending(state, self, class_index))
            return true;
        if (drain_active(state, self, class_index))
            return true;
    }
    if (mf2_try_adopt_orphan(state, self, class_index))
        return true;
    if (mf2_try_adopt_pending(state, self, class_index))
        return true;
    struct MidPage *page = mf2_alloc_new_page(state, self, class_index);
    if (!page)
        return false;
    mf2_activate(state, self, page);
    return true;
}

static MF2_NOINLINE void *mf2_alloc_slow(struct mf2_state *state, uint32_t class_index,
                                         bool *zeroed) {
    struct MF2_ThreadPages *self = mf2_thread_ensure(state);
    if (!self) // every slot is taken: pages of its own for this block
        return mf2_large_alloc(state, state->geometry->block_bytes[class_index], 1);
    self->counters.slow_paths++;
    if (state->route.helper)
        mf2_helper_start_if_wanted(state);
    if (state->clock_wanted) {
        uint64_t now_ns = mf2_clock_ns();
        mf2_store_relaxed(&self->last_slow_ns, now_ns);
    }
    bool refilled = refill(state, self, class_index);
    return refilled ? take_block(state, self->bins[class_index].active, zeroed) : NULL;
}

// ---------------------------------------------------------------- the fast path

static inline void *mf2_alloc_fast(struct mf2_state *state, uint32_t class_index, bool *zeroed) {
    void *block = take_block(state, mf2_self()->bins[class_index].active, zeroed);
    return MF2_LIKELY(block != NULL) ? block : mf2_alloc_slow(state, class_index, zeroed);
}

static MF2_NOINLINE void *alloc_uncommon(size_t bytes, size_t alignment, bool *zeroed) {
    struct mf2_state *state = mf2_state_ensure();
    if (!state)
        return NULL;
    uint32_t class_index = state->geometry->class_count;
    if (bytes <= state->class_bytes_max)
        class_index = mf2_geometry_class(state->geometry, bytes, alignment);
    if (class_index < state->geometry->class_count)
        return mf2_alloc_fast(state, class_index, zeroed);
    *zeroed = true;
    return mf2_large_alloc(state, bytes, alignment);
}

static inline void *alloc_bytes(size_t bytes, bool *zeroed) {
    struct mf2_state *state = mf2_state();
    if (MF2_UNLIKELY(bytes > state->class_bytes_max || mf2_self()->slot == MF2_SLOT_NONE))
        return alloc_uncommon(bytes, 1, zeroed);
    uint32_t class_index = state->class_of_unit[(bytes + MF2_UNIT_BYTES - 1) / MF2_UNIT_BYTES];
    return mf2_alloc_fast(state, class_index, zeroed);
}

void *mf2_malloc(size_t bytes) {
    bool zeroed;
    return alloc_bytes(bytes, &zeroed);
}

void *mf2_calloc(size_t count, size_t bytes) {
    size_t total;
    bool zeroed;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    void *block = alloc_bytes(total, &zeroed);
    if (block && !zeroed)
        memset(block, 0, total);
    return block;
}

void *mf2_aligned_alloc(size_t alignment, size_t bytes) {
    bool zeroed;
    if (alignment <= MF2_UNIT_BYTES)
        return alloc_bytes(bytes, &zeroed);
    return alloc_uncommon(bytes, alignment, &zeroed);
}
