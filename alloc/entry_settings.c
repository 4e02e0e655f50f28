// entry_settings.c: the variables by which a user tells libmf2.so what to do: one table, printed by
// MF2_HELP=1 on stderr when the library is loaded; the program then runs as ever. Who reads a
// variable stands beside it.
#include "internal.h"
#include "platform_process.h"

#include <stdio.h>
#include <string.h>

// X(name, default, meaning)
#define SETTINGS(X)                                                                                \
    X("MF2_ROUTE", MF2_ROUTE_DEFAULT, "the policy: a preset, then switches: s2,orphans=strand")    \
    X("MF2_GEOMETRY", "default", "the size classes: default or seed")                              \
    X("MF2_HELPER", "1", "0: no thread of MF2's own; what it would give back stays")               \
    X("MF2_STATS", "0", "at the process's end: 1 a summary and counters, json one JSON object")    \
    X("MF2_STATS_FILE", "stderr", "to which file that is appended")                                \
    X("MF2_HELPER", "1", "0: no helper thread; threads that free give memory back themselves")     \
    X("MF2_VERBOSE", "0", "1: say when mallopt asks for what MF2 does not have")                   \
    X("MF2_HELP", "0", "1: print this table, and the routes, and go on")

static size_t add(char *text, size_t size, size_t length, const char *name, const char *otherwise,
                  const char *meaning) {
    int added =
        snprintf(text + length, size - length, "  %-15s %-9s %s\n", name, otherwise, meaning);
    return added < 0 || (size_t)added >= size - length ? length : length + (size_t)added;
}

__attribute__((constructor)) static void print_help(void) {
    const char *wanted = mf2_environment("MF2_HELP");
    if (!wanted || strcmp(wanted, "0") == 0)
        return;
    char text[4096];
    size_t length = (size_t)snprintf(text, sizeof text, "mf2: variables, defaults, meanings:\n");
#define X(name, otherwise, meaning)                                                                \
    length = add(text, sizeof text, length, name, otherwise, meaning);
    SETTINGS(X)
#undef X
    length += (size_t)snprintf(text + length, sizeof text - length, "mf2: routes:\n");
    for (size_t i = 0; i < mf2_route_preset_count; i++)
        length = add(text, sizeof text, length, mf2_route_presets[i].name, "",
                     mf2_route_presets[i].meaning);
    mf2_output_keep();
    mf2_output_write(NULL, text, length);
}
