// state.h: every mutable thing of MF2. One struct mf2_state per instance, one MF2_ThreadPages per
// thread, one MidPage per page; nothing else in alloc/ can change (a test reads nm).
//
// Owns the layout and its invariants. The functions that change these structures are listed in
// internal.h, by file. world/ reads this header for its oracles and its census.
//
// Words
//   page      page_bytes of memory, aligned to page_bytes, named by its number: its distance from
//             the arena's start in pages. Page 0 holds this struct, so 0 means "no page". A page of
//             a class with a span is that many of them, aligned to its own size in the arena; it is
//             named by the first, its *head*, whose MidPage alone counts.
//   block     what the program gets. Its place in its page is counted in units (geometry.h).
//   front     a thread's stack of free blocks of one class, from which malloc pops and onto which
//             free pushes (front.c). For its page such a block is still in use.
//   batch     blocks of one class that a front gave away whole, for any other front (depot.c).
//   slot      the number of a MF2_ThreadPages, from 1. 0 is "nobody" (a shared page's holder);
//             MF2_SLOT_NONE is the slot of a thread without pages, which never holds any.
//   held      a page that one thread works on without atomics: its active page of a class, or a
//             page on its partial list. Nobody else may touch the owner's line of a held page.
//   shared    any other formatted page: full, pending, orphan. Its owner's line is changed only by
//             who has claimed it (see protocol.h).
//   home      the thread to whose pending queue a page's remote frees are reported: the seed's
//             "owner". A page can be shared and have a home; adoption changes the home.
//   pending   on a pending queue or on an orphan stack; the page's pending mark is set.
//
// The arena (one contiguous reservation; sizes for the real world's default):
//
//   base                                                                    base + arena_bytes
//   | mf2_state, page_class[] | masks | batches | MF2_ThreadPages[] | MidPage[] | pages ...... |
//   |<-------------- metadata: first_page pages ----------------------------->|<- first_page.|
//
// In the real world the first three are memory from the start. The others become memory from their
// beginnings on, as slots and pages are used: what is never used is not even mapped.
//
// A block's page is (address − base) >> page_shift, its class page_class[that]: no table walk, and
// one byte a page for the fast path of free.
#ifndef MF2_STATE_H
#define MF2_STATE_H

#include "counters.h"
#include "geometry.h"
#include "platform.h"
#include "route.h"

#define MF2_LINE         64
#define MF2_LINK_BYTES   1024 // blocks of this size and more keep their links in the MidPage
#define MF2_LINK_UNITS   (MF2_LINK_BYTES / MF2_UNIT_BYTES)
#define MF2_LINK_SLOTS   64    // 64 KiB / 1 KiB
#define MF2_RUN_BINS     108   // free runs of 1..31 pages; longer ones, four bins to a doubling
#define MF2_TABLE_BYTES  65536 // requests up to here find their class in a table
#define MF2_BATCH_BLOCKS 62    // blocks of a batch: it fills eight lines
#define MF2_SLOT_NONE    UINT32_MAX
#define MF2_SLOT_HELPER  (UINT32_MAX - 1)
#define MF2_SLOT_NOBODY  (UINT32_MAX - 2) // holder of a page that is not formatted: not claimable

// Whether the helper may empty a thread's fronts: watch.c.
enum mf2_watch {
    MF2_WATCH_NONE,    // the slot's thread is gone, or cannot be watched
    MF2_WATCH_AWAKE,   // little is in its fronts: no look is at it
    MF2_WATCH_LADEN,   // there may be much
    MF2_WATCH_WATCHED, // it has made no call since a look
    MF2_WATCH_TAKEN,   // a look is at it
    MF2_WATCH_ASLEEP,  // its fronts are empty
    MF2_WATCH_WAKING   // its thread has made a call
};

