// test_program.c: what is measured of a program small enough to count by hand, what the orders wait
// for, and that a block written over, or not zero, is seen. Also the table of live objects.
#include "program_internal.h"

#include "check_main.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define OP(thread_, op_, object_, size_)                                                           \
    { .thread = (thread_), .op = (op_), .object = (object_), .size = (size_) }

static struct world *make_world(const char *route, const struct world_strategy *strategy) {
    char message[256] = "";
    struct world_options options = {.mf2 = {.geometry = mf2_geometry_find("scenario"),
                                            .arena_bytes = 8 << 20,
                                            .thread_limit = 8,
                                            .count_owner_states = true},
                                    .fiber_limit = 8,
                                    .strategy = strategy,
                                    .seed = 1};
    ck_assert(mf2_route_parse(route, &options.mf2.route, message, sizeof message));
    struct world *world = world_create(&options, message, sizeof message);
    ck_assert_msg(world != NULL, "%s", message);
    return world;
}

static uint64_t window_ns = UINT64_MAX; // of the next sources

struct ran {
    struct program_measures measures;
    enum world_end end;
    uint64_t digest;
    json_t *json;
    enum world_oracle oracle;
};

static struct ran run(const struct program_operation *operations, size_t count,
                      const struct program_options *options,
                      const struct world_strategy *strategy) {
    struct ran ran = {0};
    struct world *world = make_world("cda", strategy);
    struct program_source *source = program_open_memory(operations, count, 8, 1000);
    source->window_ns = window_ns;
    struct program_result *result;
    ran.end = program_run(world, source, options, &result);
    ck_assert_msg(result != NULL, "%s", source->message);
    program_result_measures(result, &ran.measures);
    ran.digest = program_result_digest(result);
    struct program_result_labels labels = {.tool = "test", .route_text = "cda"};
    char *text = program_result_json(result, source, options, &labels);
    ran.json = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(ran.json);
    if (world_violation(world) != NULL)
        ran.oracle = world_violation(world)->oracle;
    free(text);
    program_result_free(result);
    program_close(source);
    world_destroy(world);
    return ran;
}

static uint64_t cell(const json_t *json, size_t row, size_t column) {
    const json_t *rows = json_object_get(json_object_get(json, "timeline"), "rows");
    return (uint64_t)json_integer_value(json_array_get(json_array_get(rows, row), column));
}

// ---------------------------------------------------------------- measures

// Geometry `scenario`: 4 KiB pages; 512 bytes: 8 blocks a page, 1,024: 4, above 4,096: large.
static const struct program_operation counted[] = {
    OP(0, PROGRAM_MALLOC, 0, 512),  // F 1
    OP(0, PROGRAM_MALLOC, 1, 100),  // F 1, the same class
    OP(0, PROGRAM_MALLOC, 2, 1000), // F 2
    OP(1, PROGRAM_MALLOC, 3, 400),  // F 2: one page would do; thread 1 takes another
    OP(1, PROGRAM_MALLOC, 4, 9000), // F 5: large, three pages
    OP(0, PROGRAM_FREE, 4, 0),      // F 2
    OP(0, PROGRAM_FREE, 2, 0),      // F 1
    OP(0, PROGRAM_FREE, 0, 0),      //
    OP(0, PROGRAM_FREE, 1, 0),      //
    OP(1, PROGRAM_FREE, 3, 0),      // F 0
};
#define COUNTED (sizeof counted / sizeof counted[0])

START_TEST(measures_are_those_counted_by_hand) {
    struct program_options options = {.order = PROGRAM_STRICT, .strategy_name = "recorded"};
    struct ran ran = run(counted, COUNTED, &options, NULL);
    static const uint64_t fewest[COUNTED] = {1, 1, 2, 2, 5, 2, 1, 1, 1, 0};
    static const uint64_t live[COUNTED] = {512, 612, 1612, 2012, 11012, 2012, 1012, 500, 400, 0};
    ck_assert_int_eq(ran.end, WORLD_DONE);
    for (size_t i = 0; i < COUNTED; i++) {
        ck_assert_uint_eq(cell(ran.json, i, 0), i + 1);
        ck_assert_uint_eq(cell(ran.json, i, 4), fewest[i]);
        ck_assert_uint_eq(cell(ran.json, i, 5), live[i]);
    }
    ck_assert_uint_eq(ran.measures.fewest_max, 5);
    ck_assert_uint_eq(ran.measures.live_bytes_max, 11012);
    ck_assert_uint_eq(ran.measures.live_pages_max, 3);
    ck_assert_uint_eq(ran.measures.constant_pages, 3); // thread 0: two classes, thread 1: one
    ck_assert_uint_eq(ran.measures.held_max, 6);       // three class pages, three large ones
    ck_assert_uint_eq(ran.measures.allocations, 5);
    ck_assert_uint_eq(ran.measures.new_pages, 3);
    ck_assert(ran.measures.fewest_mean > 1.59 && ran.measures.fewest_mean < 1.61);
    json_decref(ran.json);
}
END_TEST

