// oracle.c: what must hold, checked on the structures that state.h describes, without using MF2's
// own code for it, and without knowing any bug.
//
// Owns: the walk at quiescence, and the watchers that look on at every point of a run.
// Does not know: what the program holds, unless it is told (world_check_blocks).
//
// The route that is held against MF2 is the one the world was made with, not the copy in MF2's
// state.
//
// Watchers must not cry wolf in any interleaving. So each compares what cannot have changed unseen
// between MF2's own look and its deed: a queue's head carries a tag that changes with every push
// and pop; last_slow_ns and the clock only grow; anything else is judged only where no other fiber
// has run in between.
#include "world_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const oracle_names[WORLD_ORACLE_COUNT] = {
    [WORLD_ORACLE_NONE] = "none",
    [WORLD_ORACLE_BLOCK_STAMP] = "block-stamp",
    [WORLD_ORACLE_CONSERVATION] = "conservation",
    [WORLD_ORACLE_ONE_OWNER] = "one-owner",
    [WORLD_ORACLE_ONE_LIST] = "one-list",
    [WORLD_ORACLE_STRANDED_FREE] = "stranded-free",
    [WORLD_ORACLE_GATE_OWN] = "gate-own",
    [WORLD_ORACLE_GATE_ADOPTION] = "gate-adoption",
    [WORLD_ORACLE_LOST_WAKE] = "lost-wake",
    [WORLD_ORACLE_LIVELOCK] = "livelock",
    [WORLD_ORACLE_PAGE_BOUND] = "page-bound",
    [WORLD_ORACLE_ABORT] = "abort",
    [WORLD_ORACLE_RACE] = "data-race",
};

const char *world_oracle_name(enum world_oracle oracle) {
    return oracle < WORLD_ORACLE_COUNT ? oracle_names[oracle] : "unknown";
}

enum {
    UNITS_MAX = 65536 / MF2_UNIT_BYTES,
    ON_BIN = 1,   // in a thread's hands: active or on its partial list
    ON_QUEUE = 2, // on a pending queue or orphan stack
};

// A slow path that a thread is in, as seen from outside.
struct slow_path {
    uint64_t slow_paths;                  // the thread's counter
    uint64_t pages_made;                  // of all classes
    uint64_t pages_new[MF2_CLASS_MAX];    // new and recycled pages of the class until now
    uint64_t pending_then[MF2_CLASS_MAX]; // heads of its own queues when it began
};

// An adoption under way: the queue that a thread has looked at, and what it then popped.
struct adoption {
    uint64_t adoption_allowed;   // the thread's counter
    const mf2_atomic_u64 *queue; // looked at; NULL: none
    struct MF2_ThreadPages *owner;
    uint32_t class_index;
    uint64_t head;
    uint64_t owner_last_slow_ns;
    uint64_t switches;
    char objection[160]; // why the page should not have been popped; empty: no reason
};

struct oracle_memory {
    uint8_t *marks;               // by page: ON_BIN, ON_QUEUE
    uint32_t *held;               // by page: blocks that the program holds
    uint8_t *units;               // scratch of one page: which units are free already
    struct slow_path *slow_paths; // by slot
    struct adoption *adoptions;   // by slot
};

// ---------------------------------------------------------------- making

bool world_oracle_create(struct world *world, char *message, size_t message_size) {
    struct oracle_memory *memory = calloc(1, sizeof *memory);
    size_t pages = world->mf2->page_count;
    size_t slots = world->options.oracles_at_points ? (size_t)world->mf2->thread_limit + 1 : 1;
    world->oracle_memory = memory;
    if (memory) {
        memory->marks = calloc(pages, sizeof *memory->marks);
        memory->held = calloc(pages, sizeof *memory->held);
        memory->units = calloc(UNITS_MAX, sizeof *memory->units);
        memory->slow_paths = calloc(slots, sizeof *memory->slow_paths);
        memory->adoptions = calloc(slots, sizeof *memory->adoptions);
    }
    bool made = memory && memory->marks && memory->held && memory->units && memory->slow_paths &&
                memory->adoptions;
    if (!made) {
        snprintf(message, message_size, "no memory for the oracles of %zu pages", pages);
    }
    return made;
}

void world_oracle_destroy(struct world *world) {
    struct oracle_memory *memory = world->oracle_memory;
    if (memory) {
        free(memory->marks);
        free(memory->held);
        free(memory->units);
        free(memory->slow_paths);
        free(memory->adoptions);
        free(memory);
    }
}

