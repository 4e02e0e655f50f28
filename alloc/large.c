// large.c: blocks that no class holds, or that must be aligned as no class can: runs of whole
// pages.
#include "internal.h"

static size_t pages_for(const struct mf2_state *state, size_t bytes) {
    size_t page_bytes = (size_t)1 << state->page_shift;
    return (bytes + page_bytes - 1) >> state->page_shift;
}

static void give_back(struct mf2_state *state, uint32_t page, uint32_t count) {
    if (state->route.purge_ns)
        mf2_heap_keep(state, page, count);
    else
        mf2_heap_give(state, page, count);
}

// Takes `count` pages that begin at an address of this alignment. The arena itself is aligned to
// less, perhaps: they are found within a longer run, whose ends go back.
static uint32_t take_aligned(struct mf2_state *state, uint32_t count, size_t alignment,
                             bool *recycled) {
    uint32_t slack = (uint32_t)pages_for(state, alignment) - 1;
    uint32_t first = mf2_heap_take(state, count + slack, 1, recycled);
    if (!first || slack == 0)
        return first;
    uintptr_t base = (uintptr_t)mf2_page_base(state, first);
    uintptr_t aligned = (base + alignment - 1) & ~(uintptr_t)(alignment - 1);
    uint32_t skip = (uint32_t)((aligned - base) >> state->page_shift);
    if (skip)
        give_back(state, first, skip);
    if (slack > skip)
        give_back(state, first + skip + count, slack - skip);
    return first + skip;
}

void *mf2_large_alloc(struct mf2_state *state, struct MF2_ThreadPages *self, size_t bytes,
                      size_t alignment, bool *zeroed) {
    if (bytes > state->arena_bytes || alignment > state->arena_bytes)
        return NULL;
    size_t count = pages_for(state, bytes ? bytes : 1);
    if (count + pages_for(state, alignment) > state->page_count)
        return NULL;
    bool recycled;
    uint32_t first = take_aligned(state, (uint32_t)count, alignment, &recycled);
    if (MF2_UNLIKELY(!first)) {
        mf2_gather_free(state, self);
        first = take_aligned(state, (uint32_t)count, alignment, &recycled);
    }
    if (!first)
        return NULL;
    *zeroed = !recycled;
    struct MidPage *page = &state->pages[first];
    mf2_works_on(page);
    page->state = MF2_PAGE_LARGE;
    page->run_pages = (uint32_t)count;
    page->large_bytes = bytes;
    mf2_store_relaxed(&page->holder, MF2_SLOT_NOBODY);
    mf2_fetch_add_relaxed(&state->large_pages, (uint32_t)count);
    MF2_COUNT(state, self, large_allocs);
    if (!recycled)
        MF2_COUNT_BY(state, self, large_new_pages, count);
    return mf2_page_base(state, first);
}

void mf2_large_free(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page) {
    uint32_t count = page->run_pages;
    mf2_works_on(page);
    page->state = MF2_PAGE_NONE;
    MF2_COUNT(state, self, large_frees);
    mf2_fetch_sub_relaxed(&state->large_pages, count);
    give_back(state, mf2_page_number(state, page), count);
}

bool mf2_large_resize(struct mf2_state *state, struct MidPage *page, size_t bytes) {
    size_t count = pages_for(state, bytes);
    uint32_t had = page->run_pages;
    uint32_t number = mf2_page_number(state, page);
    if (count > state->page_count)
        return false;
    if (count > had) {
        uint32_t more = (uint32_t)count - had;
        bool extended = mf2_heap_extend(state, number, had, more);
        if (!extended)
            return false;
        mf2_fetch_add_relaxed(&state->large_pages, more);
    } else if (count < had) {
        uint32_t behind = had - (uint32_t)count;
        page->run_pages = (uint32_t)count;
        mf2_fetch_sub_relaxed(&state->large_pages, behind);
        give_back(state, number + (uint32_t)count, behind);
    }
    page->large_bytes = bytes;
    return true;
}
