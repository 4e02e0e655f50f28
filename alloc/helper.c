// helper.c: the one helper thread. It drains pages of idle owners (Route S, phase 3), and gives
// memory that nobody needs back to the OS.
//
// Purging: while there is dirty memory, or something that would become dirty, the helper looks
// every purge_ns. What lay unused since it looked last goes: first the fronts of threads that sleep
// (watch.c), then batches of the depot, then pages emptied by other threads, then dirty pages, and
// the memory of free blocks in pages that cannot go (hollow.c). When nothing is left it sleeps
// until it is told of more; what it does not do costs no time. Where there is no helper, the
// threads that leave such things look themselves, every so many times.
//
// Idle owners: a futex cannot wake an owner that sleeps in the program's own code. So the thread
// that makes the 0→1 edge on an idle owner's page wakes the helper, which claims the page, drains
// it and releases it: emptied pages leave the owner, the others wait on its queue with their blocks
// ready. The owner is never woken.
#include "internal.h"

#define LOOK_EVERY   64      // leavings, where threads look themselves
#define LOOK_WAIT_NS 1000000 // nobody wakes who waits for a look's end

// Anyone may start it at any time, in the middle of a free as well: see platform_helper.c.
static bool runs(struct mf2_state *state) {
    uint32_t running = mf2_load_relaxed(&state->helper_running);
    if (running)
        return true;
    uint32_t none = 0;
    bool first = mf2_cas_acq_rel(&state->helper_running, &none, 1);
    if (!first)
        return true;
    bool started = mf2_helper_start(state);
    if (!started)
        mf2_store_release(&state->helper_running, 0);
    return started;
}

static bool ask(struct mf2_state *state) {
    mf2_fetch_add_acq_rel(&state->helper_word, 1);
    mf2_futex_wake(&state->helper_word, 1);
    return runs(state);
}

void mf2_helper_wake(struct mf2_state *state, struct MF2_ThreadPages *self) {
    if (!state->helper_wanted)
        return;
    MF2_COUNT(state, self, helper_wakes);
    ask(state);
}

bool mf2_helper_tick_wanted(struct mf2_state *state) {
    if (!state->helper_wanted)
        return false;
    // Looked at first: most calls find it set. Who sees an old 1 while the helper goes to sleep is
    // seen by the helper, which looks once more after it has cleared it: a fence on both sides
    // (stop_ticking).
    mf2_fence_seq_cst();
    uint32_t ticking = mf2_load_relaxed(&state->helper_ticking);
    if (ticking)
        return true;
    uint32_t before = mf2_exchange_acq_rel(&state->helper_ticking, 1);
    if (before)
        return true;
    bool helped = ask(state);
    if (!helped)
        mf2_store_relaxed(&state->helper_ticking, 0);
    return helped;
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

// ---------------------------------------------------------------- purging

// Pages that nobody owns, of a protocol that knows whether they are left alone; and the helper
// alone has the time for them.
static bool hollows(const struct mf2_state *state) {
    return state->route.full == MF2_FULL_SHARED && state->helper_wanted;
}

static bool anything_left(struct mf2_state *state, uint32_t dirty) {
    if (dirty || mf2_watch_wanted(state))
        return true;
    if (hollows(state) && mf2_hollow_wanted(state))
        return true;
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        uint32_t batches = mf2_load_relaxed(&state->depot_count[k]);
        uint32_t empties = mf2_load_relaxed(&state->orphan_empties[k]);
        if (batches || empties)
            return true;
    }
    return false;
}

// One look at everything that may be given back. Returns whether there is more to look for.
static bool tick(struct mf2_state *state) {
    struct MF2_ThreadPages *counts = (struct MF2_ThreadPages *)(uintptr_t)&mf2_no_thread;
    mf2_watch_tick(state);
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        mf2_depot_tick(state, counts, k);
        uint32_t empties = mf2_load_relaxed(&state->orphan_empties[k]);
        if (empties)
            mf2_orphan_reap(state, counts, k);
        if (hollows(state))
            mf2_hollow_tick(state, k);
    }
    uint32_t dirty = mf2_heap_tick(state);
    return anything_left(state, dirty);
}

// One look at a time: false while another one goes on.
static bool begin_look(struct mf2_state *state) {
    uint32_t nobody = 0;
    return mf2_cas_acq_rel(&state->helper_looking, &nobody, 1);
}

static void end_look(struct mf2_state *state) {
    mf2_store_release(&state->helper_looking, 0);
}

