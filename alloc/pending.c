// pending.c: the per-owner, per-class pending queues, the orphan stacks, and who is told of what.
//
// Both are stacks of page numbers, linked through pending_next, with a head {tag:32 | page:32}.
// Anyone pushes; who may drain pops. The tag changes with every change of the head: a page that
// was popped and pushed again between a popper's look and its CAS is not mistaken for the one
// seen, although its number is the same (ABA). A page's metadata is never unmapped, so that
// reading pending_next of a page that is gone already is harmless: the CAS then fails.
//
// A page is on at most one of these stacks: its mark (protocol.h) says that it is on one, or that
// whoever set the mark is about to push it.
#include "internal.h"

#define HEAD_PAGE(head)       ((uint32_t)(head))
#define HEAD_NEXT(head, page) ((((head) >> 32) + 1) << 32 | (page))

static bool masks_used(const struct mf2_state *state) {
    return state->route.scan == MF2_SCAN_MASK || state->route.helper;
}

// ---------------------------------------------------------------- the stack

// Returns whether it was empty.
static bool stack_push(mf2_atomic_u64 *stack, struct MidPage *page, uint32_t number) {
    uint64_t head = mf2_load_relaxed(stack);
    for (;;) {
        mf2_store_relaxed(&page->pending_next, HEAD_PAGE(head));
        // Releases pending_next to the popper.
        bool pushed = mf2_cas_acq_rel(stack, &head, HEAD_NEXT(head, number));
        if (pushed)
            return HEAD_PAGE(head) == 0;
    }
}

// Pops the page under exactly this head.
static bool stack_pop_head(struct mf2_state *state, mf2_atomic_u64 *stack, uint64_t *head) {
    uint32_t next = mf2_load_relaxed(&state->pages[HEAD_PAGE(*head)].pending_next);
    return mf2_cas_acq_rel(stack, head, HEAD_NEXT(*head, next));
}

static uint32_t stack_pop(struct mf2_state *state, mf2_atomic_u64 *stack) {
    uint64_t head = mf2_load_acquire(stack); // pairs with the push's CAS
    while (HEAD_PAGE(head) != 0) {
        uint32_t number = HEAD_PAGE(head);
        bool popped = stack_pop_head(state, stack, &head);
        if (popped)
            return number;
    }
    return 0;
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
    if (HEAD_PAGE(head) != 0)
        return;
    uint32_t bit = mf2_slot_of_thread(state, owner) - 1;
    mf2_fetch_and_acq_rel(&mf2_ready_mask(state, class_index)[bit / 64], ~(1ull << (bit % 64)));
    head = mf2_load_acquire(&owner->pending[class_index]);
    if (HEAD_PAGE(head) != 0)
        mask_set(state, owner, class_index);
}

// ---------------------------------------------------------------- pending queues

static void pending_push(struct mf2_state *state, struct MF2_ThreadPages *owner,
                         struct MidPage *page) {
    uint32_t class_index = page->class_index;
    mf2_fetch_add_relaxed(&state->adoptable_count[class_index], 1);
    bool was_empty = stack_push(&owner->pending[class_index], page, mf2_page_number(state, page));
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
    uint32_t number = stack_pop(state, &owner->pending[class_index]);
    if (number == 0)
        return NULL;
    struct MidPage *page = &state->pages[number];
    popped_from(state, owner, class_index, page);
    return page;
}

struct MidPage *mf2_pending_peek(struct mf2_state *state, struct MF2_ThreadPages *owner,
                                 uint32_t class_index, uint64_t *head) {
    *head = mf2_load_acquire(&owner->pending[class_index]);
    if (HEAD_PAGE(*head) != 0)
        return &state->pages[HEAD_PAGE(*head)];
    // Who pushed set the bit after another had popped: nobody else would clear it.
    if (masks_used(state))
        mask_clear_if_empty(state, owner, class_index);
    return NULL;
}

bool mf2_pending_pop_peeked(struct mf2_state *state, struct MF2_ThreadPages *owner,
                            uint32_t class_index, uint64_t head) {
    uint32_t number = HEAD_PAGE(head);
    bool popped = stack_pop_head(state, &owner->pending[class_index], &head);
    if (popped)
        popped_from(state, owner, class_index, &state->pages[number]);
    return popped;
}

uint32_t mf2_pending_take_all(struct mf2_state *state, struct MF2_ThreadPages *owner,
                              uint32_t class_index) {
    uint64_t head = mf2_load_relaxed(&owner->pending[class_index]);
    while (HEAD_PAGE(head) != 0) {
        bool taken = mf2_cas_acq_rel(&owner->pending[class_index], &head, HEAD_NEXT(head, 0));
        if (taken)
            break;
    }
    uint32_t count = 0;
    for (uint32_t number = HEAD_PAGE(head); number != 0; count++)
        number = mf2_load_relaxed(&state->pages[number].pending_next);
    mf2_fetch_sub_relaxed(&state->adoptable_count[class_index], count);
    if (masks_used(state))
        mask_clear_if_empty(state, owner, class_index);
    return HEAD_PAGE(head);
}

// ---------------------------------------------------------------- orphans

void mf2_orphan_push(struct mf2_state *state, struct MidPage *page) {
    stack_push(&state->orphans[page->class_index], page, mf2_page_number(state, page));
}

struct MidPage *mf2_orphan_pop(struct mf2_state *state, uint32_t class_index) {
    uint32_t number = stack_pop(state, &state->orphans[class_index]);
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
    uint32_t home = mf2_load_relaxed(&page->home);
    struct MF2_ThreadPages *owner = mf2_thread_of_slot(state, home);
    if (state->route.rfr_ns) {
        uint64_t now_ns = mf2_clock_ns();
        mf2_store_relaxed(&page->rfr_deadline, now_ns + state->route.rfr_ns);
    }
    MF2_COUNT(state, self, pending_enqueued);
    mf2_pending_queue(state, owner, page);
    if (state->route.helper && owner != self) {
        uint64_t now_ns = mf2_clock_ns();
        bool idle = mf2_thread_is_idle(state, owner, now_ns);
        if (idle)
            mf2_helper_wake(state, self);
    }
}
