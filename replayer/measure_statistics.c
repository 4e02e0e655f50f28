// measure_statistics.c: medians, their intervals, and latencies.
//
// The interval of a median lies between two order statistics: the k-th from below and from above,
// with the greatest k for which both together miss the true median at most 2 times in 100, whatever
// the distribution (binomial with one half). Below seven repetitions there is none. 2 in 100 and
// not 5, because measuring ends when an interval is narrow: those that are narrow by chance end it
// early, and with 5 in 100 they then missed up to 7 times in 100 (test_measure_statistics).
#include "measure.h"

#include <stdlib.h>

#define INTERRUPTED_TICKS (1u << 21)
#define MISSES_MAX        0.02
#define ROUNDS_MIN        7
#define ROUNDS_MAX        51
#define NARROW_ENOUGH     0.02 // of the median, either side

static int compare_values(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

// Greatest k with P(binomial(count, ½) < k) ≤ MISSES_MAX / 2; 0: none.
static uint32_t order_of_interval(uint32_t count) {
    double term = 1, below = 0;
    for (uint32_t i = 0; i < count; i++)
        term /= 2;
    uint32_t k = 0;
    while (k < count / 2 && below + term <= MISSES_MAX / 2) {
        below += term;
        term *= (double)(count - k) / (k + 1);
        k++;
    }
    return k;
}

struct measure_interval measure_interval_of(double *values, uint32_t count) {
    struct measure_interval interval = {.count = count};
    if (count == 0)
        return interval;
    qsort(values, count, sizeof *values, compare_values);
    uint32_t k = order_of_interval(count);
    interval.is_interval = k > 0;
    interval.median = (values[(count - 1) / 2] + values[count / 2]) / 2;
    interval.low = values[k > 0 ? k - 1 : 0];
    interval.high = values[k > 0 ? count - k : count - 1];
    return interval;
}

bool measure_separate(const struct measure_interval *a, const struct measure_interval *b) {
    return a->is_interval && b->is_interval && (a->high < b->low || b->high < a->low);
}

double measure_half_width(const struct measure_interval *interval) {
    double above = interval->high - interval->median, below = interval->median - interval->low;
    return interval->median > 0 ? (above > below ? above : below) / interval->median : 0;
}

bool measure_goes_on(uint32_t rounds, const struct measure_interval *widest) {
    bool is_narrow = widest->is_interval && measure_half_width(widest) <= NARROW_ENOUGH;
    return rounds < ROUNDS_MIN || (rounds < ROUNDS_MAX && !is_narrow);
}

// ---------------------------------------------------------------- latencies

static uint64_t bucket_floor(unsigned bucket) {
    if (bucket < 1u << PLAYER_BUCKET_BITS)
        return bucket;
    unsigned shift = (bucket >> PLAYER_BUCKET_BITS) - 1;
    return (uint64_t)((1u << PLAYER_BUCKET_BITS) + bucket % (1u << PLAYER_BUCKET_BITS)) << shift;
}

static double middle_of(unsigned bucket) {
    return (double)(bucket_floor(bucket) + bucket_floor(bucket + 1)) / 2;
}

static double quantile(const uint64_t *counts, uint64_t total, double part) {
    uint64_t wanted = (uint64_t)((double)total * part), seen = 0;
    for (unsigned i = 0; i < PLAYER_BUCKETS; i++) {
        seen += counts[i];
        if (seen > wanted)
            return middle_of(i);
    }
    return 0;
}

void measure_latencies(const struct player_board *board, enum player_call call, double ns_per_tick,
                       double *out) {
    static const double parts[] = {0.5, 0.99, 0.999};
    static uint64_t counts[PLAYER_BUCKETS];
    uint64_t total = 0, sum = 0, most = 0;
    for (unsigned i = 0; i < PLAYER_BUCKETS; i++)
        counts[i] = 0;
    for (uint32_t s = 0; s < player_latency_sets(board->options.stream_count); s++) {
        const struct player_latency *latency = &player_latency_set(board, s)->calls[call];
        sum += latency->ticks_sum;
        most = latency->ticks_max > most ? latency->ticks_max : most;
        for (unsigned i = 0; i < PLAYER_BUCKETS; i++)
            counts[i] += latency->buckets[i];
    }
    for (unsigned i = 0; i < PLAYER_BUCKETS; i++)
        total += counts[i];
    out[0] = total == 0 ? 0 : (double)sum / (double)total * ns_per_tick;
    for (int i = 0; i < 3; i++) { // the middle of a bucket may lie above all that is in it
        double ticks = quantile(counts, total, parts[i]);
        out[i + 1] = (ticks < (double)most ? ticks : (double)most) * ns_per_tick;
    }
    out[4] = (double)most * ns_per_tick;
}

double measure_latency_mean(const struct player_board *board, double ns_per_tick) {
    double sum = 0, count = 0;
    for (uint32_t s = 0; s < player_latency_sets(board->options.stream_count); s++)
        for (int call = 0; call < PLAYER_CALL_COUNT; call++) {
            const struct player_latency *latency = &player_latency_set(board, s)->calls[call];
            for (unsigned i = 0; i < PLAYER_BUCKETS && middle_of(i) < INTERRUPTED_TICKS; i++) {
                sum += latency->buckets[i] * middle_of(i);
                count += latency->buckets[i];
            }
        }
    return count == 0 ? 0 : sum / count * ns_per_tick;
}

// ---------------------------------------------------------------- metrics

const char *const measure_metric_names[MEASURE_METRIC_COUNT] = {
    [MEASURE_WALL] = "wall_ns",
    [MEASURE_PROCESSOR] = "processor_ns",
    [MEASURE_NET_WALL] = "net_wall_ns",
    [MEASURE_NET_PROCESSOR] = "net_processor_ns",
    [MEASURE_PEAK] = "peak_bytes",
    [MEASURE_IDLE] = "idle_bytes",
    [MEASURE_FAULTS] = "page_faults",
    [MEASURE_MALLOC_P50] = "malloc_ns_p50",
    [MEASURE_MALLOC_P99] = "malloc_ns_p99",
    [MEASURE_MALLOC_P999] = "malloc_ns_p999",
    [MEASURE_FREE_P50] = "free_ns_p50",
    [MEASURE_FREE_P99] = "free_ns_p99",
    [MEASURE_FREE_P999] = "free_ns_p999",
    [MEASURE_MALLOC_MEAN] = "malloc_ns_mean",
    [MEASURE_FREE_MEAN] = "free_ns_mean",
    [MEASURE_CALL_MEAN] = "call_ns_mean",
};

static bool is_sampled(enum measure_metric metric) {
    return metric == MEASURE_IDLE || metric >= MEASURE_MALLOC_P50;
}

static double value_of(const struct measure_repetition *repetition, enum measure_metric metric) {
    const struct player_results *results = &repetition->results;
    const double *made = repetition->latency_ns[PLAYER_CALL_MALLOC];
    const double *freed = repetition->latency_ns[PLAYER_CALL_FREE];
    switch (metric) {
    case MEASURE_WALL:
    case MEASURE_NET_WALL:
        return (double)results->wall_ns;
    case MEASURE_PROCESSOR:
    case MEASURE_NET_PROCESSOR:
        return (double)results->processor_ns;
    case MEASURE_PEAK:
        return (double)repetition->peak_anonymous;
    case MEASURE_IDLE:
        return (double)repetition->idle_bytes;
    case MEASURE_FAULTS:
        return (double)(results->minor_faults + results->major_faults);
    case MEASURE_MALLOC_MEAN:
        return made[0];
    case MEASURE_FREE_MEAN:
        return freed[0];
    case MEASURE_CALL_MEAN:
        return repetition->call_ns_mean;
    case MEASURE_MALLOC_P50:
    case MEASURE_MALLOC_P99:
    case MEASURE_MALLOC_P999:
        return made[1 + metric - MEASURE_MALLOC_P50];
    default:
        return freed[1 + metric - MEASURE_FREE_P50];
    }
}

// What the player itself takes differs from round to round as what is around it does, so each
// repetition is set against its round's.
static struct measure_interval raw(const struct measure_subject *subject,
                                   const struct measure_subject *none, enum measure_metric metric) {
    double values[MEASURE_REPS_MAX];
    uint32_t count = 0;
    bool is_net = metric == MEASURE_NET_WALL || metric == MEASURE_NET_PROCESSOR;
    for (uint32_t i = 0; i < subject->count && (!is_net || i < none->count); i++)
        if (subject->repetitions[i].is_sampled || !is_sampled(metric))
            values[count++] = value_of(&subject->repetitions[i], metric) -
                              (is_net ? value_of(&none->repetitions[i], metric) : 0);
    return measure_interval_of(values, count);
}

struct measure_interval measure_metric(const struct measure_subject *subject,
                                       const struct measure_subject *none,
                                       enum measure_metric metric) {
    struct measure_interval interval = raw(subject, none, metric);
    if (metric != MEASURE_PEAK && metric != MEASURE_IDLE)
        return interval;
    double own = raw(none, none, metric).median;
    double *parts[] = {&interval.median, &interval.low, &interval.high};
    for (int i = 0; i < 3; i++)
        *parts[i] = *parts[i] > own ? *parts[i] - own : 0;
    return interval;
}
