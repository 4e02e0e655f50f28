// intercept.c: the allocator's entry points, as the program calls them.
//
// Owns: which event each call becomes, and its place in the order. Does not own: rings
// (preload_session.c), stacks (preload_stack.c).
//
// The order rule. For one address: stamp(free) < real free < next real allocation < stamp(alloc).
// So a release is stamped and published before the real function runs, an acquisition after it
// has run, and realloc is both. Publishing before the real free also means that whatever its
// effects cause elsewhere is published later, which the drainer's sealing relies on.
//
// Blocks of the pool (preload_pool.c) are not the program's and make no events.
#include "libhakrec.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALLER __builtin_return_address(0)
// What the stack is taken from; an object of the entry point's own frame, so that the frame stays.
#define CALLER_STATE &(const struct rec_caller)REC_CALLER_HERE

// Not declared by glibc 2.36.
void cfree(void *block);
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);

// ---------------------------------------------------------------- calls that are not recorded

static bool pool_serves(void) {
    return rec_own_active() || rec_real.malloc == NULL;
}

static void *forward_allocate(size_t size_bytes, size_t align_bytes) {
    if (pool_serves()) {
        void *block = rec_pool_allocate(size_bytes, align_bytes);
        if (block != NULL)
            return block;
    }
    if (rec_real.malloc == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    return align_bytes > 0 ? rec_real.memalign(align_bytes, size_bytes)
                           : rec_real.malloc(size_bytes);
}

static void *forward_calloc(size_t count, size_t size_bytes) {
    size_t total;
    if (!pool_serves() || __builtin_mul_overflow(count, size_bytes, &total))
        return rec_real.calloc != NULL ? rec_real.calloc(count, size_bytes) : NULL;
    void *block = rec_pool_allocate(total, 0);
    return block != NULL || rec_real.calloc == NULL ? block : rec_real.calloc(count, size_bytes);
}

// Moves a block out of its place in the pool.
static void *pool_realloc(void *old, size_t size_bytes) {
    void *block = size_bytes == 0 ? NULL : forward_allocate(size_bytes, 0);
    if (block == NULL && size_bytes != 0)
        return NULL;
    size_t kept = rec_pool_usable(old);
    if (block != NULL)
        memcpy(block, old, kept < size_bytes ? kept : size_bytes);
    rec_pool_free(old);
    return block;
}

static void *forward_realloc(void *old, size_t size_bytes) {
    if (rec_real.realloc == NULL || (old == NULL && pool_serves()))
        return forward_allocate(size_bytes, 0);
    return rec_real.realloc(old, size_bytes);
}

// ---------------------------------------------------------------- events

// Ends the event of an allocation that has returned `block`, or failed with `error`.
static void allocation_end(uint8_t op, uint8_t entry, const void *block, size_t size_bytes,
                           uint8_t align_log2, int error, const struct rec_caller *caller) {
    struct rec_level *level = rec_level_now();
    level->phase = REC_PHASE_RECORD;
    if (rec_level_has_room(level)) {
        uint64_t stack = rec_stack_capture(level, caller);
        if (REC_LIKELY(block != NULL))
            rec_publish(level, op, entry, (uint64_t)block, size_bytes, stack, align_log2);
        else
            rec_publish(level, TRACE_ALLOC_FAIL, entry, (uint64_t)error, size_bytes, stack,
                        align_log2);
    }
    rec_end();
}

static void allocation_end_errno(uint8_t op, uint8_t entry, const void *block, size_t size_bytes,
                                 uint8_t align_log2, const struct rec_caller *caller) {
    int saved_errno = errno;
    allocation_end(op, entry, block, size_bytes, align_log2, saved_errno, caller);
    errno = saved_errno;
}

static uint8_t log2_of(size_t align_bytes) {
    return align_bytes > 1 ? (uint8_t)(63 - __builtin_clzll(align_bytes)) : 0;
}

// Publishes the release that a real function is about to do.
static void release_begin(uint8_t op, uint8_t entry, const void *block, size_t size_bytes,
                          const struct rec_caller *stack_of) {
    struct rec_level *level = rec_level_now();
    level->phase = REC_PHASE_RECORD;
    if (rec_level_has_room(level)) {
        int saved_errno = errno;
        rec_resident(level, block);
        uint64_t stack = stack_of != NULL ? rec_stack_capture(level, stack_of) : 0;
        rec_publish(level, op, entry, (uint64_t)block, size_bytes, stack, 0);
        errno = saved_errno;
    }
    level->phase = REC_PHASE_REAL;
}

static void free_as(void *block, uint8_t entry, const void *caller) {
    if (REC_UNLIKELY(rec_pool_owns(block))) {
        rec_pool_free(block);
        return;
    }
    if (REC_UNLIKELY(!rec_begin_call(caller))) {
        if (rec_real.free != NULL)
            rec_real.free(block);
        return;
    }
    release_begin(block != NULL ? TRACE_FREE : TRACE_FREE_NULL, entry, block, 0, NULL);
    rec_real.free(block);
    rec_end();
}

static void *realloc_moved(void *old, size_t size_bytes, uint8_t entry,
                           const struct rec_caller *caller) {
    release_begin(TRACE_REALLOC_RELEASE, entry, old, size_bytes, caller);
    void *block = rec_real.realloc(old, size_bytes);
    int saved_errno = errno;
    struct rec_level *level = rec_level_now();
    level->phase = REC_PHASE_RECORD;
    if (rec_level_has_room(level)) {
        if (block != NULL)
            rec_publish(level, TRACE_REALLOC_ACQUIRE, entry, (uint64_t)block, size_bytes, 0, 0);
        else
            rec_publish(level, size_bytes == 0 ? RING_OP_REALLOC_FREED : TRACE_REALLOC_FAIL, entry,
                        (uint64_t)old, (uint64_t)saved_errno, 0, 0);
    }
    rec_end();
    errno = saved_errno;
    return block;
}

static void *realloc_as(void *old, size_t size_bytes, uint8_t entry,
                        const struct rec_caller *caller) {
    if (REC_UNLIKELY(rec_pool_owns(old)))
        return pool_realloc(old, size_bytes);
    if (REC_UNLIKELY(!rec_begin_call(caller->address)))
        return forward_realloc(old, size_bytes);
    if (old != NULL && (size_bytes != 0 || !rec_real_realloc_zero_frees))
        return realloc_moved(old, size_bytes, entry, caller);
    if (old == NULL) {
        void *block = rec_real.realloc(NULL, size_bytes);
        allocation_end_errno(TRACE_MALLOC, entry, block, size_bytes, 0, caller);
        return block;
    }
    release_begin(TRACE_FREE, entry, old, 0, NULL);
    void *block = rec_real.realloc(old, 0);
    rec_end();
    return block;
}

// ---------------------------------------------------------------- entry points

REC_EXPORT void *malloc(size_t size) {
    if (REC_UNLIKELY(!rec_begin_call(CALLER)))
        return forward_allocate(size, 0);
    void *block = rec_real.malloc(size);
    allocation_end_errno(TRACE_MALLOC, TRACE_ENTRY_MALLOC, block, size, 0, CALLER_STATE);
    return block;
}

REC_EXPORT void *calloc(size_t count, size_t size) {
    if (REC_UNLIKELY(!rec_begin_call(CALLER)))
        return forward_calloc(count, size);
    void *block = rec_real.calloc(count, size);
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        total = SIZE_MAX;
    allocation_end_errno(TRACE_CALLOC, TRACE_ENTRY_CALLOC, block, total, 0, CALLER_STATE);
    return block;
}

REC_EXPORT void free(void *block) {
    free_as(block, TRACE_ENTRY_FREE, CALLER);
}

REC_EXPORT void cfree(void *block) {
    free_as(block, TRACE_ENTRY_CFREE, CALLER);
}

// C23's frees; free is right for them wherever the C library has none.
REC_EXPORT void free_sized(void *block, size_t size) {
    (void)size;
    free_as(block, TRACE_ENTRY_FREE_SIZED, CALLER);
}

REC_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size) {
    (void)alignment;
    (void)size;
    free_as(block, TRACE_ENTRY_FREE_ALIGNED_SIZED, CALLER);
}

