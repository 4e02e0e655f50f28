// hakwake.c: how long a free waits for MF2's helper where its page's owner sleeps (Route S, phase
// 3), and what the helper's waiting costs. Runs on libmf2.so, preloaded, with the seed's geometry
// and a route that has helper=on.
//
//   hakwake [WAKES] [IDLE_SECONDS]
//
// One thread fills a page for each wake and sleeps. Another frees one block of a page, every two
// milliseconds, and reads the sum of MF2's helper_drains until it has grown; a look takes some
// microseconds, by which a time may be too long. Then nobody does anything for a while. Prints
// JSON: times in nanoseconds, processor seconds of the whole process.
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STATUS_FAILED  1
#define STATUS_USAGE   2
#define BLOCK_BYTES    2048
#define BLOCKS_A_PAGE  31 // of the seed's geometry
#define PAUSE_NS       2000000
#define GIVE_UP_NS     1000000000ull
#define WAKES_MAX      20000ul
#define IDLE_MAX       3600ul
#define JSON_BYTES_MAX 65536

typedef size_t stats_fn(char *buffer, size_t size);

struct owner {
    void **blocks; // the first of each page
    unsigned long pages;
    sem_t filled, end;
};

static uint64_t now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void pause_ns(uint64_t ns) {
    struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    nanosleep(&time, NULL);
}

static void *owner_main(void *argument) {
    struct owner *owner = argument;
    for (unsigned long page = 0; page < owner->pages; page++)
        for (int i = 0; i < BLOCKS_A_PAGE; i++) {
            void *block = malloc(BLOCK_BYTES);
            if (i == 0)
                owner->blocks[page] = block;
        }
    void *volatile one_more = malloc(BLOCK_BYTES); // the last page is not the active one then
    (void)one_more;
    sem_post(&owner->filled);
    sem_wait(&owner->end);
    return NULL;
}

// UINT64_MAX: there is no such counter.
static uint64_t drains(stats_fn *stats) {
    static char text[JSON_BYTES_MAX];
    stats(text, sizeof text);
    const char *found = strstr(text, "\"helper_drains\":");
    return found ? strtoull(found + strlen("\"helper_drains\":"), NULL, 10) : UINT64_MAX;
}

// How long it took until the helper had drained; 0: it did not, or before it was asked.
static uint64_t wake(stats_fn *stats, void *block) {
    uint64_t before = drains(stats), begin = now_ns(CLOCK_MONOTONIC);
    free(block);
    for (;;) {
        bool drained = drains(stats) != before;
        uint64_t ns = now_ns(CLOCK_MONOTONIC) - begin;
        if (drained)
            return ns;
        if (ns > GIVE_UP_NS)
            return 0;
    }
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    unsigned long wakes = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    unsigned long idle = argc > 2 ? strtoul(argv[2], NULL, 10) : 5;
    if (argc > 3 || wakes == 0 || wakes > WAKES_MAX || idle == 0 || idle > IDLE_MAX) {
        fprintf(stderr, "usage: hakwake [WAKES (1 to %lu)] [IDLE_SECONDS (1 to %lu)]\n", WAKES_MAX,
                IDLE_MAX);
        return STATUS_USAGE;
    }
    struct owner owner = {.pages = wakes};
    owner.blocks = calloc(wakes, sizeof *owner.blocks);
    uint64_t *times = calloc(wakes, sizeof *times);
    stats_fn *stats = (stats_fn *)dlsym(RTLD_DEFAULT, "mf2_stats_json");
    if (!stats || drains(stats) == UINT64_MAX) {
        fprintf(stderr, "hakwake: this is not on libmf2.so: preload it\n");
        return STATUS_FAILED;
    }
    pthread_t thread;
    sem_init(&owner.filled, 0, 0);
    sem_init(&owner.end, 0, 0);
    if (!owner.blocks || !times || pthread_create(&thread, NULL, owner_main, &owner) != 0) {
        fprintf(stderr, "hakwake: no memory or thread\n");
        return STATUS_FAILED;
    }
    sem_wait(&owner.filled);
    unsigned long missed = 0, done = 0;
    for (unsigned long i = 0; i < wakes && missed == 0; i++) {
        pause_ns(PAUSE_NS);
        uint64_t ns = owner.blocks[i] ? wake(stats, owner.blocks[i]) : 0;
        if (ns)
            times[done++] = ns;
        else
            missed++;
    }
    uint64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    pause_ns(idle * 1000000000u);
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    sem_post(&owner.end);
    pthread_join(thread, NULL);
    if (missed) {
        fprintf(stderr, "hakwake: no helper drained within a second: has the route helper=on, and "
                        "is the geometry the seed's?\n");
        return STATUS_FAILED;
    }
    qsort(times, done, sizeof *times, by_size);
    printf("{\"wakes\": %lu, \"p50_ns\": %llu, \"p99_ns\": %llu, \"max_ns\": %llu, "
           "\"idle_seconds\": %lu, \"idle_cpu_seconds\": %.6f}\n",
           done, (unsigned long long)times[done / 2], (unsigned long long)times[done * 99 / 100],
           (unsigned long long)times[done - 1], idle, (double)cpu / 1e9);
    return EXIT_SUCCESS;
}
