// repro.c: `hakreplay repro FAIL.hks`: plays one failing schedule and shows its end. The file says
// what it belongs to: scenario (whole) or trace (by hash), route, geometry, MF2's sources.
#include "replayer.h"

#include "replayer_os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct repro {
    const struct replay_options *options;
    struct world_schedule *schedule;
    struct replay_input input;
    struct replay_strategist strategist;
    struct replay_timeline timeline;
    struct world *world;
};

static const char *value(const struct repro *repro, const char *key) {
    const char *text = world_schedule_value(repro->schedule, key);
    return text == NULL ? "" : text;
}

// ---------------------------------------------------------------- what it belongs to

static bool check_sources(const struct repro *repro) {
    const char *theirs = value(repro, "sources"), *ours = world_source_hash();
    if (strcmp(theirs, ours) == 0)
        return true;
    if (!repro->options->allow_other_sources) {
        replay_fail("%s: made from MF2 sources %s, this build from %s: check that version out, or "
                    "try --allow-other-sources",
                    repro->options->input, theirs, ours);
        return false;
    }
    fprintf(stderr, "hakreplay: %s: made from other MF2 sources: it may diverge\n",
            repro->options->input);
    return true;
}

static bool check_trace(const struct repro *repro) {
    const char *wanted = value(repro, "trace");
    const char *found = repro->input.source->trace.hash;
    if (repro->input.scenario != NULL || strcmp(wanted, found) == 0)
        return true;
    replay_fail("%s: belongs to a trace with hash %s, but %s has %s", repro->options->input, wanted,
                value(repro, "input"), found);
    return false;
}

static bool open_input(struct repro *repro) {
    const char *name = value(repro, "geometry"), *path = value(repro, "input");
    const struct mf2_geometry *geometry = mf2_geometry_find(name);
    bool ends = strtoull(value(repro, "point-limit"), NULL, 10) > 0;
    if (geometry == NULL || path[0] == '\0' || value(repro, "route")[0] == '\0' || !ends) {
        replay_fail("%s: expected the keys input, geometry, route and point-limit, as hakreplay "
                    "explore writes them",
                    repro->options->input);
        return false;
    }
    const char *scenario = world_schedule_value(repro->schedule, "scenario");
    return replay_input_open(&repro->input, path, scenario, geometry,
                             repro->options->allow_anomalies) &&
           check_trace(repro);
}

static bool prepare(struct repro *repro) {
    char message[REPLAY_TEXT_MAX];
    repro->schedule = world_schedule_read(repro->options->input, message, sizeof message);
    if (repro->schedule == NULL) {
        replay_fail("%s", message);
        return false;
    }
    if (!check_sources(repro) || !open_input(repro))
        return false;
    if (!replay_strategist_init(&repro->strategist, NULL, repro->input.source->threads + 1)) {
        replay_fail("%s: out of memory", repro->options->input);
        return false;
    }
    repro->timeline.step = repro->options->step;
    repro->timeline.inner = &world_strategy_schedule;
    repro->timeline.inner_self = repro->schedule;
    repro->world = replay_world_create(
        &repro->input, value(repro, "route"), replay_memory_of(value(repro, "memory")),
        &replay_timeline_strategy, &repro->timeline, strtoull(value(repro, "seed"), NULL, 10),
        strtoull(value(repro, "point-limit"), NULL, 10));
    if (repro->world == NULL)
        return false;
    world_snapshot(repro->world);
    world_reset(repro->world, strtoull(value(repro, "seed"), NULL, 10));
    return true;
}

// ---------------------------------------------------------------- what comes of it

static bool is_the_recorded_one(const struct repro *repro, const struct world_violation *found,
                                uint64_t digest) {
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, digest);
    return strcmp(value(repro, "oracle"), world_oracle_name(found->oracle)) == 0 &&
           strtoull(value(repro, "point"), NULL, 10) == found->point &&
           strcmp(value(repro, "digest"), text) == 0;
}

static void print_threads(const struct repro *repro) {
    if (repro->input.scenario == NULL)
        return;
    printf("threads of the program:");
    for (uint32_t i = 0; i < repro->input.source->threads; i++)
        printf(" %u %s", i, replay_scenario_thread(repro->input.scenario, i));
    printf("\n");
}

static void print_violation(const struct repro *repro, const struct world_violation *violation) {
    printf("%s: route %s, geometry %s\n", repro->options->input, value(repro, "route"),
           value(repro, "geometry"));
    printf("violation: %s: %s\n", world_oracle_name(violation->oracle), violation->text);
    if (violation->fiber == WORLD_NO_FIBER)
        printf("  seen at rest");
    else
        printf("  by fiber %u", violation->fiber);
    printf(", point %" PRIu64 ", operation %" PRIu64 "\n", violation->point, violation->operation);
    if (repro->options->quiet)
        return;
    print_threads(repro);
    replay_timeline_print(&repro->timeline, repro->world);
}

static int judge(const struct repro *repro, enum world_end end, uint64_t digest) {
    const struct world_violation *violation = world_violation(repro->world);
    if (end == WORLD_DIVERGED || violation == NULL) {
        replay_fail("%s: did not play as recorded: expected %s at point %s, found: %s %s",
                    repro->options->input, value(repro, "oracle"), value(repro, "point"),
                    world_end_name(end), world_message(repro->world));
        return REPLAY_DIVERGED;
    }
    print_violation(repro, violation);
    if (is_the_recorded_one(repro, violation, digest))
        return REPLAY_VIOLATION;
    replay_fail("%s: did not play as recorded: expected %s at point %s and digest %s",
                repro->options->input, value(repro, "oracle"), value(repro, "point"),
                value(repro, "digest"));
    return REPLAY_DIVERGED;
}

static int play(struct repro *repro) {
    struct program_result *result;
    struct program_options run_options = {.order = replay_order_of(value(repro, "order")),
                                          .strategy_name = "schedule",
                                          .stamps = true,
                                          .brief = true,
                                          .clock_follows_trace = true,
                                          .rests = repro->input.scenario != NULL,
                                          .on_operation = replay_timeline_note,
                                          .on_operation_self = &repro->timeline,
                                          .next_operations = repro->strategist.next_operations};
    enum world_end end = program_run(repro->world, repro->input.source, &run_options, &result);
    if (result == NULL)
        return replay_fail("%s", repro->input.source->message);
    int status = judge(repro, end, program_result_digest(result));
    program_result_free(result);
    return status;
}

// world_violate stands where an oracle fires, on the stack of the fiber that is at fault.
static int debug(const struct replay_options *options) {
    char step[48];
    bool at_step = options->step != UINT64_MAX;
    snprintf(step, sizeof step, "--step=%" PRIu64, options->step);
    const char *words[] = {"repro", options->input, "--allow-other-sources", at_step ? step : NULL,
                           NULL};
    const char *why = replay_os_debug(at_step ? "replay_step_reached" : "world_violate", words);
    return replay_fail("gdb cannot be run: %s", why);
}

int replay_command_repro(struct replay_options *options) {
    if (options->gdb)
        return debug(options);
    struct repro repro = {.options = options};
    int status = prepare(&repro) ? play(&repro) : REPLAY_USAGE;
    world_destroy(repro.world);
    replay_strategist_free(&repro.strategist);
    replay_input_close(&repro.input);
    world_schedule_free(repro.schedule);
    return status;
}
