// mutants_find: the portfolio over the suite of scenarios, until an oracle fires.
//
//     mutants_find [--memory=c11] [--schedules=N] [--seed=N] [--only=ROUTE] [--shrink]
//                  SUITE SCENARIO_DIR
//     mutants_find --sources      the hash of MF2's sources, and nothing else
//
// A planted bug is linked in; this program knows nothing of it. SUITE names scenarios and routes,
// pair by pair; of each pair a few schedules are tried in turn, round after round, so that no pair
// is favoured. Prints one line: how many schedules it took, or that there was nothing; with
// --shrink two more, how small the failure became and how long that took, and what program it is.
// Exit status 0: nothing; 1: an oracle fired; 2: usage.
#include "replayer.h"

#include "replayer_os.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_MAX = 512, BATCH = 8 }; // a batch is one schedule of each strategy of the portfolio

struct pair {
    char scenario[64], route[192];
    struct replay_input input;
    struct replay_trial trial;
};

struct finding {
    struct pair pairs[PAIRS_MAX];
    size_t pair_count;
    enum world_memory memory;
    uint64_t schedules, first_seed, tried;
    const char *only;
    bool shrinks;
};

static bool open_pair(struct finding *finding, struct pair *pair, const char *folder) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.scn", folder, pair->scenario);
    if (!replay_input_open(&pair->input, path, NULL, NULL, false) ||
        !replay_trial_open(&pair->trial, &pair->input, pair->route, finding->memory,
                           replay_strategy_find("portfolio")) ||
        !replay_trial_measure(&pair->trial))
        return false;
    pair->trial.strategist.environment = true;
    return true;
}

static bool read_suite(struct finding *finding, const char *suite, const char *folder) {
    char line[512];
    FILE *file = fopen(suite, "r");
    if (file == NULL)
        return false;
    bool fine = true;
    while (fine && fgets(line, sizeof line, file) != NULL) {
        struct pair *pair = &finding->pairs[finding->pair_count];
        if (line[0] == '#' || sscanf(line, "%63s %191s", pair->scenario, pair->route) != 2)
            continue;
        if (finding->only != NULL && strcmp(finding->only, pair->route) != 0)
            continue;
        fine = finding->pair_count < PAIRS_MAX - 1 && open_pair(finding, pair, folder);
        finding->pair_count++;
    }
    fclose(file);
    return fine && finding->pair_count > 0;
}

static void report(const struct finding *finding, const struct pair *pair, uint64_t seed,
                   const struct replay_outcome *outcome) {
    printf("found in %" PRIu64 " schedules: %s, route %s, seed %" PRIu64 ": %s: %s\n",
           finding->tried, pair->scenario, pair->route, seed,
           world_oracle_name(outcome->violation.oracle), outcome->violation.text);
}

static void shrink(const struct finding *finding, struct pair *pair, uint64_t seed,
                   const struct replay_outcome *outcome) {
    struct replay_small small;
    uint64_t begun_ns = replay_os_processor_ns();
    bool fine = replay_shrink(&pair->trial, pair->route, finding->memory, seed, outcome, &small);
    if (fine)
        printf("small: %u operations, %u preemptions, %" PRIu64 " runs, %.2f s\nsmall:%s\n",
               small.operations, small.preemptions, small.runs,
               (double)(replay_os_processor_ns() - begun_ns) / 1e9,
               replay_scenario_line(small.input.scenario));
    else
        printf("small: none\n");
    replay_small_free(&small);
}

// 1: found.
static int explore_pair(struct finding *finding, struct pair *pair, uint64_t round) {
    for (uint64_t i = 0; i < BATCH && finding->tried < finding->schedules; i++) {
        struct replay_outcome outcome;
        uint64_t seed = finding->first_seed + round * BATCH + i;
        if (!replay_trial_run(&pair->trial, seed, NULL, &outcome))
            return 2;
        finding->tried++;
        if (outcome.end != WORLD_DONE) {
            report(finding, pair, seed, &outcome);
            if (finding->shrinks)
                shrink(finding, pair, seed, &outcome);
            return 1;
        }
    }
    return 0;
}

static int explore(struct finding *finding) {
    int status = 0;
    for (uint64_t round = 0; status == 0 && finding->tried < finding->schedules; round++)
        for (size_t i = 0; i < finding->pair_count && status == 0; i++)
            status = explore_pair(finding, &finding->pairs[i], round);
    if (status == 0)
        printf("nothing in %" PRIu64 " schedules of %zu scenarios and routes\n", finding->tried,
               finding->pair_count);
    return status;
}

int replay_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return REPLAY_USAGE;
}

static bool take_option(struct finding *finding, const char *word) {
    if (strcmp(word, "--memory=sc") == 0)
        finding->memory = WORLD_MEMORY_SC;
    else if (strcmp(word, "--memory=c11") == 0)
        finding->memory = WORLD_MEMORY_C11;
    else if (strncmp(word, "--schedules=", 12) == 0)
        finding->schedules = strtoull(word + 12, NULL, 10);
    else if (strncmp(word, "--seed=", 7) == 0)
        finding->first_seed = strtoull(word + 7, NULL, 10);
    else if (strncmp(word, "--only=", 7) == 0)
        finding->only = word + 7;
    else if (strcmp(word, "--shrink") == 0)
        finding->shrinks = true;
    else
        return false;
    return true;
}

int main(int argc, char **argv) {
    static struct finding finding = {.schedules = 100000, .first_seed = 1};
    int next = 1;
    if (argc == 2 && strcmp(argv[1], "--sources") == 0) {
        printf("%s\n", world_source_hash());
        return 0;
    }
    while (next < argc && argv[next][0] == '-' && take_option(&finding, argv[next]))
        next++;
    if (argc - next != 2 || !read_suite(&finding, argv[next], argv[next + 1])) {
        fprintf(stderr, "usage: mutants_find [--memory=c11] [--schedules=N] [--seed=N] "
                        "[--only=ROUTE] [--shrink] SUITE SCENARIO_DIR\n");
        return 2;
    }
    return explore(&finding);
}
