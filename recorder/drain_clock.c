// drain_clock.c: which clock orders the events, and how long one of its ticks is.
//
// Owns: the choice, and how far the clock may deceive. The processor's time stamp counter is taken
// where it runs at a constant rate in all states and the kernel trusts it for its own time;
// otherwise CLOCK_MONOTONIC_RAW. HAKREC_CLOCK=tsc or =monotonic in the environment decides by hand
// (tests use it).
#include "drainer.h"

#include <cpuid.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
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

static double rate(struct clock_pair first, struct clock_pair second) {
    return (double)(second.ns - first.ns) / (double)(second.stamp - first.stamp);
}

// ---------------------------------------------------------------- the error

// Two processors read the clock in turn, A, B, A: B's reading lies between A's two, so its clock is
// ahead of A's by at least `ahead_min` and by at most `ahead_max` stamps; many rounds narrow it
// down.
enum { ROUNDS = 200, PROCESSORS_MAX = 8, PATIENCE_NS = 3 * 1000 * 1000 };

struct exchange {
    _Alignas(64) _Atomic uint32_t turn; // even: A's, odd: B's
    _Atomic bool over;
    uint64_t answer; // B's reading; with `turn`
    uint32_t clock;
    int processor;
};

static bool stay_on(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

// Waits for the turn; false: it is over, or the other processor had no time for us.
static bool turn_await(struct exchange *exchange, uint32_t parity, uint64_t deadline_ns) {
    for (unsigned looks = 1;; looks++) {
        if (atomic_load_explicit(&exchange->over, memory_order_relaxed))
            return false;
        if (atomic_load_explicit(&exchange->turn, memory_order_acquire) % 2 == parity)
            return true;
        if (looks % 1024 == 0 && nanoseconds() > deadline_ns)
            return false;
    }
}

static void *answer_turns(void *context) {
    struct exchange *exchange = context;
    bool there = stay_on(exchange->processor);
    while (there && turn_await(exchange, 1, UINT64_MAX)) {
        exchange->answer = stamp_now(exchange->clock);
        atomic_fetch_add_explicit(&exchange->turn, 1, memory_order_release);
    }
    return NULL;
}

static void exchange_rounds(struct exchange *exchange, int64_t *ahead_min, int64_t *ahead_max) {
    uint64_t deadline_ns = nanoseconds() + PATIENCE_NS;
    for (int i = 0; i < ROUNDS && nanoseconds() < deadline_ns; i++) {
        uint64_t before = stamp_now(exchange->clock);
        atomic_fetch_add_explicit(&exchange->turn, 1, memory_order_release);
        if (!turn_await(exchange, 0, deadline_ns))
            break;
        uint64_t after = stamp_now(exchange->clock);
        int64_t least = (int64_t)(exchange->answer - after);
        int64_t most = (int64_t)(exchange->answer - before);
        *ahead_min = least > *ahead_min ? least : *ahead_min;
        *ahead_max = most < *ahead_max ? most : *ahead_max;
    }
    atomic_store(&exchange->over, true);
}

// How far processor `other` may be ahead or behind, in stamps; UINT64_MAX if it did not answer.
static uint64_t disagreement(uint32_t clock, int other) {
    struct exchange exchange = {.clock = clock, .processor = other};
    int64_t ahead_min = INT64_MIN, ahead_max = INT64_MAX;
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer_turns, &exchange) != 0)
        return UINT64_MAX;
    exchange_rounds(&exchange, &ahead_min, &ahead_max);
    pthread_join(thread, NULL);
    if (ahead_min == INT64_MIN)
        return UINT64_MAX;
    return (uint64_t)(ahead_max > -ahead_min ? ahead_max : -ahead_min);
}

// The greatest disagreement between the first processor that we may use and some others; twice
// that lies between any two of them. UINT64_MAX: none answered. In stamps.
static uint64_t error_stamps(uint32_t clock) {
    cpu_set_t allowed;
    uint64_t greatest = 0;
    int first = -1, asked = 0, answers = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return UINT64_MAX;
    for (int i = 0; i < CPU_SETSIZE && asked < PROCESSORS_MAX; i++) {
        if (!CPU_ISSET(i, &allowed))
            continue;
        if (first < 0) {
            first = stay_on(i) ? i : -1;
            continue;
        }
        asked++;
        uint64_t stamps = disagreement(clock, i);
        answers += stamps != UINT64_MAX;
        greatest = stamps != UINT64_MAX && stamps > greatest ? stamps : greatest;
    }
    sched_setaffinity(0, sizeof allowed, &allowed);
    if (asked > 0 && answers == 0)
        return UINT64_MAX;
    return asked > 1 ? 2 * greatest : greatest;
}

// ---------------------------------------------------------------- the choice

void drain_clock_choose(struct drain_clock *clock) {
    const char *forced = getenv("HAKREC_CLOCK");
    bool use_tsc =
        forced != NULL ? strcmp(forced, "tsc") == 0 : tsc_is_invariant() && kernel_trusts_tsc();
    struct clock_pair first = pair_read();
    uint64_t begun_ns = nanoseconds();
    clock->clock = use_tsc ? RING_CLOCK_TSC : RING_CLOCK_MONOTONIC;
    // The rate's two readings stand at least 4 ms apart; the error is measured meanwhile.
    uint64_t error = error_stamps(clock->clock);
    uint64_t taken_ns = nanoseconds() - begun_ns;
    struct timespec pause = {.tv_nsec = 4 * 1000 * 1000};
    if (use_tsc && taken_ns < (uint64_t)pause.tv_nsec)
        nanosleep(&pause, NULL);
    struct clock_pair second = pair_read();
    clock->ns_per_stamp = use_tsc ? rate(first, second) : 1.0;
    clock->error_ns = fmin((double)error * clock->ns_per_stamp, DRAIN_REPAIR_NS_MAX);
}

const char *drain_clock_name(uint32_t clock) {
    return clock == RING_CLOCK_TSC ? "tsc" : "monotonic";
}
