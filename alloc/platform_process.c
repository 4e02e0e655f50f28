// platform_process.c: platform_process.h on Linux and glibc. Owns the kept stderr.
#include "platform_process.h"

#include "platform.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Far from the descriptors that programs and shells count on.
#define KEPT_DESCRIPTOR_MIN 200

// A copy of stderr, and which file it was: the program may close the copy as well and open
// something of its own under that number. Written once, before main.
static struct {
    int descriptor; // 0: nothing was kept
    dev_t device;
    ino_t inode;
} kept;

uint32_t mf2_process_id(void) {
    return (uint32_t)getpid();
}

const char *mf2_environment(const char *name) {
    const char *value = secure_getenv(name);
    return value && value[0] ? value : NULL;
}

void mf2_output_keep(void) {
    struct stat status;
    if (fstat(STDERR_FILENO, &status) != 0)
        return;
    int descriptor = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, KEPT_DESCRIPTOR_MIN);
    if (descriptor < 0) // a small limit of descriptors
        descriptor = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (descriptor < 0)
        return;
    kept.descriptor = descriptor;
    kept.device = status.st_dev;
    kept.inode = status.st_ino;
}

static bool is_kept_file(int descriptor) {
    struct stat status;
    return kept.descriptor && fstat(descriptor, &status) == 0 && status.st_dev == kept.device &&
           status.st_ino == kept.inode;
}

static void write_all(int descriptor, const char *text, size_t bytes) {
    while (bytes > 0) {
        ssize_t written = write(descriptor, text, bytes);
        if (written < 0 && errno != EINTR)
            return;
        if (written > 0) {
            text += written;
            bytes -= (size_t)written;
        }
    }
}

static void append_to_file(const char *path, const char *text, size_t bytes) {
    int descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (descriptor < 0) {
        char line[4200];
        snprintf(line, sizeof line, "mf2: MF2_STATS_FILE: %s: %s\n", path, strerror(errno));
        mf2_print_line(line);
        return;
    }
    write_all(descriptor, text, bytes);
    close(descriptor);
}

void mf2_output_write(const char *path, const char *text, size_t bytes) {
    if (path)
        append_to_file(path, text, bytes);
    else if (is_kept_file(kept.descriptor))
        write_all(kept.descriptor, text, bytes);
    else if (is_kept_file(STDERR_FILENO))
        write_all(STDERR_FILENO, text, bytes);
}

// A library that a plugin brought along is not among those that RTLD_NEXT looks at. Its handle is
// kept, so that it stays while the function is in use.
void *mf2_cxx_library_function(const char *name) {
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
    void *function = dlsym(RTLD_NEXT, name);
    for (size_t i = 0; !function && i < sizeof libraries / sizeof libraries[0]; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library)
            function = dlsym(library, name);
    }
    return function;
}
