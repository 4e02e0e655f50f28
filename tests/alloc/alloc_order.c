// What orders plain fields between threads, one pair at a time, for the thread sanitizer: it knows
// C11's rules, where x86-64 alone would forgive. Without it the test sees that values arrive.
#include "internal.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#define ARENA_BYTES (1u << 20)

static struct mf2_state *state;
static struct MidPage *page;

static void make(const char *route) {
    char message[160];
    struct mf2_config config = {.arena_bytes = ARENA_BYTES, .thread_limit = 2};
    config.geometry = mf2_geometry_find("scenario");
    ck_assert(mf2_route_parse(route, &config.route, message, sizeof message));
    void *arena = aligned_alloc(config.geometry->page_bytes, ARENA_BYTES);
    ck_assert_ptr_nonnull(arena);
    for (size_t i = 0; i < ARENA_BYTES / sizeof(uint64_t); i++)
        ((uint64_t *)arena)[i] = 0;
    state = mf2_init(arena, &config);
    ck_assert_ptr_nonnull(state);
    page = &state->pages[state->first_page];
}

// A page was emptied and is formatted anew. A thread whose last remote free of its former life has
// not been announced yet may set the mark at that moment, and then reads the page's class.
static void *late_announcer(void *unused) {
    (void)unused;
    while (!mf2_protocol_mark(state, page))
        mf2_pause();
    ck_assert_uint_eq(page->class_index, 1);
    return NULL;
}
static void formats_while_announced(const char *route) {
    pthread_t announcer;
    make(route);
    mf2_page_format(state, page, 0, 1, false);
    ck_assert(mf2_protocol_mark(state, page)); // as mf2_page_dispose_empty leaves it
    ck_assert_int_eq(pthread_create(&announcer, NULL, late_announcer, NULL), 0);
    mf2_page_format(state, page, 1, 1, false);
    ck_assert_int_eq(pthread_join(announcer, NULL), 0);
    free(state);
}
START_TEST(a_mark_on_a_new_page_finds_it_formatted) {
    formats_while_announced("cda");
    formats_while_announced("best");
}
END_TEST

int main(void) {
    TCase *cases = tcase_create("order");
    tcase_add_test(cases, a_mark_on_a_new_page_finds_it_formatted);
    Suite *suite = suite_create("alloc_order");
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); // the sanitizer's exit status is this process's
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