// ---------------------------------------------------------------- looking at pages

static bool is_formatted(const struct MidPage *page) {
    return page->state >= MF2_PAGE_ACTIVE && page->state <= MF2_PAGE_ORPHAN;
}

static bool is_held(const struct MidPage *page) {
    return page->state == MF2_PAGE_ACTIVE || page->state == MF2_PAGE_PARTIAL;
}

static bool is_word(const struct world *world) {
    return world->options.mf2.route.protocol == MF2_PROTOCOL_WORD;
}

// The fields of protocol_word.c's word.
static uint16_t remote_head(const struct world *world, const struct MidPage *page) {
    return (uint16_t)(is_word(world) ? page->word.value : page->remote_head.value);
}

static uint32_t remote_count(const struct world *world, const struct MidPage *page) {
    return is_word(world) ? (uint32_t)(page->word.value >> 16) & 0xFFFFu : page->remote_count.value;
}

static bool is_marked(const struct world *world, const struct MidPage *page) {
    return is_word(world) ? page->word.value >> 33 & 1 : page->in_remote_pending.value;
}

// Every block that was in use when the page was put away is free; protocol `word` alone says so.
static bool bears_emptied(const struct MidPage *page) {
    return page->word.value >> 34 & 1;
}

static uint16_t link_of(const struct world *world, uint32_t number, uint16_t unit) {
    const struct MidPage *page = &world->mf2->pages[number];
    if (!page->links_inside) {
        return page->links[unit / MF2_LINK_UNITS];
    }
    uint16_t next;
    memcpy(&next, mf2_page_block(world->mf2, page, unit), sizeof next);
    return (uint16_t)(next + mf2_link_base(page, unit));
}

// Whether a block that has been given out once starts at this unit of the page.
static bool is_block(const struct MidPage *page, uint32_t unit) {
    return unit < page->fresh_unit && unit % page->stride_units == 0;
}

// ---------------------------------------------------------------- conservation

// Notes a chain's blocks as free. Returns how many; -1 when it has violated.
static int32_t walk_chain(struct world *world, uint32_t number, uint16_t unit, const char *which) {
    const struct MidPage *page = &world->mf2->pages[number];
    uint8_t *units = world->oracle_memory->units;
    int32_t count = 0;
    for (; unit != MF2_UNIT_NONE; unit = link_of(world, number, unit)) {
        if (!is_block(page, unit)) {
            world_violate(world, WORLD_ORACLE_CONSERVATION,
                          "page %u: its %s leads to unit %u, which is no block", number, which,
                          unit);
            return -1;
        }
        if (units[unit]) {
            world_violate(world, WORLD_ORACLE_CONSERVATION,
                          "page %u: the block at unit %u is free twice, the second time on its %s",
                          number, unit, which);
            return -1;
        }
        units[unit] = 1;
        count++;
    }
    return count;
}

static bool check_page(struct world *world, uint32_t number) {
    const struct MidPage *page = &world->mf2->pages[number];
    memset(world->oracle_memory->units, 0, (size_t)page->end_unit);
    int32_t listed = walk_chain(world, number, page->free, "free list");
    int32_t remote =
        listed < 0 ? -1 : walk_chain(world, number, remote_head(world, page), "remote stack");
    if (remote < 0) {
        return false;
    }
    int32_t unused = (page->end_unit - page->fresh_unit) / page->stride_units;
    if (page->used + listed + unused != page->capacity || remote > page->used) {
        world_violate(world, WORLD_ORACLE_CONSERVATION,
                      "page %u: used %u (%d of them on the remote stack) + free %d + never given "
                      "out %d, of %u blocks",
                      number, page->used, remote, listed, unused, page->capacity);
        return false;
    }
    return true;
}

// ---------------------------------------------------------------- one owner, one list

static bool check_held_page(struct world *world, uint32_t slot, uint32_t number,
                            uint32_t page_state, uint32_t class_index) {
    const struct MidPage *page = &world->mf2->pages[number];
    if (page->holder.value != slot || page->state != page_state) {
        world_violate(world, WORLD_ORACLE_ONE_OWNER,
                      "page %u is in the bins of thread %u, but its holder is %u and its state %u",
                      number, slot, page->holder.value, page->state);
        return false;
    }
    if (page->class_index != class_index) {
        world_violate(world, WORLD_ORACLE_ONE_LIST, "page %u of class %u is in the bin of class %u",
                      number, page->class_index, class_index);
        return false;
    }
    return true;
}

