// real_test.h: what the programs of tests/real share. Each is an ordinary program that states facts
// about the malloc it runs on, which is libmf2.so by LD_PRELOAD; it knows nothing of MF2's insides.
//
// Words: a *fact* that does not hold is printed and counted, the program goes on; its exit status
// says at the end whether there was one. Facts may be stated from any thread.
#ifndef REAL_TEST_H
#define REAL_TEST_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __cplusplus
#include <atomic>
static std::atomic<int> failures;
#else
#include <stdatomic.h>
static _Atomic int failures;
#endif

__attribute__((unused)) static void state_fact(int holds, const char *text, const char *file,
                                               int line) {
    if (holds || failures++ >= 20) // twenty lines say enough
        return;
    // Not through stdio: that may allocate, or be closed.
    char message[300];
    int length = snprintf(message, sizeof message, "%s:%d: does not hold: %s\n",
                          strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line, text);
    ssize_t ignored = write(STDERR_FILENO, message, (size_t)length);
    (void)ignored;
}
#define FACT(condition) state_fact((condition) != 0, #condition, __FILE__, __LINE__)

// Without its library a test would praise another malloc.
__attribute__((unused)) static void require_library(void) {
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, "malloc");
    if (!dladdr(address, &info) || !strstr(info.dli_fname, "libmf2")) {
        fprintf(stderr, "malloc is not libmf2.so's, but of %s\n", info.dli_fname);
        exit(2);
    }
}

// Fills and checks whole blocks; what is written depends on the place and on `key`.
__attribute__((unused)) static void fill(void *block, size_t bytes, unsigned key) {
    unsigned char *byte = (unsigned char *)block;
    for (size_t i = 0; i < bytes; i++)
        byte[i] = (unsigned char)(i * 7 + key);
}

__attribute__((unused)) static int is_filled(const void *block, size_t bytes, unsigned key) {
    const unsigned char *byte = (const unsigned char *)block;
    for (size_t i = 0; i < bytes; i++)
        if (byte[i] != (unsigned char)(i * 7 + key))
            return 0;
    return 1;
}

__attribute__((unused)) static int is_zero(const void *block, size_t bytes) {
    const unsigned char *byte = (const unsigned char *)block;
    for (size_t i = 0; i < bytes; i++)
        if (byte[i])
            return 0;
    return 1;
}

// A field of /proc/self/status in KiB, such as "VmRSS:".
__attribute__((unused)) static size_t status_kib(const char *field) {
    char text[4096];
    FILE *file = fopen("/proc/self/status", "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[length] = 0;
    const char *found = strstr(text, field);
    return found ? strtoull(found + strlen(field), NULL, 10) : 0;
}

__attribute__((unused)) static uint64_t argument(int argc, char **argv, const char *name,
                                                 uint64_t otherwise) {
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=')
            return strtoull(argv[i] + length + 1, NULL, 10);
    return otherwise;
}

#endif
