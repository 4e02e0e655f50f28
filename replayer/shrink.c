// shrink.c: a failure made smaller: fewer operations, fewer changes of threads, as long as the run
// still fails in the same way.
//
// Leaves out halves, quarters, ... single parts, as long as that succeeds (A. Zeller, R.
// Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). A smaller program is
// first played by the guide of the larger one; where that fails no longer, some schedules are
// tried anew. What is left is a scenario, whatever it came from.
//
// The work is bounded in points, not in time, so that the same failure always becomes the same
// small one.
#include "replayer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPERATIONS_MAX = 2000, // longer programs are left as they are
    TRIES = 200,           // schedules of a smaller program, where its guide does not fail
    TRIES_SIZES = 2500,    // of one with larger blocks, whose guide cannot fit
    TRIES_MORE = 4,        // times as many in each round that it is still not small
    BOUNDED_TRIES = 4000,  // schedules with few changes of threads, at the end
    PREEMPTIONS_FEW = 3,
    OPERATIONS_FEW = 10,
};

#define WORK_MAX     UINT64_C(36000000) // points of all runs, and what else is as much work
#define WORK_PROGRAM 5000               // of making a world
#define WORK_RUN     50                 // of a run, beside its points

// A program that is tried: some of the operations of the one that failed. It stays where it was
// made: its world knows its strategist by address.
struct program {
    char *text;   // as a scenario
    bool is_open; // the trial is
    struct replay_input input;
    struct replay_trial trial;
    struct replay_name *names; // by recorded number
};

struct shrinking {
    const struct replay_input *original;
    const char *route;
    enum world_memory memory;
    bool environment;
    struct replay_outcome failure;
    struct program_operation *operations; // of the original, in recorded order
    uint32_t count;
    bool *kept;
    struct program *best; // fails when played by `guide`
    struct replay_guide guide;
    uint64_t runs, work;
    uint32_t tries;
};

static bool has_work_left(const struct shrinking *shrinking) {
    return shrinking->work < WORK_MAX;
}

// ---------------------------------------------------------------- the same failure

enum failure_kind { NOTHING, DEADLOCK, LIVELOCK, RACE, BROKEN };

static enum failure_kind kind_of_failure(const struct replay_outcome *outcome) {
    switch (outcome->violation.oracle) {
    case WORLD_ORACLE_NONE:
        return NOTHING;
    case WORLD_ORACLE_LOST_WAKE:
        return DEADLOCK;
    case WORLD_ORACLE_LIVELOCK:
        return LIVELOCK;
    case WORLD_ORACLE_RACE:
        return RACE;
    default:
        return BROKEN;
    }
}

static bool is_failure(const struct shrinking *shrinking, const struct replay_outcome *outcome) {
    enum failure_kind kind = kind_of_failure(outcome);
    enum failure_kind wanted = kind_of_failure(&shrinking->failure);
    bool explains = wanted == LIVELOCK && kind == BROKEN; // a list in a circle, seen sooner
    return outcome->end != WORLD_DONE && outcome->end != WORLD_DIVERGED &&
           (kind == wanted || explains);
}

// ---------------------------------------------------------------- programs as text

static const char *thread_name(const struct shrinking *shrinking, uint32_t thread, char *room,
                               size_t size) {
    if (shrinking->original->scenario != NULL)
        return replay_scenario_thread(shrinking->original->scenario, thread);
    snprintf(room, size, "t%u", thread);
    return room;
}

static bool makes(uint8_t op) {
    return op == PROGRAM_MALLOC || op == PROGRAM_CALLOC || op == PROGRAM_ALIGNED;
}

static bool uses(uint8_t op) {
    return op == PROGRAM_FREE || op == PROGRAM_REALLOC || op == PROGRAM_USABLE;
}

static bool has_operations(const struct shrinking *shrinking, const bool *kept, uint32_t thread) {
    for (uint32_t i = 0; i < shrinking->count; i++)
        if (kept[i] && shrinking->operations[i].thread == thread &&
            shrinking->operations[i].op != PROGRAM_START)
            return true;
    return false;
}

