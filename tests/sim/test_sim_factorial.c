// Effects of a factorial against their definition, and the routes that stand for the seed's flaws.
#include "ablation.h"
#include "check_main.h"
#include "factorial.h"

#include <string.h>

START_TEST(effects_of_an_additive_figure) {
    // 10, +4 with factor 0, +2 with factor 1, nothing together.
    const double figures[] = {10, 14, 12, 16};
    double effects[4];
    sim_factorial_effects(figures, 2, effects);
    ck_assert_double_eq_tol(effects[0], 13, 1e-12);
    ck_assert_double_eq_tol(effects[1], 4, 1e-12);
    ck_assert_double_eq_tol(effects[2], 2, 1e-12);
    ck_assert_double_eq_tol(effects[3], 0, 1e-12);
    ck_assert_double_eq_tol(sim_factorial_share(effects, 2, 1), 0.8, 1e-12);
}
END_TEST

START_TEST(effects_of_two_that_only_work_together) {
    // Montgomery's convention: half of the difference of the differences.
    const double figures[] = {0, 0, 0, 8};
    double effects[4];
    sim_factorial_effects(figures, 2, effects);
    ck_assert_double_eq_tol(effects[1], 4, 1e-12);
    ck_assert_double_eq_tol(effects[2], 4, 1e-12);
    ck_assert_double_eq_tol(effects[3], 4, 1e-12);
}
END_TEST

START_TEST(effects_of_three_by_their_definition) {
    const double figures[] = {3, 1, 4, 1, 5, 9, 2, 6};
    double effects[8];
    sim_factorial_effects(figures, 3, effects);
    for (unsigned m = 1; m < 8; m++) {
        double sum = 0;
        for (unsigned cell = 0; cell < 8; cell++)
            sum += __builtin_popcount(m & ~cell) % 2 ? -figures[cell] : figures[cell];
        ck_assert_double_eq_tol(effects[m], sum / 4, 1e-12);
    }
}
END_TEST

// By their switches: what lies between a structure's fields is nobody's.
static bool same_route(const struct mf2_route *a, const struct mf2_route *b) {
    char value_a[32], value_b[32];
    for (size_t i = 0; mf2_route_switch(a, i, value_a, sizeof value_a); i++) {
        mf2_route_switch(b, i, value_b, sizeof value_b);
        if (strcmp(value_a, value_b) != 0)
            return false;
    }
    return true;
}

START_TEST(flaws_are_routes) {
    char message[256];
    struct mf2_route route, made = sim_flaw_route(0);
    ck_assert(mf2_route_parse("s2,scan=mask,orphans=adopt,empty=recycle", &route, message,
                              sizeof message));
    ck_assert(same_route(&made, &route));
    made = sim_flaw_route(SIM_FLAW_SETS - 1);
    ck_assert(mf2_route_parse("cda-claim,scan=mask", &route, message, sizeof message));
    ck_assert(same_route(&made, &route));
}
END_TEST

START_TEST(sets_are_run_once) {
    size_t distinct = 0;
    for (unsigned a = 0; a < SIM_FLAW_SETS; a++) {
        unsigned alias = sim_flaw_alias(a);
        ck_assert_uint_eq(sim_flaw_alias(alias), alias);
        distinct += alias == a;
        for (unsigned b = 0; b < a; b++) {
            struct mf2_route route_a = sim_flaw_route(alias);
            struct mf2_route route_b = sim_flaw_route(sim_flaw_alias(b));
            bool same = same_route(&route_a, &route_b);
            ck_assert(same == (alias == sim_flaw_alias(b)));
        }
    }
    ck_assert_uint_eq(distinct, 32 + 8);
}
END_TEST

CHECK_MAIN("factorial", effects_of_an_additive_figure, effects_of_two_that_only_work_together,
           effects_of_three_by_their_definition, flaws_are_routes, sets_are_run_once)
