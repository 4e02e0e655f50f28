// Oracles: each fires when what it watches is broken, by hand or by an MF2 that does not do what
// its route says, and names it; none fires on a sound heap.
#include "internal.h"
#include "world_test.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 24 };

static struct world *world;
static struct mf2_state *state;
static void *blocks[BLOCKS];

static struct MidPage *page_of(const void *block) {
    return &state->pages[world_offset(world, block) >> state->page_shift];
}

// Three threads: 0 has allocated 24 blocks of 4 a page, one page of its own is partial; 1 has freed
// some of them, so that pages are pending; 2 has a page as well.
static void begin(const char *route) {
    struct world_options options = test_options(route, 3);
    world = test_world(&options);
    state = world_mf2(world);
    world_act_as(world, 2);
    (void)mf2_malloc(1000);
    world_act_as(world, 0);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = mf2_malloc(1000);
    }
    mf2_free(blocks[0]);
    world_act_as(world, 1);
    (void)mf2_malloc(1000);
    for (int i = 4; i < 12; i += 2) {
        mf2_free(blocks[i]);
    }
    ck_assert(world_check_quiescent(world));
}

static void expect(enum world_oracle oracle, const char *text) {
    ck_assert(!world_check_quiescent(world));
    const struct world_violation *violation = world_violation(world);
    ck_assert_ptr_nonnull(violation);
    ck_assert_msg(violation->oracle == oracle && strstr(violation->text, text), "%s: %s",
                  world_oracle_name(violation->oracle), violation->text);
    world_destroy(world);
}

// ---------------------------------------------------------------- at quiescence

START_TEST(a_block_too_few) {
    begin("s2");
    page_of(blocks[20])->used++;
    expect(WORLD_ORACLE_CONSERVATION, "never given out");
}
END_TEST

START_TEST(a_block_free_twice) {
    begin("s2");
    struct MidPage *page = page_of(blocks[0]);
    ck_assert_uint_ne(page->free, MF2_UNIT_NONE);
    page->links[page->free / MF2_LINK_UNITS] = page->free;
    expect(WORLD_ORACLE_CONSERVATION, "is free twice");
}
END_TEST

START_TEST(a_block_on_the_free_list_and_the_remote_stack) {
    begin("s2");
    struct MidPage *page = page_of(blocks[4]);
    page->free = (uint16_t)page->remote_head.value;
    expect(WORLD_ORACLE_CONSERVATION, "the second time on its remote stack");
}
END_TEST

START_TEST(a_link_that_leads_astray) {
    begin("s2");
    struct MidPage *page = page_of(blocks[0]);
    page->links[page->free / MF2_LINK_UNITS] = 3;
    expect(WORLD_ORACLE_CONSERVATION, "unit 3, which is no block");
}
END_TEST

START_TEST(more_remote_frees_than_blocks_in_use) {
    begin("home");
    struct MidPage *page = page_of(blocks[4]);
    page->used = 1;
    page->free = MF2_UNIT_NONE;
    page->fresh_unit = page->end_unit;
    expect(WORLD_ORACLE_CONSERVATION, "on the remote stack");
}
END_TEST

START_TEST(the_programs_blocks_are_counted) {
    begin("s2");
    void *held[BLOCKS];
    size_t count = 0;
    for (int i = 1; i < BLOCKS; i++) {
        if (i < 4 || i >= 12 || i % 2) {
            held[count++] = blocks[i];
        }
    }
    ck_assert(!world_check_blocks(world, held, count)); // two of threads 1 and 2 are missing
    ck_assert_uint_eq(world_violation(world)->oracle, WORLD_ORACLE_CONSERVATION);
    world_destroy(world);
}
END_TEST

START_TEST(a_block_of_the_program_is_free) {
    struct world_options options = test_options("s2", 1);
    world = test_world(&options);
    world_act_as(world, 0);
    void *held[3] = {mf2_malloc(1000), mf2_malloc(1000), mf2_malloc(50000)};
    ck_assert(world_check_blocks(world, held, 3));
    mf2_free(held[1]);
    ck_assert(!world_check_blocks(world, held, 3));
    ck_assert_ptr_nonnull(
        strstr(world_violation(world)->text, "the program and the fronts hold 2 blocks"));
    world_destroy(world);
}
END_TEST

