// stress.c: a randomised stress of whatever malloc the program runs on, with content checks.
//
// Every block is filled from end to end with words that follow from its address and size, and is
// checked whole when it is freed or resized: two live blocks that overlap, a block that is written
// to by the allocator, or one that realloc did not carry over, are all seen. Threads hand blocks to
// each other, and end after a while: a successor takes their table and their inbox over, so that
// blocks outlive the threads that allocated them, and a thread ends while others free into it.
//
//   stress [--threads=N] [--operations=N | --seconds=N] [--seed=N] [--sizes=small|middle|large|mix]
//          [--remote=PERCENT] [--slots=N] [--lifetime=OPERATIONS]
//
// An operation is one call of malloc, calloc, aligned_alloc, realloc or free. One line at the end
// counts each. The first wrong byte ends the program with a line that says where, and abort.
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX  256
#define SLOTS_MAX    4096
#define INBOX_BLOCKS 256

struct block {
    unsigned char *start; // NULL: no block
    size_t bytes;
};

enum call { MALLOC, CALLOC, ALIGNED, REALLOC, FREE, HANDED, CALLS };
static const char *const call_names[CALLS] = {"malloc",  "calloc", "aligned_alloc",
                                              "realloc", "free",   "handed over"};

// One line of work, carried on by one thread after another.
struct worker {
    uint64_t random;
    uint64_t operations_left, lifetime_left;
    uint64_t calls[CALLS];
    uint64_t threads;
    struct block slots[SLOTS_MAX];

    pthread_mutex_t inbox_lock; // guards what follows
    size_t inbox_count;
    struct block inbox[INBOX_BLOCKS];
};

static struct options {
    uint64_t threads, operations, seconds, seed, remote_percent, slots, lifetime;
    char sizes;
} options;

static struct worker workers[THREADS_MAX];
static _Atomic uint64_t workers_running;
static _Atomic bool time_is_up;

// ---------------------------------------------------------------- content

static uint64_t scrambled(uint64_t z) { // splitmix64, S. Vigna
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static uint64_t draw(uint64_t *random) {
    return scrambled(*random += 0x9E3779B97F4A7C15ull);
}

__attribute__((noreturn)) static void wrong(const char *what, struct block block, size_t offset) {
    char line[200];
    int length = snprintf(line, sizeof line,
                          "stress: %s: block %p of %zu bytes, offset %zu, --seed=%" PRIu64 "\n",
                          what, (void *)block.start, block.bytes, offset, options.seed);
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)length);
    (void)ignored;
    abort();
}

static uint64_t first_word(struct block block) {
    return scrambled((uintptr_t)block.start + (block.bytes << 48));
}

static void fill(struct block block) {
    uint64_t word = first_word(block);
    size_t offset = 0;
    for (; offset + 8 <= block.bytes; offset += 8, word += 0x9E3779B97F4A7C15ull)
        memcpy(block.start + offset, &word, 8);
    memcpy(block.start + offset, &word, block.bytes - offset);
}

// The first `bytes` of a block that was filled as `filled`, wherever they are now.
static void check(const unsigned char *start, struct block filled, size_t bytes) {
    uint64_t word = first_word(filled);
    size_t offset = 0;
    for (; offset + 8 <= bytes; offset += 8, word += 0x9E3779B97F4A7C15ull)
        if (memcmp(start + offset, &word, 8) != 0)
            wrong("content was changed", filled, offset);
    if (memcmp(start + offset, &word, bytes - offset) != 0)
        wrong("content was changed", filled, offset);
}

static void check_zero(struct block block) {
    for (size_t i = 0; i < block.bytes; i++)
        if (block.start[i])
            wrong("calloc gave a byte that is not zero", block, i);
}

// ---------------------------------------------------------------- one call each

// Sizes are log-uniform: as many of 16 to 32 bytes as of 16 to 32 KiB within one range.
static size_t log_uniform(uint64_t *random, unsigned low_bit, unsigned high_bit) {
    unsigned bit = low_bit + (unsigned)(draw(random) % (high_bit - low_bit));
    return ((size_t)1 << bit) + draw(random) % ((size_t)1 << bit);
}

