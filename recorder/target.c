// target.c: what stands between a program's name and a recording of it.
//
// Owns: finding it as the shell would, and refusing, before it runs, what cannot be recorded:
// programs that do not load libraries, or whose loader ignores LD_PRELOAD. Also what is not the
// library to be preloaded.
//
// Threads: the launcher's only one.
#include "drainer.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

__attribute__((format(printf, 3, 4))) static void refuse(struct program_check *check, int exit_code,
                                                         const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->problem, sizeof check->problem, format, arguments);
    va_end(arguments);
    check->exit_code = exit_code;
}

// ---------------------------------------------------------------- finding it

static bool is_executable_file(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool find_in_path(const char *name, char *path, size_t size, bool *seen) {
    const char *directories = getenv("PATH");
    if (directories == NULL)
        directories = "/bin:/usr/bin";
    for (;;) {
        size_t length = strcspn(directories, ":");
        int written = length == 0 ? snprintf(path, size, "./%s", name)
                                  : snprintf(path, size, "%.*s/%s", (int)length, directories, name);
        if ((size_t)written < size && is_executable_file(path))
            return true;
        *seen |= access(path, F_OK) == 0;
        if (directories[length] == '\0')
            return false;
        directories += length + 1;
    }
}

static void find(const char *name, struct program_check *check) {
    bool seen = false;
    if (strchr(name, '/') == NULL) {
        if (find_in_path(name, check->path, sizeof check->path, &seen))
            return;
    } else if ((size_t)snprintf(check->path, sizeof check->path, "%s", name) < sizeof check->path) {
        if (is_executable_file(name))
            return;
        seen = access(name, F_OK) == 0 || errno != ENOENT;
    }
    if (seen)
        refuse(check, DRAIN_EXIT_CANNOT_RUN, "%s: expected an executable file", name);
    else
        refuse(check, DRAIN_EXIT_NOT_FOUND, "%s: no such program", name);
}

// ---------------------------------------------------------------- what it is

static void check_interpreter(const char *path, int file, const Elf64_Phdr *segment,
                              struct program_check *check) {
    char loader[256] = "";
    if (pread(file, loader, sizeof loader - 1, (off_t)segment->p_offset) <= 0 ||
        strstr(loader, "ld-linux-x86-64") == NULL)
        refuse(check, DRAIN_EXIT_CANNOT_RECORD,
               "%s: cannot be recorded: expected a program for glibc, its loader is %s", path,
               loader);
}

static void check_elf(const char *path, int file, const Elf64_Ehdr *header,
                      struct program_check *check) {
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64) {
        refuse(check, DRAIN_EXIT_CANNOT_RECORD,
               "%s: cannot be recorded: expected a 64-bit x86 program", path);
        return;
    }
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        off_t offset = (off_t)(header->e_phoff + (uint64_t)i * header->e_phentsize);
        if (pread(file, &segment, sizeof segment, offset) == (ssize_t)sizeof segment &&
            segment.p_type == PT_INTERP) {
            check_interpreter(path, file, &segment, check);
            return;
        }
    }
    refuse(check, DRAIN_EXIT_CANNOT_RECORD,
           "%s: cannot be recorded: it is statically linked and loads no libhakrec.so", path);
}

// The kernel makes the loader of such a program ignore LD_PRELOAD.
static void check_rights(const char *path, int file, struct program_check *check) {
    struct stat status;
    char capability[64];
    const char *what = NULL;
    if (fstat(file, &status) == 0) {
        if ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid())
            what = "set-uid";
        else if ((status.st_mode & S_ISGID) != 0 && status.st_gid != getgid())
            what = "set-gid";
    }
    if (getuid() != 0 && fgetxattr(file, "security.capability", capability, sizeof capability) > 0)
        what = "given file capabilities";
    if (what != NULL)
        refuse(check, DRAIN_EXIT_CANNOT_RECORD,
               "%s: cannot be recorded: it is %s, and would ignore libhakrec.so", path, what);
}

static void check_file(const char *path, struct program_check *check, bool may_be_script);

static void check_script(char *line, struct program_check *check) {
    char *interpreter = line + 2 + strspn(line + 2, " \t");
    interpreter[strcspn(interpreter, " \t\n")] = '\0';
    check_file(interpreter, check, false);
}

static void check_file(const char *path, struct program_check *check, bool may_be_script) {
    union {
        Elf64_Ehdr elf;
        char text[256];
    } head = {.text = ""};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return; // executable but not readable: only running it will tell
    ssize_t got = pread(file, head.text, sizeof head.text - 1, 0);
    if (got >= (ssize_t)sizeof head.elf && memcmp(head.elf.e_ident, ELFMAG, SELFMAG) == 0)
        check_elf(path, file, &head.elf, check);
    if (check->exit_code == 0)
        check_rights(path, file, check);
    close(file);
    if (check->exit_code == 0 && may_be_script && got > 2 && memcmp(head.text, "#!", 2) == 0)
        check_script(head.text, check);
}

void program_find(const char *name, struct program_check *check) {
    memset(check, 0, sizeof *check);
    find(name, check);
    if (check->exit_code == 0)
        check_file(check->path, check, true);
}

// ---------------------------------------------------------------- the library

// A shared object for this machine that knows the variable by which hakrec calls it. hakrec knows
// it as well, but names a loader.
static bool image_is_ours(const unsigned char *image, size_t size) {
    const Elf64_Ehdr *header = (const void *)image;
    if (size < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64 ||
        header->e_type != ET_DYN)
        return false;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        uint64_t offset = header->e_phoff + (uint64_t)i * header->e_phentsize;
        if (offset > size - sizeof *header || size - offset < sizeof segment)
            return false;
        memcpy(&segment, image + offset, sizeof segment);
        if (segment.p_type == PT_INTERP)
            return false;
    }
    return memmem(image, size, RING_SOCKET_VARIABLE, sizeof RING_SOCKET_VARIABLE) != NULL;
}

bool library_is_ours(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return false;
    bool ours = false;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        size_t size = (size_t)status.st_size;
        void *image = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
        if (image != MAP_FAILED) {
            ours = image_is_ours(image, size);
            munmap(image, size);
        }
    }
    close(file);
    return ours;
}
