// free.c: free, realloc and usable size. The fast path pushes the block on the thread's front.
// Behind it stand the pages: one that the calling thread holds takes the block on its free list;
// every other page is shared, and takes it on its remote stack.
//
// What malloc did not return is caught on the way, always: a pointer outside the arena, into a page
// without blocks, between two blocks, or the one freed last. A block that was freed before others
// and is freed again is not seen in a front; its page may see it later.
#include "fast.h"
#include "internal.h"

#include <string.h>

// ---------------------------------------------------------------- what malloc did not return

// Whether the page has ever been used: before, there may be no memory for its MidPage. A page that
// a block is in has been, so that an old value does not matter.
static bool is_known(struct mf2_state *state, uint64_t number) {
    return number >= state->first_page && number < MF2_LOOK(&state->known_pages);
}

static const char *describe(struct mf2_state *state, uint64_t offset) {
    static const char *const names[MF2_PAGE_STATE_COUNT] = {
        [MF2_PAGE_NONE] = "no page in use",        [MF2_PAGE_CLEAN] = "a free page",
        [MF2_PAGE_DIRTY] = "a free page",          [MF2_PAGE_ACTIVE] = "an active page",
        [MF2_PAGE_PARTIAL] = "a partial page",     [MF2_PAGE_FULL] = "a full page",
        [MF2_PAGE_ORPHAN] = "a page of no thread", [MF2_PAGE_LARGE] = "a large block",
    };
    if (offset >= state->arena_bytes)
        return "outside of all pages";
    uint64_t number = offset >> state->page_shift;
    if (!is_known(state, number))
        return "no page in use";
    uint32_t class_plus_one = state->page_class[number];
    if (class_plus_one) { // the head of its span says what it is
        uint32_t span_shift = state->geometry->span_shift[class_plus_one - 1];
        number = number >> span_shift << span_shift;
    }
    return names[state->pages[number].state];
}

MF2_NOINLINE void mf2_fail_at(struct mf2_state *state, const char *text, const void *block) {
    char line[128] = "";
    uint64_t offset = (uint64_t)((uintptr_t)block - (uintptr_t)state);
    // Not snprintf: the helper may find it, which has nothing that stdio relies on.
    strcat(strcat(strcat(line, text), ", "), describe(state, offset));
    mf2_fail(line, MF2_SHOWN(state, block));
}

// ---------------------------------------------------------------- where a block is

struct place {
    struct MidPage *page;
    uint16_t unit;
};

// Of a block in a class page. The process ends if no block starts there.
static struct place place_of(struct mf2_state *state, const void *block, uint32_t class_index,
                             const char *otherwise) {
    uint64_t offset = (uint64_t)((uintptr_t)block - (uintptr_t)state);
    uint32_t span_shift = state->geometry->span_shift[class_index];
    uint32_t shift = state->page_shift + span_shift;
    uint64_t within = offset & (((uint64_t)1 << shift) - 1);
    struct MidPage *page = &state->pages[offset >> shift << span_shift];
    uint64_t unit = within >> page->unit_shift;
    if (MF2_UNLIKELY(unit << page->unit_shift != within ||
                     (uint32_t)unit % page->stride_units != 0 || unit >= page->end_unit))
        mf2_fail_at(state, otherwise, block);
    return (struct place){page, (uint16_t)unit};
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
                             struct MidPage *page, struct mf2_chain chain) {
    mf2_works_on(page);
    if (MF2_UNLIKELY(chain.first == page->free || page->used < chain.count))
        mf2_fail_at(state, "double free", mf2_page_block(state, page, chain.first));
    mf2_page_set_link(state, page, chain.last, page->free);
    page->free = chain.first;
    page->used = (uint16_t)(page->used - chain.count);
    if (MF2_UNLIKELY(page->used == 0))
        page_emptied(state, self, page);
}

// ---------------------------------------------------------------- a shared page

static void count_remote(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t home,
                         uint32_t blocks) {
    MF2_COUNT_BY(state, self, remote_frees, blocks);
    if (!state->count_owner_states)
        return;
    if (home == self->slot) {
        MF2_COUNT_BY(state, self, remote_no_owner, blocks);
        return;
    }
    struct MF2_ThreadPages *owner = mf2_thread_of_slot(state, home);
    uint32_t status = mf2_load_relaxed(&owner->status);
    uint64_t now_ns = mf2_clock_ns();
    bool idle = mf2_thread_is_idle(state, owner, now_ns);
    if (status == MF2_THREAD_EXITED)
        MF2_COUNT_BY(state, self, remote_owner_exited, blocks);
    else if (idle)
        MF2_COUNT_BY(state, self, remote_owner_idle, blocks);
    else
        MF2_COUNT_BY(state, self, remote_owner_running, blocks);
}

