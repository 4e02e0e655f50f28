// test_sim_lines.c: what an access to a cache line costs, by who had it before; contended lines
// serve one after the other.
#include "sim.h"

#include <check.h>

enum { SAME = 1, OTHER = 20, MEMORY = 100, MODIFY = 5 };

static const struct sim_costs costs = {.line_same_core_ps = SAME,
                                       .line_other_core_ps = OTHER,
                                       .line_memory_ps = MEMORY,
                                       .read_modify_write_ps = MODIFY};
static struct sim_lines *lines;

static void setup(void) {
    lines = sim_lines_new();
    ck_assert_ptr_nonnull(lines);
}

static void teardown(void) {
    sim_lines_free(lines);
}

// Cost of an access asked for when the line is idle.
static uint64_t cost(uint64_t offset, uint32_t core, enum sim_access access) {
    static uint64_t now_ps = 1000000;
    now_ps += 1000;
    return sim_lines_access(lines, &costs, offset, core, access, now_ps) - now_ps;
}

START_TEST(first_access_comes_from_memory) {
    ck_assert_uint_eq(cost(0, 0, SIM_READ), MEMORY);
    ck_assert_uint_eq(cost(64, 0, SIM_WRITE), MEMORY);
    ck_assert_uint_eq(cost(128, 0, SIM_READ_MODIFY_WRITE), MEMORY + MODIFY);
}
END_TEST

START_TEST(a_line_is_64_bytes) {
    cost(64, 0, SIM_READ);
    ck_assert_uint_eq(cost(127, 0, SIM_READ), SAME);
    ck_assert_uint_eq(cost(128, 0, SIM_READ), MEMORY);
}
END_TEST

START_TEST(own_line_is_cheap) {
    cost(0, 3, SIM_READ);
    ck_assert_uint_eq(cost(0, 3, SIM_READ), SAME);
    ck_assert_uint_eq(cost(0, 3, SIM_WRITE), SAME); // nobody else has read it
    ck_assert_uint_eq(cost(0, 3, SIM_READ_MODIFY_WRITE), SAME + MODIFY);
}
END_TEST

START_TEST(reading_shares) {
    cost(0, 0, SIM_WRITE);
    ck_assert_uint_eq(cost(0, 1, SIM_READ), OTHER);
    ck_assert_uint_eq(cost(0, 1, SIM_READ), SAME);
    ck_assert_uint_eq(cost(0, 0, SIM_READ), SAME);
    ck_assert_uint_eq(cost(0, 0, SIM_WRITE), OTHER); // the other copy must go first
    ck_assert_uint_eq(cost(0, 1, SIM_READ), OTHER);
}
END_TEST

START_TEST(writing_takes_the_line_from_all) {
    for (uint32_t core = 0; core < 4; core++)
        cost(0, core, SIM_READ);
    ck_assert_uint_eq(cost(0, 2, SIM_WRITE), OTHER);
    for (uint32_t core = 0; core < 4; core++)
        ck_assert_uint_eq(cost(0, core, SIM_READ), core == 2 ? SAME : OTHER);
}
END_TEST

START_TEST(contenders_are_served_in_turn) {
    uint64_t done_ps = 0;
    for (uint32_t core = 0; core < 8; core++) {
        uint64_t end_ps = sim_lines_access(lines, &costs, 0, core, SIM_READ_MODIFY_WRITE, 1000);
        ck_assert_uint_eq(end_ps, core ? done_ps + OTHER + MODIFY : 1000 + MEMORY + MODIFY);
        done_ps = end_ps;
    }
    // Another line does not wait for this one.
    ck_assert_uint_eq(sim_lines_access(lines, &costs, 64, 0, SIM_READ, 1000), 1000 + MEMORY);
}
END_TEST

START_TEST(many_lines_are_kept_apart) {
    for (uint64_t line = 0; line < 50000; line++)
        ck_assert_uint_eq(cost(line * 64, (uint32_t)(line % 7), SIM_WRITE), MEMORY);
    for (uint64_t line = 0; line < 50000; line++)
        ck_assert_uint_eq(cost(line * 64, (uint32_t)(line % 7), SIM_WRITE), SAME);
    ck_assert_uint_eq(sim_lines_moves(lines), 50000);
}
END_TEST

START_TEST(clearing_forgets) {
    cost(0, 0, SIM_WRITE);
    sim_lines_clear(lines);
    ck_assert_uint_eq(sim_lines_moves(lines), 0);
    ck_assert_uint_eq(cost(0, 0, SIM_READ), MEMORY);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_lines");
    TCase *cases = tcase_create("lines");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, first_access_comes_from_memory);
    tcase_add_test(cases, a_line_is_64_bytes);
    tcase_add_test(cases, own_line_is_cheap);
    tcase_add_test(cases, reading_shares);
    tcase_add_test(cases, writing_takes_the_line_from_all);
    tcase_add_test(cases, contenders_are_served_in_turn);
    tcase_add_test(cases, many_lines_are_kept_apart);
    tcase_add_test(cases, clearing_forgets);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
