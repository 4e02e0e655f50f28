// real_host.c: see real_host.h. Threads are detached and counted, because a workload's thread may
// create a successor and end before it: nobody is there to join it.
#include "real_host.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

struct start {
    struct real_host *host;
    workload_body *body;
    void *argument;
    uint32_t number;
};

struct real_host {
    struct workload_host interface;
    pthread_mutex_t lock; // guards running
    pthread_cond_t none_running;
    uint64_t running;
    atomic_uint spawned;
    uint64_t thread_limit;
    bool pinned;
    int cores[CPU_SETSIZE];
    int core_count;
    struct start *starts; // one per thread ever
    sem_t *semaphores;
};

static _Thread_local uint32_t thread_number;

static bool allocate(void *self, size_t bytes, struct workload_block *block) {
    (void)self;
    *block = (struct workload_block){malloc(bytes), 0, (uint32_t)bytes, thread_number};
    return block->address != NULL;
}

static void release(void *self, struct workload_block *block) {
    (void)self;
    free(block->address);
    block->address = NULL;
}

static void write_two_bytes(void *self, struct workload_block *block) {
    (void)self;
    volatile char *bytes = block->address;
    bytes[0] = 'a';
    if (block->bytes > 1)
        bytes[1] = 'b';
}

static void *start_thread(void *argument) {
    struct start *start = argument;
    struct real_host *host = start->host;
    thread_number = start->number;
    start->body(start->argument);
    pthread_mutex_lock(&host->lock);
    if (--host->running == 0)
        pthread_cond_signal(&host->none_running);
    pthread_mutex_unlock(&host->lock);
    return NULL;
}

// A thread's core, from its beginning on.
static void choose_core(const struct real_host *host, uint32_t number, pthread_attr_t *attributes) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(host->cores[number % (uint32_t)host->core_count], &only);
    pthread_attr_setaffinity_np(attributes, sizeof only, &only);
}

static bool spawn(void *self, workload_body *body, void *argument) {
    struct real_host *host = self;
    uint32_t number = atomic_fetch_add(&host->spawned, 1);
    if (number >= host->thread_limit)
        return false;
    host->starts[number] = (struct start){host, body, argument, number};
    pthread_mutex_lock(&host->lock);
    host->running++;
    pthread_mutex_unlock(&host->lock);
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (host->pinned)
        choose_core(host, number, &attributes);
    bool created = pthread_create(&thread, &attributes, start_thread, &host->starts[number]) == 0;
    pthread_attr_destroy(&attributes);
    if (created)
        return true;
    pthread_mutex_lock(&host->lock);
    host->running--;
    pthread_mutex_unlock(&host->lock);
    return false;
}

static uint32_t thread(void *self) {
    (void)self;
    return thread_number;
}

static void set(void *self, uint32_t semaphore, uint64_t units) {
    struct real_host *host = self;
    sem_init(&host->semaphores[semaphore], 0, (unsigned)units);
}

static void wait_unit(void *self, uint32_t semaphore) {
    struct real_host *host = self;
    while (sem_wait(&host->semaphores[semaphore]) != 0)
        continue; // interrupted by a signal
}

static void post(void *self, uint32_t semaphore) {
    struct real_host *host = self;
    sem_post(&host->semaphores[semaphore]);
}

static void receive(void *self, uint32_t from, size_t bytes) {
    (void)self;
    (void)from;
    (void)bytes; // the memory's own price
}

static void think(void *self) {
    (void)self; // it has taken its time
}

struct real_host *real_host_create(uint64_t threads, uint64_t semaphores) {
    struct real_host *host = calloc(1, sizeof *host);
    struct start *starts = calloc(threads, sizeof *starts);
    sem_t *units = calloc(semaphores, sizeof *units);
    if (!host || !starts || !units) {
        free(host);
        free(starts);
        free(units);
        return NULL;
    }
    host->interface =
        (struct workload_host){host, allocate,  release, write_two_bytes, spawn,  thread,
                               set,  wait_unit, post,    think,           receive};
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->none_running, NULL);
    atomic_init(&host->spawned, 1); // thread 0 is the caller
    host->thread_limit = threads;
    host->starts = starts;
    host->semaphores = units;
    return host;
}

void real_host_destroy(struct real_host *host) {
    pthread_mutex_destroy(&host->lock);
    pthread_cond_destroy(&host->none_running);
    free(host->starts);
    free(host->semaphores);
    free(host);
}

const struct workload_host *real_host_interface(const struct real_host *host) {
    return &host->interface;
}

void real_host_pin(struct real_host *host) {
    cpu_set_t all, first;
    CPU_ZERO(&first);
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &all))
            host->cores[host->core_count++] = core;
    CPU_SET(host->cores[0], &first);
    sched_setaffinity(0, sizeof first, &first);
    host->pinned = host->core_count > 0;
}

void real_host_run(struct real_host *host, workload_body *body, void *argument) {
    thread_number = 0;
    body(argument);
    pthread_mutex_lock(&host->lock);
    while (host->running)
        pthread_cond_wait(&host->none_running, &host->lock);
    pthread_mutex_unlock(&host->lock);
}
