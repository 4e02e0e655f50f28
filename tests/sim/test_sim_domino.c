// What is a theft, a link and a chain: a program small enough to know each of them beforehand. And
// MSER-5 on series whose transient is known.
#include "check_main.h"
#include "domino.h"

#define OP(thread_, op_, object_, size_)                                                           \
    { .thread = (thread_), .op = (op_), .object = (object_), .size = (size_), .time_ns = 0 }

enum { A, B, C };
#define ONE_BLOCK_PAGE 4096 // of geometry `scenario`

// A's pages in the order of their making: P1 .. P5, one block each.
static const struct program_operation story[] = {
    OP(A, PROGRAM_MALLOC, 0, ONE_BLOCK_PAGE), // P1
    OP(A, PROGRAM_MALLOC, 1, ONE_BLOCK_PAGE), // P2
    OP(B, PROGRAM_FREE, 0, 0),                // P1 waits for A
    OP(C, PROGRAM_MALLOC, 2, ONE_BLOCK_PAGE), // and is stolen
    OP(A, PROGRAM_MALLOC, 3, ONE_BLOCK_PAGE), // P3: answers the theft of P1
    OP(A, PROGRAM_MALLOC, 4, ONE_BLOCK_PAGE), // P4: answers nothing
    OP(B, PROGRAM_FREE, 3, 0),                // P3 waits for A
    OP(C, PROGRAM_MALLOC, 5, ONE_BLOCK_PAGE), // and is stolen
    OP(A, PROGRAM_MALLOC, 6, ONE_BLOCK_PAGE), // P5: answers the theft of P3
    OP(A, PROGRAM_EXIT, 0, 0),
    OP(B, PROGRAM_FREE, 1, 0),                // P2 waits for nobody
    OP(C, PROGRAM_MALLOC, 7, ONE_BLOCK_PAGE), // a theft that no fresh page will answer
};

struct told {
    struct world *world;
    struct sim_domino *domino;
};

static struct told tell(const char *route) {
    char message[256] = "";
    struct world_options options = {.mf2 = {.geometry = mf2_geometry_find("scenario"),
                                            .arena_bytes = 8 << 20,
                                            .thread_limit = 8},
                                    .fiber_limit = 8};
    ck_assert(mf2_route_parse(route, &options.mf2.route, message, sizeof message));
    struct told told = {.world = world_create(&options, message, sizeof message)};
    ck_assert_msg(told.world != NULL, "%s", message);
    told.domino = sim_domino_new(told.world);
    struct program_options program = {
        .order = PROGRAM_STRICT, .on_done = sim_domino_on_done, .on_done_self = told.domino};
    struct program_source *source =
        program_open_memory(story, sizeof story / sizeof story[0], 3, 8);
    struct program_result *result;
    ck_assert_int_eq(program_run(told.world, source, &program, &result), WORLD_DONE);
    ck_assert(!sim_domino_out_of_memory(told.domino));
    program_result_free(result);
    program_close(source);
    return told;
}

static void forget(struct told *told) {
    sim_domino_free(told->domino);
    world_destroy(told->world);
}

START_TEST(a_story_is_counted) {
    struct told told = tell("cda");
    struct sim_domino_totals totals;
    sim_domino_totals(told.domino, &totals);
    ck_assert_uint_eq(totals.new_pages, 5);
    ck_assert_uint_eq(totals.recycled_pages, 0);
    ck_assert_uint_eq(totals.thefts_running, 2);
    ck_assert_uint_eq(totals.thefts_exited, 1);
    ck_assert_uint_eq(totals.links, 2);
    ck_assert_uint_eq(totals.chains, 1);
    ck_assert_uint_eq(totals.longest, 2);
    ck_assert_uint_eq(totals.victims, 1);
    ck_assert_uint_eq(totals.thieves, 1);
    ck_assert_uint_eq(totals.links_of_worst, 2);
    ck_assert_uint_eq(totals.operations, 12);
    forget(&told);
}
END_TEST

START_TEST(a_chain_names_pages_and_threads) {
    struct told told = tell("cda");
    const struct sim_domino_link *links;
    ck_assert_uint_eq(sim_domino_links(told.domino, &links), 2);
    ck_assert_uint_eq(links[0].parent, SIM_DOMINO_NO_LINK);
    ck_assert_uint_eq(links[1].parent, 0);
    ck_assert_uint_eq(links[0].fresh_page, links[1].stolen_page);
    ck_assert_uint_ne(links[0].stolen_page, links[1].stolen_page);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(links[i].victim, A);
        ck_assert_uint_eq(links[i].freer, B);
        ck_assert_uint_eq(links[i].thief, C);
        ck_assert_uint_eq(links[i].remote_frees, 1);
        ck_assert_uint_eq(links[i].block_bytes, ONE_BLOCK_PAGE);
    }
    uint32_t ends[3];
    ck_assert_uint_eq(sim_domino_longest(told.domino, ends, 3), 1);
    ck_assert_uint_eq(ends[0], 1);
    forget(&told);
}
END_TEST

START_TEST(owners_that_keep_their_pages_are_no_victims) {
    struct told told = tell("s2");
    struct sim_domino_totals totals;
    sim_domino_totals(told.domino, &totals);
    // A finds P1 and P3 again; C, who finds nothing, takes three.
    ck_assert_uint_eq(totals.new_pages, 3 + 3);
    ck_assert_uint_eq(totals.thefts_running + totals.thefts_exited, 0);
    ck_assert_uint_eq(totals.links, 0);
    forget(&told);
}
END_TEST

START_TEST(mser5_cuts_the_transient) {
    double series[200];
    for (int i = 0; i < 200; i++)
        series[i] = (i < 40 ? 100 - 2 * i : 10) + (i % 2 ? 0.5 : -0.5);
    size_t cut = sim_mser5(series, 200);
    ck_assert_uint_ge(cut, 35);
    ck_assert_uint_le(cut, 60);
}
END_TEST

START_TEST(mser5_keeps_what_is_steady) {
    double series[200];
    for (int i = 0; i < 200; i++)
        series[i] = 7;
    ck_assert_uint_eq(sim_mser5(series, 200), 0);
    // Never more than half, however late the change.
    for (int i = 0; i < 200; i++)
        series[i] = i < 190 ? 7 : 50;
    ck_assert_uint_le(sim_mser5(series, 200), 100);
}
END_TEST

CHECK_MAIN("domino", a_story_is_counted, a_chain_names_pages_and_threads,
           owners_that_keep_their_pages_are_no_victims, mser5_cuts_the_transient,
           mser5_keeps_what_is_steady)
