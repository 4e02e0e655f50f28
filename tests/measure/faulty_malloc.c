// faulty_malloc.c: a small allocator to be preloaded, that goes wrong in one way after FAULT_AFTER
// calls of malloc while it is being played to. What FAULT names:
//   crash     writes to address 0       null      returns NULL
//   hang      never returns             twice     gives out a block that lives
//   overlap   blocks half as large as asked for
//   dirty     calloc's blocks are not zero       crooked   aligned blocks are not
//   slow      every 50th call of malloc takes 20 µs
//   digest    nothing; but a digest of all calls, in their order, with their sizes and which block
//             they name, is kept in the file DIGEST_FILE.PROCESS
// Anything else, or nothing: a bump allocator without fault, which never frees.
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ARENA_BYTES  ((size_t)8 << 30)
#define HEADER_BYTES 16 // the size, and which one it is

void *malloc(size_t size);
void free(void *block);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
int posix_memalign(void **block, size_t alignment, size_t size);

static char *_Atomic arena;
static _Atomic size_t used;
static _Atomic long calls;
static uint64_t serial, *digest; // one thread only

static char *arena_start(void) {
    char *start = atomic_load(&arena);
    if (start != NULL)
        return start;
    char *mapped = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        return NULL;
    if (atomic_compare_exchange_strong(&arena, &start, mapped))
        return mapped;
    munmap(mapped, ARENA_BYTES);
    return start;
}

// Blocks made before the first call of the play are in nobody's digest: they are freed by nobody.
static void note(char kind, const void *block, size_t size, size_t alignment) {
    const char *fault = getenv("FAULT"), *file = getenv("DIGEST_FILE");
    if (digest == NULL && fault != NULL && strcmp(fault, "digest") == 0 && file != NULL) {
        char path[256];
        snprintf(path, sizeof path, "%s.%d", file, (int)getpid());
        int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (descriptor < 0 || ftruncate(descriptor, sizeof *digest) != 0)
            abort();
        digest = mmap(NULL, sizeof *digest, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
        close(descriptor);
    }
    if (digest == NULL)
        return;
    uint64_t which = 0;
    if (block != NULL)
        memcpy(&which, (const char *)block - 8, sizeof which);
    const uint64_t parts[] = {(uint64_t)kind, which, size, alignment};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        *digest = (*digest ^ parts[i]) * UINT64_C(0x9E3779B97F4A7C15);
}

static char *bump(size_t alignment, size_t size) {
    size_t bytes = (size + HEADER_BYTES + 15) & ~(size_t)15;
    char *start = arena_start();
    size_t at = atomic_fetch_add(&used, bytes + alignment);
    if (start == NULL || at + bytes + alignment > ARENA_BYTES)
        return NULL;
    uintptr_t block = ((uintptr_t)start + at + HEADER_BYTES + alignment - 1) & ~(alignment - 1);
    serial++;
    memcpy((char *)block - HEADER_BYTES, &size, sizeof size);
    memcpy((char *)block - 8, &serial, sizeof serial);
    return (char *)block;
}

static bool is_faulty(const char *fault) {
    const char *wanted = getenv("FAULT"), *after = getenv("FAULT_AFTER");
    return wanted != NULL && after != NULL && strcmp(wanted, fault) == 0 &&
           atomic_load(&calls) > atol(after);
}

static void wait_a_while(void) {
    struct timespec began, now;
    clock_gettime(CLOCK_MONOTONIC, &began);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - began.tv_sec) * 1000000000 + now.tv_nsec - began.tv_nsec < 20000);
}

void *malloc(size_t size) {
    static char *_Atomic last;
    atomic_fetch_add(&calls, 1);
    note('m', NULL, size, 0);
    if (is_faulty("crash"))
        *(volatile int *)NULL = 1;
    while (is_faulty("hang"))
        continue;
    if (is_faulty("null"))
        return NULL;
    if (calls % 50 == 0 && is_faulty("slow"))
        wait_a_while();
    char *before = atomic_load(&last);
    size_t size_before = 0;
    if (before != NULL)
        memcpy(&size_before, before - HEADER_BYTES, sizeof size_before);
    if (is_faulty("twice") && size <= size_before)
        return before;
    char *block = bump(16, is_faulty("overlap") ? size / 2 : size);
    atomic_store(&last, block);
    return block;
}

void free(void *block) {
    note('f', block, 0, 0);
}

void *calloc(size_t count, size_t size) {
    note('c', NULL, count * size, 0);
    char *block = bump(16, count * size); // a mapping is zero
    if (is_faulty("dirty") && count * size > 0)
        block[count * size - 1] = 1;
    return block;
}

void *realloc(void *block, size_t size) {
    size_t old = 0;
    note('r', block, size, 0);
    if (block != NULL)
        memcpy(&old, (char *)block - HEADER_BYTES, sizeof old);
    char *moved = bump(16, size);
    if (moved != NULL && block != NULL)
        memcpy(moved, block, old < size ? old : size);
    return moved;
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    note('a', NULL, size, alignment);
    *block = bump(alignment, size + 8);
    if (is_faulty("crooked"))
        *block = (char *)*block + 8;
    return *block == NULL ? ENOMEM : 0;
}
