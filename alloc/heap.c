// heap.c: pages from the OS and back. Owns the free runs and the count of held pages, all under
// heap_lock. Does not know what a page is used for.
//
//   never used   from fresh_page on; made usable ("committed") in batches
//   clean runs   adjacent pages without memory behind them: reading as zero when used again
//   dirty runs   adjacent pages that keep their memory, until they are used again or purged
//
// Runs are linked in bins by length. The first and the last page of a run are marked and hold its
// length, so that neighbours of the same kind join in constant time. Only a run's head says what
// it is: nothing is written to the metadata of the pages between.
//
// Memory is given back to the OS outside the lock, before its run becomes visible; only the making
// usable of a fresh batch, one system call in 4 MiB, is done inside.
#include "internal.h"

#define COMMIT_BATCH     64 // pages made usable at a time: 4 MiB at 64 KiB
#define EXACT_BINS       31 // bins of runs that are all as long
#define RUN_TRIES        16 // runs of a bin looked at
#define DECAY_PART       8  // of unused dirty pages: what a look purges while others are needed
#define DIRTY_PAGES_KEPT 64 // dirty pages that growth tolerates, beside
#define DIRTY_PART       2  // 1/2 of those held

static uint32_t bin_of(uint32_t count) {
    if (count <= EXACT_BINS)
        return count - 1;
    uint32_t log = 31 - (uint32_t)__builtin_clz(count);
    uint32_t quarter = (count >> (log - 2)) & 3;
    uint32_t bin = EXACT_BINS + (log - 5) * 4 + quarter;
    return bin < MF2_RUN_BINS ? bin : MF2_RUN_BINS - 1;
}

static uint32_t *bins_of(struct mf2_state *state, uint8_t kind) {
    return kind == MF2_PAGE_DIRTY ? state->dirty_bins : state->clean_bins;
}

static uint32_t round_up(uint32_t page, uint32_t align) {
    return (page + align - 1) / align * align;
}

// ---------------------------------------------------------------- free runs; lock taken

static uint32_t *runs_of(struct mf2_state *state, uint8_t kind) {
    return kind == MF2_PAGE_DIRTY ? &state->dirty_runs : &state->clean_runs;
}

static void mark_ends(struct mf2_state *state, uint32_t page, uint32_t count, uint8_t run_end) {
    state->pages[page].run_end = run_end;
    state->pages[page + count - 1].run_end = run_end;
}

static void run_unlink(struct mf2_state *state, uint32_t page) {
    struct MidPage *run = &state->pages[page];
    uint32_t *bins = bins_of(state, run->run_end);
    --*runs_of(state, run->run_end);
    mark_ends(state, page, run->run_pages, 0);
    if (run->list_prev)
        state->pages[run->list_prev].list_next = run->list_next;
    else
        bins[bin_of(run->run_pages)] = run->list_next;
    if (run->list_next)
        state->pages[run->list_next].list_prev = run->list_prev;
}

static void run_link(struct mf2_state *state, uint32_t page, uint32_t count, uint8_t kind) {
    struct MidPage *run = &state->pages[page];
    uint32_t *bin = &bins_of(state, kind)[bin_of(count)];
    ++*runs_of(state, kind);
    mark_ends(state, page, count, kind);
    run->state = kind;
    run->run_pages = count;
    state->pages[page + count - 1].run_pages = count;
    run->list_prev = 0;
    run->list_next = *bin;
    if (*bin)
        state->pages[*bin].list_prev = page;
    *bin = page;
}

static void run_insert(struct mf2_state *state, uint32_t page, uint32_t count, uint8_t kind) {
    const struct MidPage *before = &state->pages[page - 1];
    if (before->run_end == kind) {
        uint32_t first = page - before->run_pages;
        run_unlink(state, first);
        count += page - first;
        page = first;
    }
    uint32_t after = page + count;
    if (after < state->fresh_page && state->pages[after].run_end == kind) {
        uint32_t more = state->pages[after].run_pages;
        run_unlink(state, after);
        count += more;
    }
    run_link(state, page, count, kind);
}

// Cuts pages first .. first + count − 1 out of a run.
static void run_cut(struct mf2_state *state, uint32_t run, uint32_t first, uint32_t count) {
    uint8_t kind = state->pages[run].run_end;
    uint32_t end = run + state->pages[run].run_pages;
    run_unlink(state, run);
    if (first > run)
        run_link(state, run, first - run, kind);
    if (end > first + count)
        run_link(state, first + count, end - first - count, kind);
}

