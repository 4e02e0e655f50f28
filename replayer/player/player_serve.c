// player_serve.c: who serves the calls: the allocator that is loaded, or nobody.
#include "player_internal.h"

#include "player_os.h"

#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---------------------------------------------------------------- the allocator

static void *aligned(size_t alignment, size_t size) {
    void *block = NULL;
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
}

static bool comes_from_library(struct player_board *board, const char *name, void *function) {
    const char *from;
    if (board->options.library[0] == '\0' ||
        player_os_comes_from(function, board->options.library, &from))
        return true;
    snprintf(board->failure_text, sizeof board->failure_text,
             "expected an allocator: %s comes from %s", name, from == NULL ? "nowhere" : from);
    return false;
}

// What the allocator calls itself, where it has a way to say so.
static void ask_version(char *text, size_t size) {
    void *symbol;
    const char *version = NULL;
    size_t length = sizeof version;
    if ((symbol = player_os_symbol("mi_version")) != NULL) {
        int number = ((int (*)(void))symbol)();
        if (number >= 10000)
            snprintf(text, size, "mimalloc %d.%d.%d", number / 10000, number / 100 % 100,
                     number % 100);
        else
            snprintf(text, size, "mimalloc %d.%d.%d", number / 100, number / 10 % 10, number % 10);
    } else if ((symbol = player_os_symbol("tc_version")) != NULL) {
        int major, minor;
        const char *patch;
        snprintf(text, size, "%s",
                 ((const char *(*)(int *, int *, const char **))symbol)(&major, &minor, &patch));
    } else if ((symbol = player_os_symbol("mallctl")) != NULL &&
               ((int (*)(const char *, void *, size_t *, void *, size_t))symbol)(
                   "version", &version, &length, NULL, 0) == 0) {
        snprintf(text, size, "jemalloc %s", version);
    }
}

bool player_serve_allocator(struct player_board *board, struct player_calls *calls) {
    void *usable_size = player_os_symbol("malloc_usable_size");
    if (!comes_from_library(board, "malloc", player_os_symbol("malloc")) ||
        !comes_from_library(board, "calloc", player_os_symbol("calloc")) ||
        !comes_from_library(board, "realloc", player_os_symbol("realloc")) ||
        !comes_from_library(board, "free", player_os_symbol("free")) ||
        (board->options.has_aligned &&
         !comes_from_library(board, "posix_memalign", player_os_symbol("posix_memalign"))))
        return false;
    *calls = (struct player_calls){malloc, calloc, aligned, realloc, free, NULL};
    if (comes_from_library(board, "malloc_usable_size", usable_size))
        calls->usable_size = (size_t(*)(void *))usable_size;
    board->failure_text[0] = '\0';
    if (board->options.library[0] == '\0')
        snprintf(board->version, sizeof board->version, "glibc %s", gnu_get_libc_version());
    else
        ask_version(board->version, sizeof board->version);
    return true;
}

// ---------------------------------------------------------------- nobody

#define MIRRORED_BYTES ((uint64_t)16 << 20)

static char *all_blocks;

static void *no_malloc(size_t size) {
    (void)size;
    return all_blocks;
}
static void *no_calloc(size_t count, size_t size) {
    (void)count, (void)size;
    return all_blocks;
}
static void *no_aligned(size_t alignment, size_t size) {
    (void)alignment, (void)size;
    return all_blocks;
}
static void *no_realloc(void *block, size_t size) {
    (void)size;
    return block;
}
static void no_free(void *block) {
    (void)block;
}
static size_t no_usable_size(void *block) {
    (void)block;
    return 0;
}

bool player_serve_nothing(uint64_t block_bytes_max, struct player_calls *calls) {
    *calls = (struct player_calls){no_malloc,  no_calloc, no_aligned,
                                   no_realloc, no_free,   no_usable_size};
    all_blocks = block_bytes_max <= MIRRORED_BYTES
                     ? player_os_map(block_bytes_max)
                     : player_os_map_mirrored(block_bytes_max, MIRRORED_BYTES);
    return all_blocks != NULL;
}
