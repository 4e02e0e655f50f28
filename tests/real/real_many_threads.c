// real_many_threads.c: a thousand threads at once, all of which allocate before any of them ends;
// each frees blocks of its neighbour.
#include "real_test.h"

#include <pthread.h>

#define BLOCKS 20

static struct task {
    pthread_t thread;
    void *blocks[BLOCKS];
} * tasks;
static size_t thread_count;
static pthread_barrier_t barrier;

static size_t bytes_of(size_t task, size_t i) {
    return 1 + (task * 31 + i * 977) % 6000;
}

static void *body(void *argument) {
    size_t own = (size_t)(uintptr_t)argument, next = (own + 1) % thread_count;
    for (size_t i = 0; i < BLOCKS; i++) {
        tasks[own].blocks[i] = malloc(bytes_of(own, i));
        fill(tasks[own].blocks[i], bytes_of(own, i), (unsigned)own);
    }
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < BLOCKS; i++) {
        FACT(is_filled(tasks[next].blocks[i], bytes_of(next, i), (unsigned)next));
        free(tasks[next].blocks[i]);
    }
    return NULL;
}

int main(int argc, char **argv) {
    require_library();
    thread_count = argument(argc, argv, "--threads", 1000);
    tasks = calloc(thread_count, sizeof *tasks);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_barrier_init(&barrier, NULL, (unsigned)thread_count);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < thread_count; i++)
            if (pthread_create(&tasks[i].thread, &attributes, body, (void *)(uintptr_t)i) != 0) {
                fprintf(stderr, "skipped: this system does not run %zu threads\n", thread_count);
                return 77;
            }
        for (size_t i = 0; i < thread_count; i++)
            pthread_join(tasks[i].thread, NULL);
    }
    free(tasks);
    return failures != 0;
}
