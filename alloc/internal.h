// internal.h: the private functions of alloc/, grouped by the file that defines them. Read it as
// the map of the allocator. All of them run on behalf of the calling thread.
#ifndef MF2_INTERNAL_H
#define MF2_INTERNAL_H

#include "mf2.h"
#include "protocol.h"
#include "state.h"

// ---------------------------------------------------------------- counting

#define MF2_COUNTER_INDEX(name) (offsetof(struct mf2_counters, name) / sizeof(uint64_t))
// Adds to a counter of the calling thread, or to the shared one where it has no slot.
static inline void mf2_count_by(struct mf2_state *state, struct MF2_ThreadPages *self, size_t index,
                                uint64_t by) {
    if (MF2_LIKELY(self->slot != MF2_SLOT_NONE))
        ((uint64_t *)(void *)&self->counters)[index] += by;
    else
        mf2_fetch_add_relaxed(&state->shared_counters[index], by);
}
#define MF2_COUNT(state, self, name)        mf2_count_by(state, self, MF2_COUNTER_INDEX(name), 1)
#define MF2_COUNT_BY(state, self, name, by) mf2_count_by(state, self, MF2_COUNTER_INDEX(name), (by))

// A page was put back to work by a thread with pages of its own.
static inline void mf2_count_reuse(struct MF2_ThreadPages *self, uint32_t class_index) {
    self->counters.page_reuses++;
    self->classes[class_index].page_reuses++;
}

// ---------------------------------------------------------------- lock.c

// A futex mutex for the two slow structures (page heap, slot table). Not recursive.
void mf2_lock(mf2_atomic_u32 *word);
void mf2_unlock(mf2_atomic_u32 *word);

// ---------------------------------------------------------------- heap.c: pages from the OS

// The first of `count` adjacent pages; 0 if there are none. *zeroed: they read as zero. *recycled:
// they came from the cache of empties (count 1 only).
uint32_t mf2_heap_take(struct mf2_state *state, uint32_t count, bool *zeroed, bool *recycled);
// One empty page goes to the cache; its memory stays.
void mf2_heap_cache(struct mf2_state *state, uint32_t page);
// Pages go back: their memory to the OS, their addresses to the free runs.
void mf2_heap_give(struct mf2_state *state, uint32_t page, uint32_t count);

// ---------------------------------------------------------------- page.c: one page

void mf2_page_format(struct mf2_state *state, struct MidPage *page, uint32_t class_index,
                     uint32_t slot, bool zeroed);
static inline bool mf2_page_has_free(const struct MidPage *page) {
    return page->free != MF2_UNIT_NONE || page->fresh_unit != page->end_unit;
}
// The holder takes the page's remote frees into its free list. Returns how many.
uint32_t mf2_drain_remote_frees(struct mf2_state *state, struct MidPage *page);
// The holder puts a chain that it has taken on the free list.
void mf2_page_merge(struct mf2_state *state, struct MidPage *page, struct mf2_chain chain);
uint16_t mf2_page_link(struct mf2_state *state, struct MidPage *page, uint16_t unit);
void mf2_page_set_link(struct mf2_state *state, struct MidPage *page, uint16_t unit, uint16_t next);
// Shared or unlisted held page without live blocks: away as the route says. The caller holds it;
// false: the route keeps it, and it is still held.
bool mf2_page_dispose_empty(struct mf2_state *state, struct MF2_ThreadPages *self,
                            struct MidPage *page);
// The holder gives the page up as full (or as an orphan), and announces what came meanwhile.
void mf2_page_put_away(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page,
                       enum mf2_page_state page_state);
// The page's home becomes the caller, who has claimed it.
void mf2_page_take_home(struct mf2_state *state, struct MF2_ThreadPages *self,
                        struct MidPage *page);

// ---------------------------------------------------------------- partial.c: the owner's list

void mf2_partial_push(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page);
void mf2_partial_remove(struct mf2_state *state, struct MF2_ThreadPages *self,
                        struct MidPage *page);
struct MidPage *mf2_partial_pop(struct mf2_state *state, struct MF2_ThreadPages *self,
                                uint32_t class_index);

// ---------------------------------------------------------------- pending.c: queues and orphans

