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

// ---------------------------------------------------------------- state.c

// Metadata up to the offset `end` becomes memory, in a part of which it is so up to *ready, which
// the caller guards. False: there is no memory.
bool mf2_metadata_ready(struct mf2_state *state, uint64_t *ready, uint64_t end);

// ---------------------------------------------------------------- lock.c

// A futex mutex for the two slow structures (page heap, slot table). Not recursive.
void mf2_lock(mf2_atomic_u32 *word);
void mf2_unlock(mf2_atomic_u32 *word);

// ---------------------------------------------------------------- heap.c: pages from the OS

// The first of `count` adjacent pages, at a multiple of `align` pages; 0 if there are none.
// *recycled: they are dirty; else they read as zero.
uint32_t mf2_heap_take(struct mf2_state *state, uint32_t count, uint32_t align, bool *recycled);
// Pages go back to the free runs; their memory stays.
void mf2_heap_keep(struct mf2_state *state, uint32_t page, uint32_t count);
// Pages go back to the free runs, their memory to the OS.
void mf2_heap_give(struct mf2_state *state, uint32_t page, uint32_t count);
// Gives memory of up to `wanted` dirty pages to the OS; returns how many.
uint32_t mf2_heap_purge(struct mf2_state *state, uint32_t wanted);
// The `more` pages after page .. page + count − 1, if they are free. They may be dirty.
bool mf2_heap_extend(struct mf2_state *state, uint32_t page, uint32_t count, uint32_t more);
// Pages in dirty runs.
uint32_t mf2_heap_dirty(struct mf2_state *state);
// Purges the dirty pages if nobody needed any since the last call, else a part of those that nobody
// needed; returns how many others there are.
uint32_t mf2_heap_tick(struct mf2_state *state);

// ---------------------------------------------------------------- free.c: misuse

// Ends the process with one line: what was done wrong, and what is at the block's place.
MF2_NORETURN void mf2_fail_at(struct mf2_state *state, const char *text, const void *block);

// ---------------------------------------------------------------- page.c: one page

void mf2_page_format(struct mf2_state *state, struct MidPage *page, uint32_t class_index,
                     uint32_t slot, bool zeroed);
static inline bool mf2_page_has_free(const struct MidPage *page) {
    return page->free != MF2_UNIT_NONE || page->fresh_unit != page->end_unit;
}
// The holder takes the page's remote frees into its free list. Returns how many.
uint32_t mf2_drain_remote_frees(struct mf2_state *state, struct MidPage *page);
// The caller has taken the stack of a page that was emptied: it counts as such no more.
static inline void mf2_page_not_emptied(struct mf2_state *state, const struct MidPage *page) {
    mf2_fetch_sub_relaxed(&state->orphan_empties[page->class_index], 1);
    mf2_fetch_sub_relaxed(&state->orphan_empties_sum, 1);
}
// The holder puts a chain that it has taken on the free list.
void mf2_page_merge(struct mf2_state *state, struct MidPage *page, struct mf2_chain chain);
// Links are plain: the stack or list that a block is on orders them. Inside a block stands how far
// the next one is from the place behind it (mf2_link_base). The process ends if that leads out of
// the page: somebody has written to the free block.
static inline uint16_t mf2_page_link(struct mf2_state *state, struct MidPage *page, uint16_t unit) {
    if (page->links_inside) {
        uint16_t far = mf2_plain_read((uint16_t *)(void *)mf2_page_block(state, page, unit));
        uint16_t next = (uint16_t)(mf2_link_base(page, unit) + far);
        if (MF2_UNLIKELY((uint16_t)(next + 1) > page->end_unit)) // MF2_UNIT_NONE + 1 is 0
            mf2_fail_at(state, "write to a free block", mf2_page_block(state, page, unit));
        return next;
    }
    return mf2_plain_read(&page->links[unit / MF2_LINK_UNITS]);
}
static inline void mf2_page_set_link(struct mf2_state *state, struct MidPage *page, uint16_t unit,
                                     uint16_t next) {
    if (page->links_inside)
        mf2_plain_write((uint16_t *)(void *)mf2_page_block(state, page, unit),
                        (uint16_t)(next - mf2_link_base(page, unit)));
    else
        mf2_plain_write(&page->links[unit / MF2_LINK_UNITS], next);
}
// Shared or unlisted held page without live blocks: away as the route says. The caller holds it;
// false: the route keeps it, and it is still held.
bool mf2_page_dispose_empty(struct mf2_state *state, struct MF2_ThreadPages *self,
                            struct MidPage *page);
