// entry.c: the C, POSIX and C23 entry points of libmf2.so, which a program preloads or links. They
// do what the standards and glibc say of errno, zero sizes and bad arguments; mf2.h does the rest.
// The other entry points: C++ operators in entry_cxx.c, reports and tuning in entry_report.c.
//
// Where the standards leave a choice, this is glibc's: malloc(0) gives a block of its own,
// realloc(p, 0) frees p and returns NULL, memalign rounds an odd alignment up.
#include "fast.h"
#include "mf2.h"
#include "platform.h"
#include "state.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#define EXPORT        __attribute__((visibility("default")))
#define OS_PAGE_BYTES ((size_t)4096) // x86-64

static inline void *or_no_memory(void *block) {
    if (MF2_UNLIKELY(!block))
        errno = ENOMEM;
    return block;
}

static void *refuse(int error) {
    errno = error;
    return NULL;
}

static bool is_power_of_two(size_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

// ---------------------------------------------------------------- C

// Behind the fast path; apart, so that malloc has no frame and jumps here.
static MF2_NOINLINE void *malloc_uncommon(size_t bytes) {
    return or_no_memory(mf2_malloc_uncommon(bytes));
}

EXPORT void *malloc(size_t bytes) {
    void *block = mf2_malloc_fast(bytes);
    return MF2_LIKELY(block != NULL) ? block : malloc_uncommon(bytes);
}

EXPORT void free(void *block) {
    if (MF2_UNLIKELY(!mf2_free_fast(block)))
        mf2_free_uncommon(block);
}

EXPORT void *calloc(size_t count, size_t bytes) {
    return or_no_memory(mf2_calloc(count, bytes));
}

EXPORT void *realloc(void *old, size_t bytes) {
    if (!old)
        return malloc(bytes);
    if (bytes == 0) {
        mf2_free(old);
        return NULL;
    }
    return or_no_memory(mf2_realloc(old, bytes));
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes) {
    if (!is_power_of_two(alignment))
        return refuse(EINVAL);
    return or_no_memory(mf2_aligned_alloc(alignment, bytes));
}

// C23's, and glibc's cfree of old; glibc 2.36 declares none of them. The sizes are a promise that
// MF2 has no use for: it finds a block's class faster than it could check it.
void free_sized(void *block, size_t bytes);
void free_aligned_sized(void *block, size_t alignment, size_t bytes);
void cfree(void *block);

EXPORT void free_sized(void *block, size_t bytes) {
    (void)bytes;
    mf2_free(block);
}

EXPORT void free_aligned_sized(void *block, size_t alignment, size_t bytes) {
    (void)alignment;
    (void)bytes;
    mf2_free(block);
}

EXPORT void cfree(void *block) {
    mf2_free(block);
}

// ---------------------------------------------------------------- POSIX and glibc

EXPORT void *reallocarray(void *old, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return refuse(ENOMEM);
    return realloc(old, total);
}

EXPORT int posix_memalign(void **result, size_t alignment, size_t bytes) {
    if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
        return EINVAL;
    void *block = mf2_aligned_alloc(alignment, bytes);
    if (!block)
        return ENOMEM;
    *result = block;
    return 0;
}

EXPORT void *memalign(size_t alignment, size_t bytes) {
    if (alignment > SIZE_MAX / 2 + 1) // no power of two is as large
        return refuse(EINVAL);
    size_t power = MF2_UNIT_BYTES;
    while (power < alignment)
        power *= 2;
    return or_no_memory(mf2_aligned_alloc(power, bytes));
}

EXPORT void *valloc(size_t bytes) {
    return memalign(OS_PAGE_BYTES, bytes);
}

EXPORT void *pvalloc(size_t bytes) {
    if (bytes > SIZE_MAX - OS_PAGE_BYTES)
        return refuse(ENOMEM);
    size_t pages = bytes ? (bytes + OS_PAGE_BYTES - 1) / OS_PAGE_BYTES : 1;
    return memalign(OS_PAGE_BYTES, pages * OS_PAGE_BYTES);
}

EXPORT size_t malloc_usable_size(void *block) {
    return block ? mf2_usable_size(block) : 0;
}

// glibc exports its functions a second time under these names. A program that uses them must not
// mix two allocators.
#define ALSO(result, name, original, parameters)                                                   \
    result name parameters;                                                                        \
    EXPORT __attribute__((alias(#original), copy(original))) result name parameters

ALSO(void *, __libc_malloc, malloc, (size_t bytes));
ALSO(void, __libc_free, free, (void *block));
ALSO(void *, __libc_calloc, calloc, (size_t count, size_t bytes));
ALSO(void *, __libc_realloc, realloc, (void *old, size_t bytes));
ALSO(void *, __libc_memalign, memalign, (size_t alignment, size_t bytes));
ALSO(void *, __libc_valloc, valloc, (size_t bytes));
ALSO(void *, __libc_pvalloc, pvalloc, (size_t bytes));
ALSO(int, __posix_memalign, posix_memalign, (void **result, size_t alignment, size_t bytes));
