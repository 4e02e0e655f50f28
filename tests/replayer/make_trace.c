// make_trace.c: writes traces of known workloads, for the replayer's tests and for measuring it.
//
//   make_trace KIND FILE [OPERATIONS [SEED [TWEAK]]]
//
// KIND   hand-over   two threads make blocks, two others free them
//        ping-pong   two threads, each frees what the other made
//        larson      workers replace random blocks, hand their array to a successor and exit
//        mixed       every kind of event: interleaved reallocs, failures, usable sizes, late frees
//        single      one thread, small blocks that live shortly: for measuring speed
// TWEAK  size        one block is asked for with one byte more
//        wide, huge  with 5 GiB more, with 1 PiB more
//        event       one free is done by another thread
//        anomaly     one object is freed twice
//        unfinished  no END and no index
#include "trace.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX 4096

struct held {
    uint64_t object;
    uint32_t maker;
};

struct maker {
    struct trace_writer *writer;
    uint64_t random, operations, done, time_ticks;
    uint32_t threads;
    const char *tweak;
    bool tweaked;
    struct held held[HELD_MAX];
    size_t held_count;
};

static uint64_t next_random(struct maker *maker) {
    uint64_t z = maker->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static uint64_t below(struct maker *maker, uint64_t bound) {
    return next_random(maker) % bound;
}

// ---------------------------------------------------------------- events

static uint64_t put(struct maker *maker, struct trace_event event) {
    struct trace_error error;
    maker->time_ticks += 1 + below(maker, 8);
    event.time_ticks = maker->time_ticks;
    if (trace_writer_event(maker->writer, &event, &error) != 0) {
        fprintf(stderr, "make_trace: %s\n", error.text);
        exit(2);
    }
    maker->done++;
    return event.object;
}

// Once, after a quarter of the operations.
static bool tweak_now(struct maker *maker, const char *which) {
    bool now =
        !maker->tweaked && strcmp(maker->tweak, which) == 0 && maker->done > maker->operations / 4;
    maker->tweaked |= now;
    return now;
}

static uint64_t put_malloc(struct maker *maker, uint32_t thread, uint64_t size) {
    if (tweak_now(maker, "size"))
        size++;
    if (tweak_now(maker, "wide"))
        size += UINT64_C(5) << 30;
    if (tweak_now(maker, "huge"))
        size += UINT64_C(1) << 50;
    return put(maker, (struct trace_event){.op = TRACE_MALLOC, .thread = thread, .size = size});
}

static void put_free(struct maker *maker, uint32_t thread, uint64_t object) {
    if (maker->threads > 1 && tweak_now(maker, "event"))
        thread = thread == 0 ? 1 : 0;
    put(maker, (struct trace_event){.op = TRACE_FREE, .thread = thread, .object = object});
    if (tweak_now(maker, "anomaly"))
        put(maker, (struct trace_event){.op = TRACE_FREE, .thread = thread, .object = object});
}

static void put_thread(struct maker *maker, uint8_t op, uint32_t thread, uint32_t peer) {
    put(maker, (struct trace_event){.op = op, .thread = thread, .peer = peer});
}

static void start_threads(struct maker *maker, uint32_t count) {
    for (uint32_t thread = 1; thread < count; thread++) {
        put_thread(maker, TRACE_THREAD_CREATE, 0, thread);
        put_thread(maker, TRACE_THREAD_START, thread, 0);
    }
    maker->threads = count;
}

static void end_threads(struct maker *maker, uint32_t count) {
    for (uint32_t thread = 1; thread < count; thread++) {
        put_thread(maker, TRACE_THREAD_EXIT, thread, 0);
        put_thread(maker, TRACE_THREAD_JOIN, 0, thread);
    }
}

// ---------------------------------------------------------------- held blocks

static void hold(struct maker *maker, uint64_t object, uint32_t thread) {
    maker->held[maker->held_count++] = (struct held){object, thread};
}

static struct held let_go(struct maker *maker, size_t i) {
    struct held held = maker->held[i];
    maker->held[i] = maker->held[--maker->held_count];
    return held;
}

static void free_all(struct maker *maker) {
    while (maker->held_count > 0)
        put_free(maker, 0, let_go(maker, maker->held_count - 1).object);
}

// ---------------------------------------------------------------- workloads

static void hand_over(struct maker *maker) {
    start_threads(maker, 4);
    while (maker->done < maker->operations) {
        uint32_t pair = (uint32_t)below(maker, 2);
        bool makes = maker->held_count == 0 || (maker->held_count < 2000 && below(maker, 2));
        if (makes)
            hold(maker, put_malloc(maker, pair, 16 + below(maker, 2000)), pair);
        else
            put_free(maker, 2 + pair, let_go(maker, below(maker, maker->held_count)).object);
    }
    free_all(maker);
    end_threads(maker, 4);
}

static void ping_pong(struct maker *maker) {
    start_threads(maker, 2);
    while (maker->done < maker->operations) {
        uint32_t thread = (uint32_t)below(maker, 2);
        size_t count = 1 + below(maker, 64);
        for (size_t i = 0; i < count; i++)
            hold(maker, put_malloc(maker, thread, 24 + 40 * below(maker, 20)), thread);
        while (maker->held_count > 0)
            put_free(maker, 1 - thread, let_go(maker, maker->held_count - 1).object);
    }
    end_threads(maker, 2);
}

// Sizes 2,048 to 32,767; each worker owns 200 slots of the array.
static void larson(struct maker *maker) {
    enum { WORKERS = 3, SLOTS = 200 };
    uint32_t worker_of[WORKERS];
    maker->threads = 1;
    for (size_t i = 0; i < WORKERS * SLOTS; i++)
        hold(maker, put_malloc(maker, 0, 2048 + below(maker, 30720)), 0);
    for (uint32_t w = 0; w < WORKERS; w++) {
        worker_of[w] = maker->threads++;
        put_thread(maker, TRACE_THREAD_CREATE, 0, worker_of[w]);
        put_thread(maker, TRACE_THREAD_START, worker_of[w], 0);
    }
    while (maker->done < maker->operations) {
        uint32_t w = (uint32_t)below(maker, WORKERS), thread = worker_of[w];
        for (size_t i = 0; i < SLOTS; i++) {
            struct held *slot = &maker->held[w * SLOTS + below(maker, SLOTS)];
            put_free(maker, thread, slot->object);
            slot->object = put_malloc(maker, thread, 2048 + below(maker, 30720));
        }
        uint32_t successor = maker->threads++;
        put_thread(maker, TRACE_THREAD_CREATE, thread, successor);
        put_thread(maker, TRACE_THREAD_START, successor, 0);
        put_thread(maker, TRACE_THREAD_EXIT, thread, 0);
        worker_of[w] = successor;
    }
}

static void put_any_allocation(struct maker *maker, uint32_t thread) {
    uint64_t size = below(maker, 10) == 0 ? below(maker, 400000) : below(maker, 1500);
    struct trace_event event = {.thread = thread, .size = size, .op = TRACE_MALLOC};
    switch (below(maker, 4)) {
    case 0:
        event.op = TRACE_CALLOC;
        break;
    case 1:
        event.op = TRACE_ALIGNED;
        event.align_log2 = (uint8_t)(4 + below(maker, 10));
        break;
    default:
        hold(maker, put_malloc(maker, thread, size), thread);
        return;
    }
    hold(maker, put(maker, event), thread);
}

// Another thread frees between the two halves.
static void put_realloc(struct maker *maker, uint32_t thread) {
    struct held old = let_go(maker, below(maker, maker->held_count));
    put(maker, (struct trace_event){.op = TRACE_REALLOC_RELEASE,
                                    .thread = thread,
                                    .object = old.object,
                                    .size = 1 + below(maker, 5000)});
    bool fails = below(maker, 8) == 0;
    if (maker->held_count > 0 && below(maker, 2))
        put_free(maker, (thread + 1) % maker->threads,
                 let_go(maker, below(maker, maker->held_count)).object);
    uint64_t object =
        put(maker, (struct trace_event){.op = fails ? TRACE_REALLOC_FAIL : TRACE_REALLOC_ACQUIRE,
                                        .thread = thread});
    hold(maker, fails ? old.object : object, thread);
}

static void put_oddity(struct maker *maker, uint32_t thread) {
    switch (below(maker, 4)) {
    case 0:
        put(maker, (struct trace_event){.op = TRACE_FREE_NULL, .thread = thread});
        break;
    case 1:
        put(maker, (struct trace_event){
                       .op = TRACE_ALLOC_FAIL, .thread = thread, .size = 1 << 30, .value = 12});
        break;
    case 2:
        put(maker, (struct trace_event){.op = TRACE_FREE_UNKNOWN, .thread = thread});
        break;
    default:
        put(maker, (struct trace_event){.op = TRACE_USABLE,
                                        .thread = thread,
                                        .object = maker->held[0].object,
                                        .value = 600000});
    }
}

static void mixed(struct maker *maker) {
    start_threads(maker, 5);
    while (maker->done < maker->operations) {
        uint32_t thread = (uint32_t)below(maker, 5);
        uint64_t what = below(maker, 100);
        if (maker->held_count < 3 || (what < 48 && maker->held_count < 300))
            put_any_allocation(maker, thread);
        else if (what < 60)
            put_realloc(maker, thread);
        else if (what < 63)
            put_oddity(maker, thread);
        else
            put_free(maker, thread, let_go(maker, below(maker, maker->held_count)).object);
    }
    put_thread(maker, TRACE_THREAD_EXIT, 4, 0);
    put_free(maker, 4, let_go(maker, 0).object);
    hold(maker, put_malloc(maker, 3, 100), 3);
    put_thread(maker, TRACE_THREAD_JOIN, 0, 4);
}

static void single(struct maker *maker) {
    maker->threads = 1;
    while (maker->done < maker->operations) {
        bool makes = maker->held_count == 0 || (maker->held_count < 2000 && below(maker, 2));
        if (makes)
            hold(maker, put_malloc(maker, 0, 16 + below(maker, 500)), 0);
        else
            put_free(maker, 0, let_go(maker, maker->held_count - 1).object);
    }
}

static const struct {
    const char *name;
    void (*make)(struct maker *);
} kinds[] = {{"hand-over", hand_over},
             {"ping-pong", ping_pong},
             {"larson", larson},
             {"mixed", mixed},
             {"single", single}};

// ---------------------------------------------------------------- the program

static int make(struct maker *maker, const char *kind, const char *path) {
    static const char known[] =
        "{\"format\":\"hak-trace\",\"tool\":\"make_trace\","
        "\"program\":\"made-12.3\",\"command\":[\"/usr/bin/made\"],\"tick_ns\":100,"
        "\"stacks\":\"none\",\"addresses\":false,\"stamp_ticks_max\":20}";
    static const char meta[] =
        "{\"format\":\"hak-trace\",\"tool\":\"make_trace\","
        "\"program\":\"made-12.3\",\"command\":[\"/usr/bin/made\"],\"tick_ns\":100,"
        "\"stacks\":\"none\",\"addresses\":false}";
    struct trace_writer_options options = {.overwrite = true, .trace_id = 1};
    struct trace_error error;
    maker->writer = trace_writer_create(path, strcmp(maker->tweak, "window") == 0 ? known : meta,
                                        &options, &error);
    if (maker->writer == NULL) {
        fprintf(stderr, "make_trace: %s\n", error.text);
        return 2;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, kind) == 0)
            kinds[i].make(maker);
    bool finished = strcmp(maker->tweak, "unfinished") != 0;
    if (trace_writer_close(maker->writer, finished ? "{\"exit\":\"exited\"}" : NULL, &error) != 0) {
        fprintf(stderr, "make_trace: %s\n", error.text);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv) {
    static struct maker maker = {.operations = 20000, .random = 1, .tweak = ""};
    if (argc < 3) {
        fprintf(stderr, "make_trace: expected KIND FILE [OPERATIONS [SEED [TWEAK]]]\n");
        return 2;
    }
    if (argc > 3)
        maker.operations = strtoull(argv[3], NULL, 10);
    if (argc > 4)
        maker.random = strtoull(argv[4], NULL, 10);
    if (argc > 5)
        maker.tweak = argv[5];
    return make(&maker, argv[1], argv[2]);
}
