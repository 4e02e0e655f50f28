// activate.c: a page is put to work. The one place where pages are claimed, drained and made
// active, whoever found them.
#include "internal.h"

// A page of the caller's that it does not go on with. What is still free in it goes to the caller's
// queue of its class.
static void put_back(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page) {
    bool has_free = mf2_page_has_free(page);
    mf2_page_put_away(state, self, page, MF2_PAGE_FULL);
    bool marked = has_free && mf2_protocol_mark(state, page);
    if (marked)
        mf2_pending_notify(state, self, page);
}

// The active page is full; unless there was no memory for a new one, and blocks were gathered.
void mf2_activate(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page) {
    struct mf2_bin *bin = &self->bins[page->class_index];
    if (bin->active != &mf2_no_page)
        put_back(state, self, bin->active);
    page->state = MF2_PAGE_ACTIVE;
    bin->active = page;
}

// The page was held by a thread that is gone since a fork. It can never be claimed: on a queue it
// would only be in the way of others. Never changes back, so that a relaxed look is enough.
static bool is_lost(struct mf2_state *state, struct MidPage *page) {
    uint32_t holder = mf2_load_relaxed(&page->holder);
    if (holder == 0 || holder > state->thread_limit)
        return false;
    uint32_t lost = mf2_load_relaxed(&mf2_thread_of_slot(state, holder)->lost);
    return lost;
}

// A page whose mark has been cleared but whose remote frees were not taken is announced again.
static void announce_again(struct mf2_state *state, struct MF2_ThreadPages *self,
                           struct MidPage *page) {
    if (state->route.full == MF2_FULL_SHARED)
        return; // who holds it looks when it gives it up
    uint32_t remotes = mf2_protocol_remotes_unmarked(state, page);
    if (remotes < state->route.notify)
        return;
    bool marked = mf2_protocol_mark(state, page);
    bool lost = is_lost(state, page); // then the mark stays, so that no later free queues it
    if (marked && !lost)
        mf2_pending_notify(state, self, page);
}

static void count_drain(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t blocks) {
    if (blocks)
        MF2_COUNT(state, self, drain_successes);
    MF2_COUNT_BY(state, self, drained_blocks, blocks);
}

// The page that came up is the caller's already: its active one, or one of its partial list.
static bool drain_own(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page) {
    uint32_t drained = mf2_drain_remote_frees(state, page);
    count_drain(state, self, drained);
    if (page->state == MF2_PAGE_ACTIVE)
        return drained > 0;
    mf2_partial_remove(state, self, page);
    mf2_activate(state, self, page);
    mf2_count_reuse(self, page->class_index);
    return true;
}

// Claim, then drain; or, on a route without `claim`, drain and then claim, which may have to give
// the blocks back. False: somebody else holds the page.
static bool claim_and_drain(struct mf2_state *state, struct MF2_ThreadPages *self,
                            struct MidPage *page) {
    struct mf2_chain chain;
    if (state->route.claim) {
        bool claimed = mf2_protocol_claim(state, page, self->slot);
        if (!claimed) {
            announce_again(state, self, page);
            return false;
        }
        chain = mf2_protocol_take(state, page);
    } else {
        chain = mf2_protocol_take(state, page);
        bool claimed = mf2_protocol_claim(state, page, self->slot);
        if (!claimed) {
            if (chain.count) {
                unsigned notice = mf2_protocol_push(state, page, chain, false);
                bool lost = is_lost(state, page);
                if ((notice & MF2_NOTICE_QUEUE) && !lost)
                    mf2_pending_notify(state, self, page);
            }
            return false;
        }
    }
    count_drain(state, self, chain.count);
    mf2_page_merge(state, page, chain);
    return true;
}

bool mf2_try_drain_and_activate(struct mf2_state *state, struct MF2_ThreadPages *self,
                                uint32_t class_index, struct MidPage *page) {
    MF2_COUNT(state, self, drain_attempts);
    uint32_t holder = mf2_load_relaxed(&page->holder);
    if (holder == self->slot)
        return drain_own(state, self, page);
    bool ours = claim_and_drain(state, self, page);
    if (!ours) {
        MF2_COUNT(state, self, claim_failures);
        return false;
    }
    mf2_page_take_home(state, self, page);
    // Emptied and formatted for another class between its pop and its claim: of no use here.
    if (page->class_index != class_index) {
        put_back(state, self, page);
        return false;
    }
    if (!mf2_page_has_free(page)) {
        mf2_page_put_away(state, self, page, MF2_PAGE_FULL);
        return false;
    }
    mf2_activate(state, self, page);
    mf2_count_reuse(self, class_index);
    if (state->route.reenqueue) {
        uint32_t remotes = mf2_protocol_remotes(state, page);
        bool marked = remotes > 0 && mf2_protocol_mark(state, page);
        if (marked) {
            MF2_COUNT(state, self, reenqueued);
            mf2_pending_notify(state, self, page);
        }
    }
    return true;
}
