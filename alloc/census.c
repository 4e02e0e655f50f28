// census.c: looking in: pages by state, stranded pages by cause, sums of counters, and the walk
// that checks every invariant of state.h. Reads only; nothing here is a point.
#include "internal.h"

static bool is_formatted(const struct MidPage *page) {
    return page->state >= MF2_PAGE_ACTIVE && page->state <= MF2_PAGE_ORPHAN;
}

struct page_marks {
    uint32_t remotes; // on the remote stack, quiet ones included
    bool marked;
};

static uint32_t chain_length(struct mf2_state *state, const struct MidPage *page, uint16_t unit) {
    uint32_t count = 0;
    while (unit != MF2_UNIT_NONE && count <= page->capacity) {
        count++;
        const void *block = mf2_page_block(state, page, unit);
        unit = page->links_inside ? (uint16_t)(*(const uint16_t *)block + mf2_link_base(page, unit))
                                  : page->links[unit / MF2_LINK_UNITS];
    }
    return count;
}

static struct page_marks marks_of(struct mf2_state *state, const struct MidPage *page) {
    struct page_marks marks;
    if (state->route.protocol == MF2_PROTOCOL_WORD) {
        uint64_t word = MF2_LOOK(&page->word);
        marks.remotes = (uint32_t)(word >> 16) & 0xFFFFu;
        marks.marked = (word >> 33) & 1;
    } else {
        marks.remotes = chain_length(state, page, (uint16_t)MF2_LOOK(&page->remote_head));
        marks.marked = MF2_LOOK(&page->in_remote_pending);
    }
    return marks;
}

// Free blocks that the next allocation of their class, by any thread that the route lets at them,
// would not find by itself: why?
static enum mf2_stranding stranding_of(struct mf2_state *state, const struct MidPage *page,
                                       const struct page_marks *marks, uint64_t now_ns) {
    struct MF2_ThreadPages *home = mf2_thread_of_slot(state, MF2_LOOK(&page->home));
    uint32_t local = page->capacity - page->used;
    if (local + marks->remotes == 0)
        return MF2_STRANDED_NOT;
    // A page that nobody holds and that is marked stands where every thread's next slow path looks;
    // one that is not waits for more remote frees.
    if (state->route.full == MF2_FULL_SHARED && MF2_LOOK(&page->holder) == 0)
        return marks->marked ? MF2_STRANDED_NOT : MF2_STRANDED_BELOW_THRESHOLD;
    bool exited = MF2_LOOK(&home->status) == MF2_THREAD_EXITED;
    uint64_t last_slow_ns = MF2_LOOK(&home->last_slow_ns);
    bool idle = now_ns > last_slow_ns && now_ns - last_slow_ns > state->route.idle_ns;
    if (exited) // on routes that look for orphans, a marked page is found by the next slow path
        return state->route.orphans == MF2_ORPHANS_STRAND || !marks->marked
                   ? MF2_STRANDED_OWNER_EXITED
                   : MF2_STRANDED_NOT;
    if (page->state == MF2_PAGE_ACTIVE || page->state == MF2_PAGE_PARTIAL)
        return idle ? MF2_STRANDED_OWNER_IDLE : MF2_STRANDED_NOT;
    if (marks->marked)
        return idle ? MF2_STRANDED_OWNER_IDLE : MF2_STRANDED_PENDING_UNDRAINED;
    if (marks->remotes > 0 && state->route.notify > 1 && marks->remotes < state->route.notify)
        return MF2_STRANDED_BELOW_THRESHOLD;
    return MF2_STRANDED_FULL_FORGOTTEN;
}

enum mf2_stranding mf2_page_stranding(struct mf2_state *state, const struct MidPage *page,
                                      uint64_t now_ns) {
    if (!is_formatted(page))
        return MF2_STRANDED_NOT;
    struct page_marks marks = marks_of(state, page);
    return stranding_of(state, page, &marks, now_ns);
}

