// real_thread_exit.c: threads end in any order, with destructors of thread-specific data that
// allocate and free, in every round of destructors; what they leave is freed by others, some of
// whom never allocate.
#include "real_test.h"

#include <limits.h>
#include <pthread.h>

#define THREADS 24
#define KEYS    40 // more than 32: setting one of the later keys allocates

static pthread_key_t keys[KEYS];
static pthread_key_t stubborn_key;

// Runs in the middle of the thread's other destructors: frees, and allocates anew.
static void allocate_and_free(void *value) {
    FACT(is_filled(value, 100, 1));
    free(value);
    void *late[20];
    for (size_t i = 0; i < 20; i++)
        late[i] = malloc(i * 300);
    for (size_t i = 0; i < 20; i++)
        free(late[i]);
}

// Comes back as often as the system allows, so that it also runs after everything else has gone.
static void come_back(void *value) {
    free(value);
    pthread_setspecific(stubborn_key, malloc(3000)); // the last one is lost: on purpose
}

struct task {
    pthread_t thread;
    unsigned order;
    void *left[50];
};

static pthread_barrier_t all_allocated;

static void *allocate_and_end(void *argument) {
    struct task *task = argument;
    for (size_t i = 0; i < 50; i++) {
        task->left[i] = malloc(1 + i * i * 17);
        fill(task->left[i], 1, task->order);
    }
    for (size_t i = 0; i < KEYS; i++) {
        void *value = malloc(100);
        fill(value, 100, 1);
        pthread_setspecific(keys[i], value);
    }
    pthread_setspecific(stubborn_key, malloc(10));
    pthread_barrier_wait(&all_allocated);
    for (unsigned i = 0; i < task->order * 200; i++) // ends in the order it was given
        sched_yield();
    return NULL;
}

static void *only_free(void *argument) {
    struct task *tasks = argument;
    for (size_t t = 0; t < THREADS; t += 2)
        for (size_t i = 0; i < 50; i++) {
            FACT(is_filled(tasks[t].left[i], 1, tasks[t].order));
            free(tasks[t].left[i]);
        }
    return NULL;
}

static void free_the_others(struct task *tasks) {
    for (size_t t = 1; t < THREADS; t += 2)
        for (size_t i = 0; i < 50; i++)
            free(tasks[t].left[i]);
}

static void one_round(unsigned round) {
    static struct task tasks[THREADS];
    pthread_t freer;
    pthread_barrier_init(&all_allocated, NULL, THREADS);
    for (unsigned t = 0; t < THREADS; t++) {
        tasks[t].order = (t * 7 + round * 5) % THREADS;
        FACT(pthread_create(&tasks[t].thread, NULL, allocate_and_end, &tasks[t]) == 0);
    }
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(tasks[t].thread, NULL);
    pthread_create(&freer, NULL, only_free, tasks);
    free_the_others(tasks);
    pthread_join(freer, NULL);
    pthread_barrier_destroy(&all_allocated);
}

static void *cancel_me(void *argument) {
    (void)argument;
    for (;;) {
        free(malloc(777));
        pthread_testcancel();
    }
    return NULL;
}

static void cancelled_threads(void) {
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, cancel_me, NULL);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        FACT(result == PTHREAD_CANCELED);
    }
}

int main(void) {
    require_library();
    for (size_t i = 0; i < KEYS; i++)
        FACT(pthread_key_create(&keys[i], allocate_and_free) == 0);
    FACT(pthread_key_create(&stubborn_key, come_back) == 0);
    for (unsigned round = 0; round < 10; round++)
        one_round(round);
    cancelled_threads();
    return failures != 0;
}
