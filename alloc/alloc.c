// alloc.c: allocation. The fast path pops a block of the thread's front. Behind it stand the pages:
// the active page gives blocks that were freed or never given out, and what makes another page the
// active one is `refill`, the order of reuse read from top to bottom.
#include "fast.h"
#include "internal.h"

#include <string.h>

#define REAP_PAGES 16 // emptied pages worth a look, beside 1/REAP_PART of those held
#define REAP_PART  32

// ---------------------------------------------------------------- one block of a page with blocks

static inline void *pop_free(struct mf2_state *state, struct MidPage *page, uint16_t unit) {
    uint16_t next = mf2_page_link(state, page, unit);
    page->used++;
    page->free = next;
    return mf2_page_block(state, page, unit);
}

static inline void *take_block(struct mf2_state *state, struct MidPage *page, bool *zeroed) {
    *zeroed = false;
    mf2_works_on(page);
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

// Pages that the frees of others have emptied wait among the orphans of their class. Before memory
// grows for another class, they are looked for, if there are enough of them to pay for it.
static void reap_if_many(struct mf2_state *state, struct MF2_ThreadPages *self) {
    uint32_t empties = mf2_load_relaxed(&state->orphan_empties_sum);
    if (empties < REAP_PAGES)
        return;
    uint32_t held = mf2_load_relaxed(&state->held_pages);
    uint32_t many = REAP_PAGES + held / REAP_PART;
    if (empties < many)
        return;
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        uint32_t of_class = mf2_load_relaxed(&state->orphan_empties[k]);
        if (of_class >= many / 4)
            mf2_orphan_reap(state, self, k);
    }
}

