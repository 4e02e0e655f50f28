// watch.c: the fronts of threads that sleep. A thread that makes no call cannot empty its fronts;
// what lies in them pins pages that are otherwise free. So the helper does it, at its looks.
//
//   NONE ── gets its slot ──► AWAKE ── frees many blocks ──► LADEN ◄── makes a call ──┐
//                               ▲                              │ a look               │
//                               │                              ▼                      │
//                               │                           WATCHED ──────────────────┘
//                               │                              │ next look, no call
//                               │                              ▼
//                               └────────── makes a call ── ASLEEP (fronts are empty)
//   TAKEN    the helper is at it, between any two of these; an owner that makes a call waits
//   WAKING   the owner is at it
//
// A watched thread finds, as its own pages, the constant mf2_watched_thread, whose fronts are empty
// and full: its next call takes the slow path, sees that and wakes (mf2_enter). The fast path does
// not know of any of this but for one thing: it says when it begins and when it is done (`busy`).
//
// Who may touch fronts: their thread, while it is busy, and the helper, if it has seen that the
// thread was not busy after every thread had made a full fence. Either the thread had read its old
// pages before that fence: then the helper sees busy, or all that the thread did. Or it reads them
// after it: then it finds mf2_watched_thread. The fence of the others is the OS's (membarrier); the
// technique is that of asymmetric Dekker synchronisation (D. Dice, H. Huang, M. Yang, "Asymmetric
// Dekker synchronization", 2001). Where the OS has none, nothing is emptied.
//
// A thread stopped in the middle of a call, by a signal's handler say, is busy for as long.
#include "internal.h"

#define TAKEN_WAIT_NS 1000000 // nobody wakes who waits for the helper to be done

// ---------------------------------------------------------------- the owner's side

static void wake(struct MF2_ThreadPages *own) {
    uint32_t seen;
    for (;;) {
        seen = mf2_load_acquire(&own->watch);
        if (seen == MF2_WATCH_TAKEN) {
            mf2_futex_wait(&own->watch, MF2_WATCH_TAKEN, TAKEN_WAIT_NS);
            continue;
        }
        // Acquires the fronts as the helper has left them.
        bool ours = mf2_cas_acq_rel(&own->watch, &seen, MF2_WATCH_WAKING);
        if (ours)
            break;
    }
    mf2_self_restore(own); // before a look can hide it again
    mf2_store_release(&own->watch, seen == MF2_WATCH_ASLEEP ? MF2_WATCH_AWAKE : MF2_WATCH_LADEN);
}

struct MF2_ThreadPages *mf2_enter(void) {
    for (;;) {
        mf2_busy_begin();
        struct MF2_ThreadPages *self = mf2_self();
        if (MF2_LIKELY(self != &mf2_watched_thread)) {
            mf2_works_on(self->fronts);
            return self;
        }
        mf2_busy_end();
        wake(mf2_own());
    }
}

void mf2_leave(void) {
    mf2_busy_end();
}

void mf2_watch_begin(struct MF2_ThreadPages *self) {
    mf2_store_release(&self->watch, MF2_WATCH_AWAKE);
}

void mf2_watch_laden(struct mf2_state *state, struct MF2_ThreadPages *self) {
    uint32_t seen = mf2_load_relaxed(&self->watch);
    if (seen != MF2_WATCH_AWAKE) // which nobody else changes
        return;
    mf2_store_release(&self->watch, MF2_WATCH_LADEN);
    if (state->route.purge_ns)
        mf2_helper_tick_wanted(state);
}

void mf2_watch_end(struct MF2_ThreadPages *self) {
    for (;;) {
        uint32_t seen = mf2_load_relaxed(&self->watch);
        if (seen == MF2_WATCH_TAKEN) {
            mf2_futex_wait(&self->watch, MF2_WATCH_TAKEN, TAKEN_WAIT_NS);
            continue;
        }
        bool ended = mf2_cas_acq_rel(&self->watch, &seen, MF2_WATCH_NONE);
        if (ended)
            return;
    }
}

// ---------------------------------------------------------------- the helper's side

static bool take(struct MF2_ThreadPages *thread, uint32_t expected) {
    return mf2_cas_acq_rel(&thread->watch, &expected, MF2_WATCH_TAKEN);
}

// Begins to watch the threads that may keep much, and takes those that have been watched since the
// last look. Returns how many it took.
static uint32_t look_at_threads(struct mf2_state *state, uint32_t high) {
    uint32_t taken = 0;
    for (uint32_t slot = 1; slot <= high; slot++) {
        struct MF2_ThreadPages *thread = mf2_thread_of_slot(state, slot);
        uint32_t seen = mf2_load_relaxed(&thread->watch);
        if (seen == MF2_WATCH_WATCHED) {
            taken += take(thread, seen);
        } else if (seen == MF2_WATCH_LADEN) {
            bool ours = take(thread, seen);
            bool there = ours && mf2_seat_is_there(thread);
            if (there)
                mf2_seat_watch(thread);
            if (ours)
                mf2_store_release(&thread->watch, there ? MF2_WATCH_WATCHED : MF2_WATCH_NONE);
        }
    }
    return taken;
}

// A thread that was taken. Where it is in the middle of a call, it is watched on.
static void put_to_sleep(struct mf2_state *state, struct MF2_ThreadPages *thread) {
    bool there = mf2_seat_is_there(thread);
    bool busy = !there || mf2_seat_busy(thread);
    if (!busy) {
        mf2_front_empty(state, thread);
        thread->counters.fronts_emptied++;
    }
    uint32_t now = !there ? MF2_WATCH_NONE : busy ? MF2_WATCH_WATCHED : MF2_WATCH_ASLEEP;
    mf2_store_release(&thread->watch, now);
}

void mf2_watch_tick(struct mf2_state *state) {
    uint32_t high = mf2_load_acquire(&state->thread_high);
    if (!state->watching)
        return;
    uint32_t taken = look_at_threads(state, high);
    if (taken == 0)
        return;
    state->watching = mf2_fence_all();
    for (uint32_t slot = 1; slot <= high; slot++) {
        struct MF2_ThreadPages *thread = mf2_thread_of_slot(state, slot);
        uint32_t seen = mf2_load_relaxed(&thread->watch);
        if (seen != MF2_WATCH_TAKEN)
            continue;
        if (state->watching)
            put_to_sleep(state, thread);
        else
            mf2_store_release(&thread->watch, MF2_WATCH_WATCHED);
    }
}

bool mf2_watch_wanted(struct mf2_state *state) {
    uint32_t high = mf2_load_acquire(&state->thread_high);
    for (uint32_t slot = 1; slot <= high && state->watching; slot++) {
        struct MF2_ThreadPages *thread = mf2_thread_of_slot(state, slot);
        uint32_t seen = mf2_load_relaxed(&thread->watch);
        if (seen == MF2_WATCH_LADEN || seen == MF2_WATCH_WATCHED || seen == MF2_WATCH_WAKING)
            return true;
    }
    return false;
}
