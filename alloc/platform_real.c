// platform_real.c: platform.h for the real world: Linux, x86-64, glibc. Owns the arena's mapping
// and the only two mutable variables of alloc/: the instance, and each thread's pages.
//
// Nothing here allocates. System calls keep errno: malloc may set it, free must not.
#include "internal.h"
#include "platform_call.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) // it lets a program use few addresses
#define ARENA_BYTES_MAX (1ull << 36)
#else
#define ARENA_BYTES_MAX (1ull << 40) // addresses, not memory
#endif
#define ARENA_BYTES_MIN    (1ull << 25)
#define ARENA_ALIGNMENT    (1ull << 30)
#define ARENA_TRIES        16 // places
#define THREAD_LIMIT       65536
#define THREAD_ARENA_BYTES (1u << 19) // of the arena, per thread that may have pages

// Before the first allocation: no arena, so that every pointer is foreign and every request takes
// the slow path.
static const struct mf2_state no_state;
_Atomic(struct mf2_state *) mf2_real_state = (struct mf2_state *)(uintptr_t)&no_state;
#define NO_THREAD ((struct MF2_ThreadPages *)(uintptr_t)&mf2_no_thread)
_Thread_local struct mf2_seat mf2_real_seat = {.self = NO_THREAD, .own = NO_THREAD};

// A resolver of the program (GNU's ifunc) may allocate before thread-local variables have their
// first values: they read as zero. ld.so relocates this library before the program, and then calls
// its resolver, which sees to its own variable. That is set once more with all others; what the
// thread held until then stays held. (A sanitizer's run-time is not ready for calls so early.)
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
static void nothing(void) {}
__attribute__((used)) static void (*resolve_nothing(void))(void) {
    mf2_real_seat.self = NO_THREAD;
    mf2_real_seat.own = NO_THREAD;
    return nothing;
}
static void resolved(void) __attribute__((ifunc("resolve_nothing")));
// To be resolved, it must be referred to.
__attribute__((used)) static void (*const refers_to_it)(void) = resolved;
#endif

static pthread_key_t exit_key;
static mf2_atomic_u32 start_lock;

// ---------------------------------------------------------------- start

void mf2_print_line(const char *line) {
    MF2_CALL(write, STDERR_FILENO, line, strlen(line));
}

MF2_NORETURN static void die(const char *line) {
    mf2_print_line(line);
    if (mf2_on_helper())
        mf2_helper_abort();
    abort();
}

// A small arena has room for fewer threads' pages.
static uint32_t threads_in(uint64_t arena_bytes) {
    uint64_t threads = arena_bytes / THREAD_ARENA_BYTES;
    return threads < THREAD_LIMIT ? (uint32_t)threads : THREAD_LIMIT;
}

// At exactly this place, where nothing must be; false: there is something, or no memory.
static bool map_at(char *place, size_t bytes) {
    // MAP_NORESERVE, as the arena may become much larger than what is ever touched of it.
    char *found = mmap(place, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (found == place)
        return true;
    if (found != MAP_FAILED) // a kernel before 4.17 knows no MAP_FIXED_NOREPLACE
        munmap(found, bytes);
    return false;
}

// The arena's addresses are chosen here and mapped as they are used: a reservation of all of them
// would count against RLIMIT_AS, also when the program sets that later. They lie below those that
// the kernel gives out, far enough that the two do not meet: the kernel proceeds downwards and the
// arena upwards. Where the kernel's are low (valgrind gives them out from the bottom), above them.
static char *place_beside_maps(uint64_t arena_bytes, bool *below) {
    char *probe = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe == MAP_FAILED)
        return NULL;
    munmap(probe, 4096);
    uint64_t distance = arena_bytes + arena_bytes / 4;
    *below = (uintptr_t)probe >= 2 * distance;
    uintptr_t place =
        *below ? (uintptr_t)probe - distance : (uintptr_t)probe + arena_bytes / 4 + ARENA_ALIGNMENT;
    return (char *)(place & ~(ARENA_ALIGNMENT - 1));
}

static void *place_arena(const struct mf2_config *config) {
    bool below;
    char *place = place_beside_maps(config->arena_bytes, &below);
    uint64_t step = config->arena_bytes > ARENA_ALIGNMENT ? config->arena_bytes : ARENA_ALIGNMENT;
    for (int i = 0; place && i < ARENA_TRIES; i++) {
        if (map_at(place, mf2_metadata_bytes_at_once(config)))
            return place;
        if (below && (uintptr_t)place <= 2 * config->arena_bytes)
            break;
        place = below ? place - step : place + step;
    }
    return NULL;
}

