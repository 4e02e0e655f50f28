// world_test.c: see world_test.h.
#include "world_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world_options test_options(const char *route, uint32_t fibers) {
    char message[256];
    struct world_options options = {.fiber_limit = fibers, .point_limit = 1000000};
    options.mf2.geometry = mf2_geometry_find("scenario");
    options.mf2.arena_bytes = 1 << 20;
    options.mf2.thread_limit = fibers + 1;
    if (!mf2_route_parse(route, &options.mf2.route, message, sizeof message)) {
        fprintf(stderr, "%s\n", message);
        exit(1);
    }
    return options;
}

struct world *test_world(const struct world_options *options) {
    char message[256];
    struct world *world = world_create(options, message, sizeof message);
    if (!world) {
        fprintf(stderr, "%s\n", message);
        exit(1);
    }
    return world;
}

// ---------------------------------------------------------------- strategies

static void recorded_pick(void *self, struct world *world, const struct world_point *point,
                          struct world_choice *choice) {
    (void)self, (void)world, (void)point, (void)choice;
}
const struct world_strategy test_recorded = {.name = "recorded", .pick = recorded_pick};

uint64_t test_random_next(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static void random_begin(void *self, struct world *world, uint64_t seed) {
    (void)world;
    ((struct test_random *)self)->state = seed;
}

// What the environment of the chosen fiber's access comes to, now and then.
static uint32_t random_outcome(uint8_t kind, uint64_t number) {
    if (kind == MF2_POINT_FUTEX_WAIT && number % 8 == 0) {
        return WORLD_OUTCOME_SPURIOUS;
    }
    return WORLD_OUTCOME_NORMAL;
}

static void random_pick(void *self, struct world *world, const struct world_point *point,
                        struct world_choice *choice) {
    (void)point;
    uint64_t number = test_random_next(&((struct test_random *)self)->state);
    choice->fiber =
        world_runnable(world, (uint32_t)((number >> 32) * world_runnable_count(world) >> 32));
    uint8_t kind = world_point_of(world, choice->fiber)->site->kind;
    choice->outcome = random_outcome(kind, number);
    if (kind == MF2_POINT_CLOCK && number % 4 == 0) {
        choice->clock_ns += number >> 8 & 0x3FFFF; // up to 262 us
    }
}
const struct world_strategy test_random = {
    .name = "random", .begin = random_begin, .pick = random_pick};

static void delaying_begin(void *self, struct world *world, uint64_t seed) {
    struct test_delaying *delaying = self;
    (void)world;
    *delaying = (struct test_delaying){.random.state = seed, .sleeps = seed / 64 % 2};
}

static bool is_asleep(const struct test_delaying *delaying, const struct world *world,
                      uint32_t fiber) {
    return fiber < TEST_THREADS_MAX && world_points(world) < delaying->asleep_until[fiber];
}

static void delaying_pick(void *self, struct world *world, const struct world_point *point,
                          struct world_choice *choice) {
    struct test_delaying *delaying = self;
    uint64_t number = test_random_next(&delaying->random.state);
    if (delaying->sleeps && number % 64 == 0 && point->fiber < TEST_THREADS_MAX) {
        delaying->asleep_until[point->fiber] = world_points(world) + (number >> 8 & 0x3FF);
    }
    random_pick(&delaying->random, world, point, choice);
    uint32_t count = world_runnable_count(world); // all asleep: the last one wakes
    for (uint32_t i = 0; i < count && is_asleep(delaying, world, choice->fiber); i++) {
        choice->fiber = world_runnable(world, i);
        choice->outcome = WORLD_OUTCOME_NORMAL;
    }
}
const struct world_strategy test_delaying = {
    .name = "delaying", .begin = delaying_begin, .pick = delaying_pick};

// ---------------------------------------------------------------- the exchange scenario

// A live block holds its own offset's complement; a block given to two at once loses it.
static void stamp(void *block, uint64_t value) {
    memcpy(block, &value, sizeof value);
}

static void release(struct test_exchange *exchange, void *block) {
    uint64_t found, offset = world_offset(exchange->world, block);
    memcpy(&found, block, sizeof found);
    if (found != ~offset) {
        world_violate(exchange->world, WORLD_ORACLE_BLOCK_STAMP,
                      "the block at offset %llu has lost its stamp", (unsigned long long)offset);
    }
    stamp(block, offset);
    mf2_free(block);
    exchange->freed++;
}

static void empty_mailbox(struct test_exchange *exchange, uint32_t from, uint32_t to) {
    while (exchange->sent[from][to]) {
        void *block = exchange->mail[from][to][--exchange->sent[from][to]];
        world_operation_point(exchange->world);
        release(exchange, block);
    }
}

static void allocate_and_send(struct test_exchange *exchange, uint32_t self, uint64_t number) {
    static const size_t sizes[] = {48, 1000, 1000, 1000, 1000, 1000, 1000, 2000};
    void *block = mf2_malloc(sizes[number % 8]);
    if (!block) { // the arena is large enough
        world_violate(exchange->world, WORLD_ORACLE_CONSERVATION, "malloc found no memory");
        return;
    }
    exchange->allocated++;
    stamp(block, ~world_offset(exchange->world, block));
    uint32_t to = (uint32_t)(number >> 32) % exchange->threads;
    exchange->mail[self][to][exchange->sent[self][to]++] = block;
}

static void exchange_body(void *argument) {
    struct test_exchange_thread *thread = argument;
    struct test_exchange *exchange = thread->exchange;
    uint64_t random = exchange->seed * 1000 + thread->number;
    for (uint32_t round = 0; round < exchange->rounds; round++) {
        uint64_t number = test_random_next(&random);
        world_operation_point(exchange->world);
        allocate_and_send(exchange, thread->number, number);
        for (uint32_t from = 0; number >> 16 & 1 && from < exchange->threads; from++) {
            empty_mailbox(exchange, from, thread->number);
        }
    }
    bool last = ++exchange->finished == exchange->threads;
    for (uint32_t from = 0; from < exchange->threads; from++) {
        for (uint32_t to = 0; to < exchange->threads; to++) {
            if (last || to == thread->number) {
                empty_mailbox(exchange, from, to);
            }
        }
    }
    if (exchange->threads_exit) {
        world_operation_point(exchange->world);
        mf2_thread_exit();
    }
}

void test_exchange_spawn(struct test_exchange *exchange) {
    exchange->allocated = exchange->freed = 0;
    exchange->finished = 0;
    memset(exchange->sent, 0, sizeof exchange->sent);
    for (uint32_t i = 0; i < exchange->threads; i++) {
        exchange->thread[i] = (struct test_exchange_thread){exchange, i};
        world_spawn(exchange->world, exchange_body, &exchange->thread[i]);
    }
}