// Returns whether there is more to look for.
static bool look(struct mf2_state *state) {
    bool first = begin_look(state);
    if (!first)
        return true;
    bool more = tick(state);
    end_look(state);
    return more;
}

// A look leaves memory behind, too: then this is called within it, and does nothing.
void mf2_helper_look_instead(struct mf2_state *state) {
    uint32_t leavings = mf2_fetch_add_relaxed(&state->leavings, 1);
    if (leavings % LOOK_EVERY == 0)
        look(state);
}

void mf2_helper_stop(struct mf2_state *state) {
    for (;;) {
        bool stopped = begin_look(state);
        if (stopped)
            return;
        mf2_futex_wait(&state->helper_looking, 1, LOOK_WAIT_NS);
    }
}

void mf2_helper_go_on(struct mf2_state *state) {
    end_look(state);
}

void mf2_helper_wait(struct mf2_state *state) {
    for (;;) {
        uint32_t looking = mf2_load_acquire(&state->helper_looking);
        if (!looking)
            return;
        mf2_futex_wait(&state->helper_looking, 1, LOOK_WAIT_NS);
    }
}

void mf2_gather_free(struct mf2_state *state, struct MF2_ThreadPages *self) {
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        mf2_depot_tick(state, self, k); // what waits now is "unused" for
        mf2_depot_tick(state, self, k); // the second look
        mf2_orphan_reap(state, self, k);
    }
}

bool mf2_give_all(struct mf2_state *state, struct MF2_ThreadPages *self) {
    if (self->slot != MF2_SLOT_NONE)
        mf2_front_end(state, self);
    mf2_gather_free(state, self);
    if (self->slot != MF2_SLOT_NONE) {
        mf2_thread_give_up_empty(state, self);
        mf2_front_begin(state, self);
    }
    return mf2_heap_purge(state, UINT32_MAX) > 0;
}

bool mf2_trim(void) {
    struct mf2_state *state = mf2_state();
    if (!state->geometry) // nothing was ever allocated
        return false;
    struct MF2_ThreadPages *self = mf2_enter();
    bool gone = mf2_give_all(state, self);
    mf2_leave();
    return gone;
}

// The helper will not look again by itself. True: somebody has left something just before that was
// said, and relies on the helper to look.
static bool stop_ticking(struct mf2_state *state) {
    mf2_exchange_acq_rel(&state->helper_ticking, 0);
    mf2_fence_seq_cst(); // pairs with the fence of mf2_helper_tick_wanted
    uint32_t dirty = mf2_heap_dirty(state);
    if (!anything_left(state, dirty))
        return false;
    mf2_exchange_acq_rel(&state->helper_ticking, 1);
    return true;
}

static void tend_idle_owners(struct mf2_state *state) {
    uint32_t high = mf2_load_acquire(&state->thread_high);
    uint64_t now_ns = mf2_clock_ns();
    for (uint32_t slot = 1; slot <= high; slot++) {
        struct MF2_ThreadPages *owner = mf2_thread_of_slot(state, slot);
        bool idle = mf2_thread_is_idle(state, owner, now_ns);
        if (idle)
            tend_owner(state, owner);
    }
}

// Looks if it is time. Returns for how long the helper may sleep.
static uint64_t purge_when_due(struct mf2_state *state, uint64_t *due_ns) {
    uint32_t ticking = mf2_load_acquire(&state->helper_ticking);
    if (!ticking)
        return MF2_WAIT_FOREVER;
    uint64_t now_ns = mf2_clock_ns();
    if (*due_ns == 0)
        *due_ns = now_ns + state->route.purge_ns;
    if (now_ns < *due_ns)
        return *due_ns - now_ns;
    bool more = look(state);
    if (!more)
        more = stop_ticking(state);
    *due_ns = more ? now_ns + state->route.purge_ns : 0;
    return more ? state->route.purge_ns : MF2_WAIT_FOREVER;
}

void mf2_helper_main(struct mf2_state *state) {
    uint64_t due_ns = 0;
    for (;;) {
        uint32_t asked = mf2_load_acquire(&state->helper_word);
        if (state->route.helper)
            tend_idle_owners(state);
        uint64_t sleep_ns = MF2_WAIT_FOREVER;
        if (state->route.purge_ns)
            sleep_ns = purge_when_due(state, &due_ns);
        mf2_futex_wait(&state->helper_word, asked, sleep_ns);
    }
}