START_TEST(a_page_in_another_threads_hands) {
    begin("s2");
    page_of(blocks[20])->holder.value = 3;
    expect(WORLD_ORACLE_ONE_OWNER, "its holder is 3");
}
END_TEST

START_TEST(a_page_in_two_threads_bins) {
    begin("s2");
    mf2_thread_of_slot(state, 3)->bins[1].active = page_of(blocks[20]);
    expect(WORLD_ORACLE_ONE_LIST, "a second time in a thread's bins");
}
END_TEST

START_TEST(a_page_that_its_holder_has_lost) {
    begin("s2");
    for (uint32_t slot = 1; slot <= 3; slot++) {
        struct mf2_bin *bin = &mf2_thread_of_slot(state, slot)->bins[1];
        if (bin->active == page_of(blocks[20])) {
            bin->active = mf2_thread_of_slot(state, slot)->bins[0].active;
        }
    }
    expect(WORLD_ORACLE_ONE_OWNER, "in whose bins it is not");
}
END_TEST

START_TEST(a_page_on_two_queues) {
    begin("s2");
    struct MidPage *page = page_of(blocks[4]);
    state->orphans[page->class_index].value = mf2_page_number(state, page);
    expect(WORLD_ORACLE_ONE_LIST, "a second time on an orphan stack");
}
END_TEST

START_TEST(a_page_on_a_queue_without_a_mark) {
    begin("s2");
    page_of(blocks[4])->in_remote_pending.value = 0;
    expect(WORLD_ORACLE_ONE_LIST, "not marked");
}
END_TEST

static void empty_queues(void) {
    for (uint32_t slot = 1; slot <= 3; slot++) {
        mf2_thread_of_slot(state, slot)->pending[1].value = 0;
    }
}

START_TEST(a_mark_without_a_queue) {
    begin("s2");
    empty_queues();
    expect(WORLD_ORACLE_STRANDED_FREE, "on no queue");
}
END_TEST

START_TEST(remote_frees_that_nobody_was_told_of) {
    static const char *const routes[] = {"s2", "home"};
    begin(routes[_i]);
    empty_queues();
    for (int i = 4; i < 12; i++) {
        page_of(blocks[i])->in_remote_pending.value = 0;
        page_of(blocks[i])->word.value &= ~(UINT64_C(1) << 33);
    }
    expect(WORLD_ORACLE_STRANDED_FREE, "nobody has been told");
}
END_TEST

START_TEST(a_queue_of_a_thread_that_has_exited) {
    begin("s2,orphans=adopt");
    struct MF2_ThreadPages *home = mf2_thread_of_slot(state, page_of(blocks[4])->home.value);
    home->status.value = MF2_THREAD_EXITED;
    expect(WORLD_ORACLE_STRANDED_FREE, "which has exited");
}
END_TEST

// ---------------------------------------------------------------- counts and marks

START_TEST(an_emptied_page_too_many_is_counted) {
    begin("best,front=0,depot=0");
    state->orphan_empties[1].value++;
    expect(WORLD_ORACLE_CONSERVATION, "1 emptied pages are counted, and there are 0");
}
END_TEST

START_TEST(the_sum_of_emptied_pages_is_another) {
    begin("best,front=0,depot=0");
    state->orphan_empties_sum.value--;
    expect(WORLD_ORACLE_CONSERVATION, "-1 emptied pages are counted in all, and there are 0");
}
END_TEST

START_TEST(a_page_that_says_it_is_empty) {
    begin("best,front=0,depot=0");
    page_of(blocks[16])->word.value |= UINT64_C(1) << 34;
    state->orphan_empties[1].value++;
    state->orphan_empties_sum.value++;
    expect(WORLD_ORACLE_CONSERVATION, "its word says otherwise");
}
END_TEST

START_TEST(a_pending_page_that_nobody_counted) {
    begin("s2");
    state->adoptable_count[1].value--;
    expect(WORLD_ORACLE_CONSERVATION, "1 pages on pending queues are counted, and there are 2");
}
END_TEST

START_TEST(a_batch_too_many_is_counted) {
    begin("best");
    state->depot_count[1].value++;
    expect(WORLD_ORACLE_CONSERVATION, "1 batches are counted, and there are 0");
}
END_TEST

START_TEST(free_blocks_of_a_page_that_is_nobodys) {
    begin("home");
    struct MidPage *page = page_of(blocks[16]);
    ck_assert_uint_eq(page->holder.value, 0);
    page->used--;
    page->fresh_unit -= page->stride_units; // a block of the program; this walk does not know
    expect(WORLD_ORACLE_STRANDED_FREE, "is nobody's, has 1 free blocks and is on no list");
}
END_TEST