REC_EXPORT void *realloc(void *old, size_t size) {
    return realloc_as(old, size, TRACE_ENTRY_REALLOC, CALLER_STATE);
}

// Done by realloc, as glibc does; calling the real one would come back to ours.
REC_EXPORT void *reallocarray(void *old, size_t count, size_t size) {
    size_t total;
    if (!__builtin_mul_overflow(count, size, &total))
        return realloc_as(old, total, TRACE_ENTRY_REALLOCARRAY, CALLER_STATE);
    errno = ENOMEM;
    if (rec_begin_call(CALLER))
        allocation_end_errno(TRACE_MALLOC, TRACE_ENTRY_REALLOCARRAY, NULL, SIZE_MAX, 0,
                             CALLER_STATE);
    return NULL;
}

REC_EXPORT void *memalign(size_t alignment, size_t size) {
    if (REC_UNLIKELY(!rec_begin_call(CALLER)))
        return forward_allocate(size, alignment);
    void *block = rec_real.memalign(alignment, size);
    allocation_end_errno(TRACE_ALIGNED, TRACE_ENTRY_MEMALIGN, block, size, log2_of(alignment),
                         CALLER_STATE);
    return block;
}

REC_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    if (REC_UNLIKELY(!rec_begin_call(CALLER)))
        return forward_allocate(size, alignment);
    void *block = rec_real.aligned_alloc(alignment, size);
    allocation_end_errno(TRACE_ALIGNED, TRACE_ENTRY_ALIGNED_ALLOC, block, size, log2_of(alignment),
                         CALLER_STATE);
    return block;
}

