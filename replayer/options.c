// options.c: the command line of every subcommand. Owns names and values of options; each command
// says in its row of hakreplay.c which of them it takes.
#include "replayer.h"

#include "nearest.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct option_row {
    char letter;
    const char *name;
    const char *value; // as the help names it; NULL where the option has none
    const char *usage;
    const char *explore_usage; // where explore means something else; NULL elsewhere
};

static const struct option_row rows[] = {
    {'r', "route", "R[,R...]",
     "presets, each with overrides: s2,orphans=strand,best; all; default best",
     "one preset with its overrides: s2,orphans=strand; default best"},
    {'O', "order", "ORDER", "strict (as recorded), window or dataflow; default strict", NULL},
    {'W', "order", "ORDER", "dataflow (default), or window: what times tell apart stays in order",
     NULL},
    {'S', "strategy", "STRATEGY",
     "order strict: recorded; dataflow: random (default), recorded, schedule, or\nas explore",
     "portfolio (default), random, pct, pos, urw, surw, bounded, starving, adversarial,\n"
     "round-robin, recorded or exhaustive"},
    {'p', "schedule", "FILE", "the schedule that strategy `schedule` plays", NULL},
    {'s', "seed", "N", "of the strategy; default 1", "of the first schedule; default 1"},
    {'n', "schedules", "N", "how many to try; default 10000, or what --budget allows", NULL},
    {'b', "budget", "TIME", "for how long to try: 90s, 15m, 8h", NULL},
    {'e', "environment", "on|off",
     "clock jumps, spurious wake-ups and failures as well, in every second schedule;\ndefault on",
     NULL},
    {'i', "minimise", "on|off", "write a failure made smaller, too; default on", NULL},
    {'G', "gdb", NULL, "under gdb, stopped at the step", NULL},
    {'P', "step", "POINT", "for --gdb: that point; default where the oracle fired", NULL},
    {'m', "memory", "sc|c11",
     "a load reads the newest store (sc, default), or any that C11 allows; then races\ncount, too",
     NULL},
    {'g', "geometry", "G", "default, seed or scenario; default default, or what the scenario says",
     NULL},
    {'t', "stamps", NULL, "write and check a stamp at both ends of every block", NULL},
    {'a', "allow-anomalies", NULL, "play a trace although its order is anomalous", NULL},
    {'x', "allow-other-sources", NULL, "play although MF2's sources have changed since", NULL},
    {'o', "output", "FILE", "write there (-o FILE)", NULL},
    {'j', "json", NULL, "print the result as JSON instead of a table", NULL},
    {'q', "quiet", NULL, "print nothing but errors, and no progress (-q)", NULL},
    {'L', "list-routes", NULL, "print presets and switches, and end", NULL},
    {'h', "help", NULL, "print this help, and end", NULL},
    {'V', "version", NULL, "print version and commit, and end", NULL},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

#define ALWAYS       "hVL"
#define OPTION_WIDTH 24

static bool takes(const char *letters, char letter) {
    return strchr(letters, letter) != NULL || strchr(ALWAYS, letter) != NULL;
}

// Further lines of the text stand under its first.
static void print_option(const char *option, const char *text) {
    for (size_t length; *text != '\0'; text += length + (text[length] == '\n')) {
        length = strcspn(text, "\n");
        printf("  %-*s %.*s\n", OPTION_WIDTH, option, (int)length, text);
        option = "";
    }
}

void replay_print_options(const char *letters) {
    bool explores = !takes(letters, 'O');
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct option_row *row = &rows[i];
        char option[64];
        if (!takes(letters, row->letter))
            continue;
        snprintf(option, sizeof option, "--%s%s%s", row->name, row->value ? "=" : "",
                 row->value ? row->value : "");
        print_option(option, explores && row->explore_usage ? row->explore_usage : row->usage);
    }
}

// ---------------------------------------------------------------- routes

bool replay_routes_parse(const char *text, struct replay_options *options) {
    char message[REPLAY_TEXT_MAX];
    struct program_routes *routes = &options->routes;
    program_routes_free(routes);
    if (!program_routes_parse(text, routes, message, sizeof message)) {
        if (routes->refused == NULL)
            replay_fail("--route: %s", message);
        else
            replay_fail("--route=%s: %s", routes->refused->text, message);
        return false;
    }
    if (routes->count > REPLAY_ROUTES_MAX)
        replay_fail("--route: expected at most %d routes of at most %d characters",
                    REPLAY_ROUTES_MAX, PROGRAM_ROUTE_TEXT_MAX - 1);
    return routes->count <= REPLAY_ROUTES_MAX;
}

