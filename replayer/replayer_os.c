// replayer_os.c: hakreplay's system calls.
#include "replayer_os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

// ---------------------------------------------------------------- gdb

#define DEBUG_WORDS_MAX 32

const char *replay_os_debug(const char *function, const char *const *words) {
    static char self[4096], stop[128];
    const char *line[DEBUG_WORDS_MAX] = {"gdb", "-q", "-ex",   "set breakpoint pending on",
                                         "-ex", stop, "-ex",   "run",
                                         "-ex", "up", "--args"};
    size_t count = 0;
    while (line[count] != NULL)
        count++;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return strerror(errno);
    self[length] = '\0';
    snprintf(stop, sizeof stop, "break %s", function);
    line[count++] = self;
    for (; *words != NULL && count < DEBUG_WORDS_MAX - 1; words++)
        line[count++] = *words;
    execvp(line[0], (char *const *)(uintptr_t)line);
    return strerror(errno);
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
