// player_os.c: the player's system calls.
#include "player_os.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES        (256u << 10)
#define SIGNAL_STACK_BYTES (16u << 10)
#define TIMER_SLACK_NS     1000

// ---------------------------------------------------------------- memory and files

void *player_os_map(size_t bytes) {
    void *address = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

void *player_os_map_mirrored(size_t bytes, size_t part) {
    size_t whole = (bytes + part - 1) / part * part;
    char *address =
        mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int file = memfd_create("hakplayer-block", MFD_CLOEXEC);
    bool fine = address != MAP_FAILED && file >= 0 && ftruncate(file, (off_t)part) == 0;
    for (size_t at = 0; fine && at < whole; at += part)
        fine = mmap(address + at, part, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_FIXED | MAP_POPULATE, file, 0) != MAP_FAILED;
    if (file >= 0)
        close(file);
    return fine ? address : NULL;
}

void *player_os_map_file(int file, size_t bytes, bool writable, bool held) {
    void *address = mmap(NULL, bytes, PROT_READ | (writable ? PROT_WRITE : 0),
                         MAP_SHARED | (held ? MAP_POPULATE : 0), file, 0);
    return address == MAP_FAILED ? NULL : address;
}

int player_os_read(int file, void *buffer, size_t bytes, uint64_t offset) {
    char *at = buffer;
    while (bytes > 0) {
        ssize_t got = pread(file, at, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? EIO : errno;
        at += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return 0;
}

// ---------------------------------------------------------------- waiting

void player_os_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void player_os_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

bool player_os_barrier_prepare(void) {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void player_os_barrier_everywhere(void) {
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

unsigned player_os_cores(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

// ---------------------------------------------------------------- threads and crashes

static bool set_signal_stack(void *memory) {
    stack_t stack = {.ss_sp = memory, .ss_size = SIGNAL_STACK_BYTES};
    return sigaltstack(&stack, NULL) == 0;
}

static void (*thread_body)(void *);

// The signal stack lies in the thread's own, so that nothing is left when the thread has ended.
static void *run_thread(void *argument) {
    char signal_stack[SIGNAL_STACK_BYTES];
    set_signal_stack(signal_stack);
    thread_body(argument);
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    return NULL;
}

void player_os_threads_run(void (*body)(void *)) {
    thread_body = body;
}

int player_os_thread(void *argument, bool joined, uint64_t *thread) {
    pthread_attr_t attributes;
    pthread_t created = 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes,
                                joined ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&created, &attributes, run_thread, argument);
    pthread_attr_destroy(&attributes);
    *thread = (uint64_t)created;
    return error;
}

void player_os_join(uint64_t thread) {
    pthread_join((pthread_t)thread, NULL);
}

bool player_os_catch_crashes(void (*caught)(int signal_number)) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    struct sigaction action = {.sa_handler = caught, .sa_flags = SA_ONSTACK | SA_NODEFER};
    void *stack = player_os_map(SIGNAL_STACK_BYTES);
    if (stack == NULL || !set_signal_stack(stack))
        return false;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return true;
}

// ---------------------------------------------------------------- time

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t player_os_clock_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t player_os_processor_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void player_os_sleep_until(uint64_t until_ns) {
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                             .tv_nsec = (long)(until_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

// ---------------------------------------------------------------- what the process has taken

void player_os_faults(uint64_t *minor, uint64_t *major) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    *minor = (uint64_t)usage.ru_minflt;
    *major = (uint64_t)usage.ru_majflt;
}

void player_os_reset_peak(void) {
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return;
    if (write(file, "5", 1) < 0)
        errno = 0; // the peak then covers the start as well, and player_memory.ready tells
    close(file);
}

static uint64_t status_bytes(const char *text, const char *name) {
    const char *line = strstr(text, name);
    return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10) << 10;
}

struct player_memory player_os_memory(void) {
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
    close(file);
    text[length > 0 ? length : 0] = '\0';
    return (struct player_memory){.anonymous = status_bytes(text, "RssAnon:"),
                                  .file = status_bytes(text, "RssFile:"),
                                  .shared = status_bytes(text, "RssShmem:"),
                                  .peak = status_bytes(text, "VmHWM:")};
}

void player_os_leave(int status) {
    _exit(status);
}

// ---------------------------------------------------------------- libraries

bool player_os_comes_from(void *function, const char *library, const char **from) {
    Dl_info info;
    *from = NULL;
    if (function == NULL || dladdr(function, &info) == 0)
        return false;
    *from = info.dli_fname;
    char resolved[PATH_MAX];
    return strcmp(info.dli_fname, library) == 0 ||
           (realpath(info.dli_fname, resolved) != NULL && strcmp(resolved, library) == 0);
}

void *player_os_symbol(const char *name) {
    return dlsym(RTLD_DEFAULT, name);
}
