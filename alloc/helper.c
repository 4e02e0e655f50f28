// helper.c: the one helper thread, which drains pages of idle owners (Route S, phase 3).
//
// A futex cannot wake an owner that sleeps in the program's own code. So the thread that makes the
// 0→1 edge on an idle owner's page wakes the helper, which claims the page, drains it and releases
// it: emptied pages leave the owner, the others wait on its queue with their blocks ready. The
// owner is never woken.
#include "internal.h"

void mf2_helper_wake(struct mf2_state *state, struct MF2_ThreadPages *self) {
    MF2_COUNT(state, self, helper_wakes);
    mf2_fetch_add_acq_rel(&state->helper_word, 1);
    mf2_futex_wake(&state->helper_word, 1);
}

void mf2_helper_start_if_wanted(struct mf2_state *state) {
    uint32_t wanted = mf2_load_relaxed(&state->helper_word);
    if (wanted == 0)
        return;
    uint32_t running = mf2_load_relaxed(&state->helper_running);
    if (running)
        return;
    uint32_t none = 0;
    bool first = mf2_cas_acq_rel(&state->helper_running, &none, 1);
    if (!first)
        return;
    bool started = mf2_helper_start(state);
    if (!started)
        mf2_store_release(&state->helper_running, 0);
}

// A page taken off an idle owner's queue, its mark still set.
static void tend_page(struct mf2_state *state, struct MF2_ThreadPages *owner,
                      struct MidPage *page) {
    bool claimed = mf2_protocol_claim(state, page, MF2_SLOT_HELPER);
    if (claimed) {
        struct MF2_ThreadPages *counts = (struct MF2_ThreadPages *)(uintptr_t)&mf2_no_thread;
        uint32_t drained = mf2_drain_remote_frees(state, page);
        if (drained) {
            MF2_COUNT(state, counts, helper_drains);
            MF2_COUNT_BY(state, counts, drained_blocks, drained);
        }
        if (page->used == 0 && state->route.empty != MF2_EMPTY_KEEP) {
            mf2_protocol_unmark(state, page); // it is off every queue: disposing marks it anew
            MF2_COUNT(state, counts, empty_pages);
            bool gone = mf2_page_dispose_empty(state, counts, page);
            if (gone)
                return;
            mf2_page_put_away(state, counts, page, MF2_PAGE_FULL);
            return; // somebody has marked it meanwhile, and queues it
        }
        mf2_page_put_away(state, counts, page, MF2_PAGE_FULL);
    }
    mf2_pending_queue(state, owner, page);
}

static void tend_owner(struct mf2_state *state, struct MF2_ThreadPages *owner) {
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        uint32_t number = mf2_pending_take_all(state, owner, k);
        while (number != 0) {
            struct MidPage *page = &state->pages[number];
            number = mf2_load_relaxed(&page->pending_next);
            tend_page(state, owner, page);
        }
    }
}

void mf2_helper_main(struct mf2_state *state) {
    for (;;) {
        uint32_t asked = mf2_load_acquire(&state->helper_word);
        uint32_t high = mf2_load_acquire(&state->thread_high);
        uint64_t now_ns = mf2_clock_ns();
        for (uint32_t slot = 1; slot <= high; slot++) {
            struct MF2_ThreadPages *owner = mf2_thread_of_slot(state, slot);
            bool idle = mf2_thread_is_idle(state, owner, now_ns);
            if (idle)
                tend_owner(state, owner);
        }
        mf2_futex_wait(&state->helper_word, asked, MF2_WAIT_FOREVER);
    }
}
