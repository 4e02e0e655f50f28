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
    uint64_t schedules; // explore: how many at most
    uint64_t budget_ns; // explore: for how long at most; 0: no such limit
    bool has_order, has_strategy, has_route, has_schedules;
    enum world_memory memory; // explore
    bool minimise;            // explore: write the failure made smaller, too
    bool gdb;                 // repro: under gdb, up to a step
    uint64_t step;            // repro: a point's number; UINT64_MAX: where the oracle fired
    bool environment;         // explore: its choices as well
    bool stamps, json, quiet, allow_anomalies, allow_other_sources;
};

struct replay_command {
    const char *name, *usage, *summary;
    const char *example; // lines without the tool's name and end
    const char *letters; // short forms of the options that it takes, see options.c
    int (*run)(struct replay_options *options);
};

// False: *status is what to exit with (help was printed, or the line is wrong and was refused).
// In any case the caller frees options->routes.
bool replay_options_parse(const struct replay_command *command, int argc, char **argv,
                          struct replay_options *options, int *status);
void replay_print_options(const char *letters);

// "strict", "window", "dataflow". What is none of them is dataflow.
const char *replay_order_name(enum program_order order);
enum program_order replay_order_of(const char *name);
// "sc", "c11". What is neither is sc.
const char *replay_memory_name(enum world_memory memory);
enum world_memory replay_memory_of(const char *name);

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

// The scenario of that text, which came from the input of that name; prints nothing.
bool replay_input_from_text(struct replay_input *input, const char *name, const char *text,
                            const struct mf2_geometry *geometry);
// The input named by path, or, with `text`, the scenario of that text. On failure prints a line.
bool replay_input_open(struct replay_input *input, const char *path, const char *text,
                       const struct mf2_geometry *geometry, bool allow_anomalies);
void replay_input_close(struct replay_input *input);
// Where the command line names no route, the scenario's counts, if it names one.
void replay_input_settle_route(const struct replay_input *input, struct replay_options *options);

// A world for that input under that route; NULL with a line printed. strategy NULL: strict.
struct world *replay_world_create(const struct replay_input *input, const char *route,
                                  enum world_memory memory, const struct world_strategy *strategy,
                                  void *strategy_self, uint64_t seed, uint64_t point_limit);

// ---------------------------------------------------------------- strategy.c

#define REPLAY_DEPTH_MAX 8 // of `pct` and `bounded`: places at which a run is turned aside

#define REPLAY_PLACES_MAX 256

// A strategy's state. One for all, so that a row of the table is two functions and no more.
// Fibers' arrays have room for the helper, whose number is fiber_limit.
struct replay_strategist {
    const struct replay_strategy *chosen; // that the command line names
    const struct replay_strategy *plays;  // in this run: `chosen`, or one that it stands for
    uint64_t random;                      // state of the generator
    uint64_t *next_operations;            // by fiber; filled in by the run (program.h)
    uint32_t fiber_limit;
    // What a run is like: measured once, before the first, in recorded order.
    uint64_t run_points;
    uint64_t *fiber_points; // by fiber
    // What the search strategies remember (search.c).
    uint64_t *priority;     // by fiber: pct, pos
    uint64_t *asleep_until; // by fiber: a point's number
    uint64_t *points_left;  // by fiber, as far as run_points tells
    // Places of the measuring run, and how often each fiber touched each.
    uint64_t places[REPLAY_PLACES_MAX];
    uint32_t *place_counts;
    uint32_t place_count;
    uint64_t selected; // of this run: surw
    uint32_t intended; // fiber that comes next there
    uint64_t turns[REPLAY_DEPTH_MAX];
    uint32_t turn_count, next_turn;
    uint64_t lowest; // priority given out last to who shall come last
    bool measures;   // this run fills in run_points and fiber_points
    bool plain;      // this run: nobody but `plays` has a say, and nobody looks on
    // Choices beside threads (environment.c).
    bool environment;                 // may be chosen at all
    bool surprises;                   // are chosen in this run
    bool stands_still;                // whom `plays` chose should rather wait: time may pass
    uint32_t waiter_wakes;            // points, of which one wakes somebody who waits
    bool older_stores;                // memory may show them
    uint32_t stale_once_in;           // loads that may read an older store and draw which
    struct replay_coverage *coverage; // NULL: nobody asks about this run
    struct replay_tree *tree;         // of strategy `exhaustive`; NULL while it measures
    struct replay_guide *guide;       // plays instead of `plays`; NULL: nobody
    struct replay_guide *notes;       // takes this run down; NULL: nobody
};

struct replay_strategy {
    const char *meaning;
    struct world_strategy strategy; // self is a struct replay_strategist
    bool searches;                  // the environment's choices belong to it as well
};
extern const struct replay_strategy replay_strategies[];
extern const size_t replay_strategy_count;
// NULL if there is none of that name.
const struct replay_strategy *replay_strategy_find(const char *name);
// "recorded, round-robin, ...": what a user may name.
const char *replay_strategy_names(void);

