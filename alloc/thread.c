// thread.c: slots. A thread gets one at its first allocation (or free) and gives it back when it
// ends; its pages stay behind, and what becomes of them is the route's `orphans`.
//
// Status and queues: an ending thread first marks its slot EXITED, then (fence) empties its queues.
// A thread that pushes to a queue first pushes, then (fence) reads the status. One of the two sees
// the other, so that no page is left on a queue that nobody will look at.
//
// A slot that was given back keeps its queues and stays the home of its full pages: the thread that
// takes it next inherits them. On a route with orphans=strand slots are not given out again while
// there are unused ones, because an heir would be the adoption that the route does without.
#include "internal.h"

// Its fronts are always empty and always full.
static void *const no_blocks[2];
#define NO_FRONT                                                                                   \
    { .top = (void **)(uintptr_t)&no_blocks[1], .end = (void **)(uintptr_t)&no_blocks[1] }
#define NO_THREAD(its_status)                                                                      \
    {                                                                                              \
        .slot = MF2_SLOT_NONE, .status = {its_status},                                             \
        .bins = {[0 ... MF2_CLASS_MAX - 1] = {.active =                                            \
                                                  (struct MidPage *)(uintptr_t)&mf2_no_page}},     \
        .fronts = {                                                                                \
            [0 ... MF2_CLASS_MAX] = NO_FRONT                                                       \
        }                                                                                          \
    }
const struct MF2_ThreadPages mf2_no_thread = NO_THREAD(MF2_THREAD_UNUSED);
static const struct MF2_ThreadPages ended_thread = NO_THREAD(MF2_THREAD_EXITED);
const struct MF2_ThreadPages mf2_watched_thread = NO_THREAD(MF2_THREAD_LIVE);
const struct MidPage mf2_no_page = {.free = MF2_UNIT_NONE};

static struct MidPage *no_page(void) {
    return (struct MidPage *)(uintptr_t)&mf2_no_page;
}

// ---------------------------------------------------------------- taking a slot

static uint32_t slot_reuse(struct mf2_state *state) {
    mf2_works_on(&state->free_slot);
    uint32_t slot = state->free_slot;
    if (slot)
        state->free_slot = mf2_thread_of_slot(state, slot)->next_free_slot;
    return slot;
}

static uint32_t slot_new(struct mf2_state *state) {
    uint32_t high = mf2_load_relaxed(&state->thread_high);
    if (high == state->thread_limit)
        return 0;
    uint64_t end = state->threads_offset + (high + 1) * state->thread_bytes;
    bool ready = mf2_metadata_ready(state, &state->threads_ready, end);
    if (!ready)
        return 0;
    mf2_store_release(&state->thread_high, high + 1);
    return high + 1;
}

static uint32_t slot_take(struct mf2_state *state) {
    bool strand = state->route.orphans == MF2_ORPHANS_STRAND;
    mf2_lock(&state->thread_lock);
    uint32_t slot = strand ? slot_new(state) : slot_reuse(state);
    if (!slot)
        slot = strand ? slot_reuse(state) : slot_new(state);
    mf2_unlock(&state->thread_lock);
    return slot;
}

struct MF2_ThreadPages *mf2_thread_ensure(struct mf2_state *state, struct MF2_ThreadPages *self) {
    bool again = self == &ended_thread;
    if (self->slot != MF2_SLOT_NONE)
        return self;
    uint32_t slot = slot_take(state);
    if (!slot)
        return NULL;
    self = mf2_thread_of_slot(state, slot);
    mf2_works_on(self);
    self->slot = slot;
    for (uint32_t k = 0; k < MF2_CLASS_MAX; k++)
        if (!self->bins[k].active)
            self->bins[k].active = no_page();
    if (state->clock_wanted) {
        uint64_t now_ns = mf2_clock_ns();
        mf2_store_relaxed(&self->last_slow_ns, now_ns);
    }
    mf2_front_begin(state, self);
    mf2_store_release(&self->status, MF2_THREAD_LIVE);
    mf2_self_set(self);
    // After its last destructor nobody would say that it has ended: its memory could be gone while
    // it is watched.
    if (!again)
        mf2_watch_begin(self);
    return self;
}

// A thread that only frees needs fronts as well: what it frees then goes to others in batches, not
// block by block to shared pages. But a thread that has given its slot back gets none for a free:
// the C library frees when the last destructor has run, and nobody would give that slot back.
struct MF2_ThreadPages *mf2_thread_for_free(struct mf2_state *state, struct MF2_ThreadPages *self) {
    if (self->slot != MF2_SLOT_NONE || self == &ended_thread || !state->route.front)
        return self;
    struct MF2_ThreadPages *taken = mf2_thread_ensure(state, self);
    return taken ? taken : self;
}

