// test_sim_schedule.c: the simulated and the controlled world are one machine: the schedule of a
// simulated run, played in the controlled world, gives the same digest, counters and clock, under
// every preset. A schedule of another run does not.
#include "program.h"
#include "sim_run.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS    4
#define PER_THREAD 700
#define OPERATIONS (THREADS * PER_THREAD + 4 * THREADS)

static struct sim_machine machine;
static const char *geometry;
static struct program_operation operations[OPERATIONS];
static size_t operation_count;
static uint64_t object_count;

static uint64_t random_state;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static void add(struct program_operation operation) {
    operation.time_ns = operation_count * 50;
    operations[operation_count++] = operation;
}

// Threads that allocate, and free whatever anybody has made: many cross-thread frees, exits with
// live blocks left, frees to owners that are gone.
static void make_program(void) {
    static uint64_t live[THREADS * PER_THREAD];
    size_t live_count = 0;
    operation_count = object_count = 0;
    random_state = 7;
    for (uint32_t t = 1; t < THREADS; t++)
        add((struct program_operation){.op = PROGRAM_CREATE, .thread = 0, .peer = t});
    for (uint32_t i = 0; i < THREADS * PER_THREAD; i++) {
        // The last thread goes on alone for a while: the others have exited.
        uint32_t thread = i < 3 * PER_THREAD ? draw(THREADS) : THREADS - 1;
        if (i == 3 * PER_THREAD)
            for (uint32_t t = 1; t < THREADS - 1; t++)
                add((struct program_operation){.op = PROGRAM_EXIT, .thread = t});
        if (live_count > 40 && draw(100) < 52) {
            size_t victim = draw((uint32_t)live_count);
            add((struct program_operation){
                .op = PROGRAM_FREE, .thread = thread, .object = live[victim]});
            live[victim] = live[--live_count];
        } else {
            live[live_count++] = object_count;
            add((struct program_operation){.op = PROGRAM_MALLOC,
                                           .thread = thread,
                                           .object = object_count++,
                                           .size = 1 + draw(1000)});
        }
    }
}

struct played {
    enum world_end end;
    uint64_t digest, points;
    json_t *json; // NULL if there is no result
};

static struct sim_request request_of(const char *route, struct program_source *source) {
    static char message[256];
    struct sim_request request = {
        .machine = &machine,
        .cores = 2, // fewer than threads: preemption is part of it
        .geometry = mf2_geometry_find(geometry),
        .route_text = route,
        .source = source,
    };
    ck_assert(mf2_route_parse(route, &request.route, message, sizeof message));
    return request;
}

static void simulate(const char *route, struct program_source *source,
                     struct world_schedule *schedule, struct sim_outcome *outcome) {
    char message[512];
    struct sim_request request = request_of(route, source);
    request.recording = schedule;
    ck_assert_msg(sim_run(&request, outcome, message, sizeof message) == 0, "%s", message);
    ck_assert_msg(outcome->end == WORLD_DONE, "%s: %s", route, outcome->violation);
}

static struct played play(const char *route, struct program_source *source,
                          struct world_schedule *schedule) {
    char message[512];
    struct sim_request request = request_of(route, source);
    struct world_options options = sim_world_options(&request);
    options.strategy = &world_strategy_schedule;
    options.strategy_self = schedule;
    struct world *world = world_create(&options, message, sizeof message);
    ck_assert_msg(world != NULL, "%s", message);
    struct program_options program = {.order = PROGRAM_DATAFLOW, .strategy_name = "schedule"};
    struct program_result_labels labels = {.tool = "test", .world = "controlled"};
    struct program_result *result = NULL;
    struct played played = {.end = program_run(world, source, &program, &result)};
    if (result) {
        played.digest = program_result_digest(result);
        char *text = program_result_json(result, source, &program, &labels);
        played.json = json_loads(text, 0, NULL);
        free(text);
    }
    played.points = world_points(world);
    program_result_free(result);
    world_destroy(world);
    return played;
}

static void setup(void) {
    char message[256];
    ck_assert_int_eq(sim_machine_load(SIM_MACHINE_DEFAULT, &machine, message, sizeof message), 0);
    machine.costs.time_slice_ps = 5 * 1000 * SIM_PS_PER_NS;
    geometry = "scenario";
    make_program();
}

