// calibrate_thread_os.c: threads: their making, their switching, their sleep and their waking, and
// how long one keeps its core while another is ready.
#include "calibrate.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TURNS_MAX 2000u
#define BIRTHS    41      // odd
#define GAP_NS    50000.0 // no interrupt takes so long; another thread's slice does

static uint64_t turns_of(const struct calibrate *run) {
    return run->loops / 2048 < TURNS_MAX ? run->loops / 2048 + 4 : TURNS_MAX;
}

static void futex(_Atomic uint32_t *word, int operation, uint32_t value) {
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

// ---------------------------------------------------------------- one core, two threads

struct yielding {
    uint32_t core;
    _Atomic int stop;
};

static void *yield_on(void *argument) {
    struct yielding *yielding = argument;
    calibrate_pin(yielding->core);
    while (!atomic_load_explicit(&yielding->stop, memory_order_relaxed))
        sched_yield();
    return NULL;
}

static double context_switch(const struct calibrate *run, void *self) {
    (void)self;
    struct yielding yielding = {.core = run->cores[0]};
    pthread_t other;
    calibrate_pin(run->cores[0]);
    if (pthread_create(&other, NULL, yield_on, &yielding) != 0)
        return -1;
    uint64_t turns = turns_of(run);
    for (int i = 0; i < 10; i++)
        sched_yield();
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < turns; i++)
        sched_yield(); // there and back
    double ns = (calibrate_now_ns() - began) / (double)turns / 2;
    atomic_store_explicit(&yielding.stop, 1, memory_order_relaxed);
    pthread_join(other, NULL);
    return ns;
}

static void *spin_on(void *argument) {
    struct yielding *spinning = argument;
    calibrate_pin(spinning->core);
    while (!atomic_load_explicit(&spinning->stop, memory_order_relaxed))
        ;
    return NULL;
}

static int by_length(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The median time between two gaps in which the other thread had the core.
static double time_slice(const struct calibrate *run, void *self) {
    (void)self;
    struct yielding spinning = {.core = run->cores[0]};
    pthread_t other;
    double lengths[32];
    unsigned wanted = run->repeats < SIM_CALIBRATE_REPEATS ? 3 : 11, count = 0;
    calibrate_pin(run->cores[0]);
    if (pthread_create(&other, NULL, spin_on, &spinning) != 0)
        return -1;
    double began = 0, last = calibrate_now_ns();
    while (count < wanted) {
        double now = calibrate_now_ns();
        if (now - last > GAP_NS) {
            if (began > 0)
                lengths[count++] = last - began;
            began = now;
        }
        last = now;
    }
    atomic_store_explicit(&spinning.stop, 1, memory_order_relaxed);
    pthread_join(other, NULL);
    qsort(lengths, count, sizeof lengths[0], by_length);
    return lengths[count / 2];
}

// ---------------------------------------------------------------- birth

struct birth {
    uint32_t core;
    double ran_ns;
};

static void *be_born(void *argument) {
    ((struct birth *)argument)->ran_ns = calibrate_now_ns();
    return NULL;
}

// Until the new thread runs, on whatever core the OS gives it: the median of some.
static double thread_create(const struct calibrate *run, void *self) {
    const struct sim_calibrated *context = self;
    double taken[BIRTHS];
    calibrate_unpin(run); // a new thread may run where its maker may
    for (int i = 0; i < BIRTHS; i++) {
        struct birth birth = {0};
        pthread_t child;
        double began = calibrate_now_ns();
        if (pthread_create(&child, NULL, be_born, &birth) != 0)
            return -1;
        pthread_join(child, NULL);
        taken[i] = birth.ran_ns - began - context->value_ns;
    }
    qsort(taken, BIRTHS, sizeof taken[0], by_length);
    return taken[BIRTHS / 2] > 0 ? taken[BIRTHS / 2] : 0;
}

// ---------------------------------------------------------------- sleep

static double futex_wait(const struct calibrate *run, void *self) {
    (void)self;
    _Atomic uint32_t word = 1;
    uint64_t turns = turns_of(run);
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < turns; i++)
        futex(&word, FUTEX_WAIT, 0);
    return (calibrate_now_ns() - began) / (double)turns;
}