// As large as can be: its table of classes is a 65536th of it.
static void *reserve(struct mf2_config *config) {
    for (config->arena_bytes = ARENA_BYTES_MAX; config->arena_bytes >= ARENA_BYTES_MIN;
         config->arena_bytes /= 2) {
        config->thread_limit = threads_in(config->arena_bytes);
        if (mf2_metadata_bytes(config) == 0)
            break;
        void *arena = place_arena(config);
        if (arena)
            return arena;
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
    config->without_helper = strcmp(option("MF2_HELPER", "1"), "0") == 0;
}

static void after_fork_child(void) {
    mf2_helper_prepare();
    mf2_after_fork_child();
    if (mf2_own()->slot != MF2_SLOT_NONE)
        mf2_own()->os_thread = (uint32_t)MF2_CALL(gettid, 0);
}

static void start(void) {
    struct mf2_config config = {0};
    configure(&config);
    void *arena = reserve(&config);
    if (!arena)
        return;
    // Pairs with the load of mf2_state: other threads may allocate for the first time right now.
    atomic_store_explicit(&mf2_real_state, mf2_init(arena, &config), memory_order_release);
    mf2_helper_prepare();
    pthread_key_create(&exit_key, thread_ends);
    pthread_atfork(mf2_before_fork, mf2_after_fork_parent, after_fork_child);
}

struct mf2_state *mf2_state_ensure(void) {
    if (mf2_state() == &no_state) {
        int saved_errno = errno;
        mf2_lock(&start_lock);
        if (mf2_state() == &no_state) // if this fails, the next call tries again
            start();
        mf2_unlock(&start_lock);
        errno = saved_errno;
    }
    struct mf2_state *state = mf2_state();
    return state == &no_state ? NULL : state;
}

// ---------------------------------------------------------------- threads

// The key's destructor runs when the thread ends; a thread that allocates in a later destructor
// gets pages anew, and with them another turn.
void mf2_self_set(struct MF2_ThreadPages *thread) {
    mf2_self_restore(thread);
    mf2_real_seat.own = thread;
    if (thread->slot == MF2_SLOT_NONE)
        return;
    thread->seat = &mf2_real_seat;
    thread->os_thread = (uint32_t)MF2_CALL(gettid, 0);
    pthread_setspecific(exit_key, thread);
}

// A thread that has ended without its destructors (the bare exit call) has left its seat, which may
// be no memory any more.
bool mf2_seat_is_there(struct MF2_ThreadPages *thread) {
    return MF2_CALL(tgkill, MF2_CALL(getpid, 0), thread->os_thread, 0) == 0;
}

void mf2_seat_watch(struct MF2_ThreadPages *thread) {
    struct mf2_seat *seat = thread->seat;
    atomic_store_explicit(&seat->self, (struct MF2_ThreadPages *)(uintptr_t)&mf2_watched_thread,
                          memory_order_relaxed);
}

bool mf2_seat_busy(struct MF2_ThreadPages *thread) {
    const struct mf2_seat *seat = thread->seat;
    return atomic_load_explicit(&seat->busy, memory_order_acquire);
}

bool mf2_fence_all(void) {
    if (MF2_CALL(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
        return true;
    // The process must say once that it will use it.
    MF2_CALL(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    return MF2_CALL(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

// ---------------------------------------------------------------- clock, memory, futex

uint64_t mf2_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool mf2_commit(struct mf2_state *state, uint32_t page, uint32_t count) {
    int saved_errno = errno;
    bool usable = map_at(mf2_page_base(state, page), (size_t)count << state->page_shift);
    errno = saved_errno;
    return usable;
}

bool mf2_back(struct mf2_state *state, uint64_t offset, uint64_t bytes) {
    int saved_errno = errno;
    bool usable = map_at((char *)state + offset, bytes);
    errno = saved_errno;
    return usable;
}

void mf2_purge(struct mf2_state *state, uint64_t offset, uint64_t bytes) {
    char *base = (char *)state + offset;
    // Locked memory refuses MADV_DONTNEED; what is called zero must be zero all the same.
    if (MF2_CALL(madvise, base, bytes, MADV_DONTNEED) != 0)
        memset(base, 0, bytes);
}

void mf2_futex_wait(mf2_atomic_u32 *word, uint32_t expected, uint64_t timeout_ns) {
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000u),
                               (long)(timeout_ns % 1000000000u)};
    MF2_CALL(futex, &word->value, FUTEX_WAIT_PRIVATE, expected,
             timeout_ns == MF2_WAIT_FOREVER ? NULL : &timeout);
}

void mf2_futex_wake(mf2_atomic_u32 *word, uint32_t count) {
    MF2_CALL(futex, &word->value, FUTEX_WAKE_PRIVATE, count);
}

// Without stdio, which is not for a thread without thread-local storage.
void mf2_fail(const char *text, uint64_t value) {
    static const char head[] = "mf2: ", digits[] = "0123456789abcdef";
    char line[160], number[19] = "0x0";
    size_t length = 0, bits = 0;
    while (bits < 64 && value >> bits)
        bits += 4;
    for (size_t i = 2; bits; i++) {
        bits -= 4;
        number[i] = digits[value >> bits & 15];
    }
    const char *const parts[] = {head, text, " (", number, ")\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        for (const char *c = parts[i]; *c && length < sizeof line - 1; c++)
            line[length++] = *c;
    line[length] = 0;
    die(line);
}