// What the pages from a head on are, for run_pages of them. The states of pages that are no heads
// are stale, but never LARGE.
enum mf2_page_state {
    MF2_PAGE_NONE,    // never used, or taken and not yet formatted
    MF2_PAGE_CLEAN,   // free run, without memory behind it: reads as zero
    MF2_PAGE_DIRTY,   // free run that keeps its memory
    MF2_PAGE_ACTIVE,  // held: bin's active page
    MF2_PAGE_PARTIAL, // held: on the partial list
    MF2_PAGE_FULL,    // shared: put away; whether it is pending says its protocol
    MF2_PAGE_ORPHAN,  // shared: its home has exited
    MF2_PAGE_LARGE,   // a large block
    MF2_PAGE_STATE_COUNT
};

// One page. 256 bytes: the owner's line, the remote line, the links.
//
// Invariants of a formatted page:
//   used = blocks of the program + on the remote stack + in fronts and batches
//   used + blocks on `free` + (capacity − blocks ever given out) = capacity
//   a block is on `free`, on the remote stack, in a front or batch, or the program's: exactly one
//   held by t  ⇒  t's slot is in `holder`, and only t writes the owner's line
struct MidPage {
    // -- owner's line: read by everyone who frees (holder, class), written by the holder
    // Slot of the thread that holds the page; 0 = shared; MF2_SLOT_NOBODY once it was emptied or is
    // large.
    _Alignas(MF2_LINE) mf2_atomic_u32 holder;
    mf2_atomic_u32 home; // slot; written by whoever has claimed the page
    uint16_t free;       // unit of the first free block, MF2_UNIT_NONE
    uint16_t used;
    uint16_t fresh_unit; // unit of the first block never given out
    uint16_t end_unit;   // of the last block + stride
    uint16_t stride_units;
    uint16_t capacity;
    uint8_t class_index;
    uint8_t state;        // enum mf2_page_state
    uint8_t links_inside; // 1: links are in the blocks; 0: in links[]
    uint8_t zeroed;       // 1: blocks never given out are known to read as zero
    uint8_t unit_shift;   // log2 of a unit's bytes
    uint8_t run_end; // first and last page of a free run: its state, else 0. Apart from `state`,
                     // because who gives pages back reads it of the neighbours: heap_lock
    uint8_t padding[2];
    uint32_t list_next; // partial list, free run list; page numbers
    uint32_t list_prev;
    uint32_t run_pages; // head: pages of the page, large block or run; last page of a free run: too
    uint32_t owner_changes;
    uint64_t large_bytes; // LARGE: bytes asked for
    uint8_t padding_owner[8];

    // -- remote line: written by threads that do not hold the page
    mf2_atomic_u64 word;              // protocol `word`: see protocol_word.c
    mf2_atomic_u32 remote_head;       // protocol `counted`: unit of the newest remote free
    mf2_atomic_u32 remote_count;      // protocol `counted`
    mf2_atomic_u32 in_remote_pending; // protocol `counted`: 1 while on a queue
    mf2_atomic_u32 pending_next;      // page number; ordered by the stack's head
    mf2_atomic_u64 rfr_deadline;      // clock; written on the 0→1 edge
    uint8_t padding_remote[32];

    // -- links of blocks of MF2_LINK_BYTES and more: unit of the next block, by unit / 64
    uint16_t links[MF2_LINK_SLOTS];
};
_Static_assert(sizeof(struct MidPage) == 256, "two lines and the links");
_Static_assert(_Alignof(struct MidPage) == MF2_LINE, "the owner's line starts a line");
_Static_assert(offsetof(struct MidPage, word) == MF2_LINE, "the remote line starts a line");
_Static_assert(offsetof(struct MidPage, links) == 2 * MF2_LINE, "links start a line");

enum mf2_thread_status {
    MF2_THREAD_UNUSED, // never given out
    MF2_THREAD_LIVE,
    MF2_THREAD_EXITED, // its thread is gone; pages may still name it as home
};