static void push_remote(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page,
                        struct mf2_chain chain, bool quiet) {
    uint32_t class_index = page->class_index; // once the blocks are pushed, the page is others'
    unsigned notice = mf2_protocol_push(state, page, chain, quiet);
    mf2_page_tell(state, self, page, class_index, notice);
}

// The caller takes the shared page over, with the blocks that it frees, and keeps it on its partial
// list. False: somebody else holds it.
static bool take_over(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page,
                      struct mf2_chain chain) {
    bool claimed = mf2_protocol_claim(state, page, self->slot);
    if (!claimed) {
        MF2_COUNT(state, self, claim_failures);
        return false;
    }
    uint32_t drained = mf2_drain_remote_frees(state, page);
    MF2_COUNT_BY(state, self, drained_blocks, drained);
    mf2_page_take_home(state, self, page);
    mf2_partial_push(state, self, page);
    free_held(state, self, page, chain);
    return true;
}

static bool home_has_exited(struct mf2_state *state, uint32_t home) {
    struct MF2_ThreadPages *owner = mf2_thread_of_slot(state, home);
    uint32_t status = mf2_load_relaxed(&owner->status);
    return status == MF2_THREAD_EXITED;
}

// The caller's own page, which it put away as full.
static void free_own_full(struct mf2_state *state, struct MF2_ThreadPages *self,
                          struct MidPage *page, struct mf2_chain chain) {
    if (state->route.full_free == MF2_FULL_FREE_PARTIAL) {
        bool taken = take_over(state, self, page, chain);
        if (taken)
            return;
    }
    bool quiet = state->route.full_free == MF2_FULL_FREE_GRAVEYARD;
    count_remote(state, self, self->slot, chain.count);
    push_remote(state, self, page, chain, quiet);
}

static MF2_NOINLINE void free_shared(struct mf2_state *state, struct MF2_ThreadPages *self,
                                     struct MidPage *page, struct mf2_chain chain) {
    uint32_t home = mf2_load_relaxed(&page->home);
    if (home == self->slot) {
        free_own_full(state, self, page, chain);
        return;
    }
    count_remote(state, self, home, chain.count);
    bool may_reclaim = state->route.orphans == MF2_ORPHANS_RECLAIM && self->slot != MF2_SLOT_NONE;
    if (may_reclaim && home_has_exited(state, home)) {
        bool taken = take_over(state, self, page, chain);
        if (taken) {
            MF2_COUNT(state, self, orphans_reclaimed);
            return;
        }
    }
    push_remote(state, self, page, chain, false);
}

static inline void free_chain(struct mf2_state *state, struct MF2_ThreadPages *self,
                              struct MidPage *page, struct mf2_chain chain) {
    // Relaxed: only this thread writes its own slot there, so that finding it needs no ordering.
    uint32_t holder = mf2_load_relaxed(&page->holder);
    if (MF2_LIKELY(holder == self->slot))
        free_held(state, self, page, chain);
    else
        free_shared(state, self, page, chain);
}

// ---------------------------------------------------------------- many blocks

// Blocks of one page are freed with one step. The pages of the last few blocks are remembered; one
// that must make room has its blocks freed.
#define CHAINS 32

struct page_chain {
    struct MidPage *page; // NULL: none
    struct mf2_chain chain;
};

static void add_block(struct mf2_state *state, struct page_chain *slot, uint16_t unit) {
    if (unit == slot->chain.first)
        mf2_fail_at(state, "double free", mf2_page_block(state, slot->page, unit));
    mf2_page_set_link(state, slot->page, unit, slot->chain.first);
    slot->chain.first = unit;
    slot->chain.count++;
}

void mf2_free_to_pages(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index,
                       void *const *blocks, uint32_t count) {
    struct page_chain chains[CHAINS] = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct place place = place_of(state, blocks[i], class_index, "free inside a block");
        uint32_t number = mf2_page_number(state, place.page);
        uint32_t span_shift = state->geometry->span_shift[class_index];
        struct page_chain *slot = &chains[(number >> span_shift) % CHAINS];
        if (slot->page == place.page) {
            add_block(state, slot, place.unit);
            continue;
        }
        if (slot->page)
            free_chain(state, self, slot->page, slot->chain);
        *slot = (struct page_chain){place.page, {place.unit, place.unit, 1}};
    }
    for (uint32_t i = 0; i < CHAINS; i++)
        if (chains[i].page)
            free_chain(state, self, chains[i].page, chains[i].chain);
}

