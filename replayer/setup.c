// setup.c: inputs and the worlds that they are played in. Owns how large a world is for an input;
// everything that a schedule or digest depends on follows from input, route and geometry alone.
#include "replayer.h"

#include "replayer_os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES_MIN (UINT64_C(16) << 30)
#define ARENA_BYTES_MAX (UINT64_C(64) << 30)
#define ARENA_HEADROOM  16 // times the most live bytes: policies strand pages, orders pile blocks up

// ---------------------------------------------------------------- inputs

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

static void set_name(struct replay_input *input, const char *path) {
    const char *slash = strrchr(path, '/');
    snprintf(input->name, sizeof input->name, "%s", slash == NULL ? path : slash + 1);
    if (ends_with(input->name, ".zst") || ends_with(input->name, ".scn"))
        input->name[strlen(input->name) - 4] = '\0';
}

static bool open_scenario(struct replay_input *input, const char *path, const char *text) {
    char message[REPLAY_TEXT_MAX];
    input->scenario = replay_scenario_parse(path, text, message, sizeof message);
    if (input->scenario == NULL) {
        replay_fail("%s", message);
        return false;
    }
    input->geometry = mf2_geometry_find(replay_scenario_geometry(input->scenario));
    input->source = replay_scenario_source(input->scenario);
    if (input->source == NULL)
        replay_fail("%s: out of memory", path);
    return input->source != NULL;
}

static bool read_scenario(struct replay_input *input, const char *path) {
    char message[REPLAY_TEXT_MAX];
    size_t size;
    char *text = replay_os_read_file(path, &size, message, sizeof message);
    if (text == NULL || strlen(text) != size) {
        replay_fail("%s", text == NULL ? message : "a scenario holds a zero byte: expected text");
        free(text);
        return false;
    }
    bool opened = open_scenario(input, path, text);
    free(text);
    return opened;
}

static bool open_trace(struct replay_input *input, const char *path, bool allow_anomalies) {
    char message[REPLAY_TEXT_MAX];
    input->source = program_open_trace(path, allow_anomalies, message, sizeof message);
    input->geometry = mf2_geometry_find("default");
    if (input->source == NULL)
        replay_fail("%s", message);
    return input->source != NULL;
}

bool replay_input_from_text(struct replay_input *input, const char *name, const char *text,
                            const struct mf2_geometry *geometry) {
    char message[REPLAY_TEXT_MAX];
    *input = (struct replay_input){.geometry = geometry};
    snprintf(input->name, sizeof input->name, "%s", name);
    input->scenario = replay_scenario_parse(name, text, message, sizeof message);
    if (input->scenario != NULL)
        input->source = replay_scenario_source(input->scenario);
    if (input->source == NULL)
        replay_input_close(input);
    return input->source != NULL;
}

bool replay_input_open(struct replay_input *input, const char *path, const char *text,
                       const struct mf2_geometry *geometry, bool allow_anomalies) {
    *input = (struct replay_input){0};
    set_name(input, path);
    bool opened = text != NULL              ? open_scenario(input, path, text)
                  : ends_with(path, ".scn") ? read_scenario(input, path)
                                            : open_trace(input, path, allow_anomalies);
    if (!opened)
        replay_input_close(input);
    else if (geometry != NULL)
        input->geometry = geometry;
    return opened;
}

void replay_input_close(struct replay_input *input) {
    program_close(input->source);
    replay_scenario_free(input->scenario);
    *input = (struct replay_input){0};
}

void replay_input_settle_route(const struct replay_input *input, struct replay_options *options) {
    const char *route = input->scenario == NULL ? "" : replay_scenario_route(input->scenario);
    if (!options->has_route && route[0] != '\0')
        replay_routes_parse(route, options);
}

// ---------------------------------------------------------------- worlds

static uint64_t round_up_to_power(uint64_t value) {
    uint64_t power = 1;
    while (power < value)
        power *= 2;
    return power;
}

// Of a scenario: room for every block in a page of its own, so that nothing is refused, and no
// more, because a reset copies the metadata. Of a trace: address space is free.
static uint64_t block_bytes_wanted(const struct replay_input *input) {
    uint64_t page_bytes = input->geometry->page_bytes;
    if (input->scenario != NULL)
        return input->source->live_bytes_max + (input->source->operations + 1) * page_bytes;
    uint64_t wanted = round_up_to_power(input->source->live_bytes_max * ARENA_HEADROOM);
    if (wanted < ARENA_BYTES_MIN)
        return ARENA_BYTES_MIN;
    return wanted > ARENA_BYTES_MAX ? ARENA_BYTES_MAX : wanted;
}

static void set_arena_bytes(struct mf2_config *config, uint64_t wanted) {
    uint64_t page_bytes = config->geometry->page_bytes;
    config->arena_bytes = (wanted / page_bytes + 1) * page_bytes;
    for (;;) {
        uint64_t metadata = mf2_metadata_bytes(config);
        if (metadata != 0 && config->arena_bytes - metadata >= wanted)
            return;
        config->arena_bytes += metadata == 0 ? config->arena_bytes : metadata;
    }
}

struct world *replay_world_create(const struct replay_input *input, const char *route,
                                  enum world_memory memory, const struct world_strategy *strategy,
                                  void *strategy_self, uint64_t seed, uint64_t point_limit) {
    char message[REPLAY_TEXT_MAX];
    bool explores = point_limit != 0; // replays have none: they may be very long
    struct world_options options = {.mf2 = {.geometry = input->geometry,
                                            .thread_limit = input->source->threads + 1,
                                            .count_owner_states = true},
                                    .fiber_limit = input->source->threads + 1,
                                    .stack_bytes = 0,
                                    .point_limit = point_limit,
                                    .strategy = strategy,
                                    .strategy_self = strategy_self,
                                    .seed = seed,
                                    .memory = memory,
                                    .oracles_at_points = explores && memory == WORLD_MEMORY_SC};
    if (!mf2_route_parse(route, &options.mf2.route, message, sizeof message)) {
        replay_fail("%s", message);
        return NULL;
    }
    set_arena_bytes(&options.mf2, block_bytes_wanted(input));
    struct world *world = world_create(&options, message, sizeof message);
    if (world == NULL)
        replay_fail("%s", message);
    return world;
}