// A strategist that plays as `chosen`; with `environment` its choices are explored, too.
bool replay_strategist_init(struct replay_strategist *strategist,
                            const struct replay_strategy *chosen, uint32_t fiber_limit);
void replay_strategist_free(struct replay_strategist *strategist);
// What the world is given: the chosen strategy, the environment's choices, coverage.
extern const struct world_strategy replay_explorer; // self is a struct replay_strategist

// splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
static inline uint64_t replay_random(struct replay_strategist *strategist) {
    uint64_t z = strategist->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}
// Evenly in [0, bound), up to 2^-32.
static inline uint32_t replay_random_below(struct replay_strategist *strategist, uint32_t bound) {
    return (uint32_t)((replay_random(strategist) >> 32) * bound >> 32);
}
// True once in `times`.
static inline bool replay_once_in(struct replay_strategist *strategist, uint32_t times) {
    return replay_random_below(strategist, times) == 0;
}

// ---------------------------------------------------------------- search.c

// Begin and pick of the strategies that look for bugs; the table says what each does.
void replay_pct_begin(void *self, struct world *world, uint64_t seed);
void replay_pct_pick(void *self, struct world *world, const struct world_point *point,
                     struct world_choice *choice);
void replay_pos_begin(void *self, struct world *world, uint64_t seed);
void replay_pos_pick(void *self, struct world *world, const struct world_point *point,
                     struct world_choice *choice);
void replay_urw_begin(void *self, struct world *world, uint64_t seed);
void replay_urw_pick(void *self, struct world *world, const struct world_point *point,
                     struct world_choice *choice);
void replay_surw_begin(void *self, struct world *world, uint64_t seed);
void replay_surw_pick(void *self, struct world *world, const struct world_point *point,
                      struct world_choice *choice);
// The measuring run has come to this access.
void replay_note_place(struct replay_strategist *strategist, const struct world_point *access);
void replay_bounded_begin(void *self, struct world *world, uint64_t seed);
void replay_bounded_pick(void *self, struct world *world, const struct world_point *point,
                         struct world_choice *choice);
void replay_sleep_begin(void *self, struct world *world, uint64_t seed);
void replay_starving_pick(void *self, struct world *world, const struct world_point *point,
                          struct world_choice *choice);
void replay_adversarial_pick(void *self, struct world *world, const struct world_point *point,
                             struct world_choice *choice);

// ---------------------------------------------------------------- exhaust.c

// The orders of one program, tried one after the other; every run starts from the same beginning.
struct replay_tree;
enum replay_tree_state { REPLAY_TREE_MORE, REPLAY_TREE_DONE, REPLAY_TREE_FAILED };
// NULL: no memory, or more than 63 fibers.
struct replay_tree *replay_tree_new(uint32_t fiber_limit);
void replay_tree_free(struct replay_tree *tree);
// After a run: the next one takes another order. FAILED: no memory, or too many places.
enum replay_tree_state replay_tree_next(struct replay_tree *tree);
// After a run: the next one takes the same order.
void replay_tree_repeat(struct replay_tree *tree);
// The last run was given up, because what it would have come to has been tried; how many were.
bool replay_tree_was_redundant(const struct replay_tree *tree);
uint64_t replay_tree_redundant(const struct replay_tree *tree);
void replay_exhaustive_begin(void *self, struct world *world, uint64_t seed);
void replay_exhaustive_pick(void *self, struct world *world, const struct world_point *point,
                            struct world_choice *choice);
void replay_exhaustive_ready(void *self, struct world *world, uint32_t fiber);

// ---------------------------------------------------------------- environment.c

// Puts the environment's choice for the fiber chosen into *choice, or another fiber that waits and
// is made to go on.
void replay_environment_begin(struct replay_strategist *strategist); // of a run
void replay_environment_choose(struct replay_strategist *strategist, struct world *world,
                               struct world_choice *choice);

// ---------------------------------------------------------------- coverage.c

// What the runs so far have shown of all that could be seen. Two measures:
//   meeting   two places of the source, one after the other at one address by different fibers, at
//             least one of them writing. There are few; a bug lies in one or two of them
//   class     runs that differ only in the order of accesses that do not touch each other are one
//             class (Mazurkiewicz trace). There are very many
// The chance that the next schedule shows something new is estimated by Good and Turing: the
// number of things seen in one schedule alone, divided by the number of schedules.
struct replay_coverage_figures {
    uint64_t schedules; // that were looked at: all of the first ones, later one in some
    uint64_t every;     // one in how many, at the end
    uint64_t meetings, meetings_once, meetings_last; // in all; in one schedule only; which saw the
                                                     // last new one
    uint64_t classes, classes_once;
};
struct replay_coverage;
struct replay_coverage *replay_coverage_new(void); // NULL: no memory
void replay_coverage_free(struct replay_coverage *coverage);
// False: out of memory, at any time before.
bool replay_coverage_begin(struct replay_coverage *coverage, uint64_t schedule);
// Whether the schedule begun is one of those looked at; only then is anything noted.
bool replay_coverage_looks(const struct replay_coverage *coverage);
void replay_coverage_note(struct replay_coverage *coverage, const struct world_point *access,
                          uint32_t fiber, const struct world_choice *choice);
