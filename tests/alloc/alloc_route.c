// Routes as text: presets, overrides, refusals. And the one table of counters.
#include "mf2.h"

#include "check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mf2_route parsed(const char *text) {
    struct mf2_route route;
    char message[200] = "";
    ck_assert_msg(mf2_route_parse(text, &route, message, sizeof message), "%s: %s", text, message);
    return route;
}

static void refused(const char *text, const char *expected) {
    struct mf2_route route;
    char message[200] = "";
    ck_assert_msg(!mf2_route_parse(text, &route, message, sizeof message), "%s parsed", text);
    ck_assert_msg(strstr(message, expected) != NULL, "%s: '%s' lacks '%s'", text, message,
                  expected);
    ck_assert(strchr(message, '\n') == NULL);
}

START_TEST(every_preset_parses_to_itself) {
    for (size_t i = 0; i < mf2_route_preset_count; i++) {
        struct mf2_route route = parsed(mf2_route_presets[i].name);
        ck_assert(memcmp(&route, &mf2_route_presets[i].route, sizeof route) == 0);
    }
}
END_TEST

START_TEST(presets_are_the_seeds) {
    ck_assert_uint_eq(parsed("cda").notify, 1);
    ck_assert_uint_eq(parsed("cda").claim, 0);
    ck_assert_uint_eq(parsed("cda-claim").claim, 1);
    ck_assert_uint_eq(parsed("cda-t2").notify, 2);
    ck_assert_uint_eq(parsed("cda-t4").notify, 4);
    ck_assert_uint_eq(parsed("cda-reenqueue").reenqueue, 1);
    ck_assert_uint_eq(parsed("s1").drain, MF2_DRAIN_OWNER);
    ck_assert_uint_eq(parsed("s1").budget, 4);
    ck_assert_uint_eq(parsed("s1").partial, 0);
    ck_assert_uint_eq(parsed("s2").partial, 1);
    ck_assert_uint_eq(parsed("s3").helper, 1);
    ck_assert_uint_eq(parsed("p").rfr_ns, 200000);
    ck_assert_uint_eq(parsed("p").idle_ns, 150000);
    ck_assert_uint_eq(parsed("p").gate_pressure, 4);
    ck_assert_uint_eq(parsed("p").gate_remotes, 8);
}
END_TEST

// Each switch, set to each of its values by name, prints that value again.
START_TEST(every_switch_takes_every_value) {
    struct mf2_route route = parsed("best");
    char value[64];
    const char *name;
    for (size_t i = 0; (name = mf2_route_switch(&route, i, value, sizeof value)); i++) {
        ck_assert_ptr_nonnull(mf2_route_switch_meaning(i));
        const char *values = mf2_route_switch_values(i);
        if (!strchr(values, '|'))
            continue;
        for (const char *at = values; *at; at += strcspn(at, "|") + (at[strcspn(at, "|")] != 0)) {
            char text[160], message[200], found[64];
            snprintf(text, sizeof text, "cda,%s=%.*s", name, (int)strcspn(at, "|"), at);
            struct mf2_route other;
            if (!mf2_route_parse(text, &other, message, sizeof message)) {
                ck_assert_msg(strstr(message, "need") || strstr(message, "means nothing") ||
                                  strstr(message, "mean something"),
                              "%s: %s", text, message);
                continue; // refused for its meaning, not its form
            }
            mf2_route_switch(&other, i, found, sizeof found);
            ck_assert_uint_eq(strlen(found), strcspn(at, "|"));
            ck_assert(memcmp(found, at, strlen(found)) == 0);
        }
    }
    ck_assert_uint_eq(parsed("s2,budget=9").budget, 9);
    ck_assert_uint_eq(parsed("p,rfr_ns=12345").rfr_ns, 12345);
    ck_assert_uint_eq(parsed("s2,orphans=strand,empty=unmap").empty, MF2_EMPTY_UNMAP);
}
END_TEST

START_TEST(nonsense_is_refused_in_one_line) {
    refused("cdb", "did you mean 'cda'");
    refused("", "unknown route");
    refused("s2,orphan=strand", "did you mean 'orphans'");
    refused("s2,orphans=keep", "strand|adopt|reclaim");
    refused("s2,budget=0", "from 1 to 65535");
    refused("s2,budget=", "from 1 to 65535");
    refused("s2,budget=99999999999999999999999", "from 1 to 65535");
    refused("s2,budget", "switch=value");
    refused("s2,", "switch=value");
    refused("best,claim=off", "protocol=word");
    refused("best,reenqueue=on", "protocol=word");
    refused("s2,rfr_ns=5", "drain=gated");
    refused("s1,orphans=reclaim", "partial=on");
    refused("s1,full_free=partial", "partial=on");
    refused("s2,must_reuse=off", "drain=anyone");
    refused("p,scan=all", "scan=mask");
}
END_TEST

START_TEST(counters_have_names_units_and_meanings) {
    for (size_t i = 0; i < MF2_COUNTER_COUNT; i++) {
        ck_assert_ptr_nonnull(mf2_counter_table[i].name);
        ck_assert(mf2_counter_table[i].unit[0] != '\0');
        ck_assert(mf2_counter_table[i].meaning[0] != '\0');
    }
    ck_assert_str_eq(mf2_counter_table[offsetof(struct mf2_counters, mustreuse_hit) / 8].name,
                     "mustreuse_hit");
}
END_TEST

CHECK_MAIN("alloc_route", every_preset_parses_to_itself, presets_are_the_seeds,
           every_switch_takes_every_value, nonsense_is_refused_in_one_line,
           counters_have_names_units_and_meanings)