static bool mark_once(struct world *world, uint32_t number, uint8_t mark, const char *where) {
    uint8_t *marks = &world->oracle_memory->marks[number];
    if (*marks & mark) {
        world_violate(world, WORLD_ORACLE_ONE_LIST, "page %u is a second time %s", number, where);
        return false;
    }
    *marks |= mark;
    return true;
}

static bool is_page_number(struct world *world, uint32_t number) {
    const struct mf2_state *state = world->mf2;
    return number >= state->first_page && number < state->fresh_page;
}

static bool check_bin(struct world *world, const struct MF2_ThreadPages *thread, uint32_t k) {
    const struct mf2_bin *bin = &thread->bins[k];
    const struct mf2_state *state = world->mf2;
    if (bin->active && bin->active != &mf2_no_page) {
        uint32_t number = mf2_page_number(state, bin->active);
        if (!mark_once(world, number, ON_BIN, "in a thread's bins") ||
            !check_held_page(world, thread->slot, number, MF2_PAGE_ACTIVE, k)) {
            return false;
        }
    }
    for (uint32_t number = bin->partial_head; number; number = state->pages[number].list_next) {
        if (!is_page_number(world, number)) {
            world_violate(world, WORLD_ORACLE_ONE_LIST,
                          "thread %u, class %u: the partial list leads to page %u, which is none",
                          thread->slot, k, number);
            return false;
        }
        if (!mark_once(world, number, ON_BIN, "in a thread's bins") ||
            !check_held_page(world, thread->slot, number, MF2_PAGE_PARTIAL, k)) {
            return false;
        }
    }
    return true;
}

static bool check_stack(struct world *world, uint64_t head, uint32_t k, const char *where) {
    const struct mf2_state *state = world->mf2;
    for (uint32_t number = (uint32_t)head; number;
         number = state->pages[number].pending_next.value) {
        const struct MidPage *page = &state->pages[number];
        if (!is_page_number(world, number) || !is_formatted(page) || page->class_index != k ||
            !is_marked(world, page)) {
            world_violate(world, WORLD_ORACLE_ONE_LIST,
                          "page %u is %s of class %u, but it is not marked, not of that class or "
                          "no page",
                          number, where, k);
            return false;
        }
        if (!mark_once(world, number, ON_QUEUE, where)) {
            return false;
        }
    }
    return true;
}

static bool strands_orphans(const struct world *world) {
    return world->options.mf2.route.orphans == MF2_ORPHANS_STRAND;
}

// A set bit may be stale, but a queue must not stay unseen.
static bool is_named_by_mask(const struct world *world, const struct MF2_ThreadPages *thread,
                             uint32_t k) {
    const struct mf2_route *route = &world->options.mf2.route;
    uint32_t bit = thread->slot - 1;
    bool has_masks = route->scan == MF2_SCAN_MASK || route->helper;
    return !has_masks || mf2_ready_mask(world->mf2, k)[bit / 64].value >> (bit % 64) & 1;
}

static bool check_queue(struct world *world, const struct MF2_ThreadPages *thread, uint32_t k) {
    if (!check_stack(world, thread->pending[k].value, k, "on a pending queue")) {
        return false;
    }
    if ((uint32_t)thread->pending[k].value && !is_named_by_mask(world, thread, k)) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "page %u is on the pending queue of thread %u, and the ready mask does not "
                      "name it",
                      (uint32_t)thread->pending[k].value, thread->slot);
        return false;
    }
    if ((uint32_t)thread->pending[k].value && thread->status.value == MF2_THREAD_EXITED &&
        !strands_orphans(world)) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "page %u is on the pending queue of thread %u, which has exited",
                      (uint32_t)thread->pending[k].value, thread->slot);
        return false;
    }
    return true;
}

static bool check_lists(struct world *world) {
    struct mf2_state *state = world->mf2;
    memset(world->oracle_memory->marks, 0, state->fresh_page);
    for (uint32_t slot = 1; slot <= state->thread_high.value; slot++) {
        const struct MF2_ThreadPages *thread = mf2_thread_of_slot(state, slot);
        for (uint32_t k = 0; k < state->geometry->class_count; k++) {
            if (!check_bin(world, thread, k) || !check_queue(world, thread, k)) {
                return false;
            }
        }
    }
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        if (!check_stack(world, state->orphans[k].value, k, "on an orphan stack")) {
            return false;
        }
    }
    return true;
}

// ---------------------------------------------------------------- stranded

