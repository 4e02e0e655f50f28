// haksim_calibrate.c: `haksim calibrate`: this machine as a machine's file.
#include "calibrate_os.h"
#include "haksim.h"
#include "hak_version.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MACHINE_PATH "machine.json"

struct command {
    const char *name, *base, *malloc_path;
    bool quick, help;
    struct haksim_output output;
};

static void print_help(void) {
    puts(
        "Usage: haksim calibrate [OPTIONS]\n"
        "Measure this machine, figure by figure, and write it as a machine's file for --machine.\n"
        "Microbenchmarks only, never a workload that is simulated. Run it with nothing else going\n"
        "on; it takes about half a minute.\n"
        "\n"
        "      --malloc=FILE   libmf2.so, to measure MF2's own instructions (else as --base)\n"
        "      --name=NAME     the machine's name (calibrated)\n"
        "      --base=M        whose figures stand for what cannot be measured "
        "(" SIM_MACHINE_DEFAULT ")\n"
        "      --quick         a few short repeats: for trying it, not for use\n"
        "  -o, --output=FILE   write it there (" MACHINE_PATH ")\n"
        "      --json          print the file instead of the table\n"
        "      --quiet         print nothing but errors\n"
        "      --help          print this help\n"
        "\n"
        "Example:\n"
        "  haksim calibrate --malloc=build/release/lib/libmf2.so -o here.json\n"
        "  haksim run --machine=here.json --workload=mailbox");
}

// Three digits are more than a microbenchmark gives.
static double rounded(double ns) {
    if (!(ns > 0))
        return 0;
    double unit = pow(10, floor(log10(ns)) - 2);
    return round(ns / unit) * unit;
}

static json_t *figure_json(const struct sim_calibrated *figure) {
    json_t *object = json_object();
    json_object_set_new(object, "value", json_real(rounded(figure->value_ns)));
    json_object_set_new(object, "unit", json_string("ns"));
    json_object_set_new(object, "source", json_string(figure->source));
    return object;
}

static json_t *topology_json(const struct sim_topology *topology) {
    json_t *object = json_object();
    json_object_set_new(object, "smt", json_integer(topology->smt));
    if (topology->l3)
        json_object_set_new(object, "l3", json_integer(topology->l3));
    if (topology->socket)
        json_object_set_new(object, "socket", json_integer(topology->socket));
    json_object_set_new(object, "smt_slowdown_permille",
                        json_integer(topology->smt_slowdown_permille));
    json_object_set_new(object, "source",
                        json_string(topology->smt > 1
                                        ? "/sys/devices/system/cpu; slowdown measured here with a "
                                          "loop of adds and multiplies on two siblings"
                                        : "/sys/devices/system/cpu"));
    return object;
}

static json_t *machine_json(const struct command *command,
                            const struct sim_calibration *calibration) {
    char note[512];
    snprintf(note, sizeof note,
             "%s, %u cores as this process has them. Written by haksim calibrate %s (%s)%s. Times "
             "simulated with it are modelled all the same.",
             calibration->processor, calibration->cores, HAK_VERSION, HAK_COMMIT,
             command->quick ? ", --quick: too short to be used" : "");
    json_t *machine = json_object(), *costs = json_object();
    json_object_set_new(machine, "schema", json_string("hak.machine"));
    json_object_set_new(machine, "version", json_integer(1));
    json_object_set_new(machine, "name", json_string(command->name));
    json_object_set_new(machine, "cores", json_integer(calibration->cores));
    json_object_set_new(machine, "note", json_string(note));
    json_object_set_new(machine, "topology", topology_json(&calibration->topology));
#define X(name, meaning) json_object_set_new(costs, #name, figure_json(&calibration->costs.name));
    SIM_COSTS(X)
#undef X
    json_object_set_new(machine, "costs", costs);
    return machine;
}

static void print_figure(const char *name, const struct sim_calibrated *figure) {
    printf("%-18s %12.4g  %s\n", name, rounded(figure->value_ns), figure->source);
}

static void print_table(const struct sim_calibration *calibration) {
    printf("%s, %u cores; groups: siblings %u, cache %u, socket %u (0: all)\n",
           calibration->processor, calibration->cores, calibration->topology.smt,
           calibration->topology.l3, calibration->topology.socket);
    printf("%-18s %12s  %s\n", "cost", "ns", "from");
#define X(name, meaning) print_figure(#name, &calibration->costs.name);
    SIM_COSTS(X)
#undef X
}

static int calibrate(const struct command *command) {
    struct sim_machine base;
    struct sim_calibration calibration;
    char message[512];
    if (sim_machine_load(command->base, &base, message, sizeof message))
        return haksim_fail("%s", message);
    struct sim_calibrate_options options = {
        .malloc_path = command->malloc_path, .base = &base, .quick = command->quick};
    if (sim_calibrate(&options, &calibration, message, sizeof message))
        return haksim_fail("calibrate: %s", message);
    if (!command->output.quiet && !command->output.json)
        print_table(&calibration);
    return haksim_report_write(machine_json(command, &calibration), &command->output, MACHINE_PATH);
}

int haksim_calibrate_command(int argc, char **argv) {
    struct command command = {.name = "calibrated", .base = SIM_MACHINE_DEFAULT};
    const struct haksim_option options[] = {
        {"malloc", 0, HAKSIM_TEXT, &command.malloc_path, 0, 0, NULL},
        {"name", 0, HAKSIM_TEXT, &command.name, 0, 0, NULL},
        {"base", 0, HAKSIM_TEXT, &command.base, 0, 0, NULL},
        {"quick", 0, HAKSIM_FLAG, &command.quick, 0, 0, NULL},
        HAKSIM_OUTPUT_OPTIONS(&command),
    };
    int status =
        haksim_take_options("calibrate", argc, argv, options, sizeof options / sizeof options[0]);
    if (status != HAKSIM_OK)
        return status;
    if (command.help) {
        print_help();
        return HAKSIM_OK;
    }
    if (!*command.name || strlen(command.name) >= 64)
        return haksim_fail("--name: expected 1 to 63 bytes");
    return calibrate(&command);
}