static bool is_made(const struct shrinking *shrinking, const bool *kept, uint32_t user) {
    uint64_t object = shrinking->operations[user].object;
    for (uint32_t i = 0; i < user; i++) {
        const struct program_operation *operation = &shrinking->operations[i];
        bool here = makes(operation->op)
                        ? operation->object == object
                        : operation->op == PROGRAM_REALLOC && operation->new_object == object;
        if (here)
            return kept[i];
    }
    return false;
}

// What cannot be done any more goes, too.
static void drop_dependents(const struct shrinking *shrinking, bool *kept) {
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < shrinking->count; i++) {
            const struct program_operation *operation = &shrinking->operations[i];
            bool on_thread = operation->op == PROGRAM_CREATE || operation->op == PROGRAM_JOIN;
            if (!kept[i])
                continue;
            if ((uses(operation->op) && !is_made(shrinking, kept, i)) ||
                (on_thread && !has_operations(shrinking, kept, operation->peer))) {
                kept[i] = false;
                changed = true;
            }
        }
    }
}

static void print_operation(FILE *out, const struct shrinking *shrinking,
                            const struct program_operation *o) {
    char room[32];
    switch (o->op) {
    case PROGRAM_MALLOC:
    case PROGRAM_CALLOC:
        fprintf(out, "; o%" PRIu64 " = %s %" PRIu64, o->object, program_op_name(o->op), o->size);
        break;
    case PROGRAM_ALIGNED:
        fprintf(out, "; o%" PRIu64 " = aligned %u %" PRIu64, o->object, 1u << o->align_log2,
                o->size);
        break;
    case PROGRAM_REALLOC:
        fprintf(out, "; o%" PRIu64 " = realloc o%" PRIu64 " %" PRIu64, o->new_object, o->object,
                o->size);
        break;
    case PROGRAM_FREE:
    case PROGRAM_USABLE:
        fprintf(out, "; %s o%" PRIu64, program_op_name(o->op), o->object);
        break;
    case PROGRAM_CREATE:
    case PROGRAM_JOIN:
        fprintf(out, "; %s %s", program_op_name(o->op),
                thread_name(shrinking, o->peer, room, sizeof room));
        break;
    case PROGRAM_EXIT:
        fprintf(out, "; exit");
        break;
    case PROGRAM_SLEEP:
        fprintf(out, "; sleep %" PRIu64, o->size);
        break;
    default:
        break; // START is implied by CREATE; NOTHING does nothing
    }
}

