// real_entry.c: every entry point of C, POSIX, C23 and glibc does what its standard says of sizes,
// zero, bad arguments, overflow and errno.
#include "real_test.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>

// Weak: the C library of the link may not have them.
#pragma weak free_sized
#pragma weak free_aligned_sized
void free_sized(void *block, size_t bytes);
void free_aligned_sized(void *block, size_t alignment, size_t bytes);
void *__libc_malloc(size_t bytes);
void __libc_free(void *block);
void *__libc_memalign(size_t alignment, size_t bytes);

// The compiler must not know what it asks for, or it would answer itself.
static volatile size_t opaque_bytes;
static size_t opaque(size_t bytes) {
    opaque_bytes = bytes;
    return opaque_bytes;
}

#define REFUSED_WITH(error, call)                                                                  \
    do {                                                                                           \
        errno = 0;                                                                                 \
        FACT((call) == NULL);                                                                      \
        FACT(errno == (error));                                                                    \
    } while (0)

static void sizes_beyond_ptrdiff_max_are_refused(void) {
    static const size_t beyond[] = {
        (size_t)PTRDIFF_MAX + 1, SIZE_MAX,         SIZE_MAX - 1,
        SIZE_MAX - 4095,         SIZE_MAX - 65535, SIZE_MAX / 2 + 65536};
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        size_t bytes = opaque(beyond[i]);
        REFUSED_WITH(ENOMEM, malloc(bytes));
        REFUSED_WITH(ENOMEM, calloc(1, bytes));
        REFUSED_WITH(ENOMEM, calloc(bytes, 1));
        REFUSED_WITH(ENOMEM, realloc(NULL, bytes));
        REFUSED_WITH(ENOMEM, reallocarray(NULL, bytes, 1));
        REFUSED_WITH(ENOMEM, aligned_alloc(64, bytes));
        REFUSED_WITH(ENOMEM, memalign(4096, bytes));
        REFUSED_WITH(ENOMEM, valloc(bytes));
        REFUSED_WITH(ENOMEM, pvalloc(bytes));
        void *untouched = &failures;
        FACT(posix_memalign(&untouched, 64, bytes) == ENOMEM);
        FACT(untouched == &failures);
    }
    REFUSED_WITH(ENOMEM, malloc(opaque(PTRDIFF_MAX)));
}

static void products_that_overflow_are_refused(void) {
    static const size_t pairs[][2] = {{SIZE_MAX / 2 + 1, 2},
                                      {2, SIZE_MAX / 2 + 1},
                                      {(size_t)1 << 32, (size_t)1 << 32},
                                      {SIZE_MAX, SIZE_MAX},
                                      {SIZE_MAX / 16 + 2, 16}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t count = opaque(pairs[i][0]), bytes = opaque(pairs[i][1]);
        REFUSED_WITH(ENOMEM, calloc(count, bytes));
        REFUSED_WITH(ENOMEM, reallocarray(NULL, count, bytes));
        char *kept = malloc(100);
        fill(kept, 100, 3);
        REFUSED_WITH(ENOMEM, reallocarray(kept, count, bytes));
        FACT(is_filled(kept, 100, 3));
        free(kept);
    }
}

static void a_failed_realloc_leaves_the_block(void) {
    static const size_t bytes[] = {1, 100, 5000, 40000, 300000};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        char *block = malloc(bytes[i]);
        fill(block, bytes[i], 5);
        REFUSED_WITH(ENOMEM, realloc(block, opaque(PTRDIFF_MAX)));
        REFUSED_WITH(ENOMEM, realloc(block, opaque(SIZE_MAX)));
        FACT(is_filled(block, bytes[i], 5));
        free(block);
    }
}

static void zero_bytes(void) {
    void *one = malloc(opaque(0)), *other = malloc(opaque(0));
    FACT(one && other && one != other);
    free(one);
    free(other);
    void *zeroed = calloc(opaque(0), 8), *aligned = aligned_alloc(4096, opaque(0));
    FACT(zeroed && aligned);
    free(zeroed);
    free(aligned);
    errno = 1234;
    FACT(realloc(malloc(10), opaque(0)) == NULL); // frees it, as glibc does
    FACT(errno == 1234);
    FACT(reallocarray(malloc(10), opaque(0), 5) == NULL);
    void *from_null = realloc(NULL, opaque(0));
    FACT(from_null);
    free(from_null);
    FACT(malloc_usable_size(NULL) == 0);
}

static void bad_alignments_are_refused(void) {
    void *untouched = &failures;
    FACT(posix_memalign(&untouched, 0, 8) == EINVAL);
    FACT(posix_memalign(&untouched, 3, 8) == EINVAL);
    FACT(posix_memalign(&untouched, 4, 8) == EINVAL); // less than a pointer
    FACT(posix_memalign(&untouched, 24, 8) == EINVAL);
    FACT(untouched == &failures);
    REFUSED_WITH(EINVAL, aligned_alloc(opaque(0), 8));
    REFUSED_WITH(EINVAL, aligned_alloc(opaque(24), 8));
    REFUSED_WITH(EINVAL, memalign(opaque(SIZE_MAX), 8));
    REFUSED_WITH(EINVAL, memalign(opaque(SIZE_MAX / 2 + 2), 8));
    REFUSED_WITH(ENOMEM, memalign(opaque(SIZE_MAX / 2 + 1), 8));
    REFUSED_WITH(ENOMEM, aligned_alloc(opaque(SIZE_MAX / 2 + 1), 8));
    void *rounded = memalign(opaque(48), 8); // up to 64, as glibc does
    FACT(rounded && (uintptr_t)rounded % 64 == 0);
    free(rounded);
}

