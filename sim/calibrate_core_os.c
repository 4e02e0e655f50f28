// calibrate_core_os.c: what one core does by itself: lines that it has, locked instructions,
// fences, pauses, the clock.
#include "calibrate.h"

#include <immintrin.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define NEAR_LINES 64u // fits into any first level

struct chase {
    char *memory;
    uint64_t lines;
    uint32_t next; // where the last walk ended
};

static uint32_t *place(const struct chase *chase, uint64_t line) {
    return (uint32_t *)(void *)(chase->memory + line * SIM_LINE_BYTES);
}

// One cycle through all lines in an order that no prefetcher knows (Sattolo's shuffle).
static void lay(struct chase *chase) {
    uint64_t random = 88172645463325252u;
    for (uint64_t i = 0; i < chase->lines; i++)
        *place(chase, i) = (uint32_t)i;
    for (uint64_t i = chase->lines - 1; i > 0; i--) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t j = random % i;
        uint32_t kept = *place(chase, i);
        *place(chase, i) = *place(chase, j);
        *place(chase, j) = kept;
    }
}

static double walk(const struct calibrate *run, void *self) {
    struct chase *chase = self;
    uint64_t turns = run->loops;
    uint32_t at = chase->next;
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < turns; i++)
        at = *(volatile uint32_t *)place(chase, at);
    double ns = (calibrate_now_ns() - began) / (double)turns;
    chase->next = at;
    return ns;
}

static void calibrate_lines(const struct calibrate *run, struct sim_calibration *calibration) {
    uint64_t bytes = NEAR_LINES * SIM_LINE_BYTES;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return;
    struct chase near = {.memory = memory, .lines = NEAR_LINES};
    lay(&near);
    walk(run, &near);
    calibrate_repeat(run, &calibration->costs.line_same_core,
                     "dependent loads of 64 lines in a random cycle", walk, &near);
    munmap(memory, bytes);
}

static double add(const struct calibrate *run, void *self) {
    const struct sim_calibrated *near = self;
    _Alignas(SIM_LINE_BYTES) _Atomic uint64_t counter = 0;
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < run->loops; i++)
        atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
    double ns = (calibrate_now_ns() - began) / (double)run->loops - near->value_ns;
    return ns > 0 ? ns : 0;
}

static double fence(const struct calibrate *run, void *self) {
    _Atomic uint64_t *word = self;
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < run->loops; i++) {
        atomic_store_explicit(word, i, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
    }
    return (calibrate_now_ns() - began) / (double)run->loops;
}

static double pause_turn(const struct calibrate *run, void *self) {
    (void)self;
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < run->loops; i++)
        _mm_pause();
    return (calibrate_now_ns() - began) / (double)run->loops;
}

static double clock_read(const struct calibrate *run, void *self) {
    (void)self;
    uint64_t turns = run->loops / 4 + 1;
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < turns; i++)
        calibrate_now_ns();
    return (calibrate_now_ns() - began) / (double)turns;
}

void calibrate_core(const struct calibrate *run, struct sim_calibration *calibration) {
    _Atomic uint64_t word = 0;
    calibrate_lines(run, calibration);
    calibrate_repeat(run, &calibration->costs.read_modify_write,
                     "a locked add to a line at hand, one after the other, less line_same_core",
                     add, &calibration->costs.line_same_core);
    calibrate_repeat(run, &calibration->costs.fence, "a store and a full fence", fence, &word);
    calibrate_repeat(run, &calibration->costs.pause, "pause, one after the other", pause_turn,
                     NULL);
    calibrate_repeat(run, &calibration->costs.clock_read, "clock_gettime(CLOCK_MONOTONIC)",
                     clock_read, NULL);
}
