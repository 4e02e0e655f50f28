// haksim.c: the haksim tool: its table of subcommands.
#include "haksim.h"
#include "hak_version.h"
#include "nearest.h"
#include "sim_os.h"
#include "tint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *meaning;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", "one workload under one or more routes", haksim_run_command},
    {"domino", "pages that adoption took from their owners, and what that led to",
     haksim_domino_command},
    {"ablate", "what each of the seed's flaws costs, alone and with the others",
     haksim_ablate_command},
    {"seed-table", "the seed document's table, run again and judged", haksim_seed_table_command},
    {"calibrate", "this machine's costs, measured and written as a machine's file",
     haksim_calibrate_command},
    {"sweep", "every point of a grid, resumable, and which route to use where",
     haksim_sweep_command},
    {"validate", "the model against real threads of this machine", haksim_validate_command},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static bool tinted; // errors stand out in colour

int haksim_fail(const char *format, ...) {
    va_list arguments;
    fputs(TRACE_TINT_NAME("haksim", tinted), stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return HAKSIM_USAGE;
}

static void print_help(void) {
    puts("Usage: haksim COMMAND [OPTIONS]\n"
         "Simulate MF2: the real allocator's code, threads in virtual time, modelled costs.\n"
         "\n"
         "Commands:");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-11s %s\n", commands[i].name, commands[i].meaning);
    puts("\n"
         "Options:\n"
         "  -q, --quiet        print nothing but errors, and no progress\n"
         "      --json         print the result as JSON instead of the table\n"
         "      --color=WHEN   errors in colour: auto (default), always or never\n"
         "      --help         print this help; haksim COMMAND --help for a command's options\n"
         "      --version      print version and commit\n"
         "\n"
         "Example:\n"
         "  haksim run --workload=larson,rounds=1 --geometry=seed --route=cda,s2,best\n"
         "\n"
         "Exit status: 0 fine; 1 a check of the allocator failed; 2 usage or bad input;\n"
         "130 interrupted, results so far are written.");
}

static const char *command_names(void) {
    static char names[128];
    for (size_t i = 0, used = 0; i < COMMAND_COUNT && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                                 commands[i].name);
    return names;
}

static int refuse(const char *word) {
    static const char *const options[] = {"help", "version"};
    const char *option =
        word[0] == '-' ? trace_nearest(word + strspn(word, "-"), options, 2) : NULL;
    if (option)
        return haksim_fail("unknown option '%s'; did you mean --%s?", word, option);
    if (word[0] == '-')
        return haksim_fail("unknown option '%s' (see haksim --help)", word);
    const char *names[COMMAND_COUNT];
    char meant[TRACE_MEANT_BYTES];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    return haksim_fail("unknown command '%s'; expected %s%s (see haksim --help)", word,
                       command_names(), trace_meant(meant, "", word, names, COMMAND_COUNT));
}

int main(int argc, char **argv) {
    static char name[] = "haksim"; // what getopt puts before its errors
    const char *when = trace_tint_take(&argc, argv, sim_os_has_terminal(), &tinted);
    if (when)
        return haksim_fail("--color=%s: expected auto, always or never", when);
    if (argc < 2)
        return haksim_fail("expected a command: %s (see haksim --help)", command_names());
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return HAKSIM_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("haksim " HAK_VERSION " (" HAK_COMMIT ")");
        return HAKSIM_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            argv[1] = name;
            return commands[i].run(argc - 1, argv + 1);
        }
    return refuse(argv[1]);
}