static char *text_of(const struct shrinking *shrinking, const bool *kept) {
    char *text = NULL, room[32];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    for (uint32_t t = 0; t < shrinking->original->source->threads; t++) {
        if (!has_operations(shrinking, kept, t))
            continue;
        fprintf(out, "; thread %s", thread_name(shrinking, t, room, sizeof room));
        for (uint32_t i = 0; i < shrinking->count; i++)
            if (kept[i] && shrinking->operations[i].thread == t)
                print_operation(out, shrinking, &shrinking->operations[i]);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

// ---------------------------------------------------------------- programs that can be run

static void close_program(struct program *program) {
    if (program == NULL)
        return;
    if (program->is_open)
        replay_trial_close(&program->trial);
    replay_input_close(&program->input);
    free(program->names);
    free(program->text);
    free(program);
}

static uint32_t thread_named(const struct shrinking *shrinking, const char *name) {
    char room[32];
    for (uint32_t t = 0; t < shrinking->original->source->threads; t++)
        if (strcmp(thread_name(shrinking, t, room, sizeof room), name) == 0)
            return t;
    return 0;
}

// The number, in the original, of that thread's next kept operation from `from` on.
static uint32_t next_kept(const struct shrinking *shrinking, const bool *kept, uint32_t thread,
                          uint32_t from) {
    while (from < shrinking->count &&
           !(kept[from] && shrinking->operations[from].thread == thread &&
             shrinking->operations[from].op != PROGRAM_START &&
             shrinking->operations[from].op != PROGRAM_NOTHING))
        from++;
    return from;
}

static bool name_operations(const struct shrinking *shrinking, const bool *kept,
                            struct program *program) {
    struct program_source *source = program->input.source;
    uint32_t *next = calloc(shrinking->original->source->threads, sizeof *next);
    struct program_operation operation;
    program->names = calloc(source->operations + 1, sizeof *program->names);
    if (next == NULL || program->names == NULL) {
        free(next);
        return false;
    }
    source->rewind(source->self);
    for (uint64_t i = 0; source->next(source->self, &operation, 1) == 1; i++) {
        const char *name = replay_scenario_thread(program->input.scenario, operation.thread);
        uint32_t thread = thread_named(shrinking, name);
        bool starts = operation.op == PROGRAM_START;
        uint32_t at = starts ? 0 : next_kept(shrinking, kept, thread, next[thread]);
        program->names[i] = (struct replay_name){thread, starts ? 0 : at + 1};
        if (!starts)
            next[thread] = at + 1;
    }
    free(next);
    return true;
}

static bool prepare_program(const struct shrinking *shrinking, const bool *kept,
                            struct program *program) {
    program->text = text_of(shrinking, kept);
    if (program->text == NULL || program->text[0] == '\0' ||
        !replay_input_from_text(&program->input, shrinking->original->name, program->text,
                                shrinking->original->geometry) ||
        !name_operations(shrinking, kept, program))
        return false;
    program->is_open = true;
    bool fine = replay_trial_open(&program->trial, &program->input, shrinking->route,
                                  shrinking->memory, replay_strategy_find("portfolio")) &&
                replay_trial_measure(&program->trial);
    program->trial.strategist.environment = shrinking->environment;
    return fine;
}

// NULL: it is no program, or there is no memory.
static struct program *open_program(struct shrinking *shrinking, const bool *kept) {
    shrinking->work += WORK_PROGRAM;
    struct program *program = calloc(1, sizeof *program);
    if (program == NULL || prepare_program(shrinking, kept, program))
        return program;
    close_program(program);
    return NULL;
}

// ---------------------------------------------------------------- runs

static bool run_once(struct shrinking *shrinking, struct program *program, uint64_t seed,
                     struct replay_outcome *outcome) {
    uint64_t points = program->trial.points;
    bool ran = replay_trial_run(&program->trial, seed, NULL, outcome);
    shrinking->runs++;
    shrinking->work += WORK_RUN + program->trial.points - points;
    return ran;
}

static bool fails(struct shrinking *shrinking, struct program *program,
                  struct replay_guide *guide) {
    struct replay_outcome outcome;
    struct replay_strategist *strategist = &program->trial.strategist;
    guide->names = program->names;
    strategist->guide = guide;
    bool ran = run_once(shrinking, program, 0, &outcome);
    strategist->guide = NULL;
    return ran && is_failure(shrinking, &outcome);
}

// A guide through the run of that seed, which fails.
static bool note_run(struct shrinking *shrinking, struct program *program, uint64_t seed,
                     struct replay_guide *notes) {
    struct replay_outcome outcome;
    if (!replay_guide_init(notes, program->input.source->threads + 1))
        return false;
    notes->names = program->names;
    program->trial.strategist.notes = notes;
    bool ran = run_once(shrinking, program, seed, &outcome);
    program->trial.strategist.notes = NULL;
    return ran && !notes->incomplete && is_failure(shrinking, &outcome) &&
           fails(shrinking, program, notes);
}

// Some schedules; with the first that fails its guide takes the place of the one before.
static bool search(struct shrinking *shrinking, struct program *program, uint32_t tries,
                   struct replay_guide *guide) {
    for (uint64_t seed = 1; seed <= tries && has_work_left(shrinking); seed++) {
        struct replay_outcome outcome;
        struct replay_guide notes = {0};
        if (!run_once(shrinking, program, seed, &outcome))
            return false;
        if (!is_failure(shrinking, &outcome))
            continue;
        bool noted = note_run(shrinking, program, seed, &notes);
        if (noted) {
            replay_guide_free(guide);
            *guide = notes;
            return true;
        }
        replay_guide_free(&notes);
    }
    return false;
}

// ---------------------------------------------------------------- fewer parts of a guide

static void compact(struct replay_guide *guide) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < guide->part_count; i++)
        if (!guide->parts[i].left_out)
            guide->parts[count++] = guide->parts[i];
    guide->part_count = count;
}

static bool try_without_parts(struct shrinking *shrinking, struct program *program,
                              struct replay_guide *guide, uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++)
        guide->parts[i].left_out = true;
    bool gone = fails(shrinking, program, guide);
    for (uint32_t i = first; i < first + count && !gone; i++)
        guide->parts[i].left_out = false;
    if (gone)
        compact(guide);
    return gone;
}

