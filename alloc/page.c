// page.c: one page: its free list, its links, its way in and out of a thread's hands.
// The caller of everything here holds the page, except where it says "shared".
#include "internal.h"

static void set_class(struct mf2_state *state, uint32_t number, uint32_t count, uint8_t value) {
    for (uint32_t i = 0; i < count; i++)
        state->page_class[number + i] = value;
}

void mf2_page_format(struct mf2_state *state, struct MidPage *page, uint32_t class_index,
                     uint32_t slot, bool zeroed) {
    const struct mf2_geometry *geometry = state->geometry;
    uint32_t block = geometry->block_bytes[class_index];
    uint32_t span_shift = geometry->span_shift[class_index];
    uint32_t unit_bytes = MF2_UNIT_BYTES << span_shift;
    uint32_t capacity = mf2_geometry_capacity(geometry, class_index);
    mf2_works_on(page);
    page->free = MF2_UNIT_NONE;
    page->used = 0;
    page->fresh_unit = 0;
    page->stride_units = (uint16_t)((block + geometry->header_bytes) / unit_bytes);
    page->end_unit = (uint16_t)(capacity * page->stride_units);
    page->capacity = (uint16_t)capacity;
    page->class_index = (uint8_t)class_index;
    page->unit_shift = (uint8_t)(MF2_UNIT_SHIFT + span_shift);
    page->links_inside = block < MF2_LINK_BYTES;
    page->zeroed = zeroed;
    page->list_next = 0;
    page->list_prev = 0;
    page->owner_changes = 0;
    mf2_store_relaxed(&page->home, slot);
    mf2_store_relaxed(&page->rfr_deadline, 0);
    mf2_protocol_format(state, page, slot);
    set_class(state, mf2_page_number(state, page), 1u << span_shift, (uint8_t)(class_index + 1));
}

void mf2_page_merge(struct mf2_state *state, struct MidPage *page, struct mf2_chain chain) {
    mf2_works_on(page);
    if (chain.count == 0)
        return;
    if (page->free != MF2_UNIT_NONE)
        mf2_page_set_link(state, page, chain.last, page->free);
    page->free = chain.first;
    page->used = (uint16_t)(page->used - chain.count);
}

uint32_t mf2_drain_remote_frees(struct mf2_state *state, struct MidPage *page) {
    struct mf2_chain chain = mf2_protocol_take(state, page);
    mf2_page_merge(state, page, chain);
    return chain.count;
}

bool mf2_page_dispose_empty(struct mf2_state *state, struct MF2_ThreadPages *self,
                            struct MidPage *page) {
    if (state->route.empty == MF2_EMPTY_KEEP)
        return false;
    // A marked page stands on a queue; who pops it there must find it formatted.
    bool unqueued = mf2_protocol_mark(state, page);
    if (!unqueued)
        return false;
    uint32_t number = mf2_page_number(state, page);
    uint32_t count = page->run_pages;
    set_class(state, number, count, 0);
    // Not 0: who popped the page before it was marked here may still try to claim it.
    mf2_store_relaxed(&page->holder, MF2_SLOT_NOBODY);
    if (state->route.empty == MF2_EMPTY_RECYCLE) {
        mf2_heap_keep(state, number, count);
    } else {
        MF2_COUNT_BY(state, self, pages_unmapped, count);
        mf2_heap_give(state, number, count);
    }
    return true;
}

void mf2_page_tell(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page,
                   uint32_t class_index, unsigned notice) {
    if (notice & MF2_NOTICE_EMPTIED) {
        mf2_fetch_add_relaxed(&state->orphan_empties[class_index], 1);
        mf2_fetch_add_relaxed(&state->orphan_empties_sum, 1);
        bool looked_after = !state->route.purge_ns || mf2_helper_tick_wanted(state);
        if (!looked_after)
            mf2_helper_look_instead(state);
    }
    if (notice & MF2_NOTICE_QUEUE)
        mf2_pending_notify(state, self, page);
}

void mf2_page_put_away(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page,
                       enum mf2_page_state page_state) {
    mf2_works_on(page);
    mf2_plain_write(&page->state, (uint8_t)page_state);
    if (page_state == MF2_PAGE_FULL)
        MF2_COUNT(state, self, full_pages);
    uint32_t class_index = page->class_index;
    unsigned notice = mf2_protocol_release(state, page);
    mf2_page_tell(state, self, page, class_index, notice);
}

// Unless the route strands what an ending thread leaves, or it is full: then only frees bring it
// back.
void mf2_page_give_up(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page) {
    bool adoptable = state->route.orphans != MF2_ORPHANS_STRAND;
    if (page->used == 0) {
        MF2_COUNT(state, self, empty_pages);
        bool gone = mf2_page_dispose_empty(state, self, page);
        if (gone)
            return;
    }
    bool worth_adopting = adoptable && mf2_page_has_free(page);
    mf2_page_put_away(state, self, page, MF2_PAGE_ORPHAN);
    if (!worth_adopting)
        return;
    bool marked = mf2_protocol_mark(state, page);
    if (marked)
        mf2_orphan_push(state, page);
}

void mf2_page_take_home(struct mf2_state *state, struct MF2_ThreadPages *self,
                        struct MidPage *page) {
    uint32_t home = mf2_load_relaxed(&page->home);
    if (home == self->slot)
        return;
    page->owner_changes++;
    MF2_COUNT(state, self, owner_changes);
    mf2_fetch_add_relaxed(&mf2_thread_of_slot(state, home)->adopted_from, 1);
    mf2_store_relaxed(&page->home, self->slot);
}
