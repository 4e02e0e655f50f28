// state.h: every mutable thing of MF2. One struct mf2_state per instance, one MF2_ThreadPages per
// thread, one MidPage per page; nothing else in alloc/ can change (a test reads nm).
//
// Owns the layout and its invariants. The functions that change these structures are listed in
// internal.h, by file. world/ reads this header for its oracles and its census.
//
// Words
//   page      page_bytes of memory, aligned to page_bytes, named by its number: its distance from
//             the arena's start in pages. Page 0 holds this struct, so 0 means "no page".
//   block     what the program gets. Its place in its page is counted in units of 16 bytes.
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
//   | mf2_state | MidPage[page_count] | MF2_ThreadPages[...] | masks | pages ................ |
//   |<-------------- metadata: first_page pages ------------------->|<- first_page.. ------->|
//
// A block's page is (address − base) >> page_shift, and its metadata pages[that]: no table walk.
#ifndef MF2_STATE_H
#define MF2_STATE_H

#include "counters.h"
#include "geometry.h"
#include "platform.h"
#include "route.h"

#define MF2_LINE        64
#define MF2_LINK_BYTES  1024 // blocks of this size and more keep their links in the MidPage
#define MF2_LINK_UNITS  (MF2_LINK_BYTES / MF2_UNIT_BYTES)
#define MF2_LINK_SLOTS  64  // 64 KiB / 1 KiB
#define MF2_RUN_BINS    32  // free runs of 1..31 pages, and longer ones
#define MF2_CLASS_LARGE 255 // class_index of a large block's first page
#define MF2_SLOT_NONE   UINT32_MAX
#define MF2_SLOT_HELPER (UINT32_MAX - 1)
#define MF2_SLOT_NOBODY (UINT32_MAX - 2) // holder of a page that is not formatted: not claimable

enum mf2_page_state {
    MF2_PAGE_NONE,        // never used, or taken and not yet formatted
    MF2_PAGE_RUN,         // of a free run, without memory behind it
    MF2_PAGE_POOLED,      // empty, memory kept, in the shared cache
    MF2_PAGE_ACTIVE,      // held: bin's active page
    MF2_PAGE_PARTIAL,     // held: on the partial list
    MF2_PAGE_FULL,        // shared: put away; whether it is pending says its protocol
    MF2_PAGE_ORPHAN,      // shared: its home has exited
    MF2_PAGE_LARGE,       // first page of a large block
    MF2_PAGE_LARGE_INNER, // its other pages
    MF2_PAGE_STATE_COUNT
};

// One page. 256 bytes: the owner's line, the remote line, the links.
//
// Invariants of a formatted page:
//   used = blocks that the program holds + blocks on the remote stack
//   used + blocks on `free` + (capacity − blocks ever given out) = capacity
//   a block is on `free`, on the remote stack, or the program's: exactly one
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
    uint32_t list_next;   // partial list, free run list, pool; page numbers
    uint32_t list_prev;
    uint32_t run_pages; // LARGE: pages of the block; first and last page of a free run: its pages
    uint32_t owner_changes;
    uint64_t large_bytes; // LARGE: bytes asked for
    uint8_t run_end;      // 1: first or last page of a free run. Apart from `state`, because
                          // who gives pages back reads it of the neighbours: under heap_lock only
    uint8_t padding[15];

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

// What one thread knows of one class. `active` is never NULL: an empty bin points to
// mf2_no_page, which has no blocks, so that the fast path needs no test for it.
struct mf2_bin {
    struct MidPage *active;
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
    struct mf2_counters counters;
    struct mf2_bin bins[MF2_CLASS_MAX];
    struct mf2_class_counters classes[MF2_CLASS_MAX];

    // Pages whose home it was until another thread took them over; counted by that one.
    _Alignas(MF2_LINE) mf2_atomic_u32 adopted_from;