static void list_routes(void) {
    printf("presets:\n");
    for (size_t i = 0; i < mf2_route_preset_count; i++)
        printf("  %-14s %s%s\n", mf2_route_presets[i].name, mf2_route_presets[i].meaning,
               strcmp(mf2_route_presets[i].name, MF2_ROUTE_DEFAULT) == 0 ? " (default)" : "");
    printf("\nswitches, as overrides after a preset (s2,orphans=strand):\n");
    char value[64];
    const char *name;
    const struct mf2_route *route = &mf2_route_presets[0].route;
    for (size_t i = 0; (name = mf2_route_switch(route, i, value, sizeof value)) != NULL; i++)
        printf("  %-14s %-26s %s\n", name, mf2_route_switch_values(i), mf2_route_switch_meaning(i));
}

// ---------------------------------------------------------------- values

static bool parse_number(const char *name, const char *text, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0)
        return true;
    replay_fail("--%s: expected a number, found \"%s\"", name, text);
    return false;
}

const char *replay_order_name(enum program_order order) {
    static const char *const names[] = {
        [PROGRAM_STRICT] = "strict", [PROGRAM_WINDOW] = "window", [PROGRAM_DATAFLOW] = "dataflow"};
    return names[order];
}

enum program_order replay_order_of(const char *name) {
    return strcmp(name, "window") == 0 ? PROGRAM_WINDOW : PROGRAM_DATAFLOW;
}

static bool parse_order(const char *text, bool explores, struct replay_options *options) {
    options->has_order = true;
    for (int order = explores ? PROGRAM_WINDOW : PROGRAM_STRICT; order <= PROGRAM_DATAFLOW; order++)
        if (strcmp(text, replay_order_name((enum program_order)order)) == 0) {
            options->order = (enum program_order)order;
            return true;
        }
    static const char *const names[] = {"strict", "window", "dataflow"};
    char meant[TRACE_MEANT_BYTES];
    replay_fail("unknown order \"%s\": expected %swindow or dataflow%s", text,
                explores ? "" : "strict, ",
                trace_meant(meant, "", text, names + explores, 3u - explores));
    return false;
}

static bool parse_strategy(const char *text, struct replay_options *options) {
    options->strategy = text;
    options->has_strategy = true;
    if (replay_strategy_find(text) != NULL || strcmp(text, "schedule") == 0)
        return true;
    static const char *const names[] = {
        "recorded", "round-robin", "random",    "pct",      "pos",        "urw",        "surw",
        "bounded",  "starving",    "portfolio", "schedule", "exhaustive", "adversarial"};
    char meant[TRACE_MEANT_BYTES];
    replay_fail("unknown strategy \"%s\": expected %s or schedule%s", text, replay_strategy_names(),
                trace_meant(meant, "", text, names, sizeof names / sizeof names[0]));
    return false;
}

static bool parse_geometry(const char *text, struct replay_options *options) {
    static const char *const names[] = {"default", "seed", "scenario"};
    char meant[TRACE_MEANT_BYTES];
    options->geometry = mf2_geometry_find(text);
    if (options->geometry == NULL)
        replay_fail("unknown geometry \"%s\": expected default, seed or scenario%s", text,
                    trace_meant(meant, "", text, names, sizeof names / sizeof names[0]));
    return options->geometry != NULL;
}

static bool parse_schedule_count(const char *text, struct replay_options *options) {
    if (!parse_number("schedules", text, &options->schedules))
        return false;
    options->has_schedules = true;
    if (options->schedules == 0)
        replay_fail("--schedules: expected at least 1");
    return options->schedules > 0;
}

// A number and s, m or h.
static bool parse_budget(const char *text, struct replay_options *options) {
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    uint64_t seconds = strcmp(end, "s") == 0   ? 1
                       : strcmp(end, "m") == 0 ? 60
                       : strcmp(end, "h") == 0 ? 3600
                                               : 0;
    bool fine = text[0] >= '0' && text[0] <= '9' && errno == 0 && seconds != 0 && number != 0 &&
                number <= 1000000;
    if (!fine)
        replay_fail("--budget: expected a time like 90s, 15m or 8h, found \"%s\"", text);
    options->budget_ns = number * seconds * UINT64_C(1000000000);
    return fine;
}

static bool parse_switch(const char *name, const char *text, bool *on) {
    *on = strcmp(text, "on") == 0;
    if (*on || strcmp(text, "off") == 0)
        return true;
    replay_fail("--%s: expected on or off, found \"%s\"", name, text);
    return false;
}

static const char *const memory_names[] = {[WORLD_MEMORY_SC] = "sc", [WORLD_MEMORY_C11] = "c11"};

const char *replay_memory_name(enum world_memory memory) {
    return memory_names[memory];
}

enum world_memory replay_memory_of(const char *name) {
    return strcmp(name, memory_names[WORLD_MEMORY_C11]) == 0 ? WORLD_MEMORY_C11 : WORLD_MEMORY_SC;
}

static bool parse_memory(const char *text, struct replay_options *options) {
    options->memory = replay_memory_of(text);
    if (strcmp(text, replay_memory_name(options->memory)) == 0)
        return true;
    replay_fail("--memory: expected sc or c11, found \"%s\"", text);
    return false;
}