// Made-up programs may not say how long they are: rows then merge.
START_TEST(rows_merge_and_keep_the_greatest) {
    enum { COUNT = 3 * PROGRAM_ROWS_MAX };
    struct world *world = make_world("cda", NULL);
    struct program_options options = {.order = PROGRAM_STRICT};
    struct program_result *result = program_meter_begin(world, &options, 0);
    for (int i = 0; i < COUNT; i++) {
        struct program_done done = {.step = program_meter_step(result), .op = PROGRAM_NOTHING};
        ck_assert(program_meter_operation(result, &done));
    }
    program_meter_end(result, WORLD_DONE);
    ck_assert_uint_le(result->row_count, PROGRAM_ROWS_MAX);
    ck_assert_uint_gt(result->row_count, PROGRAM_ROWS_MAX / 4);
    for (uint32_t i = 1; i < result->row_count; i++)
        ck_assert_uint_eq(result->rows[i].step - result->rows[i - 1].step, result->steps_per_row);
    ck_assert_uint_eq(result->rows[result->row_count - 1].step, COUNT);
    program_result_free(result);
    world_destroy(world);
}
END_TEST

// ---------------------------------------------------------------- what operations mean

static void write_over(void *self, struct world *world, const struct program_operation *operation) {
    if (operation->op != PROGRAM_FREE)
        return;
    // The last byte of the first block of the first class page in use.
    struct mf2_state *state = world_mf2(world);
    char *base = (char *)state;
    *(base + ((uint64_t)state->first_page << state->page_shift) + *(uint64_t *)self) ^= 1;
}

START_TEST(a_block_written_over_is_seen) {
    static const struct program_operation operations[] = {OP(0, PROGRAM_MALLOC, 0, 512),
                                                          OP(0, PROGRAM_FREE, 0, 0)};
    for (uint64_t at = 0; at < 512; at += 511) {
        struct program_options options = {
            .stamps = true, .on_operation = write_over, .on_operation_self = &at};
        struct ran ran = run(operations, 2, &options, NULL);
        ck_assert_int_eq(ran.end, WORLD_VIOLATION);
        ck_assert_int_eq(ran.oracle, WORLD_ORACLE_BLOCK_STAMP);
        ck_assert_uint_eq(json_array_size(json_object_get(ran.json, "violations")), 1);
        json_decref(ran.json);
        options.on_operation = NULL;
        ran = run(operations, 2, &options, NULL);
        ck_assert_int_eq(ran.end, WORLD_DONE);
        json_decref(ran.json);
    }
}
END_TEST

// Memory that MF2 believes never to have been touched.
static void touch_fresh_memory(void *self, struct world *world,
                               const struct program_operation *operation) {
    struct mf2_state *state = world_mf2(world);
    uint64_t at = *(uint64_t *)self;
    if (operation->op == PROGRAM_CALLOC)
        *((char *)state + ((uint64_t)state->first_page << state->page_shift) + 512 + at) = 1;
}

START_TEST(a_block_of_calloc_that_is_not_zero_is_seen) {
    static const struct program_operation operations[] = {OP(0, PROGRAM_MALLOC, 0, 512),
                                                          OP(0, PROGRAM_CALLOC, 1, 512)};
    for (uint64_t at = 0; at < 513; at += 256) {
        struct program_options options = {.on_operation = touch_fresh_memory,
                                          .on_operation_self = &at};
        struct ran ran = run(operations, 2, &options, NULL);
        ck_assert_int_eq(ran.end, at < 512 ? WORLD_VIOLATION : WORLD_DONE);
        json_decref(ran.json);
    }
}
END_TEST

START_TEST(realloc_keeps_contents_and_later_operations_follow_it) {
    static const struct program_operation operations[] = {
        OP(0, PROGRAM_CALLOC, 0, 300),
        {.op = PROGRAM_REALLOC, .object = 0, .new_object = 1, .size = 3000},
        {.op = PROGRAM_REALLOC, .object = 1, .new_object = 2, .size = 9000},
        {.op = PROGRAM_REALLOC, .object = 2, .new_object = 3, .size = 20},
        OP(0, PROGRAM_USABLE, 3, 0),
        OP(0, PROGRAM_FREE, 3, 0)};
    struct program_options options = {.stamps = true};
    struct ran ran = run(operations, 6, &options, NULL);
    ck_assert_int_eq(ran.end, WORLD_DONE);
    ck_assert_uint_eq(ran.measures.unresolved, 0);
    ck_assert_uint_eq(cell(ran.json, 5, 5), 0);
    json_decref(ran.json);
}
END_TEST