// All that the fast paths know of a class, four words. Its blocks are bottom .. top[-1], newest
// last; below the bottom stands a NULL, so that "empty" is seen in what is popped. A front without
// room is always full and always empty: its class is served by the pages.
//   NULL | bottom ....... top[-1] | top ... end
// A place in a page is that of a block exactly if place × inverse, modulo 2^64, is below inverse
// (D. Lemire, O. Kaser, N. Kurz, "Faster remainder by direct computation", 2019); inverse = 0 says
// no to every place.
struct mf2_front {
    void **top, **end;
    uint64_t inverse;
    uint64_t place_mask; // bytes of the class's page − 1
};
_Static_assert(sizeof(struct mf2_front) == 32, "two fronts a line");

// What one thread knows of one class. `active` is never NULL: an empty bin points to
// mf2_no_page, which has no blocks, so that no path needs a test for it.
struct mf2_bin {
    struct MidPage *active;
    void **bottom;                // of the class's front
    uint32_t partial_head;        // page number
    mf2_atomic_u32 partial_count; // written by the owner, read by Route P's gate
};

// Per class and thread, written by the owner.
struct mf2_class_counters {
    uint32_t new_pages, recycled_pages, page_reuses;
};

// One thread. The first part is its owner's, the second is written by others.
struct MF2_ThreadPages {
    uint32_t slot;               // read by its own thread only; MF2_SLOT_NONE in mf2_no_thread
    mf2_atomic_u32 status;       // enum mf2_thread_status
    mf2_atomic_u32 lost;         // 1: its thread was gone after a fork; what it holds stays held
    mf2_atomic_u64 last_slow_ns; // clock at its last slow path: "idle" is measured from here
    uint32_t next_free_slot;     // while EXITED and given back
    uint64_t front_bytes;        // bytes of blocks by which its fronts have grown
    uint64_t filled_bytes;       // of fronts that were full, since they were made; as far as is
                                 // worth a look
    struct mf2_counters counters;
    struct mf2_bin bins[MF2_CLASS_MAX];
    struct mf2_class_counters classes[MF2_CLASS_MAX];

    // What the helper must know of its thread; the platform's, see mf2_seat_watch. In the real
    // world where the thread keeps mf2_self(), and who it is to the OS; in the others the seat
    // itself.
    void *seat;
    uint32_t os_thread;
    bool hidden, busy;

    // Pages whose home it was until another thread took them over; counted by that one.
    _Alignas(MF2_LINE) mf2_atomic_u32 adopted_from;
    mf2_atomic_u32 watch; // enum mf2_watch

    // Heads of the pending queues: {tag:32 | page:32}. Pushed by anyone, popped by who may drain.
    // The tag changes with every push and pop, so that a popped page coming back is not mistaken.
    _Alignas(MF2_LINE) mf2_atomic_u64 pending[MF2_CLASS_MAX];

    // By class + 1, as in page_class; the first is that of places without a class. Behind them come
    // the fronts' blocks. The size of it all is thread_bytes.
    _Alignas(MF2_LINE) struct mf2_front fronts[];
};

// Blocks on their way from one front to another. Written by who has popped it or took it anew.
struct mf2_batch {
    mf2_atomic_u32 next; // batch number, ordered by the stack's head
    uint32_t count;
    void *blocks[MF2_BATCH_BLOCKS];
    uint64_t padding;
};
_Static_assert(sizeof(struct mf2_batch) == 512, "eight lines");

// What the last look left of a class's orphans; the helper's (hollow.c).
struct mf2_orphans_seen {
    uint64_t head;
    bool all_hollow; // so far as none was freed into since
};

