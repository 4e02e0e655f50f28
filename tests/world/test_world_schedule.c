// Schedules: written, read and played they give the run that made them, byte for byte the same
// file; a file that is damaged, cut, foreign or newer is refused with one line; a failed write
// loses nothing.
#include "world_test.h"

#include "check_main.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static struct test_exchange exchange;
static struct test_random random_state;
static char message[512];

static struct world *begin(const struct world_strategy *strategy, void *self) {
    struct world_options options = test_options("s3,empty=recycle", 3);
    options.strategy = strategy;
    options.strategy_self = self;
    struct world *world = test_world(&options);
    exchange = (struct test_exchange){.world = world, .threads = 3, .rounds = 10, .seed = 2};
    return world;
}

// A random run's schedule in FILE; returns the run's trail.
static uint64_t write_run(const char *path, uint64_t *choices) {
    struct world *world = begin(&test_random, &random_state);
    struct world_schedule *schedule = world_schedule_new();
    world_schedule_record(world, schedule);
    test_exchange_spawn(&exchange);
    ck_assert_uint_eq(world_run(world), WORLD_DONE);
    ck_assert_int_eq(world_schedule_key(schedule, "route", "s3,empty=recycle"), 0);
    ck_assert_int_eq(world_schedule_key(schedule, "note", "first"), 0);
    ck_assert_int_eq(world_schedule_key(schedule, "note", "two words, = and !"), 0);
    *choices = world_schedule_choices(schedule);
    ck_assert_int_eq(world_schedule_write(schedule, path, message, sizeof message), 0);
    uint64_t trail = world_trail(world);
    world_schedule_free(schedule);
    world_destroy(world);
    return trail;
}

START_TEST(a_schedule_from_a_file_is_the_same_run) {
    uint64_t choices;
    uint64_t trail = write_run("run.hks", &choices);
    struct world_schedule *schedule = world_schedule_read("run.hks", message, sizeof message);
    ck_assert_ptr_nonnull(schedule);
    ck_assert_uint_eq(world_schedule_choices(schedule), choices);
    ck_assert_str_eq(world_schedule_value(schedule, "route"), "s3,empty=recycle");
    ck_assert_str_eq(world_schedule_value(schedule, "note"), "two words, = and !");
    ck_assert_ptr_null(world_schedule_value(schedule, "nothing"));
    struct world *world = begin(&world_strategy_schedule, schedule);
    world_snapshot(world);
    for (int i = 0; i < 2; i++) {
        world_reset(world, 0);
        test_exchange_spawn(&exchange);
        ck_assert_uint_eq(world_run(world), WORLD_DONE);
        ck_assert_uint_eq(world_trail(world), trail);
    }
    world_destroy(world);
    world_schedule_free(schedule);
}
END_TEST

START_TEST(another_program_diverges) {
    uint64_t choices;
    write_run("run.hks", &choices);
    struct world_schedule *schedule = world_schedule_read("run.hks", message, sizeof message);
    struct world *world = begin(&world_strategy_schedule, schedule);
    exchange.rounds = 11;
    test_exchange_spawn(&exchange);
    ck_assert_uint_eq(world_run(world), WORLD_DIVERGED);
    ck_assert_str_ne(world_message(world), "");
    world_destroy(world);
    world_schedule_free(schedule);
}
END_TEST

START_TEST(a_schedule_that_is_too_short_diverges) {
    struct world_schedule *schedule = world_schedule_new();
    struct world *world = begin(&world_strategy_schedule, schedule);
    test_exchange_spawn(&exchange);
    ck_assert_uint_eq(world_run(world), WORLD_DIVERGED);
    ck_assert_ptr_nonnull(strstr(world_message(world), "point 0: the schedule of 0 choices"));
    world_destroy(world);
    world_schedule_free(schedule);
}
END_TEST

START_TEST(keys_are_checked) {
    struct world_schedule *schedule = world_schedule_new();
    ck_assert_int_ne(world_schedule_key(schedule, "", "x"), 0);
    ck_assert_int_ne(world_schedule_key(schedule, "Route", "x"), 0);
    ck_assert_int_ne(world_schedule_key(schedule, "two words", "x"), 0);
    ck_assert_int_ne(world_schedule_key(schedule, "choices", "7"), 0);
    ck_assert_int_ne(world_schedule_key(schedule, "end", "7"), 0);
    ck_assert_int_ne(world_schedule_key(schedule, "route", "a\nb"), 0);
    world_schedule_free(schedule);
}
END_TEST

