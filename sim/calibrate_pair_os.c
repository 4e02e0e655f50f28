// calibrate_pair_os.c: what a line takes from one core to another, by their distance, and how much
// siblings slow each other down.
//
// Two threads hand a line back and forth: who has it writes it, who wants it reads it until the
// number has changed. A hand-over is two moves, the reading that fetches the line and the writing
// that takes it from the other's share, so that a move is half of it.
#include "calibrate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SHARES 101 // odd

struct pair {
    uint32_t first, second; // cores, as the OS numbers them
    uint64_t turns;
    _Alignas(SIM_LINE_BYTES) _Atomic uint64_t ball;
};

static void *play_second(void *argument) {
    struct pair *pair = argument;
    calibrate_pin(pair->second);
    for (uint64_t turn = 0; turn < pair->turns; turn++) {
        while (atomic_load_explicit(&pair->ball, memory_order_acquire) != 2 * turn + 1)
            ;
        atomic_store_explicit(&pair->ball, 2 * turn + 2, memory_order_release);
    }
    return NULL;
}

// One share of the turns; the time of a turn, there and back.
static double play_share(struct pair *pair, uint64_t from, uint64_t count) {
    double began = calibrate_now_ns();
    for (uint64_t turn = from; turn < from + count; turn++) {
        atomic_store_explicit(&pair->ball, 2 * turn + 1, memory_order_release);
        while (atomic_load_explicit(&pair->ball, memory_order_acquire) != 2 * turn + 2)
            ;
    }
    return (calibrate_now_ns() - began) / (double)count;
}

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The median of shares: in some of them one of the two has lost its core.
static double move(const struct calibrate *run, void *self) {
    struct pair *pair = self;
    pthread_t other;
    double shares[SHARES];
    uint64_t count = run->loops / 32 / SHARES + 1;
    pair->turns = SHARES * count;
    atomic_store_explicit(&pair->ball, 0, memory_order_release);
    if (pthread_create(&other, NULL, play_second, pair) != 0)
        return -1;
    calibrate_pin(pair->first);
    for (uint64_t i = 0; i < SHARES; i++)
        shares[i] = play_share(pair, i * count, count);
    pthread_join(other, NULL);
    qsort(shares, SHARES, sizeof shares[0], by_time);
    return shares[SHARES / 2] / 4; // two moves each way
}

// The first core outside the first one's group of `inside` that is inside its group of `outside`
// (0: of all); the OS's number, or UINT32_MAX. Groups go by number here; where the OS numbers
// siblings apart, the group sizes hold all the same.
static uint32_t partner(const struct calibrate *run, uint32_t inside, uint32_t outside) {
    uint32_t limit = outside && outside < run->core_count ? outside : run->core_count;
    return inside < limit ? run->cores[inside] : UINT32_MAX;
}

static bool measure_move(const struct calibrate *run, struct sim_calibrated *figure,
                         const char *what, uint32_t inside, uint32_t outside) {
    struct pair pair = {.first = run->cores[0], .second = partner(run, inside, outside)};
    if (pair.second == UINT32_MAX)
        return false;
    calibrate_repeat(run, figure, what, move, &pair);
    return figure->measured;
}

// ---------------------------------------------------------------- many lines in order

#define STREAM_LINES 128u // as a batch of blocks has
#define STREAM_TURNS 200u // handed over so often

// Two threads write all lines in turn, each after having read them: half of it is a line's price
// for who takes it over, to read it or to write it anew.
struct stream {
    uint32_t first, second;
    char *lines;
    double best_ns; // of a turn; a turn in which a thread has lost its core takes longer
    _Alignas(SIM_LINE_BYTES) _Atomic uint64_t turn;
};

static double pass(struct stream *stream) {
    uint64_t sum = 0;
    double began = calibrate_now_ns();
    for (unsigned i = 0; i < STREAM_LINES; i++)
        sum += *(volatile uint64_t *)(void *)(stream->lines + i * SIM_LINE_BYTES);
    for (unsigned i = 0; i < STREAM_LINES; i++)
        *(volatile uint64_t *)(void *)(stream->lines + i * SIM_LINE_BYTES) = sum + i;
    return calibrate_now_ns() - began;
}

static void *stream_second(void *argument) {
    struct stream *stream = argument;
    calibrate_pin(stream->second);
    for (uint64_t turn = 1; turn < STREAM_TURNS; turn += 2) {
        while (atomic_load_explicit(&stream->turn, memory_order_acquire) != turn)
            ;
        pass(stream);
        atomic_store_explicit(&stream->turn, turn + 1, memory_order_release);
    }
    return NULL;
}