struct mf2_state {
    // -- read-mostly, set by mf2_init
    uint64_t arena_bytes;
    uint32_t page_shift;
    uint32_t page_count;      // pages of the arena, metadata included
    uint32_t first_page;      // first that can hold blocks
    uint32_t thread_limit;    // slots 1..thread_limit
    uint32_t mask_words;      // 64-bit words of one class's ready mask
    uint32_t class_bytes_max; // bytes above which no class serves
    uint32_t batch_limit;     // batches 1..batch_limit
    uint64_t threads_offset;
    uint64_t pages_offset; // of the MidPages
    uint64_t thread_bytes; // of a MF2_ThreadPages with all that belongs to it
    uint64_t masks_offset;
    uint64_t batches_offset;
    uint32_t clock_wanted;       // the route needs slow-path times
    uint32_t count_owner_states; // remote frees are counted by the owner's state
    uint32_t helper_wanted;      // the route has work for the helper, and may have one
    struct MidPage *pages;       // page_count of them
    const struct mf2_geometry *geometry;
    struct mf2_route route;
    // Class + 1 by (bytes + 15) / 16; 0 where no class is so big.
    uint8_t class_of_unit[MF2_TABLE_BYTES / MF2_UNIT_BYTES + 1];

    // -- page heap (heap.c), guarded by heap_lock
    _Alignas(MF2_LINE) mf2_atomic_u32 heap_lock; // 0 free, 1 taken, 2 taken and waited for
    uint32_t fresh_page;                         // first page never used
    mf2_atomic_u32 known_pages;                  // the same, to be looked at without the lock
    uint32_t committed_page;                     // first page that is not yet usable memory
    uint64_t pages_ready;                        // offset: MidPages before it are memory
    uint32_t clean_bins[MF2_RUN_BINS];           // free runs by length
    uint32_t dirty_bins[MF2_RUN_BINS];
    uint32_t clean_runs, dirty_runs; // in all of these bins
    uint32_t dirty_pages;            // in dirty runs
    uint32_t dirty_pages_low;        // fewest of them since the helper looked last,
    uint32_t dirty_pages_seen;       // and how many there were then
    // H: pages mapped and not purged, dirty runs and large blocks included. Written with the lock
    // taken, read without: who sizes something by it may see an old one.
    mf2_atomic_u32 held_pages;

    // -- thread slots (thread.c)
    _Alignas(MF2_LINE) mf2_atomic_u32 thread_lock;
    mf2_atomic_u32 thread_high; // highest slot ever given out
    uint64_t threads_ready;     // offset: MF2_ThreadPages before it are memory
    uint32_t free_slot;         // list of slots given back, guarded by thread_lock

    // -- shared between owners (pending.c)
    _Alignas(MF2_LINE) mf2_atomic_u64 orphans[MF2_CLASS_MAX]; // stacks {tag:32 | page:32}
    mf2_atomic_u32 adoptable_count[MF2_CLASS_MAX];            // pages on pending queues
    struct mf2_orphans_seen orphans_seen[MF2_CLASS_MAX];
    mf2_atomic_u32 orphan_empties[MF2_CLASS_MAX]; // shared pages without a live block; a hint
    mf2_atomic_u32 orphan_empties_sum;
    mf2_atomic_u32 large_pages; // pages of large blocks, in H too

    // -- the depot (depot.c)
    _Alignas(MF2_LINE) mf2_atomic_u64 depot[MF2_CLASS_MAX]; // stacks {tag:32 | batch:32}
    mf2_atomic_u32 depot_count[MF2_CLASS_MAX];              // batches in them; a bound, not exact
    mf2_atomic_u32 depot_low[MF2_CLASS_MAX]; // fewest since the helper looked last; a hint
    mf2_atomic_u64 batches_free;             // stack of batches without blocks
    mf2_atomic_u32 batch_fresh;              // batches ever used

    // -- helper (helper.c)
    _Alignas(MF2_LINE) mf2_atomic_u32 helper_word; // futex: wake-ups asked for
    mf2_atomic_u32 helper_running;                 // 0 none, 1 started
    mf2_atomic_u32 helper_ticking;                 // 1: it will look for memory to purge by itself
    mf2_atomic_u32 helper_looking;                 // 1: it, or a thread in its place, looks now
    mf2_atomic_u32 leavings;                       // how often there was something to look for
    bool watching; // the OS can make every thread's fence; written by who looks

    // -- threads without pages of their own count here
    _Alignas(MF2_LINE) mf2_atomic_u64 shared_counters[MF2_COUNTER_COUNT];