// ---------------------------------------------------------------- files

static char *read_bytes(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    char *text = malloc(1 << 20);
    *bytes = fread(text, 1, 1 << 20, file);
    fclose(file);
    return text;
}

static void write_bytes(const char *path, const char *text, size_t bytes) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, bytes, file), bytes);
    fclose(file);
}

static void check_refused(const char *path, const char *reason) {
    message[0] = 0;
    ck_assert_ptr_null(world_schedule_read(path, message, sizeof message));
    ck_assert_msg(strncmp(message, path, strlen(path)) == 0, "%s", message);
    ck_assert_msg(strstr(message, reason) != NULL, "%s", message);
    ck_assert_ptr_null(strchr(message, '\n'));
}

static void check_text_refused(const char *text, const char *reason) {
    write_bytes("bad.hks", text, strlen(text));
    check_refused("bad.hks", reason);
}

START_TEST(foreign_files_are_refused) {
    check_refused("missing.hks", "No such file");
    check_text_refused("", "line 1: expected 'hak schedule 1'");
    check_text_refused("ELF and so on\n", "line 1: expected 'hak schedule 1'");
    check_text_refused("hak schedule 2\nchoices 0\nend 0\n", "version '2'");
    check_text_refused("hak schedule 1\nroute\n", "line 2: expected 'key value'");
    check_text_refused("hak schedule 1\nROUTE x\n", "line 2: expected a key");
    check_text_refused("hak schedule 1\nchoices many\n", "line 2: expected 'choices' and a number");
    check_text_refused("hak schedule 1\nchoices 1\n0!nothing\n", "line 3: expected FIBER");
    check_text_refused("hak schedule 1\nchoices 1\n0*0\n", "line 3: expected FIBER");
    check_text_refused("hak schedule 1\nchoices 1\n0*99999999999999999999999\n", "expected FIBER");
    check_text_refused("hak schedule 1\nchoices 1\n0 x\n", "line 3: expected FIBER");
    check_text_refused("hak schedule 1\nchoices 1\n4294967295\n", "line 3: expected FIBER");
    check_text_refused("hak schedule 1\nchoices 1\n0~\n", "line 3: expected FIBER");
    check_text_refused("hak schedule 1\nchoices 1\n0~-1\n", "line 3: expected FIBER");
    check_text_refused("hak schedule 1\nchoices 1\n0~4294967296\n", "line 3: expected FIBER");
    check_text_refused("hak schedule 1\nchoices 1\n0~1!fail\n", "line 3: expected FIBER");
    check_text_refused("hak schedule 1\nchoices 2\n0*2~1\n", "line 3: expected FIBER");
    check_text_refused("hak schedule 1\nchoices 3\n0*2\nend 0123456789abcdef\n",
                       "expected 3 choices, found 2");
    check_text_refused("hak schedule 1\nchoices 2\n0*2\nend 0123456789abcdef\n", "is damaged");
    check_text_refused("hak schedule 1\nchoices 2\n0*2\nend 0123456789abcdef\nmore\n",
                       "expected 'end HASH' as the last line");
}
END_TEST

// With its last line.
static void write_schedule(const char *path, const char *text) {
    char whole[1 << 10];
    int length = snprintf(whole, sizeof whole, "%send %016" PRIx64 "\n", text,
                          (uint64_t)XXH3_64bits(text, strlen(text)));
    ck_assert_uint_lt((size_t)length, sizeof whole);
    write_bytes(path, whole, (size_t)length);
}

static void check_files_equal(const char *one, const char *other) {
    size_t bytes[2];
    char *text[2] = {read_bytes(one, &bytes[0]), read_bytes(other, &bytes[1])};
    ck_assert_uint_eq(bytes[0], bytes[1]);
    ck_assert_mem_eq(text[0], text[1], bytes[0]);
    free(text[0]);
    free(text[1]);
}

static struct world_schedule *read_good(const char *path) {
    struct world_schedule *schedule = world_schedule_read(path, message, sizeof message);
    ck_assert_msg(schedule != NULL, "%s", message);
    return schedule;
}