START_TEST(operations_on_dead_objects_are_counted_and_left_out) {
    static const struct program_operation operations[] = {
        OP(0, PROGRAM_FREE, 7, 0),
        OP(0, PROGRAM_USABLE, 8, 0),
        {.op = PROGRAM_REALLOC, .object = 9, .new_object = 1, .size = 64},
        OP(0, PROGRAM_FREE, 1, 0)};
    for (int order = PROGRAM_STRICT; order <= PROGRAM_DATAFLOW; order += PROGRAM_DATAFLOW) {
        struct program_options options = {.order = (enum program_order)order};
        struct ran ran = run(operations, 4, &options, NULL);
        ck_assert_int_eq(ran.end, WORLD_DONE);
        ck_assert_uint_eq(ran.measures.unresolved, 3);
        ck_assert_uint_eq(ran.measures.allocations, 1);
        json_decref(ran.json);
    }
}
END_TEST

// ---------------------------------------------------------------- dataflow

// Who begins operations, in order: "0a1f" = thread 0 allocates, thread 1 frees.
static char begun[256];
static void note_begun(void *self, struct world *world, const struct program_operation *operation) {
    static const char letters[] = "macfrucsxjn";
    (void)self;
    (void)world;
    size_t length = strlen(begun);
    begun[length] = (char)('0' + operation->thread);
    begun[length + 1] = letters[operation->op];
    begun[length + 2] = '\0';
}

static void pick_last(void *self, struct world *world, const struct world_point *point,
                      struct world_choice *choice) {
    (void)self;
    (void)point;
    choice->fiber = world_runnable(world, world_runnable_count(world) - 1);
}
static const struct world_strategy last_first = {"last", NULL, pick_last, NULL};

static const char *order_in(enum program_order order, const struct program_operation *operations,
                            size_t count) {
    struct program_options options = {.order = order, .stamps = true, .on_operation = note_begun};
    begun[0] = '\0';
    struct ran ran = run(operations, count, &options, &last_first);
    ck_assert_int_eq(ran.end, WORLD_DONE);
    json_decref(ran.json);
    return begun;
}

static const char *order_of(const struct program_operation *operations, size_t count) {
    return order_in(PROGRAM_DATAFLOW, operations, count);
}

START_TEST(uses_wait_for_the_making) {
    static const struct program_operation operations[] = {
        OP(0, PROGRAM_MALLOC, 0, 64), OP(0, PROGRAM_MALLOC, 1, 64), OP(1, PROGRAM_FREE, 1, 0),
        OP(2, PROGRAM_USABLE, 0, 0), OP(1, PROGRAM_FREE, 0, 0)};
    // Thread 2 comes first whenever it can; thread 1's second free waits for its question.
    ck_assert_str_eq(order_of(operations, 5), "0m2u0m1f1f");
}
END_TEST

START_TEST(a_free_waits_for_questions_asked_before_it) {
    static const struct program_operation operations[] = {
        OP(0, PROGRAM_MALLOC, 0, 64), OP(0, PROGRAM_MALLOC, 1, 64), OP(1, PROGRAM_FREE, 1, 0),
        OP(1, PROGRAM_USABLE, 0, 0), OP(2, PROGRAM_FREE, 0, 0)};
    ck_assert_str_eq(order_of(operations, 5), "0m0m1f1u2f");
}
END_TEST

START_TEST(threads_wait_for_creation_and_joins_for_the_end) {
    static const struct program_operation operations[] = {
        OP(0, PROGRAM_MALLOC, 0, 64), {.thread = 0, .op = PROGRAM_CREATE, .peer = 1},
        OP(1, PROGRAM_START, 0, 0),   OP(1, PROGRAM_MALLOC, 1, 64),
        OP(1, PROGRAM_EXIT, 0, 0),    {.thread = 0, .op = PROGRAM_JOIN, .peer = 1},
        OP(0, PROGRAM_FREE, 1, 0)};
    ck_assert_str_eq(order_of(operations, 7), "0m0c1s1m1x0j0f");
}
END_TEST

#define AT(time_ns_, thread_, op_, object_, size_)                                                 \
    {                                                                                              \
        .time_ns = (time_ns_), .thread = (thread_), .op = (op_), .object = (object_),              \
        .size = (size_)                                                                            \
    }

