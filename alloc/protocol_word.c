// protocol_word.c: everything that several threads may change of a page is one word:
//
//    63    48 47 37   36      35     34        33       32     31    16 15       0
//   | in use | 0   | hollow | seen | emptied | pending | held | count | head unit |
//
// With full=shared a page that is put away says here how many of its blocks were in use, those on
// its remote stack among them; the free that makes `count` as many sets `emptied`, and who takes
// the stack clears it. orphan_empties counts the pages that bear it. While a page is held, and on
// other routes, the two fields mean nothing.
//
// A look of the helper leaves `seen` on pages that nobody holds; a free takes it away, and so does
// a claim, which ends `hollow` as well.
//
// A free sees in the same step whether the page is held or pending, so that no order of steps has
// to be argued. `holder` mirrors who holds it, for the fast path of free: only a thread itself
// ever writes its own slot there, so that finding it needs no ordering.
#include "internal.h"

#define WORD_COUNT_ONE (1ull << 16)
#define WORD_HELD      (1ull << 32)
#define WORD_PENDING   (1ull << 33)
#define WORD_EMPTIED   (1ull << 34)
#define WORD_SEEN      (1ull << 35)
#define WORD_HOLLOW    (1ull << 36)
#define WORD_USED_ONE  (1ull << 48)
#define WORD_EMPTY     ((uint64_t)MF2_UNIT_NONE)
#define WORD_STACK     0xFFFFFFFFull // count and head

static uint16_t word_head(uint64_t word) {
    return (uint16_t)word;
}
static uint32_t word_count(uint64_t word) {
    return (uint32_t)(word >> 16) & 0xFFFFu;
}

void mf2_word_format(struct MidPage *page, uint32_t slot) {
    mf2_store_relaxed(&page->holder, slot);
    // Releases the page as formatted to who marks it next: that may be a thread which popped it in
    // its former life, could not claim it, and is about to announce it again.
    mf2_store_release(&page->word, WORD_EMPTY | WORD_HELD);
}

// Remote frees at which a page is announced. Its capacity does not change while it is formatted,
// and who frees a block of it knows that it is.
static uint32_t announced_at(const struct mf2_state *state, const struct MidPage *page) {
    const struct mf2_route *route = &state->route;
    uint32_t part = route->notify_shift ? (uint32_t)page->capacity >> route->notify_shift : 0;
    return part > route->notify ? part : route->notify;
}

// With full=shared a page that is held is not announced: its holder looks when it gives it up.
static uint64_t not_announced(const struct mf2_state *state) {
    return state->route.full == MF2_FULL_SHARED ? WORD_PENDING | WORD_HELD : WORD_PENDING;
}

// The word of a page that is put away, with `emptied` if it is so now.
static uint64_t see_emptied(uint64_t word) {
    uint32_t used = (uint32_t)(word / WORD_USED_ONE);
    return word_count(word) == used ? word | WORD_EMPTIED : word;
}

static unsigned notice_of(uint64_t before, uint64_t after) {
    return after & ~before & WORD_EMPTIED ? MF2_NOTICE_EMPTIED : MF2_NOTICE_NONE;
}

unsigned mf2_word_push(struct mf2_state *state, struct MidPage *page, struct mf2_chain chain,
                       bool quiet) {
    uint32_t enough = announced_at(state, page);
    uint64_t silent = not_announced(state);
    bool shared = state->route.full == MF2_FULL_SHARED;
    uint64_t word = mf2_load_relaxed(&page->word);
    for (;;) {
        if (MF2_UNLIKELY(word_head(word) == chain.first))
            mf2_fail_at(state, "double free", mf2_page_block(state, page, chain.first));
        mf2_page_set_link(state, page, chain.last, word_head(word));
        uint32_t count = word_count(word) + chain.count;
        bool announce = !quiet && !(word & silent) && count >= enough;
        uint64_t next =
            (word & ~(WORD_STACK | WORD_SEEN)) | ((uint64_t)count * WORD_COUNT_ONE) | chain.first;
        if (announce)
            next |= WORD_PENDING;
        if (shared && !(word & WORD_HELD))
            next = see_emptied(next);
        unsigned notice = notice_of(word, next) | (announce ? MF2_NOTICE_QUEUE : 0);
        // Releases the links to the taker's CAS.
        bool pushed = mf2_cas_acq_rel(&page->word, &word, next);
        if (pushed)
            return notice;
    }
}

