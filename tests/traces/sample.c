// sample.c: see sample.h.
#include "sample.h"

#include <stdlib.h>
#include <string.h>

// One second in ticks, and one day: time differences of one byte and of many.
#define SECOND UINT64_C(10000000)
#define DAY    (86400 * SECOND)

const struct trace_event sample_events[SAMPLE_EVENTS] = {
    {.number = 0,
     .time_ticks = 5,
     .op = TRACE_MALLOC,
     .object = 0,
     .size = 100,
     .stack = 3,
     .address = 0x555555559000,
     .entry = TRACE_ENTRY_MALLOC},
    {.number = 1,
     .time_ticks = 5,
     .op = TRACE_CALLOC,
     .object = 1,
     .size = 4096,
     .stack = 1,
     .address = 0x555555559100,
     .entry = TRACE_ENTRY_CALLOC},
    {.number = 2,
     .time_ticks = 132,
     .op = TRACE_ALIGNED,
     .object = 2,
     .size = 64,
     .stack = 2,
     .address = 0x55555555a140,
     .align_log2 = 6,
     .entry = TRACE_ENTRY_POSIX_MEMALIGN},
    {.number = 3,
     .time_ticks = 133,
     .op = TRACE_ALIGNED,
     .object = 3,
     .size = UINT64_C(1) << 40,
     .address = UINT64_C(1) << 40,
     .align_log2 = 40,
     .entry = TRACE_ENTRY_ALIGNED_ALLOC},
    {.number = 4, .time_ticks = SECOND, .op = TRACE_THREAD_CREATE, .peer = 1},
    {.number = 5, .time_ticks = SECOND + 70, .op = TRACE_THREAD_START, .thread = 1},
    {.number = 6,
     .time_ticks = SECOND + 80,
     .op = TRACE_FREE,
     .thread = 1,
     .object = 0,
     .entry = TRACE_ENTRY_OPERATOR_DELETE},
    {.number = 7,
     .time_ticks = SECOND + 80,
     .op = TRACE_FREE_NULL,
     .thread = 1,
     .entry = TRACE_ENTRY_FREE},
    {.number = 8,
     .time_ticks = SECOND + 81,
     .op = TRACE_REALLOC_RELEASE,
     .thread = 1,
     .object = 1,
     .size = 8192,
     .stack = 4},
    {.number = 9, .time_ticks = SECOND + 82, .op = TRACE_USABLE, .object = 2, .value = 72},
    {.number = 10,
     .time_ticks = SECOND + 83,
     .op = TRACE_REALLOC_ACQUIRE,
     .thread = 1,
     .object = 4,
     .address = 0x7ffff0000010,
     .entry = TRACE_ENTRY_REALLOC},
    {.number = 11,
     .time_ticks = SECOND + 84,
     .op = TRACE_REALLOC_RELEASE,
     .thread = 1,
     .object = 4,
     .size = UINT64_MAX,
     .stack = 4},
    {.number = 12, .time_ticks = SECOND + 85, .op = TRACE_LOST, .thread = 1, .value = 2},
    {.number = 13, .time_ticks = SECOND + 86, .op = TRACE_REALLOC_FAIL, .thread = 1},
    {.number = 14,
     .time_ticks = DAY,
     .op = TRACE_ALLOC_FAIL,
     .size = UINT64_MAX,
     .stack = 1,
     .value = 12,
     .entry = TRACE_ENTRY_OPERATOR_NEW},
    {.number = 15,
     .time_ticks = DAY,
     .op = TRACE_ALLOC_FAIL,
     .size = 1,
     .align_log2 = 3,
     .value = 22,
     .entry = TRACE_ENTRY_MEMALIGN},
    {.number = 16, .time_ticks = DAY + 1, .op = TRACE_FREE_UNKNOWN, .entry = TRACE_ENTRY_CFREE},
    {.number = 17, .time_ticks = DAY + 2, .op = TRACE_FORK, .value = 4242},
    {.number = 18, .time_ticks = DAY + 3, .op = TRACE_THREAD_EXIT, .thread = 1},
    {.number = 19,
     .time_ticks = DAY + 4,
     .op = TRACE_FREE,
     .thread = 1,
     .object = 4,
     .entry = TRACE_ENTRY_FREE_SIZED},
    {.number = 20, .time_ticks = DAY + 5, .op = TRACE_THREAD_JOIN, .peer = 1},
    {.number = 21, .time_ticks = DAY + 6, .op = TRACE_FREE, .object = 3, .entry = TRACE_ENTRY_FREE},
    {.number = 22,
     .time_ticks = DAY + 7,
     .op = TRACE_MALLOC,
     .object = 5,
     .stack = 4,
     .address = 0x555555559000,
     .entry = TRACE_ENTRY_PVALLOC},
    {.number = 23,
     .time_ticks = 2 * DAY,
     .op = TRACE_FREE,
     .object = 2,
     .entry = TRACE_ENTRY_FREE_ALIGNED_SIZED},
};