static void shrink_guide(struct shrinking *shrinking, struct program *program,
                         struct replay_guide *guide) {
    for (uint32_t size = (guide->part_count + 1) / 2; size > 0;) {
        bool any = false;
        for (uint32_t first = 0; first < guide->part_count && has_work_left(shrinking);) {
            uint32_t left = guide->part_count - first;
            uint32_t count = size < left ? size : left;
            bool gone = try_without_parts(shrinking, program, guide, first, count);
            any |= gone;
            first += gone ? 0 : count;
        }
        size = size > 1 ? (size + 1) / 2 : any && has_work_left(shrinking) ? 1 : 0;
    }
    fails(shrinking, program, guide); // its figures are those of this run
}

// ---------------------------------------------------------------- fewer operations

static struct replay_guide copy_of(const struct replay_guide *guide,
                                   const struct program *program) {
    struct replay_guide copy;
    if (!replay_guide_init(&copy, program->input.source->threads + 1))
        return copy;
    copy.parts = malloc((guide->part_count + 1) * sizeof *copy.parts);
    if (copy.parts != NULL) {
        memcpy(copy.parts, guide->parts, guide->part_count * sizeof *copy.parts);
        copy.part_count = copy.part_capacity = guide->part_count;
        copy.part_capacity += copy.part_capacity == 0;
    }
    return copy;
}

// The program of these operations becomes the best one, if it fails.
static bool try_program(struct shrinking *shrinking, const bool *kept) {
    struct program *program = open_program(shrinking, kept);
    if (program == NULL)
        return false;
    struct replay_guide guide = copy_of(&shrinking->guide, program);
    bool smaller =
        guide.last_operation != NULL && guide.points != NULL &&
        (fails(shrinking, program, &guide) || search(shrinking, program, shrinking->tries, &guide));
    if (!smaller) {
        replay_guide_free(&guide);
        close_program(program);
        return false;
    }
    shrink_guide(shrinking, program, &guide);
    close_program(shrinking->best);
    replay_guide_free(&shrinking->guide);
    shrinking->best = program;
    shrinking->guide = guide;
    memcpy(shrinking->kept, kept, shrinking->count);
    return true;
}

static bool try_kept(struct shrinking *shrinking, bool *kept) {
    drop_dependents(shrinking, kept);
    return memcmp(kept, shrinking->kept, shrinking->count) != 0 && try_program(shrinking, kept);
}

static bool try_without_thread(struct shrinking *shrinking, uint32_t thread, bool *kept) {
    memcpy(kept, shrinking->kept, shrinking->count);
    for (uint32_t i = 0; i < shrinking->count; i++)
        kept[i] &= shrinking->operations[i].thread != thread;
    return try_kept(shrinking, kept);
}

// Those that are still there, counted from the last: `count` from the `first` on.
static bool try_without_operations(struct shrinking *shrinking, uint32_t first, uint32_t count,
                                   bool *kept) {
    uint32_t seen = 0;
    memcpy(kept, shrinking->kept, shrinking->count);
    for (uint32_t i = shrinking->count; i-- > 0;) {
        if (!shrinking->kept[i] || shrinking->operations[i].op == PROGRAM_START)
            continue;
        kept[i] = seen < first || seen >= first + count;
        seen++;
    }
    return try_kept(shrinking, kept);
}

static uint32_t operations_left(const struct shrinking *shrinking) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < shrinking->count; i++)
        left += shrinking->kept[i] && shrinking->operations[i].op != PROGRAM_START &&
                shrinking->operations[i].op != PROGRAM_NOTHING;
    return left;
}

static void shrink_program(struct shrinking *shrinking, bool *kept) {
    for (uint32_t t = 0; t < shrinking->original->source->threads; t++)
        try_without_thread(shrinking, t, kept);
    for (uint32_t size = (operations_left(shrinking) + 1) / 2; size > 0;) {
        bool any = false;
        for (uint32_t first = 0; first < operations_left(shrinking) && has_work_left(shrinking);) {
            bool gone = try_without_operations(shrinking, first, size, kept);
            any |= gone;
            first += gone ? 0 : size;
        }
        size = size > 1 ? (size + 1) / 2 : any && has_work_left(shrinking) ? 1 : 0;
    }
}