static void free_keeps_errno(void) {
    static const size_t bytes[] = {0, 1, 1000, 32768, 100000, 3 << 20, 64 << 20};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        void *block = malloc(bytes[i]);
        errno = 4321;
        free(block);
        FACT(errno == 4321);
        void *sized = malloc(bytes[i]);
        errno = 4321;
        free_sized(sized, bytes[i]);
        free_sized(NULL, 0);
        free_aligned_sized(aligned_alloc(64, bytes[i]), 64, bytes[i]);
        free_aligned_sized(NULL, 64, 8);
        free(NULL);
        FACT(errno == 4321);
    }
}

static void usable_bytes_are_usable(void) {
    for (size_t bytes = 0; bytes < 600000; bytes += bytes / 9 + 1) {
        unsigned char *block = malloc(bytes);
        size_t usable = malloc_usable_size(block);
        FACT(usable >= bytes && (uintptr_t)block % 16 == 0);
        fill(block, usable, 1);
        unsigned char *neighbour = malloc(bytes);
        fill(neighbour, malloc_usable_size(neighbour), 2);
        FACT(is_filled(block, usable, 1));
        free(neighbour);
        free(block);
    }
}

static void realloc_carries_content_over(void) {
    static const size_t sizes[] = {1,     16,    17,    100,   1024,   4096,    10000,
                                   32768, 32769, 65536, 65537, 200000, 1 << 20, 5 << 20};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    for (size_t from = 0; from < COUNT; from++)
        for (size_t to = 0; to < COUNT; to++) {
            char *block = malloc(sizes[from]);
            fill(block, sizes[from], 9);
            block = realloc(block, sizes[to]);
            size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
            FACT(block && is_filled(block, kept, 9));
            FACT(malloc_usable_size(block) >= sizes[to]);
            fill(block, sizes[to], 4);
            free(block);
        }
}

static void calloc_gives_zero(void) {
    for (int round = 0; round < 3; round++) // the second finds what the first has written
        for (size_t bytes = 1; bytes < 3000000; bytes += bytes / 3 + 1) {
            unsigned char *block = calloc(1, bytes);
            FACT(block && is_zero(block, bytes));
            fill(block, malloc_usable_size(block), 0xFF);
            free(block);
        }
}

static void page_aligned_blocks(void) {
    void *page = valloc(10);
    FACT((uintptr_t)page % 4096 == 0);
    free(page);
    static const size_t bytes[] = {0, 1, 4096, 4097, 100000};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        page = pvalloc(bytes[i]);
        FACT((uintptr_t)page % 4096 == 0);
        FACT(malloc_usable_size(page) >= (bytes[i] + 4095) / 4096 * 4096);
        free(page);
    }
}

static void glibc_names_are_of_the_same_allocator(void) {
    free(__libc_malloc(100));
    __libc_free(malloc(100));
    void *aligned = __libc_memalign(256, 100);
    FACT((uintptr_t)aligned % 256 == 0);
    free(aligned);
    char *copy = strdup("a block of the C library's making");
    free(copy);
}

static void reports_follow_the_heap(void) {
    enum { BLOCKS = 1000, BYTES = 1000 };
    static void *blocks[BLOCKS];
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(BYTES);
    void *large = malloc(10 << 20);
    struct mallinfo2 full = mallinfo2();
    FACT(full.uordblks >= before.uordblks + BLOCKS * BYTES);
    FACT(full.uordblks < before.uordblks + 2 * BLOCKS * BYTES);
    FACT(full.arena == full.uordblks + full.fordblks);
    FACT(full.hblks == before.hblks + 1);
    FACT(full.hblkhd >= before.hblkhd + (10 << 20));
    FACT(mallinfo().hblks == (int)full.hblks);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    free(large);
    struct mallinfo2 empty = mallinfo2();
    FACT(empty.hblks == before.hblks && empty.hblkhd == before.hblkhd);
    // On routes with a graveyard nobody counts what is freed into a full page.
    const char *route = getenv("MF2_ROUTE");
    if (!route || strcmp(route, "best") == 0 || strcmp(route, "home") == 0)
        FACT(empty.uordblks < full.uordblks - BLOCKS * BYTES / 2);
    FACT(empty.uordblks <= full.uordblks);
}

static void malloc_info_is_well_formed(void) {
    char *text = NULL;
    size_t length = 0;
    void *large = malloc(10 << 20);
    FILE *file = open_memstream(&text, &length);
    FACT(malloc_info(1, file) == EINVAL);
    FACT(malloc_info(0, file) == 0);
    fclose(file);
    FACT(strncmp(text, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n", 43) == 0);
    FACT(strstr(text, "<total type=\"mmap\" count=\"1\""));
    FACT(strcmp(text + length - 10, "</malloc>\n") == 0);
    free(text);
    free(large);
}

static void tuning_says_what_it_did(void) {
    FACT(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 0); // MF2 has no such parameter
    int trimmed = malloc_trim(0);
    FACT(trimmed == 0 || trimmed == 1);
}

int main(void) {
    require_library();
    sizes_beyond_ptrdiff_max_are_refused();
    products_that_overflow_are_refused();
    a_failed_realloc_leaves_the_block();
    zero_bytes();
    bad_alignments_are_refused();
    free_keeps_errno();
    usable_bytes_are_usable();
    realloc_carries_content_over();
    calloc_gives_zero();
    page_aligned_blocks();
    glibc_names_are_of_the_same_allocator();
    reports_follow_the_heap();
    malloc_info_is_well_formed();
    tuning_says_what_it_did();
    return failures != 0;
}
