// machine_table.c: a machine's data file: its figures, each with unit and source.
//
// Owns the file's form (doc/simulation.md) and the machines that are built in. Refuses a file in
// which a figure is missing, unknown, negative or without its source: a forgotten figure would
// silently make something free.
#include "machine_files.h"
#include "nearest.h"
#include "sim.h"
#include "sim_os.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MACHINE_SCHEMA  "hak.machine"
#define MACHINE_VERSION 1
#define COST_NS_MAX     1e9
#define NAMED_MAX       32

static const char *const cost_names[] = {
#define X(name, meaning) #name,
    SIM_COSTS(X)
#undef X
};
#define COST_COUNT (sizeof cost_names / sizeof cost_names[0])
_Static_assert(sizeof(struct sim_costs) == COST_COUNT * sizeof(uint64_t), "one row, one field");

// Where errors go, and which file they are about.
struct report {
    const char *file;
    char *message;
    size_t message_size;
};

__attribute__((format(printf, 2, 3))) static int fail(const struct report *report,
                                                      const char *format, ...) {
    int used = snprintf(report->message, report->message_size, "%s: ", report->file);
    if (used < 0 || (size_t)used >= report->message_size)
        return -1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->message + used, report->message_size - (size_t)used, format, arguments);
    va_end(arguments);
    return -1;
}

static int refuse_unknown_keys(json_t *object, const char *where, const char *const *known,
                               size_t known_count, const struct report *report) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        size_t i = 0;
        while (i < known_count && strcmp(key, known[i]) != 0)
            i++;
        if (i == known_count)
            return fail(report, "%s: unknown key '%s'", where, key);
    }
    return 0;
}

// {"value": 3.5, "unit": "ns", "source": "..."}
static int read_figure(json_t *costs, const char *name, uint64_t *figure_ps,
                       const struct report *report) {
    static const char *const known[] = {"value", "unit", "source"};
    json_t *figure = json_object_get(costs, name);
    if (!json_is_object(figure))
        return fail(report, "costs: expected '%s' as an object with value, unit and source", name);
    if (refuse_unknown_keys(figure, name, known, 3, report))
        return -1;
    json_t *value = json_object_get(figure, "value");
    if (!json_is_number(value) || !(json_number_value(value) >= 0) ||
        json_number_value(value) > COST_NS_MAX)
        return fail(report, "costs: '%s': expected a value from 0 to 1e9", name);
    const char *unit = json_string_value(json_object_get(figure, "unit"));
    if (!unit || strcmp(unit, "ns") != 0)
        return fail(report, "costs: '%s': expected the unit \"ns\"", name);
    const char *source = json_string_value(json_object_get(figure, "source"));
    if (!source || !*source)
        return fail(report, "costs: '%s': expected its source as a text", name);
    *figure_ps = (uint64_t)llround(json_number_value(value) * SIM_PS_PER_NS);
    return 0;
}

static int read_costs(json_t *root, struct sim_costs *costs, const struct report *report) {
    json_t *table = json_object_get(root, "costs");
    if (!json_is_object(table))
        return fail(report, "expected 'costs' as an object");
    if (refuse_unknown_keys(table, "costs", cost_names, COST_COUNT, report))
        return -1;
    uint64_t figures[COST_COUNT];
    for (size_t i = 0; i < COST_COUNT; i++)
        if (read_figure(table, cost_names[i], &figures[i], report))
            return -1;
    memcpy(costs, figures, sizeof *costs);
    // With slices of no length every core would only switch; with accesses that cost nothing a
    // fiber that waits for another one's progress would never let time pass.
    if (costs->time_slice_ps == 0)
        return fail(report, "costs: 'time_slice': expected more than 0");
    if (costs->pause_ps == 0)
        return fail(report, "costs: 'pause': expected more than 0");
    return 0;
}

static int read_identity(json_t *root, struct sim_machine *machine, const struct report *report) {
    const char *schema = json_string_value(json_object_get(root, "schema"));
    if (!schema || strcmp(schema, MACHINE_SCHEMA) != 0)
        return fail(report, "expected the schema \"" MACHINE_SCHEMA "\"");
    json_t *version = json_object_get(root, "version");
    if (!json_is_integer(version) || json_integer_value(version) != MACHINE_VERSION)
        return fail(report, "expected version %d", MACHINE_VERSION);
    const char *name = json_string_value(json_object_get(root, "name"));
    if (!name || !*name || strlen(name) >= sizeof machine->name)
        return fail(report, "expected a name of 1 to %zu bytes", sizeof machine->name - 1);
    strcpy(machine->name, name);
    json_t *cores = json_object_get(root, "cores");
    if (!json_is_integer(cores) || json_integer_value(cores) < 1 ||
        json_integer_value(cores) > SIM_CORE_LIMIT)
        return fail(report, "expected 'cores' from 1 to %u", SIM_CORE_LIMIT);
    machine->cores = (uint32_t)json_integer_value(cores);
    return 0;
}