REC_EXPORT int posix_memalign(void **result, size_t alignment, size_t size) {
    if (REC_UNLIKELY(!rec_begin_call(CALLER))) {
        if (!pool_serves())
            return rec_real.posix_memalign(result, alignment, size);
        *result = forward_allocate(size, alignment);
        return *result == NULL ? ENOMEM : 0;
    }
    void *block = NULL;
    int error = rec_real.posix_memalign(&block, alignment, size);
    int saved_errno = errno;
    if (error == 0)
        *result = block;
    allocation_end(TRACE_ALIGNED, TRACE_ENTRY_POSIX_MEMALIGN, block, size, log2_of(alignment),
                   error, CALLER_STATE);
    errno = saved_errno;
    return error;
}

REC_EXPORT void *valloc(size_t size) {
    size_t page_bytes = (size_t)getpagesize();
    if (REC_UNLIKELY(!rec_begin_call(CALLER)))
        return forward_allocate(size, page_bytes);
    void *block = rec_real.valloc(size);
    allocation_end_errno(TRACE_ALIGNED, TRACE_ENTRY_VALLOC, block, size, log2_of(page_bytes),
                         CALLER_STATE);
    return block;
}

REC_EXPORT void *pvalloc(size_t size) {
    size_t page_bytes = (size_t)getpagesize();
    if (REC_UNLIKELY(!rec_begin_call(CALLER)))
        return forward_allocate((size + page_bytes - 1) & ~(page_bytes - 1), page_bytes);
    void *block = rec_real.pvalloc(size);
    allocation_end_errno(TRACE_ALIGNED, TRACE_ENTRY_PVALLOC, block, size, log2_of(page_bytes),
                         CALLER_STATE);
    return block;
}

REC_EXPORT size_t malloc_usable_size(void *block) {
    if (block == NULL)
        return 0;
    if (rec_pool_owns(block))
        return rec_pool_usable(block);
    if (!rec_begin_call(CALLER))
        return rec_real.malloc_usable_size != NULL ? rec_real.malloc_usable_size(block) : 0;
    size_t bytes = rec_real.malloc_usable_size(block);
    struct rec_level *level = rec_level_now();
    level->phase = REC_PHASE_RECORD;
    if (rec_level_has_room(level))
        rec_publish(level, TRACE_USABLE, 0, (uint64_t)block, bytes, 0, 0);
    rec_end();
    return bytes;
}
