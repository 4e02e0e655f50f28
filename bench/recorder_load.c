// recorder_load.c: what bench/recorder measures in one process: `hakrecload calls|storm|live N`.
//
// Owns: three loads. `calls` prints processor time per malloc and per free apart, below a stack of
// 12 frames; `storm` is 8 threads that allocate and free below stacks of 8 to 24 frames; `live`
// replaces blocks of a million at random, N times. Threads: as each says.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCKS = 1000, THREADS = 8 };

static long rounds;

static double thread_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

static double malloc_ns, free_ns;

static void calls_round(void) {
    static void *blocks[BLOCKS];
    double begin = thread_ns();
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(64);
    double middle = thread_ns();
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    malloc_ns += middle - begin;
    free_ns += thread_ns() - middle;
}

// `path`: which of two places each frame calls from.
__attribute__((noipa)) static void *below(int depth, uint64_t path) {
    void *volatile block;
    if (depth == 0)
        block = malloc(16 + (path & 255));
    else if (path & 1)
        block = below(depth - 1, path >> 1);
    else
        block = below(depth - 1, path >> 1);
    return block;
}

__attribute__((noipa)) static void calls_below(int depth) {
    if (depth > 0) {
        calls_below(depth - 1);
        __asm__ volatile("");
        return;
    }
    for (long i = 0; i < rounds; i++)
        calls_round();
}

static void *storm_thread(void *seed) {
    void *live[256] = {NULL};
    uint64_t random = 88172645463325252u + (uintptr_t)seed;
    for (long i = 0; i < rounds; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        void **slot = &live[random & 255];
        free(*slot);
        *slot = below(8 + (int)(random >> 8 & 15), random >> 12 & 63);
    }
    for (int i = 0; i < 256; i++)
        free(live[i]);
    return NULL;
}

static void live_blocks(void) {
    enum { LIVE = 1000000 };
    static void *live[LIVE];
    uint64_t random = 88172645463325252u;
    for (long i = 0; i < LIVE + rounds; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        void **slot = &live[i < LIVE ? (uint64_t)i : random % LIVE];
        free(*slot);
        *slot = malloc(16 + (random >> 32 & 255));
    }
}

int main(int count, char **arguments) {
    if (count != 3)
        return 2;
    rounds = strtol(arguments[2], NULL, 10);
    if (strcmp(arguments[1], "calls") == 0) {
        calls_below(10);
        printf("%.2f %.2f\n", malloc_ns / (double)(rounds * BLOCKS),
               free_ns / (double)(rounds * BLOCKS));
        return 0;
    }
    if (strcmp(arguments[1], "live") == 0) {
        live_blocks();
        return 0;
    }
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, storm_thread, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