// Tells a page's home of its remote frees: puts it on the home's queue (the mark is set already),
// wakes the helper where the route has one, and sees to it that an exited home strands nothing.
void mf2_pending_notify(struct mf2_state *state, struct MF2_ThreadPages *self,
                        struct MidPage *page);
// Pops a page of that thread's queue and clears its mark; NULL if it is empty.
struct MidPage *mf2_dequeue_pending(struct mf2_state *state, struct MF2_ThreadPages *owner,
                                    uint32_t class_index);
// The page that a pop would return now, with the head to pop it by; NULL if the queue is empty.
struct MidPage *mf2_pending_peek(struct mf2_state *state, struct MF2_ThreadPages *owner,
                                 uint32_t class_index, uint64_t *head);
// Pops exactly the page that was peeked at, and clears its mark; false if the queue has changed.
bool mf2_pending_pop_peeked(struct mf2_state *state, struct MF2_ThreadPages *owner,
                            uint32_t class_index, uint64_t head);
// Detaches a whole queue; returns its first page number, linked by pending_next, marks still set.
uint32_t mf2_pending_take_all(struct mf2_state *state, struct MF2_ThreadPages *owner,
                              uint32_t class_index);
// Puts a marked page on that thread's queue, or, if it has exited, where the route wants it.
void mf2_pending_queue(struct mf2_state *state, struct MF2_ThreadPages *owner,
                       struct MidPage *page);
void mf2_orphan_push(struct mf2_state *state, struct MidPage *page);
struct MidPage *mf2_orphan_pop(struct mf2_state *state, uint32_t class_index);
// Moves everything on an exited thread's queue to the orphans.
void mf2_orphan_rescue(struct mf2_state *state, struct MF2_ThreadPages *owner,
                       uint32_t class_index);

// ---------------------------------------------------------------- activate.c: pages to work

// Makes a held page the bin's active one; the one before is put away as full.
void mf2_activate(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page);
// Claims and drains a page that the caller has just popped, and makes it active if it then has a
// free block. False: it is put back to where its state says.
bool mf2_try_drain_and_activate(struct mf2_state *state, struct MF2_ThreadPages *self,
                                uint32_t class_index, struct MidPage *page);

// ---------------------------------------------------------------- adopt.c: other threads' pages

// One page of another thread's (or the own) pending queue, if the route lets anybody drain.
bool mf2_try_adopt_pending(struct mf2_state *state, struct MF2_ThreadPages *self,
                           uint32_t class_index);
// One page of an exited thread.
bool mf2_try_adopt_orphan(struct mf2_state *state, struct MF2_ThreadPages *self,
                          uint32_t class_index);

// Route P's gates as a plain function of facts.
enum mf2_gate {
    MF2_GATE_OPEN,
    MF2_GATE_RFR,
    MF2_GATE_IDLE,
    MF2_GATE_PARTIAL,
    MF2_GATE_PRESSURE,
    MF2_GATE_REMOTES
};
struct mf2_gate_facts {
    uint64_t now_ns, owner_last_slow_ns, rfr_deadline_ns;
    uint32_t owner_partial_count, adoptable_count, remotes;
    bool owner_exited;
};
enum mf2_gate mf2_gate(const struct mf2_route *route, const struct mf2_gate_facts *facts);

// ---------------------------------------------------------------- thread.c: slots

// The calling thread's pages, with a slot taken if it has none; NULL if all are taken.
struct MF2_ThreadPages *mf2_thread_ensure(struct mf2_state *state);
bool mf2_thread_is_idle(struct mf2_state *state, struct MF2_ThreadPages *thread, uint64_t now_ns);

// ---------------------------------------------------------------- large.c: runs of pages

void *mf2_large_alloc(struct mf2_state *state, size_t bytes, size_t alignment);
void mf2_large_free(struct mf2_state *state, struct MidPage *page);
// Shrinks or grows in place within its run; false: it must move.
bool mf2_large_resize(struct mf2_state *state, struct MidPage *page, size_t bytes);

// ---------------------------------------------------------------- helper.c

// A page of an idle owner has become pending.
void mf2_helper_wake(struct mf2_state *state, struct MF2_ThreadPages *self);
// Starts the helper if it has been woken and does not run. Starting a thread may allocate: only
// where nothing of MF2 is half done.
void mf2_helper_start_if_wanted(struct mf2_state *state);

#endif
