// hakreplay.c: the hakreplay tool: its table of subcommands. The first word chooses one; without
// such a word the line is a replay.
#include "replayer.h"

#include "hak_version.h"
#include "measure.h"
#include "replayer_os.h"
#include "nearest.h"
#include "tint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct replay_command commands[] = {
    {"replay", "[OPTIONS] trace.zst|NAME.scn",
     "Plays a recorded program to MF2 and writes NAME.replay.json.",
     "--route=s2,best --order=dataflow --seed=7 trace.zst", "rOSpsgtaojq", replay_command_replay},
    {"explore", "explore [OPTIONS] trace.zst|NAME.scn",
     "Tries many schedules; on a violation writes it to NAME-SEED.hks and ends with status 1.",
     "explore --route=cda --budget=60s hand-over.scn", "rWSsnbemigaoq", replay_command_explore},
    {"repro", "repro [OPTIONS] FAIL.hks",
     "Plays a failing schedule again and prints what happened last, one column a thread.",
     "repro hand-over-17.hks", "xaqGP", replay_command_repro},
    {"measure", "measure [OPTIONS] trace.zst",
     "Measures real allocators on real threads and writes NAME.measure.json.", NULL, NULL, NULL},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static bool tinted; // errors stand out in colour

int replay_fail(const char *format, ...) {
    va_list arguments;
    fputs(TRACE_TINT_NAME("hakreplay", tinted), stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return REPLAY_USAGE;
}

static int print_help(void) {
    puts("Usage:");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  hakreplay %s\n        %s\n", commands[i].usage, commands[i].summary);
    puts("\nOptions of a replay (explore, repro and measure list theirs with --help):");
    replay_print_options(commands[0].letters);
    puts("  --color=WHEN             errors in colour: auto (default), always or never");
    puts("\nExamples:\n"
         "  hakreplay trace.zst\n"
         "  hakreplay --route=cda,s2,orphans=strand,best trace.zst\n"
         "  hakreplay --order=dataflow --strategy=random --seed=7 trace.zst\n"
         "  hakreplay explore --route=cda --budget=60s hand-over.scn\n"
         "\nExit status: 0 fine; 1 a violation was found; 2 usage or bad input; 3 a schedule did\n"
         "not play as recorded; 130 interrupted, with what there was written.");
    return REPLAY_OK;
}

static int print_version(void) {
    printf("hakreplay %s (%s), MF2 sources %s\n", HAK_VERSION, HAK_COMMIT, world_source_hash());
    return REPLAY_OK;
}

static int run(const struct replay_command *command, int argc, char **argv) {
    struct replay_options options;
    int status;
    if (replay_options_parse(command, argc, argv, &options, &status))
        status = command->run(&options);
    program_routes_free(&options.routes);
    return status;
}

// A word that is no file's and nearly a command's; NULL if it is not.
static const char *misspelt_command(int argc, char **argv) {
    const char *names[COMMAND_COUNT];
    size_t count = 0;
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, "replay") != 0)
            names[count++] = commands[i].name;
    bool may_be = argc > 2 && argv[1][0] != '-' && strpbrk(argv[1], "./") == NULL;
    return may_be ? trace_nearest(argv[1], names, count) : NULL;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2)
        return replay_fail("expected a trace, or a command such as explore (see hakreplay --help)");
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--version") == 0)
            return print_version();
    if (strcmp(argv[1], "--help") == 0)
        return print_help();
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run == NULL ? measure_command(argc - 1, argv + 1)
                                           : run(&commands[i], argc - 1, argv + 1);
    const char *meant = misspelt_command(argc, argv);
    if (meant != NULL)
        return replay_fail("unknown command '%s'; did you mean %s?", argv[1], meant);
    return run(&commands[0], argc, argv);
}

int main(int argc, char **argv) {
    const char *when = trace_tint_take(&argc, argv, replay_os_stderr_is_terminal(), &tinted);
    if (when != NULL)
        return replay_fail("--color=%s: expected auto, always or never", when);
    int status = dispatch(argc, argv);
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE)
        return replay_fail("cannot write standard output: %s", strerror(errno));
    return status;
}