    // Heads of the pending queues: {tag:32 | page:32}. Pushed by anyone, popped by who may drain.
    // The tag changes with every push and pop, so that a popped page coming back is not mistaken.
    _Alignas(MF2_LINE) mf2_atomic_u64 pending[MF2_CLASS_MAX];
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
    uint64_t threads_offset;
    uint64_t masks_offset;
    uint32_t clock_wanted;       // the route needs slow-path times
    uint32_t count_owner_states; // remote frees are counted by the owner's state
    const struct mf2_geometry *geometry;
    struct mf2_route route;
    uint8_t class_of_unit[65536 / MF2_UNIT_BYTES + 1]; // by (bytes + 15) / 16

    // -- page heap (heap.c), guarded by heap_lock
    _Alignas(MF2_LINE) mf2_atomic_u32 heap_lock; // 0 free, 1 taken, 2 taken and waited for
    uint32_t fresh_page;                         // first page never used
    uint32_t committed_page;                     // first page that is not yet usable memory
    uint32_t pool_head, pool_count;              // cached empties
    uint32_t run_bins[MF2_RUN_BINS];
    uint32_t held_pages; // H: pages mapped and not purged, cached ones included, large ones too

    // -- thread slots (thread.c)
    _Alignas(MF2_LINE) mf2_atomic_u32 thread_lock;
    mf2_atomic_u32 thread_high; // highest slot ever given out
    uint32_t free_slot;         // list of slots given back, guarded by thread_lock

    // -- shared between owners (pending.c)
    _Alignas(MF2_LINE) mf2_atomic_u64 orphans[MF2_CLASS_MAX]; // stacks {tag:32 | page:32}
    mf2_atomic_u32 adoptable_count[MF2_CLASS_MAX];            // pages on pending queues
    mf2_atomic_u32 large_pages;                               // pages of large blocks, in H too

    // -- helper (helper.c)
    _Alignas(MF2_LINE) mf2_atomic_u32 helper_word; // futex: wake-ups asked for
    mf2_atomic_u32 helper_running;                 // 0 none, 1 started

    // -- threads without pages of their own count here
    _Alignas(MF2_LINE) mf2_atomic_u64 shared_counters[MF2_COUNTER_COUNT];

    struct MidPage pages[]; // page_count of them
};

// The thread that has no pages: every bin empty. Constant; mf2_self() starts as this.
extern const struct MF2_ThreadPages mf2_no_thread;
// The page that has no blocks.
extern const struct MidPage mf2_no_page;

static inline struct MF2_ThreadPages *mf2_thread_of_slot(struct mf2_state *state, uint32_t slot) {
    char *threads = (char *)state + state->threads_offset;
    return (struct MF2_ThreadPages *)(void *)threads + (slot - 1);
}

// For other threads than its own, which may be writing `slot` at this moment.
static inline uint32_t mf2_slot_of_thread(struct mf2_state *state,
                                          const struct MF2_ThreadPages *thread) {
    return (uint32_t)(thread - mf2_thread_of_slot(state, 1)) + 1;
}

static inline mf2_atomic_u64 *mf2_ready_mask(struct mf2_state *state, uint32_t class_index) {
    char *masks = (char *)state + state->masks_offset;
    return (mf2_atomic_u64 *)(void *)masks + (size_t)class_index * state->mask_words;
}

static inline uint32_t mf2_page_number(const struct mf2_state *state, const struct MidPage *page) {
    return (uint32_t)(page - state->pages);
}

static inline char *mf2_page_base(struct mf2_state *state, uint32_t page) {
    return (char *)state + ((uint64_t)page << state->page_shift);
}

// The block at this place of the page.
static inline char *mf2_page_block(struct mf2_state *state, const struct MidPage *page,
                                   uint16_t unit) {
    return mf2_page_base(state, mf2_page_number(state, page)) + (size_t)unit * MF2_UNIT_BYTES;
}

#endif
