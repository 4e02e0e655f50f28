// hakpairs.c: the loops whose instructions bench/instructions counts: malloc and free on one
// thread, without checks and without touching the blocks.
//
//   hakpairs LOOP OPERATIONS [null]     null: the same loop without malloc and free
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_FAILED 1
#define STATUS_USAGE  2
#define SLOTS         1000u

static void *slots[SLOTS];

// What stands in for malloc and free in a null run is as cheap as can be.
static void one_pair(uint64_t operations, bool null) {
    for (uint64_t i = 0; i < operations; i++) {
        void *volatile block = null ? slots : malloc(64);
        if (!null)
            free(block);
    }
}

static bool replace(uint64_t operations, uint32_t least, uint32_t most, bool null) {
    uint64_t random = 88172645463325252u;
    for (uint64_t i = 0; i < operations; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        void *volatile *slot = &slots[(random >> 32) % SLOTS];
        size_t bytes = least + (uint32_t)random % (most - least);
        if (null) {
            *slot = (void *)bytes;
            continue;
        }
        free(*slot);
        if (!(*slot = malloc(bytes)))
            return false;
    }
    return true;
}

static int usage(void) {
    fprintf(stderr,
            "hakpairs: expected pairs-64|small|middle, a number of operations, and [null]\n");
    return STATUS_USAGE;
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4 || (argc == 4 && strcmp(argv[3], "null") != 0))
        return usage();
    bool null = argc == 4, done = true;
    uint64_t operations = strtoull(argv[2], NULL, 10);
    if (strcmp(argv[1], "pairs-64") == 0)
        one_pair(operations, null);
    else if (strcmp(argv[1], "small") == 0)
        done = replace(operations, 16, 1024, null);
    else if (strcmp(argv[1], "middle") == 0)
        done = replace(operations, 2048, 32768, null);
    else
        return usage();
    if (!done)
        fprintf(stderr, "hakpairs: no memory\n");
    return done ? EXIT_SUCCESS : STATUS_FAILED;
}