// The shortest of the bin's first runs that has `count` pages, aligned; 0: none has. In the last
// bin all runs are looked at.
static uint32_t shortest_fit(struct mf2_state *state, const uint32_t *bins, uint32_t bin,
                             uint32_t count, uint32_t align) {
    uint32_t tries = bin < MF2_RUN_BINS - 1 ? RUN_TRIES : UINT32_MAX;
    uint32_t best = 0;
    for (uint32_t run = bins[bin]; run && tries; run = state->pages[run].list_next, tries--) {
        uint32_t pages = state->pages[run].run_pages;
        bool fits = round_up(run, align) + count <= run + pages;
        if (fits && (!best || pages < state->pages[best].run_pages))
            best = run;
        if (best && bin < EXACT_BINS)
            break; // they are all as long
    }
    return best;
}

// `count` pages, aligned, of a run of this kind, of the shortest in which they fit, nearly: what is
// left over of a short run is little, and long runs stay for those who need them.
static uint32_t run_take(struct mf2_state *state, uint8_t kind, uint32_t count, uint32_t align) {
    const uint32_t *bins = bins_of(state, kind);
    if (*runs_of(state, kind) == 0)
        return 0; // nearly always so while memory grows
    for (uint32_t bin = bin_of(count); bin < MF2_RUN_BINS; bin++) {
        uint32_t run = shortest_fit(state, bins, bin, count, align);
        if (!run)
            continue;
        uint32_t first = round_up(run, align);
        run_cut(state, run, first, count);
        return first;
    }
    return 0;
}

// ---------------------------------------------------------------- never used pages; lock taken

// The next `count` pages and what is known of them.
static bool commit(struct mf2_state *state, uint32_t count) {
    uint32_t end = state->committed_page + count;
    uint64_t metadata_end = state->pages_offset + (uint64_t)end * sizeof(struct MidPage);
    bool ready = mf2_metadata_ready(state, &state->pages_ready, metadata_end);
    return ready && mf2_commit(state, state->committed_page, count);
}

// Makes everything below page `end` usable memory.
static bool commit_to(struct mf2_state *state, uint32_t end) {
    if (end <= state->committed_page)
        return true;
    uint32_t wanted = end - state->committed_page;
    uint32_t batch = wanted < COMMIT_BATCH ? COMMIT_BATCH : wanted;
    if (batch > state->page_count - state->committed_page)
        batch = state->page_count - state->committed_page;
    bool usable = commit(state, batch);
    if (!usable && batch > wanted) {
        batch = wanted;
        usable = commit(state, batch);
    }
    if (usable)
        state->committed_page += batch;
    return usable;
}

static uint32_t fresh_take(struct mf2_state *state, uint32_t count, uint32_t align) {
    uint32_t first = round_up(state->fresh_page, align);
    if (first > state->page_count || count > state->page_count - first)
        return 0;
    bool usable = commit_to(state, first + count);
    if (!usable)
        return 0;
    uint32_t skipped = state->fresh_page;
    state->fresh_page = first + count;
    MF2_SHOW(&state->known_pages, first + count);
    if (first > skipped)
        run_insert(state, skipped, first - skipped, MF2_PAGE_CLEAN);
    return first;
}

// ---------------------------------------------------------------- dirty pages; lock taken

// Dirty pages beside which memory may grow.
static uint32_t dirty_tolerated(struct mf2_state *state) {
    uint32_t held = mf2_load_relaxed(&state->held_pages);
    return DIRTY_PAGES_KEPT + held / DIRTY_PART;
}

static void dirty_less(struct mf2_state *state, uint32_t count) {
    state->dirty_pages -= count;
    if (state->dirty_pages < state->dirty_pages_low)
        state->dirty_pages_low = state->dirty_pages;
}

// A dirty run of at most `most` pages, taken out; 0 if there is none. The longest bin first: one
// system call for many pages.
static uint32_t dirty_take_some(struct mf2_state *state, uint32_t most, uint32_t *count) {
    for (uint32_t bin = MF2_RUN_BINS; bin-- > 0;) {
        uint32_t run = state->dirty_bins[bin];
        if (!run)
            continue;
        uint32_t length = state->pages[run].run_pages;
        *count = length < most ? length : most;
        run_cut(state, run, run, *count);
        dirty_less(state, *count);
        state->pages[run].state = MF2_PAGE_NONE;
        state->pages[run].run_pages = *count;
        return run;
    }
    return 0;
}

// ---------------------------------------------------------------- what the rest calls

struct taken {
    uint32_t first; // 0: there was none
    bool recycled;
    bool much_dirty; // dirty pages that do not fit abound: the OS should not give more beside them
};

