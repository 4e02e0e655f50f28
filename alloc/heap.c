// heap.c: pages from the OS and back. Owns the free runs, the cache of empty pages and the count
// of held pages, all under heap_lock. Does not know what a page is used for.
//
//   never used    from fresh_page on; made usable ("committed") in batches
//   free runs     adjacent pages without memory behind them: reading as zero when used again.
//                 Linked in bins by length; first and last page of a run are marked and hold its
//                 length, so that neighbours join in constant time
//   cache         single empty pages that keep their memory, newest first
//
// Memory is given back to the OS outside the lock, before its run becomes visible; only the making
// usable of a fresh batch, one system call in 4 MiB, is done inside.
#include "internal.h"

#define COMMIT_BATCH 64 // pages made usable at a time: 4 MiB at 64 KiB

static uint32_t bin_of(uint32_t count) {
    return count < MF2_RUN_BINS ? count - 1 : MF2_RUN_BINS - 1;
}

// ---------------------------------------------------------------- free runs; lock taken

static void mark_ends(struct mf2_state *state, uint32_t page, uint32_t count, uint8_t run_end) {
    state->pages[page].run_end = run_end;
    state->pages[page + count - 1].run_end = run_end;
}

static void run_unlink(struct mf2_state *state, uint32_t page) {
    struct MidPage *run = &state->pages[page];
    mark_ends(state, page, run->run_pages, 0);
    if (run->list_prev)
        state->pages[run->list_prev].list_next = run->list_next;
    else
        state->run_bins[bin_of(run->run_pages)] = run->list_next;
    if (run->list_next)
        state->pages[run->list_next].list_prev = run->list_prev;
}

static void run_link(struct mf2_state *state, uint32_t page, uint32_t count) {
    struct MidPage *run = &state->pages[page];
    uint32_t *bin = &state->run_bins[bin_of(count)];
    mark_ends(state, page, count, 1);
    run->run_pages = count;
    state->pages[page + count - 1].run_pages = count;
    run->list_prev = 0;
    run->list_next = *bin;
    if (*bin)
        state->pages[*bin].list_prev = page;
    *bin = page;
}

// The run that ends right before `page`, 0 if there is none.
static uint32_t run_before(struct mf2_state *state, uint32_t page) {
    const struct MidPage *last = &state->pages[page - 1];
    return last->run_end ? page - last->run_pages : 0;
}

static void run_insert(struct mf2_state *state, uint32_t page, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        state->pages[page + i].state = MF2_PAGE_RUN;
    uint32_t before = run_before(state, page);
    if (before) {
        run_unlink(state, before);
        count += page - before;
        page = before;
    }
    uint32_t after = page + count;
    if (after < state->page_count && state->pages[after].run_end) {
        run_unlink(state, after);
        count += state->pages[after].run_pages;
    }
    run_link(state, page, count);
}

// The first `count` pages of the first run that is long enough: only the last bin's runs differ in
// length.
static uint32_t run_take(struct mf2_state *state, uint32_t count) {
    for (uint32_t bin = bin_of(count); bin < MF2_RUN_BINS; bin++) {
        for (uint32_t run = state->run_bins[bin]; run; run = state->pages[run].list_next) {
            uint32_t length = state->pages[run].run_pages;
            if (length < count)
                continue;
            run_unlink(state, run);
            if (length > count)
                run_link(state, run + count, length - count);
            for (uint32_t i = 0; i < count; i++)
                state->pages[run + i].state = MF2_PAGE_NONE;
            return run;
        }
    }
    return 0;
}

// ---------------------------------------------------------------- never used pages; lock taken

// Makes everything below page `end` usable memory.
static bool commit_to(struct mf2_state *state, uint32_t end) {
    if (end <= state->committed_page)
        return true;
    uint32_t wanted = end - state->committed_page;
    uint32_t batch = wanted < COMMIT_BATCH ? COMMIT_BATCH : wanted;
    if (batch > state->page_count - state->committed_page)
        batch = state->page_count - state->committed_page;
    bool usable = mf2_commit(state, state->committed_page, batch);
    if (!usable && batch > wanted) {
        batch = wanted;
        usable = mf2_commit(state, state->committed_page, batch);
    }
    if (usable)
        state->committed_page += batch;
    return usable;
}

static uint32_t fresh_take(struct mf2_state *state, uint32_t count) {
    uint32_t first = state->fresh_page;
    if (count > state->page_count - first)
        return 0;
    bool usable = commit_to(state, first + count);
    if (!usable)
        return 0;
    state->fresh_page = first + count;
    return first;
}

// ---------------------------------------------------------------- the cache; lock taken

static uint32_t cache_pop(struct mf2_state *state) {
    uint32_t page = state->pool_head;
    if (page) {
        state->pool_head = state->pages[page].list_next;
        state->pool_count--;
    }
    return page;
}

// Gives every cached page back, so that runs can join. Returns whether there was one.
static bool cache_flush(struct mf2_state *state) {
    bool any = false;
    for (;;) {
        mf2_lock(&state->heap_lock);
        uint32_t page = cache_pop(state);
        mf2_unlock(&state->heap_lock);
        if (!page)
            return any;
        any = true;
        mf2_heap_give(state, page, 1);
    }
}

// ---------------------------------------------------------------- what the rest calls

static uint32_t take_once(struct mf2_state *state, uint32_t count, bool *recycled) {
    mf2_lock(&state->heap_lock);
    uint32_t page = count == 1 ? cache_pop(state) : 0;
    *recycled = page != 0;
    if (!page)
        page = run_take(state, count);
    if (!page)
        page = fresh_take(state, count);
    if (page && !*recycled)
        state->held_pages += count;
    mf2_unlock(&state->heap_lock);
    return page;
}

uint32_t mf2_heap_take(struct mf2_state *state, uint32_t count, bool *zeroed, bool *recycled) {
    uint32_t page = take_once(state, count, recycled);
    if (!page && cache_flush(state))
        page = take_once(state, count, recycled);
    *zeroed = !*recycled;
    return page;
}

void mf2_heap_cache(struct mf2_state *state, uint32_t page) {
    mf2_lock(&state->heap_lock);
    state->pages[page].state = MF2_PAGE_POOLED;
    state->pages[page].list_next = state->pool_head;
    state->pool_head = page;
    state->pool_count++;
    mf2_unlock(&state->heap_lock);
}

void mf2_heap_give(struct mf2_state *state, uint32_t page, uint32_t count) {
    mf2_purge(state, page, count);
    mf2_lock(&state->heap_lock);
    state->held_pages -= count;
    run_insert(state, page, count);
    mf2_unlock(&state->heap_lock);
}
