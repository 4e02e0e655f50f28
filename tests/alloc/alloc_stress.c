// A randomised stress of MF2 on real threads, with content checks.
//
// Every block carries its size and a pattern in its first and last bytes; half of the blocks
// change hands through a shared table, so that they are freed by other threads, some of them after
// their allocating thread has ended. A round ends with all its threads; the next round's threads
// find what is left. At the end everything is freed and MF2's own check walks every page.
//
// With --naps threads stop now and then, long enough to be taken for asleep where the route's
// purge_ns is short; their fronts are then emptied under their hands, and they wake in the middle.
//
//   alloc_stress [--operations=N per round] [--threads=N] [--rounds=N] [--seed=N] [--naps=us]
#include "mf2.h"
#include "platform.h"
#include "state.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN_SLOTS    512
#define SHARED_SLOTS 4096

struct block {
    uint64_t size, pattern;
};

static _Atomic(unsigned char *) shared[SHARED_SLOTS];

static uint64_t option(int argc, char **argv, const char *name, uint64_t fallback) {
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=')
            return strtoull(argv[i] + length + 1, NULL, 10);
    return fallback;
}

static uint64_t next_random(uint64_t *state) { // splitmix64, S. Vigna
    uint64_t z = (*state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static void fail(const char *what, const void *block) {
    fprintf(stderr, "alloc_stress: %s at %p\n", what, block);
    abort();
}

static size_t some_size(uint64_t random) {
    switch (random % 16) {
    case 0:
        return sizeof(struct block) + random / 16 % 200000; // large ones among them
    case 1:
    case 2:
    case 3:
        return sizeof(struct block) + random / 16 % 33000;
    default:
        return sizeof(struct block) + random / 16 % 2000;
    }
}

static void stamp(unsigned char *block, size_t size, uint64_t random) {
    struct block head = {size, random};
    memcpy(block, &head, sizeof head);
    if (size >= sizeof head + 8)
        memcpy(block + size - 8, &random, 8);
}

static size_t check(const unsigned char *block) {
    struct block head;
    memcpy(&head, block, sizeof head);
    if (mf2_usable_size(block) < head.size)
        fail("a block is smaller than was asked for", block);
    if (head.size >= sizeof head + 8 && memcmp(block + head.size - 8, &head.pattern, 8) != 0)
        fail("a block's end was overwritten", block);
    return head.size;
}

static void give_back(unsigned char *block) {
    size_t size = check(block);
    memset(block, 0xDD, size < 256 ? size : 256);
    mf2_free(block);
}

static void is_zero(const unsigned char *block, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (block[i])
            fail("calloc returned a block that is not zero", block);
}

static unsigned char *allocate(uint64_t *random) {
    size_t size = some_size(next_random(random));
    uint64_t how = next_random(random) % 16;
    unsigned char *block;
    if (how == 0) {
        size_t alignment = (size_t)32 << next_random(random) % 10;
        block = mf2_aligned_alloc(alignment, size);
        if ((uintptr_t)block % alignment != 0)
            fail("an aligned block is not aligned", block);
    } else if (how == 1) {
        block = mf2_calloc(1, size);
        if (block)
            is_zero(block, size);
    } else {
        block = mf2_malloc(size);
    }
    if (!block)
        fail("out of memory", NULL);
    stamp(block, size, next_random(random));
    return block;
}

static unsigned char *resize(unsigned char *block, uint64_t *random) {
    size_t before = check(block);
    size_t size = some_size(next_random(random));
    struct block head;
    memcpy(&head, block, sizeof head);
    unsigned char *moved = mf2_realloc(block, size);
    if (!moved)
        fail("out of memory", NULL);
    struct block found;
    memcpy(&found, moved, sizeof found);
    if (found.size != before || found.pattern != head.pattern)
        fail("realloc lost a block's content", moved);
    stamp(moved, size, next_random(random));
    return moved;
}

struct work {
    uint64_t seed, operations, nap_us;
};

static void *worker(void *argument) {
    struct work *work = argument;
    uint64_t random = work->seed;
    unsigned char *own[OWN_SLOTS] = {0};
    for (uint64_t i = 0; i < work->operations; i++) {
        uint64_t pick = next_random(&random);
        if (work->nap_us && pick % 128 == 127)
            usleep((useconds_t)(pick / 128 % work->nap_us));
        unsigned char **slot = &own[pick % OWN_SLOTS];
        if (!*slot)
            *slot = allocate(&random);
        else if (pick >> 32 & 1)
            *slot = atomic_exchange(&shared[(pick >> 33) % SHARED_SLOTS], *slot);
        else if ((pick >> 40) % 16 == 0)
            *slot = resize(*slot, &random);
        else {
            give_back(*slot);
            *slot = NULL;
        }
    }
    for (size_t i = 0; i < OWN_SLOTS; i++)
        if (own[i] && i % 2)
            own[i] = atomic_exchange(&shared[i], own[i]);
    for (size_t i = 0; i < OWN_SLOTS; i++)
        if (own[i])
            give_back(own[i]);
    mf2_thread_exit();
    return NULL;
}

// The helper gives back what all the threads have left, and then rests.
static void wait_for_helper(void) {
    while (mf2_load_acquire(&mf2_state()->helper_ticking))
        usleep(10000);
}

int main(int argc, char **argv) {
    uint64_t operations = option(argc, argv, "--operations", 1000000);
    uint64_t threads = option(argc, argv, "--threads", 4);
    uint64_t rounds = option(argc, argv, "--rounds", 4);
    uint64_t seed = option(argc, argv, "--seed", 1);
    uint64_t nap_us = option(argc, argv, "--naps", 0);
    for (uint64_t round = 0; round < rounds; round++) {
        pthread_t ids[64];
        struct work work[64];
        for (uint64_t t = 0; t < threads; t++) {
            work[t] = (struct work){seed * 1000003 + round * 64 + t, operations / threads, nap_us};
            if (pthread_create(&ids[t], NULL, worker, &work[t]) != 0)
                fail("pthread_create failed", NULL);
        }
        for (uint64_t t = 0; t < threads; t++)
            pthread_join(ids[t], NULL);
    }
    for (size_t i = 0; i < SHARED_SLOTS; i++)
        if (shared[i])
            give_back(shared[i]);
    wait_for_helper();
    struct mf2_counters sum;
    mf2_counters_sum(mf2_state(), &sum);
    // s3's drains pages as well, and may still be at it; on every other route all is quiet now.
    const char *wrong = mf2_state()->route.helper ? NULL : mf2_check(mf2_state());
    if (wrong)
        fail(wrong, NULL);
    if (sum.remote_frees == 0 && sum.orphans_reclaimed == 0)
        fail("no block was freed by another thread: the test tests nothing", NULL);
    if (nap_us && sum.fronts_emptied < threads)
        fail("no thread was taken for asleep: the test tests nothing", NULL);
    printf("new pages %llu, held %u, remote frees %llu, owner changes %llu\n",
           (unsigned long long)sum.new_page_count, mf2_load_relaxed(&mf2_state()->held_pages),
           (unsigned long long)sum.remote_frees, (unsigned long long)sum.owner_changes);
    return 0;
}
