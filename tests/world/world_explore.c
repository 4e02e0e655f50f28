// world_explore: the exchange scenario under random interleavings, until an oracle fires.
//
//     world_explore ROUTE SCHEDULES [SEED [FAIL.hks]]   schedules from SEED on; of every 128 seeds
//                                                       the later 64 let fibers sleep long
//     world_explore --recorded ROUTE                    the recorded order
//     world_explore --replay FAIL.hks                   plays a schedule that was written
//
// Prints what happened on one line. Exit status 0: nothing; 1: an oracle fired; 2: usage; 3: a
// played schedule diverged.
#include "world_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3, ROUNDS = 8 };

static struct test_exchange exchange;

static struct world *make(const char *route, const struct world_strategy *strategy, void *self) {
    struct world_options options = test_options(route, THREADS);
    options.strategy = strategy;
    options.strategy_self = self;
    options.oracles_at_points = true;
    options.point_limit = 100000;
    exchange = (struct test_exchange){.threads = THREADS, .rounds = ROUNDS};
    exchange.world = test_world(&options);
    world_snapshot(exchange.world);
    return exchange.world;
}

// One run from the snapshot; the scenario's own choices follow from the seed as well.
static const struct world_violation *run(struct world *world, uint64_t seed) {
    world_reset(world, seed);
    exchange.seed = seed % 64;
    exchange.threads_exit = seed % 2;
    test_exchange_spawn(&exchange);
    if (world_run(world) == WORLD_DONE) {
        world_check_blocks(world, NULL, 0); // every block has been freed
    }
    return world_violation(world);
}

static int report(struct world *world, const char *what) {
    const struct world_violation *violation = world_violation(world);
    printf("%s: %s: %s, point %" PRIu64 ", operation %" PRIu64 ", fiber %d, trail %016" PRIx64 "\n",
           what, world_oracle_name(violation->oracle), violation->text, violation->point,
           violation->operation, (int)violation->fiber, world_trail(world));
    return 1;
}

static void key(struct world_schedule *schedule, const char *name, const char *format,
                uint64_t value) {
    char text[32];
    snprintf(text, sizeof text, format, value);
    world_schedule_key(schedule, name, text);
}

static int write_schedule(struct world_schedule *schedule, const char *route, uint64_t seed,
                          const struct world_violation *violation, const char *path) {
    char message[512];
    world_schedule_key(schedule, "scenario", "exchange");
    world_schedule_key(schedule, "route", route);
    world_schedule_key(schedule, "sources", world_source_hash());
    world_schedule_key(schedule, "oracle", world_oracle_name(violation->oracle));
    key(schedule, "seed", "%" PRIu64, seed);
    key(schedule, "point", "%" PRIu64, violation->point);
    if (world_schedule_write(schedule, path, message, sizeof message)) {
        fprintf(stderr, "%s\n", message);
        return 2;
    }
    return 0;
}

static int explore(const char *route, uint64_t count, uint64_t first_seed, const char *path) {
    struct test_delaying delaying;
    struct world *world = make(route, &test_delaying, &delaying);
    struct world_schedule *schedule = world_schedule_new();
    world_schedule_record(world, schedule);
    int status = 0;
    uint64_t seed = first_seed, points = 0, trails = 0;
    for (; seed < first_seed + count; seed++) {
        const struct world_violation *violation = run(world, seed);
        points += world_points(world);
        trails = trails * 31 + world_trail(world);
        if (violation) {
            char what[64];
            snprintf(what, sizeof what, "%s seed %" PRIu64, route, seed);
            status = report(world, what);
            if (path && write_schedule(schedule, route, seed, violation, path)) {
                status = 2;
            }
            break;
        }
    }
    if (!status) {
        printf("%s: %" PRIu64 " schedules, %" PRIu64 " points, trails %016" PRIx64 ", nothing\n",
               route, count, points, trails);
    }
    world_destroy(world);
    world_schedule_free(schedule);
    return status;
}

static int recorded(const char *route) {
    struct world *world = make(route, &test_recorded, NULL);
    int status = 0;
    for (uint64_t seed = 0; seed < 64 && !status; seed++) {
        if (run(world, seed)) {
            status = report(world, route);
        }
    }
    if (!status) {
        printf("%s: the recorded order, nothing\n", route);
    }
    world_destroy(world);
    return status;
}

static int replay(const char *path) {
    char message[512];
    struct world_schedule *schedule = world_schedule_read(path, message, sizeof message);
    if (!schedule) {
        fprintf(stderr, "%s\n", message);
        return 2;
    }
    const char *sources = world_schedule_value(schedule, "sources");
    if (!sources || strcmp(sources, world_source_hash()) != 0) {
        fprintf(stderr, "%s: made from other sources\n", path);
        world_schedule_free(schedule);
        return 2;
    }
    struct world *world =
        make(world_schedule_value(schedule, "route"), &world_strategy_schedule, schedule);
    char what[64];
    snprintf(what, sizeof what, "%s seed %s", world_schedule_value(schedule, "route"),
             world_schedule_value(schedule, "seed"));
    int status = 0;
    if (run(world, strtoull(world_schedule_value(schedule, "seed"), NULL, 10))) {
        status = report(world, what);
    } else if (world_message(world)[0]) {
        printf("diverged: %s\n", world_message(world));
        status = 3;
    }
    world_destroy(world);
    world_schedule_free(schedule);
    return status;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--recorded") == 0) {
        return recorded(argv[2]);
    }
    if (argc == 3 && strcmp(argv[1], "--replay") == 0) {
        return replay(argv[2]);
    }
    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: world_explore ROUTE SCHEDULES [SEED [FAIL.hks]]\n");
        return 2;
    }
    return explore(argv[1], strtoull(argv[2], NULL, 10), argc > 3 ? strtoull(argv[3], NULL, 10) : 0,
                   argc > 4 ? argv[4] : NULL);
}
