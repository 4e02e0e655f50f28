// drain_clock.c: which clock orders the events, and how long one of its ticks is.
//
// Owns: the choice. The processor's time stamp counter is taken where it runs at a constant rate
// in all states and the kernel trusts it for its own time; otherwise CLOCK_MONOTONIC_RAW.
// HAKREC_CLOCK=tsc or =monotonic in the environment decides by hand (tests use it).
#include "drainer.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stamp.h"

static bool tsc_is_invariant(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || (d & 1u << 8) == 0)
        return false;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (d & 1u << 27) != 0; // rdtscp
}

// Paravirtual clocks are computed from the counter too, so their use means trust in it.
static bool kernel_trusts_tsc(void) {
    char name[64] = "";
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (file == NULL)
        return false;
    bool read = fgets(name, sizeof name, file) != NULL;
    fclose(file);
    return read && (strncmp(name, "tsc", 3) == 0 || strncmp(name, "kvm-clock", 9) == 0 ||
                    strncmp(name, "hyperv", 6) == 0);
}

static uint64_t nanoseconds(void) {
    return stamp_now(RING_CLOCK_MONOTONIC);
}

// The rate from two pairs of readings; each pair is the tightest of a few.
struct clock_pair {
    uint64_t stamp, ns;
};

static struct clock_pair pair_read(void) {
    struct clock_pair best = {0, 0};
    uint64_t width_min = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        uint64_t before = stamp_tsc();
        uint64_t ns = nanoseconds();
        uint64_t after = stamp_tsc();
        if (after - before < width_min) {
            width_min = after - before;
            best = (struct clock_pair){before + (after - before) / 2, ns};
        }
    }
    return best;
}

static double tsc_ns_per_stamp(void) {
    struct clock_pair first = pair_read();
    struct timespec pause = {.tv_nsec = 4 * 1000 * 1000};
    nanosleep(&pause, NULL);
    struct clock_pair second = pair_read();
    return (double)(second.ns - first.ns) / (double)(second.stamp - first.stamp);
}

void drain_clock_choose(struct drain_clock *clock) {
    const char *forced = getenv("HAKREC_CLOCK");
    bool use_tsc =
        forced != NULL ? strcmp(forced, "tsc") == 0 : tsc_is_invariant() && kernel_trusts_tsc();
    clock->clock = use_tsc ? RING_CLOCK_TSC : RING_CLOCK_MONOTONIC;
    clock->ns_per_stamp = use_tsc ? tsc_ns_per_stamp() : 1.0;
}

const char *drain_clock_name(uint32_t clock) {
    return clock == RING_CLOCK_TSC ? "tsc" : "monotonic";
}