static void check_copy_is_equal(const char *path, uint64_t choices) {
    struct world_schedule *schedule = read_good(path);
    ck_assert_uint_eq(world_schedule_choices(schedule), choices);
    ck_assert_int_eq(world_schedule_write(schedule, "copy.hks", message, sizeof message), 0);
    check_files_equal(path, "copy.hks");
    world_schedule_free(schedule);
}

// Their hashes stand here, so that no change of reader and writer together goes unseen.
START_TEST(the_text_form_stays_as_it_is) {
    static const char without_ages[] = "hak schedule 1\n"
                                       "route s2\n"
                                       "choices 9\n"
                                       "0 1+5 2!fail 0+7!timeout*3 1!spurious 4294967294*2\n"
                                       "end ff6ea3933fc4b60d\n";
    static const char with_ages[] = "hak schedule 1\n"
                                    "choices 9\n"
                                    "0~1 0~2*3 0 1+5~4294967295 2!fail~1*2 0+7!timeout~3\n"
                                    "end 80456a4934d118c7\n";
    write_bytes("known.hks", without_ages, strlen(without_ages));
    check_copy_is_equal("known.hks", 9);
    write_bytes("known.hks", with_ages, strlen(with_ages));
    check_copy_is_equal("known.hks", 9);
}
END_TEST

START_TEST(an_older_store_diverges) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"hak schedule 1\nchoices 1\n0~1\n", "point 1: fiber 0 is to read a store of age 1"},
        {"hak schedule 1\nchoices 4\n0*3 1~7\n", "point 4: fiber 1 is to read a store of age 7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_schedule("older.hks", cases[i].text);
        struct world_schedule *schedule = read_good("older.hks");
        struct world *world = begin(&world_strategy_schedule, schedule);
        test_exchange_spawn(&exchange);
        ck_assert_uint_eq(world_run(world), WORLD_DIVERGED);
        ck_assert_msg(strstr(world_message(world), cases[i].says) != NULL, "%s",
                      world_message(world));
        world_destroy(world);
        world_schedule_free(schedule);
    }
}
END_TEST

START_TEST(every_cut_is_refused) {
    uint64_t choices;
    write_run("run.hks", &choices);
    size_t bytes;
    char *text = read_bytes("run.hks", &bytes);
    for (size_t cut = 0; cut < bytes; cut += cut < 200 || cut + 60 > bytes ? 1 : 37) {
        write_bytes("cut.hks", text, cut);
        check_refused("cut.hks", "expected");
    }
    free(text);
}
END_TEST

START_TEST(every_flipped_bit_is_refused) {
    uint64_t choices;
    write_run("run.hks", &choices);
    size_t bytes;
    char *text = read_bytes("run.hks", &bytes);
    for (size_t i = 0; i < bytes; i += i < 200 || i + 60 > bytes ? 1 : 23) {
        text[i] ^= (char)(1 << i % 8);
        write_bytes("flip.hks", text, bytes);
        check_refused("flip.hks", "");
        text[i] ^= (char)(1 << i % 8);
    }
    free(text);
}
END_TEST

START_TEST(a_failed_write_loses_nothing) {
    uint64_t choices;
    write_run("run.hks", &choices);
    struct world_schedule *schedule = world_schedule_read("run.hks", message, sizeof message);
    ck_assert_int_ne(world_schedule_write(schedule, "no/such/folder.hks", message, sizeof message),
                     0);
    ck_assert_ptr_nonnull(strstr(message, "no/such/folder.hks: cannot be written: No such"));
    ck_assert_int_ne(world_schedule_write(schedule, ".", message, sizeof message), 0);
    ck_assert_int_eq(world_schedule_write(schedule, "copy.hks", message, sizeof message), 0);
    check_files_equal("run.hks", "copy.hks");
    world_schedule_free(schedule);
}
END_TEST

CHECK_MAIN("world_schedule", a_schedule_from_a_file_is_the_same_run, another_program_diverges,
           a_schedule_that_is_too_short_diverges, keys_are_checked, the_text_form_stays_as_it_is,
           an_older_store_diverges, foreign_files_are_refused, every_cut_is_refused,
           every_flipped_bit_is_refused, a_failed_write_loses_nothing)
