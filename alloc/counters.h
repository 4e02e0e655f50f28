// counters.h: every counter of MF2, once. The table makes the struct, the JSON of results, the
// output of MF2_STATS and doc/counters.md.
//
// A counter is a plain uint64_t of one MF2_ThreadPages: written by its thread (or by whoever has
// claimed an exited thread's slot), read by others only when that thread does not run or where a
// torn sum is harmless. Threads without pages of their own count in the state's shared set,
// atomically.
#ifndef MF2_COUNTERS_H
#define MF2_COUNTERS_H

// X(name, unit, meaning)
// clang-format off
#define MF2_COUNTERS(X)                                                                          \
    X(slow_paths, "calls", "entries of mf2_alloc_slow")                                          \
    X(front_refills, "times", "empty fronts that got blocks from the depot or from pages")       \
    X(front_borrowed, "blocks", "blocks of a larger class, taken before a page for this one")    \
    X(front_spills, "times", "full fronts that gave their older half to the depot or to pages")  \
    X(depot_put, "batches", "batches of blocks that fronts put into the depot")                  \
    X(depot_taken, "batches", "batches that fronts took from it")                                \
    X(new_page_count, "pages", "pages whose memory came from the OS")                            \
    X(new_page_forced, "pages", "new pages made although the must-reuse gate was asked first")   \
    X(recycled_pages, "pages", "cached empty pages formatted again")                             \
    X(page_reuses, "pages", "pages with live blocks or pending frees put back to work")          \
    X(mustreuse_hit, "pages", "reuses from the thread's own pending queue by the gate")          \
    X(active_drain_hit, "times", "the active page had remote frees, which served the request")   \
    X(partial_hit, "pages", "reuses from the thread's own partial list")                         \
    X(drain_attempts, "times", "pages whose remote frees were to be taken")                      \
    X(drain_successes, "times", "drains that found at least one block")                          \
    X(drained_blocks, "blocks", "blocks taken from remote stacks")                               \
    X(pending_enqueued, "pages", "pages put on a pending queue")                                 \
    X(pending_drained, "pages", "pages taken from a pending queue and put to work")              \
    X(reenqueued, "pages", "pages put on a pending queue again after their drain")               \
    X(claim_failures, "times", "pages that somebody else held when they were to be claimed")     \
    X(adoption_allowed, "pages", "pages adopted from another thread's pending queue")            \
    X(adoption_blocked_rfr, "times", "adoptions refused inside the right of first refusal")      \
    X(adoption_blocked_idle, "times", "adoptions refused because the owner was not idle")        \
    X(adoption_blocked_partial, "times", "adoptions refused because the owner had partial pages")\
    X(adoption_blocked_pressure, "times", "adoptions refused for too few adoptable pages")       \
    X(adoption_blocked_remotes, "times", "adoptions refused for too few remote frees")           \
    X(owner_changes, "pages", "pages whose home thread changed, for whatever reason")            \
    X(orphans_adopted, "pages", "pages of exited owners taken over on the slow path")            \
    X(orphans_reaped, "pages", "orphans without a live block given up while looking for memory") \
    X(orphans_reclaimed, "pages", "pages of exited owners taken over by a thread that freed")    \
    X(remote_frees, "blocks", "frees that took the page's remote stack")                         \
    X(remote_owner_running, "blocks", "remote frees whose page's owner was running")             \
    X(remote_owner_idle, "blocks", "remote frees whose page's owner was idle")                   \
    X(remote_owner_exited, "blocks", "remote frees whose page's owner had exited")               \
    X(remote_no_owner, "blocks", "remote frees by a thread to a page of its own that it had put "\
                                 "away as full")                                                 \
    X(full_pages, "pages", "pages put away as full")                                             \
    X(empty_pages, "pages", "pages, other than active ones, that became empty")                  \
    X(pages_unmapped, "pages", "pages whose memory went back to the OS")                         \
    X(helper_wakes, "times", "wake-ups of the helper for an idle owner")                         \
    X(helper_drains, "pages", "pages of idle owners drained by the helper")                      \
    X(pages_hollowed, "pages", "pages whose free blocks' memory went back to the OS")            \
    X(fronts_emptied, "threads", "threads whose fronts the helper emptied while they slept")     \
    X(large_allocs, "blocks", "blocks of more than a page class holds")                          \
    X(large_frees, "blocks", "their frees")                                                      \
    X(large_new_pages, "pages", "pages that large blocks took from the OS")

// clang-format on

#include <stdint.h>

struct mf2_counters {
#define X(name, unit, meaning) uint64_t name;
    MF2_COUNTERS(X)
#undef X
};

// The table's rows, in the order of the struct's fields (route.c).
struct mf2_counter_info {
    const char *name, *unit, *meaning;
};
extern const struct mf2_counter_info mf2_counter_table[];
#define MF2_COUNTER_COUNT (sizeof(struct mf2_counters) / sizeof(uint64_t))

#endif
