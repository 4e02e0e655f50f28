// real_map_call.c: every single call by which MF2 asks the system for memory fails in turn, alone
// or with all that follow. What then fails returns NULL with ENOMEM, what lives stays as it was,
// and afterwards everything is possible again, and nothing is lost.
//
// The program's own mmap stands before the C library's: MF2 calls it, the C library does not.
#include "real_test.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BLOCKS 400

// From the start everything fails: MF2's first allocations are before main. Volatile: the C library
// promises the compiler that malloc calls nothing of this file.
static volatile long calls, failed_calls;
static volatile long first_to_fail, to_fail = LONG_MAX;

__attribute__((visibility("default"))) void *mmap(void *place, size_t bytes, int protection,
                                                  int flags, int file, off_t offset) {
    if (flags & MAP_FIXED_NOREPLACE) { // MF2's growth
        long call = calls++;
        if (call >= first_to_fail && call - first_to_fail < to_fail) {
            failed_calls++;
            errno = ENOMEM;
            return MAP_FAILED;
        }
    }
    return (void *)syscall(SYS_mmap, place, bytes, protection, flags, file, offset);
}

static void fail(long first, long count) {
    calls = 0;
    failed_calls = 0;
    first_to_fail = first;
    to_fail = count;
}

static struct {
    unsigned char *start;
    size_t bytes;
} blocks[BLOCKS];

static size_t bytes_of(size_t i) {
    static const size_t sizes[] = {40, 70000, 3000, 1500000, 16, 9000, 600000, 120000, 32000};
    return sizes[i % 9] + i;
}

static size_t touched(size_t bytes) {
    return bytes < 5000 ? bytes : 5000;
}

// NULL is allowed if a call has just failed.
static void *expect(void *block, long failed_before) {
    FACT(block || (failed_calls > failed_before && errno == ENOMEM));
    return block;
}

static void *take_some_way(size_t i, size_t bytes) {
    void *block = NULL;
    switch (i % 6) {
    case 0:
        block = calloc(1, bytes);
        FACT(!block || is_zero(block, touched(bytes)));
        return block;
    case 1:
        return aligned_alloc(4096, bytes);
    case 2:
        errno = posix_memalign(&block, 1 << 17, bytes);
        return block;
    case 3:
        return realloc(NULL, bytes);
    default:
        return malloc(bytes);
    }
}

static void take(size_t i) {
    long before = failed_calls;
    errno = 0;
    blocks[i].bytes = bytes_of(i);
    blocks[i].start = expect(take_some_way(i, blocks[i].bytes), before);
    if (blocks[i].start)
        fill(blocks[i].start, touched(blocks[i].bytes), (unsigned)i);
}

static void grow(size_t i) {
    long before = failed_calls;
    size_t had = blocks[i].bytes, bytes = had * 2 + 40000;
    if (!blocks[i].start)
        return;
    errno = 0;
    unsigned char *bigger = expect(realloc(blocks[i].start, bytes), before);
    unsigned char *now = bigger ? bigger : blocks[i].start;
    FACT(is_filled(now, touched(had), (unsigned)i));
    blocks[i].start = now;
    blocks[i].bytes = bigger ? bytes : had;
    fill(now, touched(blocks[i].bytes), (unsigned)i);
}

static void give(size_t i) {
    if (blocks[i].start)
        FACT(is_filled(blocks[i].start, touched(blocks[i].bytes), (unsigned)i));
    free(blocks[i].start);
    blocks[i].start = NULL;
}

// A thread needs a slot, which may need memory.
static void *other_thread(void *argument) {
    (void)argument;
    long before = failed_calls;
    errno = 0;
    free(expect(malloc(5000), before));
    return NULL;
}

static void run(void) {
    pthread_t threads[8];
    size_t started = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        take(i);
        if (i % 11 == 5)
            grow(i);
        if (i % 3 == 0)
            give(i / 3);
        if (i % 50 == 7)
            FACT(pthread_create(&threads[started++], NULL, other_thread, NULL) == 0);
        if (i % 50 == 8)
            pthread_join(threads[started - 1], NULL);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        give(i);
}

static void run_and_run_again(long first, long count) {
    fail(first, count);
    run();
    FACT(failed_calls > 0);
    fail(0, 0);
    run();
    malloc_trim(0);
    struct mallinfo2 info = mallinfo2();
    FACT(info.hblkhd == 0 && info.arena < 4 << 20);
    fail(0, 0);
    run();
    FACT(calls == 0); // the memory of the run before serves
}

static void run_child(long first, long count) {
    pid_t child = fork();
    if (child == 0) {
        run_and_run_again(first, count);
        _exit(failures != 0);
    }
    int status;
    FACT(waitpid(child, &status, 0) == child);
    FACT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (failures) {
        fprintf(stderr, "call %ld failed, %s\n", first, count == 1 ? "alone" : "and all after it");
        exit(1);
    }
}

static void nothing_can_be_had_at_first(void) {
    FACT(failed_calls > 0);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        FACT(!malloc(10) && errno == ENOMEM);
        errno = 0;
        FACT(!calloc(100, 1000) && errno == ENOMEM);
    }
    free(NULL);
    FACT(mallinfo2().arena == 0);
}

int main(void) {
    void *probe = malloc(1);
    FACT(!probe);
    nothing_can_be_had_at_first();
    fail(0, 0);
    require_library();
    void *block = malloc(100);
    FACT(block);
    free(block);
    pid_t child = fork(); // how many calls there are
    if (child == 0) {
        fail(0, 0);
        run();
        _exit(calls < 250 ? (int)calls : 250);
    }
    int status = 0;
    waitpid(child, &status, 0);
    long all = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    FACT(all > 15 && all < 250);
    for (long first = 0; first < all; first++) {
        run_child(first, 1);
        run_child(first, LONG_MAX);
    }
    printf("%ld calls, each failed alone and with all after it\n", all);
    return failures != 0;
}
