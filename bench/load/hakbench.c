// hakbench.c: runs one row of the benchmark in this process, on whatever malloc it has, and prints
// what it took as one JSON object. bench/run starts it under each allocator in turn.
//
//   hakbench ROW [--mode=speed|memory] [--seconds=S] [--seed=N] [--quick] [--empty]
#include "hak_version.h"
#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_USAGE 2
// A quick memory run has this part of the slots and of the rounds.
#define QUICK_SHARE 4

static void print_help(void) {
    printf(
        "Usage: hakbench ROW [--mode=speed|memory] [--seconds=S] [--seed=N] [--quick] [--empty]\n"
        "Runs one row of the benchmark on the malloc of this process; prints JSON.\n\n"
        "  --mode=speed   for a time, blocks touched as the row says (default)\n"
        "  --mode=memory  a fixed number of operations, every byte written\n"
        "  --seconds=S    how long speed mode runs (default 1)\n"
        "  --seed=N       seed of its random numbers (default 12345)\n"
        "  --quick        memory mode with a quarter of the blocks and rounds\n"
        "  --empty        only what the harness itself needs\n"
        "  --list         names, threads, modes and meanings of the rows, one a line\n"
        "  --help, --version\n\n"
        "Example: LD_PRELOAD=libmf2.so hakbench larson-middle-4 --seconds=2\n");
}

static void print_list(void) {
    for (size_t i = 0; load_row_at(i); i++) {
        const struct load_row *row = load_row_at(i);
        printf("%s\t%" PRIu32 "\t%s\t%s\n", row->name, row->threads,
               row->memory_rounds ? "speed,memory" : "speed", row->meaning);
    }
}

static int usage(const char *text, const char *what) {
    fprintf(stderr, "hakbench: %s%s; see hakbench --help\n", text, what);
    return STATUS_USAGE;
}

static const struct load_row *row_named(const char *name) {
    for (size_t i = 0; load_row_at(i); i++)
        if (strcmp(load_row_at(i)->name, name) == 0)
            return load_row_at(i);
    return NULL;
}

static const char *value_of(const char *argument, const char *name) {
    size_t length = strlen(name);
    return strncmp(argument, name, length) == 0 ? argument + length : NULL;
}

static bool parse_seconds(const char *text, double *seconds) {
    char *end;
    *seconds = strtod(text, &end);
    return end != text && *end == '\0' && *seconds > 0 && *seconds <= 3600;
}

static bool parse_seed(const char *text, uint64_t *seed) {
    char *end;
    *seed = strtoull(text, &end, 10);
    return end != text && *end == '\0';
}

static bool parse_mode(const char *text, bool *memory) {
    *memory = strcmp(text, "memory") == 0;
    return *memory || strcmp(text, "speed") == 0;
}

struct options {
    struct load_run run;
    bool quick;
};

// False: this is no option, or its value is wrong.
static bool parse_option(const char *argument, struct options *options) {
    const char *value;
    if ((value = value_of(argument, "--mode=")))
        return parse_mode(value, &options->run.memory);
    if ((value = value_of(argument, "--seconds=")))
        return parse_seconds(value, &options->run.seconds);
    if ((value = value_of(argument, "--seed=")))
        return parse_seed(value, &options->run.seed);
    if (strcmp(argument, "--quick") == 0)
        return options->quick = true;
    if (strcmp(argument, "--empty") == 0)
        return options->run.empty = true;
    return false;
}

static void set_amounts(struct options *options) {
    struct load_run *run = &options->run;
    uint32_t share = options->quick && run->memory ? QUICK_SHARE : 1;
    run->slots = (run->memory ? run->row->memory_slots : run->row->speed_slots) / share;
    run->rounds = run->row->memory_rounds / share;
    run->rounds += run->rounds == 0;
}

static void print_outcome(const struct load_run *run, const struct load_outcome *outcome) {
    printf("{\"row\": \"%s\", \"mode\": \"%s\", \"threads\": %" PRIu32 ", \"seed\": %" PRIu64
           ", \"operations\": %" PRIu64 ", \"seconds\": %.6f, \"cpu_seconds\": %.6f"
           ", \"checked\": %" PRIu64 ", \"peak_rss_bytes\": %" PRIu64,
           run->row->name, run->memory ? "memory" : "speed", run->row->threads, run->seed,
           outcome->operations, outcome->seconds, outcome->cpu_seconds, outcome->checked,
           outcome->peak_rss_bytes);
    if (run->memory)
        printf(", \"checksum\": \"%016" PRIx64 "\", \"peak_live_bytes\": %" PRIu64
               ", \"idle_live_bytes\": %" PRIu64 ", \"idle_rss_bytes\": %" PRIu64,
               outcome->checksum, outcome->peak_live_bytes, outcome->idle_live_bytes,
               outcome->idle_rss_bytes);
    printf("}\n");
}

static int run(struct options *options) {
    static struct load_outcome outcome;
    if (options->run.memory && options->run.row->memory_rounds == 0)
        return usage("no memory mode has the row ", options->run.row->name);
    set_amounts(options);
    load_run(&options->run, &outcome);
    print_outcome(&options->run, &outcome);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    static struct options options = {.run = {.seconds = 1, .seed = 12345}};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help();
            return EXIT_SUCCESS;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("hakbench %s (%s)\n", HAK_VERSION, HAK_COMMIT);
            return EXIT_SUCCESS;
        }
        if (strcmp(argv[i], "--list") == 0) {
            print_list();
            return EXIT_SUCCESS;
        }
        if (parse_option(argv[i], &options))
            continue;
        if (argv[i][0] == '-' || options.run.row)
            return usage("unknown, misplaced or wrong argument ", argv[i]);
        options.run.row = row_named(argv[i]);
        if (!options.run.row)
            return usage("no such row: ", argv[i]);
    }
    if (!options.run.row)
        return usage("no row named", "");
    return run(&options);
}