// A block that nobody gives up or asks about does nothing but fill a page.
static bool only_fills(const struct shrinking *shrinking, const bool *kept, uint32_t maker) {
    const struct program_operation *made = &shrinking->operations[maker];
    if (!makes(made->op))
        return false;
    for (uint32_t i = maker + 1; i < shrinking->count; i++)
        if (kept[i] && uses(shrinking->operations[i].op) &&
            shrinking->operations[i].object == made->object)
            return false;
    return true;
}

// The last ones: after what others free, they fill its page and ask for the next one.
static void keep_fillers(const struct shrinking *shrinking, bool *kept, uint32_t most) {
    for (uint32_t i = shrinking->count; i-- > 0;)
        if (kept[i] && only_fills(shrinking, kept, i)) {
            kept[i] = most > 0;
            most -= most > 0;
        }
}

// Larger blocks: fewer of them fill a page. The operations keep the sizes if the program fails.
static bool try_sizes(struct shrinking *shrinking, uint64_t size, uint32_t fillers, bool *kept) {
    uint64_t *sizes = calloc(shrinking->count, sizeof *sizes);
    memcpy(kept, shrinking->kept, shrinking->count);
    keep_fillers(shrinking, kept, fillers);
    drop_dependents(shrinking, kept);
    bool any = memcmp(kept, shrinking->kept, shrinking->count) != 0;
    for (uint32_t i = 0; sizes != NULL && i < shrinking->count; i++) {
        struct program_operation *operation = &shrinking->operations[i];
        sizes[i] = operation->size;
        if (kept[i] && operation->size > 0 && operation->size < size) {
            operation->size = size;
            any = true;
        }
    }
    bool fine = sizes != NULL && any && try_program(shrinking, kept);
    for (uint32_t i = 0; sizes != NULL && !fine && i < shrinking->count; i++)
        shrinking->operations[i].size = sizes[i];
    free(sizes);
    return fine;
}

// From few blocks that only fill to many.
static bool try_size(struct shrinking *shrinking, uint64_t size, bool *kept) {
    static const uint32_t fillers[] = {0, 1, 2, 3, 4, 5, 6, 8, UINT32_MAX};
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers && has_work_left(shrinking); i++)
        if (try_sizes(shrinking, size, fillers[i], kept))
            return true;
    return false;
}

static void shrink_by_sizes(struct shrinking *shrinking, bool *kept) {
    const struct mf2_geometry *geometry = shrinking->original->geometry;
    bool any = false;
    shrinking->tries = TRIES_SIZES;
    for (uint32_t k = geometry->class_count; k-- > 0 && !any && has_work_left(shrinking);) {
        uint32_t capacity = mf2_geometry_capacity(geometry, k);
        bool few = capacity >= 2 && capacity <= 8;
        any = few && try_size(shrinking, geometry->block_bytes[k], kept);
    }
    shrinking->tries = TRIES;
    if (any)
        shrink_program(shrinking, kept);
}

// ---------------------------------------------------------------- fewer changes of threads

// Schedules that have few from the beginning, while those left are too many: while there is work
// left, because few of them fail.
static void search_for_few(struct shrinking *shrinking) {
    struct program *best = shrinking->best;
    const struct replay_strategy *strategies[] = {replay_strategy_find("bounded"),
                                                  replay_strategy_find("pct")};
    for (uint64_t seed = 1;
         has_work_left(shrinking) && shrinking->guide.preemptions > PREEMPTIONS_FEW; seed++) {
        struct replay_outcome outcome;
        struct replay_guide notes = {0};
        best->trial.strategist.chosen = strategies[seed % 2];
        if (!run_once(shrinking, best, seed, &outcome))
            return;
        if (!is_failure(shrinking, &outcome))
            continue;
        if (note_run(shrinking, best, seed, &notes)) {
            shrink_guide(shrinking, best, &notes);
            if (notes.preemptions < shrinking->guide.preemptions) {
                struct replay_guide before = shrinking->guide;
                shrinking->guide = notes;
                notes = before;
            }
        }
        replay_guide_free(&notes);
    }
}

// ---------------------------------------------------------------- the whole