// Quiet frees count in the word, and nobody is to be told of them.
static bool counts_quiet_frees(const struct world *world) {
    return is_word(world) && world->options.mf2.route.full_free == MF2_FULL_FREE_GRAVEYARD;
}

static uint32_t announced_at(const struct world *world, const struct MidPage *page) {
    const struct mf2_route *route = &world->options.mf2.route;
    uint32_t part = route->notify_shift ? (uint32_t)page->capacity >> route->notify_shift : 0;
    return part > route->notify ? part : route->notify;
}

// Remote frees that somebody should know of. They are counted after they are pushed, so that there
// are never more than the count says, unless quiet ones are among them.
static uint32_t remotes_to_tell(struct world *world, uint32_t number) {
    const struct MidPage *page = &world->mf2->pages[number];
    uint32_t counted = remote_count(world, page), pushed = 0;
    if (world->options.mf2.route.full_free == MF2_FULL_FREE_GRAVEYARD) {
        return counted;
    }
    for (uint16_t unit = remote_head(world, page); unit != MF2_UNIT_NONE;
         unit = link_of(world, number, unit)) {
        pushed++; // check_page has walked it
    }
    return pushed > counted ? pushed : counted;
}

// Blocks that whoever held the page has left free.
static uint32_t local_free(const struct MidPage *page) {
    return (uint32_t)(page->capacity - page->used);
}

static bool check_page_is_known(struct world *world, uint32_t number) {
    const struct MidPage *page = &world->mf2->pages[number];
    uint8_t marks = world->oracle_memory->marks[number];
    if ((is_held(page) || page->holder.value) && !(marks & ON_BIN)) {
        world_violate(world, WORLD_ORACLE_ONE_OWNER,
                      "page %u is held by thread %u, in whose bins it is not", number,
                      page->holder.value);
        return false;
    }
    if (is_marked(world, page) && !(marks & ON_QUEUE)) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "page %u is marked as pending and on no queue: nobody will be told of its "
                      "remote frees",
                      number);
        return false;
    }
    bool stays = page->state == MF2_PAGE_ORPHAN && strands_orphans(world);
    // A strong compare-and-swap, which MF2 asks for, does not fail for no reason.
    bool excused = stays || world->cas_failed;
    if (!is_held(page) && !is_marked(world, page) && !excused && local_free(page)) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "page %u is nobody's, has %u free blocks and is on no list", number,
                      local_free(page));
        return false;
    }
    bool announced = is_held(page) || is_marked(world, page) || counts_quiet_frees(world);
    if (!announced && remotes_to_tell(world, number) >= announced_at(world, page)) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "page %u has %u remote frees, and nobody has been told", number,
                      remotes_to_tell(world, number));
        return false;
    }
    return true;
}

// ---------------------------------------------------------------- quiescence

static bool check_pages(struct world *world) {
    const struct mf2_state *state = world->mf2;
    for (uint32_t number = state->first_page; number < state->fresh_page;
         number = mf2_page_after(state, number)) {
        if (is_formatted(&state->pages[number]) &&
            (!check_page(world, number) || !check_page_is_known(world, number))) {
            return false;
        }
    }
    return true;
}

static bool check_page_bound(struct world *world) {
    uint32_t bound = world->options.page_bound;
    if (bound && world->mf2->held_pages.value > bound) {
        world_violate(world, WORLD_ORACLE_PAGE_BOUND, "%u pages are held, %u is the bound",
                      world->mf2->held_pages.value, bound);
        return false;
    }
    return true;
}

// MF2's own walk sees more of its inner agreements, though not more of these oracles.
static bool check_by_mf2(struct world *world) {
    uint64_t points = world_look_begin(world);
    const char *wrong = mf2_check(world->mf2);
    world_look_end(world, points);
    if (wrong) {
        world_violate(world, WORLD_ORACLE_CONSERVATION, "%s", wrong);
    }
    return !wrong;
}

// *left: batches that have not been met on any stack yet.
static bool check_batch_stack(struct world *world, uint64_t head, uint32_t *left) {
    struct mf2_state *state = world->mf2;
    for (uint32_t number = (uint32_t)head; number;
         number = mf2_batch_of(state, number)->next.value) {
        bool exists = number <= state->batch_fresh.value;
        if (!exists || *left == 0 || mf2_batch_of(state, number)->count > MF2_BATCH_BLOCKS) {
            world_violate(world, WORLD_ORACLE_ONE_LIST,
                          "batch %u is none, holds too many blocks or is a second time on a stack",
                          number);
            return false;
        }
        --*left;
    }
    return true;
}