static size_t some_bytes(uint64_t *random) {
    uint64_t dice = draw(random) % 1000;
    switch (options.sizes) {
    case 's':
        return dice == 0 ? 0 : log_uniform(random, 0, 10);
    case 'm': // middle
        return log_uniform(random, 10, 16);
    case 'l':
        return log_uniform(random, 15, 22);
    default:
        if (dice == 0)
            return log_uniform(random, 18, 22);
        if (dice < 10)
            return log_uniform(random, 14, 18);
        return dice < 150 ? log_uniform(random, 9, 14) : log_uniform(random, 0, 10);
    }
}

static void accept(struct block block, size_t alignment) {
    if (!block.start)
        wrong("no memory", block, 0);
    if ((uintptr_t)block.start % alignment != 0)
        wrong("misaligned", block, 0);
    if (malloc_usable_size(block.start) < block.bytes)
        wrong("usable size is less than was asked for", block, 0);
    fill(block);
}

static struct block allocate(struct worker *worker) {
    struct block block = {NULL, some_bytes(&worker->random)};
    uint64_t how = draw(&worker->random) % 16;
    size_t alignment = 16;
    if (how == 0) {
        alignment = (size_t)16 << draw(&worker->random) % 13; // to 64 KiB
        block.start = aligned_alloc(alignment, block.bytes);
        worker->calls[ALIGNED]++;
    } else if (how <= 3) {
        block.start = calloc(1, block.bytes);
        if (block.start)
            check_zero(block);
        worker->calls[CALLOC]++;
    } else {
        block.start = malloc(block.bytes);
        worker->calls[MALLOC]++;
    }
    accept(block, alignment);
    return block;
}

static void release(struct worker *worker, struct block block) {
    check(block.start, block, block.bytes);
    memset(block.start, 0xDD, block.bytes < 64 ? block.bytes : 64);
    free(block.start);
    worker->calls[FREE]++;
}

static struct block resize(struct worker *worker, struct block old) {
    struct block block = {NULL, some_bytes(&worker->random) + 1};
    check(old.start, old, old.bytes);
    block.start = realloc(old.start, block.bytes);
    worker->calls[REALLOC]++;
    if (block.start)
        check(block.start, old, old.bytes < block.bytes ? old.bytes : block.bytes);
    accept(block, 16);
    return block;
}

// ---------------------------------------------------------------- inboxes

static bool hand_over(struct worker *worker, struct block block) {
    struct worker *to = &workers[draw(&worker->random) % options.threads];
    pthread_mutex_lock(&to->inbox_lock);
    bool has_room = to->inbox_count < INBOX_BLOCKS;
    if (has_room)
        to->inbox[to->inbox_count++] = block;
    pthread_mutex_unlock(&to->inbox_lock);
    worker->calls[HANDED] += has_room;
    return has_room;
}

static struct block take_from_inbox(struct worker *worker) {
    struct block block = {NULL, 0};
    pthread_mutex_lock(&worker->inbox_lock);
    if (worker->inbox_count)
        block = worker->inbox[--worker->inbox_count];
    pthread_mutex_unlock(&worker->inbox_lock);
    return block;
}

// ---------------------------------------------------------------- threads

static uint64_t operations_of(const struct worker *worker) {
    uint64_t sum = 0;
    for (int call = 0; call < HANDED; call++)
        sum += worker->calls[call];
    return sum;
}

static void step(struct worker *worker) {
    struct block *slot = &worker->slots[draw(&worker->random) % options.slots];
    uint64_t dice = draw(&worker->random) % 100;
    if (!slot->start) {
        *slot = allocate(worker);
    } else if (dice < options.remote_percent && hand_over(worker, *slot)) {
        slot->start = NULL;
    } else if (draw(&worker->random) % 8 == 0) {
        *slot = resize(worker, *slot);
    } else {
        release(worker, *slot);
        slot->start = NULL;
    }
    struct block handed = take_from_inbox(worker);
    if (!handed.start)
        return;
    if (draw(&worker->random) % 8 == 0)
        handed = resize(worker, handed); // of another thread's block
    release(worker, handed);
}

static void *live(void *argument);

static void start_thread(struct worker *worker) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    int error = pthread_create(&thread, &attributes, live, worker);
    pthread_attr_destroy(&attributes);
    if (error) {
        fprintf(stderr, "stress: pthread_create: %s\n", strerror(error));
        exit(2);
    }
    worker->threads++;
}

static bool has_work(const struct worker *worker) {
    if (options.seconds)
        return !atomic_load_explicit(&time_is_up, memory_order_relaxed);
    return operations_of(worker) < options.operations / options.threads;
}

