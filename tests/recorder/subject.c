// subject.c: what the recorder's tests record: `subject MODE [N]`, one mode a fact.
//
// Owns: small programs with a known history. The driver (recorder_test.py) says what must be in
// their traces. Threads: as each mode says.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

static long number = 1000;
static const char *argument = "";

// Keeps calls that have no effect.
static void *volatile kept;

static void *keep(void *block) {
    kept = block;
    return block;
}

// ---------------------------------------------------------------- single-threaded

static void say(const char *what, bool result) {
    printf("%s %d errno %d\n", what, result, errno);
}

static int calls(void) {
    volatile size_t huge = SIZE_MAX / 2;
    void *block;
    errno = 7;
    say("malloc", keep(malloc(100)) != NULL);
    free(kept);
    say("free", true);
    say("malloc 0", keep(malloc(0)) != NULL);
    free(kept);
    free(NULL);
    say("calloc", keep(calloc(3, 50)) != NULL);
    say("realloc", keep(realloc(kept, 5000)) != NULL);
    say("realloc 0", realloc(kept, 0) != NULL);
    say("realloc null", keep(realloc(NULL, 64)) != NULL);
    say("reallocarray", keep(reallocarray(kept, 10, 30)) != NULL);
    say("usable", malloc_usable_size(kept) >= 300);
    errno = 7;
    say("reallocarray overflow", reallocarray(kept, huge, 4) != NULL);
    errno = 7;
    say("realloc fail", realloc(kept, huge) != NULL);
    free(kept);
    errno = 7;
    say("malloc fail", malloc(huge) != NULL);
    errno = 7;
    say("calloc fail", calloc(huge, 4) != NULL);
    errno = 7;
    say("memalign", keep(memalign(128, 10)) != NULL && (uintptr_t)kept % 128 == 0);
    free(kept);
    say("aligned_alloc", keep(aligned_alloc(64, 128)) != NULL);
    free(kept);
    say("posix_memalign", posix_memalign(&block, 4096, 10) == 0);
    free(block);
    say("posix_memalign invalid", posix_memalign(&block, 3, 10) == EINVAL);
    say("posix_memalign fail", posix_memalign(&block, 64, huge) == ENOMEM);
    say("valloc", keep(valloc(10)) != NULL);
    free(kept);
    say("pvalloc", keep(pvalloc(10)) != NULL);
    free(kept);
    return 42;
}

// A pseudo-random history of `number` calls.
static int churn(void) {
    enum { LIVE = 512 };
    static void *live[LIVE];
    uint64_t random = 88172645463325252u;
    for (long i = 0; i < number; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        void **slot = &live[random % LIVE];
        switch (random >> 20 & 7) {
        case 0:
            *slot = realloc(*slot, random >> 30 & 1023);
            break;
        case 1:
            free(*slot);
            *slot = calloc(random >> 30 & 15, 16);
            break;
        case 2:
            free(*slot);
            posix_memalign(slot, 64, random >> 30 & 2047);
            break;
        default:
            free(*slot);
            *slot = malloc(random >> 30 & 511);
        }
    }
    return 0;
}

__attribute__((noipa)) static void *at_depth(long depth) {
    void *volatile block = depth == 0 ? malloc(6000) : at_depth(depth - 1);
    return block;
}

static int deep(void) // one allocation below `number` frames
{
    free(keep(at_depth(number)));
    return 0;
}

static double clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

// For measuring: ns a call of malloc and free, by the clock on the wall and by the processor's.
static int spin(void) {
    double wall_ns = clock_ns(CLOCK_MONOTONIC), processor_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (long i = 0; i < number; i++)
        free(keep(malloc(100)));
    wall_ns = clock_ns(CLOCK_MONOTONIC) - wall_ns;
    processor_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - processor_ns;
    printf("%.1f %.1f\n", wall_ns / (2 * (double)number), processor_ns / (2 * (double)number));
    return 0;
}

// ---------------------------------------------------------------- threads

static _Atomic(void *) mailbox;

// Watches closely, but lets others run where there are fewer processors than threads.
static void *mailbox_await(bool full) {
    for (unsigned looks = 1;; looks++) {
        void *block = atomic_load_explicit(&mailbox, memory_order_acquire);
        if ((block != NULL) == full)
            return block;
        if (looks % 2000 == 0)
            sched_yield();
    }
}

static void *receiver(void *unused) {
    (void)unused;
    for (long i = 0; i < number; i++) {
        free(mailbox_await(true));
        atomic_store_explicit(&mailbox, NULL, memory_order_release);
    }
    return NULL;
}

