// real_thread_churn.c: threads in a row, each of which allocates, hands on and ends; resident
// memory stays bounded, whether the next thread, main, or a thread that never allocates frees.
//
//   real_thread_churn [--threads=N] [--bound-kib=N]
#include "real_test.h"

#include <pthread.h>

#define BLOCKS 64

static void *handed[BLOCKS];

// Frees what the thread before has left, and leaves as much.
static void *pass_on(void *argument) {
    (void)argument;
    for (size_t i = 0; i < BLOCKS; i++) {
        free(handed[i]);
        handed[i] = malloc(100 + i * 150);
        fill(handed[i], 100, (unsigned)i);
    }
    return NULL;
}

static void *only_allocate(void *argument) {
    (void)argument;
    for (size_t i = 0; i < BLOCKS; i++)
        handed[i] = malloc(100 + i * 150);
    return NULL;
}

static void *only_free(void *argument) {
    (void)argument;
    for (size_t i = 0; i < BLOCKS; i++) {
        free(handed[i]);
        handed[i] = NULL;
    }
    return NULL;
}

static void run(void *(*body)(void *)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, NULL) != 0) {
        perror("pthread_create");
        exit(2);
    }
    pthread_join(thread, NULL);
}

static void successors(uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        run(pass_on);
    only_free(NULL);
}

static void main_frees(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        run(only_allocate);
        only_free(NULL);
    }
}

static void free_only_threads(uint64_t count) {
    for (uint64_t i = 0; i < count; i += 2) {
        run(only_allocate);
        run(only_free);
    }
}

int main(int argc, char **argv) {
    require_library();
    uint64_t threads = argument(argc, argv, "--threads", 20000);
    uint64_t bound_kib = argument(argc, argv, "--bound-kib", 40000);
    static const struct {
        const char *name;
        void (*body)(uint64_t count);
    } parts[] = {{"successors", successors},
                 {"main frees", main_frees},
                 {"free-only threads", free_only_threads}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        parts[i].body(threads / 20);
        size_t warm = status_kib("VmRSS:");
        parts[i].body(threads / 3);
        size_t after = status_kib("VmRSS:");
        printf("%s: RSS %zu KiB after %llu threads, %zu KiB after %llu more\n", parts[i].name, warm,
               (unsigned long long)threads / 20, after, (unsigned long long)threads / 3);
        FACT(after < bound_kib);
        FACT(after < warm + warm / 4 + 4096);
    }
    return failures != 0;
}
