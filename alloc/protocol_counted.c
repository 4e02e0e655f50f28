// protocol_counted.c: the seed's page protocol. A page has a stack of remote frees
// (remote_head), a count beside it (remote_count) and a flag (in_remote_pending); whoever works on
// it is in `holder`.
//
// The three words change one after the other, so that the order of the steps carries the proof:
//   push: link → stack → count → mark        take: count := 0 → stack := empty
// A free that is pushed after the take has emptied the stack is counted after the count was
// emptied, so that its count is ≥ 1 and it is announced. The other way round a count of 1 may
// stand for a free that the take has got already: a drain attempt then finds nothing (the seed's
// "drain successes" are fewer than its "drain attempts").
#include "internal.h"

void mf2_counted_format(struct MidPage *page, uint32_t slot) {
    mf2_store_relaxed(&page->remote_head, MF2_UNIT_NONE);
    mf2_store_relaxed(&page->remote_count, 0);
    mf2_store_relaxed(&page->holder, slot);
    // Releases the page as formatted to who marks it next: that may be a thread which has freed
    // into its former life, and has not got as far as the count and the mark.
    mf2_store_release(&page->in_remote_pending, 0);
}

unsigned mf2_counted_push(struct mf2_state *state, struct MidPage *page, struct mf2_chain chain,
                          bool quiet) {
    uint32_t head = mf2_load_relaxed(&page->remote_head);
    for (;;) {
        if (MF2_UNLIKELY(head == chain.first))
            mf2_fail_at(state, "double free", mf2_page_block(state, page, chain.first));
        mf2_page_set_link(state, page, chain.last, (uint16_t)head);
        // Releases the links to the taker's exchange.
        bool pushed = mf2_cas_acq_rel(&page->remote_head, &head, chain.first);
        if (pushed)
            break;
    }
    if (quiet)
        return MF2_NOTICE_NONE;
    uint32_t count = mf2_fetch_add_acq_rel(&page->remote_count, chain.count) + chain.count;
    if (count < state->route.notify)
        return MF2_NOTICE_NONE;
    // Looked at first: most pushes find it set, and need not write to the line. Whoever clears it
    // steps on the count afterwards: after this push, and has it, or before, and then it is seen
    // cleared here.
    uint32_t marked = mf2_load_relaxed(&page->in_remote_pending);
    return !marked && mf2_counted_mark(page) ? MF2_NOTICE_QUEUE : MF2_NOTICE_NONE;
}

struct mf2_chain mf2_counted_take(struct mf2_state *state, struct MidPage *page) {
    struct mf2_chain chain = {MF2_UNIT_NONE, MF2_UNIT_NONE, 0};
    mf2_exchange_acq_rel(&page->remote_count, 0);
    // Acquires the links that the pushes released.
    uint32_t head = mf2_exchange_acq_rel(&page->remote_head, MF2_UNIT_NONE);
    chain.first = (uint16_t)head;
    // Quiet frees are not counted, so the chain is walked.
    for (uint16_t unit = chain.first; unit != MF2_UNIT_NONE;) {
        chain.count++;
        chain.last = unit;
        unit = mf2_page_link(state, page, unit);
    }
    return chain;
}

bool mf2_counted_claim(struct MidPage *page, uint32_t slot) {
    uint32_t nobody = 0;
    // Acquires the owner's line from the last holder's release.
    return mf2_cas_acq_rel(&page->holder, &nobody, slot);
}

unsigned mf2_counted_release(struct mf2_state *state, struct MidPage *page) {
    (void)state;
    // Releases the owner's line to the next claim.
    mf2_store_release(&page->holder, 0);
    return MF2_NOTICE_NONE;
}

bool mf2_counted_mark(struct MidPage *page) {
    // An exchange whatever it holds: who gives a page up and finds it marked leaves it to who will
    // pop it. That one clears the mark, in one order with this step, and so finds it given up. By
    // a plain look each could see the other's old value (store buffering): the popper a page that
    // is held, which it drops, and this one a mark.
    uint32_t before = mf2_exchange_acq_rel(&page->in_remote_pending, 1);
    return before == 0;
}

void mf2_counted_unmark(struct MidPage *page) {
    // An exchange, not a store: what is taken afterwards must be read after this is visible, or a
    // push between the two could see the mark still set and stay unannounced.
    mf2_exchange_acq_rel(&page->in_remote_pending, 0);
}

uint32_t mf2_counted_remotes(struct MidPage *page) {
    return mf2_load_relaxed(&page->remote_count);
}

uint32_t mf2_counted_remotes_unmarked(struct MidPage *page) {
    // Mark and count are two words: by plain loads, this could miss a push that still sees the mark
    // (store buffering). As a step of the count's own order it comes before the push, which then
    // acquires the cleared mark, or after it and counts it.
    return mf2_fetch_add_acq_rel(&page->remote_count, 0);
}