bool mf2_thread_is_idle(struct mf2_state *state, struct MF2_ThreadPages *thread, uint64_t now_ns) {
    uint32_t status = mf2_load_relaxed(&thread->status);
    if (status != MF2_THREAD_LIVE)
        return false;
    uint64_t last_slow_ns = mf2_load_relaxed(&thread->last_slow_ns);
    return now_ns > last_slow_ns && now_ns - last_slow_ns > state->route.idle_ns;
}

// ---------------------------------------------------------------- giving it back

static void give_up_bin(struct mf2_state *state, struct MF2_ThreadPages *self,
                        uint32_t class_index) {
    struct MidPage *active = self->bins[class_index].active;
    self->bins[class_index].active = no_page();
    if (active != &mf2_no_page)
        mf2_page_give_up(state, self, active);
    for (;;) {
        struct MidPage *page = mf2_partial_pop(state, self, class_index);
        if (!page)
            return;
        mf2_page_give_up(state, self, page);
    }
}

static void end_thread(struct mf2_state *state, struct MF2_ThreadPages *self) {
    mf2_watch_end(self);
    mf2_front_end(state, self);
    for (uint32_t k = 0; k < state->geometry->class_count; k++)
        give_up_bin(state, self, k);
    mf2_store_release(&self->status, MF2_THREAD_EXITED);
    mf2_fence_seq_cst(); // pairs with the fence of mf2_pending_queue
    if (state->route.orphans != MF2_ORPHANS_STRAND)
        for (uint32_t k = 0; k < state->geometry->class_count; k++)
            mf2_orphan_rescue(state, self, k);
    mf2_self_set((struct MF2_ThreadPages *)(uintptr_t)&ended_thread);
    mf2_works_on(self);
    mf2_lock(&state->thread_lock);
    mf2_works_on(&state->free_slot);
    self->next_free_slot = state->free_slot;
    state->free_slot = self->slot;
    mf2_unlock(&state->thread_lock);
}

void mf2_thread_exit(void) {
    struct mf2_state *state = mf2_state();
    struct MF2_ThreadPages *self = mf2_enter();
    if (self->slot != MF2_SLOT_NONE)
        end_thread(state, self);
    mf2_leave();
}

void mf2_thread_give_up_empty(struct mf2_state *state, struct MF2_ThreadPages *self) {
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        struct MidPage *active = self->bins[k].active;
        if (active == &mf2_no_page || active->used > 0)
            continue;
        bool gone = mf2_page_dispose_empty(state, self, active);
        if (gone)
            self->bins[k].active = no_page();
    }
}

// ---------------------------------------------------------------- fork

void mf2_before_fork(void) {
    struct mf2_state *state = mf2_state();
    mf2_helper_stop(state);
    mf2_lock(&state->thread_lock);
    mf2_lock(&state->heap_lock);
}

void mf2_after_fork_parent(void) {
    struct mf2_state *state = mf2_state();
    mf2_unlock(&state->heap_lock);
    mf2_unlock(&state->thread_lock);
    mf2_helper_go_on(state);
}

void mf2_after_fork_child(void) {
    struct mf2_state *state = mf2_state();
    mf2_after_fork_parent();
    uint32_t self = mf2_own()->slot;
    uint32_t high = mf2_load_relaxed(&state->thread_high);
    // The other threads are gone in the middle of whatever they did. Their held pages stay held:
    // nobody may trust their owner's line. Their slots are not given out again; what
    // their queues hold of shared pages goes the way of orphans.
    for (uint32_t slot = 1; slot <= high; slot++) {
        struct MF2_ThreadPages *thread = mf2_thread_of_slot(state, slot);
        uint32_t status = mf2_load_relaxed(&thread->status);
        if (slot == self || status != MF2_THREAD_LIVE)
            continue;
        mf2_store_relaxed(&thread->status, MF2_THREAD_EXITED);
        mf2_store_relaxed(&thread->watch, MF2_WATCH_NONE);
        mf2_store_relaxed(&thread->lost, 1);
        if (state->route.orphans != MF2_ORPHANS_STRAND)
            for (uint32_t k = 0; k < state->geometry->class_count; k++)
                mf2_orphan_rescue(state, thread, k);
    }
    mf2_store_relaxed(&state->helper_running, 0);
    mf2_store_relaxed(&state->helper_ticking, 0);
}
