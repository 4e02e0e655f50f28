// views.h: memory as C11 has it, as far as this machine models it: what a thread may still read,
// and what is ordered before what. Private to world/; nothing here picks or switches.
//
// Words
//   location   an atomic of MF2, named by its offset. Its stores are numbered from 0, in the order
//              in which they were done; 0 is what it held when the run began
//   view       by location the oldest store that its owner may still read, and by fiber how much of
//              its doing is ordered before the owner's (a vector clock)
//   message    the view that a store carries for who reads it with acquire
//
// The model is that of release, acquire and relaxed accesses and of seq_cst fences, by views: J.
// Kang et al., "A promising semantics for relaxed-memory concurrency", POPL 2017, without promises:
// a load never reads a store that is yet to be done. A read-modify-write reads the newest store,
// and carries on the message of that. A location remembers its last WORLD_VIEW_STORES stores; a
// store becomes the newest of its location at once.
//
// Races: two accesses to one plain place, one of them a write, that no view orders (C. Flanagan, S.
// Freund, "FastTrack", PLDI 2009).
#ifndef HAK_VIEWS_H
#define HAK_VIEWS_H

#include "platform.h"

struct world;
struct fiber;

#define WORLD_VIEW_STORES 8
#define WORLD_VIEW_LOCATIONS                                                                       \
    1024 // of one world, in all its runs; further ones show the newest only

bool world_views_create(struct world *world);
void world_views_destroy(struct world *world);
void world_views_reset(struct world *world);

// The fiber that runs does the access. A load returns what it reads `age` stores before the newest.
uint64_t world_views_load(struct world *world, const void *address, unsigned bytes, uint32_t age,
                          const struct mf2_site *site);
void world_views_store(struct world *world, void *address, unsigned bytes, uint64_t value,
                       const struct mf2_site *site);
// `after` has been computed from the newest store.
void world_views_rmw(struct world *world, void *address, unsigned bytes, uint64_t after,
                     const struct mf2_site *site);
void world_views_fence(struct world *world, const struct mf2_site *site);
// A seq_cst fence of every fiber.
void world_views_fence_all(struct world *world, const struct mf2_site *site);
void world_views_plain(struct world *world, const void *address, bool writes,
                       const struct mf2_site *site);

// The value of that store. 0 where the location is none of those remembered.
uint64_t world_views_value(struct world *world, const void *address, uint32_t age);

// How many stores before the newest that fiber's load of this address may read.
uint32_t world_views_ages(struct world *world, uint32_t fiber, uint64_t offset);

// What fiber `from` has done so far is ordered before what `to` does next.
void world_views_order(struct world *world, uint32_t from, uint32_t to);
// The same by way of a block, which the one gives and the other gets.
void world_views_give(struct world *world, const void *block);
void world_views_get(struct world *world, const void *block);

#endif