static bool check_batches(struct world *world) {
    const struct mf2_state *state = world->mf2;
    uint32_t left = state->batch_fresh.value;
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        if (!check_batch_stack(world, state->depot[k].value, &left)) {
            return false;
        }
    }
    return check_batch_stack(world, state->batches_free.value, &left);
}

// What the helper has been told to give back some time, or will look for by itself.
static bool check_helper(struct world *world) {
    const struct mf2_state *state = world->mf2;
    uint32_t batches = 0;
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        batches += (uint32_t)state->depot[k].value != 0;
    }
    bool wanted = world->options.mf2.route.purge_ns && state->helper_running.value &&
                  (batches || state->dirty_pages);
    if (wanted && !state->helper_ticking.value) {
        world_violate(world, WORLD_ORACLE_STRANDED_FREE,
                      "%u dirty pages and batches of %u classes, and the helper will not look",
                      state->dirty_pages, batches);
    }
    return !wanted || state->helper_ticking.value;
}

// Whoever changes a word that somebody waits on has woken them by now.
static bool check_helper_waits(struct world *world) {
    const struct fiber *helper = &world->fibers[world->fiber_limit];
    bool waits = helper->state == FIBER_FUTEX;
    if (waits && helper->word != &world->mf2->helper_word) {
        world_violate(world, WORLD_ORACLE_LOST_WAKE,
                      "everybody rests, and the helper waits for another word than its own, at "
                      "offset %llu",
                      (unsigned long long)world_offset(world, helper->word));
        return false;
    }
    if (waits && helper->deadline_ns == WORLD_NO_DEADLINE &&
        helper->word->value != helper->expected) {
        world_violate(
            world, WORLD_ORACLE_LOST_WAKE,
            "the helper was asked for, and sleeps on: its word is %u, it waits for another than %u",
            helper->word->value, helper->expected);
        return false;
    }
    return true;
}

// ---------------------------------------------------------------- counts

static bool shares_full_pages(const struct world *world) {
    return is_word(world) && world->options.mf2.route.full == MF2_FULL_SHARED;
}

// A shared page bears `emptied` exactly while it has no live block; it is counted while it does.
static bool check_empties(struct world *world) {
    const struct mf2_state *state = world->mf2;
    uint32_t found[MF2_CLASS_MAX] = {0}, sum = 0;
    for (uint32_t number = state->first_page; number < state->fresh_page;
         number = mf2_page_after(state, number)) {
        const struct MidPage *page = &state->pages[number];
        if (!is_formatted(page)) {
            continue;
        }
        found[page->class_index] += bears_emptied(page);
        bool empty = remote_count(world, page) == page->used;
        if (shares_full_pages(world) && !is_held(page) && empty != bears_emptied(page)) {
            world_violate(world, WORLD_ORACLE_CONSERVATION,
                          "page %u: %u of its blocks are in use, %u of them on its remote stack, "
                          "and its word says otherwise",
                          number, page->used, remote_count(world, page));
            return false;
        }
    }
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        sum += found[k];
        if (state->orphan_empties[k].value != found[k]) {
            world_violate(world, WORLD_ORACLE_CONSERVATION,
                          "class %u: %d emptied pages are counted, and there are %u", k,
                          (int32_t)state->orphan_empties[k].value, found[k]);
            return false;
        }
    }
    if (state->orphan_empties_sum.value != sum) {
        world_violate(world, WORLD_ORACLE_CONSERVATION,
                      "%d emptied pages are counted in all, and there are %u",
                      (int32_t)state->orphan_empties_sum.value, sum);
    }
    return state->orphan_empties_sum.value == sum;
}

// Pages and batches on a stack, which others have counted.
static uint32_t stack_length(const struct mf2_state *state, uint64_t head) {
    uint32_t count = 0;
    for (uint32_t number = (uint32_t)head; number; count++) {
        number = state->pages[number].pending_next.value;
    }
    return count;
}

static bool check_count(struct world *world, uint32_t k, const char *what, uint32_t counted,
                        uint32_t found) {
    if (counted != found) {
        world_violate(world, WORLD_ORACLE_CONSERVATION,
                      "class %u: %d %s are counted, and there are %u", k, (int32_t)counted, what,
                      found);
    }
    return counted == found;
}