// Every block is freed by the other thread the moment it is seen, and its address soon reused.
static int handoff(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, receiver, NULL);
    for (long i = 0; i < number; i++) {
        void *block = malloc(64);
        atomic_store_explicit(&mailbox, block, memory_order_release);
        mailbox_await(false);
    }
    pthread_join(thread, NULL);
    return 0;
}

enum { SHELF = 1024 };
static _Atomic(void *) shelf[SHELF];

static pthread_barrier_t exchange_round;

// They meet every few blocks: on a busy machine one could else run from its first block to its last
// alone, and free only its own.
static void *exchanger(void *seed) {
    enum { ROUND = 64 };
    uint64_t random = 88172645463325252u + (uintptr_t)seed;
    for (long i = 0; i < number; i++) {
        if (i % ROUND == 0)
            pthread_barrier_wait(&exchange_round);
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        void *block = malloc(16 + (random >> 40 & 255));
        block = atomic_exchange(&shelf[random % SHELF], block);
        if (random >> 50 & 1)
            block = realloc(block, 300 + (random >> 30 & 255));
        free(block);
    }
    return NULL;
}

static int exchange(void) // four threads freeing each other's blocks
{
    pthread_t threads[4];
    pthread_barrier_init(&exchange_round, NULL, 4);
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, exchanger, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void *short_life(void *unused) {
    (void)unused;
    free(malloc(32));
    return NULL;
}

static int short_life_c11(void *unused) {
    short_life(unused);
    return 0;
}

static int threads(void) // `number` threads, eight at a time
{
    for (long i = 0; i < number; i += 8) {
        pthread_t some[8];
        for (int j = 0; j < 8; j++)
            pthread_create(&some[j], NULL, short_life, NULL);
        for (int j = 0; j < 8; j++)
            pthread_join(some[j], NULL);
    }
    return 0;
}

static int threads_c11(void) {
    thrd_t thread;
    thrd_create(&thread, short_life_c11, NULL);
    thrd_join(thread, NULL);
    return 0;
}

static void late_free(void *block) {
    free(block);
}

static void *with_destructor(void *key) {
    pthread_setspecific(*(pthread_key_t *)key, malloc(77));
    return NULL;
}

static int destructor(void) // a thread-specific value freed as the thread ends
{
    pthread_key_t key;
    pthread_t thread;
    pthread_key_create(&key, late_free);
    pthread_create(&thread, NULL, with_destructor, &key);
    pthread_join(thread, NULL);
    return 0;
}

// ---------------------------------------------------------------- processes

static void wait_for(pid_t pid) {
    int status;
    waitpid(pid, &status, 0);
}

static int fork_child(void) {
    void *inherited = malloc(1000);
    pid_t pid = fork();
    if (pid == 0) {
        free(inherited);
        for (int i = 0; i < 10; i++)
            free(keep(malloc(2000)));
        exit(5);
    }
    wait_for(pid);
    free(inherited);
    return 0;
}

static void *forker_noise(void *unused) {
    (void)unused;
    for (;;)
        free(keep(malloc(50)));
    return NULL;
}

static int fork_threads(void) // forks while another thread allocates all the time
{
    pthread_t thread;
    pthread_create(&thread, NULL, forker_noise, NULL);
    for (long i = 0; i < number; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            free(keep(malloc(3000)));
            _exit(0);
        }
        wait_for(pid);
    }
    return 0;
}

static int exec_other(void) {
    free(keep(malloc(3001)));
    char *arguments[] = {(char *)(uintptr_t)argument, (char *)(uintptr_t) "churn",
                         (char *)(uintptr_t) "100", NULL};
    execv(argument, arguments);
    return 1;
}

static int vfork_exec(void) {
    char *arguments[] = {(char *)(uintptr_t)argument, (char *)(uintptr_t) "churn",
                         (char *)(uintptr_t) "100", NULL};
    pid_t pid = vfork();
    if (pid == 0) {
        execv(argument, arguments);
        _exit(127);
    }
    wait_for(pid);
    free(keep(malloc(3002)));
    return 0;
}

static int fork_background(void) // the child goes on after the parent
{
    if (fork() != 0)
        return 0;
    setsid();
    for (long i = 0; i < number; i++) {
        free(keep(malloc(50)));
        usleep(1000);
    }
    return 0;
}

static int fork_silent(void) // the child's first call comes long after its parent's end
{
    if (fork() != 0)
        return 0;
    setsid();
    usleep(2000 * 1000);
    free(keep(malloc(51)));
    return 0;
}

// ---------------------------------------------------------------- ends and hard cases

