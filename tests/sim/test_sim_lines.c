// test_sim_lines.c: what an access to a cache line costs, by who had it before; contended lines
// serve one after the other.
#include "sim.h"

#include <check.h>

enum { SAME = 1, OTHER = 20, OTHER_L3 = 50, OTHER_SOCKET = 200, MEMORY = 100, MODIFY = 5 };

static const struct sim_costs costs = {.line_same_core_ps = SAME,
                                       .line_other_core_ps = OTHER,
                                       .line_other_l3_ps = OTHER_L3,
                                       .line_other_socket_ps = OTHER_SOCKET,
                                       .line_memory_ps = MEMORY,
                                       .read_modify_write_ps = MODIFY};
static struct sim_lines *lines;

static void setup(void) {
    lines = sim_lines_new(&(struct sim_topology){0}, 64);
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

// A small table's last slots, by the hash of line_table.c: what has no room there is at its begin.
static bool belongs_to_the_end(uint64_t line) {
    uint64_t slot = (line * UINT64_C(0x9E3779B97F4A7C15) >> 20) & 4095;
    return slot >= 4090;
}

// First as many as a table of 4,096 has just room for, most of them from around its end; then it
// grows, and again.
START_TEST(lines_around_the_end_survive_growth) {
    uint64_t kept[8000], count = 0;
    for (uint64_t line = 0; count < 300; line++)
        if (belongs_to_the_end(line))
            kept[count++] = line;
    for (uint64_t line = 0; count < 8000; line++)
        if (!belongs_to_the_end(line))
            kept[count++] = line;
    for (uint64_t i = 0; i < count; i++) {
        ck_assert_uint_eq(cost(kept[i] * 64, 0, SIM_WRITE), MEMORY);
        for (uint64_t k = 0; i == 3700 && k <= i; k++) // has grown once
            ck_assert_uint_eq(cost(kept[k] * 64, 0, SIM_WRITE), SAME);
    }
    for (uint64_t i = 0; i < count; i++)
        ck_assert_uint_eq(cost(kept[i] * 64, 0, SIM_WRITE), SAME);
    ck_assert_uint_eq(sim_lines_moves(lines), count);
}
END_TEST

START_TEST(clearing_forgets) {
    cost(0, 0, SIM_WRITE);
    sim_lines_clear(lines);
    ck_assert_uint_eq(sim_lines_moves(lines), 0);
    ck_assert_uint_eq(cost(0, 0, SIM_READ), MEMORY);
}
END_TEST

// 2 sockets of 2 L3 groups of 2 cores of 2 siblings: 16 cores.
static const struct sim_topology nested = {.smt = 2, .l3 = 4, .socket = 8};

START_TEST(distance_is_from_the_nearest_for_readers) {
    sim_lines_free(lines);
    lines = sim_lines_new(&nested, 16);
    cost(0, 15, SIM_WRITE);
    ck_assert_uint_eq(cost(0, 0, SIM_READ), OTHER_SOCKET);
    ck_assert_uint_eq(cost(0, 7, SIM_READ), OTHER_L3); // from core 0
    ck_assert_uint_eq(cost(0, 3, SIM_READ), OTHER);    // from core 0
    ck_assert_uint_eq(cost(0, 1, SIM_READ), SAME);     // from its sibling 0
    ck_assert_uint_eq(cost(0, 1, SIM_READ), SAME);
}
END_TEST

START_TEST(distance_is_to_the_farthest_for_writers) {
    sim_lines_free(lines);
    lines = sim_lines_new(&nested, 16);
    cost(0, 0, SIM_WRITE);
    ck_assert_uint_eq(cost(0, 1, SIM_WRITE), SAME); // its sibling had it
    cost(0, 2, SIM_READ);
    ck_assert_uint_eq(cost(0, 1, SIM_WRITE), OTHER);
    cost(0, 2, SIM_READ);
    cost(0, 4, SIM_READ);
    ck_assert_uint_eq(cost(0, 1, SIM_WRITE), OTHER_L3);
    cost(0, 2, SIM_READ);
    cost(0, 12, SIM_READ);
    ck_assert_uint_eq(cost(0, 1, SIM_WRITE), OTHER_SOCKET);
}
END_TEST

START_TEST(cores_above_64_are_themselves) {
    sim_lines_free(lines);
    lines = sim_lines_new(&(struct sim_topology){.l3 = 100}, 200);
    cost(0, 3, SIM_WRITE);
    ck_assert_uint_eq(cost(0, 67, SIM_READ), OTHER); // not core 3, which is 67 modulo 64
    ck_assert_uint_eq(cost(0, 131, SIM_READ), OTHER_L3);
    ck_assert_uint_eq(cost(0, 195, SIM_READ), OTHER);
    for (uint32_t core = 0; core < 200; core++)
        cost(64, core, SIM_READ);
    ck_assert_uint_eq(cost(64, 199, SIM_WRITE), OTHER_L3);
    ck_assert_uint_eq(cost(64, 100, SIM_READ), OTHER);
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
    tcase_add_test(cases, lines_around_the_end_survive_growth);
    tcase_add_test(cases, clearing_forgets);
    tcase_add_test(cases, distance_is_from_the_nearest_for_readers);
    tcase_add_test(cases, distance_is_to_the_farthest_for_writers);
    tcase_add_test(cases, cores_above_64_are_themselves);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
