// trace_file.c: the traces floor's only door to the operating system.
//
// Owns: descriptors, names and whole reads and writes. Does not know what the bytes mean.
// One file belongs to one thread at a time.
//
// Naming: a new trace is created under its own name (O_EXCL), since it is to be readable while it
// grows. One that replaces an old file grows under a temporary name in the same folder until it
// has proved writable, and then takes the name over: the old file is never lost to a failure. One
// that is made from another trace is hidden in the same way until it is complete.
#include "trace_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void forget(struct trace_file *file) {
    free(file->path);
    free(file->path_temporary);
    free(file->path_final);
    *file = (struct trace_file){.descriptor = -1};
}

static int begin(struct trace_file *file, const char *path, struct trace_error *error) {
    *file = (struct trace_file){.descriptor = -1, .path = strdup(path)};
    return file->path ? 0 : trace_fail_file(path, error, "out of memory");
}

int trace_file_open(struct trace_file *file, const char *path, struct trace_error *error) {
    if (begin(file, path, error))
        return -1;
    struct stat status;
    // O_NONBLOCK: opening a pipe that nobody writes to must be refused, not waited for.
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->descriptor < 0 || fstat(file->descriptor, &status) != 0) {
        trace_report_file(path, error, "cannot open: %s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        trace_report_file(path, error, "expected a regular file, found %s",
                          S_ISDIR(status.st_mode) ? "a directory" : "a device or pipe");
    } else {
        file->size_bytes = (uint64_t)status.st_size;
        return 0;
    }
    if (file->descriptor >= 0)
        close(file->descriptor);
    forget(file);
    return -1;
}

int trace_file_measure(struct trace_file *file, struct trace_error *error) {
    struct stat status;
    if (fstat(file->descriptor, &status) != 0)
        return trace_fail_file(file->path, error, "cannot be looked at: %s", strerror(errno));
    if ((uint64_t)status.st_size < file->size_bytes)
        return trace_fail_file(file->path, error,
                               "expected a file that only grows, found that it "
                               "shrank");
    file->size_bytes = (uint64_t)status.st_size;
    return 0;
}

static void (*file_watcher)(const struct trace_file *file, uint64_t offset, uint64_t end);

void trace_file_watch(void (*watcher)(const struct trace_file *file, uint64_t offset,
                                      uint64_t end)) {
    file_watcher = watcher;
}

int trace_file_read(struct trace_file *file, uint64_t offset, void *data, size_t size, size_t *got,
                    struct trace_error *error) {
    enum { LARGE_BYTES = 1 << 16 }; // others are looks at the end, at the index
    uint8_t *at = data;
    *got = 0;
    if (file_watcher && size >= LARGE_BYTES)
        file_watcher(file, offset, offset + size);
    while (*got < size) {
        ssize_t n = pread(file->descriptor, at + *got, size - *got, (off_t)(offset + *got));
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR) {
            struct trace_place place = {file->path, offset + *got};
            return trace_fail(&place, error, "cannot read: %s", strerror(errno));
        }
        if (n > 0)
            *got += (size_t)n;
    }
    return 0;
}

// Opens `path` under a name beside it that nothing else has.
static int create_beside(struct trace_file *file, const char *path) {
    size_t size = strlen(path) + 32;
    file->path_temporary = malloc(size);
    if (!file->path_temporary)
        return -1;
    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        snprintf(file->path_temporary, size, "%s.part-%ld-%u", path, (long)getpid(), attempt);
        file->descriptor =
            open(file->path_temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->descriptor >= 0 || errno != EEXIST)
            return file->descriptor;
    }
    return -1;
}

static int create_fresh(struct trace_file *file, const char *path) {
    file->descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    file->created = file->descriptor >= 0;
    return file->descriptor;
}

// Under a temporary name until trace_file_publish.
static int create_hidden(struct trace_file *file, const char *path, bool exists) {
    file->path_final = exists ? realpath(path, NULL) : strdup(path);
    file->replaces = exists;
    if (!file->path_final || create_beside(file, file->path_final) < 0)
        return -1;
    file->created = true;
    return file->descriptor;
}

int trace_file_create(struct trace_file *file, const char *path, bool overwrite, bool hidden,
                      struct trace_error *error) {
    if (begin(file, path, error))
        return -1;
    struct stat status;
    bool exists = stat(path, &status) == 0;
    if (exists && S_ISDIR(status.st_mode)) {
        trace_report_file(path, error, "cannot create: it is a directory");
    } else if (exists && !S_ISREG(status.st_mode)) {
        file->descriptor = open(path, O_WRONLY | O_CLOEXEC);
    } else if (exists && !overwrite) {
        trace_report_file(path, error, "cannot create: the file exists and is not overwritten");
        forget(file);
        return -1;
    } else if (exists || hidden) {
        create_hidden(file, path, exists);
    } else {
        create_fresh(file, path);
    }
    if (file->descriptor >= 0)
        return 0;
    if (!exists || !S_ISDIR(status.st_mode))
        trace_report_file(path, error, "cannot create: %s", strerror(errno));
    forget(file);
    return -1;
}

int trace_file_append(struct trace_file *file, const void *data, size_t size, bool *broken,
                      struct trace_error *error) {
    const uint8_t *at = data;
    size_t done = 0;
    while (done < size) {
        ssize_t n = write(file->descriptor, at + done, size - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            struct trace_place place = {file->path, file->size_bytes + done};
            trace_report(&place, error, "cannot write: %s", strerror(errno));
            *broken = done > 0 && (ftruncate(file->descriptor, (off_t)file->size_bytes) != 0 ||
                                   lseek(file->descriptor, (off_t)file->size_bytes, SEEK_SET) < 0);
            return -1;
        }
    }
    file->size_bytes += size;
    return 0;
}

// What has come to stand under a name that was free is not replaced.
static int take_name(const struct trace_file *file) {
    if (!file->replaces && renameat2(AT_FDCWD, file->path_temporary, AT_FDCWD, file->path_final,
                                     RENAME_NOREPLACE) == 0)
        return 0;
    if (!file->replaces && errno != EINVAL && errno != ENOSYS) // not every file system can
        return -1;
    return rename(file->path_temporary, file->path_final);
}

int trace_file_publish(struct trace_file *file, struct trace_error *error) {
    if (file->path_temporary && take_name(file) != 0)
        return trace_fail_file(file->path, error, "cannot give the file its name: %s",
                               strerror(errno));
    free(file->path_temporary);
    file->path_temporary = NULL;
    file->created = false;
    return 0;
}

int trace_file_close(struct trace_file *file, struct trace_error *error) {
    int result = 0;
    if (file->created)
        unlink(file->path_temporary ? file->path_temporary : file->path);
    // Linux closes the descriptor even when close is interrupted.
    if (file->descriptor >= 0 && close(file->descriptor) != 0 && errno != EINTR)
        result = trace_fail_file(file->path, error, "cannot close: %s", strerror(errno));
    forget(file);
    return result;
}

uint64_t trace_file_random(void) {
    uint64_t value = 0;
    if (getrandom(&value, sizeof value, GRND_NONBLOCK) == (ssize_t)sizeof value)
        return value;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 16;
}

uint64_t trace_file_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void trace_file_ignore_closed_pipes(void) {
    signal(SIGPIPE, SIG_IGN);
}
