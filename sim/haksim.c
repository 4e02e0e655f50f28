// haksim.c: the haksim tool: its table of subcommands.
#include "haksim.h"
#include "hak_version.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Named in the documents, and not in this version.
static const char *const planned[] = {"domino",    "ablate",   "seed-table",
                                      "calibrate", "validate", "sweep"};

int haksim_fail(const char *format, ...) {
    va_list arguments;
    fputs("haksim: ", stderr);
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
         "Commands:\n"
         "  run         one workload under one or more routes\n"
         "\n"
         "Options:\n"
         "      --help      print this help; haksim run --help for a command's options\n"
         "      --version   print version and commit\n"
         "\n"
         "Example:\n"
         "  haksim run --workload=larson,rounds=1 --geometry=seed --route=cda,s2,best\n"
         "\n"
         "Exit status: 0 fine; 1 a check of the allocator failed; 2 usage or bad input;\n"
         "130 interrupted, results so far are written.");
}

static int refuse(const char *word) {
    for (size_t i = 0; i < sizeof planned / sizeof planned[0]; i++)
        if (strcmp(word, planned[i]) == 0)
            return haksim_fail("%s: this version does not have that command yet; it has run", word);
    if (word[0] == '-')
        return haksim_fail("unknown option '%s' (see haksim --help)", word);
    return haksim_fail("unknown command '%s'; expected run (see haksim --help)", word);
}

int main(int argc, char **argv) {
    static char name[] = "haksim"; // what getopt puts before its errors
    if (argc < 2)
        return haksim_fail("expected a command: run (see haksim --help)");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return HAKSIM_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("haksim " HAK_VERSION " (" HAK_COMMIT ")");
        return HAKSIM_OK;
    }
    if (strcmp(argv[1], "run") != 0)
        return refuse(argv[1]);
    argv[1] = name;
    return haksim_run_command(argc - 1, argv + 1);
}
