// large.c: blocks that no class holds, or that must be aligned as no class can: runs of whole
// pages. Their memory goes back to the OS when they are freed.
#include "internal.h"

static size_t pages_for(const struct mf2_state *state, size_t bytes) {
    size_t page_bytes = (size_t)1 << state->page_shift;
    return (bytes + page_bytes - 1) >> state->page_shift;
}

static void describe(struct mf2_state *state, uint32_t first, uint32_t count, size_t bytes) {
    struct MidPage *page = &state->pages[first];
    for (uint32_t i = 1; i < count; i++) {
        state->pages[first + i].state = MF2_PAGE_LARGE_INNER;
        state->pages[first + i].class_index = MF2_CLASS_LARGE;
        mf2_store_relaxed(&state->pages[first + i].holder, MF2_SLOT_NOBODY);
    }
    page->state = MF2_PAGE_LARGE;
    page->class_index = MF2_CLASS_LARGE;
    page->run_pages = count;
    page->large_bytes = bytes;
    mf2_store_relaxed(&page->holder, MF2_SLOT_NOBODY); // every free of it takes the slow path
}

void *mf2_large_alloc(struct mf2_state *state, size_t bytes, size_t alignment) {
    struct MF2_ThreadPages *self = mf2_self();
    if (bytes > state->arena_bytes || alignment > state->arena_bytes)
        return NULL;
    size_t count = pages_for(state, bytes ? bytes : 1);
    size_t align = pages_for(state, alignment ? alignment : 1);
    // The arena itself is aligned to a page only, so more than that is found within a longer run.
    size_t slack = align - 1;
    if (count + slack >= state->page_count)
        return NULL;
    bool zeroed, recycled;
    uint32_t first = mf2_heap_take(state, (uint32_t)(count + slack), &zeroed, &recycled);
    if (!first)
        return NULL;
    uint32_t skip = 0;
    if (slack) {
        uintptr_t base = (uintptr_t)mf2_page_base(state, first);
        uintptr_t aligned = (base + alignment - 1) & ~(uintptr_t)(alignment - 1);
        skip = (uint32_t)((aligned - base) >> state->page_shift);
        uint32_t behind = (uint32_t)slack - skip;
        if (skip)
            mf2_heap_give(state, first, skip);
        if (behind)
            mf2_heap_give(state, first + skip + (uint32_t)count, behind);
    }
    first += skip;
    if (!zeroed)
        mf2_purge(state, first, (uint32_t)count);
    describe(state, first, (uint32_t)count, bytes);
    mf2_fetch_add_relaxed(&state->large_pages, (uint32_t)count);
    MF2_COUNT(state, self, large_allocs);
    MF2_COUNT_BY(state, self, large_new_pages, count);
    return mf2_page_base(state, first);
}

void mf2_large_free(struct mf2_state *state, struct MidPage *page) {
    struct MF2_ThreadPages *self = mf2_self();
    uint32_t count = page->run_pages;
    MF2_COUNT(state, self, large_frees);
    mf2_fetch_sub_relaxed(&state->large_pages, count);
    mf2_heap_give(state, mf2_page_number(state, page), count);
}

bool mf2_large_resize(struct mf2_state *state, struct MidPage *page, size_t bytes) {
    size_t count = pages_for(state, bytes);
    if (count > page->run_pages || count == 0)
        return false;
    uint32_t behind = page->run_pages - (uint32_t)count;
    page->run_pages = (uint32_t)count;
    page->large_bytes = bytes;
    if (behind) {
        mf2_fetch_sub_relaxed(&state->large_pages, behind);
        mf2_heap_give(state, mf2_page_number(state, page) + (uint32_t)count, behind);
    }
    return true;
}