// ---------------------------------------------------------------- the helper

// A helper that has looked until it sleeps for good.
static void begin_with_helper(void) {
    begin("best,front=0,depot=0,purge_ns=1000");
    world_act_as(world, 0);
    for (int i = 12; i < BLOCKS; i++) {
        mf2_free(blocks[i]);
    }
    ck_assert_uint_eq(state->helper_running.value, 1);
    ck_assert_uint_eq(world_rest(world), WORLD_DONE);
    ck_assert(world_check_quiescent(world));
    ck_assert_uint_eq(state->dirty_pages, 0);
}

static void expect_at_rest(enum world_end end, enum world_oracle oracle, const char *text) {
    ck_assert_uint_eq(world_rest(world), end);
    const struct world_violation *violation = world_violation(world);
    ck_assert_msg(violation->oracle == oracle && strstr(violation->text, text), "%s: %s",
                  world_oracle_name(violation->oracle), violation->text);
    world_destroy(world);
}

START_TEST(the_helper_was_asked_and_not_woken) {
    begin_with_helper();
    state->helper_word.value++;
    expect(WORLD_ORACLE_LOST_WAKE, "asked for, and sleeps on");
}
END_TEST

static void take_the_lock(void *argument) {
    (void)argument;
    mf2_lock(&state->heap_lock);
    mf2_fetch_add_acq_rel(&state->helper_word, 1);
    state->helper_ticking.value = 1;
    mf2_futex_wake(&state->helper_word, 1);
    world_clock_advance(world, world_clock_ns(world) + 100000);
}

START_TEST(the_helper_waits_for_a_lock_at_rest) {
    begin_with_helper();
    take_the_lock(NULL);
    world_step_helper(world); // says when it is due
    world_clock_advance(world, world_clock_ns(world) + 100000);
    world_step_helper(world);
    expect(WORLD_ORACLE_LOST_WAKE, "everybody rests, and the helper waits for another word");
}
END_TEST

START_TEST(the_helper_never_comes_to_an_end) {
    begin_with_helper();
    state->orphan_empties[1].value = 1;
    state->helper_ticking.value = 1;
    mf2_fetch_add_acq_rel(&state->helper_word, 1);
    mf2_futex_wake(&state->helper_word, 1);
    expect_at_rest(WORLD_VIOLATION, WORLD_ORACLE_LIVELOCK, "has looked 64 times and goes on");
}
END_TEST

START_TEST(the_helper_leaves_something) {
    begin_with_helper();
    switch (_i) {
    case 0:
        state->dirty_pages = 3;
        expect_at_rest(WORLD_VIOLATION, WORLD_ORACLE_STRANDED_FREE, "3 dirty pages are left");
        break;
    case 1:
        state->depot[2].value = 1;
        expect_at_rest(WORLD_VIOLATION, WORLD_ORACLE_STRANDED_FREE,
                       "batches of 1 classes are left");
        break;
    case 2:
        state->orphan_empties_sum.value = 2;
        expect_at_rest(WORLD_VIOLATION, WORLD_ORACLE_STRANDED_FREE, "2 emptied pages are left");
        break;
    default:
        state->watching = true;
        mf2_thread_of_slot(state, 2)->watch.value = MF2_WATCH_LADEN;
        expect_at_rest(WORLD_VIOLATION, WORLD_ORACLE_STRANDED_FREE,
                       "thread 2 is still to be looked at");
    }
}
END_TEST

static void end_at_once(void *argument) {
    (void)argument;
    (void)mf2_malloc(1000);
    mf2_thread_exit();
    world_unpark(world, 1);
}

static void look_at_who_has_ended(void *argument) {
    (void)argument;
    world_park(world);
    mf2_seat_watch(mf2_thread_of_slot(state, 1));
    world_operation_point(world);
}

START_TEST(a_seat_that_is_gone) {
    struct world_options options = test_options("s2", 2);
    options.strategy = &test_recorded;
    world = test_world(&options);
    state = world_mf2(world);
    world_spawn(world, end_at_once, NULL);
    world_spawn(world, look_at_who_has_ended, NULL);
    ck_assert_uint_eq(world_run(world), WORLD_VIOLATION);
    ck_assert_ptr_nonnull(strstr(world_violation(world)->text, "and it has ended"));
    world_destroy(world);
}
END_TEST