static struct MidPage *mf2_alloc_new_page(struct mf2_state *state, struct MF2_ThreadPages *self,
                                          uint32_t class_index) {
    uint32_t count = 1u << state->geometry->span_shift[class_index];
    bool recycled;
    reap_if_many(state, self);
    uint32_t number = mf2_heap_take(state, count, count, &recycled);
    if (MF2_UNLIKELY(!number)) {
        mf2_gather_free(state, self);
        number = mf2_heap_take(state, count, count, &recycled);
    }
    if (!number)
        return NULL;
    struct mf2_class_counters *counters = &self->classes[class_index];
    if (recycled) {
        self->counters.recycled_pages += count;
        counters->recycled_pages += count;
    } else {
        self->counters.new_page_count += count;
        counters->new_pages += count;
        if (state->route.must_reuse)
            self->counters.new_page_forced += count;
    }
    mf2_page_format(state, &state->pages[number], class_index, self->slot, !recycled);
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

// Makes the bin's active page one that has a block, of what there is already.
static bool reuse(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index) {
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
    return mf2_try_adopt_pending(state, self, class_index);
}

// The same, or of a page that is new or recycled. False: there is no memory.
static bool refill(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index) {
    if (reuse(state, self, class_index))
        return true;
    struct MidPage *page = mf2_alloc_new_page(state, self, class_index);
    if (!page)
        return false;
    mf2_activate(state, self, page);
    return true;
}

static void enter_slow(struct mf2_state *state, struct MF2_ThreadPages *self) {
    self->counters.slow_paths++;
    if (state->clock_wanted) {
        uint64_t now_ns = mf2_clock_ns();
        mf2_store_relaxed(&self->last_slow_ns, now_ns);
    }
}

// ---------------------------------------------------------------- blocks for a front

// Takes up to `count` blocks of the page: freed ones first.
static uint32_t take_blocks(struct mf2_state *state, struct MidPage *page, void **blocks,
                            uint32_t count) {
    uint32_t taken = 0;
    mf2_works_on(page);
    uint16_t unit = page->free;
    for (; taken < count && unit != MF2_UNIT_NONE; unit = mf2_page_link(state, page, unit))
        blocks[taken++] = mf2_page_block(state, page, unit);
    page->free = unit;
    for (unit = page->fresh_unit; taken < count && unit != page->end_unit;
         unit = (uint16_t)(unit + page->stride_units))
        blocks[taken++] = mf2_page_block(state, page, unit);
    page->fresh_unit = unit;
    page->used = (uint16_t)(page->used + taken);
    return taken;
}

static void put_back_if_wanted(struct mf2_state *state, struct MF2_ThreadPages *self,
                               uint32_t class_index) {
    struct mf2_bin *bin = &self->bins[class_index];
    struct MidPage *page = bin->active;
    if (!state->route.put_back || page == &mf2_no_page)
        return;
    bin->active = (struct MidPage *)(uintptr_t)&mf2_no_page;
    mf2_page_give_up(state, self, page);
}

uint32_t mf2_alloc_from_pages(struct mf2_state *state, struct MF2_ThreadPages *self,
                              uint32_t class_index, void **blocks, uint32_t count,
                              enum mf2_source source) {
    struct mf2_bin *bin = &self->bins[class_index];
    uint32_t taken = 0;
    if (bin->active != &mf2_no_page)
        taken = take_blocks(state, bin->active, blocks, count);
    if (taken == count)
        return taken;
    enter_slow(state, self);
    // What there is may serve the rest; a page that nobody has used yet is for an empty hand only.
    while (taken < count) {
        bool more = taken || source == MF2_SOURCE_USED ? reuse(state, self, class_index)
                                                       : refill(state, self, class_index);
        if (!more)
            break;
        taken += take_blocks(state, bin->active, blocks + taken, count - taken);
    }
    put_back_if_wanted(state, self, class_index);
    return taken;
}

// ---------------------------------------------------------------- one block, without a front

static MF2_NOINLINE void *mf2_alloc_slow(struct mf2_state *state, struct MF2_ThreadPages *self,
                                         uint32_t class_index, bool *zeroed) {
    enter_slow(state, self);
    bool refilled = refill(state, self, class_index);
    if (!refilled)
        return NULL;
    void *block = take_block(state, self->bins[class_index].active, zeroed);
    put_back_if_wanted(state, self, class_index);
    return block;
}

static void *alloc_of_class(struct mf2_state *state, struct MF2_ThreadPages *self,
                            uint32_t class_index, bool exact, bool *zeroed) {
    struct mf2_front *front = &self->fronts[class_index + 1];
    *zeroed = false;
    void *block = mf2_front_pop(front);
    if (block)
        return block;
    if (front->end != self->bins[class_index].bottom)
        return mf2_front_refill(state, self, class_index, exact);
    block = take_block(state, self->bins[class_index].active, zeroed);
    return MF2_LIKELY(block != NULL) ? block : mf2_alloc_slow(state, self, class_index, zeroed);
}

static uint32_t aligned_class(const struct mf2_state *state, size_t bytes, size_t alignment) {
    uint32_t fits = mf2_class_of_bytes(state, bytes);
    if (fits == 0 || alignment <= MF2_UNIT_BYTES)
        return fits;
    uint32_t k = mf2_geometry_class(state->geometry, fits - 1, bytes, alignment);
    return k < state->geometry->class_count ? k + 1 : 0;
}

static void *alloc_once(struct mf2_state *state, struct MF2_ThreadPages *self, size_t bytes,
                        size_t alignment, bool *zeroed) {
    uint32_t class_plus_one = aligned_class(state, bytes, alignment);
    if (class_plus_one == 0)
        return mf2_large_alloc(state, self, bytes, alignment, zeroed);
    struct MF2_ThreadPages *pages = mf2_thread_ensure(state, self);
    if (!pages) // every slot is taken: pages of its own for this block
        return mf2_large_alloc(state, self, bytes, alignment, zeroed);
    return alloc_of_class(state, pages, class_plus_one - 1, alignment > MF2_UNIT_BYTES, zeroed);
}

// Before it says that there is no memory, what nobody uses but somebody keeps makes room.
static void *alloc_insistently(struct mf2_state *state, struct MF2_ThreadPages *self, size_t bytes,
                               size_t alignment, bool *zeroed) {
    void *block = alloc_once(state, self, bytes, alignment, zeroed);
    if (MF2_LIKELY(block != NULL) || bytes > state->arena_bytes)
        return block;
    mf2_helper_wait(state);
    mf2_give_all(state, self);
    return alloc_once(state, self, bytes, alignment, zeroed);
}

// Everything but a pop of a front.
static void *alloc_uncommon(size_t bytes, size_t alignment, bool *zeroed) {
    struct mf2_state *state = mf2_state_ensure();
    if (!state)
        return NULL;
    struct MF2_ThreadPages *self = mf2_enter();
    void *block = alloc_insistently(state, self, bytes, alignment, zeroed);
    mf2_leave();
    return block;
}

MF2_NOINLINE void *mf2_malloc_uncommon(size_t bytes) {
    bool zeroed;
    return alloc_uncommon(bytes, 1, &zeroed);
}

// ---------------------------------------------------------------- what the rest calls

void *mf2_malloc(size_t bytes) {
    void *block = mf2_malloc_fast(bytes);
    return MF2_LIKELY(block != NULL) ? block : mf2_malloc_uncommon(bytes);
}

void *mf2_calloc(size_t count, size_t bytes) {
    size_t total;
    bool zeroed = false;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    void *block = mf2_malloc_fast(total);
    if (MF2_UNLIKELY(!block))
        block = alloc_uncommon(total, 1, &zeroed);
    if (block && !zeroed)
        memset(block, 0, total);
    return block;
}

void *mf2_aligned_alloc(size_t alignment, size_t bytes) {
    bool zeroed;
    return alloc_uncommon(bytes, alignment, &zeroed);
}
