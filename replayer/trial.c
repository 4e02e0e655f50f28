// trial.c: one program in one world, run again and again from the same beginning. What explores and
// what makes failures smaller both stand on it.
//
// A run depends on input, route, strategy and seed, and on the measuring run before the first;
// never on the runs between.
#include "replayer.h"

#include "replayer_os.h"

#include <string.h>

// Far more points than any order needs, as far as the measuring run tells: who passes them all goes
// round in circles.
#define POINT_LIMIT_AT_FIRST 1000000
#define POINT_LIMIT_MIN      10000
#define POINT_LIMIT_TIMES    64

bool replay_trial_open(struct replay_trial *trial, const struct replay_input *input,
                       const char *route, enum world_memory memory,
                       const struct replay_strategy *strategy) {
    *trial = (struct replay_trial){.input = input};
    if (!replay_strategist_init(&trial->strategist, strategy, input->source->threads + 1)) {
        replay_fail("%s: out of memory", input->name);
        return false;
    }
    trial->world =
        replay_world_create(input, route, memory, &replay_explorer, &trial->strategist, 0,
                            POINT_LIMIT_AT_FIRST * (input->source->operations / 1000 + 1));
    if (trial->world == NULL)
        return false;
    world_snapshot(trial->world);
    trial->strategist.older_stores = memory == WORLD_MEMORY_C11;
    trial->run_options =
        (struct program_options){.order = PROGRAM_DATAFLOW,
                                 .strategy_name = strategy->strategy.name,
                                 .stamps = true,
                                 .brief = true,
                                 .clock_follows_trace = true,
                                 .rests = input->scenario != NULL,
                                 .stop = &replay_os_interrupted,
                                 .next_operations = trial->strategist.next_operations};
    return true;
}

void replay_trial_close(struct replay_trial *trial) {
    world_destroy(trial->world);
    replay_strategist_free(&trial->strategist);
}

bool replay_trial_run(struct replay_trial *trial, uint64_t seed, struct world_schedule *recording,
                      struct replay_outcome *outcome) {
    struct program_result *result;
    struct world *world = trial->world;
    *outcome = (struct replay_outcome){.end = WORLD_DONE};
    world_schedule_record(world, recording);
    world_reset(world, seed);
    outcome->end = program_run(world, trial->input->source, &trial->run_options, &result);
    if (result == NULL) {
        replay_fail("%s", trial->input->source->message);
        return false;
    }
    if (outcome->end != WORLD_DONE || recording != NULL)
        outcome->digest = program_result_digest(result);
    outcome->trail = world_trail(world);
    trial->points += world_points(world);
    const struct world_violation *violation = world_violation(world);
    if (violation != NULL)
        outcome->violation = *violation;
    program_result_free(result);
    return true;
}

bool replay_trial_measure(struct replay_trial *trial) {
    struct replay_strategist *strategist = &trial->strategist;
    const struct replay_strategy *chosen = strategist->chosen;
    struct replay_outcome outcome;
    strategist->chosen = replay_strategy_find("recorded");
    strategist->measures = true;
    bool ran = replay_trial_run(trial, 0, NULL, &outcome);
    strategist->measures = false;
    strategist->chosen = chosen;
    trial->points = 0;
    trial->point_limit = POINT_LIMIT_MIN + strategist->run_points * POINT_LIMIT_TIMES;
    world_limit_points(trial->world, trial->point_limit);
    return ran;
}

bool replay_outcome_is_same(const struct replay_outcome *a, const struct replay_outcome *b) {
    return a->end == b->end && a->digest == b->digest && a->trail == b->trail &&
           a->violation.oracle == b->violation.oracle && a->violation.point == b->violation.point;
}
