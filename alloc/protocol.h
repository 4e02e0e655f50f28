// protocol.h: how a page's remote frees, its hold and its pending mark are represented, behind the
// few functions that the rest of MF2 calls. Two representations, chosen by the route at start-up:
//
//   protocol_counted.c  the seed's: a stack head, remote_count and in_remote_pending, apart
//   protocol_word.c     one word {count, head, held, pending} that is changed whole
//
// Words: to *claim* a shared page is to become its holder; to *take* is to detach its whole remote
// stack; the *mark* says that the page is on a pending queue or orphan stack, or that somebody is
// about to put it there. Who gets a notice with MF2_NOTICE_QUEUE has set the mark and must queue
// the page.
//
// Contract, in either representation:
//   - only the holder may take, except that a route without `claim` takes first and claims after;
//   - a claim succeeds only on a shared page, and for one thread;
//   - a remote free is on the stack before its notice is decided, so that whoever clears the mark
//     before taking leaves no free unannounced (counts ≥ notify).
#ifndef MF2_PROTOCOL_H
#define MF2_PROTOCOL_H

#include "state.h"

// EMPTIED: every block of the shared page that was in use is now on its remote stack. Given once
// for each time that the page bears it; the taker of the stack counts it down again.
enum mf2_notice { MF2_NOTICE_NONE = 0, MF2_NOTICE_QUEUE = 1, MF2_NOTICE_EMPTIED = 2 };

// A detached remote stack. first = MF2_UNIT_NONE where it is empty.
struct mf2_chain {
    uint16_t first, last;
    uint32_t count;
};

#define MF2_PROTOCOL_FUNCTIONS(prefix)                                                             \
    void prefix##_format(struct MidPage *page, uint32_t slot);                                     \
    unsigned prefix##_push(struct mf2_state *state, struct MidPage *page, struct mf2_chain chain,  \
                           bool quiet);                                                            \
    struct mf2_chain prefix##_take(struct mf2_state *state, struct MidPage *page);                 \
    bool prefix##_claim(struct MidPage *page, uint32_t slot);                                      \
    unsigned prefix##_release(struct mf2_state *state, struct MidPage *page);                      \
    bool prefix##_mark(struct MidPage *page);                                                      \
    void prefix##_unmark(struct MidPage *page);                                                    \
    uint32_t prefix##_remotes(struct MidPage *page);                                               \
    uint32_t prefix##_remotes_unmarked(struct MidPage *page);
MF2_PROTOCOL_FUNCTIONS(mf2_counted)
MF2_PROTOCOL_FUNCTIONS(mf2_word)
// Whether a shared page's blocks are all free; a hint. Protocol `word` alone knows.
bool mf2_word_emptied(struct MidPage *page);

// What the helper finds when it looks at a page; protocol `word` alone knows.
enum mf2_alone {
    MF2_IN_USE,     // held, or claimed or freed into since the last look
    MF2_LEFT_ALONE, // neither
    MF2_HOLLOW      // its free blocks have no memory, and none was freed since
};
enum mf2_alone mf2_word_look(struct MidPage *page);
// Said by the holder.
void mf2_word_set_hollow(struct MidPage *page);

#define MF2_BY_PROTOCOL(state, call)                                                               \
    ((state)->route.protocol == MF2_PROTOCOL_WORD ? mf2_word_##call : mf2_counted_##call)

// A fresh page becomes held by `slot`, without remote frees.
static inline void mf2_protocol_format(struct mf2_state *state, struct MidPage *page,
                                       uint32_t slot) {
    MF2_BY_PROTOCOL(state, format(page, slot));
}
// Blocks are freed by a thread that does not hold the page. quiet: nobody is told. Returns notices.
static inline unsigned mf2_protocol_push(struct mf2_state *state, struct MidPage *page,
                                         struct mf2_chain chain, bool quiet) {
    return MF2_BY_PROTOCOL(state, push(state, page, chain, quiet));
}
static inline struct mf2_chain mf2_protocol_take(struct mf2_state *state, struct MidPage *page) {
    return MF2_BY_PROTOCOL(state, take(state, page));
}
static inline bool mf2_protocol_claim(struct mf2_state *state, struct MidPage *page,
                                      uint32_t slot) {
    return MF2_BY_PROTOCOL(state, claim(page, slot));
}
// The holder gives the page up. With full=home pushes announce themselves whether a page is held or
// not, so that nothing can have been missed meanwhile; with full=shared the release does it for
// those that came while the page was held.
static inline unsigned mf2_protocol_release(struct mf2_state *state, struct MidPage *page) {
    return MF2_BY_PROTOCOL(state, release(state, page));
}
// Sets the mark; true if it was not set.
static inline bool mf2_protocol_mark(struct mf2_state *state, struct MidPage *page) {
    return MF2_BY_PROTOCOL(state, mark(page));
}
// Clears the mark, by who has just popped the page and before it takes.
static inline void mf2_protocol_unmark(struct mf2_state *state, struct MidPage *page) {
    MF2_BY_PROTOCOL(state, unmark(page));
}
// Remote frees right now; a hint unless the caller holds the page and nobody frees.
static inline uint32_t mf2_protocol_remotes(struct mf2_state *state, struct MidPage *page) {
    return MF2_BY_PROTOCOL(state, remotes(page));
}
// The same by who has just cleared the mark: a push that is not counted here sees it cleared.
static inline uint32_t mf2_protocol_remotes_unmarked(struct mf2_state *state,
                                                     struct MidPage *page) {
    return MF2_BY_PROTOCOL(state, remotes_unmarked(page));
}

#endif
