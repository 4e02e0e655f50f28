// pending.c: the per-owner, per-class pending queues, the orphan stacks, and who is told of what.
//
// Both are stacks of page numbers (stack.h), linked through pending_next. A page is on at most one
// of them: its mark (protocol.h) says that it is on one, or that whoever set the mark is about to
// push it.
#include "internal.h"
#include "stack.h"

static bool masks_used(const struct mf2_state *state) {
    return state->route.scan == MF2_SCAN_MASK || state->route.helper;
}

static struct mf2_links page_links(struct mf2_state *state) {
    return (struct mf2_links){(char *)state->pages + offsetof(struct MidPage, pending_next),
                              sizeof(struct MidPage)};
}

// ---------------------------------------------------------------- the ready mask
//
// Bit slot − 1 of class k's mask: that thread's queue may be non-empty. Set after a push to an
// empty queue; cleared by who finds it empty, who then looks again, so that a set bit can be
// stale but a queue cannot stay unseen.

static void mask_set(struct mf2_state *state, const struct MF2_ThreadPages *owner,
                     uint32_t class_index) {
    uint32_t bit = mf2_slot_of_thread(state, owner) - 1;
    mf2_fetch_or_acq_rel(&mf2_ready_mask(state, class_index)[bit / 64], 1ull << (bit % 64));
}

static void mask_clear_if_empty(struct mf2_state *state, struct MF2_ThreadPages *owner,
                                uint32_t class_index) {
    uint64_t head = mf2_load_acquire(&owner->pending[class_index]);
    if (MF2_HEAD_NUMBER(head) != 0)
        return;
    uint32_t bit = mf2_slot_of_thread(state, owner) - 1;
    mf2_fetch_and_acq_rel(&mf2_ready_mask(state, class_index)[bit / 64], ~(1ull << (bit % 64)));
    head = mf2_load_acquire(&owner->pending[class_index]);
    if (MF2_HEAD_NUMBER(head) != 0)
        mask_set(state, owner, class_index);
}

// ---------------------------------------------------------------- pending queues

static void pending_push(struct mf2_state *state, struct MF2_ThreadPages *owner,
                         struct MidPage *page) {
    uint32_t class_index = page->class_index;
    mf2_fetch_add_relaxed(&state->adoptable_count[class_index], 1);
    bool was_empty = mf2_stack_push(&owner->pending[class_index], page_links(state),
                                    mf2_page_number(state, page));
    if (was_empty && masks_used(state))
        mask_set(state, owner, class_index);
}

static void popped_from(struct mf2_state *state, struct MF2_ThreadPages *owner,
                        uint32_t class_index, struct MidPage *page) {
    mf2_fetch_sub_relaxed(&state->adoptable_count[class_index], 1);
    if (masks_used(state))
        mask_clear_if_empty(state, owner, class_index);
    mf2_protocol_unmark(state, page);
}

struct MidPage *mf2_dequeue_pending(struct mf2_state *state, struct MF2_ThreadPages *owner,
                                    uint32_t class_index) {
    uint32_t number = mf2_stack_pop(&owner->pending[class_index], page_links(state));
    if (number == 0)
        return NULL;
    struct MidPage *page = &state->pages[number];
    popped_from(state, owner, class_index, page);
    return page;
}

struct MidPage *mf2_pending_peek(struct mf2_state *state, struct MF2_ThreadPages *owner,
                                 uint32_t class_index, uint64_t *head) {
    *head = mf2_load_acquire(&owner->pending[class_index]);
    if (MF2_HEAD_NUMBER(*head) != 0)
        return &state->pages[MF2_HEAD_NUMBER(*head)];
    // Who pushed set the bit after another had popped: nobody else would clear it.
    if (masks_used(state))
        mask_clear_if_empty(state, owner, class_index);
    return NULL;
}

bool mf2_pending_pop_peeked(struct mf2_state *state, struct MF2_ThreadPages *owner,
                            uint32_t class_index, uint64_t head) {
    uint32_t number = MF2_HEAD_NUMBER(head);
    bool popped = mf2_stack_pop_head(&owner->pending[class_index], page_links(state), &head);
    if (popped)
        popped_from(state, owner, class_index, &state->pages[number]);
    return popped;
}

uint32_t mf2_pending_take_all(struct mf2_state *state, struct MF2_ThreadPages *owner,
                              uint32_t class_index) {
    uint32_t first = mf2_stack_take_all(&owner->pending[class_index]);
    uint32_t count = 0;
    for (uint32_t number = first; number != 0; count++)
        number = mf2_load_relaxed(&state->pages[number].pending_next);
    mf2_fetch_sub_relaxed(&state->adoptable_count[class_index], count);
    if (masks_used(state))
        mask_clear_if_empty(state, owner, class_index);
    return first;
}

