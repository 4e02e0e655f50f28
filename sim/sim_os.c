// sim_os.c: the simulator's system calls. Nothing that a run computes depends on them.
#include "sim_os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES_MAX (16u << 20)

static char *fail(const char *path, const char *what, char *message, size_t message_size) {
    snprintf(message, message_size, "%s: %s", path, what);
    return NULL;
}

// Reads up to `size` bytes; returns how many there were, -1 on an error.
static ssize_t read_whole(int descriptor, char *text, size_t size) {
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(descriptor, text + got, size - got);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            got += (size_t)n;
    }
    return (ssize_t)got;
}

static char *read_open(int descriptor, const char *path, size_t *size, char *message,
                       size_t message_size) {
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return fail(path, strerror(errno), message, message_size);
    if (!S_ISREG(status.st_mode))
        return fail(path, "expected a regular file", message, message_size);
    if (status.st_size > (off_t)FILE_BYTES_MAX)
        return fail(path, "expected a file of at most 16 MiB", message, message_size);
    char *text = malloc((size_t)status.st_size + 1);
    if (!text)
        return fail(path, "out of memory", message, message_size);
    ssize_t got = read_whole(descriptor, text, (size_t)status.st_size);
    if (got < 0) {
        free(text);
        return fail(path, strerror(errno), message, message_size);
    }
    text[got] = 0;
    *size = (size_t)got;
    return text;
}

char *sim_os_read_file(const char *path, size_t *size, char *message, size_t message_size) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return fail(path, strerror(errno), message, message_size);
    char *text = read_open(descriptor, path, size, message, message_size);
    close(descriptor);
    return text;
}

uint64_t sim_os_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// ---------------------------------------------------------------- threads

unsigned sim_os_cores(void) {
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? (unsigned)CPU_COUNT(&cores) : 1;
}

struct start {
    void (*body)(void *argument);
    void *argument;
};

static void *start_thread(void *argument) {
    const struct start *start = argument;
    start->body(start->argument);
    return NULL;
}

void sim_os_run_all(unsigned threads, void (*body)(void *argument), void *argument) {
    struct start start = {body, argument};
    pthread_t others[SIM_OS_THREADS_MAX - 1];
    unsigned started = 0;
    while (started + 1 < threads && started < SIM_OS_THREADS_MAX - 1 &&
           pthread_create(&others[started], NULL, start_thread, &start) == 0)
        started++;
    body(argument);
    for (unsigned i = 0; i < started; i++)
        pthread_join(others[i], NULL);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void sim_os_lock(void) {
    pthread_mutex_lock(&lock);
}

void sim_os_unlock(void) {
    pthread_mutex_unlock(&lock);
}

bool sim_os_has_terminal(void) {
    return isatty(STDERR_FILENO);
}

// ---------------------------------------------------------------- interrupts

volatile sig_atomic_t sim_os_interrupted;

static void on_interrupt(int number) {
    (void)number;
    sim_os_interrupted = 1;
}

void sim_os_catch_interrupts(void) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    // A closed pipe is an error of writing, told as such.
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}