static bool check_counts(struct world *world) {
    struct mf2_state *state = world->mf2;
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        uint32_t pages = 0, batches = 0;
        for (uint32_t slot = 1; slot <= state->thread_high.value; slot++) {
            pages += stack_length(state, mf2_thread_of_slot(state, slot)->pending[k].value);
        }
        for (uint32_t number = (uint32_t)state->depot[k].value; number; batches++) {
            number = mf2_batch_of(state, number)->next.value;
        }
        if (!check_count(world, k, "pages on pending queues", state->adoptable_count[k].value,
                         pages) ||
            !check_count(world, k, "batches", state->depot_count[k].value, batches)) {
            return false;
        }
    }
    return check_empties(world);
}

bool world_check_quiescent(struct world *world) {
    return check_lists(world) && check_batches(world) && check_pages(world) &&
           check_page_bound(world) && check_helper(world) && check_helper_waits(world) &&
           check_counts(world) && check_by_mf2(world);
}

// ---------------------------------------------------------------- against the program's blocks

// The head of the page that a place is in, and the place's unit there.
static uint32_t head_of(const struct mf2_state *state, uint64_t offset, uint32_t *unit) {
    uint32_t number = (uint32_t)(offset >> state->page_shift);
    uint32_t class_plus_one = number < state->page_count ? state->page_class[number] : 0;
    uint32_t span_shift = class_plus_one ? state->geometry->span_shift[class_plus_one - 1] : 0;
    uint64_t within = offset & ((UINT64_C(1) << (state->page_shift + span_shift)) - 1);
    *unit = (uint32_t)(within >> (MF2_UNIT_SHIFT + span_shift));
    return number >> span_shift << span_shift;
}

static bool count_block(struct world *world, const void *block, const char *holder) {
    const struct mf2_state *state = world->mf2;
    uint64_t offset = world_offset(world, block);
    uint32_t unit = 0;
    uint32_t number = offset == WORLD_NO_OFFSET ? 0 : head_of(state, offset, &unit);
    const struct MidPage *page = &state->pages[number];
    bool large = is_page_number(world, number) && page->state == MF2_PAGE_LARGE && unit == 0;
    bool small = is_page_number(world, number) && is_formatted(page) && is_block(page, unit);
    if (!large && !small) {
        world_violate(world, WORLD_ORACLE_CONSERVATION, "%s a block at offset %llu, where none is",
                      holder, (unsigned long long)offset);
        return false;
    }
    world->oracle_memory->held[number]++;
    return true;
}

// A block in a front or a batch is in use for its page, like one of the program's.
static void count_cached(void *argument, void *block) {
    (void)count_block(argument, block, "a front or batch holds");
}

static bool check_held_blocks(struct world *world, uint32_t number) {
    const struct MidPage *page = &world->mf2->pages[number];
    uint32_t held = world->oracle_memory->held[number];
    uint32_t remotes = 0;
    if (page->state == MF2_PAGE_LARGE) {
        remotes = 1 - held; // exactly one block, and the program has it
    } else if (is_formatted(page)) {
        memset(world->oracle_memory->units, 0, (size_t)page->end_unit);
        int32_t walked = walk_chain(world, number, remote_head(world, page), "remote stack");
        if (walked < 0) {
            return false;
        }
        remotes = page->used - held - (uint32_t)walked;
    }
    if (remotes != 0) {
        world_violate(world, WORLD_ORACLE_CONSERVATION,
                      "page %u: the program and the fronts hold %u blocks, MF2 counts %u in use",
                      number, held, page->used);
    }
    return remotes == 0;
}

bool world_check_blocks(struct world *world, void *const *blocks, size_t count) {
    const struct mf2_state *state = world->mf2;
    if (!world_check_quiescent(world)) {
        return false;
    }
    memset(world->oracle_memory->held, 0, state->fresh_page * sizeof(uint32_t));
    for (size_t i = 0; i < count; i++) {
        if (!count_block(world, blocks[i], "the program holds")) {
            return false;
        }
    }
    mf2_front_each(world->mf2, count_cached, world);
    for (uint32_t number = state->first_page; number < state->fresh_page;
         number = mf2_page_after(state, number)) {
        if (!check_held_blocks(world, number)) {
            return false;
        }
    }
    return true;
}

// ---------------------------------------------------------------- at points: the must-reuse gate

// New and recycled pages of all classes, and of one; MF2 counts both in one step.
static uint64_t all_pages_made(const struct MF2_ThreadPages *thread) {
    return thread->counters.new_page_count + thread->counters.recycled_pages;
}

