// hollow.c: pages with few blocks in use. Nobody can give such a page up, but the memory of its
// free blocks can go, OS page by OS page. The helper does it, at its looks, with pages on the
// orphan stacks that nobody has touched for a whole look (protocol_word.c keeps count of that in
// the page's word). It claims them where they stand, one at a time: who pops one meanwhile finds it
// held, and goes on to the next.
//
// Blocks that keep their links inside lose them with their memory. A link is stored as its distance
// from the next block (internal.h), so that memory which reads as zero says "the next one". Hence
// the free list is put in order of address first, and of a run of free blocks everything may go
// but the memory of the last one's link.
//
//   | in use | free ......... free ......... free | in use |
//            a                               b
//              [ whole OS pages between a and b ]           links inside
//              [ whole OS pages up to the end of b     ]    links in the MidPage
#include "internal.h"
#include "stack.h"

#define UNITS_MAX      (65536 / MF2_UNIT_BYTES) // of a page, whatever its span
#define OS_PAGES_SHIFT 4                        // a page is 16 of the OS's
#define STEPS_AT_WORK  2048                     // pages of a class in use that a look sees,
#define PART_AT_WORK   8                        // 1/8 of those left alone is purged

// The blocks of one page, by their unit ÷ stride.
struct free_blocks {
    uint64_t bits[UNITS_MAX / 64];
    uint32_t count; // of all blocks that have ever been given out
};

static bool is_free(const struct free_blocks *blocks, uint32_t block) {
    return blocks->bits[block / 64] >> (block % 64) & 1;
}

static void find_free(struct mf2_state *state, struct MidPage *page, struct free_blocks *blocks) {
    *blocks = (struct free_blocks){.count = page->fresh_unit / page->stride_units};
    for (uint16_t unit = page->free; unit != MF2_UNIT_NONE;
         unit = mf2_page_link(state, page, unit)) {
        uint32_t block = unit / page->stride_units;
        blocks->bits[block / 64] |= 1ull << (block % 64);
    }
}

// Bytes of the page's memory, from its beginning.
struct range {
    uint64_t begin, end;
};

static uint64_t place_of(const struct MidPage *page, uint32_t block) {
    return (uint64_t)block * page->stride_units << page->unit_shift;
}

// What may go of the run of free blocks first .. end − 1.
static struct range range_of(struct mf2_state *state, const struct MidPage *page, uint32_t first,
                             uint32_t end) {
    uint64_t os_page = (uint64_t)1 << (state->page_shift - OS_PAGES_SHIFT);
    uint64_t last = page->links_inside ? end - 1 : end;
    uint64_t begin = (place_of(page, first) + os_page - 1) & ~(os_page - 1);
    uint64_t limit = place_of(page, (uint32_t)last) & ~(os_page - 1);
    return (struct range){begin, limit > begin ? limit : begin};
}

static void purge_range(struct mf2_state *state, const struct MidPage *page, struct range range) {
    uint64_t base = (uint64_t)mf2_page_number(state, page) << state->page_shift;
    if (range.end > range.begin)
        mf2_purge(state, base + range.begin, range.end - range.begin);
}

// Links the run's blocks in order, and its last one to `next`; then its memory goes.
static void purge_run(struct mf2_state *state, struct MidPage *page, uint32_t first, uint32_t end,
                      uint16_t next) {
    struct range range = range_of(state, page, first, end);
    for (uint32_t block = first; block < end; block++) {
        bool goes = page->links_inside && place_of(page, block) >= range.begin &&
                    place_of(page, block) < range.end;
        uint16_t unit = (uint16_t)(block * page->stride_units);
        uint16_t after = block + 1 < end ? (uint16_t)(unit + page->stride_units) : next;
        if (!goes)
            mf2_page_set_link(state, page, unit, after);
    }
    purge_range(state, page, range);
}

// From the last run to the first, each linked to the one behind it.
static void purge_free_blocks(struct mf2_state *state, struct MidPage *page) {
    struct free_blocks blocks;
    find_free(state, page, &blocks);
    uint16_t next = MF2_UNIT_NONE;
    for (uint32_t end = blocks.count; end > 0;) {
        uint32_t first = end;
        while (first > 0 && is_free(&blocks, first - 1))
            first--;
        if (first == end) {
            end--;
            continue;
        }
        purge_run(state, page, first, end, next);
        next = (uint16_t)(first * page->stride_units);
        end = first;
    }
    page->free = next;
}

// Blocks never given out have memory only if the page was made of a dirty run.
static void purge_fresh(struct mf2_state *state, const struct MidPage *page) {
    uint32_t first = page->fresh_unit / page->stride_units;
    if (!page->zeroed && page->fresh_unit != page->end_unit) {
        struct range range = range_of(state, page, first, first);
        range.end = (uint64_t)page->run_pages << state->page_shift;
        purge_range(state, page, range);
    }
}

static void purge_page(struct mf2_state *state, struct MidPage *page) {
    struct MF2_ThreadPages *counts = (struct MF2_ThreadPages *)(uintptr_t)&mf2_no_thread;
    bool claimed = mf2_protocol_claim(state, page, MF2_SLOT_HELPER);
    if (!claimed)
        return;
    mf2_works_on(page);
    uint32_t drained = mf2_drain_remote_frees(state, page);
    MF2_COUNT_BY(state, counts, drained_blocks, drained);
    if (page->used) {
        purge_free_blocks(state, page);
        purge_fresh(state, page);
        MF2_COUNT(state, counts, pages_hollowed);
        mf2_word_set_hollow(page);
    }
    mf2_page_give_up(state, counts, page);
}

// Looks at the pages of a class's stack, `part`-th of those left alone is purged. Returns whether
// all were hollow already. What stands there may leave it meanwhile, and lead to another stack or
// in a circle: hence the bound.
static bool walk(struct mf2_state *state, uint32_t class_index, uint32_t steps, uint32_t part) {
    uint64_t head = mf2_load_acquire(&state->orphans[class_index]);
    uint32_t number = MF2_HEAD_NUMBER(head);
    uint32_t left_alone = 0;
    bool all_hollow = true;
    for (; number != 0 && steps > 0; steps--) {
        struct MidPage *page = &state->pages[number];
        number = mf2_load_relaxed(&page->pending_next);
        enum mf2_alone alone = mf2_word_look(page);
        if (alone == MF2_LEFT_ALONE && left_alone++ % part == 0)
            purge_page(state, page);
        all_hollow &= alone == MF2_HOLLOW;
    }
    return all_hollow && number == 0;
}

void mf2_hollow_tick(struct mf2_state *state, uint32_t class_index) {
    struct mf2_orphans_seen *seen = &state->orphans_seen[class_index];
    uint64_t head = mf2_load_relaxed(&state->orphans[class_index]);
    bool idle = head == seen->head;
    if (idle && seen->all_hollow)
        return;
    // A program at work may need tomorrow what it left alone since yesterday: then little goes, and
    // little time is spent.
    seen->all_hollow = idle ? walk(state, class_index, MF2_LOOK(&state->known_pages), 1)
                            : walk(state, class_index, STEPS_AT_WORK, PART_AT_WORK);
    seen->head = mf2_load_relaxed(&state->orphans[class_index]);
}

bool mf2_hollow_wanted(struct mf2_state *state) {
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        uint64_t head = mf2_load_relaxed(&state->orphans[k]);
        const struct mf2_orphans_seen *seen = &state->orphans_seen[k];
        bool done = seen->all_hollow && seen->head == head;
        if (MF2_HEAD_NUMBER(head) != 0 && !done)
            return true;
    }
    return false;
}
