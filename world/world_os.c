// world_os.c: see world_os.h.
#include "world_os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

// A file as open() would have made it; mkstemp's are private.
static int publish(int descriptor) {
    mode_t mask = umask(0);
    umask(mask);
    return fchmod(descriptor, 0666 & ~mask);
}

int world_os_write_file(const char *path, const char *text, size_t bytes) {
    char temporary[4096];
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
