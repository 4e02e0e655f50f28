// entry.c: the C and POSIX entry points of libmf2.so, which a program preloads or links. They do
// what the standards say of errno, zero sizes and bad arguments; mf2.h does the rest.
// C++ operators reach these through libstdc++, which calls malloc and free.
#include "mf2.h"
#include "platform.h"
#include "state.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT        __attribute__((visibility("default")))
#define OS_PAGE_BYTES ((size_t)4096) // x86-64

static inline void *or_no_memory(void *block) {
    if (MF2_UNLIKELY(!block))
        errno = ENOMEM;
    return block;
}

static bool is_power_of_two(size_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

EXPORT void *malloc(size_t bytes) {
    return or_no_memory(mf2_malloc(bytes));
}

EXPORT void free(void *block) {
    mf2_free(block);
}

EXPORT void *calloc(size_t count, size_t bytes) {
    return or_no_memory(mf2_calloc(count, bytes));
}

EXPORT void *realloc(void *old, size_t bytes) {
    if (!old)
        return malloc(bytes);
    if (bytes == 0) { // as glibc does
        mf2_free(old);
        return NULL;
    }
    return or_no_memory(mf2_realloc(old, bytes));
}

EXPORT void *reallocarray(void *old, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, total);
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes) {
    if (!is_power_of_two(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return or_no_memory(mf2_aligned_alloc(alignment, bytes));
}

// As glibc's: an alignment that is no power of two is rounded up to one.
EXPORT void *memalign(size_t alignment, size_t bytes) {
    size_t power = MF2_UNIT_BYTES;
    while (power < alignment && power <= SIZE_MAX / 4)
        power *= 2;
    return aligned_alloc(power, bytes);
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

EXPORT void *valloc(size_t bytes) {
    return memalign(OS_PAGE_BYTES, bytes);
}

EXPORT void *pvalloc(size_t bytes) {
    if (bytes > SIZE_MAX - OS_PAGE_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    size_t pages = bytes ? (bytes + OS_PAGE_BYTES - 1) / OS_PAGE_BYTES : 1;
    return memalign(OS_PAGE_BYTES, pages * OS_PAGE_BYTES);
}

EXPORT size_t malloc_usable_size(void *block) {
    return block ? mf2_usable_size(block) : 0;
}

// Declared by C23 and by old libraries; glibc 2.36 has no declarations of them.
void cfree(void *block);
void free_sized(void *block, size_t bytes);
void free_aligned_sized(void *block, size_t alignment, size_t bytes);

EXPORT void cfree(void *block) {
    mf2_free(block);
}

EXPORT void free_sized(void *block, size_t bytes) {
    (void)bytes;
    mf2_free(block);
}

EXPORT void free_aligned_sized(void *block, size_t alignment, size_t bytes) {
    (void)alignment;
    (void)bytes;
    mf2_free(block);
}

// ---------------------------------------------------------------- MF2_STATS=1

static void print_counter(const char *name, uint64_t value) {
    char line[96];
    snprintf(line, sizeof line, "mf2: %-26s %llu\n", name, (unsigned long long)value);
    mf2_print_line(line);
}

__attribute__((destructor)) static void print_stats(void) {
    if (!mf2_state()->count_owner_states) // asked for at the start
        return;
    struct mf2_counters sum;
    mf2_counters_sum(mf2_state(), &sum);
    for (size_t i = 0; i < MF2_COUNTER_COUNT; i++)
        if (((const uint64_t *)(const void *)&sum)[i])
            print_counter(mf2_counter_table[i].name, ((const uint64_t *)(const void *)&sum)[i]);
    print_counter("pages_held", mf2_state()->held_pages);
}