// The holder gives the page up as full (or as an orphan), and announces what came meanwhile.
void mf2_page_put_away(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page,
                       enum mf2_page_state page_state);
// The holder gives up a page that may have free blocks: away if it is empty, else shared, and known
// to whoever looks for orphans.
void mf2_page_give_up(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page);
// Does what the notices of a push or release of the page ask for. The page is others' already: only
// who has to queue it may be sure that it is still formatted.
void mf2_page_tell(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page,
                   uint32_t class_index, unsigned notice);
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
// Disposes of the orphans of a class that have no live block; returns how many pages they were.
uint32_t mf2_orphan_reap(struct mf2_state *state, struct MF2_ThreadPages *self,
                         uint32_t class_index);
// Moves everything on an exited thread's queue to the orphans.
void mf2_orphan_rescue(struct mf2_state *state, struct MF2_ThreadPages *owner,
                       uint32_t class_index);

// ---------------------------------------------------------------- hollow.c: pages with few blocks

// One look at the orphans of a class, by the helper: of those that were left alone since the last
// one, the free blocks' memory goes back to the OS.
void mf2_hollow_tick(struct mf2_state *state, uint32_t class_index);
// Whether there are orphans whose memory has not gone.
bool mf2_hollow_wanted(struct mf2_state *state);

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

// The pages of the calling thread, which has entered as `self`, with a slot taken if it has none;
// NULL if all are taken.
struct MF2_ThreadPages *mf2_thread_ensure(struct mf2_state *state, struct MF2_ThreadPages *self);
// Active pages without a live block go where the route says.
void mf2_thread_give_up_empty(struct mf2_state *state, struct MF2_ThreadPages *self);
// The same for a free, which can do without: mf2_no_thread where there is no slot to be had, or the
// thread has ended.
struct MF2_ThreadPages *mf2_thread_for_free(struct mf2_state *state, struct MF2_ThreadPages *self);
bool mf2_thread_is_idle(struct mf2_state *state, struct MF2_ThreadPages *thread, uint64_t now_ns);

// ---------------------------------------------------------------- watch.c: threads that sleep

// A slow path begins: wakes the calling thread, if it was watched, and returns its pages; nobody
// else touches its fronts until mf2_leave. Not nested.
struct MF2_ThreadPages *mf2_enter(void);
void mf2_leave(void);
// The calling thread has got its slot, or is about to give it back.
void mf2_watch_begin(struct MF2_ThreadPages *self);
void mf2_watch_end(struct MF2_ThreadPages *self);
// Its fronts may hold much: looks are worth their while.
void mf2_watch_laden(struct mf2_state *state, struct MF2_ThreadPages *self);
// One look at all threads: empties the fronts of those that have made no call since the last one.
void mf2_watch_tick(struct mf2_state *state);
// Whether there are others, whose fronts a later look may empty.
bool mf2_watch_wanted(struct mf2_state *state);

// ---------------------------------------------------------------- front.c, depot.c

// Sizes of a thread's fronts: blocks that one of this class may ever hold; 0 = it has none.
uint32_t mf2_front_capacity(const struct mf2_geometry *geometry, const struct mf2_route *route,
                            uint32_t class_index);