const struct trace_node sample_nodes[SAMPLE_NODES] = {
    {.parent = 0, .module = 2, .offset = 0x27189},
    {.parent = 1, .module = 1, .offset = 0x1139},
    {.parent = 2, .module = 1, .offset = 0x1200},
    {.parent = 0, .module = 0, .offset = UINT64_MAX},
};

const char *const sample_modules[SAMPLE_MODULES] = {
    "{\"name\":\"sample\",\"build_id\":\"00ff\",\"size\":16384}",
    "{\"name\":\"libc.so.6\",\"build_id\":\"\",\"size\":1994752}",
};

static int fill(struct trace_writer *writer, struct trace_error *error) {
    for (unsigned i = 0; i < SAMPLE_MODULES; i++)
        if (!trace_writer_module(writer, sample_modules[i], error))
            return -1;
    for (unsigned i = 0; i < SAMPLE_EVENTS; i++) {
        struct trace_event event = sample_events[i];
        // Nodes as they become necessary, so that there are several STACKS chunks.
        unsigned node = i == 0 ? 0 : i == 8 ? 3 : SAMPLE_NODES;
        for (unsigned end = i == 0 ? 3 : SAMPLE_NODES; node < end; node++)
            if (!trace_writer_node(writer, &sample_nodes[node], error))
                return -1;
        if (trace_writer_event(writer, &event, error))
            return -1;
    }
    return trace_writer_info(writer, SAMPLE_INFO, error);
}

static int write_sample(const char *path, const struct trace_writer_options *options, bool complete,
                        struct trace_error *error) {
    struct trace_writer *writer = trace_writer_create(path, SAMPLE_META, options, error);
    if (!writer)
        return -1;
    if (fill(writer, error)) {
        trace_writer_close(writer, NULL, NULL);
        return -1;
    }
    return trace_writer_close(writer, complete ? SAMPLE_END : NULL, error);
}

int sample_write(const char *path, uint32_t rows_per_chunk, bool complete,
                 struct trace_error *error) {
    struct trace_writer_options options = {
        .rows_per_chunk = rows_per_chunk, .addresses = true, .overwrite = true, .trace_id = 1};
    return write_sample(path, &options, complete, error);
}

int sample_write_ranked(const char *path, uint32_t rows_per_chunk, struct trace_error *error) {
    struct trace_writer_options options = {.rows_per_chunk = rows_per_chunk,
                                           .addresses = true,
                                           .overwrite = true,
                                           .ranked = true,
                                           .trace_id = 1};
    return write_sample(path, &options, true, error);
}