static void *live(void *argument) {
    struct worker *worker = argument;
    uint64_t end = operations_of(worker) + options.lifetime;
    while (has_work(worker) && operations_of(worker) < end)
        step(worker);
    if (has_work(worker))
        start_thread(worker); // may run while this one still ends
    else
        atomic_fetch_sub(&workers_running, 1);
    return NULL;
}

static void release_all(struct worker *worker) {
    for (size_t i = 0; i < options.slots; i++)
        if (worker->slots[i].start)
            release(worker, worker->slots[i]);
    for (;;) {
        struct block block = take_from_inbox(worker);
        if (!block.start)
            return;
        release(worker, block);
    }
}

// ---------------------------------------------------------------- program

__attribute__((noreturn)) static void usage(const char *wrong_argument) {
    fprintf(stderr,
            "stress: %s: expected --threads=1..%d, --operations=N, --seconds=N, --seed=N, "
            "--sizes=small|middle|large|mix, --remote=0..100, --slots=1..%d or "
            "--lifetime=N\n",
            wrong_argument, THREADS_MAX, SLOTS_MAX);
    exit(2);
}

static bool number(const char *text, const char *name, uint64_t low, uint64_t high,
                   uint64_t *value) {
    size_t length = strlen(name);
    if (strncmp(text, name, length) != 0 || text[length] != '=')
        return false;
    char *end;
    *value = strtoull(text + length + 1, &end, 10);
    if (*end || end == text + length + 1 || *value < low || *value > high)
        usage(text);
    return true;
}

static bool size_mix(const char *text) {
    static const char *const names[] = {"small", "middle", "large", "mix"};
    static const char letters[] = {'s', 'm', 'l', 'x'};
    if (strncmp(text, "--sizes=", 8) != 0)
        return false;
    for (size_t i = 0; i < 4; i++)
        if (strcmp(text + 8, names[i]) == 0) {
            options.sizes = letters[i];
            return true;
        }
    usage(text);
}

static void parse(int argc, char **argv) {
    options = (struct options){.threads = 4,
                               .operations = 1000000,
                               .seed = 1,
                               .remote_percent = 30,
                               .slots = 500,
                               .lifetime = 20000,
                               .sizes = 'x'};
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        if (!number(text, "--threads", 1, THREADS_MAX, &options.threads) &&
            !number(text, "--operations", 1, UINT64_MAX / 2, &options.operations) &&
            !number(text, "--seconds", 1, 1000000, &options.seconds) &&
            !number(text, "--seed", 0, UINT64_MAX, &options.seed) &&
            !number(text, "--remote", 0, 100, &options.remote_percent) &&
            !number(text, "--slots", 1, SLOTS_MAX, &options.slots) &&
            !number(text, "--lifetime", 1, UINT64_MAX / 2, &options.lifetime) && !size_mix(text))
            usage(text);
    }
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void wait_for_workers(double start_s) {
    while (atomic_load(&workers_running)) {
        usleep(1000);
        if (options.seconds && now_s() - start_s >= (double)options.seconds)
            atomic_store(&time_is_up, true);
    }
}

static void report(double seconds) {
    uint64_t sums[CALLS] = {0}, operations = 0, threads = 0;
    for (uint64_t i = 0; i < options.threads; i++) {
        for (int call = 0; call < CALLS; call++)
            sums[call] += workers[i].calls[call];
        operations += operations_of(&workers[i]);
        threads += workers[i].threads;
    }
    printf("stress: %" PRIu64 " operations, seed %" PRIu64 ", %" PRIu64 " of %" PRIu64
           " threads at once, %.2f s, %.2f M/s;",
           operations, options.seed, options.threads, threads, seconds,
           (double)operations / seconds * 1e-6);
    for (int call = 0; call < CALLS; call++)
        printf(" %s %" PRIu64 "%s", call_names[call], sums[call], call + 1 < CALLS ? "," : "\n");
}

int main(int argc, char **argv) {
    parse(argc, argv);
    double start_s = now_s();
    atomic_store(&workers_running, options.threads);
    for (uint64_t i = 0; i < options.threads; i++) {
        workers[i].random = scrambled(options.seed) + i;
        pthread_mutex_init(&workers[i].inbox_lock, NULL);
    }
    for (uint64_t i = 0; i < options.threads; i++)
        start_thread(&workers[i]);
    wait_for_workers(start_s);
    for (uint64_t i = 0; i < options.threads; i++)
        release_all(&workers[i]);
    report(now_s() - start_s);
    return 0;
}
