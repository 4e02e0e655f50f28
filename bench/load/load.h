// load.h: what one row of the benchmark is, and what its threads share.
//
// A row is a workload with fixed numbers. It runs in one process on plain malloc and free, so that
// whatever is preloaded serves it, in one of two modes:
//   speed    for a time, after half that time of warming up; blocks are touched as the row says,
//            a few bytes of each
//   memory   a fixed number of rounds; every requested byte is written, live bytes are counted, and
//            when nearly all has been freed the threads rest for a second
//
// Words
//   operation   one allocation, with the free that belongs to it
//   slot        a place for one block; a row holds as many live blocks as it has slots
//   round       the piece of work between two questions whether to go on
//   retire      to free at the end of a row, but for the few blocks that rows of middle sizes keep
//
// The harness's own memory is mapped and touched before the clock starts and is the same for every
// allocator; a run with `empty` set maps it, starts the threads, and does nothing else.
//
// Threads: a struct load_thread belongs to one thread at a time. What struct load_run has for all
// is atomic or written before the threads start.
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What is written to a fresh block in speed mode.
enum load_touch {
    LOAD_TOUCH_TWO_BYTES,     // the first two, as Larson's does
    LOAD_TOUCH_128_BYTES,     // the first 128, as xmalloc-test does
    LOAD_TOUCH_WORD_PER_PAGE, // one word in each 4 KiB
};

struct load_block {
    void *address;
    uint32_t bytes;
    uint32_t stamp; // what was written tells this number
};

struct load_run;
struct load_thread;

struct load_family {
    void (*set_up)(struct load_run *run);       // maps arrays; main thread
    void (*warm_up)(struct load_run *run);      // allocation by the main thread, or NULL
    void (*fill)(struct load_thread *thread);   // allocation by each thread, or NULL
    void (*body)(struct load_thread *thread);   // the work
    void (*retire)(struct load_thread *thread); // frees what is left, after all bodies, or NULL
};

struct load_row {
    const char *name;
    const struct load_family *family;
    void (*single)(struct load_thread *thread); // of the family of single threads
    uint32_t threads;
    uint32_t least_bytes, most_bytes; // a size is at least least_bytes and below most_bytes
    uint32_t speed_slots, memory_slots;
    uint64_t memory_rounds; // of each thread; 0: the row has no memory mode
    enum load_touch touch;
    uint32_t batch;                           // blocks handed over together
    uint32_t producers, consumers;            // of one group; there are threads ÷ (both) groups
    uint32_t remote_percent;                  // mix: blocks freed by another thread
    uint32_t speed_lifetime, memory_lifetime; // larson: operations of one thread ÷ its slots
    bool keeps;                               // one block in LOAD_KEEP stays live when all rest
    const char *meaning;
};
#define LOAD_KEEP 64

struct load_thread {
    struct load_run *run;
    uint32_t number;
    bool memory;
    uint64_t random;
    _Atomic uint64_t operations; // written by its thread only, read by main while it runs
    uint64_t round;
    uint64_t checked;  // blocks whose content was looked at
    uint64_t checksum; // memory mode: sum of what was read back
    uint64_t end_ns;   // when its body ended
    struct load_block *kept;
    size_t kept_count, kept_limit;
} __attribute__((aligned(128)));

struct load_run {
    const struct load_row *row;
    bool memory, empty;
    double seconds;  // of a speed run, warming up excluded
    uint64_t rounds; // of a memory run
    uint32_t slots;  // of all threads
    uint64_t seed;
    void *work; // the family's
    struct load_thread *threads;
    _Atomic bool stop;
    _Atomic int64_t live_bytes, live_bytes_peak; // memory mode; requested bytes
};

struct load_outcome {
    double seconds, cpu_seconds;
    uint64_t operations, checked, checksum;
    uint64_t peak_live_bytes, peak_rss_bytes;
    uint64_t idle_live_bytes, idle_rss_bytes; // memory mode
};

extern const struct load_family load_larson, load_queue, load_mix, load_phase, load_churn,
    load_strand, load_single;
// Bodies of load_single.
void single_stack(struct load_thread *thread);
void single_tree(struct load_thread *thread);
void single_objects(struct load_thread *thread);
void single_realloc(struct load_thread *thread);
void single_calloc(struct load_thread *thread);
void single_aligned(struct load_thread *thread);
void single_large(struct load_thread *thread);

// The table of rows; NULL past the last one.
const struct load_row *load_row_at(size_t i);

// Runs the row that `run` names. Main thread, once per process.
void load_run(struct load_run *run, struct load_outcome *outcome);

// Zeroed and touched memory of the harness, which stays until the process ends.
void *load_map(size_t bytes);
// One line on standard error; ends the process with status 1.
_Noreturn void load_fail(const struct load_run *run, const char *what);
uint64_t load_now_ns(void);

static inline uint64_t load_operations(const struct load_thread *thread) {
    return atomic_load_explicit(&thread->operations, memory_order_relaxed);
}

// Whether the thread is to do another round.
static inline bool load_more(struct load_thread *thread) {
    struct load_run *run = thread->run;
    if (thread->memory)
        return thread->round++ < run->rounds;
    return !atomic_load_explicit(&run->stop, memory_order_relaxed);
}

// The slots of one thread.
static inline uint32_t load_slots_per_thread(const struct load_run *run) {
    return run->slots / run->row->threads;
}

#endif