// As the file has them: kind by kind.
const struct trace_side sample_sides[SAMPLE_SIDES] = {
    {TRACE_SIDE_RESIDENT, 8, {[TRACE_RESIDENT_OBJECT] = 1, [TRACE_RESIDENT_PAGES] = 1}},
    {TRACE_SIDE_RESIDENT,
     21,
     {[TRACE_RESIDENT_OBJECT] = 3, [TRACE_RESIDENT_PAGES] = 16384, [TRACE_RESIDENT_FOUND] = 16384}},
    {TRACE_SIDE_PROCESS, 0, {[TRACE_PROCESS_RSS] = 1 << 20}},
    {TRACE_SIDE_PROCESS,
     14,
     {[TRACE_PROCESS_TIME] = DAY,
      [TRACE_PROCESS_RSS] = UINT64_C(3) << 40,
      [TRACE_PROCESS_ANONYMOUS] = 1 << 30,
      [TRACE_PROCESS_MINOR_FAULTS] = UINT64_MAX,
      [TRACE_PROCESS_MAJOR_FAULTS] = 7}},
    {TRACE_SIDE_MAPS,
     4,
     {[TRACE_MAPS_TIME] = SECOND,
      [TRACE_MAPS_OP] = TRACE_MAP,
      [TRACE_MAPS_ADDRESS] = 0x7ffff7000000,
      [TRACE_MAPS_BYTES] = 8192,
      [TRACE_MAPS_PROTECTION] = 3,
      [TRACE_MAPS_FLAGS] = 0x22,
      [TRACE_MAPS_STACK] = 2}},
    {TRACE_SIDE_MAPS,
     4,
     {[TRACE_MAPS_TIME] = SECOND,
      [TRACE_MAPS_OP] = TRACE_MAP_MOVE_FROM,
      [TRACE_MAPS_ADDRESS] = 0x7ffff7000000,
      [TRACE_MAPS_BYTES] = 8192,
      [TRACE_MAPS_FLAGS] = 1,
      [TRACE_MAPS_STACK] = 4}},
    {TRACE_SIDE_MAPS,
     5,
     {[TRACE_MAPS_TIME] = SECOND + 1,
      [TRACE_MAPS_OP] = TRACE_MAP_MOVE_TO,
      [TRACE_MAPS_ADDRESS] = 0x7ffff6000000,
      [TRACE_MAPS_BYTES] = 16384,
      [TRACE_MAPS_FLAGS] = 1}},
    {TRACE_SIDE_MAPS,
     20,
     {[TRACE_MAPS_TIME] = DAY + 4,
      [TRACE_MAPS_THREAD] = 1,
      [TRACE_MAPS_OP] = TRACE_UNMAP,
      [TRACE_MAPS_ADDRESS] = 0x7ffff6001000,
      [TRACE_MAPS_BYTES] = 4096}},
    {TRACE_SIDE_MAPS,
     24,
     {[TRACE_MAPS_TIME] = 2 * DAY, [TRACE_MAPS_THREAD] = 1, [TRACE_MAPS_OP] = TRACE_MAP_KEPT}},
};

int sample_write_sides(const char *path, uint32_t rows_per_chunk, struct trace_error *error) {
    struct trace_writer_options options = {
        .rows_per_chunk = rows_per_chunk, .addresses = true, .overwrite = true, .trace_id = 1};
    struct trace_writer *writer = trace_writer_create(path, SAMPLE_META, &options, error);
    if (!writer)
        return -1;
    int status = fill(writer, error);
    for (unsigned i = 0; !status && i < SAMPLE_SIDES; i++)
        status = trace_writer_side(writer, &sample_sides[i], error);
    int closed = trace_writer_close(writer, status ? NULL : SAMPLE_END, status ? NULL : error);
    return status || closed ? -1 : 0;
}

// ---------------------------------------------------------------- random histories

static uint64_t next_random(uint64_t *state) // xorshift64
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

// A number of random length in bits, up to `bits`: small ones as likely as large ones.
static uint64_t random_length(uint64_t *state, unsigned bits) {
    unsigned length = (unsigned)(next_random(state) % (bits + 1));
    return length ? next_random(state) >> (64 - length) : 0;
}

struct history {
    uint64_t state;
    uint64_t objects, time;
    uint64_t *live;
    size_t live_count;
    uint32_t threads, node_count;
};

