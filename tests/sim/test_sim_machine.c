// test_sim_machine.c: a machine's file is taken whole, and refused in one line where a figure is
// missing, unknown, negative, or without unit or source.
#include "sim.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static json_t *root;
static char message[512];

static void setup(void) {
    char path[1024];
    snprintf(path, sizeof path, "%s/sim/machines/desktop.json", getenv("HAK_SOURCE_DIR"));
    root = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(root);
}

static void teardown(void) {
    json_decref(root);
}

static json_t *costs(void) {
    return json_object_get(root, "costs");
}

static json_t *figure(const char *name) {
    return json_object_get(costs(), name);
}

static int load(struct sim_machine *machine) {
    ck_assert_int_eq(json_dump_file(root, "changed.json", 0), 0);
    message[0] = 0;
    return sim_machine_load("changed.json", machine, message, sizeof message);
}

static void refused(const char *expected) {
    struct sim_machine machine;
    ck_assert_int_eq(load(&machine), -1);
    ck_assert_msg(strstr(message, "changed.json") == message, "%s", message);
    ck_assert_msg(strstr(message, expected) != NULL, "%s", message);
    ck_assert_msg(strchr(message, '\n') == NULL, "%s", message);
}

START_TEST(built_in_machine_is_the_file) {
    struct sim_machine machine, again;
    ck_assert_str_eq(sim_machine_name(0), SIM_MACHINE_DEFAULT);
    ck_assert_int_eq(sim_machine_load(SIM_MACHINE_DEFAULT, &machine, message, sizeof message), 0);
    ck_assert_uint_eq(machine.cores, 8);
    ck_assert_uint_eq(machine.costs.line_other_core_ps, 18000);
    ck_assert_uint_eq(strlen(machine.hash), 16);
    ck_assert_int_eq(load(&again), 0);
    ck_assert_mem_eq(&machine.costs, &again.costs, sizeof machine.costs);
    ck_assert_str_ne(machine.hash, again.hash); // written with other spaces: another file
}
END_TEST

START_TEST(fractions_of_a_nanosecond_count) {
    struct sim_machine machine;
    json_object_set_new(figure("fence"), "value", json_real(0.25));
    ck_assert_int_eq(load(&machine), 0);
    ck_assert_uint_eq(machine.costs.fence_ps, 250);
}
END_TEST

START_TEST(missing_figure) {
    json_object_del(costs(), "page_fault");
    refused("'page_fault'");
}
END_TEST

START_TEST(unknown_figure) {
    json_object_set_new(costs(), "page_falut", json_object());
    refused("unknown key 'page_falut'");
}
END_TEST

START_TEST(unknown_key) {
    json_object_set_new(root, "sockets", json_integer(2));
    refused("unknown key 'sockets'");
    json_object_del(root, "sockets");
    json_object_set_new(figure("fence"), "valeu", json_integer(2));
    refused("unknown key 'valeu'");
}
END_TEST

START_TEST(negative_figure) {
    json_object_set_new(figure("fence"), "value", json_integer(-1));
    refused("'fence': expected a value");
    json_object_set_new(figure("fence"), "value", json_string("8"));
    refused("'fence': expected a value");
}
END_TEST

START_TEST(figure_without_unit_or_source) {
    json_object_set_new(figure("fence"), "unit", json_string("us"));
    refused("'fence': expected the unit");
    json_object_set_new(figure("fence"), "unit", json_string("ns"));
    json_object_set_new(figure("fence"), "source", json_string(""));
    refused("'fence': expected its source");
}
END_TEST

START_TEST(figures_that_would_stop_time) {
    json_object_set_new(figure("pause"), "value", json_integer(0));
    refused("'pause': expected more than 0");
}
END_TEST

START_TEST(foreign_and_newer_files) {
    json_object_set_new(root, "version", json_integer(2));
    refused("expected version 1");
    json_object_set_new(root, "schema", json_string("hak.run"));
    refused("expected the schema");
}
END_TEST

