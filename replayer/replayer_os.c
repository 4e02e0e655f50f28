// replayer_os.c: hakreplay's system calls.
#include "replayer_os.h"

#include "world_os.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES_MAX (256u << 20)

static bool fail(const char *path, const char *what, char *message, size_t message_size) {
    snprintf(message, message_size, "%s: %s", path, what);
    return false;
}

// ---------------------------------------------------------------- reading

static char *read_stream(FILE *stream, size_t *size) {
    size_t capacity = 4096, used = 0;
    char *text = malloc(capacity + 1);
    while (text != NULL) {
        used += fread(text + used, 1, capacity - used, stream);
        if (used < capacity || capacity >= READ_BYTES_MAX)
            break;
        char *larger = realloc(text, 2 * capacity + 1);
        if (larger == NULL)
            free(text);
        text = larger;
        capacity *= 2;
    }
    if (text != NULL)
        text[used] = '\0';
    *size = used;
    return text;
}

char *replay_os_read_file(const char *path, size_t *size, char *message, size_t message_size) {
    FILE *stream = fopen(path, "rbe");
    if (stream == NULL) {
        fail(path, strerror(errno), message, message_size);
        return NULL;
    }
    errno = 0;
    char *text = read_stream(stream, size);
    bool broken = ferror(stream) || text == NULL;
    if (broken) {
        fail(path, text == NULL ? "out of memory" : strerror(errno), message, message_size);
        free(text);
        text = NULL;
    }
    fclose(stream);
    return text;
}

// ---------------------------------------------------------------- writing

static bool is_special(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

static int write_all(int descriptor, const char *text, size_t size) {
    while (size > 0) {
        ssize_t written = write(descriptor, text, size);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            text += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

static bool write_special(const char *path, const char *text, size_t size) {
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    int failed = write_all(descriptor, text, size);
    return (close(descriptor) | failed) == 0;
}

bool replay_os_write_file(const char *path, const char *text, size_t size, char *message,
                          size_t message_size) {
    bool written = is_special(path) ? write_special(path, text, size)
                                    : world_os_write_file(path, text, size) == 0;
    return written || fail(path, strerror(errno), message, message_size);
}

bool replay_os_can_write(const char *path, char *message, size_t message_size) {
    char copy[PATH_MAX];
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return fail(path, strerror(EISDIR), message, message_size);
    if (is_special(path))
        return access(path, W_OK) == 0 || fail(path, strerror(errno), message, message_size);
    snprintf(copy, sizeof copy, "%s", path);
    return access(dirname(copy), W_OK | X_OK) == 0 ||
           fail(path, strerror(errno), message, message_size);
}

// ---------------------------------------------------------------- time, terminal, signals

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t replay_os_clock_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t replay_os_processor_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

bool replay_os_stderr_is_terminal(void) {
    return isatty(STDERR_FILENO) != 0;
}

volatile sig_atomic_t replay_os_interrupted;

static void note_interrupt(int signal_number) {
    (void)signal_number;
    replay_os_interrupted = 1;
}

void replay_os_catch_interrupts(void) {
    struct sigaction action = {.sa_handler = note_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}
