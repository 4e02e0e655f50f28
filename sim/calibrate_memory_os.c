// calibrate_memory_os.c: what the kernel takes for making memory usable, for its first touch and
// for taking it back. The calls are MF2's: mprotect of a reserved range, madvise(DONTNEED).
#include "calibrate.h"

#include <sys/mman.h>

#define OS_PAGE     4096u
#define MF2_PAGE    65536u
#define CALLS_MAX   1024u
#define TOUCH_BYTES (UINT64_C(16) << 20)

static char *reserve(uint64_t bytes, int protection) {
    char *memory =
        mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

// A range that grows at its end, as an arena's usable part does.
static double commit(const struct calibrate *run, void *self) {
    (void)self;
    uint64_t calls = run->loops / 4096 < CALLS_MAX ? run->loops / 4096 + 1 : CALLS_MAX;
    char *memory = reserve(calls * MF2_PAGE, PROT_NONE);
    if (!memory)
        return -1;
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < calls; i++)
        mprotect(memory + i * MF2_PAGE, MF2_PAGE, PROT_READ | PROT_WRITE);
    double ns = (calibrate_now_ns() - began) / (double)calls;
    munmap(memory, calls * MF2_PAGE);
    return ns;
}

static uint64_t touch_bytes(const struct calibrate *run) {
    return run->repeats < SIM_CALIBRATE_REPEATS ? TOUCH_BYTES / 16 : TOUCH_BYTES;
}

static void touch(char *memory, uint64_t bytes) {
    for (uint64_t at = 0; at < bytes; at += OS_PAGE)
        *(volatile char *)(memory + at) = 1;
}

// What a heap of a few MiB meets: pages that the kernel had back shortly before.
static double fault(const struct calibrate *run, void *self) {
    (void)self;
    uint64_t bytes = touch_bytes(run) / 8;
    char *memory = reserve(bytes, PROT_READ | PROT_WRITE);
    if (!memory)
        return -1;
    double began = calibrate_now_ns();
    touch(memory, bytes);
    double ns = (calibrate_now_ns() - began) / (double)(bytes / OS_PAGE);
    munmap(memory, bytes);
    return ns;
}

// The other lines of pages that have just been faulted in, in an order that no prefetcher knows.
static double fresh_line(const struct calibrate *run, void *self) {
    (void)self;
    uint64_t bytes = touch_bytes(run) / 8, lines = bytes / SIM_LINE_BYTES;
    char *memory = reserve(bytes, PROT_READ | PROT_WRITE);
    if (!memory)
        return -1;
    touch(memory, bytes);
    double began = calibrate_now_ns();
    for (uint64_t i = 0, line = 0; i < lines; i++, line = (line * 5 + 12345) % lines)
        *(volatile char *)(memory + line * SIM_LINE_BYTES + 8) = 1;
    double ns = (calibrate_now_ns() - began) / (double)lines;
    munmap(memory, bytes);
    return ns;
}

// Of ranges that were touched before, and taken back already: the call alone.
static double purge_call(const struct calibrate *run, void *self) {
    (void)self;
    uint64_t bytes = touch_bytes(run), calls = bytes / MF2_PAGE;
    char *memory = reserve(bytes, PROT_READ | PROT_WRITE);
    if (!memory)
        return -1;
    touch(memory, bytes);
    madvise(memory, bytes, MADV_DONTNEED);
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < calls; i++)
        madvise(memory + i * MF2_PAGE, MF2_PAGE, MADV_DONTNEED);
    double ns = (calibrate_now_ns() - began) / (double)calls;
    munmap(memory, bytes);
    return ns;
}

// Ranges of 64 KiB, touched, per 4 KiB; self: what the call alone takes.
static double purge_page(const struct calibrate *run, void *self) {
    const struct sim_calibrated *call = self;
    uint64_t bytes = touch_bytes(run), calls = bytes / MF2_PAGE;
    char *memory = reserve(bytes, PROT_READ | PROT_WRITE);
    if (!memory)
        return -1;
    touch(memory, bytes);
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < calls; i++)
        madvise(memory + i * MF2_PAGE, MF2_PAGE, MADV_DONTNEED);
    double ns =
        (calibrate_now_ns() - began - call->value_ns * (double)calls) / (double)(bytes / OS_PAGE);
    munmap(memory, bytes);
    return ns > 0 ? ns : 0;
}

void calibrate_memory(const struct calibrate *run, struct sim_calibration *calibration) {
    struct sim_calibrated *call = &calibration->costs.purge_call;
    calibrate_repeat(run, &calibration->costs.commit_call,
                     "mprotect that makes 64 KiB of a reserved range usable, one thread", commit,
                     NULL);
    calibrate_repeat(run, &calibration->costs.page_fault,
                     "first write to each 4 KiB of 2 MiB, one thread", fault, NULL);
    calibrate_repeat(run, &calibration->costs.line_memory,
                     "first write to a line of 2 MiB whose pages are there, no two in a row",
                     fresh_line, NULL);
    calibrate_repeat(run, call, "madvise(DONTNEED) of 64 KiB without memory", purge_call, NULL);
    calibrate_repeat(run, &calibration->costs.purge_page,
                     "madvise(DONTNEED) of touched 64 KiB, per 4 KiB, less purge_call", purge_page,
                     call);
}