static int forever(void) // counts its calls in the file `argument`, until it is killed
{
    int file = open(argument, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, 4096) != 0)
        return 1;
    _Atomic uint64_t *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    for (;;) {
        free(keep(malloc(100)));
        atomic_fetch_add(count, 2);
    }
}

static int slow(void) // `number` milliseconds of calls
{
    for (long i = 0; i < number; i++) {
        for (int j = 0; j < 1000; j++)
            free(keep(malloc(100)));
        usleep(1000);
    }
    puts("finished");
    return 3;
}

static int close_all(void) {
    syscall(SYS_close_range, 0, ~0u, 0);
    for (long i = 0; i < number; i++)
        free(keep(malloc(100)));
    return 9;
}

static int quick(void) {
    free(keep(malloc(3003)));
    quick_exit(6);
}

static int crash(void) {
    free(keep(malloc(3004)));
    abort();
}

static volatile sig_atomic_t handler_runs;

static void handler(int signal_number) {
    (void)signal_number;
    free(malloc(4000));
    void *block = malloc(4001);
    block = realloc(block, 4002);
    free(block);
    handler_runs++;
}

// An allocating handler at every possible moment; only with an allocator that allows it.
static int signals(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 50}, {0, 50}};
    setitimer(ITIMER_REAL, &often, NULL);
    for (long i = 0; i < number; i++) {
        void *block = realloc(malloc(100), 200);
        free(block);
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%d\n", (int)handler_runs);
    return 0;
}

static int module_call(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL)
        return 1;
    void *address = dlsym(library, "module_allocate");
    void *(*allocate)(size_t);
    memcpy(&allocate, &address, sizeof allocate);
    printf("%p\n", address);
    free(allocate(5000));
    dlclose(library);
    return 0;
}

// Loads, calls and unloads two modules in turn, which come to stand at the same place, so that the
// stacks differ in nothing but what stands there.
static int modules(void) {
    char first[4096];
    snprintf(first, sizeof first, "%s", argument);
    char *second = strchr(first, ',');
    *second++ = '\0';
    int failures = 0;
    for (int i = 0; i < 3; i++)
        failures += module_call(i == 1 ? second : first);
    return failures;
}

enum { PAGE = 4096, BIG_PAGES = 64 };

// `number` blocks of BIG_PAGES pages, of which the first quarter is written, and a mapping that
// grows, moves and goes.
static int memory(void) {
    for (long i = 0; i < number; i++) {
        char *block = keep(malloc(BIG_PAGES * PAGE));
        memset(block, 1, BIG_PAGES / 4 * PAGE);
        free(block);
    }
    char *range = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *wall = mmap(range + 8 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    range[0] = 7;
    char *moved = mremap(range, 8 * PAGE, 1024 * PAGE, MREMAP_MAYMOVE);
    say("moved", moved[0] == 7);
    say("unmap", munmap(moved, 1024 * PAGE) == 0);
    say("unmap a byte", munmap(wall, 1) == 0);
    say("unmap askew", munmap(wall + 1, PAGE) == 0);
    return 0;
}

static int plugin(void) // a C program whose C++ plugin throws
{
    void *library = dlopen(argument, RTLD_NOW);
    if (library == NULL) {
        puts(dlerror());
        return 1;
    }
    void *address = dlsym(library, "plugin_throws");
    int (*throws)(void);
    memcpy(&throws, &address, sizeof throws);
    address = dlsym(library, "plugin_unwinder");
    const char *(*unwinder)(void);
    memcpy(&unwinder, &address, sizeof unwinder);
    printf("%d %s\n", throws(), unwinder());
    return 0;
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        int (*run)(void);
    } modes[] = {
        {"calls", calls},
        {"churn", churn},
        {"deep", deep},
        {"spin", spin},
        {"handoff", handoff},
        {"exchange", exchange},
        {"threads", threads},
        {"threads-c11", threads_c11},
        {"destructor", destructor},
        {"fork", fork_child},
        {"fork-threads", fork_threads},
        {"fork-background", fork_background},
        {"fork-silent", fork_silent},
        {"exec", exec_other},
        {"vfork", vfork_exec},
        {"forever", forever},
        {"slow", slow},
        {"close-all", close_all},
        {"quick", quick},
        {"crash", crash},
        {"signals", signals},
        {"modules", modules},
        {"plugin", plugin},
        {"memory", memory},
    };
    if (count > 2) {
        argument = arguments[2];
        number = strtol(arguments[2], NULL, 10);
    }
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (count > 1 && strcmp(modes[i].name, arguments[1]) == 0)
            return modes[i].run();
    return 2;
}
