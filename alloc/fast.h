// fast.h: malloc and free as far as they need no call: a pop and a push of the thread's front. What
// the entry points of libmf2.so and mf2_malloc, mf2_free begin with.
//
// No lock, no atomic read-modify-write, no call. A test counts the instructions of the entry points
// that are made of these.
#ifndef MF2_FAST_H
#define MF2_FAST_H

#include "mf2.h"
#include "state.h"

// The newest block; NULL: the front is empty.
static inline void *mf2_front_pop(struct mf2_front *front) {
    void **top = front->top;
    void *block = top[-1];
    if (MF2_LIKELY(block != NULL))
        front->top = top - 1;
    return block;
}

// NULL: mf2_malloc_uncommon has to serve, at once: the thread may still count as busy.
static inline void *mf2_malloc_fast(size_t bytes) {
    if (MF2_UNLIKELY(bytes > MF2_TABLE_BYTES))
        return NULL;
    const struct mf2_state *state = mf2_state();
    size_t unit = (bytes + MF2_UNIT_BYTES - 1) / MF2_UNIT_BYTES;
    mf2_busy_begin_fast();
    void *block = mf2_front_pop(&mf2_self()->fronts[state->class_of_unit[unit]]);
    if (MF2_LIKELY(block != NULL))
        mf2_busy_end_fast();
    return block;
}

// False: mf2_free_uncommon has to do it, at once; the block may be anything.
static inline bool mf2_free_fast(void *block) {
    const struct mf2_state *state = mf2_state();
    uint64_t offset = (uint64_t)((uintptr_t)block - (uintptr_t)state);
    if (MF2_UNLIKELY(offset >= state->arena_bytes)) // as NULL is
        return false;
    uint32_t class_plus_one = state->page_class[offset >> MF2_PAGE_SHIFT(state)];
    mf2_busy_begin_fast();
    struct mf2_front *front = &mf2_self()->fronts[class_plus_one];
    uint64_t within = offset & front->place_mask;
    bool starts = within * front->inverse < front->inverse;
    void **top = front->top;
    if (MF2_UNLIKELY(!starts || top == front->end || top[-1] == block))
        return false;
    *top = block;
    front->top = top + 1;
    mf2_busy_end_fast();
    return true;
}

// alloc.c, free.c
void *mf2_malloc_uncommon(size_t bytes);
void mf2_free_uncommon(void *block);

#endif