// ---------------------------------------------------------------- one block

static bool is_large_block(struct mf2_state *state, uint64_t offset) {
    uint64_t number = offset >> state->page_shift;
    bool starts = (offset & (((uint64_t)1 << state->page_shift) - 1)) == 0;
    return starts && is_known(state, number) && state->pages[number].state == MF2_PAGE_LARGE;
}

static void free_large(struct mf2_state *state, struct MF2_ThreadPages *self, void *block) {
    uint64_t offset = (uint64_t)((uintptr_t)block - (uintptr_t)state);
    if (!is_large_block(state, offset))
        mf2_fail_at(state, "free of a place where no block is", block);
    mf2_large_free(state, self, &state->pages[offset >> state->page_shift]);
}

static void free_of_class(struct mf2_state *state, struct MF2_ThreadPages *self,
                          uint32_t class_index, void *block) {
    struct mf2_front *front = &self->fronts[class_index + 1];
    struct place place = place_of(state, block, class_index, "free inside a block");
    if (front->top[-1] == block)
        mf2_fail_at(state, "double free", block);
    bool has_front = self->slot != MF2_SLOT_NONE && front->end != self->bins[class_index].bottom;
    if (!has_front)
        free_chain(state, self, place.page, (struct mf2_chain){place.unit, place.unit, 1});
    else if (front->top != front->end) // the thread has only now got its fronts
        *front->top++ = block;
    else
        mf2_front_spill(state, self, class_index, block);
}

// Everything but a push on a front with room.
MF2_NOINLINE void mf2_free_uncommon(void *block) {
    if (!block)
        return;
    struct mf2_state *state = mf2_state();
    uint64_t offset = (uint64_t)((uintptr_t)block - (uintptr_t)state);
    if (offset >= state->arena_bytes)
        mf2_fail_at(state, "free of a pointer that malloc did not return", block);
    uint32_t class_plus_one = state->page_class[offset >> state->page_shift];
    struct MF2_ThreadPages *self = mf2_enter();
    if (class_plus_one == 0)
        free_large(state, self, block);
    else
        free_of_class(state, mf2_thread_for_free(state, self), class_plus_one - 1, block);
    mf2_leave();
}

void mf2_free(void *block) {
    if (MF2_UNLIKELY(!mf2_free_fast(block)))
        mf2_free_uncommon(block);
}

// ---------------------------------------------------------------- sizes

// The class, plus 1, of the block's page; 0: it is a large block, *page. The process ends if no
// block starts there.
static uint32_t class_of_block(struct mf2_state *state, const void *block, struct MidPage **page) {
    uint64_t offset = (uint64_t)((uintptr_t)block - (uintptr_t)state);
    if (offset >= state->arena_bytes)
        mf2_fail_at(state, "use of a pointer that malloc did not return", block);
    uint32_t class_plus_one = state->page_class[offset >> state->page_shift];
    *page = &state->pages[offset >> state->page_shift];
    if (class_plus_one)
        place_of(state, block, class_plus_one - 1, "use of a place inside a block");
    else if (!is_large_block(state, offset))
        mf2_fail_at(state, "use of a place where no block is", block);
    return class_plus_one;
}

size_t mf2_usable_size(const void *block) {
    struct mf2_state *state = mf2_state();
    struct MidPage *page;
    uint32_t class_plus_one = class_of_block(state, block, &page);
    if (class_plus_one == 0)
        return (size_t)page->run_pages << state->page_shift;
    return state->geometry->block_bytes[class_plus_one - 1];
}

// In place where the block would be of the same class, or a large block keeps its pages.
static bool resize_in_place(struct mf2_state *state, void *block, size_t bytes) {
    struct MidPage *page;
    uint32_t class_plus_one = class_of_block(state, block, &page);
    uint32_t wanted = mf2_class_of_bytes(state, bytes);
    if (class_plus_one == 0)
        return wanted == 0 && mf2_large_resize(state, page, bytes);
    if (wanted == 0 || wanted > class_plus_one)
        return false;
    return wanted == class_plus_one || bytes > mf2_usable_size(block) / 2;
}

void *mf2_realloc(void *old, size_t bytes) {
    struct mf2_state *state = mf2_state();
    if (resize_in_place(state, old, bytes))
        return old;
    void *block = mf2_malloc(bytes);
    if (!block)
        return NULL;
    size_t kept = mf2_usable_size(old);
    memcpy(block, old, kept < bytes ? kept : bytes);
    mf2_free(old);
    return block;
}
