// Races of MF2 that a review found: each as the one interleaving, or the one play, that shows it.
//
// The scenario geometry: pages of 4 KiB, four blocks of 1,000 bytes each.
#include "internal.h"
#include "world_test.h"

#include "check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { A, B, C, D, THREADS };
enum { BLOCK = 1000, PER_PAGE = 4 };

static struct world *stage;

static void act_as(uint32_t thread) {
    world_act_as(stage, thread);
}
static void some(void **blocks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        blocks[i] = mf2_malloc(BLOCK);
        ck_assert_ptr_nonnull(blocks[i]);
    }
}
static void release(void **blocks, size_t count) {
    for (size_t i = 0; i < count; i++)
        mf2_free(blocks[i]);
}
static struct mf2_counters played(const char *route, world_body *play) {
    struct world_options options = test_options(route, THREADS);
    stage = test_world(&options);
    enum world_end end = world_call(stage, play, NULL);
    ck_assert_msg(end == WORLD_DONE, "%s: %s", route, world_message(stage));
    struct mf2_counters counters;
    world_counters(stage, &counters);
    world_destroy(stage);
    return counters;
}

// ---------------------------------------------------------------- the ready mask
//
// B pushes to A's empty queue; before B sets A's bit, A pops the page and finds nothing to clear.
// The bit that B then sets names an empty queue. C's search begins there; it must not end there
// for ever, while D's queue has a page.

static void stale_bit(void *unused) {
    (void)unused;
    void *own[2 * PER_PAGE], *other[2 * PER_PAGE];
    act_as(C);
    mf2_free(mf2_malloc(2000)); // slots in this order: C, A, D
    act_as(A);
    some(own, 2 * PER_PAGE);
    act_as(D);
    some(other, 2 * PER_PAGE);
    act_as(B);
    release(other, PER_PAGE); // D's first page is pending
    struct mf2_state *state = world_mf2(stage);
    uint32_t class_index = mf2_geometry_class(state->geometry, 0, BLOCK, 1);
    mf2_ready_mask(state, class_index)[0].value |= 2; // what B's late store leaves behind: A's bit
    act_as(C);
    void *first, *second;
    some(&first, 1); // finds A's queue empty
    for (int i = 1; i < PER_PAGE; i++)
        some(&second, 1);
    some(&second, 1); // needs a page again: D's
}
START_TEST(a_stale_bit_does_not_hide_the_queues_behind_it) {
    struct mf2_counters counters = played(
        "p,rfr_ns=0,gate_idle=off,gate_partial=off,gate_pressure=0,gate_remotes=0", stale_bit);
    ck_assert_uint_eq(counters.adoption_allowed, 1);
}
END_TEST

// ---------------------------------------------------------------- the idle gate
//
// The adopter reads the clock, then the owner enters its slow path, then the adopter reads when
// that was: later than its own "now". The owner is anything but idle.

START_TEST(an_owner_seen_later_than_now_is_not_idle) {
    struct mf2_route route = {.gate_idle = 1, .idle_ns = 150000};
    struct mf2_gate_facts facts = {.now_ns = 1000000, .owner_last_slow_ns = 1000001};
    ck_assert_int_eq(mf2_gate(&route, &facts), MF2_GATE_IDLE);
    facts.owner_last_slow_ns = facts.now_ns - route.idle_ns;
    ck_assert_int_eq(mf2_gate(&route, &facts), MF2_GATE_IDLE);
    facts.owner_last_slow_ns--;
    ck_assert_int_eq(mf2_gate(&route, &facts), MF2_GATE_OPEN);
}
END_TEST

// ---------------------------------------------------------------- the child of a fork
//
// A thread that is gone keeps its active page for ever. Frees into it must not put that page
// before the pages that can be adopted.

static void child_of_a_fork(void *unused) {
    (void)unused;
    void *lost[PER_PAGE], *exited[PER_PAGE];
    act_as(A);
    some(lost, 2); // A's active page
    act_as(B);
    void *own;
    some(&own, 1);
    act_as(D);
    some(exited, PER_PAGE);
    mf2_thread_exit();
    act_as(B);
    mf2_before_fork();
    mf2_after_fork_child(); // in B: A is gone
    release(exited, 1);     // D's page can be adopted
    release(lost, 1);       // A's page cannot, and is on top of it
    for (int i = 1; i < PER_PAGE; i++)
        some(&own, 1);
    some(&own, 1); // needs a page
}
static uint64_t adopted_in_the_child(const char *route) {
    return played(route, child_of_a_fork).orphans_adopted;
}
START_TEST(pages_held_by_lost_threads_do_not_bar_the_orphans) {
    ck_assert_uint_eq(adopted_in_the_child("s2,orphans=adopt"), 1);
    ck_assert_uint_eq(adopted_in_the_child("s2,orphans=adopt,protocol=word"), 1);
    ck_assert_uint_eq(adopted_in_the_child("cda,orphans=adopt"), 1);
}
END_TEST

// ---------------------------------------------------------------- whose pages were adopted

static void c_adopts_from_a(void *unused) {
    (void)unused;
    void *blocks[2 * PER_PAGE], *block;
    act_as(A);
    some(blocks, 2 * PER_PAGE);
    act_as(B);
    release(blocks, PER_PAGE);
    act_as(C);
    some(&block, 1);
    struct mf2_state *state = world_mf2(stage);
    ck_assert_uint_eq(mf2_thread_of_slot(state, 1)->adopted_from.value, 1); // A's
    ck_assert_uint_eq(mf2_thread_of_slot(state, 2)->adopted_from.value, 0); // C's
}
START_TEST(a_page_that_is_adopted_is_counted_where_it_came_from) {
    ck_assert_uint_eq(played("cda", c_adopts_from_a).owner_changes, 1);
}
END_TEST

CHECK_MAIN("alloc_races", a_stale_bit_does_not_hide_the_queues_behind_it,
           an_owner_seen_later_than_now_is_not_idle,
           pages_held_by_lost_threads_do_not_bar_the_orphans,
           a_page_that_is_adopted_is_counted_where_it_came_from)