// Bytes of a MF2_ThreadPages with its fronts.
uint64_t mf2_thread_bytes(const struct mf2_geometry *geometry, const struct mf2_route *route);
// Makes all fronts of a thread that has got its slot.
void mf2_front_begin(struct mf2_state *state, struct MF2_ThreadPages *self);
// Blocks for an empty front that has room; one of them is returned, NULL: no memory. Unless it must
// be of `exact`ly this class, it may be of a larger one, by the route's `borrow`.
void *mf2_front_refill(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index,
                       bool exact);
// Puts a block on a full front that has room, which grows, or gives blocks away.
void mf2_front_spill(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index,
                     void *block);
// The thread gives all blocks of its fronts away.
void mf2_front_end(struct mf2_state *state, struct MF2_ThreadPages *self);
// All blocks of the fronts go back to their pages, on behalf of a thread that does not run; its
// fronts are as at first.
void mf2_front_empty(struct mf2_state *state, struct MF2_ThreadPages *thread);

// Batches of a class that may wait: at least two, if the route has a depot and the class a front.
uint32_t mf2_depot_batches(const struct mf2_geometry *geometry, const struct mf2_route *route,
                           uint32_t class_index);
// A batch of `count` blocks for whoever wants them; false: there is no room.
bool mf2_depot_put(struct mf2_state *state, uint32_t class_index, void *const *blocks,
                   uint32_t count);
// Takes a batch out; returns its blocks' number, 0: there is none.
uint32_t mf2_depot_take(struct mf2_state *state, uint32_t class_index, void **blocks);
// Gives the batches of a class that nobody took since the last call back to their pages.
void mf2_depot_tick(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index);

// ---------------------------------------------------------------- free.c

// Blocks of one class go back to their pages.
void mf2_free_to_pages(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index,
                       void *const *blocks, uint32_t count);

// ---------------------------------------------------------------- alloc.c

enum mf2_source {
    MF2_SOURCE_USED, // pages of the class only
    MF2_SOURCE_ANY,  // where they have no block, also a page that is new or was another class's
};
// Up to `count` blocks of one class from the pages, in the order in which they are best given out.
// Returns how many; 0: there is none, or no memory.
uint32_t mf2_alloc_from_pages(struct mf2_state *state, struct MF2_ThreadPages *self,
                              uint32_t class_index, void **blocks, uint32_t count,
                              enum mf2_source source);

// ---------------------------------------------------------------- large.c: runs of pages

// *zeroed: the block reads as zero.
void *mf2_large_alloc(struct mf2_state *state, struct MF2_ThreadPages *self, size_t bytes,
                      size_t alignment, bool *zeroed);
void mf2_large_free(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page);
// Shrinks or grows in place within its run; false: it must move.
bool mf2_large_resize(struct mf2_state *state, struct MidPage *page, size_t bytes);

// ---------------------------------------------------------------- helper.c

// A page of an idle owner has become pending.
void mf2_helper_wake(struct mf2_state *state, struct MF2_ThreadPages *self);
// Blocks that wait in the depot go back to their pages, pages that are empty to the free runs.
void mf2_gather_free(struct mf2_state *state, struct MF2_ThreadPages *self);
// The same, what the calling thread keeps, and all dirty pages to the OS. True: something went.
bool mf2_give_all(struct mf2_state *state, struct MF2_ThreadPages *self);
// There is memory that the helper should purge unless it is used soon. False: there is no helper,
// and none can be started.
bool mf2_helper_tick_wanted(struct mf2_state *state);
// Waits until nobody is about to give memory back: it is in nobody's reach meanwhile.
void mf2_helper_wait(struct mf2_state *state);
// Nobody looks from here on, until it goes on: a fork would leave the child what a look had taken.
void mf2_helper_stop(struct mf2_state *state);
void mf2_helper_go_on(struct mf2_state *state);
// Without a helper, this does its work now and then. Nothing of MF2 may be half done.
void mf2_helper_look_instead(struct mf2_state *state);

#endif