struct sleeper {
    uint32_t core;
    uint64_t turns;
    double woken_ns;
    _Atomic uint32_t asleep; // 1: it is about to sleep
    _Atomic uint32_t word;   // turns so far
    _Atomic uint32_t awake;
};

static void *sleep_on(void *argument) {
    struct sleeper *sleeper = argument;
    calibrate_pin(sleeper->core);
    for (uint32_t turn = 0; turn < sleeper->turns; turn++) {
        atomic_store(&sleeper->asleep, turn + 1);
        while (atomic_load(&sleeper->word) == turn)
            futex(&sleeper->word, FUTEX_WAIT, turn);
        sleeper->woken_ns = calibrate_now_ns();
        atomic_store(&sleeper->awake, turn + 1);
    }
    return NULL;
}

struct waking {
    double call_ns, latency_ns; // means of a run
};

// Wakes a thread of another core that has slept for a while.
static bool wake_often(const struct calibrate *run, struct waking *waking) {
    struct sleeper sleeper = {.core = run->cores[run->core_count > 1 ? 1 : 0],
                              .turns = turns_of(run) / 16 + 4};
    pthread_t other;
    *waking = (struct waking){0};
    if (pthread_create(&other, NULL, sleep_on, &sleeper) != 0)
        return false;
    for (uint32_t turn = 0; turn < sleeper.turns; turn++) {
        while (atomic_load(&sleeper.asleep) != turn + 1)
            sched_yield();
        for (double until = calibrate_now_ns() + 30000; calibrate_now_ns() < until;)
            sched_yield(); // it falls asleep
        atomic_store(&sleeper.word, turn + 1);
        double began = calibrate_now_ns();
        futex(&sleeper.word, FUTEX_WAKE, 1);
        waking->call_ns += (calibrate_now_ns() - began) / (double)sleeper.turns;
        while (atomic_load(&sleeper.awake) != turn + 1)
            sched_yield();
        waking->latency_ns += (sleeper.woken_ns - began) / (double)sleeper.turns;
    }
    pthread_join(other, NULL);
    return true;
}

static double futex_wake(const struct calibrate *run, void *self) {
    (void)self;
    struct waking waking;
    return wake_often(run, &waking) ? waking.call_ns : -1;
}

static double wake_latency(const struct calibrate *run, void *self) {
    const struct sim_calibrated *context = self;
    struct waking waking;
    if (!wake_often(run, &waking))
        return -1;
    double ns = waking.latency_ns - context->value_ns;
    return ns > 0 ? ns : 0;
}

void calibrate_threads(const struct calibrate *run, struct sim_calibration *calibration) {
    struct sim_calibrated *context = &calibration->costs.context_switch;
    calibrate_repeat(run, context, "sched_yield between two threads on one core, per switch",
                     context_switch, NULL);
    calibrate_repeat(run, &calibration->costs.time_slice,
                     "two threads that spin on one core: median of undisturbed times", time_slice,
                     NULL);
    calibrate_repeat(run, &calibration->costs.futex_wait,
                     "FUTEX_WAIT that returns at once, since its word has changed", futex_wait,
                     NULL);
    calibrate_repeat(run, &calibration->costs.futex_wake,
                     "FUTEX_WAKE of one sleeping thread, for the caller", futex_wake, NULL);
    calibrate_repeat(run, &calibration->costs.wake_latency,
                     "from that call until the woken thread runs, less context_switch",
                     wake_latency, context);
    calibrate_repeat(run, &calibration->costs.thread_create,
                     "pthread_create until the thread runs, less context_switch", thread_create,
                     context);
}