static bool read_operations(struct shrinking *shrinking) {
    struct program_source *source = shrinking->original->source;
    shrinking->count = (uint32_t)source->operations;
    shrinking->operations = calloc(shrinking->count + 1, sizeof *shrinking->operations);
    shrinking->kept = calloc(shrinking->count + 1, sizeof *shrinking->kept);
    if (shrinking->operations == NULL || shrinking->kept == NULL)
        return false;
    source->rewind(source->self);
    for (uint32_t i = 0; i < shrinking->count; i++) {
        if (source->next(source->self, &shrinking->operations[i], 1) != 1)
            return false;
        shrinking->kept[i] = true;
    }
    return true;
}

// The failing run, played by its guide on the program as text.
static bool begin_with_original(struct shrinking *shrinking, struct replay_trial *trial,
                                uint64_t seed) {
    drop_dependents(shrinking, shrinking->kept);
    shrinking->best = open_program(shrinking, shrinking->kept);
    if (shrinking->best == NULL)
        return false;
    struct replay_name *names = calloc(shrinking->count + 1, sizeof *names);
    if (names == NULL || !replay_guide_init(&shrinking->guide, trial->input->source->threads + 1)) {
        free(names);
        return false;
    }
    for (uint32_t i = 0; i < shrinking->count; i++) {
        const struct program_operation *operation = &shrinking->operations[i];
        names[i] =
            (struct replay_name){operation->thread, operation->op == PROGRAM_START ? 0 : i + 1};
    }
    struct replay_outcome outcome;
    shrinking->guide.names = names;
    trial->strategist.notes = &shrinking->guide;
    bool ran = replay_trial_run(trial, seed, NULL, &outcome);
    trial->strategist.notes = NULL;
    free(names);
    if (!ran || shrinking->guide.incomplete)
        return false;
    if (!fails(shrinking, shrinking->best, &shrinking->guide) &&
        !search(shrinking, shrinking->best, BOUNDED_TRIES, &shrinking->guide))
        return false;
    shrink_guide(shrinking, shrinking->best, &shrinking->guide);
    return true;
}

static bool record(struct shrinking *shrinking, struct replay_small *small) {
    struct program *best = shrinking->best;
    small->schedule = world_schedule_new();
    if (small->schedule == NULL)
        return false;
    shrinking->guide.names = best->names;
    best->trial.strategist.guide = &shrinking->guide;
    bool ran = replay_trial_run(&best->trial, 0, small->schedule, &small->outcome);
    best->trial.strategist.guide = NULL;
    small->operations = operations_left(shrinking);
    small->preemptions = shrinking->guide.preemptions;
    small->runs = shrinking->runs;
    small->point_limit = best->trial.point_limit;
    return ran && is_failure(shrinking, &small->outcome);
}

bool replay_shrink(struct replay_trial *trial, const char *route, enum world_memory memory,
                   uint64_t seed, const struct replay_outcome *failure,
                   struct replay_small *small) {
    struct shrinking shrinking = {.original = trial->input,
                                  .route = route,
                                  .memory = memory,
                                  .environment = trial->strategist.environment,
                                  .failure = *failure,
                                  .tries = TRIES};
    *small = (struct replay_small){0};
    uint64_t operations = trial->input->source->operations;
    bool fine = operations > 0 && operations <= OPERATIONS_MAX && read_operations(&shrinking) &&
                begin_with_original(&shrinking, trial, seed);
    bool *kept = fine ? malloc(shrinking.count) : NULL;
    if (kept != NULL) {
        shrink_program(&shrinking, kept);
        if (operations_left(&shrinking) > OPERATIONS_FEW)
            shrink_by_sizes(&shrinking, kept);
        while (operations_left(&shrinking) > OPERATIONS_FEW && has_work_left(&shrinking)) {
            shrinking.tries *= TRIES_MORE;
            shrink_program(&shrinking, kept);
        }
        search_for_few(&shrinking);
        fine = record(&shrinking, small);
    }
    if (fine && kept != NULL) {
        small->input = shrinking.best->input;
        shrinking.best->input = (struct replay_input){0};
    }
    free(kept);
    close_program(shrinking.best);
    replay_guide_free(&shrinking.guide);
    free(shrinking.operations);
    free(shrinking.kept);
    return fine && kept != NULL;
}

void replay_small_free(struct replay_small *small) {
    world_schedule_free(small->schedule);
    replay_input_close(&small->input);
}
