// real_fork.c: fork, from any thread and while all others allocate: the child allocates, frees what
// it inherited, starts threads of its own, forks again and ends; the parent goes on. vfork as well.
#include "real_test.h"

#include <pthread.h>
#include <sys/wait.h>

#define THREADS 4
#define OWN     64

static _Atomic int stop;
static _Atomic(void *) shared[256]; // blocks on their way from one thread to another

static void one_exchange(unsigned *random) {
    *random = *random * 1103515245u + 12345u;
    void *block = malloc(*random >> 8 & (*random & 0x100 ? 0xFFFF : 0x3FF));
    free(atomic_exchange(&shared[*random >> 20 & 255], block));
}

static void *exchange_for_ever(void *argument) {
    unsigned random = (unsigned)(uintptr_t)argument;
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        one_exchange(&random);
    return NULL;
}

static void *exchange_some(void *argument) {
    unsigned random = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < 3000; i++)
        one_exchange(&random);
    return NULL;
}

static void run_threads(int count) {
    pthread_t threads[THREADS];
    for (int i = 0; i < count; i++)
        FACT(pthread_create(&threads[i], NULL, exchange_some, (void *)(uintptr_t)(i + 7)) == 0);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void wait_for(pid_t child) {
    int status = -1;
    FACT(waitpid(child, &status, 0) == child);
    FACT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void live_as_child(int depth) {
    exchange_some((void *)1); // frees blocks of threads that are no more
    run_threads(2);
    if (depth == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            live_as_child(1);
            _exit(failures != 0);
        }
        wait_for(grandchild);
    }
    for (int i = 0; i < 256; i++)
        free(atomic_exchange(&shared[i], NULL));
    run_threads(2);
}

static void fork_once(void) {
    void *inherited = malloc(500);
    fill(inherited, 500, 8);
    pid_t child = fork();
    FACT(child >= 0);
    if (child == 0) {
        FACT(is_filled(inherited, 500, 8));
        free(inherited);
        live_as_child(0);
        _exit(failures != 0);
    }
    wait_for(child);
    FACT(is_filled(inherited, 500, 8));
    free(inherited);
}

static void *fork_some(void *argument) {
    for (uintptr_t i = 0; i < (uintptr_t)argument; i++)
        fork_once();
    return NULL;
}

// The child of vfork runs in the parent's memory.
static void vfork_once(void) {
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    wait_for(child);
}

int main(int argc, char **argv) {
    require_library();
    uintptr_t forks = argument(argc, argv, "--forks", 15);
    fork_some((void *)forks); // one thread only
    pthread_t busy[THREADS], forkers[2];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&busy[i], NULL, exchange_for_ever, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < 2; i++)
        pthread_create(&forkers[i], NULL, fork_some, (void *)forks);
    fork_some((void *)forks);
    for (int i = 0; i < 10; i++)
        vfork_once();
    for (int i = 0; i < 2; i++)
        pthread_join(forkers[i], NULL);
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(busy[i], NULL);
    exchange_some((void *)1);
    return failures != 0;
}