// ---------------------------------------------------------------- orphans

void mf2_orphan_push(struct mf2_state *state, struct MidPage *page) {
    mf2_stack_push(&state->orphans[page->class_index], page_links(state),
                   mf2_page_number(state, page));
}

struct MidPage *mf2_orphan_pop(struct mf2_state *state, uint32_t class_index) {
    uint32_t number = mf2_stack_pop(&state->orphans[class_index], page_links(state));
    if (number == 0)
        return NULL;
    mf2_protocol_unmark(state, &state->pages[number]);
    return &state->pages[number];
}

void mf2_orphan_rescue(struct mf2_state *state, struct MF2_ThreadPages *owner,
                       uint32_t class_index) {
    uint32_t number = mf2_pending_take_all(state, owner, class_index);
    while (number != 0) {
        struct MidPage *page = &state->pages[number];
        number = mf2_load_relaxed(&page->pending_next);
        mf2_orphan_push(state, page);
    }
}

// An orphan that has come off its stack: away with it if it has no live block, else back. Another
// thread may have claimed it meanwhile, which then sees to it.
static bool reap(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page) {
    uint32_t slot = self->slot == MF2_SLOT_NONE ? MF2_SLOT_HELPER : self->slot;
    bool claimed = mf2_protocol_claim(state, page, slot);
    if (!claimed)
        return false;
    // Without draining: a page that stays must still be seen to be emptied by its remote frees.
    uint32_t remotes = mf2_protocol_remotes(state, page);
    if (remotes == page->used) {
        mf2_drain_remote_frees(state, page);
        bool gone = mf2_page_dispose_empty(state, self, page);
        if (gone)
            return true;
    }
    mf2_page_put_away(state, self, page, MF2_PAGE_ORPHAN);
    bool marked = mf2_protocol_mark(state, page);
    if (marked)
        mf2_orphan_push(state, page);
    return false;
}

uint32_t mf2_orphan_reap(struct mf2_state *state, struct MF2_ThreadPages *self,
                         uint32_t class_index) {
    uint32_t number = mf2_stack_take_all(&state->orphans[class_index]);
    uint32_t reaped = 0;
    while (number != 0) {
        struct MidPage *page = &state->pages[number];
        number = mf2_load_relaxed(&page->pending_next);
        bool emptied = mf2_word_emptied(page);
        if (!emptied) { // its mark is still set; others should miss it no longer than need be
            mf2_orphan_push(state, page);
            continue;
        }
        mf2_protocol_unmark(state, page);
        bool gone = reap(state, self, page);
        reaped += gone;
    }
    MF2_COUNT_BY(state, self, orphans_reaped, reaped);
    return reaped;
}

// ---------------------------------------------------------------- telling the home

void mf2_pending_queue(struct mf2_state *state, struct MF2_ThreadPages *owner,
                       struct MidPage *page) {
    uint32_t class_index = page->class_index; // once pushed, the page is others' to change
    pending_push(state, owner, page);
    if (state->route.orphans == MF2_ORPHANS_STRAND)
        return;
    // Either this sees that the home has exited, or the home, which marks itself exited before it
    // empties its queues, sees the push: a fence on both sides (thread.c).
    mf2_fence_seq_cst();
    uint32_t status = mf2_load_relaxed(&owner->status);
    if (status == MF2_THREAD_EXITED)
        mf2_orphan_rescue(state, owner, class_index);
}

void mf2_pending_notify(struct mf2_state *state, struct MF2_ThreadPages *self,
                        struct MidPage *page) {
    MF2_COUNT(state, self, pending_enqueued);
    if (state->route.full == MF2_FULL_SHARED) {
        mf2_orphan_push(state, page);
        return;
    }
    uint32_t home = mf2_load_relaxed(&page->home);
    struct MF2_ThreadPages *owner = mf2_thread_of_slot(state, home);
    if (state->route.rfr_ns) {
        uint64_t now_ns = mf2_clock_ns();
        mf2_store_relaxed(&page->rfr_deadline, now_ns + state->route.rfr_ns);
    }
    mf2_pending_queue(state, owner, page);
    if (state->route.helper && owner != self) {
        uint64_t now_ns = mf2_clock_ns();
        bool idle = mf2_thread_is_idle(state, owner, now_ns);
        if (idle)
            mf2_helper_wake(state, self);
    }
}
