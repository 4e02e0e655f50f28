// Errors, limits and ranking of the model against invented real figures.
#include "check_main.h"
#include "validation.h"

static struct sim_interval about(double mean, double half) {
    return (struct sim_interval){mean, mean - half, mean + half};
}

START_TEST(errors_are_relative_or_in_points) {
    ck_assert_double_eq_tol(sim_validation_error(SIM_VALIDATED_PAGES, 200, 190), -5, 1e-12);
    ck_assert_double_eq_tol(sim_validation_error(SIM_VALIDATED_REMOTE, 50, 53), 3, 1e-12);
    ck_assert_double_eq_tol(sim_validation_error(SIM_VALIDATED_OWNERS, 0, 0), 0, 1e-12);
    ck_assert_double_eq_tol(sim_validation_error(SIM_VALIDATED_OWNERS, 4, 3), -25, 1e-12);
    // Less than one per 100 allocations: in per cent of one.
    ck_assert_double_eq_tol(sim_validation_error(SIM_VALIDATED_OWNERS, 0, .03), 3, 1e-12);
    ck_assert_double_eq_tol(sim_validation_error(SIM_VALIDATED_OWNERS, .5, 3), 250, 1e-12);
}
END_TEST

START_TEST(the_mean_decides_and_rows_beyond_are_counted) {
    struct sim_validation_row rows[4] = {0};
    rows[1].figures[SIM_VALIDATED_PAGES].error = -6;
    rows[2].figures[SIM_VALIDATED_PAGES].error = 5;
    rows[1].figures[SIM_VALIDATED_SPEED].error = -40;
    struct sim_validation_summary pages = sim_validation_sum(rows, 4, SIM_VALIDATED_PAGES);
    ck_assert_uint_eq(pages.beyond, 1);
    ck_assert_uint_eq(pages.worst, 1);
    ck_assert_double_eq_tol(pages.worst_error, -6, 1e-12);
    ck_assert_double_eq_tol(pages.mean_error, 2.75, 1e-12);
    ck_assert(pages.met);
    rows[3].figures[SIM_VALIDATED_PAGES].error = 10;
    ck_assert(!sim_validation_sum(rows, 4, SIM_VALIDATED_PAGES).met);
    struct sim_validation_summary speed = sim_validation_sum(rows, 4, SIM_VALIDATED_SPEED);
    ck_assert(speed.met);
    rows[3].figures[SIM_VALIDATED_SPEED].error = 21;
    ck_assert(!sim_validation_sum(rows, 4, SIM_VALIDATED_SPEED).met);
    ck_assert(sim_validation_sum(rows, 1, SIM_VALIDATED_PAGES).met);
    rows[0].figures[SIM_VALIDATED_SPEED].repeat = -8;
    ck_assert_double_eq_tol(sim_validation_sum(rows, 4, SIM_VALIDATED_SPEED).mean_repeat, 2, 1e-12);
}
END_TEST

START_TEST(only_separate_pairs_of_one_case_rank) {
    struct sim_validation_row rows[6] = {0};
    const double real[6] = {10, 20, 20.5, 30, 10, 5}, model[6] = {1, 2, 3, 1, 2, 3};
    for (int i = 0; i < 6; i++) {
        rows[i].figures[SIM_VALIDATED_SPEED].real = about(real[i], 1);
        rows[i].figures[SIM_VALIDATED_SPEED].model = about(model[i], 0);
    }
    // First case: 10 < 20 and 10 < 20.5, as modelled; 20 and 20.5 say nothing. Second: all three
    // pairs the wrong way round.
    struct sim_validation_ranking found = sim_validation_rank(rows, 6, 3, SIM_VALIDATED_SPEED);
    ck_assert_uint_eq(found.pairs, 5);
    ck_assert_uint_eq(found.agree, 2);
}
END_TEST

CHECK_MAIN("validation", errors_are_relative_or_in_points,
           the_mean_decides_and_rows_beyond_are_counted, only_separate_pairs_of_one_case_rank)
