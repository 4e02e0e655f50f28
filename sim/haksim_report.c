// haksim_report.c: reports of many runs (doc/simulation.md, "Reports"): the facts that each of them
// opens with, and where it goes.
#include "haksim.h"
#include "hak_version.h"

#include <stdio.h>
#include <stdlib.h>

json_t *haksim_report_begin(const char *schema, const struct sim_machine *machine, uint32_t cores) {
    json_t *report = json_object(), *table = json_object(), *where = json_object();
    json_object_set_new(report, "schema", json_string(schema));
    json_object_set_new(report, "version", json_integer(1));
    json_object_set_new(report, "tool", json_string("haksim"));
    json_object_set_new(report, "tool_version", json_string(HAK_VERSION));
    json_object_set_new(report, "commit", json_string(HAK_COMMIT));
    json_object_set_new(report, "sources", json_string(world_source_hash()));
    json_object_set_new(report, "certainty", json_string("modelled"));
    json_object_set_new(table, "name", json_string(machine->name));
    json_object_set_new(table, "hash", json_string(machine->hash));
    json_object_set_new(where, "name", json_string(machine->name));
    json_object_set_new(where, "cores", json_integer(cores ? cores : machine->cores));
    json_object_set_new(where, "cost_table", table);
    json_object_set_new(report, "machine", where);
    return report;
}

json_t *haksim_report_interval(struct sim_interval interval) {
    json_t *object = json_object();
    json_object_set_new(object, "mean", json_real(interval.mean));
    json_object_set_new(object, "low", json_real(interval.low));
    json_object_set_new(object, "high", json_real(interval.high));
    return object;
}

int haksim_report_write(json_t *report, const struct haksim_output *output,
                        const char *default_path) {
    char *text = json_dumps(report, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    json_decref(report);
    if (!text)
        return haksim_fail("out of memory for the report");
    const char *path = output->path ? output->path : default_path;
    const char *why = program_result_write(path, text);
    if (!why && output->json && (puts(text) < 0 || fflush(stdout) != 0))
        why = "standard output";
    free(text);
    return why ? haksim_fail("%s: cannot write: %s", path, why) : HAKSIM_OK;
}