// The run was given up half way: it is none of those looked at.
void replay_coverage_drop(struct replay_coverage *coverage);
bool replay_coverage_end(struct replay_coverage *coverage);
void replay_coverage_figures(const struct replay_coverage *coverage,
                             struct replay_coverage_figures *figures);

// ---------------------------------------------------------------- trial.c: one program, many runs

// How one run ended.
struct replay_outcome {
    enum world_end end;
    uint64_t digest, trail;
    struct world_violation violation;
};

// A program in a world of its own, which is put back before every run.
struct replay_trial {
    const struct replay_input *input;
    struct world *world;
    struct replay_strategist strategist;
    struct program_options run_options;
    uint64_t points;      // of all runs
    uint64_t point_limit; // of one, after which it is a livelock
};

// False with a line printed. `input` must outlive the trial. In any case replay_trial_close.
bool replay_trial_open(struct replay_trial *trial, const struct replay_input *input,
                       const char *route, enum world_memory memory,
                       const struct replay_strategy *strategy);
void replay_trial_close(struct replay_trial *trial);
// Fills in what a run is like (strategist.run_points, point_limit), by one in recorded order.
bool replay_trial_measure(struct replay_trial *trial);
// Runs once. `recording` receives the choices; may be NULL. False: the run itself failed, and a
// line was printed.
bool replay_trial_run(struct replay_trial *trial, uint64_t seed, struct world_schedule *recording,
                      struct replay_outcome *outcome);
bool replay_outcome_is_same(const struct replay_outcome *a, const struct replay_outcome *b);

// ---------------------------------------------------------------- guide.c

// An operation's name, which stays when others go: its thread, and a number that grows there.
struct replay_name {
    uint32_t thread, tag;
};
// A point: so many of its thread's, counted from the beginning of an operation.
struct replay_mark {
    uint32_t thread, tag, point;
};
// A stretch of a run: a thread runs up to this point. Or, `special`: what is chosen beside threads
// when it stands there.
struct replay_part {
    struct replay_mark mark;
    bool special;
    uint8_t outcome; // enum world_outcome
    uint32_t store_age;
    uint64_t clock_step_ns;
    bool left_out;
};
struct replay_guide {
    const struct replay_name *names; // of the program's operations, by recorded number
    struct replay_part *parts;
    uint32_t part_count, part_capacity;
    uint32_t next;
    bool incomplete; // no memory for a part
    uint32_t fiber_limit;
    uint64_t *last_operation; // by fiber: recorded number
    uint32_t *points;         // by fiber: since it began
    uint32_t previous;        // fiber
    uint32_t preemptions;     // of the run that was played last: a thread that could go on did not
};
bool replay_guide_init(struct replay_guide *guide, uint32_t fiber_limit);
void replay_guide_free(struct replay_guide *guide);
void replay_guide_begin(struct replay_guide *guide);
void replay_guide_note(struct replay_guide *guide, struct replay_strategist *strategist,
                       struct world *world, const struct world_choice *choice);
void replay_guide_pick(struct replay_guide *guide, struct replay_strategist *strategist,
                       struct world *world, const struct world_point *point,
                       struct world_choice *choice);

// ---------------------------------------------------------------- shrink.c

// A failure made smaller: a scenario and a schedule of it.
struct replay_small {
    struct replay_input input;
    struct world_schedule *schedule;
    struct replay_outcome outcome;
    uint64_t point_limit, runs;
    uint32_t operations, preemptions;
};
// The run of `seed` in this trial fails so. False: it could not be made smaller (it is too long, or
// there is no memory). In any case the caller frees what there is.
bool replay_shrink(struct replay_trial *trial, const char *route, enum world_memory memory,
                   uint64_t seed, const struct replay_outcome *failure, struct replay_small *small);
void replay_small_free(struct replay_small *small);

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
    uint64_t repeats; // accesses after it that were the same as it and those just before
};
struct replay_timeline {
    const struct world_strategy *inner;
    void *inner_self;
    uint64_t count; // of all accesses; the last ones are kept
    uint64_t step;  // point at which replay_step_reached is called; UINT64_MAX: none
    struct replay_timeline_entry entries[REPLAY_TIMELINE_POINTS];
};
extern const struct world_strategy replay_timeline_strategy; // self is a struct replay_timeline
void replay_step_reached(uint64_t point);
// For program_options.on_operation; self is a struct replay_timeline.
void replay_timeline_note(void *self, struct world *world,
                          const struct program_operation *operation);
// One column a fiber, one line an access, on stdout.
void replay_timeline_print(const struct replay_timeline *timeline, const struct world *world);

#endif
