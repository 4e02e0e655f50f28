// replayer.h: the header of the replayer floor: hakreplay, which plays recorded programs and
// scenarios to MF2 in the controlled world.
//
// Owns: the command line, strategies, scenarios, exploring, playing a failing schedule again.
// Does not know: how MF2, the world or the measures work (world.h, program.h).
//
// Words
//   input      a trace (what hakrec wrote) or a scenario (a small text file, NAME.scn)
//   strategy   who runs at each point, in order dataflow; a row of the table in strategy.c
//   schedule   the choices of one run, NAME.hks
//
// Threads: one, beside the fibers of the world.
// Errors: one line on stderr, and an exit status of enum replay_status.
#ifndef HAK_REPLAYER_H
#define HAK_REPLAYER_H

#include "program.h"
#include "world.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum replay_status {
    REPLAY_OK = 0,
    REPLAY_VIOLATION = 1,    // an oracle fired
    REPLAY_USAGE = 2,        // bad options, bad input, no memory
    REPLAY_DIVERGED = 3,     // a schedule did not play as it was recorded
    REPLAY_INTERRUPTED = 130 // as a shell reports SIGINT; what there was has been written
};

#define REPLAY_ROUTES_MAX 64
#define REPLAY_TEXT_MAX   512

// ---------------------------------------------------------------- options.c

// What the command line says. Texts live as long as the command line.
struct replay_options {
    const char *input;
    const char *output; // NULL: a name made from the input's
    struct program_routes routes;
    enum program_order order;
    const char *strategy;
    const char *schedule;                // file, for strategy `schedule`
    const struct mf2_geometry *geometry; // NULL: the input's own
    uint64_t seed;
    uint64_t schedules; // explore: how many
    bool has_order, has_strategy, has_route;
    bool stamps, json, quiet, allow_anomalies, allow_other_sources;
};

struct replay_command {
    const char *name, *usage, *summary;
    const char *letters; // short forms of the options that it takes, see options.c
    int (*run)(struct replay_options *options);
};

// False: *status is what to exit with (help was printed, or the line is wrong and was refused).
// In any case the caller frees options->routes.
bool replay_options_parse(const struct replay_command *command, int argc, char **argv,
                          struct replay_options *options, int *status);
void replay_print_options(const char *letters);

// Puts these routes in the place of those that the options have; false: refused.
bool replay_routes_parse(const char *text, struct replay_options *options);

// ---------------------------------------------------------------- hakreplay.c

// "hakreplay: ..." on stderr; returns REPLAY_USAGE.
int replay_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---------------------------------------------------------------- setup.c: inputs and worlds

struct replay_input {
    struct program_source *source;
    struct replay_scenario *scenario; // NULL for a trace
    const struct mf2_geometry *geometry;
    char name[256]; // base name without .zst or .scn
};

// The input named by path, or, with `text`, the scenario of that text. On failure prints a line.
bool replay_input_open(struct replay_input *input, const char *path, const char *text,
                       const struct mf2_geometry *geometry, bool allow_anomalies);
void replay_input_close(struct replay_input *input);
// Where the command line names no route, the scenario's counts, if it names one.
void replay_input_settle_route(const struct replay_input *input, struct replay_options *options);

// A world for that input under that route; NULL with a line printed. strategy NULL: strict.
struct world *replay_world_create(const struct replay_input *input, const char *route,
                                  const struct world_strategy *strategy, void *strategy_self,
                                  uint64_t seed, uint64_t point_limit);

// ---------------------------------------------------------------- strategy.c

// A strategy's state. One for all, so that a row of the table is two functions and no more.
struct replay_strategist {
    uint64_t random;           // state of the generator
    uint64_t *next_operations; // by fiber; filled in by the run (program.h)
    uint32_t fiber_limit;
};

struct replay_strategy {
    const char *meaning;
    struct world_strategy strategy; // self is a struct replay_strategist
};
extern const struct replay_strategy replay_strategies[];
extern const size_t replay_strategy_count;
// NULL if there is none of that name.
const struct replay_strategy *replay_strategy_find(const char *name);

bool replay_strategist_init(struct replay_strategist *strategist, uint32_t fiber_limit);
void replay_strategist_free(struct replay_strategist *strategist);

// ---------------------------------------------------------------- scenario.c

struct replay_scenario;
// NULL with one line, which names file and line number, in message.
struct replay_scenario *replay_scenario_parse(const char *name, const char *text, char *message,
                                              size_t message_size);
void replay_scenario_free(struct replay_scenario *scenario);
// Its operations in recorded order, as a source; NULL: no memory. The caller closes it.
struct program_source *replay_scenario_source(const struct replay_scenario *scenario);
const char *replay_scenario_geometry(const struct replay_scenario *scenario);
const char *replay_scenario_route(const struct replay_scenario *scenario);
const char *replay_scenario_thread(const struct replay_scenario *scenario, uint32_t thread);
// The text on one line, as a schedule file keeps it.
const char *replay_scenario_line(const struct replay_scenario *scenario);

// ---------------------------------------------------------------- the commands

int replay_command_replay(struct replay_options *options);  // replay.c
int replay_command_explore(struct replay_options *options); // explore.c
int replay_command_repro(struct replay_options *options);   // repro.c

// ---------------------------------------------------------------- comparison.c

struct replay_comparison_row {
    const char *route;
    struct program_measures measures;
    uint64_t digest;
};
// One row a route, on stdout.
void replay_comparison_print(const struct replay_comparison_row *rows, size_t count);

// ---------------------------------------------------------------- timeline.c

// Remembers the last accesses of a run: a strategy around another.
#define REPLAY_TIMELINE_POINTS 40
struct replay_timeline_entry {
    const struct mf2_site *site;
    uint64_t number, offset;
    struct program_operation operation; // at a point between operations: the one that is begun
    bool has_operation;
    uint32_t fiber;
};
struct replay_timeline {
    const struct world_strategy *inner;
    void *inner_self;
    uint64_t count; // of all accesses; the last ones are kept
    struct replay_timeline_entry entries[REPLAY_TIMELINE_POINTS];
};
extern const struct world_strategy replay_timeline_strategy; // self is a struct replay_timeline
// For program_options.on_operation; self is a struct replay_timeline.
void replay_timeline_note(void *self, struct world *world,
                          const struct program_operation *operation);
// One column a fiber, one line an access, on stdout.
void replay_timeline_print(const struct replay_timeline *timeline, const struct world *world);

#endif
