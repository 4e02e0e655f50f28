// Intervals against textbook values, and the rule of doc/seed-table.md with invented numbers: each
// of the three verdicts comes out, and for the reason that the rule names.
#include "check_main.h"
#include "verdict.h"

#include <math.h>

static struct sim_finding finding(double claim_low, double claim_high, double low, double high) {
    return (struct sim_finding){{true, claim_low, claim_high}, {(low + high) / 2, low, high}};
}

START_TEST(intervals_are_student_s) {
    // 4, 6, 8: mean 6, deviation 2, t(2) = 4.303: half width 4.303 × 2 ÷ √3
    const double values[] = {4, 6, 8};
    struct sim_interval interval = sim_interval_of(values, 3);
    ck_assert_double_eq_tol(interval.mean, 6, 1e-12);
    ck_assert_double_eq_tol(interval.high - 6, 4.303 * 2 / sqrt(3), 1e-9);
    ck_assert_double_eq_tol(6 - interval.low, 4.303 * 2 / sqrt(3), 1e-9);
    ck_assert_double_eq_tol(sim_student_t(29), 2.045, 1e-12);
    ck_assert_double_eq_tol(sim_student_t(40), 2.021, 5e-4);
    ck_assert_double_eq_tol(sim_student_t(120), 1.980, 5e-4);
}
END_TEST

START_TEST(reproduced_within_a_quarter_of_the_interval) {
    struct sim_finding rows[] = {finding(10, 10, 8, 9)}; // 9 × 1.25 = 11.25
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_REPRODUCED);
    rows[0] = finding(10, 10, 12, 13); // 12 × 0.75 = 9
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_REPRODUCED);
    rows[0] = finding(10, 10, 7, 7.9); // 7.9 × 1.25 < 10
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_NOT_REPRODUCED);
    rows[0] = finding(10, 10, 13.5, 14); // 13.5 × 0.75 > 10
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_NOT_REPRODUCED);
}
END_TEST

START_TEST(a_range_must_lie_within_whole) {
    struct sim_finding rows[] = {finding(8, 11, 9, 10)}; // 6.75 to 12.5
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_REPRODUCED);
    rows[0] = finding(8, 13, 9, 10);
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_NOT_REPRODUCED);
    rows[0] = finding(6, 11, 9, 10);
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_NOT_REPRODUCED);
}
END_TEST

START_TEST(an_open_side_is_met_by_what_is_found) {
    struct sim_finding rows[] = {finding(90, INFINITY, 70, 75)}; // 75 × 1.25 = 93.75
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_REPRODUCED);
    rows[0] = finding(90, INFINITY, 60, 70);
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_NOT_REPRODUCED);
    rows[0] = finding(-INFINITY, 50, 60, 70); // 60 × 0.75 = 45
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_REPRODUCED);
    rows[0] = finding(-INFINITY, 50, 70, 80);
    ck_assert_int_eq(sim_verdict_of(rows, 1, 0), SIM_VERDICT_NOT_REPRODUCED);
}
END_TEST

START_TEST(order_only_where_both_neighbours_agree) {
    // Published 5 < 10 > 1; found 50 < 100 > 20: no figure is right, the order is.
    struct sim_finding rows[] = {finding(5, 5, 50, 55), finding(10, 10, 100, 110),
                                 finding(1, 1, 20, 25)};
    for (size_t row = 0; row < 3; row++)
        ck_assert_int_eq(sim_verdict_of(rows, 3, row), SIM_VERDICT_ORDER_ONLY);
}
END_TEST

START_TEST(not_reproduced_where_a_neighbour_disagrees_or_overlaps) {
    struct sim_finding rows[] = {finding(5, 5, 50, 55), finding(10, 10, 100, 110),
                                 finding(1, 1, 120, 130)};
    ck_assert_int_eq(sim_verdict_of(rows, 3, 1), SIM_VERDICT_NOT_REPRODUCED);
    rows[2] = finding(1, 1, 90, 101); // overlaps with 100 to 110
    ck_assert_int_eq(sim_verdict_of(rows, 3, 1), SIM_VERDICT_NOT_REPRODUCED);
    ck_assert_int_eq(sim_verdict_of(rows, 3, 0), SIM_VERDICT_ORDER_ONLY);
}
END_TEST

START_TEST(rows_without_another_figure_are_no_neighbours) {
    // Row 1 has the same figure, row 2 none: row 0 is compared with row 3.
    struct sim_finding rows[] = {finding(40, 40, 400, 410),
                                 finding(40, 40, 900, 910),
                                 {{false, 0, 0}, {5000, 4000, 6000}},
                                 finding(1, 1, 20, 25)};
    ck_assert_int_eq(sim_verdict_of(rows, 4, 0), SIM_VERDICT_ORDER_ONLY);
    ck_assert_int_eq(sim_verdict_of(rows, 4, 2), SIM_VERDICT_NONE);
    // Nothing but equal figures: there is no order to agree with.
    ck_assert_int_eq(sim_verdict_of(rows, 2, 0), SIM_VERDICT_NOT_REPRODUCED);
}
END_TEST

CHECK_MAIN("verdict", intervals_are_student_s, reproduced_within_a_quarter_of_the_interval,
           a_range_must_lie_within_whole, an_open_side_is_met_by_what_is_found,
           order_only_where_both_neighbours_agree,
           not_reproduced_where_a_neighbour_disagrees_or_overlaps,
           rows_without_another_figure_are_no_neighbours)
