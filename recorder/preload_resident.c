// preload_resident.c: how much of a block was ever used: its resident pages, just before it is
// given up.
//
// Owns: choosing the frees at which a block is looked at (at random, one in ring_session's
// resident_every whatever the size), and the system call (mincore). That call is made before the
// event of the free begins, in the one free chosen; how often, and how long it took, is counted.
//
// Only pages that lie wholly inside the block are its own; blocks without any make no record.
//
// Threads: any, at any level; the countdown is the thread's.
#include "libhakrec.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE_BYTES = 4096,
    LOOK_PAGES = 1024, // by one call
    LOOKS_MAX = 16,    // of a larger block parts that are spread evenly
};

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// From 1 to 2 × every − 1, each as likely: no rhythm of the program's can hide from that.
static uint32_t gap_next(uint32_t every) {
    uint32_t random = rec_thread.resident_random;
    if (random == 0)
        random = (uint32_t)((uintptr_t)&rec_thread >> 4) | 1;
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    rec_thread.resident_random = random;
    return 1 + random % (2 * every - 1);
}

struct pages {
    uint64_t looked_at, found;
};

// False: the kernel does not tell.
static bool pages_look(uintptr_t address, size_t count, struct pages *pages) {
    unsigned char there[LOOK_PAGES];
    atomic_fetch_add_explicit(&rec_session->resident_calls, 1, memory_order_relaxed);
    if (rec_raw(SYS_mincore, (long)address, (long)(count * PAGE_BYTES), (long)there, 0, 0, 0) != 0)
        return false;
    pages->looked_at += count;
    for (size_t i = 0; i < count; i++)
        pages->found += there[i] & 1;
    return true;
}

static bool block_look(uintptr_t begin, uintptr_t end, struct pages *pages) {
    size_t count = (end - begin) / PAGE_BYTES;
    if (count > LOOK_PAGES * LOOKS_MAX) {
        for (size_t i = 0; i < LOOKS_MAX; i++) {
            size_t page = (count - LOOK_PAGES) / (LOOKS_MAX - 1) * i;
            if (!pages_look(begin + page * PAGE_BYTES, LOOK_PAGES, pages))
                return false;
        }
        return true;
    }
    for (size_t page = 0; page < count; page += LOOK_PAGES) {
        size_t left = count - page;
        if (!pages_look(begin + page * PAGE_BYTES, left < LOOK_PAGES ? left : LOOK_PAGES, pages))
            return false;
    }
    return true;
}

// The block's end as the allocator counts it.
static uintptr_t end_of(struct rec_level *level, const void *block) {
    level->phase = REC_PHASE_REAL;
    size_t bytes = rec_real.malloc_usable_size((void *)(uintptr_t)block);
    level->phase = REC_PHASE_RECORD;
    return (uintptr_t)block + bytes;
}

__attribute__((noinline)) void rec_resident_look(struct rec_level *level, const void *block) {
    uint32_t every = rec_session->resident_every;
    rec_thread.resident_in = every == 0 ? UINT32_MAX : gap_next(every);
    if (every == 0 || block == NULL || !rec_real_tells_size || rec_is_sandboxed())
        return;
    uintptr_t begin = ((uintptr_t)block + PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1);
    uintptr_t end = end_of(level, block) & ~(uintptr_t)(PAGE_BYTES - 1);
    struct pages pages = {0, 0};
    if (begin >= end)
        return;
    int saved_errno = errno;
    uint64_t begin_ns = now_ns();
    if (block_look(begin, end, &pages) && rec_level_reserve(level, 2))
        rec_publish(level, RING_OP_RESIDENT, 0, (uint64_t)block, pages.looked_at, pages.found, 0);
    atomic_fetch_add_explicit(&rec_session->resident_ns, now_ns() - begin_ns, memory_order_relaxed);
    errno = saved_errno;
}
