// test_program_routes.c: which words of --route= belong to which route, what is refused, and that
// the result of several routes holds theirs unchanged.
#include "program.h"

#include "check_main.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The routes' texts, one after the other: "cda|s2,orphans=strand|".
static const char *routes_of(const char *text) {
    static char out[8192];
    char message[256] = "";
    struct program_routes routes;
    ck_assert_msg(program_routes_parse(text, &routes, message, sizeof message), "%s", message);
    ck_assert_ptr_null(routes.refused);
    out[0] = '\0';
    for (size_t i = 0; i < routes.count; i++) {
        struct mf2_route alone;
        ck_assert(mf2_route_parse(routes.list[i].text, &alone, message, sizeof message));
        ck_assert_mem_eq(&alone, &routes.list[i].route, sizeof alone);
        strcat(strcat(out, routes.list[i].text), "|");
    }
    program_routes_free(&routes);
    ck_assert_uint_eq(routes.count, 0);
    return out;
}

// Refused because of that route, or, with NULL, because of the list.
static void refused(const char *text, const char *route, const char *expected) {
    char message[256] = "";
    struct program_routes routes;
    ck_assert_msg(!program_routes_parse(text, &routes, message, sizeof message), "%s", text);
    ck_assert_int_eq(routes.refused == NULL, route == NULL);
    if (route != NULL)
        ck_assert_str_eq(routes.refused->text, route);
    ck_assert_msg(strstr(message, expected) != NULL, "expected \"%s\" in \"%s\"", expected,
                  message);
    ck_assert_ptr_null(strchr(message, '\n'));
    program_routes_free(&routes);
}

START_TEST(an_override_belongs_to_the_name_before_it) {
    ck_assert_str_eq(routes_of("best"), "best|");
    ck_assert_str_eq(routes_of("cda,s2,orphans=strand,notify=3,best"),
                     "cda|s2,orphans=strand,notify=3|best|");
    ck_assert_str_eq(routes_of("cda,cda"), "cda|cda|");
}
END_TEST

START_TEST(all_is_every_preset_and_what_follows_belongs_to_each) {
    char expected[8192] = "s1|";
    for (size_t i = 0; i < mf2_route_preset_count; i++)
        strcat(strcat(expected, mf2_route_presets[i].name), ",orphans=strand|");
    strcat(expected, "s2,orphans=adopt|");
    ck_assert_str_eq(routes_of("s1,all,orphans=strand,s2,orphans=adopt"), expected);
}
END_TEST

START_TEST(there_may_be_any_number) {
    char text[4 * 200 + 1] = "cda", expected[4 * 200 + 1] = "cda|";
    for (int i = 1; i < 200; i++) {
        strcat(text, ",cda");
        strcat(expected, "cda|");
    }
    ck_assert_str_eq(routes_of(text), expected);
}
END_TEST

START_TEST(what_is_no_route_is_named) {
    refused("", "", "unknown route");
    refused("cda,,best", "", "unknown route");
    refused("best,cdb,s1", "cdb", "cda");
    refused("orphans=strand", "orphans=strand", "unknown route");
    refused("cda,s2,orphans=eat,best", "s2,orphans=eat", "strand|adopt|reclaim");
}
END_TEST

START_TEST(a_text_that_is_too_long_is_refused) {
    char text[PROGRAM_ROUTE_TEXT_MAX + 1];
    memset(text, 'x', PROGRAM_ROUTE_TEXT_MAX);
    text[PROGRAM_ROUTE_TEXT_MAX] = '\0';
    refused(text, NULL, "at most 255 characters");
    refused(text + 1, text + 1, "unknown route"); // 255: too long for no preset, but no preset
    char overrides[PROGRAM_ROUTE_TEXT_MAX + 16] = "s2";
    while (strlen(overrides) + strlen(",notify=2") < PROGRAM_ROUTE_TEXT_MAX)
        strcat(overrides, ",notify=2");
    ck_assert_uint_eq(strlen(routes_of(overrides)), strlen(overrides) + 1);
    strcat(overrides, ",notify=2");
    refused(overrides, NULL, "at most 255 characters");
}
END_TEST

START_TEST(several_runs_stand_in_one_object_unchanged) {
    char first[] = "{\"route\":\"cda\",\"x\":0.123456789}", second[] = "{\"route\":\"s2\"}";
    char *runs[] = {first, second};
    char *text = program_runs_json("a tool", NULL, runs, 2);
    ck_assert_ptr_nonnull(strstr(text,
                                 ",\"trace\":null,\"runs\":["
                                 "{\"route\":\"cda\",\"x\":0.123456789},{\"route\":\"s2\"}]}"));
    json_t *read = json_loads(text, 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(read, "schema")), "hak.runs");
    ck_assert_int_eq(json_integer_value(json_object_get(read, "version")), 1);
    ck_assert_str_eq(json_string_value(json_object_get(read, "tool")), "a tool");
    ck_assert_uint_eq(json_object_size(read), 7);
    json_decref(read);
    free(text);
}
END_TEST

START_TEST(a_result_is_written_with_a_line_end) {
    char line[64] = "";
    ck_assert_ptr_null(program_result_write("result.json", "{\"a\":1}"));
    FILE *file = fopen("result.json", "r");
    ck_assert_uint_eq(fread(line, 1, sizeof line - 1, file), 8);
    fclose(file);
    ck_assert_str_eq(line, "{\"a\":1}\n");
    ck_assert_ptr_nonnull(strstr(program_result_write(".", "{}"), "directory"));
}
END_TEST

CHECK_MAIN("program_routes", an_override_belongs_to_the_name_before_it,
           all_is_every_preset_and_what_follows_belongs_to_each, there_may_be_any_number,
           what_is_no_route_is_named, a_text_that_is_too_long_is_refused,
           several_runs_stand_in_one_object_unchanged, a_result_is_written_with_a_line_end)