// Simulates the source, plays the schedule, compares.
static void same_in_both_worlds(const char *route, struct program_source *source) {
    struct world_schedule *schedule = world_schedule_new();
    struct sim_outcome outcome;
    simulate(route, source, schedule, &outcome);
    ck_assert_uint_gt(outcome.totals.preemptions, 0);
    // With fronts, blocks may come back to no page in so short a program.
    if (strcmp(route, "best") != 0)
        ck_assert_uint_gt(outcome.measures.remote_frees, 0);
    struct played played = play(route, source, schedule);
    json_t *simulated = json_loads(outcome.json, 0, NULL);
    ck_assert_msg(played.end == WORLD_DONE, "%s: %s", route, world_end_name(played.end));
    ck_assert_uint_eq(played.digest, outcome.digest);
    ck_assert_uint_eq(played.points, outcome.points);
    static const char *const same[] = {"counters", "measures", "threads",  "classes",
                                       "timeline", "time_ns",  "stranded", "remote_frees"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        ck_assert_msg(
            json_equal(json_object_get(simulated, same[i]), json_object_get(played.json, same[i])),
            "%s: %s differ", route, same[i]);
    json_decref(simulated);
    json_decref(played.json);
    world_schedule_free(schedule);
    sim_outcome_free(&outcome);
}

START_TEST(one_schedule_one_result) {
    struct program_source *source =
        program_open_memory(operations, operation_count, THREADS, object_count);
    same_in_both_worlds(mf2_route_presets[_i].name, source);
    program_close(source);
}
END_TEST

START_TEST(a_recorded_programs_schedule_too) {
    char path[1024], message[512];
    snprintf(path, sizeof path, "%s/traces/corpus/mailbox.zst", getenv("HAK_SOURCE_DIR"));
    struct program_source *source = program_open_trace(path, false, message, sizeof message);
    ck_assert_msg(source != NULL, "%s", message);
    geometry = "default";
    static const char *const routes[] = {"cda", "s2", "home", "best"};
    for (int i = 0; i < 3; i++)
        same_in_both_worlds(routes[i], source);
    program_close(source);
}
END_TEST

START_TEST(another_programs_schedule_does_not_fit) {
    struct program_source *source =
        program_open_memory(operations, operation_count, THREADS, object_count);
    struct world_schedule *schedule = world_schedule_new();
    struct sim_outcome outcome;
    simulate("cda", source, schedule, &outcome);
    program_close(source);
    random_state = 8;
    for (size_t i = 0; i < operation_count; i++)
        if (operations[i].op == PROGRAM_MALLOC && draw(10) == 0)
            operations[i].size = 1 + draw(1000);
    source = program_open_memory(operations, operation_count, THREADS, object_count);
    struct played played = play("cda", source, schedule);
    ck_assert(played.end != WORLD_DONE || played.digest != outcome.digest);
    json_decref(played.json);
    world_schedule_free(schedule);
    sim_outcome_free(&outcome);
    program_close(source);
}
END_TEST

START_TEST(a_second_run_is_the_first) {
    struct program_source *source =
        program_open_memory(operations, operation_count, THREADS, object_count);
    struct sim_outcome first, second;
    simulate("home", source, NULL, &first);
    simulate("home", source, NULL, &second);
    ck_assert_uint_eq(first.digest, second.digest);
    ck_assert_uint_eq(first.end_ps, second.end_ps);
    ck_assert_uint_eq(first.totals.line_moves, second.totals.line_moves);
    sim_outcome_free(&first);
    sim_outcome_free(&second);
    program_close(source);
}
END_TEST

// One thread that only has time of its own: 0, 100, 300 and 600 µs after its start.
START_TEST(a_recorded_threads_own_time_passes) {
    static const uint64_t times_us[] = {50, 150, 350, 650};
    struct program_operation own[4];
    for (int i = 0; i < 4; i++)
        own[i] = (struct program_operation){.op = PROGRAM_NOTHING, .time_ns = times_us[i] * 1000};
    struct program_source *source = program_open_memory(own, 4, 1, 0);
    struct sim_outcome outcome;
    simulate("home", source, NULL, &outcome);
    ck_assert_uint_eq(outcome.end_ps, machine.costs.context_switch_ps +
                                          4 * machine.costs.operation_ps +
                                          600 * 1000 * SIM_PS_PER_NS);
    sim_outcome_free(&outcome);
    program_close(source);
}
END_TEST

// What a thread has waited for another one when it was recorded is not its own time.
START_TEST(recorded_waiting_is_not_own_time) {
    const struct program_operation waiting[] = {
        {.op = PROGRAM_CREATE, .thread = 0, .peer = 1, .time_ns = 1000},
        {.op = PROGRAM_START, .thread = 1, .time_ns = 2000},
        {.op = PROGRAM_NOTHING, .thread = 1, .time_ns = 500000},
        {.op = PROGRAM_JOIN, .thread = 0, .peer = 1, .time_ns = 600000},
    };
    struct program_source *source = program_open_memory(waiting, 4, 2, 0);
    struct sim_outcome outcome;
    simulate("home", source, NULL, &outcome);
    const struct sim_costs *costs = &machine.costs;
    uint64_t first_ps = costs->context_switch_ps + costs->operation_ps;
    uint64_t second_ps = costs->thread_create_ps + costs->context_switch_ps +
                         2 * costs->operation_ps + 498 * 1000 * SIM_PS_PER_NS;
    uint64_t join_ps = costs->wake_latency_ps + costs->context_switch_ps + costs->operation_ps;
    ck_assert_uint_eq(outcome.end_ps, first_ps + second_ps + join_ps);
    sim_outcome_free(&outcome);
    program_close(source);
}
END_TEST

START_TEST(slower_lines_take_longer) {
    struct program_source *source =
        program_open_memory(operations, operation_count, THREADS, object_count);
    struct sim_outcome quick, slow;
    simulate("home", source, NULL, &quick);
    machine.costs.line_other_core_ps *= 20;
    simulate("home", source, NULL, &slow);
    ck_assert_uint_gt(slow.end_ps, quick.end_ps);
    sim_outcome_free(&quick);
    sim_outcome_free(&slow);
    program_close(source);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_schedule");
    TCase *cases = tcase_create("schedule");
    tcase_add_checked_fixture(cases, setup, NULL);
    tcase_add_loop_test(cases, one_schedule_one_result, 0, (int)mf2_route_preset_count);
    tcase_add_test(cases, a_recorded_programs_schedule_too);
    tcase_add_test(cases, another_programs_schedule_does_not_fit);
    tcase_add_test(cases, a_second_run_is_the_first);
    tcase_add_test(cases, a_recorded_threads_own_time_passes);
    tcase_add_test(cases, recorded_waiting_is_not_own_time);
    tcase_add_test(cases, slower_lines_take_longer);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