// ---------------------------------------------------------------- in a run

static void allocate(void *argument) {
    size_t *count = argument;
    for (size_t i = 0; i < *count; i++) {
        world_operation_point(world);
        (void)mf2_malloc(1000);
    }
}

START_TEST(too_many_pages) {
    size_t count = 12;
    struct world_options options = test_options("cda", 1);
    options.page_bound = 2;
    world = test_world(&options);
    world_spawn(world, allocate, &count);
    ck_assert_uint_eq(world_run(world), WORLD_VIOLATION);
    ck_assert_uint_eq(world_violation(world)->oracle, WORLD_ORACLE_PAGE_BOUND);
    ck_assert_str_eq(world_violation(world)->text, "3 pages are held, 2 is the bound");
    world_destroy(world);
}
END_TEST

// None of the last page, which its thread still holds.
static void free_every_second(void *argument) {
    (void)argument;
    for (int i = 0; i < 12; i += 2) {
        world_operation_point(world);
        mf2_free(blocks[i]);
    }
}

static void allocate_and_keep(void *argument) {
    (void)argument;
    for (int i = 0; i < 16; i++) {
        world_operation_point(world);
        blocks[i] = mf2_malloc(1000);
    }
    world_unpark(world, 1);
    world_park(world);
    size_t count = 8;
    allocate(&count);
}

static void free_for_the_other(void *argument) {
    world_park(world);
    free_every_second(argument);
    world_clock_advance(world, world_clock_ns(world) + 100); // less than any window
    world_unpark(world, 0);
}

static void free_own(void *argument) {
    (void)argument;
    size_t count = 8;
    for (int i = 0; i < 16; i++) {
        blocks[i] = mf2_malloc(1000);
    }
    free_every_second(NULL);
    allocate(&count);
}

// MF2 is made to forget a switch of its route.
typedef void forget(struct mf2_route *route);
static void forget_nothing(struct mf2_route *route) {
    (void)route;
}
static void forget_must_reuse(struct mf2_route *route) {
    route->must_reuse = 0;
}
static void forget_partial(struct mf2_route *route) {
    route->partial = 0;
}
static void forget_gates(struct mf2_route *route) {
    route->drain = MF2_DRAIN_ANYONE;
}

// Runs one or two bodies in a world of `route`.
static enum world_end run_as(const char *route, forget *forget_it, world_body *first,
                             world_body *second) {
    struct world_options options = test_options(route, 2);
    options.strategy = &test_recorded;
    options.oracles_at_points = true;
    world = test_world(&options);
    forget_it(&world_mf2(world)->route);
    world_spawn(world, first, NULL);
    if (second) {
        world_spawn(world, second, NULL);
    }
    return world_run(world);
}

static void expect_in_run(enum world_end end, enum world_oracle oracle, const char *text) {
    ck_assert_uint_eq(end, WORLD_VIOLATION);
    const struct world_violation *violation = world_violation(world);
    ck_assert_msg(violation->oracle == oracle && strstr(violation->text, text), "%s: %s",
                  world_oracle_name(violation->oracle), violation->text);
    world_destroy(world);
}

static void expect_nothing(enum world_end end) {
    ck_assert_msg(end == WORLD_DONE, "%s", world_message(world));
    world_destroy(world);
}

START_TEST(a_new_page_past_the_own_queue) {
    expect_nothing(run_as("s1", forget_nothing, allocate_and_keep, free_for_the_other));
    expect_in_run(run_as("s1", forget_must_reuse, allocate_and_keep, free_for_the_other),
                  WORLD_ORACLE_GATE_OWN, "was pending all along");
}
END_TEST

START_TEST(a_new_page_past_the_own_partial_list) {
    expect_nothing(run_as("s2", forget_nothing, free_own, NULL));
    expect_in_run(run_as("s2", forget_partial, free_own, NULL), WORLD_ORACLE_GATE_OWN,
                  "is on its partial list");
}
END_TEST

// Thread 1 frees thread 0's blocks and at once needs pages itself.
static void free_then_allocate(void *argument) {
    size_t count = 8;
    world_park(world);
    free_every_second(argument);
    allocate(&count);
}

