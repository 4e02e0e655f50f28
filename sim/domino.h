// domino.h: the seed's story, found in a run: page X of A is adopted by C, and A takes a fresh
// page.
//
// Owns: what is a theft, a link and a chain, and finding them in what a run did, operation by
// operation. Does not know: workloads, costs, printing. Reads MF2's state, changes nothing.
//
// Words
//   fresh    a page that a thread formats: new (memory from the OS) or recycled
//   theft    a thread puts a page to work whose owner until then was another thread, alive or
//            exited: adoption, whatever the route calls it. A page that belongs to nobody once it
//            is full (full=shared) counts as that of the thread that had it last: that one, too,
//            can no longer reuse it
//   link     a fresh page of the victim in the class of a theft, later than it: had the page still
//            been the victim's, it could have served. A theft accounts for at most one link, a
//            fresh page for at most one theft (first come, first served)
//   chain    links, each of which begins with the page that the link before made fresh:
//            X stolen → Y fresh, Y stolen → Z fresh, ...; its length is its number of links. All
//            its links are one victim's: the seed's vicious cycle
//
// Links are the most that adoption can have cost the victims. That the thief would have needed a
// fresh page without the stolen one is the other side: `thefts` are the fresh pages that adoption
// spared somebody. Their difference, not the links alone, is what it does to the sum.
//
// Steady state: the series of fresh pages per equal share of the operations is cut by MSER-5 (White
// 1997): of all beginnings up to half, the one without which the mean of the rest is known best.
#ifndef SIM_DOMINO_H
#define SIM_DOMINO_H

#include "program.h"

struct sim_domino;

struct sim_domino_link {
    uint64_t mapped_ns, freed_ns, stolen_ns, fresh_ns; // freed: first remote free since it was had
    uint64_t remote_frees;                             // of X, up to the theft
    uint32_t stolen_page, fresh_page;
    uint32_t victim, thief, freer; // threads; freer: of the first remote free
    uint32_t block_bytes, page_bytes;
    uint32_t parent; // the link that made stolen_page fresh; SIM_DOMINO_NO_LINK
    uint32_t length; // of the chain up to here
};
#define SIM_DOMINO_NO_LINK UINT32_MAX

struct sim_domino_rate { // per million operations
    double fresh, thefts, links;
};

struct sim_domino_totals {
    uint64_t new_pages, recycled_pages;     // as MF2 counts them, in pages of the geometry
    uint64_t fresh;                         // pages formatted: fewer, where some are of several
    uint64_t thefts_running, thefts_exited; // by what the victim was
    uint64_t links;
    uint64_t chains; // links that no other follows
    uint64_t longest;
    uint64_t victims, thieves; // threads
    uint64_t links_of_worst;   // most links of one victim
    uint64_t operations, transient_operations;
    struct sim_domino_rate transient, steady;
};

// NULL: no memory. `world` must outlive it.
struct sim_domino *sim_domino_new(struct world *world);
void sim_domino_free(struct sim_domino *domino);
// For program_options.on_done; self is the domino.
void sim_domino_on_done(void *self, struct world *world, const struct program_done *done);
// The run has no memory for it: its figures are worth nothing.
bool sim_domino_out_of_memory(const struct sim_domino *domino);

void sim_domino_totals(const struct sim_domino *domino, struct sim_domino_totals *totals);
// Links in order of their fresh pages; their number. Valid until the next operation.
size_t sim_domino_links(const struct sim_domino *domino, const struct sim_domino_link **links);
// The `count` longest chains, longest first, then first found. Fills ends[] with each one's last
// link; returns how many there are.
size_t sim_domino_longest(const struct sim_domino *domino, uint32_t *ends, size_t count);

struct sim_domino_thread {
    uint64_t fresh, thefts_from_it, thefts_by_it, links;
};
// By thread number; their number.
size_t sim_domino_threads(const struct sim_domino *domino, const struct sim_domino_thread **list);

// The named method by itself: how many values of the series are the transient.
size_t sim_mser5(const double *values, size_t count);

#endif
