// count_shim.c: an independent count of the allocator's calls, by entry point.
//
// Preloaded without hakrec, it says what a trace must hold. It shares nothing with libhakrec: it
// forwards to glibc's own names, and counts in the file HAK_COUNT_FILE, mapped, so that nothing is
// missed at the end. For single-threaded programs.
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void __libc_free(void *);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

enum { MALLOC, FREE, CALLOC, REALLOC, ALIGNED, KINDS };
static uint64_t early[KINDS];
static uint64_t *counts = early;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("HAK_COUNT_FILE");
    int file = path != NULL ? open(path, O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    if (file < 0 || ftruncate(file, sizeof early) != 0)
        return;
    uint64_t *shared = mmap(NULL, sizeof early, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    for (int i = 0; i < KINDS; i++)
        shared[i] = early[i];
    counts = shared;
}

#define EXPORT __attribute__((visibility("default")))
void *memalign(size_t alignment, size_t size);

EXPORT void *malloc(size_t size) {
    counts[MALLOC]++;
    return __libc_malloc(size);
}

EXPORT void free(void *block) {
    counts[FREE]++;
    __libc_free(block);
}

EXPORT void *calloc(size_t count, size_t size) {
    counts[CALLOC]++;
    return __libc_calloc(count, size);
}

EXPORT void *realloc(void *block, size_t size) {
    counts[REALLOC]++;
    return __libc_realloc(block, size);
}

EXPORT void *memalign(size_t alignment, size_t size) {
    counts[ALIGNED]++;
    return __libc_memalign(alignment, size);
}

EXPORT int posix_memalign(void **result, size_t alignment, size_t size) {
    counts[ALIGNED]++;
    void *block = __libc_memalign(alignment, size);
    if (block == NULL)
        return ENOMEM;
    *result = block;
    return 0;
}