static void random_creation(struct history *history, struct trace_event *event) {
    event->op = (uint8_t)(TRACE_MALLOC + next_random(&history->state) % 3);
    event->size = random_length(&history->state, 64);
    event->stack = (uint32_t)(next_random(&history->state) % (history->node_count + 1));
    event->address = random_length(&history->state, 64);
    event->entry = (uint8_t)(next_random(&history->state) % TRACE_ENTRY_COUNT);
    if (event->op == TRACE_ALIGNED)
        event->align_log2 = (uint8_t)(next_random(&history->state) % 41);
    event->object = history->objects++;
    history->live[history->live_count++] = event->object;
}

static void random_reference(struct history *history, struct trace_event *event) {
    size_t victim = next_random(&history->state) % history->live_count;
    event->object = history->live[victim];
    if (next_random(&history->state) % 8 == 0) {
        event->op = TRACE_USABLE;
        event->value = random_length(&history->state, 64);
        return;
    }
    event->op = TRACE_FREE;
    event->entry = TRACE_ENTRY_FREE;
    history->live[victim] = history->live[--history->live_count];
}

static void random_other(struct history *history, struct trace_event *event) {
    static const uint8_t ops[] = {TRACE_FREE_NULL, TRACE_FREE_UNKNOWN,  TRACE_FORK,
                                  TRACE_LOST,      TRACE_THREAD_CREATE, TRACE_ALLOC_FAIL};
    event->op = ops[next_random(&history->state) % sizeof ops];
    unsigned flags = trace_op_table[event->op].flags;
    if (flags & TRACE_OP_HAS_VALUE)
        event->value = random_length(&history->state, 64);
    if (flags & TRACE_OP_HAS_SIZE)
        event->size = random_length(&history->state, 64);
    if (flags & TRACE_OP_HAS_PEER)
        event->peer = history->threads++;
}

struct trace_event *sample_random(uint64_t seed, size_t count) {
    struct history history = {.state = seed, .threads = 1, .node_count = 100};
    struct trace_event *events = calloc(count, sizeof *events);
    history.live = malloc(count * sizeof *history.live);
    for (size_t i = 0; i < count; i++) {
        struct trace_event *event = &events[i];
        uint64_t choice = next_random(&history.state) % 64;
        event->number = i;
        event->time_ticks = history.time += random_length(&history.state, 24);
        // Any thread that has been mentioned, or the next.
        event->thread = (uint32_t)(next_random(&history.state) % (history.threads + 1));
        if (event->thread == history.threads) {
            if (history.threads < 40)
                history.threads++;
            else
                event->thread = 0;
        }
        if (choice == 0)
            random_other(&history, event);
        else if (history.live_count == 0 || choice < 34)
            random_creation(&history, event);
        else
            random_reference(&history, event);
    }
    free(history.live);
    return events;
}

int sample_write_events(const char *path, const struct trace_event *events, size_t count,
                        const struct trace_writer_options *options, struct trace_error *error) {
    struct trace_writer *writer = trace_writer_create(path, SAMPLE_META, options, error);
    uint32_t nodes = 0;
    bool good = writer != NULL;
    for (size_t i = 0; good && i < count; i++) {
        struct trace_event event = events[i];
        struct trace_node node = {.parent = nodes / 2, .offset = 16 * (uint64_t)i};
        while (good && nodes < event.stack)
            good = trace_writer_node(writer, &node, error) == ++nodes;
        good = good && trace_writer_event(writer, &event, error) == 0;
    }
    if (!good) {
        if (writer)
            trace_writer_close(writer, NULL, NULL);
        return -1;
    }
    return trace_writer_close(writer, "{}", error);
}

bool sample_equal(const struct trace_event *a, const struct trace_event *b) {
    return a->number == b->number && a->time_ticks == b->time_ticks && a->object == b->object &&
           a->size == b->size && a->address == b->address && a->value == b->value &&
           a->thread == b->thread && a->stack == b->stack && a->peer == b->peer && a->op == b->op &&
           a->align_log2 == b->align_log2 && a->entry == b->entry;
}
