// preload_thread.c: the life of threads and processes.
//
// Owns: THREAD_CREATE, START, EXIT, JOIN and FORK. Does not own: the ids' final numbers (the
// drainer makes them dense in the order of appearance).
//
// CREATE is published before the thread can run, START is its first event, EXIT comes in the last
// round of thread-specific destructors, after those of C++; what libc itself frees later still
// follows it. Which thread a join means is looked up before the join, while the handle cannot
// yet belong to a new thread.
//
// Threads: the tables are lock-free and static; nothing is allocated.
#include "libhakrec.h"

#include <dlfcn.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

// ---------------------------------------------------------------- handles

// Insert-only: a handle is an address that libc uses again, so there are about as many as there
// were threads at one time. The latest thread of a handle is the one meant.
struct handle_slot {
    _Atomic uint64_t handle; // 0 = free
    _Atomic uint64_t thread; // (session's number + 1) << 32 | raw id; only grows
};
enum { HANDLE_SLOTS = 1 << 16 };
static struct handle_slot handle_slots[HANDLE_SLOTS];

static struct handle_slot *handle_find(uint64_t handle, bool insert) {
    uint64_t hash = handle * 0x9e3779b97f4a7c15ull >> 48;
    for (unsigned probe = 0; probe < HANDLE_SLOTS; probe++) {
        struct handle_slot *slot = &handle_slots[(hash + probe) % HANDLE_SLOTS];
        uint64_t found = atomic_load(&slot->handle);
        if (found == 0 && insert && atomic_compare_exchange_strong(&slot->handle, &found, handle))
            return slot;
        if (found == handle)
            return slot;
        if (found == 0 && !insert)
            return NULL;
    }
    return NULL;
}

// Said by the thread and by its creator, whichever comes first; a creator that comes very late
// must not overrule the handle's next thread.
static void handle_set(uint64_t handle, uint32_t thread) {
    struct handle_slot *slot = handle_find(handle, true);
    uint64_t value = (uint64_t)(rec_session_number() + 1) << 32 | thread;
    uint64_t found = slot != NULL ? atomic_load(&slot->thread) : UINT64_MAX;
    while (found < value && !atomic_compare_exchange_weak(&slot->thread, &found, value))
        ;
}

static bool handle_get(uint64_t handle, uint32_t *thread) {
    struct handle_slot *slot = handle_find(handle, false);
    uint64_t value = slot != NULL ? atomic_load(&slot->thread) : 0;
    *thread = (uint32_t)value;
    return value >> 32 == rec_session_number() + 1;
}

// ---------------------------------------------------------------- launches

// What a new thread needs to know, until it has read it.
struct launch {
    _Atomic uint32_t used;
    uint32_t thread; // raw id
    void *(*start)(void *);
    thrd_start_t start_c11;
    void *argument;
};
enum { LAUNCH_COUNT = 1024 };
static struct launch launches[LAUNCH_COUNT];

static struct launch *launch_take(void) {
    for (unsigned i = 0; i < LAUNCH_COUNT; i++)
        if (atomic_exchange(&launches[i].used, 1) == 0)
            return &launches[i];
    struct launch *launch =
        mmap(NULL, sizeof *launch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return launch == MAP_FAILED ? NULL : launch;
}

static void launch_give_back(struct launch *launch) {
    if (launch >= launches && launch < launches + LAUNCH_COUNT)
        atomic_store(&launch->used, 0);
    else
        munmap(launch, sizeof *launch);
}

// In the parent, before the thread exists. NULL: not recorded.
static struct launch *launch_announce(void) {
    int saved_errno = errno;
    struct launch *launch = NULL;
    if (rec_begin(NULL)) {
        launch = launch_take();
        if (launch != NULL)
            launch->thread = atomic_fetch_add(&rec_session->thread_next, 1);
        rec_end();
    }
    if (launch != NULL)
        rec_event(TRACE_THREAD_CREATE, launch->thread, 0);
    errno = saved_errno;
    return launch;
}

// In the new thread, before anything else of it.
static void launch_arrive(const struct launch *launch) {
    if (*rec_gate == 0)
        return;
    rec_thread.id_plus_one = launch->thread + 1;
    handle_set((uint64_t)pthread_self(), launch->thread);
    rec_walk_thread_open(false);
    rec_event(TRACE_THREAD_START, 0, 0);
    rec_thread_watch_exit();
}

static void *thread_main(void *argument) {
    struct launch launch = *(struct launch *)argument;
    launch_give_back(argument);
    launch_arrive(&launch);
    return launch.start(launch.argument);
}

static int thread_main_c11(void *argument) {
    struct launch launch = *(struct launch *)argument;
    launch_give_back(argument);
    launch_arrive(&launch);
    return launch.start_c11(launch.argument);
}

// The thread may be over, and its launch another's, by the time that its creator gets here.
static void launch_done(struct launch *launch, uint32_t thread, bool created, uint64_t handle) {
    if (!created)
        launch_give_back(launch);
    else
        handle_set(handle, thread);
}

REC_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                              void *(*start)(void *), void *argument) {
    rec_real_need();
    struct launch *launch = launch_announce();
    if (launch == NULL)
        return rec_real.pthread_create(thread, attributes, start, argument);
    uint32_t id = launch->thread;
    launch->start = start;
    launch->argument = argument;
    int error = rec_real.pthread_create(thread, attributes, thread_main, launch);
    launch_done(launch, id, error == 0, error == 0 ? (uint64_t)*thread : 0);
    return error;
}

