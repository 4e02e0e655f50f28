// mf2.h: the public header of the allocator floor.
//
// Owns: MF2, a complete malloc whose policy is a route (route.h) and whose page geometry is data
// (geometry.h). Does not know whether it runs on the real OS or in a world that replays it: that
// is platform.h.
//
// Threads: every function may be called from any thread unless it says otherwise. In a virtual
// world "thread" is the running fiber.
// Errors: an allocation that cannot be served returns NULL; setting errno is the caller's
// (entry points in entry.c do it). A pointer that MF2 did not give out ends the process with one
// line.
#ifndef MF2_H
#define MF2_H

#include "counters.h"
#include "geometry.h"
#include "route.h"

struct mf2_state;
struct MF2_ThreadPages;

// ---------------------------------------------------------------- instance (state.c)

struct mf2_config {
    const struct mf2_geometry *geometry;
    struct mf2_route route;
    uint64_t arena_bytes;    // size of the reservation, a multiple of the page size
    uint32_t thread_limit;   // most threads with pages at one time, and ever when strand
    bool count_owner_states; // remote frees by owner state are counted
    bool without_helper;     // what it would purge, a free does
};

// Bytes of metadata at the arena's start that must be readable, writable and zero before mf2_init.
// 0 if the configuration is impossible (arena too small for its metadata and one page).
uint64_t mf2_metadata_bytes(const struct mf2_config *config);

// The part of it, from the arena's start on, that mf2_init and the first calls need. The rest the
// instance asks the platform for (mf2_back) when it comes to use it.
uint64_t mf2_metadata_bytes_at_once(const struct mf2_config *config);

// Makes an instance at `arena` (aligned to the page size). One thread, before any other call.
struct mf2_state *mf2_init(void *arena, const struct mf2_config *config);

// ---------------------------------------------------------------- malloc (alloc.c, free.c)

void *mf2_malloc(size_t bytes);
void *mf2_calloc(size_t count, size_t bytes);
// alignment: a power of two.
void *mf2_aligned_alloc(size_t alignment, size_t bytes);
// As C's realloc with bytes ≥ 1 and old ≠ NULL; on failure the old block is untouched.
void *mf2_realloc(void *old, size_t bytes);
void mf2_free(void *block);
size_t mf2_usable_size(const void *block);
// Gives all memory to the OS that the calling thread can reach and nobody uses; whether it was any.
bool mf2_trim(void);

// ---------------------------------------------------------------- threads (thread.c, helper.c)

// The calling thread ends: its held pages are given up as the route says. The thread may still
// free and even allocate afterwards (it then gets a slot anew, to be ended again).
void mf2_thread_exit(void);

// After fork, in the child: every other thread is gone. One thread.
void mf2_after_fork_child(void);
// Around fork, in the parent: no other thread is inside the heap or the slot table meanwhile.
void mf2_before_fork(void);
void mf2_after_fork_parent(void);

// The helper's body; returns when the world ends it (virtual) or never (real).
void mf2_helper_main(struct mf2_state *state);

// ---------------------------------------------------------------- looking in (census.c)

// Pages by what they are and, where they strand free blocks, by cause. Counted by walking every
// page: call it when no thread is inside MF2 (virtual: between points, any time; then pages in
// the middle of a transfer count by their present marks).
struct mf2_census {
    uint32_t held;                                                 // H
    uint32_t active, partial, full, pending, orphan, empty, large; // partition of H
    uint32_t stranded_owner_exited, stranded_owner_idle, stranded_full_forgotten;
    uint32_t stranded_below_threshold, stranded_pending_undrained;
    uint32_t stranded_in_use; // of the stranded, those with a block that is not free
    uint64_t free_blocks;     // blocks of formatted pages that the program does not hold
    uint64_t remote_blocks;   // of these, on remote stacks
};
// now_ns: against which owners are idle.
void mf2_census(struct mf2_state *state, uint64_t now_ns, struct mf2_census *census);

// Why one page, a head, strands free blocks: what the census counts it under. Same rules of use.
enum mf2_stranding {
    MF2_STRANDED_NOT,
    MF2_STRANDED_OWNER_EXITED,
    MF2_STRANDED_OWNER_IDLE,
    MF2_STRANDED_FULL_FORGOTTEN,
    MF2_STRANDED_BELOW_THRESHOLD,
    MF2_STRANDED_PENDING_UNDRAINED,
};
struct MidPage;
enum mf2_stranding mf2_page_stranding(struct mf2_state *state, const struct MidPage *page,
                                      uint64_t now_ns);

// Sums of all threads' counters and the shared ones.
void mf2_counters_sum(struct mf2_state *state, struct mf2_counters *sum);

// Calls visit for every block that is in a front or a batch. When no thread is inside MF2.
void mf2_front_each(struct mf2_state *state, void (*visit)(void *argument, void *block),
                    void *argument);

// Debug: walks everything and returns NULL, or a line that says which invariant is broken.
// When no thread is inside MF2.
const char *mf2_check(struct mf2_state *state);

#endif
