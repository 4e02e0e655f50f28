// safe_malloc.c: an allocator that signal handlers may call: blocks of one size on lock-free lists
// are more than the test needs, so nothing is ever used again. Preloaded behind libhakrec, it lets
// a handler interrupt the recorder at every point.
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORT __attribute__((visibility("default")))

enum { HEADER_BYTES = 16 };
static const size_t arena_bytes = (size_t)16 << 30;
static _Atomic uintptr_t next;

__attribute__((constructor)) static void start(void) {
    void *arena = mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uintptr_t expected = 0;
    atomic_compare_exchange_strong(&next, &expected, (uintptr_t)arena);
}

EXPORT void *malloc(size_t size) {
    if (atomic_load(&next) == 0)
        start();
    size_t bytes = HEADER_BYTES + ((size + 15) & ~(size_t)15) + 16;
    char *block = (char *)atomic_fetch_add(&next, bytes);
    memcpy(block, &size, sizeof size);
    return block + HEADER_BYTES;
}

EXPORT void free(void *block) {
    (void)block;
}

EXPORT void *calloc(size_t count, size_t size) {
    return malloc(count * size); // fresh from the kernel: zero
}

EXPORT void *realloc(void *old, size_t size) {
    void *block = malloc(size);
    size_t old_size = 0;
    if (old != NULL)
        memcpy(&old_size, (char *)old - HEADER_BYTES, sizeof old_size);
    if (old != NULL)
        memcpy(block, old, old_size < size ? old_size : size);
    return block;
}
