// check_main.h: the main of a Check program: one suite, one case, every test named.
#ifndef HAK_TESTS_CHECK_MAIN_H
#define HAK_TESTS_CHECK_MAIN_H

#include <check.h>
#include <stddef.h>
#include <stdlib.h>

// Runs the tests in order. Returns the program's exit status.
static inline int check_main(const char *name, const TTest *const *tests, size_t count) {
    TCase *cases = tcase_create(name);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(cases, tests[i]);
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// CHECK_MAIN(name, test, ...): defines main.
#define CHECK_MAIN(name, ...)                                                                      \
    int main(void) {                                                                               \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        return check_main(name, tests, sizeof tests / sizeof tests[0]);                            \
    }

#endif