static struct taken take_once(struct mf2_state *state, uint32_t count, uint32_t align) {
    struct taken taken = {0, true, false};
    mf2_lock(&state->heap_lock);
    mf2_works_on(&state->fresh_page);
    taken.first = run_take(state, MF2_PAGE_DIRTY, count, align);
    if (taken.first) {
        dirty_less(state, count);
    } else {
        taken.recycled = false;
        taken.much_dirty = state->dirty_pages > dirty_tolerated(state);
        taken.first = run_take(state, MF2_PAGE_CLEAN, count, align);
        if (!taken.first)
            taken.first = fresh_take(state, count, align);
        if (taken.first)
            mf2_fetch_add_relaxed(&state->held_pages, count);
    }
    if (taken.first) {
        state->pages[taken.first].state = MF2_PAGE_NONE;
        state->pages[taken.first].run_pages = count;
    }
    mf2_unlock(&state->heap_lock);
    return taken;
}

uint32_t mf2_heap_take(struct mf2_state *state, uint32_t count, uint32_t align, bool *recycled) {
    struct taken taken = take_once(state, count, align);
    if (taken.much_dirty)
        mf2_heap_purge(state, count);
    if (!taken.first) {
        uint32_t purged = mf2_heap_purge(state, UINT32_MAX);
        if (purged)
            taken = take_once(state, count, align);
    }
    *recycled = taken.recycled;
    return taken.first;
}

// Where there is no helper: half of what growth tolerates may stay.
static void purge_surplus(struct mf2_state *state) {
    mf2_lock(&state->heap_lock);
    mf2_works_on(&state->fresh_page);
    uint32_t tolerated = dirty_tolerated(state);
    uint32_t dirty = state->dirty_pages;
    mf2_unlock(&state->heap_lock);
    if (dirty > tolerated)
        mf2_heap_purge(state, dirty - tolerated / 2);
}

void mf2_heap_keep(struct mf2_state *state, uint32_t page, uint32_t count) {
    mf2_lock(&state->heap_lock);
    mf2_works_on(&state->fresh_page);
    state->dirty_pages += count;
    run_insert(state, page, count, MF2_PAGE_DIRTY);
    mf2_unlock(&state->heap_lock);
    bool looked_after = !state->route.purge_ns || mf2_helper_tick_wanted(state);
    if (!looked_after)
        purge_surplus(state);
}

void mf2_heap_give(struct mf2_state *state, uint32_t page, uint32_t count) {
    mf2_purge(state, (uint64_t)page << state->page_shift, (uint64_t)count << state->page_shift);
    mf2_lock(&state->heap_lock);
    mf2_works_on(&state->fresh_page);
    mf2_fetch_sub_relaxed(&state->held_pages, count);
    run_insert(state, page, count, MF2_PAGE_CLEAN);
    mf2_unlock(&state->heap_lock);
}

uint32_t mf2_heap_purge(struct mf2_state *state, uint32_t wanted) {
    uint32_t purged = 0;
    while (purged < wanted) {
        uint32_t count;
        mf2_lock(&state->heap_lock);
        mf2_works_on(&state->fresh_page);
        uint32_t page = dirty_take_some(state, wanted - purged, &count);
        mf2_unlock(&state->heap_lock);
        if (!page)
            break;
        mf2_heap_give(state, page, count);
        purged += count;
    }
    return purged;
}

bool mf2_heap_extend(struct mf2_state *state, uint32_t page, uint32_t count, uint32_t more) {
    uint32_t after = page + count;
    bool taken = false;
    mf2_lock(&state->heap_lock);
    mf2_works_on(&state->fresh_page);
    uint8_t kind = after < state->fresh_page ? state->pages[after].run_end : 0;
    if (kind && state->pages[after].run_pages >= more) {
        run_cut(state, after, after, more);
        taken = true;
    } else if (after == state->fresh_page) {
        taken = fresh_take(state, more, 1) != 0;
    }
    if (taken) {
        state->pages[page].run_pages = count + more;
        if (kind == MF2_PAGE_DIRTY)
            dirty_less(state, more);
        else
            mf2_fetch_add_relaxed(&state->held_pages, more);
    }
    mf2_unlock(&state->heap_lock);
    return taken;
}

uint32_t mf2_heap_dirty(struct mf2_state *state) {
    mf2_lock(&state->heap_lock);
    mf2_works_on(&state->fresh_page);
    uint32_t dirty = state->dirty_pages;
    mf2_unlock(&state->heap_lock);
    return dirty;
}

uint32_t mf2_heap_tick(struct mf2_state *state) {
    mf2_lock(&state->heap_lock);
    mf2_works_on(&state->fresh_page);
    uint32_t unused = state->dirty_pages_low;
    // A program at work may need tomorrow what it did not need since yesterday: then little goes.
    bool needed = unused < state->dirty_pages_seen;
    if (needed)
        unused = (unused + DECAY_PART - 1) / DECAY_PART;
    state->dirty_pages_low = state->dirty_pages - unused;
    state->dirty_pages_seen = state->dirty_pages - unused;
    mf2_unlock(&state->heap_lock);
    mf2_heap_purge(state, unused);
    return mf2_heap_dirty(state);
}
