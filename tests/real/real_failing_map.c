// real_failing_map.c: the same run of allocations, again and again, each time with every map
// failing from one call later on (RLIMIT_DATA lowered below what is in use, so that no memory
// becomes writable any more). What then fails returns NULL with ENOMEM, what lives stays as it was,
// and once maps succeed again everything does.
//
//   real_failing_map [--calls=N]     each run is a child process; N runs
//
// The same for the virtual world, where each single map can fail: tests/world.
#include "real_test.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define BLOCKS 300

static struct {
    unsigned char *start;
    size_t bytes;
} blocks[BLOCKS];
static bool maps_fail;

static size_t bytes_of(size_t i) {
    static const size_t sizes[] = {40, 70000, 3000, 33000, 16, 9000, 100, 120000, 32000, 300000};
    return sizes[i % 10] + i;
}

static void let_maps_fail(bool fail) {
    struct rlimit limit;
    getrlimit(RLIMIT_DATA, &limit);
    limit.rlim_cur = fail ? 1 : limit.rlim_max;
    FACT(setrlimit(RLIMIT_DATA, &limit) == 0);
    maps_fail = fail;
}

static void take(size_t i) {
    size_t bytes = bytes_of(i);
    unsigned char *block = NULL;
    errno = 0;
    switch (i % 7) {
    case 0:
        block = calloc(1, bytes);
        FACT(!block || is_zero(block, bytes));
        break;
    case 1:
        block = aligned_alloc(4096, bytes);
        break;
    case 2:
        errno = posix_memalign((void **)&block, 1 << 17, bytes);
        break;
    default:
        block = malloc(bytes);
    }
    FACT(block || (maps_fail && errno == ENOMEM));
    if (block)
        fill(block, bytes, (unsigned)i);
    blocks[i].start = block;
    blocks[i].bytes = bytes;
}

static void grow(size_t i) {
    size_t before = blocks[i].bytes, bytes = before * 2 + 40000;
    if (!blocks[i].start)
        return;
    errno = 0;
    unsigned char *bigger = realloc(blocks[i].start, bytes);
    FACT(bigger || (maps_fail && errno == ENOMEM));
    unsigned char *now = bigger ? bigger : blocks[i].start;
    FACT(is_filled(now, before, (unsigned)i));
    blocks[i].start = now;
    if (bigger) {
        blocks[i].bytes = bytes;
        fill(now, bytes, (unsigned)i);
    }
}

static void give(size_t i) {
    if (blocks[i].start)
        FACT(is_filled(blocks[i].start, blocks[i].bytes, (unsigned)i));
    free(blocks[i].start);
    blocks[i].start = NULL;
}

static void *other_thread(void *argument) {
    (void)argument;
    void *own = malloc(5000);
    FACT(own || maps_fail);
    free(own);
    return NULL;
}

static void one_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, other_thread, NULL) == 0) // its stack is a map, too
        pthread_join(thread, NULL);
}

static void run(size_t first_failing_call) {
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i == first_failing_call)
            let_maps_fail(true);
        take(i);
        if (i % 11 == 5)
            grow(i);
        if (i % 3 == 0)
            give(i / 3);
        if (i % 50 == 7)
            one_thread();
    }
    let_maps_fail(false);
    for (size_t i = 0; i < BLOCKS; i++) {
        give(i);
        take(i);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        give(i);
}

int main(int argc, char **argv) {
    require_library();
    free(malloc(1)); // MF2 starts while maps succeed
    size_t calls = argument(argc, argv, "--calls", BLOCKS);
    for (size_t i = 0; i < calls; i++) {
        pid_t child = fork();
        if (child == 0) {
            run(i * BLOCKS / calls);
            _exit(failures != 0);
        }
        int status;
        FACT(waitpid(child, &status, 0) == child);
        FACT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (failures) {
            fprintf(stderr, "maps failed from call %zu on\n", i * BLOCKS / calls);
            return 1;
        }
    }
    return 0;
}
