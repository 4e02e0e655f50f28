// platform_real.c: platform.h for the real world: Linux, x86-64, glibc. Owns the arena's mapping
// and the only two mutable variables of alloc/: the instance, and each thread's pages.
//
// Nothing here allocates. System calls keep errno: malloc may set it, free must not.
#include "internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ARENA_BYTES_MAX    (1ull << 40) // address space, not memory
#define ARENA_BYTES_MIN    (1ull << 25)
#define THREAD_LIMIT       65536
#define THREAD_ARENA_BYTES (1u << 19) // of the arena, per thread that may have pages

// Before the first allocation: no arena, so that every pointer is foreign and every request takes
// the slow path.
static const struct mf2_state no_state;
_Atomic(struct mf2_state *) mf2_real_state = (struct mf2_state *)(uintptr_t)&no_state;
_Thread_local struct MF2_ThreadPages *mf2_real_self =
    (struct MF2_ThreadPages *)(uintptr_t)&mf2_no_thread;

static pthread_key_t exit_key;
static pthread_once_t start_once = PTHREAD_ONCE_INIT;

// ---------------------------------------------------------------- start

void mf2_print_line(const char *line) {
    ssize_t ignored = write(STDERR_FILENO, line, strlen(line));
    (void)ignored;
}

MF2_NORETURN static void die(const char *line) {
    mf2_print_line(line);
    abort();
}

// A small arena has room for fewer threads' pages.
static uint32_t threads_in(uint64_t arena_bytes) {
    uint64_t threads = arena_bytes / THREAD_ARENA_BYTES;
    return threads < THREAD_LIMIT ? (uint32_t)threads : THREAD_LIMIT;
}

// Reserves address space, as much as the process may have; only the metadata is made usable.
static void *reserve(struct mf2_config *config) {
    for (config->arena_bytes = ARENA_BYTES_MAX; config->arena_bytes >= ARENA_BYTES_MIN;
         config->arena_bytes /= 2) {
        config->thread_limit = threads_in(config->arena_bytes);
        uint64_t metadata = mf2_metadata_bytes(config);
        if (metadata == 0)
            break;
        // One page more, for an arena that starts on a page of its own size.
        uint64_t page = config->geometry->page_bytes;
        char *base = mmap(NULL, config->arena_bytes + page, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED)
            continue;
        char *arena = (char *)(((uintptr_t)base + page - 1) & ~(uintptr_t)(page - 1));
        if (mprotect(arena, metadata, PROT_READ | PROT_WRITE) == 0)
            return arena;
        munmap(base, config->arena_bytes + page);
    }
    return NULL;
}

static void thread_ends(void *thread) {
    (void)thread;
    mf2_thread_exit();
}

// An option of the environment; one that is set but empty is not set.
static const char *option(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && value[0] ? value : otherwise;
}

static void configure(struct mf2_config *config) {
    config->geometry = mf2_geometry_find(option("MF2_GEOMETRY", "default"));
    if (!config->geometry || config->geometry->page_bytes < 65536)
        die("mf2: MF2_GEOMETRY: expected default or seed\n");
    char message[160];
    if (!mf2_route_parse(option("MF2_ROUTE", MF2_ROUTE_DEFAULT), &config->route, message,
                         sizeof message)) {
        char line[200];
        snprintf(line, sizeof line, "mf2: MF2_ROUTE: %s\n", message);
        die(line);
    }
    config->count_owner_states = strcmp(option("MF2_STATS", "0"), "0") != 0;
}

static void start(void) {
    struct mf2_config config = {0};
    configure(&config);
    void *arena = reserve(&config);
    if (!arena)
        return;
    // Pairs with the load of mf2_state: other threads may allocate for the first time right now.
    atomic_store_explicit(&mf2_real_state, mf2_init(arena, &config), memory_order_release);
    pthread_key_create(&exit_key, thread_ends);
    pthread_atfork(mf2_before_fork, mf2_after_fork_parent, mf2_after_fork_child);
}

struct mf2_state *mf2_state_ensure(void) {
    if (mf2_state() == &no_state) {
        int saved_errno = errno;
        pthread_once(&start_once, start);
        errno = saved_errno;
    }
    struct mf2_state *state = mf2_state();
    return state == &no_state ? NULL : state;
}

// ---------------------------------------------------------------- threads

// The key's destructor runs when the thread ends; a thread that allocates in a later destructor
// gets pages anew, and with them another turn.
void mf2_self_set(struct MF2_ThreadPages *thread) {
    mf2_real_self = thread;
    if (thread->slot != MF2_SLOT_NONE)
        pthread_setspecific(exit_key, thread);
}

static void *helper_body(void *state) {
    mf2_helper_main(state);
    return NULL;
}

bool mf2_helper_start(struct mf2_state *state) {
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool started = pthread_create(&thread, &attributes, helper_body, state) == 0;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

// ---------------------------------------------------------------- clock, memory, futex

uint64_t mf2_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool mf2_commit(struct mf2_state *state, uint32_t page, uint32_t count) {
    int saved_errno = errno;
    bool usable = mprotect(mf2_page_base(state, page), (size_t)count << state->page_shift,
                           PROT_READ | PROT_WRITE) == 0;
    errno = saved_errno;
    return usable;
}

void mf2_purge(struct mf2_state *state, uint32_t page, uint32_t count) {
    int saved_errno = errno;
    char *base = mf2_page_base(state, page);
    size_t bytes = (size_t)count << state->page_shift;
    // Locked memory refuses MADV_DONTNEED; what is called zero must be zero all the same.
    if (madvise(base, bytes, MADV_DONTNEED) != 0)
        memset(base, 0, bytes);
    errno = saved_errno;
}

void mf2_futex_wait(mf2_atomic_u32 *word, uint32_t expected, uint64_t timeout_ns) {
    int saved_errno = errno;
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000u),
                               (long)(timeout_ns % 1000000000u)};
    syscall(SYS_futex, &word->value, FUTEX_WAIT_PRIVATE, expected,
            timeout_ns == MF2_WAIT_FOREVER ? NULL : &timeout, NULL, 0);
    errno = saved_errno;
}

void mf2_futex_wake(mf2_atomic_u32 *word, uint32_t count) {
    int saved_errno = errno;
    syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    errno = saved_errno;
}

void mf2_fail(const char *text, uint64_t value) {
    char line[160];
    snprintf(line, sizeof line, "mf2: %s (0x%llx)\n", text, (unsigned long long)value);
    die(line);
}
