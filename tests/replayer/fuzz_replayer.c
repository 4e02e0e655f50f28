// fuzz_replayer: the readers of scenarios, schedules and routes on inputs that nobody wrote.
//
//     fuzz_replayer SOURCE_DIR EXECUTIONS SEED [scenario|schedule]
//     fuzz_replayer --replay FILE TARGET
//
// Mutates the committed seeds (tests/replayer/seeds) by a fixed random sequence: the same arguments
// make the same inputs. What it must find is done by the sanitizers and by the asserts here: no
// crash, no leak, one line of error that names the file; what is accepted is played, and means the
// same when it is written and read again. A schedule is mutated as bytes, and then its last line
// and its number of choices are mostly made right, so that what is behind them is reached. On a
// crash the input is left in fuzz_input.
#include "replayer.h"

#include "fuzzing.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>
#include <xxhash.h>

enum {
    PLAYED_BYTES_MAX = 1 << 22, // asked for by a scenario, for it to be played
    PLAYED_POINTS_MAX = 1 << 20
};

static struct fuzz_figures figures;
static char failure_text[1024];

int replay_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure_text, sizeof failure_text, format, arguments);
    va_end(arguments);
    return REPLAY_USAGE;
}

static void count(bool good) {
    good ? figures.accepted++ : figures.refused++;
    if (!good)
        must_be_one_line(failure_text);
}

// ---------------------------------------------------------------- scenarios

// The text on one line, as a schedule keeps it, means the same.
static void must_be_same_on_one_line(const struct replay_input *input) {
    struct replay_input again;
    struct program_operation one, other;
    must(replay_input_open(&again, input_path, replay_scenario_line(input->scenario),
                           input->geometry, false));
    must(again.source->operations == input->source->operations &&
         again.source->threads == input->source->threads);
    input->source->rewind(input->source->self);
    again.source->rewind(again.source->self);
    for (uint64_t i = 0; i < input->source->operations; i++) {
        must(input->source->next(input->source->self, &one, 1) == 1);
        must(again.source->next(again.source->self, &other, 1) == 1);
        must(memcmp(&one, &other, sizeof one) == 0);
    }
    replay_input_close(&again);
}

// MF2 is right: no run of a program that was accepted fails.
static void play(const struct replay_input *input) {
    struct replay_trial trial;
    struct replay_outcome outcome;
    const char *route = replay_scenario_route(input->scenario);
    if (input->source->live_bytes_max > PLAYED_BYTES_MAX)
        return;
    must(replay_trial_open(&trial, input, route[0] == '\0' ? "best" : route, WORLD_MEMORY_SC,
                           replay_strategy_find("portfolio")));
    must(replay_trial_measure(&trial));
    must(replay_trial_run(&trial, next_random(), NULL, &outcome));
    if (outcome.end != WORLD_DONE)
        fprintf(stderr, "%s\n", outcome.violation.text);
    must(outcome.end == WORLD_DONE);
    replay_trial_close(&trial);
}

static void run_scenario(void) {
    struct replay_input input;
    failure_text[0] = '\0';
    current.data[current.size < INPUT_BYTES_MAX ? current.size : INPUT_BYTES_MAX - 1] = '\0';
    bool good = replay_input_open(&input, "fuzz.scn", (const char *)current.data, NULL, false);
    count(good);
    if (!good)
        return;
    must_be_same_on_one_line(&input);
    play(&input);
    replay_input_close(&input);
}

// ---------------------------------------------------------------- schedules

// What `FIBER...*COUNT` and its like stand for, in this many bytes.
static uint64_t count_choices(const char *text, size_t size) {
    uint64_t choices = 0;
    const char *end = text + size;
    while (text < end) {
        size_t length = strcspn(text, " \n");
        const char *times = memchr(text, '*', length);
        choices += length == 0 ? 0 : times == NULL ? 1 : strtoull(times + 1, NULL, 10);
        text += length + 1;
    }
    return choices;
}

// The number of choices and the hash are made right.
static void mend(struct input *input) {
    static struct input mended;
    char line[64];
    input->data[input->size < INPUT_BYTES_MAX ? input->size : INPUT_BYTES_MAX - 1] = '\0';
    char *text = (char *)input->data, *choices = strstr(text, "\nchoices ");
    char *end = strstr(text, "\nend ");
    if (choices == NULL || end == NULL || end < choices)
        return;
    char *first = choices + 1 + strcspn(choices + 1, "\n");
    size_t head = (size_t)(choices + 1 - text);
    size_t body = first < end ? (size_t)(end + 1 - (first + 1)) : 0;
    int length = snprintf(line, sizeof line, "choices %" PRIu64 "\n",
                          body > 0 ? count_choices(first + 1, body) : 0);
    if (head + body + (size_t)length + 32 > sizeof mended.data)
        return;
    memcpy(mended.data, text, head);
    memcpy(mended.data + head, line, (size_t)length);
    memcpy(mended.data + head + length, body > 0 ? first + 1 : "", body);
    mended.size = head + (size_t)length + body;
    mended.size += (size_t)sprintf((char *)mended.data + mended.size, "end %016" PRIx64 "\n",
                                   (uint64_t)XXH3_64bits(mended.data, mended.size));
    memcpy(input->data, mended.data, mended.size);
    input->size = mended.size;
}