static uint64_t pages_made(const struct MF2_ThreadPages *thread, uint32_t k) {
    return (uint64_t)thread->classes[k].new_pages + thread->classes[k].recycled_pages;
}

static void judge_new_page(struct world *world, const struct MF2_ThreadPages *thread, uint32_t k,
                           const struct slow_path *slow) {
    const struct mf2_route *route = &world->options.mf2.route;
    uint64_t head = thread->pending[k].value;
    if (route->must_reuse && (uint32_t)head && head == slow->pending_then[k]) {
        world_violate(world, WORLD_ORACLE_GATE_OWN,
                      "thread %u, class %u: a new page, although page %u was pending all along",
                      thread->slot, k, (uint32_t)head);
    }
    if (route->partial && thread->bins[k].partial_head) {
        world_violate(world, WORLD_ORACLE_GATE_OWN,
                      "thread %u, class %u: a new page, although page %u is on its partial list",
                      thread->slot, k, thread->bins[k].partial_head);
    }
}

static void judge_new_pages(struct world *world, const struct MF2_ThreadPages *thread,
                            struct slow_path *slow) {
    slow->pages_made = all_pages_made(thread);
    for (uint32_t k = 0; k < world->mf2->geometry->class_count; k++) {
        uint64_t made = pages_made(thread, k);
        if (made != slow->pages_new[k]) {
            judge_new_page(world, thread, k, slow);
            slow->pages_new[k] = made;
        }
    }
}

static void note_slow_path(const struct world *world, const struct MF2_ThreadPages *thread,
                           struct slow_path *slow) {
    slow->slow_paths = thread->counters.slow_paths;
    for (uint32_t k = 0; k < world->mf2->geometry->class_count; k++) {
        slow->pending_then[k] = thread->pending[k].value;
    }
}

// The thread's slow path is seen at its next point after it began, before another fiber has run.
static inline void watch_slow_path(struct world *world, const struct MF2_ThreadPages *thread) {
    struct slow_path *slow = &world->oracle_memory->slow_paths[thread->slot];
    if (MF2_UNLIKELY(all_pages_made(thread) != slow->pages_made)) {
        judge_new_pages(world, thread, slow);
    }
    if (MF2_UNLIKELY(thread->counters.slow_paths != slow->slow_paths)) {
        note_slow_path(world, thread, slow);
    }
}

// ---------------------------------------------------------------- at points: Route P's gates

// The thread whose queue this is; NULL if the address is none of a pending queue.
static struct MF2_ThreadPages *queue_owner(struct world *world, uint64_t offset, uint32_t *k) {
    struct mf2_state *state = world->mf2;
    if (offset < state->threads_offset || offset >= state->pages_offset) {
        return NULL;
    }
    uint64_t within = offset - state->threads_offset;
    struct MF2_ThreadPages *thread =
        mf2_thread_of_slot(state, (uint32_t)(within / state->thread_bytes) + 1);
    uint64_t place = within % state->thread_bytes;
    if (place < offsetof(struct MF2_ThreadPages, pending) ||
        place >= offsetof(struct MF2_ThreadPages, fronts)) {
        return NULL;
    }
    *k = (uint32_t)((place - offsetof(struct MF2_ThreadPages, pending)) / sizeof(mf2_atomic_u64));
    return thread;
}

static void look_at_queue(struct world *world, struct adoption *adoption,
                          const mf2_atomic_u64 *queue, struct MF2_ThreadPages *owner, uint32_t k) {
    adoption->queue = queue;
    adoption->owner = owner;
    adoption->class_index = k;
    adoption->head = queue->value;
    adoption->owner_last_slow_ns = owner->last_slow_ns.value;
    adoption->switches = world->switches;
}

// What held throughout the time in which MF2 has asked its gates.
static const char *gate_closed(const struct world *world, const struct adoption *adoption) {
    const struct mf2_route *route = &world->options.mf2.route;
    const struct MidPage *page = &world->mf2->pages[(uint32_t)adoption->head];
    bool alive = adoption->owner->status.value != MF2_THREAD_EXITED;
    bool alone = adoption->switches == world->switches;
    if (world->clock_ns < page->rfr_deadline.value) {
        return "inside the right of first refusal";
    }
    if (route->gate_idle && alive &&
        world->clock_ns <= adoption->owner_last_slow_ns + route->idle_ns) {
        return "though its owner was not idle";
    }
    if (route->gate_partial && alive && alone &&
        adoption->owner->bins[adoption->class_index].partial_count.value) {
        return "though its owner had partial pages";
    }
    if (route->gate_pressure && alone &&
        world->mf2->adoptable_count[adoption->class_index].value <= route->gate_pressure) {
        return "though too few pages could be adopted";
    }
    if (route->gate_remotes && alone && remote_count(world, page) < route->gate_remotes) {
        return "though it had too few remote frees";
    }
    return NULL;
}

