// haksim_options.c: a subcommand's command line, by its table of options.
#include "haksim.h"
#include "nearest.h"
#include "world_os.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 24
#define FIRST_VALUE 256 // above every letter

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number) {
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    bool valid =
        *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && value >= least && value <= most;
    if (valid)
        *number = value;
    return valid;
}

static int take(const struct haksim_option *option, const char *text) {
    switch (option->kind) {
    case HAKSIM_FLAG:
        *(bool *)option->target = true;
        return HAKSIM_OK;
    case HAKSIM_TEXT:
        *(const char **)option->target = text;
        return HAKSIM_OK;
    case HAKSIM_CALL:
        return option->take(text, option->target);
    case HAKSIM_NUMBER:
        break;
    }
    if (parse_number(text, option->least, option->most, option->target))
        return HAKSIM_OK;
    return haksim_fail("--%s: expected a number from %llu to %llu, found '%s'", option->name,
                       (unsigned long long)option->least, (unsigned long long)option->most, text);
}

// The table in getopt's two forms: letters, and names whose value is the place in the table.
static void for_getopt(const struct haksim_option *options, size_t count, struct option *names,
                       char *letters) {
    for (size_t i = 0; i < count; i++) {
        bool has_argument = options[i].kind != HAKSIM_FLAG;
        names[i] = (struct option){options[i].name, has_argument ? required_argument : no_argument,
                                   NULL, FIRST_VALUE + (int)i};
        if (!options[i].letter)
            continue;
        *letters++ = options[i].letter;
        if (has_argument)
            *letters++ = ':';
    }
    names[count] = (struct option){0};
    *letters = 0;
}

static const struct haksim_option *chosen(const struct haksim_option *options, size_t count,
                                          int value) {
    if (value >= FIRST_VALUE)
        return &options[value - FIRST_VALUE];
    for (size_t i = 0; i < count; i++)
        if (options[i].letter == value)
            return &options[i];
    return NULL;
}

// Before the work, not after it: may the output be written? Without a name it goes to a file here.
static int check_output(const struct haksim_option *options, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(options[i].name, "output") != 0)
            continue;
        const char *path = *(const char **)options[i].target;
        const char *why = world_os_cannot_write(path ? path : "haksim.sim.json");
        if (why)
            return path ? haksim_fail("%s: cannot write: %s", path, why)
                        : haksim_fail("this folder: cannot write: %s; --output names another", why);
    }
    return HAKSIM_OK;
}

static int refuse(const char *command, int letter, const char *word, const struct option *names) {
    const char *list[OPTIONS_MAX + 1];
    char meant[TRACE_MEANT_BYTES] = "";
    size_t count = 0;
    if (letter == ':')
        return haksim_fail("%s: %s: its value is missing", command, word);
    for (; names[count].name; count++)
        list[count] = names[count].name;
    if (strncmp(word, "--", 2) == 0)
        trace_meant(meant, "--", word + 2, list, count);
    return haksim_fail("%s: %s: unknown option, or a value that it does not take%s", command, word,
                       meant);
}

int haksim_take_options(const char *command, int argc, char **argv,
                        const struct haksim_option *options, size_t count) {
    struct option names[OPTIONS_MAX + 1];
    char letters[2 * OPTIONS_MAX + 2] = ":";
    if (count > OPTIONS_MAX)
        abort();
    for_getopt(options, count, names, letters + 1);
    int value;
    opterr = 0; // what is wrong is said here, in one line
    while ((value = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        const struct haksim_option *option = chosen(options, count, value);
        int status =
            option ? take(option, optarg) : refuse(command, value, argv[optind - 1], names);
        if (status != HAKSIM_OK)
            return status;
    }
    if (optind < argc)
        return haksim_fail("%s: unexpected argument '%s'", command, argv[optind]);
    return check_output(options, count);
}
