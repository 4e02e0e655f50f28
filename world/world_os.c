// world_os.c: see world_os.h.
#include "world_os.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

void *world_os_reserve(size_t bytes, size_t alignment, bool closed) {
    int protection = closed ? PROT_NONE : PROT_READ | PROT_WRITE;
    char *start = mmap(NULL, bytes + alignment, protection,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) {
        return NULL;
    }
    size_t before = -(uintptr_t)start & (alignment - 1);
    if (before) {
        munmap(start, before);
    }
    munmap(start + before + bytes, alignment - before);
    return start + before;
}

void world_os_release(void *address, size_t bytes) {
    munmap(address, bytes);
}

bool world_os_open(void *address, size_t bytes) {
    return mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0;
}

void world_os_discard(void *address, size_t bytes) {
    madvise(address, bytes, MADV_DONTNEED);
}

// ---------------------------------------------------------------- files

// Where a written file goes.
struct destination {
    char path[PATH_MAX]; // of a regular file, links followed: no link is replaced
    bool in_place;       // written as it is: a pipe, a terminal, /dev/null, a stream of our own
    int stream;          // that stream, or -1
};

// Standard output or error, where the path leads to the same: such a file is not replaced, or what
// else the program prints would go to the one that nobody can see any more.
static int own_stream(const struct stat *status) {
    for (int stream = STDOUT_FILENO; stream <= STDERR_FILENO; stream++) {
        struct stat own;
        if (fstat(stream, &own) == 0 && own.st_dev == status->st_dev &&
            own.st_ino == status->st_ino) {
            return stream;
        }
    }
    return -1;
}

// Nothing there yet; a link must not be replaced by what it was to lead to.
static const char *find_new(const char *path, struct destination *to) {
    struct stat status;
    if (lstat(path, &status) == 0) {
        return "is a link that leads nowhere";
    }
    int length = snprintf(to->path, sizeof to->path, "%s", path);
    return length < 0 || (size_t)length >= sizeof to->path ? strerror(ENAMETOOLONG) : NULL;
}

// NULL, or why nothing can be written there.
static const char *find_destination(const char *path, struct destination *to) {
    struct stat status;
    *to = (struct destination){.stream = -1};
    if (stat(path, &status) != 0) {
        return errno == ENOENT ? find_new(path, to) : strerror(errno);
    }
    if (S_ISDIR(status.st_mode)) {
        return strerror(EISDIR);
    }
    if (S_ISBLK(status.st_mode)) {
        return "is a block device; expected a file";
    }
    to->stream = own_stream(&status);
    to->in_place = to->stream >= 0 || !S_ISREG(status.st_mode);
    return to->in_place || realpath(path, to->path) ? NULL : strerror(errno);
}

static int write_all(int descriptor, const char *text, size_t bytes) {
    while (bytes) {
        ssize_t written = write(descriptor, text, bytes);
        if (written < 0 && errno != EINTR) {
            return -1;
        }
        if (written > 0) {
            text += written;
            bytes -= (size_t)written;
        }
    }
    return 0;
}

// A stream of our own is used, not opened anew: a file's beginning would be overwritten.
static int write_in_place(const char *path, const struct destination *to, const char *text,
                          size_t bytes) {
    fflush(stdout); // what has been printed before comes before
    int descriptor =
        to->stream >= 0 ? fcntl(to->stream, F_DUPFD_CLOEXEC, 0) : open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return -1;
    }
    int failed = write_all(descriptor, text, bytes);
    return close(descriptor) || failed ? -1 : 0;
}

// A file as open() would have made it; mkstemp's are private.
static int publish(int descriptor) {
    mode_t mask = umask(0);
    umask(mask);
    return fchmod(descriptor, 0666 & ~mask);
}

static int replace(const char *path, const char *text, size_t bytes) {
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int descriptor = mkstemp(temporary);
    if (descriptor < 0) {
        return -1;
    }
    int failed = write_all(descriptor, text, bytes) || publish(descriptor);
    failed = close(descriptor) || failed;
    if (failed || rename(temporary, path)) {
        int reason = errno;
        unlink(temporary);
        errno = reason;
        return -1;
    }
    return 0;
}

const char *world_os_write_file(const char *path, const char *text, size_t bytes) {
    struct destination to;
    const char *refusal = find_destination(path, &to);
    if (refusal) {
        return refusal;
    }
    int failed =
        to.in_place ? write_in_place(path, &to, text, bytes) : replace(to.path, text, bytes);
    return failed ? strerror(errno) : NULL;
}

const char *world_os_cannot_write(const char *path) {
    struct destination to;
    const char *refusal = find_destination(path, &to);
    if (refusal || to.stream >= 0) {
        return refusal;
    }
    int failed = to.in_place ? access(path, W_OK) : access(dirname(to.path), W_OK | X_OK);
    return failed ? strerror(errno) : NULL;
}

// ---------------------------------------------------------------- crashes

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

void world_os_catch_crashes(void *(*belongs)(void), void (*land)(int signal, const void *address)) {
    (void)belongs;
    (void)land;
}

#else

enum { SIGNAL_STACK_BYTES = 32 << 10 };

static void *(*crash_belongs)(void);
static void (*crash_land)(int signal, const void *address);

// Changes where the interrupted code goes on, and returns: so the signal's mask and stack are put
// back by who set them. On x86-64 a function finds its stack 8 bytes off a multiple of 16.
static void handle_crash(int number, siginfo_t *info, void *interrupted) {
    ucontext_t *context = interrupted;
    char *stack_end = crash_belongs();
    if (!stack_end) {
        signal(number, SIG_DFL); // what crashed crashes again
        return;
    }
    greg_t *registers = context->uc_mcontext.gregs;
    bool has_address = number == SIGSEGV || number == SIGBUS;
    registers[REG_RDI] = number;
    registers[REG_RSI] = (greg_t)(uintptr_t)(has_address ? info->si_addr : NULL);
    registers[REG_RSP] = (greg_t)(uintptr_t)(stack_end - 8);
    registers[REG_RIP] = (greg_t)(uintptr_t)crash_land;
}

void world_os_catch_crashes(void *(*belongs)(void), void (*land)(int signal, const void *address)) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static _Thread_local char stack[SIGNAL_STACK_BYTES];
    static _Thread_local bool caught;
    if (caught) {
        return;
    }
    caught = true;
    crash_belongs = belongs;
    crash_land = land;
    stack_t signal_stack = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&signal_stack, NULL);
    struct sigaction action = {.sa_sigaction = handle_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

#endif