static double stream_move(const struct calibrate *run, void *self) {
    struct stream *stream = self;
    double times[STREAM_TURNS / 2];
    pthread_t other;
    (void)run;
    atomic_store_explicit(&stream->turn, 0, memory_order_release);
    if (pthread_create(&other, NULL, stream_second, stream) != 0)
        return -1;
    calibrate_pin(stream->first);
    for (uint64_t turn = 0; turn < STREAM_TURNS; turn += 2) {
        while (atomic_load_explicit(&stream->turn, memory_order_acquire) != turn)
            ;
        times[turn / 2] = pass(stream);
        atomic_store_explicit(&stream->turn, turn + 1, memory_order_release);
    }
    pthread_join(other, NULL);
    qsort(times, STREAM_TURNS / 2, sizeof times[0], by_time);
    return times[STREAM_TURNS / 4] / STREAM_LINES / 2;
}

static void measure_stream(const struct calibrate *run, struct sim_calibrated *figure,
                           uint32_t inside) {
    struct stream stream = {.first = run->cores[0], .second = partner(run, inside, 0)};
    if (stream.second == UINT32_MAX)
        return;
    stream.lines = aligned_alloc(4096, STREAM_LINES * SIM_LINE_BYTES);
    if (!stream.lines)
        return;
    memset(stream.lines, 0, STREAM_LINES * SIM_LINE_BYTES);
    calibrate_repeat(
        run, figure,
        "128 lines in order that another core has written, read and written anew, half",
        stream_move, &stream);
    free(stream.lines);
}

// ---------------------------------------------------------------- siblings

struct busy {
    uint32_t core;
    _Atomic int stop;
};

static uint64_t work(uint64_t turns) {
    uint64_t a = 1, b = 2, c = 3;
    for (uint64_t i = 0; i < turns; i++) {
        a = a * 5 + i;
        b += a >> 3;
        c ^= b + i;
    }
    return a + b + c;
}

static void *keep_busy(void *argument) {
    struct busy *busy = argument;
    calibrate_pin(busy->core);
    while (!atomic_load_explicit(&busy->stop, memory_order_relaxed)) {
        volatile uint64_t kept = work(1000);
        (void)kept;
    }
    return NULL;
}

static double time_work(const struct calibrate *run) {
    double began = calibrate_now_ns();
    volatile uint64_t kept = work(run->loops * 4);
    (void)kept;
    return calibrate_now_ns() - began;
}

static uint32_t slowdown(const struct calibrate *run, uint32_t sibling) {
    struct busy busy = {.core = sibling};
    pthread_t other;
    time_work(run);
    double alone = time_work(run);
    if (pthread_create(&other, NULL, keep_busy, &busy) != 0)
        return 1000;
    time_work(run);
    double together = time_work(run);
    atomic_store_explicit(&busy.stop, 1, memory_order_relaxed);
    pthread_join(other, NULL);
    double permille = 1000 * together / alone;
    return permille < 1000 ? 1000 : permille > 10000 ? 10000 : (uint32_t)permille;
}

// ---------------------------------------------------------------- all pairs

void calibrate_pairs(const struct calibrate *run, struct sim_calibration *calibration) {
    const struct sim_topology *topology = &calibration->topology;
    uint32_t l3 = topology->l3 ? topology->l3 : run->core_count;
    uint32_t socket = topology->socket ? topology->socket : run->core_count;
    struct sim_calibrated *near = &calibration->costs.line_other_core;
    struct sim_calibrated *far = &calibration->costs.line_other_l3;
    struct sim_calibrated *farthest = &calibration->costs.line_other_socket;
    measure_move(run, near, "a line handed back and forth by two cores of one cache, per move",
                 topology->smt, l3);
    if (!measure_move(run, far, "the same, two cores of different last-level caches", l3, socket))
        calibrate_as(far, near, "no such cores here; as line_other_core");
    if (!measure_move(run, farthest, "the same, two cores of different sockets", socket, 0))
        calibrate_as(farthest, far, "no such cores here; as line_other_l3");
    measure_stream(run, &calibration->costs.line_stream, topology->smt);
    if (topology->smt > 1)
        calibration->topology.smt_slowdown_permille = slowdown(run, run->cores[1]);
    calibrate_pin(run->cores[0]);
}