static void allocate_and_rest(void *argument) {
    (void)argument;
    for (int i = 0; i < 16; i++) {
        world_operation_point(world);
        blocks[i] = mf2_malloc(1000);
    }
    world_unpark(world, 1);
}

#define OPEN_P "p,gate_idle=off,gate_partial=off,gate_pressure=0,gate_remotes=0,rfr_ns=0"

START_TEST(an_adoption_through_a_closed_gate) {
    static const struct {
        const char *route, *text;
    } gates[] = {
        {OPEN_P ",rfr_ns=200000", "inside the right of first refusal"},
        {OPEN_P ",gate_idle=on", "though its owner was not idle"},
        {OPEN_P ",gate_pressure=60", "though too few pages could be adopted"},
        {OPEN_P ",gate_remotes=4", "though it had too few remote frees"},
    };
    const char *route = gates[_i].route;
    expect_nothing(run_as(OPEN_P, forget_nothing, allocate_and_rest, free_then_allocate));
    expect_nothing(run_as(route, forget_nothing, allocate_and_rest, free_then_allocate));
    expect_in_run(run_as(route, forget_gates, allocate_and_rest, free_then_allocate),
                  WORLD_ORACLE_GATE_ADOPTION, gates[_i].text);
}
END_TEST

static void mishandle(void *argument) {
    (void)argument;
    size_t count = 2;
    allocate(&count);
    struct MF2_ThreadPages *thread = mf2_thread_of_slot(world_mf2(world), 1);
    thread->bins[1].active->holder.value = 7;
    world_operation_point(world);
    ck_abort_msg("the run goes on");
}

START_TEST(bins_are_looked_at_between_operations) {
    expect_in_run(run_as("cda", forget_nothing, mishandle, NULL), WORLD_ORACLE_ONE_OWNER,
                  "holder is 7");
}
END_TEST

START_TEST(every_oracle_has_a_name) {
    for (unsigned i = 0; i < WORLD_ORACLE_COUNT; i++) {
        ck_assert_str_ne(world_oracle_name((enum world_oracle)i), "unknown");
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("world_oracles");
    TCase *cases = tcase_create("oracles");
    tcase_add_test(cases, a_block_too_few);
    tcase_add_test(cases, a_block_free_twice);
    tcase_add_test(cases, a_block_on_the_free_list_and_the_remote_stack);
    tcase_add_test(cases, a_link_that_leads_astray);
    tcase_add_test(cases, more_remote_frees_than_blocks_in_use);
    tcase_add_test(cases, the_programs_blocks_are_counted);
    tcase_add_test(cases, a_block_of_the_program_is_free);
    tcase_add_test(cases, a_page_in_another_threads_hands);
    tcase_add_test(cases, a_page_in_two_threads_bins);
    tcase_add_test(cases, a_page_that_its_holder_has_lost);
    tcase_add_test(cases, a_page_on_two_queues);
    tcase_add_test(cases, a_page_on_a_queue_without_a_mark);
    tcase_add_test(cases, a_mark_without_a_queue);
    tcase_add_loop_test(cases, remote_frees_that_nobody_was_told_of, 0, 2);
    tcase_add_test(cases, a_queue_of_a_thread_that_has_exited);
    tcase_add_test(cases, an_emptied_page_too_many_is_counted);
    tcase_add_test(cases, the_sum_of_emptied_pages_is_another);
    tcase_add_test(cases, a_page_that_says_it_is_empty);
    tcase_add_test(cases, a_pending_page_that_nobody_counted);
    tcase_add_test(cases, a_batch_too_many_is_counted);
    tcase_add_test(cases, free_blocks_of_a_page_that_is_nobodys);
    tcase_add_test(cases, the_helper_was_asked_and_not_woken);
    tcase_add_test(cases, the_helper_waits_for_a_lock_at_rest);
    tcase_add_test(cases, the_helper_never_comes_to_an_end);
    tcase_add_loop_test(cases, the_helper_leaves_something, 0, 4);
    tcase_add_test(cases, a_seat_that_is_gone);
    tcase_add_test(cases, too_many_pages);
    tcase_add_test(cases, a_new_page_past_the_own_queue);
    tcase_add_test(cases, a_new_page_past_the_own_partial_list);
    tcase_add_loop_test(cases, an_adoption_through_a_closed_gate, 0, 4);
    tcase_add_test(cases, bins_are_looked_at_between_operations);
    tcase_add_test(cases, every_oracle_has_a_name);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