// A number of the topology; `absent` where it is not given.
static int read_group(json_t *topology, const char *name, uint32_t least, uint32_t most,
                      uint32_t absent, uint32_t *group, const struct report *report) {
    json_t *value = json_object_get(topology, name);
    *group = absent;
    if (!value)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < least ||
        json_integer_value(value) > most)
        return fail(report, "topology: '%s': expected a number from %u to %u", name, least, most);
    *group = (uint32_t)json_integer_value(value);
    return 0;
}

static int read_topology(json_t *root, struct sim_topology *topology, const struct report *report) {
    static const char *const known[] = {"smt", "l3", "socket", "smt_slowdown_permille", "source"};
    json_t *object = json_object_get(root, "topology");
    *topology = (struct sim_topology){.smt_slowdown_permille = 1000};
    if (!object)
        return 0;
    if (!json_is_object(object))
        return fail(report, "expected 'topology' as an object");
    if (refuse_unknown_keys(object, "topology", known, sizeof known / sizeof known[0], report))
        return -1;
    const char *source = json_string_value(json_object_get(object, "source"));
    if (!source || !*source)
        return fail(report, "topology: expected its source as a text");
    if (read_group(object, "smt", 1, 8, 1, &topology->smt, report) ||
        read_group(object, "l3", 1, SIM_CORE_LIMIT, 0, &topology->l3, report) ||
        read_group(object, "socket", 1, SIM_CORE_LIMIT, 0, &topology->socket, report) ||
        read_group(object, "smt_slowdown_permille", 1000, 10000, 1000,
                   &topology->smt_slowdown_permille, report))
        return -1;
    bool nested = (!topology->l3 || topology->l3 % topology->smt == 0) &&
                  (!topology->socket || !topology->l3 || topology->socket % topology->l3 == 0);
    return nested ? 0
                  : fail(report, "topology: expected whole cores in an L3 group, and whole L3 "
                                 "groups in a socket");
}

static int read_machine(json_t *root, struct sim_machine *machine, const struct report *report) {
    static const char *const known[] = {"schema", "version", "name",    "cores",
                                        "note",   "costs",   "topology"};
    if (!json_is_object(root))
        return fail(report, "expected a JSON object");
    if (refuse_unknown_keys(root, "the machine", known, sizeof known / sizeof known[0], report))
        return -1;
    machine->cost_percent = 100;
    if (read_identity(root, machine, report) || read_topology(root, &machine->topology, report))
        return -1;
    return read_costs(root, &machine->costs, report);
}

static int parse_machine(const char *text, size_t size, struct sim_machine *machine,
                         const struct report *report) {
    json_error_t error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return fail(report, "line %d, offset %d: expected JSON: %s", error.line, error.position,
                    error.text);
    int result = read_machine(root, machine, report);
    json_decref(root);
    snprintf(machine->hash, sizeof machine->hash, "%016llx",
             (unsigned long long)XXH3_64bits(text, size));
    return result;
}

void sim_machine_scale(struct sim_machine *machine, uint32_t percent) {
    uint64_t program_ps = machine->costs.program_ps, time_slice_ps = machine->costs.time_slice_ps;
    uint64_t figures[COST_COUNT];
    memcpy(figures, &machine->costs, sizeof figures);
    for (size_t i = 0; i < COST_COUNT; i++)
        figures[i] = (figures[i] * percent + 50) / 100;
    memcpy(&machine->costs, figures, sizeof figures);
    machine->costs.program_ps = program_ps;
    machine->costs.time_slice_ps = time_slice_ps;
    machine->cost_percent = machine->cost_percent * percent / 100;
}

const char *sim_machine_name(size_t i) {
    return i < sim_machine_file_count ? sim_machine_files[i].name : NULL;
}

static const struct sim_machine_file *built_in(const char *name) {
    for (size_t i = 0; i < sim_machine_file_count; i++)
        if (strcmp(name, sim_machine_files[i].name) == 0)
            return &sim_machine_files[i];
    return NULL;
}

static int load_file(const char *path, struct sim_machine *machine, const struct report *report) {
    size_t size;
    char *text = sim_os_read_file(path, &size, report->message, report->message_size);
    if (!text)
        return -1;
    int result = parse_machine(text, size, machine, report);
    free(text);
    return result;
}

int sim_machine_load(const char *name_or_path, struct sim_machine *machine, char *message,
                     size_t message_size) {
    struct report report = {name_or_path, message, message_size};
    *machine = (struct sim_machine){0};
    if (strpbrk(name_or_path, "./"))
        return load_file(name_or_path, machine, &report);
    const struct sim_machine_file *file = built_in(name_or_path);
    if (!file) {
        const char *names[NAMED_MAX];
        char meant[TRACE_MEANT_BYTES];
        size_t count = 0;
        for (; count < NAMED_MAX && sim_machine_name(count); count++)
            names[count] = sim_machine_name(count);
        return fail(&report,
                    "no such machine; expected one of those in --help, or a file "
                    "(with a '.' or '/' in its name)%s",
                    trace_meant(meant, "", name_or_path, names, count));
    }
    return parse_machine(file->text, file->size, machine, &report);
}
