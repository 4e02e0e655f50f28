// preload_pool.c: the memory that the dynamic linker allocates on our behalf.
//
// Owns: a static arena with one free list per power of two. dlsym, dlopen and the lazy TLS of
// libunwind call malloc; serving them from here keeps the program's heap as it would be without
// us, and keeps those calls out of the trace. Such a block may be freed by anyone at any time,
// which is why free and realloc ask rec_pool_owns first.
//
// Threads: lock-free, so that a signal handler or a fork child never waits for a list. A list head
// carries a tag against the ABA problem.
#include "libhakrec.h"

#include <string.h>

enum { CLASS_COUNT = 16, BLOCK_BYTES_MIN = 64, POOL_BYTES = 8 << 20 };

// Before each block: which class it is of.
struct block_header {
    uint32_t class;
    uint32_t next; // offset of the next free block's header / 16, while free
    uint64_t reserved;
};
static_assert(sizeof(struct block_header) == 16, "blocks keep malloc's alignment");

_Alignas(4096) char rec_pool_memory[POOL_BYTES];
const size_t rec_pool_bytes = POOL_BYTES;

static _Atomic uint64_t bump_bytes = 16;         // offset 0 stands for "none"
static _Atomic uint64_t free_lists[CLASS_COUNT]; // tag << 32 | offset / 16

static struct block_header *header_at(uint64_t offset) {
    return (struct block_header *)(rec_pool_memory + offset);
}

static size_t class_bytes(uint32_t class) {
    return (size_t)BLOCK_BYTES_MIN << class;
}

static uint32_t class_of(size_t bytes) {
    uint32_t class = 0;
    while (class < CLASS_COUNT && class_bytes(class) < bytes)
        class ++;
    return class;
}

static struct block_header *pop(uint32_t class) {
    uint64_t head = atomic_load_explicit(&free_lists[class], memory_order_acquire);
    while ((uint32_t)head != 0) {
        struct block_header *block = header_at((uint64_t)(uint32_t)head * 16);
        uint64_t next = ((head >> 32) + 1) << 32 | block->next;
        if (atomic_compare_exchange_weak_explicit(&free_lists[class], &head, next,
                                                  memory_order_acquire, memory_order_acquire))
            return block;
    }
    return NULL;
}

static struct block_header *carve(uint32_t class) {
    uint64_t bytes = sizeof(struct block_header) + class_bytes(class);
    uint64_t offset = atomic_fetch_add_explicit(&bump_bytes, bytes, memory_order_relaxed);
    if (offset + bytes > POOL_BYTES)
        return NULL;
    header_at(offset)->class = class;
    return header_at(offset);
}

// An aligned block is the middle of a greater one; free finds the header through a mark that no
// class number can be.
enum { ALIGNED_MARK = 0x80000000u };

void *rec_pool_allocate(size_t size_bytes, size_t align_bytes) {
    size_t slack = align_bytes > 16 ? align_bytes : 0;
    if (size_bytes > POOL_BYTES || slack > POOL_BYTES)
        return NULL;
    uint32_t class = class_of(size_bytes + slack);
    if (class == CLASS_COUNT)
        return NULL;
    struct block_header *header = pop(class);
    if (header == NULL)
        header = carve(class);
    if (header == NULL)
        return NULL;
    memset(header + 1, 0, class_bytes(class));
    if (slack == 0)
        return header + 1;
    uintptr_t first = (uintptr_t)(header + 1);
    uintptr_t aligned = (first + slack) & ~(uintptr_t)(slack - 1);
    struct block_header *mark = (struct block_header *)aligned - 1;
    if (mark != header)
        *mark = (struct block_header){.class = ALIGNED_MARK | class,
                                      .next = (uint32_t)((aligned - first) / 16)};
    return (void *)aligned;
}

static struct block_header *header_of(const void *block) {
    struct block_header *header = (struct block_header *)(uintptr_t)block - 1;
    if ((header->class & ALIGNED_MARK) != 0)
        header -= header->next;
    return header;
}

void rec_pool_free(void *block) {
    struct block_header *header = header_of(block);
    uint64_t offset = (uint64_t)((char *)header - rec_pool_memory) / 16;
    uint64_t head = atomic_load_explicit(&free_lists[header->class], memory_order_relaxed);
    do {
        header->next = (uint32_t)head;
    } while (!atomic_compare_exchange_weak_explicit(&free_lists[header->class], &head,
                                                    ((head >> 32) + 1) << 32 | offset,
                                                    memory_order_release, memory_order_relaxed));
}

size_t rec_pool_usable(const void *block) {
    const struct block_header *header = header_of(block);
    return class_bytes(header->class) - (size_t)((const char *)block - (const char *)(header + 1));
}