START_TEST(what_times_tell_apart_stays_in_order) {
    // Thread 2 comes first whenever it can.
    static const struct program_operation operations[] = {
        AT(100, 0, PROGRAM_MALLOC, 0, 64), AT(105, 1, PROGRAM_MALLOC, 1, 64),
        AT(110, 2, PROGRAM_MALLOC, 2, 64), AT(115, 0, PROGRAM_FREE, 0, 0),
        AT(130, 2, PROGRAM_FREE, 2, 0)};
    ck_assert_str_eq(order_of(operations, 5), "2m2f1m0m0f");
    window_ns = 100;
    ck_assert_str_eq(order_in(PROGRAM_WINDOW, operations, 5), "2m2f1m0m0f");
    window_ns = 20; // 130 is later than 100 and 105, and may be before 110 and 115
    ck_assert_str_eq(order_in(PROGRAM_WINDOW, operations, 5), "2m1m0m2f0f");
    window_ns = 9; // 110 is later than 100, too
    ck_assert_str_eq(order_in(PROGRAM_WINDOW, operations, 5), "1m0m2m0f2f");
    window_ns = 0;
    ck_assert_str_eq(order_in(PROGRAM_WINDOW, operations, 5), "0m1m2m0f2f");
    window_ns = UINT64_MAX;
}
END_TEST

START_TEST(a_window_must_be_known) {
    static const struct program_operation operations[] = {OP(0, PROGRAM_MALLOC, 0, 64)};
    struct program_options options = {.order = PROGRAM_WINDOW};
    struct world *world = make_world("cda", &last_first);
    struct program_source *source = program_open_memory(operations, 1, 8, 1000);
    struct program_result *result;
    program_run(world, source, &options, &result);
    ck_assert_ptr_null(result);
    ck_assert_ptr_nonnull(strstr(source->message, "window"));
    program_close(source);
    world_destroy(world);
}
END_TEST

static const volatile sig_atomic_t stop_at_once = 1;

START_TEST(a_stopped_run_says_so_and_is_no_deadlock) {
    static const struct program_operation operations[] = {
        OP(0, PROGRAM_NOTHING, 0, 0), OP(0, PROGRAM_MALLOC, 0, 64), OP(1, PROGRAM_FREE, 0, 0)};
    struct program_options options = {.order = PROGRAM_DATAFLOW, .stop = &stop_at_once};
    struct ran ran = run(operations, 3, &options, &last_first);
    ck_assert_int_eq(ran.end, WORLD_DONE);
    ck_assert(ran.measures.interrupted);
    ck_assert(json_is_true(json_object_get(ran.json, "interrupted")));
    json_decref(ran.json);
}
END_TEST

// ---------------------------------------------------------------- the table of objects

START_TEST(the_table_holds_exactly_what_was_added_and_not_removed) {
    enum { NUMBERS = 20000 };
    static bool lives[NUMBERS];
    struct program_objects objects;
    uint64_t random = 1, count = 0;
    ck_assert(program_objects_init(&objects, UINT64_MAX));
    for (int i = 0; i < 200000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t object = (random >> 33) % NUMBERS;
        struct program_object *entry = program_objects_find(&objects, object);
        ck_assert_int_eq(entry != NULL, lives[object]);
        if (entry != NULL) {
            ck_assert_uint_eq(entry->size, object * 3);
            program_objects_remove(&objects, entry);
        } else {
            program_objects_add(&objects, object)->size = object * 3;
        }
        lives[object] = !lives[object];
        count += lives[object] ? 1 : UINT64_MAX;
        ck_assert_uint_eq(objects.count, count);
    }
    for (uint64_t object = 0; object < NUMBERS; object++)
        ck_assert_int_eq(program_objects_find(&objects, object) != NULL, lives[object]);
    program_objects_free(&objects);
}
END_TEST

CHECK_MAIN("program", measures_are_those_counted_by_hand, rows_merge_and_keep_the_greatest,
           a_block_written_over_is_seen, a_block_of_calloc_that_is_not_zero_is_seen,
           realloc_keeps_contents_and_later_operations_follow_it,
           operations_on_dead_objects_are_counted_and_left_out, uses_wait_for_the_making,
           a_free_waits_for_questions_asked_before_it,
           threads_wait_for_creation_and_joins_for_the_end, what_times_tell_apart_stays_in_order,
           a_window_must_be_known, a_stopped_run_says_so_and_is_no_deadlock,
           the_table_holds_exactly_what_was_added_and_not_removed)