struct mf2_chain mf2_word_take(struct mf2_state *state, struct MidPage *page) {
    uint64_t word = mf2_load_relaxed(&page->word);
    while (word_head(word) != MF2_UNIT_NONE || (word & WORD_EMPTIED)) {
        // Acquires the links that the pushes released.
        bool taken =
            mf2_cas_acq_rel(&page->word, &word, (word & ~(WORD_STACK | WORD_EMPTIED)) | WORD_EMPTY);
        if (taken) {
            if (word & WORD_EMPTIED)
                mf2_page_not_emptied(state, page);
            break;
        }
    }
    struct mf2_chain chain = {word_head(word), word_head(word), word_count(word)};
    if (chain.first == MF2_UNIT_NONE || page->free == MF2_UNIT_NONE)
        return chain; // nothing will be linked behind it: its end need not be known
    for (uint16_t unit = chain.first; unit != MF2_UNIT_NONE;) {
        chain.last = unit;
        unit = mf2_page_link(state, page, unit);
    }
    return chain;
}

bool mf2_word_claim(struct MidPage *page, uint32_t slot) {
    uint64_t word = mf2_load_relaxed(&page->word);
    while (!(word & WORD_HELD)) {
        // Acquires the owner's line from the last holder's release.
        uint64_t next = (word | WORD_HELD) & ~(WORD_SEEN | WORD_HOLLOW);
        bool claimed = mf2_cas_acq_rel(&page->word, &word, next);
        if (claimed) {
            mf2_store_relaxed(&page->holder, slot);
            return true;
        }
    }
    return false;
}

unsigned mf2_word_release(struct mf2_state *state, struct MidPage *page) {
    mf2_store_relaxed(&page->holder, 0);
    if (state->route.full == MF2_FULL_HOME) {
        // Releases the owner's line to the next claim.
        mf2_fetch_and_acq_rel(&page->word, ~WORD_HELD);
        return MF2_NOTICE_NONE;
    }
    uint32_t enough = announced_at(state, page);
    uint64_t used = page->used;
    uint64_t word = mf2_load_relaxed(&page->word);
    for (;;) {
        bool announce = !(word & WORD_PENDING) && word_count(word) >= enough;
        uint64_t next = (word % WORD_USED_ONE & ~WORD_HELD) | used * WORD_USED_ONE;
        if (announce)
            next |= WORD_PENDING;
        next = see_emptied(next);
        unsigned notice = notice_of(word, next) | (announce ? MF2_NOTICE_QUEUE : 0);
        // As above; and whoever frees next finds the page shared.
        bool released = mf2_cas_acq_rel(&page->word, &word, next);
        if (released)
            return notice;
    }
}

bool mf2_word_mark(struct MidPage *page) {
    uint64_t before = mf2_fetch_or_acq_rel(&page->word, WORD_PENDING);
    return !(before & WORD_PENDING);
}

void mf2_word_unmark(struct MidPage *page) {
    mf2_fetch_and_acq_rel(&page->word, ~WORD_PENDING);
}

uint32_t mf2_word_remotes(struct MidPage *page) {
    uint64_t word = mf2_load_relaxed(&page->word);
    return word_count(word);
}

bool mf2_word_emptied(struct MidPage *page) {
    uint64_t word = mf2_load_relaxed(&page->word);
    return (word & WORD_EMPTIED) != 0;
}

static bool is_hollow(uint64_t word) {
    return (word & WORD_HOLLOW) && word_count(word) == 0;
}

enum mf2_alone mf2_word_look(struct MidPage *page) {
    uint64_t word = mf2_load_relaxed(&page->word);
    if (is_hollow(word))
        return MF2_HOLLOW;
    if (word & WORD_HELD)
        return MF2_IN_USE;
    if (word & WORD_SEEN)
        return MF2_LEFT_ALONE;
    // If it fails, somebody has changed the page just now.
    mf2_cas_acq_rel(&page->word, &word, word | WORD_SEEN);
    return MF2_IN_USE;
}

void mf2_word_set_hollow(struct MidPage *page) {
    mf2_fetch_or_acq_rel(&page->word, WORD_HOLLOW);
}

uint32_t mf2_word_remotes_unmarked(struct MidPage *page) {
    return mf2_word_remotes(page); // mark and count are one word: nothing to order
}
