// hard_cases.c: programs that take the ground from under a recorder: `hard_cases MODE [N]`.
//
// Owns: small programs with a known history in which processes, rights, memory or threads are out
// of the ordinary. The driver (recorder_test.py) says what must be in their traces.
// Threads: as each mode says.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long number = 1000;
static const char *self;
static void *volatile kept;

static void blocks(long count, size_t size) {
    for (long i = 0; i < count; i++) {
        kept = malloc(size);
        free(kept);
    }
}

static void milliseconds(long count) {
    struct timespec time = {count / 1000, count % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0)
        ;
}

static int few(void) {
    blocks(number, 3100);
    return 0;
}

// ---------------------------------------------------------------- processes

static int spawn(void) {
    char count[] = "7", mode[] = "few";
    char *arguments[] = {(char *)(uintptr_t)self, mode, count, NULL};
    pid_t pid;
    int status = -1;
    if (posix_spawn(&pid, self, NULL, NULL, arguments, environ) != 0 ||
        waitpid(pid, &status, 0) != pid)
        return 1;
    blocks(5, 3101);
    return status;
}

static int daemonise(void) // two forks, a session of its own, nothing open, the root folder
{
    blocks(3, 3102);
    if (daemon(0, 0) != 0)
        return 1;
    pid_t pid = fork();
    if (pid != 0)
        _exit(pid < 0);
    milliseconds(200);
    blocks(number, 3103);
    return 0;
}

static int change_root(void) // to an empty folder; then a thread, and a child
{
    blocks(1, 3104);
    if (mkdir("empty", 0700) != 0 || chroot("empty") != 0 || chdir("/") != 0)
        return 1;
    blocks(number, 3105);
    pid_t pid = fork();
    if (pid == 0) {
        blocks(number, 3106);
        exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    return status;
}

// Only what an ordinary computation needs is allowed from now on; anything else kills.
static int sandbox_enter(void) {
    static const int allowed[] = {SYS_read,      SYS_write, SYS_exit,         SYS_exit_group,
                                  SYS_brk,       SYS_mmap,  SYS_rt_sigreturn, SYS_munmap,
                                  SYS_getrandom, SYS_mremap};
    enum { COUNT = sizeof allowed / sizeof *allowed };
    struct sock_filter filter[COUNT + 3];
    filter[0] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++)
        filter[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                     (unsigned)allowed[i], COUNT - (unsigned)i, 0);
    filter[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {COUNT + 3, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0;
}

static int sandbox(void) {
    if (sandbox_enter())
        return 77;
    blocks(number, 3107);
    return 0;
}

// ---------------------------------------------------------------- memory

static int out_of_memory(void) {
    struct rlimit limit;
    static void *all[10000];
    int count = 0;
    void *ballast = malloc(1 << 20);
    getrlimit(RLIMIT_DATA, &limit);
    limit.rlim_cur = 64 << 20;
    setrlimit(RLIMIT_DATA, &limit);
    while (count < 10000 && (all[count] = malloc(100000)) != NULL)
        count++;
    int failed = errno == ENOMEM;
    for (int i = 0; i < 10; i++) // a block that cannot grow stays
        failed += realloc(ballast, 512 << 20) == NULL;
    while (count > 0)
        free(all[--count]);
    free(ballast);
    blocks(3, 3108);
    return failed == 11 ? 0 : 1;
}

// ---------------------------------------------------------------- threads

static pthread_barrier_t all_there;

static void *one_of_many(void *unused) {
    blocks(2, 3109);
    pthread_barrier_wait(&all_there);
    blocks(2, 3109);
    pthread_barrier_wait(&all_there);
    return unused;
}

static int many_threads(void) // `number` at once
{
    pthread_t *threads = calloc((size_t)number, sizeof *threads);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_barrier_init(&all_there, NULL, (unsigned)number + 1);
    for (long i = 0; i < number; i++)
        if (pthread_create(&threads[i], &attributes, one_of_many, NULL) != 0)
            return 1;
    pthread_barrier_wait(&all_there);
    pthread_barrier_wait(&all_there);
    for (long i = 0; i < number; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return 0;
}

enum { SHELF = 64 };
static _Atomic(void *) shelf[SHELF];

static void *regrower(void *seed) {
    uint64_t random = 88172645463325252u + (uintptr_t)seed;
    for (long i = 0; i < number; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        void *block = atomic_exchange(&shelf[random % SHELF], NULL);
        // Grows in place, moves, shrinks, moves into pages of its own, fails, or frees.
        static const size_t sizes[] = {24, 40, 300, 5000, 200000, SIZE_MAX / 2, 0, 100};
        size_t size = sizes[random >> 20 & 7];
        void *grown = realloc(block, size);
        if (grown == NULL && size != 0)
            grown = block; // it failed
        free(atomic_exchange(&shelf[random >> 30 & (SHELF - 1)], grown));
    }
    return NULL;
}

static int realloc_race(void) // four threads that realloc each other's blocks
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, regrower, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SHELF; i++)
        free(shelf[i]);
    return 0;
}

static _Atomic(void *) desk;
static atomic_bool over;

static void *gives(void *unused) {
    while (!atomic_load(&over)) {
        void *block = malloc(48);
        free(atomic_exchange(&desk, block));
    }
    return unused;
}

static void stays(int signal_number) {
    (void)signal_number;
    milliseconds(20);
}

// Threads that are held up anywhere, in the middle of the recorder too, while others go on.
static int stopped_threads(void) {
    pthread_t threads[3];
    struct sigaction action = {.sa_handler = stays};
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, gives, NULL);
    for (long i = 0; i < number; i++) {
        pthread_kill(threads[i % 3], SIGUSR1);
        milliseconds(5);
    }
    atomic_store(&over, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    free(desk);
    return 0;
}

static int phases(void) // tells on its output what it does, and waits for a line before each
{
    char line[16];
    for (size_t size = 3110; fgets(line, sizeof line, stdin) != NULL; size++) {
        blocks(number, size);
        printf("%zu\n", size);
        fflush(stdout);
    }
    return 0;
}

static int timed(void) // blocks of 3201, 3202, ... bytes, a size every 100 ms, `number` of them
{
    for (long i = 1; i <= number; i++) {
        blocks(10, 3200 + (size_t)i);
        milliseconds(100);
    }
    return 0;
}

static int steady(void) // for `number` milliseconds, as fast as can be
{
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += number / 1000;
    do {
        blocks(1000, 100);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    return 4;
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        int (*run)(void);
    } modes[] = {
        {"few", few},
        {"spawn", spawn},
        {"daemonise", daemonise},
        {"chroot", change_root},
        {"sandbox", sandbox},
        {"out-of-memory", out_of_memory},
        {"many-threads", many_threads},
        {"realloc-race", realloc_race},
        {"stopped-threads", stopped_threads},
        {"phases", phases},
        {"timed", timed},
        {"steady", steady},
    };
    self = arguments[0];
    if (count > 2)
        number = strtol(arguments[2], NULL, 10);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (count > 1 && strcmp(modes[i].name, arguments[1]) == 0)
            return modes[i].run();
    return 2;
}
