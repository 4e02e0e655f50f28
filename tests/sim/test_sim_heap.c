// test_sim_heap.c: events come out by time, then actor, then sequence, whatever the order in
// which they were put in.
#include "sim.h"

#include <check.h>
#include <stdlib.h>

#define COUNT 5000u

static struct sim_heap heap;
static uint64_t random_state;

static uint32_t draw(uint32_t below) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static void setup(void) {
    heap = (struct sim_heap){0};
    random_state = 1;
    ck_assert(sim_heap_reserve(&heap, COUNT));
}

static void teardown(void) {
    sim_heap_free(&heap);
}

static int compare(const void *left, const void *right) {
    const struct sim_event *a = left, *b = right;
    if (a->time_ps != b->time_ps)
        return a->time_ps < b->time_ps ? -1 : 1;
    if (a->actor != b->actor)
        return a->actor < b->actor ? -1 : 1;
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

START_TEST(ties_are_broken_by_actor_then_sequence) {
    sim_heap_push(&heap, (struct sim_event){5, 2, 0});
    sim_heap_push(&heap, (struct sim_event){5, 1, 9});
    sim_heap_push(&heap, (struct sim_event){5, 1, 3});
    sim_heap_push(&heap, (struct sim_event){4, 7, 8});
    struct sim_event order[4];
    for (int i = 0; i < 4; i++)
        order[i] = sim_heap_pop(&heap);
    ck_assert_uint_eq(order[0].actor, 7);
    ck_assert_uint_eq(order[1].sequence, 3);
    ck_assert_uint_eq(order[2].sequence, 9);
    ck_assert_uint_eq(order[3].actor, 2);
    ck_assert_uint_eq(heap.count, 0);
}
END_TEST

START_TEST(pops_are_sorted) {
    static struct sim_event events[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        events[i] = (struct sim_event){draw(300), draw(20), i};
        sim_heap_push(&heap, events[i]);
    }
    qsort(events, COUNT, sizeof events[0], compare);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct sim_event event = sim_heap_pop(&heap);
        ck_assert_int_eq(compare(&event, &events[i]), 0);
    }
}
END_TEST

START_TEST(pushes_between_pops_keep_the_order) {
    uint64_t now = 0;
    for (uint32_t i = 0; i < 64; i++)
        sim_heap_push(&heap, (struct sim_event){draw(100), i, i});
    for (uint32_t i = 0; i < COUNT; i++) {
        struct sim_event event = sim_heap_pop(&heap);
        ck_assert_uint_ge(event.time_ps, now);
        now = event.time_ps;
        sim_heap_push(&heap, (struct sim_event){now + draw(50), event.actor, 64 + i});
    }
    ck_assert_uint_eq(heap.count, 64);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_heap");
    TCase *cases = tcase_create("heap");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, ties_are_broken_by_actor_then_sequence);
    tcase_add_test(cases, pops_are_sorted);
    tcase_add_test(cases, pushes_between_pops_keep_the_order);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
