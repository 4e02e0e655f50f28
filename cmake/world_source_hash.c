// world_source_hash: writes a C file that defines world_source_hash() for the sources named.
//
//     world_source_hash OUT.c SOURCE…
//
// Runs while hak is built. The hash is XXH3-64 over base name and content of every source, sorted
// by base name: the same sources give the same hash wherever they lie.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int by_base_name(const void *a, const void *b) {
    return strcmp(base_name(*(char *const *)a), base_name(*(char *const *)b));
}

static int add_file(XXH3_state_t *state, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        return -1;
    }
    XXH3_64bits_update(state, base_name(path), strlen(base_name(path)) + 1);
    char buffer[65536];
    size_t bytes;
    while ((bytes = fread(buffer, 1, sizeof buffer, file)) > 0) {
        XXH3_64bits_update(state, buffer, bytes);
    }
    int failed = ferror(file);
    fclose(file);
    return failed ? -1 : 0;
}

static int write_source(const char *path, uint64_t hash) {
    FILE *file = fopen(path, "w");
    if (!file) {
        return -1;
    }
    fprintf(file,
            "// Written by the build: names the sources of MF2 that this machine was made from.\n"
            "#include \"world.h\"\n\n"
            "const char *world_source_hash(void) { return \"%016llx\"; }\n",
            (unsigned long long)hash);
    return fclose(file);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "world_source_hash: expected OUT.c SOURCE...\n");
        return 2;
    }
    XXH3_state_t *state = XXH3_createState();
    XXH3_64bits_reset(state);
    qsort(argv + 2, (size_t)(argc - 2), sizeof *argv, by_base_name);
    for (int i = 2; i < argc; i++) {
        if (add_file(state, argv[i])) {
            fprintf(stderr, "world_source_hash: %s: cannot be read\n", argv[i]);
            return 2;
        }
    }
    uint64_t hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    if (write_source(argv[1], hash)) {
        fprintf(stderr, "world_source_hash: %s: cannot be written\n", argv[1]);
        return 2;
    }
    return 0;
}
