// libmf2.so's entry points as a program meets them; run under LD_PRELOAD. One line per failure.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

static void expect(int fact, const char *text, int line) {
    if (!fact) {
        failures++;
        fprintf(stderr, "alloc_entry_points.c:%d: %s\n", line, text);
    }
}
#define EXPECT(fact) expect((fact) != 0, #fact, __LINE__)

static void errors(void) {
    errno = 0;
    EXPECT(malloc(PTRDIFF_MAX) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(malloc(SIZE_MAX) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(calloc(SIZE_MAX / 2, 3) == NULL && errno == ENOMEM);
    void *kept = malloc(100);
    memset(kept, 7, 100);
    errno = 0;
    EXPECT(realloc(kept, SIZE_MAX - 4096) == NULL && errno == ENOMEM);
    EXPECT(((unsigned char *)kept)[99] == 7);
    errno = 0;
    EXPECT(reallocarray(kept, SIZE_MAX / 2, 3) == NULL && errno == ENOMEM);
    void *block = (void *)1;
    EXPECT(posix_memalign(&block, 3, 8) == EINVAL);
    EXPECT(posix_memalign(&block, 24, 8) == EINVAL);
    EXPECT(posix_memalign(&block, 4096, SIZE_MAX) == ENOMEM);
    EXPECT(block == (void *)1);
    errno = 0;
    EXPECT(aligned_alloc(3, 8) == NULL && errno == EINVAL);
    errno = 1234;
    free(kept);
    free(NULL);
    EXPECT(errno == 1234);
}

static void sizes(void) {
    void *zero = malloc(0), *other = malloc(0);
    EXPECT(zero && other && zero != other);
    free(zero);
    free(other);
    for (size_t bytes = 1; bytes < 300000; bytes += bytes / 7 + 1) {
        unsigned char *block = malloc(bytes);
        EXPECT(block && malloc_usable_size(block) >= bytes && (uintptr_t)block % 16 == 0);
        memset(block, 0xA5, malloc_usable_size(block));
        block = realloc(block, bytes * 2);
        EXPECT(block && block[0] == 0xA5 && block[bytes - 1] == 0xA5);
        block = realloc(block, bytes / 2 + 1);
        EXPECT(block && block[bytes / 2] == 0xA5);
        free(block);
        unsigned char *zeroed = calloc(1, bytes);
        for (size_t i = 0; i < bytes; i += 13)
            EXPECT(zeroed[i] == 0);
        free(zeroed);
    }
    EXPECT(realloc(malloc(10), 0) == NULL);
    EXPECT(malloc_usable_size(NULL) == 0);
}

static void alignments(void) {
    for (size_t alignment = 8; alignment <= 4u << 20; alignment *= 2)
        for (size_t bytes = 1; bytes < 200000; bytes = bytes * 5 + 3) {
            void *block = NULL;
            EXPECT(posix_memalign(&block, alignment, bytes) == 0);
            EXPECT(block && (uintptr_t)block % alignment == 0);
            memset(block, 1, bytes);
            free(block);
            block = memalign(alignment, bytes);
            EXPECT(block && (uintptr_t)block % alignment == 0);
            free(block);
        }
    void *page = valloc(10);
    EXPECT((uintptr_t)page % 4096 == 0);
    free(page);
    page = pvalloc(4097);
    EXPECT((uintptr_t)page % 4096 == 0 && malloc_usable_size(page) >= 8192);
    free(page);
}

static void *churn(void *argument) {
    void **handed = argument;
    for (int i = 0; i < 2000; i++) {
        void *block = malloc((size_t)i * 17 % 5000);
        free(handed[i % 64]);
        handed[i % 64] = block;
    }
    return NULL;
}

// fork while other threads allocate: the child can go on allocating, threading and exiting.
static void forks(void) {
    static void *handed[4][64];
    pthread_t threads[4];
    for (int t = 0; t < 4; t++)
        pthread_create(&threads[t], NULL, churn, handed[t]);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            void *own[64] = {0};
            pthread_t thread;
            churn(own);
            pthread_create(&thread, NULL, churn, own);
            pthread_join(thread, NULL);
            _exit(0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT(status == 0);
    }
    for (int t = 0; t < 4; t++)
        pthread_join(threads[t], NULL);
    for (int t = 0; t < 4; t++)
        for (int i = 0; i < 64; i++)
            free(handed[t][i]);
}

static pthread_key_t key;
static void allocate_late(void *value) {
    free(value);
    free(malloc(100));
}
static void *with_destructor(void *argument) {
    (void)argument;
    pthread_setspecific(key, malloc(64));
    return malloc(32);
}

static void thread_ends(void) {
    pthread_key_create(&key, allocate_late);
    for (int i = 0; i < 500; i++) {
        pthread_t thread;
        void *block;
        pthread_create(&thread, NULL, with_destructor, NULL);
        pthread_join(thread, &block);
        free(block); // of a thread that has ended
    }
}

int main(void) {
    errors();
    sizes();
    alignments();
    thread_ends();
    forks();
    return failures != 0;
}
