// stack.h: the lock-free stacks of numbered things: pages on pending queues and orphan stacks,
// batches in the depot.
//
// A head is {tag:32 | number:32}; number 0 ends the stack. Anyone pushes, anyone pops. The tag
// changes with every change of the head: a thing that was popped and pushed again between a
// popper's look and its CAS is not mistaken for the one seen, although its number is the same
// (ABA). Things are metadata and never unmapped, so that reading the link of one that is gone
// already is harmless: the CAS then fails.
#ifndef MF2_STACK_H
#define MF2_STACK_H

#include "platform.h"

#define MF2_HEAD_NUMBER(head)       ((uint32_t)(head))
#define MF2_HEAD_NEXT(head, number) ((((head) >> 32) + 1) << 32 | (number))

// Where thing n's link is: base + n × stride bytes.
struct mf2_links {
    char *base;
    size_t stride_bytes;
};

static inline mf2_atomic_u32 *mf2_link_of(struct mf2_links links, uint32_t number) {
    return (mf2_atomic_u32 *)(void *)(links.base + number * links.stride_bytes);
}

// Returns whether the stack was empty.
static inline bool mf2_stack_push(mf2_atomic_u64 *stack, struct mf2_links links, uint32_t number) {
    mf2_atomic_u32 *link = mf2_link_of(links, number);
    uint64_t head = mf2_load_relaxed(stack);
    for (;;) {
        mf2_store_relaxed(link, MF2_HEAD_NUMBER(head));
        // Releases the link, and the thing, to the popper.
        bool pushed = mf2_cas_acq_rel(stack, &head, MF2_HEAD_NEXT(head, number));
        if (pushed)
            return MF2_HEAD_NUMBER(head) == 0;
    }
}

// Pops the thing under exactly this head; false: *head is what was found instead.
static inline bool mf2_stack_pop_head(mf2_atomic_u64 *stack, struct mf2_links links,
                                      uint64_t *head) {
    mf2_atomic_u32 *link = mf2_link_of(links, MF2_HEAD_NUMBER(*head));
    uint32_t next = mf2_load_relaxed(link);
    return mf2_cas_acq_rel(stack, head, MF2_HEAD_NEXT(*head, next));
}

// 0: the stack is empty.
static inline uint32_t mf2_stack_pop(mf2_atomic_u64 *stack, struct mf2_links links) {
    uint64_t head = mf2_load_acquire(stack); // pairs with the push's CAS
    while (MF2_HEAD_NUMBER(head) != 0) {
        uint32_t number = MF2_HEAD_NUMBER(head);
        bool popped = mf2_stack_pop_head(stack, links, &head);
        if (popped)
            return number;
    }
    return 0;
}

// Detaches the whole stack; returns its first thing, the others by their links.
static inline uint32_t mf2_stack_take_all(mf2_atomic_u64 *stack) {
    uint64_t head = mf2_load_relaxed(stack);
    while (MF2_HEAD_NUMBER(head) != 0) {
        bool taken = mf2_cas_acq_rel(stack, &head, MF2_HEAD_NEXT(head, 0));
        if (taken)
            break;
    }
    return MF2_HEAD_NUMBER(head);
}

#endif
