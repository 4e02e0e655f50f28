// adopt.c: pages of other threads: Consumer-Driven Adoption, Route P's gates, and the pages of
// threads that have exited.
#include "internal.h"

enum mf2_gate mf2_gate(const struct mf2_route *route, const struct mf2_gate_facts *facts) {
    bool owner_alive = !facts->owner_exited;
    // The owner may have been in its slow path since the clock was read.
    bool owner_idle = facts->now_ns > facts->owner_last_slow_ns &&
                      facts->now_ns - facts->owner_last_slow_ns > route->idle_ns;
    if (facts->now_ns < facts->rfr_deadline_ns)
        return MF2_GATE_RFR;
    if (route->gate_idle && owner_alive && !owner_idle)
        return MF2_GATE_IDLE;
    if (route->gate_partial && owner_alive && facts->owner_partial_count > 0)
        return MF2_GATE_PARTIAL;
    if (route->gate_pressure && facts->adoptable_count <= route->gate_pressure)
        return MF2_GATE_PRESSURE;
    if (route->gate_remotes && facts->remotes < route->gate_remotes)
        return MF2_GATE_REMOTES;
    return MF2_GATE_OPEN;
}

static void count_gate(struct mf2_state *state, struct MF2_ThreadPages *self, enum mf2_gate gate) {
    switch (gate) {
    case MF2_GATE_RFR:
        MF2_COUNT(state, self, adoption_blocked_rfr);
        break;
    case MF2_GATE_IDLE:
        MF2_COUNT(state, self, adoption_blocked_idle);
        break;
    case MF2_GATE_PARTIAL:
        MF2_COUNT(state, self, adoption_blocked_partial);
        break;
    case MF2_GATE_PRESSURE:
        MF2_COUNT(state, self, adoption_blocked_pressure);
        break;
    case MF2_GATE_REMOTES:
        MF2_COUNT(state, self, adoption_blocked_remotes);
        break;
    case MF2_GATE_OPEN:
        break;
    }
}

static bool put_adopted_to_work(struct mf2_state *state, struct MF2_ThreadPages *self,
                                struct MF2_ThreadPages *owner, uint32_t class_index,
                                struct MidPage *page) {
    bool activated = mf2_try_drain_and_activate(state, self, class_index, page);
    if (!activated)
        return false;
    MF2_COUNT(state, self, pending_drained);
    if (owner != self)
        MF2_COUNT(state, self, adoption_allowed);
    return true;
}

// ---------------------------------------------------------------- anyone: every queue in turn
//
// The seed's adoption: no gate. The scan begins with the own queue and goes on by slot; the seed
// does not say in which order, and this one lets the owner look at its own pages first.

static bool adopt_scan(struct mf2_state *state, struct MF2_ThreadPages *self,
                       uint32_t class_index) {
    uint32_t high = mf2_load_acquire(&state->thread_high);
    for (uint32_t i = 0; i < high; i++) {
        uint32_t slot = (self->slot - 1 + i) % high + 1;
        struct MF2_ThreadPages *owner = mf2_thread_of_slot(state, slot);
        struct MidPage *page = mf2_dequeue_pending(state, owner, class_index);
        if (!page)
            continue;
        bool activated = put_adopted_to_work(state, self, owner, class_index, page);
        if (activated)
            return true;
    }
    return false;
}

// ---------------------------------------------------------------- gated: Route P
//
// At most one page a slow path, found by the ready mask; the page is looked at before it is
// popped, so that a refusal leaves the queue as it is.

static enum mf2_gate look_at_gates(struct mf2_state *state, struct MF2_ThreadPages *owner,
                                   uint32_t class_index, struct MidPage *page) {
    struct mf2_gate_facts facts = {0};
    facts.now_ns = mf2_clock_ns();
    facts.owner_last_slow_ns = mf2_load_relaxed(&owner->last_slow_ns);
    facts.rfr_deadline_ns = mf2_load_relaxed(&page->rfr_deadline);
    facts.owner_partial_count = mf2_load_relaxed(&owner->bins[class_index].partial_count);
    facts.adoptable_count = mf2_load_relaxed(&state->adoptable_count[class_index]);
    facts.remotes = mf2_protocol_remotes(state, page);
    uint32_t status = mf2_load_relaxed(&owner->status);
    facts.owner_exited = status == MF2_THREAD_EXITED;
    return mf2_gate(&state->route, &facts);
}

static bool adopt_from(struct mf2_state *state, struct MF2_ThreadPages *self,
                       struct MF2_ThreadPages *owner, uint32_t class_index) {
    uint64_t head;
    struct MidPage *page = mf2_pending_peek(state, owner, class_index, &head);
    if (!page)
        return false;
    if (state->route.drain == MF2_DRAIN_GATED && owner != self) {
        enum mf2_gate gate = look_at_gates(state, owner, class_index, page);
        if (gate != MF2_GATE_OPEN) {
            count_gate(state, self, gate);
            return false;
        }
    }
    bool popped = mf2_pending_pop_peeked(state, owner, class_index, head);
    if (!popped)
        return false;
    return put_adopted_to_work(state, self, owner, class_index, page);
}

// Looks at the queues that the mask names, from the caller's own slot on, until one page is
// adopted: at most one a slow path, and no scan of empty queues. A queue whose first page may not
// be had (its gates are shut, somebody holds it) does not hide the others.
static bool adopt_masked(struct mf2_state *state, struct MF2_ThreadPages *self,
                         uint32_t class_index) {
    mf2_atomic_u64 *mask = mf2_ready_mask(state, class_index);
    uint32_t own = self->slot - 1;
    uint64_t from_own = ~0ull << (own % 64);
    for (uint32_t i = 0; i <= state->mask_words; i++) {
        uint32_t word = (own / 64 + i) % state->mask_words;
        uint64_t bits = mf2_load_acquire(&mask[word]);
        if (i == 0)
            bits &= from_own;
        if (i == state->mask_words) // the own word again: slots before it
            bits &= ~from_own;
        for (; bits != 0; bits &= bits - 1) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits) + 1;
            bool adopted = adopt_from(state, self, mf2_thread_of_slot(state, slot), class_index);
            if (adopted)
                return true;
        }
    }
    return false;
}

bool mf2_try_adopt_pending(struct mf2_state *state, struct MF2_ThreadPages *self,
                           uint32_t class_index) {
    if (state->route.drain == MF2_DRAIN_OWNER)
        return false;
    if (state->route.drain == MF2_DRAIN_ANYONE && state->route.scan == MF2_SCAN_ALL)
        return adopt_scan(state, self, class_index);
    return adopt_masked(state, self, class_index);
}

// ---------------------------------------------------------------- exited owners

bool mf2_try_adopt_orphan(struct mf2_state *state, struct MF2_ThreadPages *self,
                          uint32_t class_index) {
    if (state->route.orphans == MF2_ORPHANS_STRAND && state->route.full == MF2_FULL_HOME)
        return false;
    for (uint32_t i = 0; i < state->route.budget; i++) {
        struct MidPage *page = mf2_orphan_pop(state, class_index);
        if (!page)
            return false;
        bool activated = mf2_try_drain_and_activate(state, self, class_index, page);
        if (activated) {
            MF2_COUNT(state, self, orphans_adopted);
            return true;
        }
    }
    return false;
}