// About to pop the page that it has looked at?
static void watch_pop(struct world *world, struct adoption *adoption,
                      const struct world_point *point, const mf2_atomic_u64 *queue) {
    if (queue != adoption->queue || queue->value != adoption->head || !(uint32_t)adoption->head ||
        (uint32_t)point->operand == (uint32_t)adoption->head) {
        return;
    }
    const char *closed = gate_closed(world, adoption);
    adoption->objection[0] = 0;
    if (closed) {
        snprintf(adoption->objection, sizeof adoption->objection,
                 "page %u was taken from thread %u %s", (uint32_t)adoption->head,
                 adoption->owner->slot, closed);
    }
}

static void watch_queues(struct world *world, const struct MF2_ThreadPages *thread,
                         const struct world_point *point) {
    uint32_t k;
    struct MF2_ThreadPages *owner = queue_owner(world, point->offset, &k);
    if (!owner || owner == thread) {
        return;
    }
    struct adoption *adoption = &world->oracle_memory->adoptions[thread->slot];
    if (point->site->kind == MF2_POINT_LOAD) {
        look_at_queue(world, adoption, &owner->pending[k], owner, k);
    } else if (point->site->kind == MF2_POINT_CAS) {
        watch_pop(world, adoption, point, &owner->pending[k]);
    }
}

static void watch_adoption(struct world *world, const struct MF2_ThreadPages *thread) {
    struct adoption *adoption = &world->oracle_memory->adoptions[thread->slot];
    if (thread->counters.adoption_allowed == adoption->adoption_allowed) {
        return;
    }
    adoption->adoption_allowed = thread->counters.adoption_allowed;
    if (adoption->objection[0]) {
        world_violate(world, WORLD_ORACLE_GATE_ADOPTION, "thread %u: %s", thread->slot,
                      adoption->objection);
    }
}

// ---------------------------------------------------------------- at points

// Between two operations a thread's bins are at rest.
static void check_own_bins(struct world *world, const struct MF2_ThreadPages *thread) {
    memset(world->oracle_memory->marks, 0, world->mf2->fresh_page);
    for (uint32_t k = 0; k < world->mf2->geometry->class_count; k++) {
        if (!check_bin(world, thread, k)) {
            return;
        }
    }
}

void world_oracle_arrival(struct world *world, const struct world_point *point) {
    const struct MF2_ThreadPages *thread = world->self;
    check_page_bound(world);
    if (!world->options.oracles_at_points || thread->slot == MF2_SLOT_NONE) {
        return;
    }
    watch_slow_path(world, thread);
    if (point->site->kind == MF2_POINT_OPERATION) {
        check_own_bins(world, thread);
    }
    if (world->options.mf2.route.drain == MF2_DRAIN_GATED) {
        watch_adoption(world, thread);
    }
}

void world_oracle_access(struct world *world, const struct world_point *point) {
    const struct MF2_ThreadPages *thread = world->self;
    if (thread->slot != MF2_SLOT_NONE && world->options.mf2.route.drain == MF2_DRAIN_GATED &&
        point->offset != WORLD_NO_OFFSET) {
        watch_queues(world, thread, point);
    }
}

// The counters as they stand after a snapshot are what later ones are compared with.
void world_oracle_reset(struct world *world, uint32_t slots_used) {
    struct oracle_memory *memory = world->oracle_memory;
    struct mf2_state *state = world->mf2;
    if (!world->options.oracles_at_points) {
        return;
    }
    uint32_t last = slots_used < state->thread_limit ? slots_used : state->thread_limit;
    for (uint32_t slot = 1; slot <= last; slot++) {
        const struct MF2_ThreadPages *thread = mf2_thread_of_slot(state, slot);
        struct slow_path *slow = &memory->slow_paths[slot];
        slow->slow_paths = thread->counters.slow_paths;
        slow->pages_made = all_pages_made(thread);
        memory->adoptions[slot] =
            (struct adoption){.adoption_allowed = thread->counters.adoption_allowed};
        for (uint32_t k = 0; k < state->geometry->class_count; k++) {
            slow->pages_new[k] = pages_made(thread, k);
            slow->pending_then[k] = 0;
        }
    }
}