START_TEST(cores_out_of_range) {
    json_object_set_new(root, "cores", json_integer(0));
    refused("'cores'");
    json_object_set_new(root, "cores", json_integer(SIM_CORE_LIMIT + 1));
    refused("'cores'");
}
END_TEST

static void set_topology(const char *text) {
    json_t *topology = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(topology);
    json_object_set_new(root, "topology", topology);
}

START_TEST(topology_is_optional_and_checked) {
    struct sim_machine machine;
    ck_assert_int_eq(load(&machine), 0);
    ck_assert_uint_eq(machine.topology.l3, 0);
    ck_assert_uint_eq(machine.topology.smt_slowdown_permille, 1000);
    set_topology("{\"smt\": 2, \"l3\": 8, \"socket\": 16, \"source\": \"here\"}");
    ck_assert_int_eq(load(&machine), 0);
    ck_assert_uint_eq(machine.topology.smt, 2);
    ck_assert_uint_eq(machine.topology.socket, 16);
    set_topology("{\"smt\": 2, \"l3\": 8}");
    refused("topology: expected its source");
    set_topology("{\"smt\": 2, \"l3\": 7, \"source\": \"here\"}");
    refused("topology: expected whole cores");
    set_topology("{\"dies\": 2, \"source\": \"here\"}");
    refused("unknown key 'dies'");
    set_topology("{\"smt\": 0, \"source\": \"here\"}");
    refused("'smt'");
}
END_TEST

START_TEST(every_built_in_machine_loads) {
    struct sim_machine machine;
    size_t count = 0;
    for (; sim_machine_name(count); count++) {
        ck_assert_msg(!sim_machine_load(sim_machine_name(count), &machine, message, sizeof message),
                      "%s", message);
        ck_assert_str_eq(machine.name, sim_machine_name(count));
    }
    ck_assert_uint_ge(count, 4);
}
END_TEST

START_TEST(scaling_leaves_the_program_alone) {
    struct sim_machine machine, twice;
    ck_assert_int_eq(load(&machine), 0);
    twice = machine;
    sim_machine_scale(&twice, 200);
    ck_assert_uint_eq(twice.costs.fence_ps, 2 * machine.costs.fence_ps);
    ck_assert_uint_eq(twice.costs.page_fault_ps, 2 * machine.costs.page_fault_ps);
    ck_assert_uint_eq(twice.costs.program_ps, machine.costs.program_ps);
    ck_assert_uint_eq(twice.costs.time_slice_ps, machine.costs.time_slice_ps);
    ck_assert_uint_eq(twice.cost_percent, 200);
}
END_TEST

START_TEST(no_json) {
    struct sim_machine machine;
    FILE *file = fopen("broken.json", "w");
    fputs("{\"schema\": \"hak.machine\",\n \"version\" 1}", file);
    fclose(file);
    ck_assert_int_eq(sim_machine_load("broken.json", &machine, message, sizeof message), -1);
    ck_assert_msg(strstr(message, "line 2, offset") != NULL, "%s", message);
    ck_assert_int_eq(sim_machine_load("./none", &machine, message, sizeof message), -1);
    ck_assert_int_eq(sim_machine_load(".", &machine, message, sizeof message), -1);
    ck_assert_int_eq(sim_machine_load("none", &machine, message, sizeof message), -1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_machine");
    TCase *cases = tcase_create("machine");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, built_in_machine_is_the_file);
    tcase_add_test(cases, fractions_of_a_nanosecond_count);
    tcase_add_test(cases, missing_figure);
    tcase_add_test(cases, unknown_figure);
    tcase_add_test(cases, unknown_key);
    tcase_add_test(cases, negative_figure);
    tcase_add_test(cases, figure_without_unit_or_source);
    tcase_add_test(cases, figures_that_would_stop_time);
    tcase_add_test(cases, foreign_and_newer_files);
    tcase_add_test(cases, cores_out_of_range);
    tcase_add_test(cases, no_json);
    tcase_add_test(cases, topology_is_optional_and_checked);
    tcase_add_test(cases, every_built_in_machine_loads);
    tcase_add_test(cases, scaling_leaves_the_program_alone);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
