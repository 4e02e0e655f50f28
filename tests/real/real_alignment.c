// real_alignment.c: every alignment from 8 bytes to 64 MiB with every kind of size: aligned, usable
// to its end, apart from the other live ones, and an ordinary block afterwards.
#include "real_test.h"

#include <malloc.h>

#define ALIGNMENT_MAX ((size_t)64 << 20)
#define LIVE          64

static const size_t sizes[] = {0,     1,     8,     15,    16,    17,    64,     100,    1000,
                               1024,  4095,  4096,  4097,  8192,  9360,  16384,  30000,  32768,
                               32769, 50000, 65535, 65536, 65537, 99999, 131072, 262144, 1000000};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

struct live {
    unsigned char *block;
    size_t bytes;
    unsigned key;
};

static void check(const struct live *live) {
    if (live->block)
        FACT(is_filled(live->block, live->bytes, live->key));
}

// The newest LIVE blocks are live at any time, so that an overlap is seen.
static struct live ring[LIVE];
static unsigned made;

static void keep(unsigned char *block, size_t bytes) {
    struct live *live = &ring[made % LIVE];
    check(live);
    free(live->block);
    *live = (struct live){block, bytes, made++};
    fill(block, bytes, live->key);
}

static void *by(int how, size_t alignment, size_t bytes) {
    void *block = NULL;
    switch (how) {
    case 0:
        return aligned_alloc(alignment, bytes);
    case 1:
        return memalign(alignment, bytes);
    default:
        return posix_memalign(&block, alignment, bytes) == 0 ? block : NULL;
    }
}

static void every_size_at(size_t alignment) {
    for (int i = 0; i < SIZES; i++)
        for (int how = 0; how < 3; how++) {
            unsigned char *block = by(how, alignment, sizes[i]);
            FACT(block != NULL);
            FACT((uintptr_t)block % alignment == 0);
            FACT(malloc_usable_size(block) >= sizes[i]);
            keep(block, sizes[i]);
        }
}

static void an_aligned_block_can_grow(size_t alignment) {
    for (int i = 0; i + 1 < SIZES; i++) {
        unsigned char *block = by(0, alignment, sizes[i]);
        fill(block, sizes[i], 77);
        block = realloc(block, sizes[i + 1]);
        FACT(block && is_filled(block, sizes[i], 77));
        free(block);
    }
}

int main(void) {
    require_library();
    for (size_t alignment = 8; alignment <= ALIGNMENT_MAX; alignment *= 2) {
        every_size_at(alignment);
        an_aligned_block_can_grow(alignment);
    }
    for (int i = 0; i < LIVE; i++) {
        check(&ring[i]);
        free(ring[i].block);
    }
    return failures != 0;
}