static bool set_option(char letter, const char *value, struct replay_options *options) {
    switch (letter) {
    case 'r':
        options->has_route = true;
        return replay_routes_parse(value, options);
    case 'O':
        return parse_order(value, false, options);
    case 'W':
        return parse_order(value, true, options);
    case 'S':
        return parse_strategy(value, options);
    case 'p':
        options->schedule = value;
        return true;
    case 's':
        return parse_number("seed", value, &options->seed);
    case 'n':
        return parse_schedule_count(value, options);
    case 'b':
        return parse_budget(value, options);
    case 'e':
        return parse_switch("environment", value, &options->environment);
    case 'i':
        return parse_switch("minimise", value, &options->minimise);
    case 'G':
        options->gdb = true;
        return true;
    case 'P':
        return parse_number("step", value, &options->step);
    case 'm':
        return parse_memory(value, options);
    case 'g':
        return parse_geometry(value, options);
    case 't':
        options->stamps = true;
        return true;
    case 'a':
        options->allow_anomalies = true;
        return true;
    case 'x':
        options->allow_other_sources = true;
        return true;
    case 'o':
        options->output = value;
        return true;
    case 'j':
        options->json = true;
        return true;
    default:
        options->quiet = true;
        return true;
    }
}

// ---------------------------------------------------------------- the line

static void fill_long_options(const char *letters, struct option *long_options) {
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (takes(letters, rows[i].letter))
            long_options[count++] =
                (struct option){rows[i].name, rows[i].value ? required_argument : no_argument, NULL,
                                rows[i].letter};
    long_options[count] = (struct option){0};
}

static bool refuse_option(const char *letters, int argc, char **argv) {
    const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "", *names[ROW_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (takes(letters, rows[i].letter))
            names[count++] = rows[i].name;
    const char *nearest =
        strncmp(word, "--", 2) == 0 ? trace_nearest(word + 2, names, count) : NULL;
    if (nearest != NULL && strncmp(word + 2, nearest, strlen(nearest)) != 0)
        replay_fail("%s: unknown option; did you mean --%s?", word, nearest);
    else
        replay_fail("%s: unknown option, or its value is missing or not wanted; see hakreplay "
                    "--help",
                    word);
    return false;
}

static bool check_together(const struct replay_command *command, struct replay_options *options) {
    bool strict = options->order == PROGRAM_STRICT;
    if (strict && options->has_strategy && strcmp(options->strategy, "recorded") != 0) {
        replay_fail("--strategy=%s means nothing in order strict; add --order=dataflow",
                    options->strategy);
        return false;
    }
    bool plays = strcmp(options->strategy, "schedule") == 0;
    if (plays != (options->schedule != NULL)) {
        replay_fail("--strategy=schedule and --schedule=FILE belong together");
        return false;
    }
    if (options->input == NULL) {
        replay_fail("expected: hakreplay %s", command->usage);
        return false;
    }
    return true;
}

static bool take_operand(const struct replay_command *command, int argc, char **argv,
                         struct replay_options *options) {
    if (optind < argc)
        options->input = argv[optind++];
    if (optind < argc)
        replay_fail("%s: one input at a time; expected: hakreplay %s", argv[optind],
                    command->usage);
    return optind >= argc;
}

static void print_help(const struct replay_command *command) {
    printf("Usage: hakreplay %s\n%s\n\n", command->usage, command->summary);
    replay_print_options(command->letters);
    printf("\nExample:\n  hakreplay %s\n", command->example);
}

bool replay_options_parse(const struct replay_command *command, int argc, char **argv,
                          struct replay_options *options, int *status) {
    struct option long_options[ROW_COUNT + 1];
    fill_long_options(command->letters, long_options);
    *options = (struct replay_options){.strategy = "random",
                                       .seed = 1,
                                       .schedules = 10000,
                                       .environment = true,
                                       .minimise = true,
                                       .step = UINT64_MAX};
    if (!takes(command->letters, 'O')) {
        options->order = PROGRAM_DATAFLOW;
        options->strategy = "portfolio";
    }
    replay_routes_parse(MF2_ROUTE_DEFAULT, options);
    *status = REPLAY_USAGE;
    opterr = 0;
    int letter;
    while ((letter = getopt_long(argc, argv, takes(command->letters, 'o') ? "o:qh" : "qh",
                                 long_options, NULL)) != -1) {
        if (letter == '?')
            return refuse_option(command->letters, argc, argv);
        if (letter == 'h' || letter == 'L') {
            letter == 'h' ? print_help(command) : list_routes();
            *status = REPLAY_OK;
            return false;
        }
        if (!set_option((char)letter, optarg, options))
            return false;
    }
    return take_operand(command, argc, argv, options) && check_together(command, options);
}