    // Class + 1 of the class page that a page belongs to, 0 for all others. Written by who formats
    // or disposes of the page; whoever has a block of it may read it.
    uint8_t page_class[];
};

// A plain look at an atomic, not a point: while the world stands still, or a torn sum is harmless.
// MF2_SHOW writes what is only looked at.
#ifdef MF2_VIRTUAL
#define MF2_LOOK(p)    ((p)->value)
#define MF2_SHOW(p, v) ((p)->value = (v))
#else
#define MF2_LOOK(p)    mf2_load_relaxed(p)
#define MF2_SHOW(p, v) mf2_store_relaxed(p, v)
#endif

// The thread that has no pages: every bin empty. Constant; mf2_self() starts as this.
extern const struct MF2_ThreadPages mf2_no_thread;
// What a thread that the helper watches finds in place of its own: every front empty and full.
extern const struct MF2_ThreadPages mf2_watched_thread;
// The page that has no blocks.
extern const struct MidPage mf2_no_page;

static inline struct MF2_ThreadPages *mf2_thread_of_slot(struct mf2_state *state, uint32_t slot) {
    char *threads = (char *)state + state->threads_offset;
    return (struct MF2_ThreadPages *)(void *)(threads + (slot - 1) * state->thread_bytes);
}

// For other threads than its own, which may be writing `slot` at this moment.
static inline uint32_t mf2_slot_of_thread(struct mf2_state *state,
                                          const struct MF2_ThreadPages *thread) {
    size_t distance = (size_t)((const char *)thread - (const char *)mf2_thread_of_slot(state, 1));
    return (uint32_t)(distance / state->thread_bytes) + 1;
}

static inline mf2_atomic_u64 *mf2_ready_mask(struct mf2_state *state, uint32_t class_index) {
    char *masks = (char *)state + state->masks_offset;
    return (mf2_atomic_u64 *)(void *)masks + (size_t)class_index * state->mask_words;
}

// batch: from 1.
static inline struct mf2_batch *mf2_batch_of(struct mf2_state *state, uint32_t batch) {
    char *batches = (char *)state + state->batches_offset;
    return (struct mf2_batch *)(void *)batches + (batch - 1);
}

static inline uint32_t mf2_page_number(const struct mf2_state *state, const struct MidPage *page) {
    return (uint32_t)(page - state->pages);
}

static inline char *mf2_page_base(struct mf2_state *state, uint32_t page) {
    return (char *)state + ((uint64_t)page << state->page_shift);
}

// The next head: what begins behind the page, run or large block that `page` is the head of.
static inline uint32_t mf2_page_after(const struct mf2_state *state, uint32_t page) {
    uint32_t count = state->pages[page].run_pages;
    return page + (count ? count : 1); // 0: seen in the making, from another thread
}

// What a link inside the block at this place is counted from: the place behind it. So memory that
// reads as zero leads to the next block, hollow.c.
static inline uint16_t mf2_link_base(const struct MidPage *page, uint16_t unit) {
    return (uint16_t)(unit + page->stride_units);
}

// The block at this place of the page.
static inline char *mf2_page_block(struct mf2_state *state, const struct MidPage *page,
                                   uint16_t unit) {
    return mf2_page_base(state, mf2_page_number(state, page)) + ((size_t)unit << page->unit_shift);
}

// The class that serves a request of `bytes`, plus 1; 0 if none does.
static inline uint32_t mf2_class_of_bytes(const struct mf2_state *state, size_t bytes) {
    const struct mf2_geometry *geometry = state->geometry;
    if (bytes <= MF2_TABLE_BYTES)
        return state->class_of_unit[(bytes + MF2_UNIT_BYTES - 1) / MF2_UNIT_BYTES];
    if (bytes > state->class_bytes_max)
        return 0;
    return mf2_geometry_class(geometry, state->class_of_unit[MF2_TABLE_BYTES / MF2_UNIT_BYTES],
                              bytes, 1) +
           1;
}

#endif
