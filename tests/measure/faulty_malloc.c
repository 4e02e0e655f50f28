// faulty_malloc.c: a small allocator to be preloaded, that goes wrong in one way after FAULT_AFTER
// calls of malloc while it is being played to. What FAULT names:
//   crash     writes to address 0       null      returns NULL
//   hang      never returns             twice     gives out a block that lives
//   overlap   blocks half as large as asked for
// Anything else, or nothing: a bump allocator without fault, which never frees.
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES  ((size_t)8 << 30)
#define HEADER_BYTES 16

void *malloc(size_t size);
void free(void *block);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
int posix_memalign(void **block, size_t alignment, size_t size);

static char *_Atomic arena;
static _Atomic size_t used;
static _Atomic long calls;

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

static char *bump(size_t alignment, size_t size) {
    size_t bytes = (size + HEADER_BYTES + 15) & ~(size_t)15;
    char *start = arena_start();
    size_t at = atomic_fetch_add(&used, bytes + alignment);
    if (start == NULL || at + bytes + alignment > ARENA_BYTES)
        return NULL;
    uintptr_t block = ((uintptr_t)start + at + HEADER_BYTES + alignment - 1) & ~(alignment - 1);
    memcpy((char *)block - HEADER_BYTES, &size, sizeof size);
    return (char *)block;
}

static bool is_faulty(const char *fault) {
    const char *wanted = getenv("FAULT"), *after = getenv("FAULT_AFTER");
    return wanted != NULL && after != NULL && strcmp(wanted, fault) == 0 &&
           atomic_load(&calls) > atol(after);
}

void *malloc(size_t size) {
    static char *_Atomic last;
    atomic_fetch_add(&calls, 1);
    if (is_faulty("crash"))
        *(volatile int *)NULL = 1;
    while (is_faulty("hang"))
        continue;
    if (is_faulty("null"))
        return NULL;
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
    (void)block;
}

void *calloc(size_t count, size_t size) {
    return bump(16, count * size); // a mapping is zero
}

void *realloc(void *block, size_t size) {
    size_t old = 0;
    if (block != NULL)
        memcpy(&old, (char *)block - HEADER_BYTES, sizeof old);
    char *moved = bump(16, size);
    if (moved != NULL && block != NULL)
        memcpy(moved, block, old < size ? old : size);
    return moved;
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = bump(alignment, size);
    return *block == NULL ? ENOMEM : 0;
}
