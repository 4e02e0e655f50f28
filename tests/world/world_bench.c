// world_bench: how fast the machine is. Prints points per second, the cost of a switch, schedules
// per second and operations per second without interleaving. Figures of one machine.
#include "world_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Of this process, so that others on the machine disturb less.
static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

enum { LOADS = 5000000 };

static void load_body(void *argument) {
    mf2_atomic_u32 *word = argument;
    for (int i = 0; i < LOADS; i++) {
        (void)mf2_load_relaxed(word);
    }
}

static void bench_points(const char *what, const struct world_strategy *strategy, uint32_t fibers) {
    struct test_random random;
    mf2_atomic_u32 word = {0};
    struct world_options options = test_options("cda", fibers);
    options.strategy = strategy;
    options.strategy_self = &random;
    options.point_limit = 0;
    struct world *world = test_world(&options);
    for (uint32_t i = 0; i < fibers; i++) {
        world_spawn(world, load_body, &word);
    }
    double start = seconds();
    world_run(world);
    double took = seconds() - start;
    printf("%-28s %2u fibers: %6.1f M points/s, %5.1f ns each\n", what, fibers,
           (double)world_points(world) / took * 1e-6, took * 1e9 / (double)world_points(world));
    world_destroy(world);
}

static void turn_pick(void *self, struct world *world, const struct world_point *point,
                      struct world_choice *choice) {
    (void)self;
    uint32_t count = world_runnable_count(world);
    choice->fiber = world_runnable(world, (point->fiber + 1) % count);
}
static const struct world_strategy turn = {.name = "turn", .pick = turn_pick};

static void bench_schedules(const char *route) {
    static struct test_exchange exchange;
    struct test_random random;
    struct world_options options = test_options(route, 4);
    options.strategy = &test_random;
    options.strategy_self = &random;
    exchange = (struct test_exchange){.threads = 4, .rounds = 3, .threads_exit = true};
    exchange.world = test_world(&options);
    world_snapshot(exchange.world);
    uint64_t points = 0, schedules = 0;
    double start = seconds(), took;
    while ((took = seconds() - start) < 1) {
        for (int i = 0; i < 1000; i++) {
            exchange.seed = 1;
            world_reset(exchange.world, schedules++);
            test_exchange_spawn(&exchange);
            if (world_run(exchange.world) != WORLD_DONE) {
                printf("schedule %llu: %s\n", (unsigned long long)schedules,
                       world_message(exchange.world));
                exit(1);
            }
            points += world_points(exchange.world);
        }
    }
    printf("%-8s 4 threads x %5.1f points: %7.0f schedules/s, %5.1f M points/s\n", route,
           (double)points / (double)schedules / 4, (double)schedules / took,
           (double)points / took * 1e-6);
    world_destroy(exchange.world);
}

static void bench_strict(const char *route) {
    enum { LIVE = 1024, OPERATIONS = 20000000 };
    static void *blocks[LIVE];
    struct world_options options = test_options(route, 4);
    options.mf2.geometry = mf2_geometry_find("default");
    options.mf2.arena_bytes = 64 << 20;
    options.point_limit = 0;
    struct world *world = test_world(&options);
    memset(blocks, 0, sizeof blocks);
    uint64_t random = 1;
    double start = seconds();
    for (int i = 0; i < OPERATIONS / 2; i++) {
        uint64_t number = test_random_next(&random);
        world_act_as(world, (uint32_t)(number >> 32) % 4);
        void **block = &blocks[number % LIVE];
        mf2_free(*block);
        *block = mf2_malloc(16 + (number >> 16) % 512);
    }
    double took = seconds() - start;
    printf("%-8s strict, 4 threads: %5.1f M operations/s, %.1f points each\n", route,
           OPERATIONS / took * 1e-6, (double)world_points(world) / OPERATIONS);
    world_destroy(world);
}

// --points: the first part alone.
int main(int argc, char **argv) {
    bench_points("no strategy", NULL, 1);
    bench_points("recorded", &test_recorded, 1);
    bench_points("random", &test_random, 4);
    bench_points("a switch at every point", &turn, 4);
    bench_points("a switch at every point", &turn, 64);
    if (argc == 2 && strcmp(argv[1], "--points") == 0)
        return 0;
    bench_schedules("cda");
    bench_schedules("best");
    bench_strict("cda");
    bench_strict("best");
    return 0;
}
