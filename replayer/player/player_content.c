// player_content.c: contents of blocks, in the play that checks them: whatever an allocator does
// wrong with memory (blocks that overlap, blocks given out twice, a realloc that loses bytes, a
// calloc that is not zero) shows as a block whose contents are not what was put there.
//
// A block of up to WHOLE_BYTES is filled and looked at whole; of a larger one only both ends, since
// nobody asked that it all be resident.
#include "player_internal.h"

#include <inttypes.h>
#include <string.h>

#define WHOLE_BYTES (64u << 10)
#define END_BYTES   4096u

// Another for every block ever filled, and odd, so that no byte pattern of zeros is one.
static uint64_t new_mark(void) {
    static _Thread_local uint64_t serial;
    return ((uintptr_t)player_self + ++serial * UINT64_C(0x9E3779B97F4A7C15)) | 1;
}

static void fill(char *from, uint64_t size, uint64_t mark) {
    for (; size >= sizeof mark; from += sizeof mark, size -= sizeof mark)
        memcpy(from, &mark, sizeof mark);
    memcpy(from, &mark, size);
}

// Offset of the first byte that is not as filled; `size` if all are.
static uint64_t first_strange(const char *from, uint64_t size, uint64_t mark) {
    uint64_t at = 0;
    while (size - at >= sizeof mark && memcmp(from + at, &mark, sizeof mark) == 0)
        at += sizeof mark;
    const char *bytes = (const char *)&mark;
    while (at < size && from[at] == bytes[at % sizeof mark])
        at++;
    return at;
}

static void must_be(const void *block, uint64_t from, uint64_t size, uint64_t mark,
                    const char *when) {
    uint64_t at = first_strange((const char *)block + from, size, mark);
    if (at < size)
        player_fail(PLAYER_FAILURE_BLOCK, from + at,
                    "block %p: byte %" PRIu64 " is not what the program wrote there, %s", block,
                    from + at, when);
}

// The last part starts at a multiple of the mark's length, so that the mark's bytes fall as in
// fill.
static uint64_t last_part(uint64_t size) {
    return (size - END_BYTES) & ~(uint64_t)(sizeof(uint64_t) - 1);
}

void player_content_fill(struct player_content *content, void *block, uint64_t size,
                         uint64_t alignment, bool zero) {
    if (((uintptr_t)block & (alignment - 1)) != 0)
        player_fail(PLAYER_FAILURE_BLOCK, alignment, "block %p: expected a multiple of %" PRIu64,
                    block, alignment);
    *content = (struct player_content){size, new_mark()};
    uint64_t head = size <= WHOLE_BYTES ? size : END_BYTES;
    if (zero)
        must_be(block, 0, head, 0, "but calloc must give zeros");
    fill(block, head, content->mark);
    if (head < size)
        fill((char *)block + last_part(size), size - last_part(size), content->mark);
}

void player_content_check(const struct player_content *content, const void *block, uint64_t size,
                          const char *when) {
    bool whole = content->size <= WHOLE_BYTES;
    must_be(block, 0, !whole && size > END_BYTES ? END_BYTES : size, content->mark, when);
    if (!whole && size == content->size)
        must_be(block, last_part(size), size - last_part(size), content->mark, when);
}