static void count_stranded(struct mf2_state *state, const struct MidPage *page,
                           const struct page_marks *marks, uint64_t now_ns,
                           struct mf2_census *census) {
    enum mf2_stranding stranding = stranding_of(state, page, marks, now_ns);
    if (stranding != MF2_STRANDED_NOT && page->used > marks->remotes)
        census->stranded_in_use += page->run_pages;
    switch (stranding) {
    case MF2_STRANDED_NOT:
        break;
    case MF2_STRANDED_OWNER_EXITED:
        census->stranded_owner_exited += page->run_pages;
        break;
    case MF2_STRANDED_OWNER_IDLE:
        census->stranded_owner_idle += page->run_pages;
        break;
    case MF2_STRANDED_FULL_FORGOTTEN:
        census->stranded_full_forgotten += page->run_pages;
        break;
    case MF2_STRANDED_BELOW_THRESHOLD:
        census->stranded_below_threshold += page->run_pages;
        break;
    case MF2_STRANDED_PENDING_UNDRAINED:
        census->stranded_pending_undrained += page->run_pages;
        break;
    }
}

static void count_page(struct mf2_state *state, const struct MidPage *page, uint64_t now_ns,
                       struct mf2_census *census) {
    struct page_marks marks = marks_of(state, page);
    struct MF2_ThreadPages *home = mf2_thread_of_slot(state, MF2_LOOK(&page->home));
    census->free_blocks += page->capacity - page->used + marks.remotes;
    census->remote_blocks += marks.remotes;
    if (page->used == 0 && page->state != MF2_PAGE_ACTIVE)
        census->empty += page->run_pages;
    else if (MF2_LOOK(&home->status) == MF2_THREAD_EXITED)
        census->orphan += page->run_pages;
    else if (page->state == MF2_PAGE_ACTIVE)
        census->active += page->run_pages;
    else if (marks.remotes > 0)
        census->pending += page->run_pages;
    else if (page->state == MF2_PAGE_PARTIAL)
        census->partial += page->run_pages;
    else
        census->full += page->run_pages;
    count_stranded(state, page, &marks, now_ns, census);
}

void mf2_census(struct mf2_state *state, uint64_t now_ns, struct mf2_census *census) {
    *census = (struct mf2_census){0};
    for (uint32_t number = state->first_page; number < state->fresh_page;
         number = mf2_page_after(state, number)) {
        const struct MidPage *page = &state->pages[number];
        uint32_t count = page->run_pages;
        if (page->state == MF2_PAGE_DIRTY) {
            census->held += count;
            census->empty += count;
        } else if (page->state == MF2_PAGE_LARGE) {
            census->held += count;
            census->large += count;
        } else if (is_formatted(page)) {
            census->held += count;
            count_page(state, page, now_ns, census);
        }
    }
}

void mf2_counters_sum(struct mf2_state *state, struct mf2_counters *sum) {
    uint64_t *totals = (uint64_t *)(void *)sum;
    for (size_t i = 0; i < MF2_COUNTER_COUNT; i++)
        totals[i] = MF2_LOOK(&state->shared_counters[i]);
    for (uint32_t slot = 1; slot <= MF2_LOOK(&state->thread_high); slot++) {
        const uint64_t *counters =
            (const uint64_t *)(const void *)&mf2_thread_of_slot(state, slot)->counters;
        for (size_t i = 0; i < MF2_COUNTER_COUNT; i++)
            totals[i] += counters[i];
    }
}

// ---------------------------------------------------------------- invariants

static const char *check_page(struct mf2_state *state, const struct MidPage *page) {
    struct page_marks marks = marks_of(state, page);
    uint32_t listed = chain_length(state, page, page->free);
    uint32_t unused = (uint32_t)(page->end_unit - page->fresh_unit) / page->stride_units;
    if (page->used > page->capacity)
        return "a page has more blocks in use than it holds";
    if (listed > page->capacity)
        return "a page's free list is longer than the page";
    if (page->used + listed + unused != page->capacity)
        return "used + free + never given out differs from a page's capacity";
    if (marks.remotes > page->used)
        return "a page has more remote frees than blocks in use";
    uint32_t number = mf2_page_number(state, page);
    for (uint32_t i = 0; i < page->run_pages; i++)
        if (state->page_class[number + i] != page->class_index + 1)
            return "a page's class and that of its places disagree";
    bool held = page->state == MF2_PAGE_ACTIVE || page->state == MF2_PAGE_PARTIAL;
    if (held != (MF2_LOOK(&page->holder) != 0))
        return "a page's state and its holder disagree";
    return NULL;
}