REC_EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *argument) {
    rec_real_need();
    struct launch *launch = launch_announce();
    if (launch == NULL)
        return rec_real.thrd_create(thread, start, argument);
    uint32_t id = launch->thread;
    launch->start_c11 = start;
    launch->argument = argument;
    int result = rec_real.thrd_create(thread, thread_main_c11, launch);
    launch_done(launch, id, result == thrd_success, result == thrd_success ? (uint64_t)*thread : 0);
    return result;
}

// ---------------------------------------------------------------- joins

static void join_record(bool known, uint32_t peer, bool joined) {
    int saved_errno = errno;
    if (known && joined)
        rec_event(TRACE_THREAD_JOIN, peer, 0);
    errno = saved_errno;
}

REC_EXPORT int pthread_join(pthread_t thread, void **result) {
    rec_real_need();
    uint32_t peer = 0;
    bool known = handle_get((uint64_t)thread, &peer);
    int error = rec_real.pthread_join(thread, result);
    join_record(known, peer, error == 0);
    return error;
}

REC_EXPORT int pthread_tryjoin_np(pthread_t thread, void **result) {
    rec_real_need();
    uint32_t peer = 0;
    bool known = handle_get((uint64_t)thread, &peer);
    int error = rec_real.pthread_tryjoin_np(thread, result);
    join_record(known, peer, error == 0);
    return error;
}

REC_EXPORT int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *until) {
    rec_real_need();
    uint32_t peer = 0;
    bool known = handle_get((uint64_t)thread, &peer);
    int error = rec_real.pthread_timedjoin_np(thread, result, until);
    join_record(known, peer, error == 0);
    return error;
}

REC_EXPORT int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
                                    const struct timespec *until) {
    rec_real_need();
    uint32_t peer = 0;
    bool known = handle_get((uint64_t)thread, &peer);
    int error = rec_real.pthread_clockjoin_np(thread, result, clock, until);
    join_record(known, peer, error == 0);
    return error;
}

REC_EXPORT int thrd_join(thrd_t thread, int *result) {
    rec_real_need();
    uint32_t peer = 0;
    bool known = handle_get((uint64_t)thread, &peer);
    int status = rec_real.thrd_join(thread, result);
    join_record(known, peer, status == thrd_success);
    return status;
}

// ---------------------------------------------------------------- ends

static pthread_key_t exit_key;
static bool exit_key_made;

// Destructors run in rounds until none is left, at most PTHREAD_DESTRUCTOR_ITERATIONS; staying
// until the last one puts the event after those of other keys.
static void exit_round(void *round) {
    if ((uintptr_t)round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        rec_own_begin();
        pthread_setspecific(exit_key, (void *)((uintptr_t)round + 1));
        rec_own_end();
        return;
    }
    if (*rec_gate == 0)
        return;
    rec_event(TRACE_THREAD_EXIT, 0, 0);
    rec_thread_retire();
}

void rec_thread_open(void) {
    exit_key_made = pthread_key_create(&exit_key, exit_round) == 0;
    rec_thread_watch_exit();
}

void rec_thread_watch_exit(void) {
    if (!exit_key_made)
        return;
    rec_own_begin();
    pthread_setspecific(exit_key, (void *)(uintptr_t)1);
    rec_own_end();
}

// ---------------------------------------------------------------- forks and unloading

// The child says nothing here: whatever its first event is opens its own session.
static pid_t fork_record(pid_t child) {
    int saved_errno = errno;
    if (child > 0)
        rec_event(TRACE_FORK, 0, (uint64_t)child);
    errno = saved_errno;
    return child;
}

REC_EXPORT pid_t fork(void) {
    rec_real_need();
    return fork_record(rec_real.fork());
}

REC_EXPORT pid_t _Fork(void) {
    rec_real_need();
    return fork_record(rec_real._Fork());
}

REC_EXPORT int dlclose(void *library) {
    rec_real_need();
    bool recorded = *rec_gate != 0;
    if (recorded)
        rec_module_unload_begin();
    int result = rec_real.dlclose(library);
    if (recorded)
        rec_module_unload_end();
    return result;
}
