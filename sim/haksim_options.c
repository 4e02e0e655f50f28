// haksim_options.c: what the subcommands' options share.
#include "haksim.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && *number >= least &&
           *number <= most;
}

int haksim_take_number(const char *name, uint64_t least, uint64_t most, uint64_t *number) {
    if (parse_number(optarg, least, most, number))
        return HAKSIM_OK;
    return haksim_fail("--%s: expected a number from %llu to %llu, found '%s'", name,
                       (unsigned long long)least, (unsigned long long)most, optarg);
}
