// time_probe.c: preloaded before an allocator, takes the time of each of its calls by the
// processor's counter; for bench/fidelity/run. At the end, the sums go to the file TIME_PROBE.
//
// C++'s operators are served here by malloc and free, as a replay serves them. The program's own
// mappings (of a library, say, that manages memory by itself) are made shared, so that they are no
// part of the anonymous memory that is taken as its heap.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT            __attribute__((visibility("default")))
#define EARLY_BYTES       65536
#define INTERRUPTED_TICKS (1u << 21) // nearly 1 ms: by another process, most likely
#define CLOCK_TRIES       1000

static _Atomic uint64_t calls, ticks;
static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);
static int (*next_posix_memalign)(void **, size_t, size_t);
static _Atomic int is_finding;
static _Alignas(16) char early[EARLY_BYTES]; // what dlsym asks for while we ask it
static size_t early_used;
static pid_t owner;

static uint64_t now_ticks(void) {
    unsigned processor;
    uint64_t now = __builtin_ia32_rdtscp(&processor);
    __builtin_ia32_lfence();
    return now;
}

static void find(void) {
    if (next_free != NULL || atomic_exchange(&is_finding, 1))
        return;
    *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&next_free = dlsym(RTLD_NEXT, "free");
    owner = getpid();
}

static void *early_block(size_t size) {
    size_t bytes = (size + 15) & ~(size_t)15;
    if (bytes > EARLY_BYTES - early_used)
        abort();
    early_used += bytes;
    return early + early_used - bytes;
}

static int is_early(const void *block) {
    return (const char *)block >= early && (const char *)block < early + EARLY_BYTES;
}

static void note(uint64_t began) {
    uint64_t took = now_ticks() - began;
    if (took > INTERRUPTED_TICKS)
        return;
    atomic_fetch_add_explicit(&ticks, took, memory_order_relaxed);
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

#define TIMED(expression)                                                                          \
    do {                                                                                           \
        uint64_t began = now_ticks();                                                              \
        expression;                                                                                \
        note(began);                                                                               \
    } while (0)

EXPORT void *malloc(size_t size);
EXPORT void free(void *block);
EXPORT void *calloc(size_t many, size_t size);
EXPORT void *realloc(void *block, size_t size);
EXPORT int posix_memalign(void **block, size_t alignment, size_t size);
EXPORT void *aligned_alloc(size_t alignment, size_t size);
EXPORT void *memalign(size_t alignment, size_t size);
EXPORT void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset);
EXPORT void *mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset);
EXPORT void *_Znwm(size_t size);
EXPORT void *_Znam(size_t size);
EXPORT void _ZdlPv(void *block);
EXPORT void _ZdaPv(void *block);
EXPORT void _ZdlPvm(void *block, size_t size);
EXPORT void _ZdaPvm(void *block, size_t size);

void *malloc(size_t size) {
    void *block;
    find();
    if (next_free == NULL)
        return early_block(size);
    TIMED(block = next_malloc(size));
    return block;
}

void *calloc(size_t many, size_t size) {
    void *block;
    find();
    if (next_free == NULL)
        return early_block(many * size);
    TIMED(block = next_calloc(many, size));
    return block;
}

void *realloc(void *block, size_t size) {
    void *moved;
    find();
    if (next_free == NULL || is_early(block)) {
        moved = malloc(size);
        if (block != NULL)
            memcpy(moved, block, size);
        return moved;
    }
    TIMED(moved = next_realloc(block, size));
    return moved;
}

void free(void *block) {
    if (block == NULL || is_early(block))
        return;
    find();
    TIMED(next_free(block));
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    int error;
    find();
    TIMED(error = next_posix_memalign(block, alignment, size));
    return error;
}

void *memalign(size_t alignment, size_t size) {
    void *block = NULL;
    return posix_memalign(&block, alignment < 8 ? 8 : alignment, size) == 0 ? block : NULL;
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

void *_Znwm(size_t size) {
    return malloc(size);
}
void *_Znam(size_t size) {
    return malloc(size);
}
void _ZdlPv(void *block) {
    free(block);
}
void _ZdaPv(void *block) {
    free(block);
}
void _ZdlPvm(void *block, size_t size) {
    (void)size;
    free(block);
}
void _ZdaPvm(void *block, size_t size) {
    (void)size;
    free(block);
}

// The allocator, and the C library for its threads, keep private memory.
static int is_of_the_program(const void *caller) {
    Dl_info info, allocator;
    if (next_free == NULL || dladdr(caller, &info) == 0 ||
        dladdr(*(void **)&next_free, &allocator) == 0)
        return 0;
    return info.dli_fbase != allocator.dli_fbase && strstr(info.dli_fname, "libc.so") == NULL &&
           strstr(info.dli_fname, "ld-linux") == NULL;
}

static void *map(void *address, size_t bytes, int protection, int flags, int file, off_t offset,
                 const void *caller) {
    if ((flags & (MAP_PRIVATE | MAP_ANONYMOUS)) == (MAP_PRIVATE | MAP_ANONYMOUS) &&
        is_of_the_program(caller))
        flags = (flags & ~MAP_PRIVATE) | MAP_SHARED;
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
}

void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset) {
    return map(address, bytes, protection, flags, file, offset, __builtin_return_address(0));
}
void *mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset) {
    return map(address, bytes, protection, flags, file, offset, __builtin_return_address(0));
}

static __attribute__((destructor)) void tell(void) {
    const char *path = getenv("TIME_PROBE");
    char text[256];
    uint64_t least = UINT64_MAX;
    if (path == NULL || getpid() != owner)
        return;
    for (int i = 0; i < CLOCK_TRIES; i++) {
        uint64_t began = now_ticks(), took = now_ticks() - began;
        least = took < least ? took : least;
    }
    int length = snprintf(text, sizeof text, "%llu %llu %llu\n", (unsigned long long)calls,
                          (unsigned long long)ticks, (unsigned long long)least);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file >= 0 && write(file, text, (size_t)length) == length)
        close(file);
}
