// real_limits.c: at a limit of address space or data, every call that finds no memory returns NULL
// with ENOMEM and leaves what there is untouched; after a free the program goes on.
//
//   real_limits LIMIT_KIB as|data        sets RLIMIT_AS or RLIMIT_DATA and executes itself
//   real_limits LIMIT_KIB as|data later  sets it when the allocator has long begun
//
// This fails maps where the limit happens to be met; real_failing_map fails each in turn.
#include "real_test.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define BLOCKS_MAX 400000

static void *blocks[BLOCKS_MAX];
static const size_t sizes[] = {24, 500, 3000, 20000, 100000, 1500000};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static unsigned key_of(size_t i) {
    return (unsigned)i;
}

static void *by_turns(size_t i, size_t bytes) {
    void *block = NULL;
    switch (i % 5) {
    case 0:
        return malloc(bytes);
    case 1:
        return calloc(1, bytes);
    case 2:
        return aligned_alloc(64, bytes);
    case 3:
        errno = posix_memalign(&block, 256, bytes);
        return block;
    default:
        return realloc(malloc(8), bytes); // the small one is lost when this fails: on purpose
    }
}

static size_t fill_up(size_t bytes) {
    size_t count = 0;
    while (count < BLOCKS_MAX) {
        errno = 0;
        blocks[count] = by_turns(count, bytes);
        if (!blocks[count]) {
            FACT(errno == ENOMEM);
            break;
        }
        fill(blocks[count], bytes < 256 ? bytes : 256, key_of(count));
        count++;
    }
    return count;
}

static void check_and_free(size_t count, size_t bytes) {
    for (size_t i = 0; i < count; i++) {
        FACT(is_filled(blocks[i], bytes < 256 ? bytes : 256, key_of(i)));
        free(blocks[i]);
    }
}

static void a_refused_realloc_keeps_the_block(size_t count, size_t bytes) {
    if (!count)
        return;
    errno = 0;
    void *bigger = realloc(blocks[count - 1], (size_t)1 << 40);
    FACT(!bigger && errno == ENOMEM);
    FACT(is_filled(blocks[count - 1], bytes < 256 ? bytes : 256, key_of(count - 1)));
}

// Fills up with one size after the other: the memory that one gives back serves the next. Twice as
// many rounds would show a leak as fewer and fewer blocks.
static size_t rounds(void) {
    size_t counts[2][SIZES];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < SIZES; i++) {
            counts[round][i] = fill_up(sizes[i]);
            a_refused_realloc_keeps_the_block(counts[round][i], sizes[i]);
            check_and_free(counts[round][i], sizes[i]);
        }
    size_t most = 0;
    for (int i = 0; i < SIZES; i++) {
        size_t first = counts[0][i], second = counts[1][i];
        if (second + 16 + first / 4 < first)
            fprintf(stderr, "%zu bytes: %zu blocks at first, %zu in the end\n", sizes[i], first,
                    second);
        FACT(second + 16 + first / 4 >= first);
        most = first * sizes[i] > most ? first * sizes[i] : most;
    }
    return most;
}

static void *fill_and_free(void *argument) {
    void **own = argument;
    for (int round = 0; round < 30; round++) {
        size_t count = 0;
        while (count < BLOCKS_MAX / 4 && (own[count] = malloc(3000))) {
            fill(own[count], 64, (unsigned)count);
            count++;
        }
        for (size_t i = 0; i < count; i++) {
            FACT(is_filled(own[i], 64, (unsigned)i));
            free(own[i]);
        }
    }
    return NULL;
}

static void threads_at_the_limit(void) {
    pthread_t threads[4];
    int started = 0;
    while (started < 4 && pthread_create(&threads[started], NULL, fill_and_free,
                                         &blocks[started * (BLOCKS_MAX / 4)]) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

static void limit_self(const char *what, rlim_t bytes) {
    struct rlimit limit = {bytes, bytes};
    if (setrlimit(strcmp(what, "data") == 0 ? RLIMIT_DATA : RLIMIT_AS, &limit) != 0) {
        perror("setrlimit");
        exit(2);
    }
}

// The allocator has not taken what is the program's to use.
static void the_program_can_map(void) {
    void *own = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FACT(own != MAP_FAILED);
    munmap(own, 1 << 20);
}

int main(int argc, char **argv) {
    require_library();
    const char *when = argc == 4 ? argv[3] : "first";
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: real_limits LIMIT_KIB as|data [later]\n");
        return 2;
    }
    if (strcmp(when, "limited") != 0) {
        free(malloc(100));
        limit_self(argv[2], strtoull(argv[1], NULL, 10) << 10);
    }
    if (strcmp(when, "first") == 0) {
        execl(argv[0], argv[0], argv[1], argv[2], "limited", (char *)NULL);
        return 2;
    }
    the_program_can_map();
    size_t most = rounds();
    threads_at_the_limit();
    size_t after = rounds();
    printf("%s KiB of %s: %zu KiB in blocks at first, %zu after threads\n", argv[1], argv[2],
           most >> 10, after >> 10);
    FACT(most > 0);
    return failures != 0;
}