static void write_and_read_again(const struct world_schedule *schedule) {
    static struct input once, twice;
    char message[REPLAY_TEXT_MAX];
    must(world_schedule_write(schedule, "fuzz_again.hks", message, sizeof message) == 0);
    struct world_schedule *again = world_schedule_read("fuzz_again.hks", message, sizeof message);
    must(again != NULL);
    fuzz_read_file("fuzz_again.hks", &once);
    must(world_schedule_write(again, "fuzz_again.hks", message, sizeof message) == 0);
    fuzz_read_file("fuzz_again.hks", &twice);
    must(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    world_schedule_free(again);
}

static bool is_short(const struct world_schedule *schedule) {
    const char *limit = world_schedule_value(schedule, "point-limit");
    return limit == NULL || strtoull(limit, NULL, 10) <= PLAYED_POINTS_MAX;
}

static void run_schedule(void) {
    char message[REPLAY_TEXT_MAX] = "";
    fuzz_put_input();
    struct world_schedule *schedule = world_schedule_read(input_path, message, sizeof message);
    if (schedule == NULL)
        must_be_one_line(message);
    else if (below(16) == 0)
        write_and_read_again(schedule);
    struct replay_options options = {
        .input = input_path, .step = UINT64_MAX, .quiet = below(4) != 0};
    failure_text[0] = '\0';
    if (schedule == NULL || is_short(schedule)) {
        int status = replay_command_repro(&options);
        must(status == REPLAY_USAGE || status == REPLAY_DIVERGED || status == REPLAY_VIOLATION);
        count(status != REPLAY_USAGE);
    }
    world_schedule_free(schedule);
}

// ---------------------------------------------------------------- targets

static const char *const words[] = {
    "thread ",    " = malloc ", "calloc",     "realloc ", "aligned ",  "free ",
    "usable ",    "create ",    "join ",      "exit",     "nothing",   "[0..3]",
    "[9999]",     "[0..4000]",  "[9999..0]",  "[3..0]",   "geometry ", "route ",
    "seed",       "best",       "\n",         ";",        "#",         "4096",
    "4294967296", "!fail",      "!spurious",  "!timeout", "+1000",     "~1",
    "*2",         "*1000000 ",  "\nchoices ", "\nend ",   " 0",        " 1 ",
    "strict",     "window",     "c11",        "sc",       "scenario ", ",orphans=strand"};

static const struct target {
    const char *name;
    const char *const *seeds; // below SOURCE_DIR
    void (*run)(void);
} targets[] = {
    {"scenario",
     (const char *const[]){"tests/replayer/seeds/every_statement.scn",
                           "replayer/scenarios/two-exits.scn", "replayer/scenarios/large.scn",
                           "replayer/scenarios/begin-and-end.scn", NULL},
     run_scenario},
    {"schedule",
     (const char *const[]){"tests/replayer/seeds/surprises.hks",
                           "tests/replayer/seeds/failures.hks",
                           "tests/replayer/seeds/older_stores.hks", NULL},
     run_schedule},
};
enum { TARGET_COUNT = sizeof targets / sizeof *targets };

// A seed is of these sources, whatever it was made from.
static void belong_here(struct input *seed) {
    char *sources = memmem(seed->data, seed->size, "\nsources ", 9);
    if (sources != NULL)
        memcpy(sources + 9, world_source_hash(), 16);
}

static void run_target(const struct target *target, const char *source, uint64_t executions,
                       uint64_t seed) {
    fuzz_read_seeds(source, ".", target->seeds);
    for (unsigned i = 0; i < seed_count; i++)
        belong_here(&seeds[i]);
    fuzz_seed(seed);
    figures = (struct fuzz_figures){0};
    for (uint64_t i = 0; i < executions; i++) {
        const struct input *from = &seeds[below(seed_count)];
        current.size = from->size;
        memcpy(current.data, from->data, from->size);
        fuzz_mutate_bytes(&current);
        if (target->run == run_schedule && below(8) != 0)
            mend(&current);
        clock_t begin = clock();
        target->run();
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        figures.slowest = seconds > figures.slowest ? seconds : figures.slowest;
    }
    fuzz_tell(target->name, &figures);
}

int main(int argc, char **argv) {
    bool replay = argc == 4 && strcmp(argv[1], "--replay") == 0;
    if (argc < 4)
        return 2;
    fuzz_begin();
    tokens = words;
    token_count = sizeof words / sizeof *words;
    for (unsigned i = 0; i < TARGET_COUNT; i++) {
        if (replay && strcmp(argv[3], targets[i].name) == 0) {
            fuzz_seed(1);
            fuzz_read_file(argv[2], &current);
            targets[i].run();
        } else if (!replay && (argc < 5 || strcmp(argv[4], targets[i].name) == 0)) {
            run_target(&targets[i], argv[1], strtoull(argv[2], NULL, 10),
                       strtoull(argv[3], NULL, 10));
        }
    }
    return 0;
}
