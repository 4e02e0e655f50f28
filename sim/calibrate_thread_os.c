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

// ---------------------------------------------------------------- birth and end

struct birth {
    uint32_t core; // of the new thread
    bool from_call_to_run;
    const struct sim_calibrated *context;
    double ran_ns;
};

static void *be_born(void *argument) {
    ((struct birth *)argument)->ran_ns = calibrate_now_ns();
    return NULL;
}

static int create_on(uint32_t core, pthread_t *thread, struct birth *birth) {
    pthread_attr_t attributes;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(core, &only);
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof only, &only);
    int error = pthread_create(thread, &attributes, be_born, birth);
    pthread_attr_destroy(&attributes);
    return error;
}

// The call on its own, or until the new thread runs; its core is idle. The median of some.
static double thread_create(const struct calibrate *run, void *self) {
    struct birth *birth = self;
    double taken[BIRTHS];
    (void)run;
    for (int i = 0; i < BIRTHS; i++) {
        pthread_t child;
        double began = calibrate_now_ns();
        if (create_on(birth->core, &child, birth) != 0)
            return -1;
        double returned = calibrate_now_ns();
        pthread_join(child, NULL);
        taken[i] = birth->from_call_to_run ? birth->ran_ns - began - birth->context->value_ns
                                           : returned - began;
    }
    qsort(taken, BIRTHS, sizeof taken[0], by_length);
    return taken[BIRTHS / 2] > 0 ? taken[BIRTHS / 2] : 0;
}

// A whole life on the caller's core, from the call until the join, less the call, which has to wake
// nobody on another core, and two switches.
static double thread_exit(const struct calibrate *run, void *self) {
    const struct sim_calibration *calibration = self;
    double call_ns = calibration->costs.thread_create_call.value_ns -
                     calibration->costs.futex_wake.value_ns + calibration->costs.wake_own.value_ns;
    struct birth birth = {0};
    double taken[BIRTHS];
    for (int i = 0; i < BIRTHS; i++) {
        pthread_t child;
        double began = calibrate_now_ns();
        if (create_on(run->cores[0], &child, &birth) != 0)
            return -1;
        pthread_join(child, NULL);
        taken[i] = calibrate_now_ns() - began;
    }
    qsort(taken, BIRTHS, sizeof taken[0], by_length);
    double ns = taken[BIRTHS / 2] - call_ns - 2 * calibration->costs.context_switch.value_ns;
    return ns > 0 ? ns : 0;
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
    bool yields; // it does not take the core from who has it when it is woken (SCHED_BATCH)
    uint64_t turns;
    double woken_ns;
    _Atomic uint32_t asleep; // 1: it is about to sleep
    _Atomic uint32_t word;   // turns so far
    _Atomic uint32_t awake;
};

static void *sleep_on(void *argument) {
    struct sleeper *sleeper = argument;
    struct sched_param none = {0};
    calibrate_pin(sleeper->core);
    if (sleeper->yields)
        sched_setscheduler(0, SCHED_BATCH, &none);
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
    double call_ns, latency_ns; // medians of a run
};

#define WAKES_MAX (TURNS_MAX / 16 + 4)

// Wakes a thread that has slept for a while.
static bool wake_often(const struct calibrate *run, struct sleeper *sleeper,
                       struct waking *waking) {
    pthread_t other;
    double calls[WAKES_MAX], latencies[WAKES_MAX];
    sleeper->turns = turns_of(run) / 16 + 4;
    if (pthread_create(&other, NULL, sleep_on, sleeper) != 0)
        return false;
    for (uint32_t turn = 0; turn < sleeper->turns; turn++) {
        while (atomic_load(&sleeper->asleep) != turn + 1)
            sched_yield();
        for (double until = calibrate_now_ns() + 30000; calibrate_now_ns() < until;)
            sched_yield(); // it falls asleep
        atomic_store(&sleeper->word, turn + 1);
        double began = calibrate_now_ns();
        futex(&sleeper->word, FUTEX_WAKE, 1);
        calls[turn] = calibrate_now_ns() - began;
        while (atomic_load(&sleeper->awake) != turn + 1)
            sched_yield();
        latencies[turn] = sleeper->woken_ns - began;
    }
    pthread_join(other, NULL);
    qsort(calls, sleeper->turns, sizeof calls[0], by_length);
    qsort(latencies, sleeper->turns, sizeof latencies[0], by_length);
    *waking = (struct waking){calls[sleeper->turns / 2], latencies[sleeper->turns / 2]};
    return true;
}

