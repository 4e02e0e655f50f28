// tint.h: whether a tool's errors stand out in colour: --color=auto|always|never, NO_COLOR
// (no-color.org), TERM=dumb, and whether they go to a terminal. What tools print on standard output
// is never coloured: it may be a file tomorrow.
#ifndef HAK_TRACES_TINT_H
#define HAK_TRACES_TINT_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// False: `when` is none of the three words. NULL is auto.
static inline bool trace_tint_choose(const char *when, bool is_terminal, bool *tinted) {
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool dumb = terminal != NULL && strcmp(terminal, "dumb") == 0;
    *tinted = is_terminal && (no_color == NULL || no_color[0] == '\0') && !dumb;
    if (when == NULL || strcmp(when, "auto") == 0)
        return true;
    *tinted = strcmp(when, "always") == 0;
    return *tinted || strcmp(when, "never") == 0;
}

// Takes every --color=WHEN out of the line, up to "--", and chooses by the last one. Returns the
// word after the first '=' that is none of the three, else NULL.
static inline const char *trace_tint_take(int *argc, char **argv, bool is_terminal, bool *tinted) {
    static const char name[] = "--color=";
    const char *when = NULL, *wrong = NULL;
    int kept = 1;
    bool ended = false;
    for (int i = 1; i < *argc; i++) {
        ended |= strcmp(argv[i], "--") == 0;
        if (ended || strncmp(argv[i], name, sizeof name - 1) != 0) {
            argv[kept++] = argv[i];
            continue;
        }
        when = argv[i] + sizeof name - 1;
        if (!trace_tint_choose(when, is_terminal, tinted) && wrong == NULL)
            wrong = when;
    }
    if (when == NULL)
        trace_tint_choose(NULL, is_terminal, tinted);
    if (kept < *argc)
        argv[kept] = NULL;
    *argc = kept;
    return wrong;
}

// What an error line begins with: "hakreplay: ".
#define TRACE_TINT_NAME(name, tinted) ((tinted) ? "\033[1;31m" name ":\033[m " : name ": ")

#endif
