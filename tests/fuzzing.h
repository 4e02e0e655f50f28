// fuzzing.h: what programs share that feed a reader inputs which nobody wrote: the input, mutating
// it by a fixed random sequence, failing so that the input is kept. For one program each, one
// thread: its state is the file's own.
#ifndef HAK_TESTS_FUZZING_H
#define HAK_TESTS_FUZZING_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { INPUT_BYTES_MAX = 1 << 16, SEEDS_MAX = 8 };

struct input {
    uint8_t data[INPUT_BYTES_MAX];
    size_t size;
};

static struct input seeds[SEEDS_MAX], current;
static unsigned seed_count;
static uint64_t random_state;
static const char *const *tokens; // words of the input's language
static size_t token_count;
static int input_file; // a file in memory, and its path
static char input_path[64];

// ---------------------------------------------------------------- failing

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

// The input is left in fuzz_input.
static inline void fuzz_keep_input(void) {
    FILE *file = fopen("fuzz_input", "wb");
    if (file) {
        fwrite(current.data, 1, current.size, file);
        fclose(file);
    }
}

static inline void fuzz_on_signal(int number) {
    fuzz_keep_input();
    signal(number, SIG_DFL);
    raise(number);
}

void __asan_set_death_callback(void (*callback)(void)) __attribute__((weak));

static inline void fuzz_begin(void) {
    signal(SIGABRT, fuzz_on_signal);
    signal(SIGSEGV, fuzz_on_signal);
    if (__asan_set_death_callback)
        __asan_set_death_callback(fuzz_keep_input);
    input_file = memfd_create("fuzz", 0);
    must(input_file >= 0 && freopen("/dev/null", "w", stdout));
    snprintf(input_path, sizeof input_path, "/proc/self/fd/%d", input_file);
}

static inline void must_be_one_line(const char *text) {
    must(text[0] != '\0' && strchr(text, '\n') == NULL);
}

// ---------------------------------------------------------------- inputs

static inline void fuzz_put_input(void) {
    must(ftruncate(input_file, 0) == 0);
    must(pwrite(input_file, current.data, current.size, 0) == (ssize_t)current.size);
}

static inline size_t fuzz_read_file(const char *path, struct input *input) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "cannot open %s\n", path);
        exit(2);
    }
    input->size = fread(input->data, 1, sizeof input->data, file);
    fclose(file);
    return input->size;
}

// The seeds of these names below source/folder, up to a NULL.
static inline void fuzz_read_seeds(const char *source, const char *folder,
                                   const char *const *names) {
    char path[4096];
    seed_count = 0;
    for (; *names; names++) {
        snprintf(path, sizeof path, "%s/%s/%s", source, folder, *names);
        must(seed_count < SEEDS_MAX && fuzz_read_file(path, &seeds[seed_count++]) > 0);
    }
}

static inline void fuzz_seed(uint64_t seed) {
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

// ---------------------------------------------------------------- what came of it

struct fuzz_figures {
    uint64_t accepted, refused;
    double slowest; // seconds
};

// Both must happen, or the mutations are too tame or too wild to show anything.
static inline void fuzz_tell(const char *target, const struct fuzz_figures *figures) {
    struct rusage usage;
    uint64_t executions = figures->accepted + figures->refused;
    must(executions < 1000 || (figures->accepted > 0 && figures->refused > 0));
    getrusage(RUSAGE_SELF, &usage);
    fprintf(stderr, "%s: %llu executions, %llu accepted, %llu refused; slowest %.3f s, %ld MB\n",
            target, (unsigned long long)executions, (unsigned long long)figures->accepted,
            (unsigned long long)figures->refused, figures->slowest, usage.ru_maxrss / 1024);
}

// ---------------------------------------------------------------- random

static inline uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static inline size_t below(size_t limit) {
    return limit ? next_random() % limit : 0;
}

// ---------------------------------------------------------------- mutating bytes

static inline void fuzz_overwrite(struct input *input, size_t at, const void *data, size_t size) {
    if (at >= input->size)
        return;
    memcpy(input->data + at, data, size < input->size - at ? size : input->size - at);
}

static inline void fuzz_insert(struct input *input, size_t at, const void *data, size_t size) {
    if (input->size + size > sizeof input->data)
        return;
    memmove(input->data + at + size, input->data + at, input->size - at);
    memcpy(input->data + at, data, size);
    input->size += size;
}

static inline void fuzz_cut_out(struct input *input, size_t at, size_t size) {
    if (size > input->size - at)
        size = input->size - at;
    memmove(input->data + at, input->data + at + size, input->size - at - size);
    input->size -= size;
}

static inline void fuzz_mutate_once(struct input *input) {
    static const uint64_t interesting[] = {0,          1,          0x7f,       0x80,
                                           0xff,       0x100,      0xffff,     0x7fffffff,
                                           0xffffffff, UINT64_MAX, 1ull << 63, 1ull << 32};
    uint8_t copy[256];
    size_t at = below(input->size + 1), size = 1 + below(16);
    uint64_t value = interesting[below(sizeof interesting / sizeof *interesting)];
    switch (below(9)) {
    case 0:
        if (at < input->size)
            input->data[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        if (at < input->size)
            input->data[at] = (uint8_t)next_random();
        break;
    case 2:
        fuzz_overwrite(input, at, &value, 1u << below(4));
        break;
    case 3:
        value = next_random();
        fuzz_insert(input, at, &value, 1 + below(8));
        break;
    case 4:
        fuzz_cut_out(input, at, size);
        break;
    case 5: { // a part of itself
        size = 1 + below(sizeof copy);
        size_t from = below(input->size + 1);
        size = size < input->size - from ? size : input->size - from;
        memcpy(copy, input->data + from, size);
        fuzz_insert(input, at, copy, size);
        break;
    }
    case 6: { // a part of another seed
        const struct input *other = &seeds[below(seed_count)];
        size_t from = below(other->size + 1);
        size = 1 + below(64);
        fuzz_insert(input, at, other->data + from,
                    size < other->size - from ? size : other->size - from);
        break;
    }
    case 7:
        if (token_count > 0) {
            const char *token = tokens[below(token_count)];
            fuzz_insert(input, at, token, strlen(token));
        }
        break;
    default:
        if (at < input->size)
            input->data[at] = (uint8_t)(input->data[at] + (below(2) ? 1 : -1));
        break;
    }
}

static inline void fuzz_mutate_bytes(struct input *input) {
    for (size_t times = 1 + below(4); times > 0; times--)
        fuzz_mutate_once(input);
    if (below(32) == 0)
        input->size = below(input->size + 1);
}

#endif
