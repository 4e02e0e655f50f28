// block.h: allocating, touching, checking and freeing one block, inline because an operation may
// take less time than a call.
//
// Owns: what is written to blocks and how it is verified. In speed mode one block in 256 is looked
// at when it is freed, so that a broken allocator is noticed and the reading does not weigh; in
// memory mode every block is.
#ifndef BENCH_BLOCK_H
#define BENCH_BLOCK_H

#include "load.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_OS_PAGE_BYTES 4096u

// xorshift64*: good enough to pick sizes and slots, and cheap.
static inline uint64_t block_random(struct load_thread *thread) {
    uint64_t x = thread->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    thread->random = x;
    return x * 0x2545F4914F6CDD1Du;
}

// A number below `limit`, without a division.
static inline uint32_t block_random_below(struct load_thread *thread, uint32_t limit) {
    return (uint32_t)((block_random(thread) >> 32) * limit >> 32);
}

static inline uint32_t block_random_size(struct load_thread *thread) {
    const struct load_row *row = thread->run->row;
    return row->least_bytes + block_random_below(thread, row->most_bytes - row->least_bytes);
}

// Memory mode, out of line.
void block_write_all(struct load_thread *thread, const struct load_block *block);
void block_verify_all(struct load_thread *thread, const struct load_block *block);
void block_count_live(struct load_run *run, int64_t bytes);
// Speed mode, one block in 256.
void block_verify_touched(struct load_thread *thread, const struct load_block *block,
                          enum load_touch touch);

static inline void block_touch(const struct load_block *block, enum load_touch touch) {
    char *bytes = block->address;
    switch (touch) {
    case LOAD_TOUCH_TWO_BYTES:
        ((volatile char *)bytes)[0] = (char)block->stamp;
        if (block->bytes > 1)
            ((volatile char *)bytes)[1] = (char)(block->stamp >> 8);
        break;
    case LOAD_TOUCH_128_BYTES:
        memset(bytes, (int)(block->stamp & 0xFF), block->bytes < 128 ? block->bytes : 128);
        break;
    case LOAD_TOUCH_WORD_PER_PAGE:
        for (uint32_t at = 0; at + sizeof block->stamp <= block->bytes; at += BLOCK_OS_PAGE_BYTES)
            *(volatile uint32_t *)(void *)(bytes + at) = block->stamp;
        break;
    }
}

// No locked instruction: nobody else writes it.
static inline void block_count(struct load_thread *thread) {
    atomic_store_explicit(&thread->operations, load_operations(thread) + 1, memory_order_relaxed);
}

// A block that has just been allocated: counted, stamped and written to.
static inline struct load_block block_begin(struct load_thread *thread, void *address,
                                            uint32_t bytes, enum load_touch touch) {
    if (!address)
        load_fail(thread->run, "no memory");
    block_count(thread);
    uint32_t stamp = ((uint32_t)load_operations(thread) * 64 + thread->number) * 0x9E3779B1u;
    struct load_block block = {address, bytes, stamp};
    if (thread->memory)
        block_write_all(thread, &block);
    else
        block_touch(&block, touch);
    return block;
}

static inline struct load_block block_new(struct load_thread *thread, uint32_t bytes,
                                          enum load_touch touch) {
    return block_begin(thread, malloc(bytes), bytes, touch);
}

static inline void block_check(struct load_thread *thread, const struct load_block *block,
                               enum load_touch touch) {
    if (thread->memory)
        block_verify_all(thread, block);
    else if (block->stamp >> 24 == 0)
        block_verify_touched(thread, block, touch);
}

static inline void block_free(struct load_thread *thread, struct load_block *block,
                              enum load_touch touch) {
    block_check(thread, block, touch);
    free(block->address);
    block->address = NULL;
}

// Frees the block, the `index`th of its kind, or keeps it until the rest is over.
void block_retire(struct load_thread *thread, struct load_block *block, size_t index);

#endif
