// block.c: see block.h.
#include "block.h"

static uint64_t word_of(const struct load_block *block) {
    return (uint64_t)block->bytes << 32 | block->stamp;
}

static char filling_of(const struct load_block *block) {
    return (char)(block->stamp >> 16);
}

void block_count_live(struct load_run *run, int64_t bytes) {
    int64_t live = atomic_fetch_add(&run->live_bytes, bytes) + bytes;
    int64_t peak = atomic_load(&run->live_bytes_peak);
    while (live > peak && !atomic_compare_exchange_weak(&run->live_bytes_peak, &peak, live))
        continue;
}

// One byte repeated, with the block's word at both ends where there is room.
void block_write_all(struct load_thread *thread, const struct load_block *block) {
    char *bytes = block->address;
    uint64_t word = word_of(block);
    memset(bytes, filling_of(block), block->bytes);
    if (block->bytes >= 2 * sizeof word) {
        memcpy(bytes, &word, sizeof word);
        memcpy(bytes + block->bytes - sizeof word, &word, sizeof word);
    }
    block_count_live(thread->run, block->bytes);
}

void block_verify_all(struct load_thread *thread, const struct load_block *block) {
    const char *bytes = block->address;
    uint64_t first = word_of(block), last = first;
    if (block->bytes >= 2 * sizeof first) {
        memcpy(&first, bytes, sizeof first);
        memcpy(&last, bytes + block->bytes - sizeof last, sizeof last);
    }
    bool is_whole = first == word_of(block) && last == first;
    if (block->bytes > 2 * sizeof first || block->bytes < 2 * sizeof first)
        is_whole = is_whole && bytes[block->bytes / 2] == filling_of(block);
    if (!is_whole)
        load_fail(thread->run, "a block does not hold what was written to it");
    thread->checked++;
    thread->checksum += (first ^ first >> 29) * 0x9E3779B97F4A7C15u;
    block_count_live(thread->run, -(int64_t)block->bytes);
}

void block_verify_touched(struct load_thread *thread, const struct load_block *block,
                          enum load_touch touch) {
    const char *bytes = block->address;
    uint32_t stamp = block->stamp;
    bool is_whole = true;
    if (touch == LOAD_TOUCH_WORD_PER_PAGE && block->bytes >= sizeof stamp)
        is_whole = memcmp(bytes, &stamp, sizeof stamp) == 0;
    else if (touch != LOAD_TOUCH_WORD_PER_PAGE)
        is_whole = bytes[0] == (char)stamp;
    if (!is_whole)
        load_fail(thread->run, "a block does not hold what was written to it");
    thread->checked++;
}

void block_retire(struct load_thread *thread, struct load_block *block, size_t index) {
    if (!block->address)
        return;
    bool keeps = thread->memory && thread->run->row->keeps && index % LOAD_KEEP == 0;
    if (!keeps || thread->kept_count == thread->kept_limit) {
        block_free(thread, block, thread->run->row->touch);
        return;
    }
    thread->kept[thread->kept_count++] = *block;
    block->address = NULL;
}