static const char *check_bin(struct mf2_state *state, const struct MF2_ThreadPages *thread,
                             uint32_t class_index) {
    const struct mf2_bin *bin = &thread->bins[class_index];
    if (bin->active && bin->active != &mf2_no_page) {
        if (MF2_LOOK(&bin->active->holder) != thread->slot || bin->active->state != MF2_PAGE_ACTIVE)
            return "an active page is not held by its thread";
    }
    const struct mf2_front *front = &thread->fronts[class_index + 1];
    if (bin->bottom && (front->top < bin->bottom || front->top > front->end))
        return "the newest block of a front is outside of it";
    uint32_t count = 0;
    uint32_t previous = 0;
    for (uint32_t number = bin->partial_head; number; number = state->pages[number].list_next) {
        const struct MidPage *page = &state->pages[number];
        if (MF2_LOOK(&page->holder) != thread->slot || page->state != MF2_PAGE_PARTIAL)
            return "a page of a partial list is not held by its thread";
        if (page->list_prev != previous)
            return "a partial list's links disagree";
        if (++count > state->page_count)
            return "a partial list runs in a circle";
        previous = number;
    }
    if (count != MF2_LOOK(&bin->partial_count))
        return "a partial list's length and its count disagree";
    return NULL;
}

// A stack's pages are marked, of its class, and on it once.
static const char *check_stack(struct mf2_state *state, uint64_t head, uint32_t class_index) {
    uint32_t count = 0;
    for (uint32_t number = (uint32_t)head; number;
         number = MF2_LOOK(&state->pages[number].pending_next)) {
        const struct MidPage *page = &state->pages[number];
        if (!is_formatted(page) || page->class_index != class_index)
            return "a page on a pending queue or orphan stack is not of its class";
        struct page_marks marks = marks_of(state, page);
        if (!marks.marked)
            return "a page on a pending queue or orphan stack is not marked";
        if (++count > state->page_count)
            return "a pending queue or orphan stack runs in a circle";
    }
    return NULL;
}

const char *mf2_check(struct mf2_state *state) {
    const char *wrong = NULL;
    uint32_t held = 0;
    uint32_t dirty = 0;
    for (uint32_t number = state->first_page; number < state->fresh_page && !wrong;
         number = mf2_page_after(state, number)) {
        const struct MidPage *page = &state->pages[number];
        if (is_formatted(page))
            wrong = check_page(state, page);
        if (page->state != MF2_PAGE_CLEAN)
            held += page->run_pages;
        if (page->state == MF2_PAGE_DIRTY)
            dirty += page->run_pages;
    }
    if (!wrong && dirty != state->dirty_pages)
        wrong = "the count of dirty pages is not that of the dirty runs";
    if (!wrong && held != MF2_LOOK(&state->held_pages))
        wrong = "the count of held pages is not that of the pages";
    for (uint32_t slot = 1; slot <= MF2_LOOK(&state->thread_high) && !wrong; slot++) {
        const struct MF2_ThreadPages *thread = mf2_thread_of_slot(state, slot);
        for (uint32_t k = 0; k < state->geometry->class_count && !wrong; k++) {
            wrong = check_bin(state, thread, k);
            if (!wrong)
                wrong = check_stack(state, MF2_LOOK(&thread->pending[k]), k);
        }
    }
    for (uint32_t k = 0; k < state->geometry->class_count && !wrong; k++)
        wrong = check_stack(state, MF2_LOOK(&state->orphans[k]), k);
    return wrong;
}