static uint32_t second_core(const struct calibrate *run) {
    return run->cores[run->core_count > 1 ? 1 : 0];
}

static double futex_wake(const struct calibrate *run, void *self) {
    (void)self;
    struct sleeper sleeper = {.core = second_core(run)};
    struct waking waking;
    return wake_often(run, &sleeper, &waking) ? waking.call_ns : -1;
}

static double less_context(double ns, const struct sim_calibrated *context) {
    return ns > context->value_ns ? ns - context->value_ns : 0;
}

static double wake_latency(const struct calibrate *run, void *self) {
    struct sleeper sleeper = {.core = second_core(run)};
    struct waking waking;
    return wake_often(run, &sleeper, &waking) ? less_context(waking.latency_ns, self) : -1;
}

static double wake_own(const struct calibrate *run, void *self) {
    (void)self;
    struct sleeper sleeper = {.core = run->cores[0], .yields = true};
    struct waking waking;
    return wake_often(run, &sleeper, &waking) ? waking.call_ns : -1;
}

// The same as futex_wake and wake_latency, while a third thread works on the sleeper's core.
static bool wake_where_busy(const struct calibrate *run, struct waking *waking) {
    struct yielding spinning = {.core = second_core(run)};
    struct sleeper sleeper = {.core = second_core(run)};
    pthread_t other;
    if (run->core_count < 2 || pthread_create(&other, NULL, spin_on, &spinning) != 0)
        return false;
    bool woken = wake_often(run, &sleeper, waking);
    atomic_store_explicit(&spinning.stop, 1, memory_order_relaxed);
    pthread_join(other, NULL);
    return woken;
}

static double wake_busy(const struct calibrate *run, void *self) {
    struct waking waking;
    (void)self;
    return wake_where_busy(run, &waking) ? waking.call_ns : -1;
}

static double wake_busy_latency(const struct calibrate *run, void *self) {
    struct waking waking;
    return wake_where_busy(run, &waking) ? less_context(waking.latency_ns, self) : -1;
}

static void calibrate_lives(const struct calibrate *run, struct sim_calibration *calibration) {
    struct birth birth = {.core = second_core(run), .context = &calibration->costs.context_switch};
    calibrate_repeat(run, &calibration->costs.thread_create_call,
                     "pthread_create of a thread on another core", thread_create, &birth);
    birth.from_call_to_run = true;
    calibrate_repeat(run, &calibration->costs.thread_create,
                     "the same until that thread runs, less context_switch", thread_create, &birth);
    calibrate_repeat(run, &calibration->costs.thread_exit,
                     "pthread_create and pthread_join on one core, less thread_create_call with "
                     "wake_own for futex_wake and two context_switch",
                     thread_exit, calibration);
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
                     "FUTEX_WAKE of a thread whose core is idle, for the caller", futex_wake, NULL);
    calibrate_repeat(run, &calibration->costs.wake_latency,
                     "from that call until the woken thread runs, less context_switch",
                     wake_latency, context);
    calibrate_repeat(run, &calibration->costs.wake_busy,
                     "FUTEX_WAKE of a thread on whose core another one works, for the caller",
                     wake_busy, NULL);
    calibrate_repeat(run, &calibration->costs.wake_busy_latency,
                     "from that call until the woken thread runs, less context_switch",
                     wake_busy_latency, context);
    calibrate_repeat(run, &calibration->costs.wake_own,
                     "FUTEX_WAKE of a thread of the caller's core that does not take the core",
                     wake_own, NULL);
    calibrate_lives(run, calibration);
}
