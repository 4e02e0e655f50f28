// free.c: free, realloc and usable size. The fast path is a free into a page that the calling
// thread holds; every other page is shared, and takes its remote stack.
#include "internal.h"

#include <string.h>

struct place {
    struct MidPage *page;
    uint16_t unit;
};

// Where a block is. The process ends if MF2 cannot have given it out.
static inline struct place place_of(struct mf2_state *state, const void *block) {
    uint64_t offset = (uint64_t)((uintptr_t)block - (uintptr_t)state);
    if (MF2_UNLIKELY(offset >= state->arena_bytes))
        mf2_fail("free of a pointer that malloc did not return", (uintptr_t)block);
    uint64_t within = offset & (((uint64_t)1 << state->page_shift) - 1);
    return (struct place){&state->pages[offset >> state->page_shift],
                          (uint16_t)(within / MF2_UNIT_BYTES)};
}

// ---------------------------------------------------------------- a page that the caller holds

static MF2_NOINLINE void page_emptied(struct mf2_state *state, struct MF2_ThreadPages *self,
                                      struct MidPage *page) {
    if (page->state != MF2_PAGE_PARTIAL)
        return; // the active page stays
    MF2_COUNT(state, self, empty_pages);
    if (state->route.empty == MF2_EMPTY_KEEP)
        return;
    mf2_partial_remove(state, self, page);
    bool gone = mf2_page_dispose_empty(state, self, page);
    if (!gone)
        mf2_partial_push(state, self, page);
}

static inline void free_held(struct mf2_state *state, struct MF2_ThreadPages *self,
                             struct MidPage *page, uint16_t unit) {
    mf2_page_set_link(state, page, unit, page->free);
    page->free = unit;
    page->used--;
    if (MF2_UNLIKELY(page->used == 0))
        page_emptied(state, self, page);
}

// ---------------------------------------------------------------- a shared page

static void count_remote(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t home) {
    MF2_COUNT(state, self, remote_frees);
    if (!state->count_owner_states)
        return;
    if (home == self->slot) {
        MF2_COUNT(state, self, remote_no_owner);
        return;
    }
    struct MF2_ThreadPages *owner = mf2_thread_of_slot(state, home);
    uint32_t status = mf2_load_relaxed(&owner->status);
    uint64_t now_ns = mf2_clock_ns();
    bool idle = mf2_thread_is_idle(state, owner, now_ns);
    if (status == MF2_THREAD_EXITED)
        MF2_COUNT(state, self, remote_owner_exited);
    else if (idle)
        MF2_COUNT(state, self, remote_owner_idle);
    else
        MF2_COUNT(state, self, remote_owner_running);
}

static void push_remote(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page,
                        uint16_t unit, bool quiet) {
    struct mf2_chain one = {unit, unit, 1};
    enum mf2_notice notice = mf2_protocol_push(state, page, one, quiet);
    if (notice == MF2_NOTICE_QUEUE)
        mf2_pending_notify(state, self, page);
    if (state->route.helper)
        mf2_helper_start_if_wanted(state);
}

// The caller takes the shared page over, with the block that it frees, and keeps it on its partial
// list. False: somebody else holds it.
static bool take_over(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page,
                      uint16_t unit) {
    bool claimed = mf2_protocol_claim(state, page, self->slot);
    if (!claimed) {
        MF2_COUNT(state, self, claim_failures);
        return false;
    }
    uint32_t drained = mf2_drain_remote_frees(state, page);
    MF2_COUNT_BY(state, self, drained_blocks, drained);
    mf2_page_take_home(state, self, page);
    mf2_partial_push(state, self, page);
    free_held(state, self, page, unit);
    return true;
}

static bool home_has_exited(struct mf2_state *state, uint32_t home) {
    struct MF2_ThreadPages *owner = mf2_thread_of_slot(state, home);
    uint32_t status = mf2_load_relaxed(&owner->status);
    return status == MF2_THREAD_EXITED;
}

// The caller's own page, which it put away as full.
static void free_own_full(struct mf2_state *state, struct MF2_ThreadPages *self,
                          struct MidPage *page, uint16_t unit) {
    if (state->route.full_free == MF2_FULL_FREE_PARTIAL) {
        bool taken = take_over(state, self, page, unit);
        if (taken)
            return;
    }
    bool quiet = state->route.full_free == MF2_FULL_FREE_GRAVEYARD;
    count_remote(state, self, self->slot);
    push_remote(state, self, page, unit, quiet);
}

static MF2_NOINLINE void free_shared(struct mf2_state *state, struct MF2_ThreadPages *self,
                                     struct MidPage *page, uint16_t unit) {
    if (page->class_index == MF2_CLASS_LARGE) {
        if (page->state != MF2_PAGE_LARGE || unit != 0)
            mf2_fail("free of a place inside a large block, or of one already freed",
                     mf2_page_number(state, page));
        mf2_large_free(state, page);
        return;
    }
    uint32_t home = mf2_load_relaxed(&page->home);
    if (home == 0) // a page that was never given to a thread
        mf2_fail("free of a place that malloc did not return, in page",
                 mf2_page_number(state, page));
    if (home == self->slot) {
        free_own_full(state, self, page, unit);
        return;
    }
    count_remote(state, self, home);
    bool may_reclaim = state->route.orphans == MF2_ORPHANS_RECLAIM && self->slot != MF2_SLOT_NONE;
    if (may_reclaim && home_has_exited(state, home)) {
        bool taken = take_over(state, self, page, unit);
        if (taken) {
            MF2_COUNT(state, self, orphans_reclaimed);
            return;
        }
    }
    push_remote(state, self, page, unit, false);
}

void mf2_free(void *block) {
    if (MF2_UNLIKELY(!block))
        return;
    struct mf2_state *state = mf2_state();
    struct MF2_ThreadPages *self = mf2_self();
    struct place place = place_of(state, block);
    // Relaxed: only this thread writes its own slot there, so that finding it needs no ordering.
    uint32_t holder = mf2_load_relaxed(&place.page->holder);
    if (MF2_LIKELY(holder == self->slot))
        free_held(state, self, place.page, place.unit);
    else
        free_shared(state, self, place.page, place.unit);
}

// ---------------------------------------------------------------- sizes

size_t mf2_usable_size(const void *block) {
    struct mf2_state *state = mf2_state();
    struct place place = place_of(state, block);
    if (place.page->class_index == MF2_CLASS_LARGE)
        return (size_t)place.page->run_pages << state->page_shift;
    return state->geometry->block_bytes[place.page->class_index];
}

// In place where the block would be of the same class, or a large block keeps its pages.
static bool resize_in_place(struct mf2_state *state, struct MidPage *page, size_t bytes) {
    if (page->class_index == MF2_CLASS_LARGE)
        return bytes > state->class_bytes_max && mf2_large_resize(state, page, bytes);
    if (bytes > state->class_bytes_max)
        return false;
    return state->class_of_unit[(bytes + MF2_UNIT_BYTES - 1) / MF2_UNIT_BYTES] == page->class_index;
}

void *mf2_realloc(void *old, size_t bytes) {
    struct mf2_state *state = mf2_state();
    struct place place = place_of(state, old);
    if (resize_in_place(state, place.page, bytes))
        return old;
    void *block = mf2_malloc(bytes);
    if (!block)
        return NULL;
    size_t kept = mf2_usable_size(old);
    memcpy(block, old, kept < bytes ? kept : bytes);
    mf2_free(old);
    return block;
}
