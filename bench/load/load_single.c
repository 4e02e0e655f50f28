// load_single.c: one thread, no hand-over: small objects, realloc, calloc, aligned and large
// blocks.
#include "block.h"

// Questions to the clock's flag are this many operations apart, or a large block each.
#define OPERATIONS_PER_ROUND 1024

static struct load_block *slots_of(const struct load_thread *thread) {
    return thread->run->work;
}

static void single_set_up(struct load_run *run) {
    run->work = load_map(run->slots * sizeof(struct load_block));
}

static void single_body(struct load_thread *thread) {
    thread->run->row->single(thread);
}

static void single_retire(struct load_thread *thread) {
    for (uint32_t i = 0; i < thread->run->slots; i++)
        block_retire(thread, &slots_of(thread)[i], i);
}

const struct load_family load_single = {single_set_up, NULL, NULL, single_body, single_retire};

// ---------------------------------------------------------------- small objects

// All slots are filled and then emptied, last first, over and over: a stack of objects.
void single_stack(struct load_thread *thread) {
    struct load_block *blocks = slots_of(thread);
    uint32_t slots = thread->run->slots;
    while (load_more(thread)) {
        for (uint32_t i = 0; i < slots; i++)
            blocks[i] = block_new(thread, block_random_size(thread), LOAD_TOUCH_TWO_BYTES);
        for (uint32_t i = slots; i > 0; i--)
            block_free(thread, &blocks[i - 1], LOAD_TOUCH_TWO_BYTES);
    }
}

// A complete binary tree whose nodes are blocks: built root first, freed leaves first.
struct node {
    struct node *left, *right;
    uint64_t key, opposite;
};

static struct node *new_tree(struct load_thread *thread, uint32_t levels) {
    if (levels == 0)
        return NULL;
    struct node *node = malloc(sizeof *node);
    if (!node)
        load_fail(thread->run, "no memory");
    block_count(thread);
    node->key = load_operations(thread);
    node->opposite = ~node->key;
    if (thread->memory)
        block_count_live(thread->run, sizeof *node);
    node->left = new_tree(thread, levels - 1);
    node->right = new_tree(thread, levels - 1);
    return node;
}

static void free_tree(struct load_thread *thread, struct node *node) {
    if (!node)
        return;
    free_tree(thread, node->left);
    free_tree(thread, node->right);
    if (node->opposite != ~node->key)
        load_fail(thread->run, "a node does not hold what was written to it");
    thread->checked++;
    if (thread->memory) {
        thread->checksum += node->key;
        block_count_live(thread->run, -(int64_t)sizeof *node);
    }
    free(node);
}

// As many levels as give the row's slots.
void single_tree(struct load_thread *thread) {
    uint32_t levels = 0;
    while (thread->run->slots >> levels)
        levels++;
    while (load_more(thread))
        free_tree(thread, new_tree(thread, levels - 1));
}

// ---------------------------------------------------------------- slots replaced at random

static struct load_block *random_slot(struct load_thread *thread) {
    return &slots_of(thread)[block_random_below(thread, thread->run->slots)];
}

static inline __attribute__((always_inline)) void
replace(struct load_thread *thread, struct load_block *block,
        struct load_block (*fresh)(struct load_thread *thread)) {
    if (block->address)
        block_free(thread, block, thread->run->row->touch);
    *block = fresh(thread);
}

// All slots are filled, then replaced at random.
static inline __attribute__((always_inline)) void
replace_at_random(struct load_thread *thread, struct load_block (*fresh)(struct load_thread *)) {
    for (uint32_t i = 0; i < thread->run->slots; i++)
        replace(thread, &slots_of(thread)[i], fresh);
    while (load_more(thread))
        for (uint32_t i = 0; i < OPERATIONS_PER_ROUND; i++)
            replace(thread, random_slot(thread), fresh);
}

// Most objects are small: the size falls off as the square of a random number.
static struct load_block fresh_skewed(struct load_thread *thread) {
    const struct load_row *row = thread->run->row;
    uint64_t drawn = block_random(thread) >> 40; // 24 bits
    uint32_t bytes = row->least_bytes +
                     (uint32_t)((drawn * drawn >> 24) * (row->most_bytes - row->least_bytes) >> 24);
    return block_new(thread, bytes, LOAD_TOUCH_TWO_BYTES);
}

void single_objects(struct load_thread *thread) {
    replace_at_random(thread, fresh_skewed);
}

static bool is_zero(const char *bytes, size_t count) {
    return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static struct load_block fresh_zeroed(struct load_thread *thread) {
    uint32_t bytes = block_random_size(thread);
    char *address = calloc(1, bytes);
    if (address && !is_zero(address, thread->memory ? bytes : sizeof(uint64_t)))
        load_fail(thread->run, "calloc gave a block that is not zero");
    return block_begin(thread, address, bytes, LOAD_TOUCH_WORD_PER_PAGE);
}

void single_calloc(struct load_thread *thread) {
    replace_at_random(thread, fresh_zeroed);
}

static struct load_block fresh_aligned(struct load_thread *thread) {
    size_t alignment = (size_t)16 << block_random_below(thread, 9); // 16 to 4096
    uint32_t bytes = block_random_size(thread);
    void *address = NULL;
    if (posix_memalign(&address, alignment, bytes) != 0)
        address = NULL;
    if ((uintptr_t)address % alignment != 0)
        load_fail(thread->run, "posix_memalign gave a block that is not aligned");
    return block_begin(thread, address, bytes, LOAD_TOUCH_WORD_PER_PAGE);
}

void single_aligned(struct load_thread *thread) {
    replace_at_random(thread, fresh_aligned);
}

// The size's logarithm is spread evenly.
static struct load_block fresh_large(struct load_thread *thread) {
    const struct load_row *row = thread->run->row;
    uint32_t doublings = 0;
    while (row->least_bytes << (doublings + 1) <= row->most_bytes)
        doublings++;
    uint32_t least = row->least_bytes << block_random_below(thread, doublings);
    return block_new(thread, least + block_random_below(thread, least), LOAD_TOUCH_WORD_PER_PAGE);
}

void single_large(struct load_thread *thread) {
    for (uint32_t i = 0; i < thread->run->slots; i++)
        slots_of(thread)[i] = fresh_large(thread);
    while (load_more(thread))
        replace(thread, random_slot(thread), fresh_large);
}

// ---------------------------------------------------------------- realloc

// Grows by half and 16 bytes. What was written before must still be there at both ends.
static void grow(struct load_thread *thread, struct load_block *block) {
    block_check(thread, block, LOAD_TOUCH_WORD_PER_PAGE);
    uint32_t bytes = block->bytes + block->bytes / 2 + 16;
    uint32_t stamp = block->stamp;
    char *address = realloc(block->address, bytes);
    if (address && memcmp(address, &stamp, sizeof stamp) != 0)
        load_fail(thread->run, "realloc lost what was written");
    *block = block_begin(thread, address, bytes, LOAD_TOUCH_WORD_PER_PAGE);
}

// Buffers grow from the least size to the most, one step of one of them at a time.
void single_realloc(struct load_thread *thread) {
    const struct load_row *row = thread->run->row;
    while (load_more(thread))
        for (uint32_t i = 0; i < OPERATIONS_PER_ROUND; i++) {
            struct load_block *block = random_slot(thread);
            if (block->address && block->bytes < row->most_bytes) {
                grow(thread, block);
                continue;
            }
            if (block->address)
                block_free(thread, block, LOAD_TOUCH_WORD_PER_PAGE);
            *block = block_new(thread, row->least_bytes, LOAD_TOUCH_WORD_PER_PAGE);
        }
}
