// calibrate_os.c: see calibrate_os.h.
//
// Owns: which cores there are and how they stand, repeats and medians, and the two costs that are
// instructions only (MF2's fast path, the made-up program). The rest is in calibrate_*_os.c.
#include "calibrate.h"
#include "lran2.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// ---------------------------------------------------------------- tools

void calibrate_pin(uint32_t core) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(core, &only);
    sched_setaffinity(0, sizeof only, &only);
}

void calibrate_unpin(const struct calibrate *run) {
    cpu_set_t all;
    CPU_ZERO(&all);
    for (uint32_t i = 0; i < run->core_count; i++)
        CPU_SET(run->cores[i], &all);
    sched_setaffinity(0, sizeof all, &all);
}

double calibrate_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void calibrate_repeat(const struct calibrate *run, struct sim_calibrated *figure, const char *what,
                      double (*measure)(const struct calibrate *run, void *self), void *self) {
    struct calibrate_series series = {0};
    for (unsigned i = 0; i < run->repeats; i++) {
        double value = measure(run, self);
        if (value >= 0)
            series.values[series.count++] = value;
    }
    if (series.count == 0)
        return;
    qsort(series.values, series.count, sizeof series.values[0], by_value);
    *figure = (struct sim_calibrated){.value_ns = series.values[series.count / 2],
                                      .low_ns = series.values[0],
                                      .high_ns = series.values[series.count - 1],
                                      .measured = true};
    snprintf(figure->source, sizeof figure->source, "measured here: %s; median of %u, %.3g to %.3g",
             what, series.count, figure->low_ns, figure->high_ns);
}

void calibrate_as(struct sim_calibrated *figure, const struct sim_calibrated *other,
                  const char *why) {
    *figure = *other;
    figure->measured = false;
    snprintf(figure->source, sizeof figure->source, "%s", why);
}

// ---------------------------------------------------------------- the machine

static void read_line(const char *path, char *line, size_t size) {
    FILE *file = fopen(path, "re");
    line[0] = '\0';
    if (file) {
        if (!fgets(line, (int)size, file))
            line[0] = '\0';
        fclose(file);
    }
    line[strcspn(line, "\n")] = '\0';
}

static void name_processor(char *name, size_t size) {
    char line[256];
    snprintf(name, size, "unknown processor");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon[1 + strcspn(colon + 1, "\n")] = '\0';
        snprintf(name, size, "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    fclose(file);
}

// How many of this process's cores a list like "0-3,8" names.
static uint32_t cores_in_list(const struct calibrate *run, const char *list) {
    uint32_t count = 0;
    while (*list) {
        char *end;
        unsigned long from = strtoul(list, &end, 10), to = from;
        if (end == list)
            break;
        if (*end == '-')
            to = strtoul(end + 1, &end, 10);
        for (uint32_t i = 0; i < run->core_count; i++)
            count += run->cores[i] >= from && run->cores[i] <= to;
        list = *end == ',' ? end + 1 : end;
    }
    return count;
}

static uint32_t group(const struct calibrate *run, const char *file) {
    char path[128], list[256];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/%s", run->cores[0], file);
    read_line(path, list, sizeof list);
    uint32_t count = cores_in_list(run, list);
    return count && run->core_count % count == 0 ? count : 0;
}

static int find_cores(struct calibrate *run, char *message, size_t message_size) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        snprintf(message, message_size, "cannot ask which cores this process may use");
        return -1;
    }
    for (uint32_t i = 0; i < CPU_SETSIZE && run->core_count < SIM_CORE_LIMIT; i++)
        if (CPU_ISSET(i, &set))
            run->cores[run->core_count++] = i;
    return 0;
}

// Numbers cores so that siblings are neighbours, as machines do; the OS often numbers the second
// siblings after all first ones.
static void describe(struct calibrate *run, struct sim_calibration *calibration) {
    struct sim_topology *topology = &calibration->topology;
    name_processor(calibration->processor, sizeof calibration->processor);
    calibration->cores = run->core_count;
    topology->smt = group(run, "topology/thread_siblings_list");
    topology->l3 = group(run, "cache/index3/shared_cpu_list");
    topology->socket = group(run, "topology/package_cpus_list");
    topology->smt = topology->smt ? topology->smt : 1;
    if (topology->l3 % topology->smt != 0)
        topology->l3 = 0;
    if (topology->l3 && topology->socket % topology->l3 != 0)
        topology->socket = 0;
    topology->smt_slowdown_permille = 1000;
}

// ---------------------------------------------------------------- instructions

#define BLOCKS 1000

// One operation of MF2 with its front at hand: no point of MF2's is on that way.
struct allocator {
    void *(*allocate)(size_t bytes);
    void (*release)(void *block);
};

static double measure_operation(const struct calibrate *run, void *self) {
    const struct allocator *allocator = self;
    void *blocks[16];
    uint64_t turns = run->loops / 32 + 1;
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < turns; i++) {
        for (size_t j = 0; j < 16; j++)
            blocks[j] = allocator->allocate(64);
        for (size_t j = 0; j < 16; j++)
            allocator->release(blocks[j]);
    }
    return (calibrate_now_ns() - began) / (double)(turns * 32);
}

static int calibrate_operation(const struct calibrate *run, const char *path,
                               struct sim_calibrated *figure, char *message, size_t message_size) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(message, message_size, "%s", dlerror());
        return -1;
    }
    struct allocator allocator;
    *(void **)&allocator.allocate = dlsym(library, "malloc");
    *(void **)&allocator.release = dlsym(library, "free");
    if (!allocator.allocate || !allocator.release) {
        snprintf(message, message_size, "%s: expected malloc and free in it", path);
        return -1;
    }
    calibrate_repeat(run, figure, "malloc and free of 64 bytes, 16 at a time, per call",
                     measure_operation, &allocator);
    return 0; // the library stays: its threads may have begun
}

// What stands between two calls of a made-up workload: a number drawn, a slot chosen, two bytes
// written to its block.
static double measure_program(const struct calibrate *run, void *self) {
    char *bytes = self;
    struct sim_lran2 random;
    sim_lran2_begin(&random, 12345);
    uint64_t turns = run->loops / 4 + 1;
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < turns; i++) {
        char *block = bytes + sim_lran2_next(&random) % BLOCKS * 64;
        block[0] = block[1] = (char)i;
        __asm__ volatile("" ::: "memory");
    }
    return (calibrate_now_ns() - began) / (double)turns;
}

// ---------------------------------------------------------------- all of it

static void begin_with(const struct sim_machine *base, struct sim_calibration *calibration) {
    const char *from = base->name;
#define X(name, meaning)                                                                           \
    calibration->costs.name.value_ns = (double)base->costs.name##_ps / SIM_PS_PER_NS;              \
    snprintf(calibration->costs.name.source, sizeof calibration->costs.name.source,                \
             "not measured: as machine %s has it", from);
    SIM_COSTS(X)
#undef X
}

int sim_calibrate(const struct sim_calibrate_options *options, struct sim_calibration *calibration,
                  char *message, size_t message_size) {
    struct calibrate run = {.repeats = options->quick ? 3 : SIM_CALIBRATE_REPEATS,
                            .loops = options->quick ? 1 << 14 : 1 << 22};
    *calibration = (struct sim_calibration){0};
    begin_with(options->base, calibration);
    char *bytes = calloc(BLOCKS, 64);
    if (!bytes) {
        snprintf(message, message_size, "out of memory");
        return -1;
    }
    int failed = find_cores(&run, message, message_size);
    if (!failed) {
        describe(&run, calibration);
        calibrate_pin(run.cores[0]);
        calibrate_core(&run, calibration);
        calibrate_memory(&run, calibration);
        calibrate_pairs(&run, calibration);
        calibrate_threads(&run, calibration);
        calibrate_repeat(&run, &calibration->costs.program,
                         "a draw of lran2 and two bytes written to one of 1,000 blocks",
                         measure_program, bytes);
        if (options->malloc_path)
            failed = calibrate_operation(&run, options->malloc_path, &calibration->costs.operation,
                                         message, message_size);
        calibrate_unpin(&run);
    }
    free(bytes);
    return failed;
}
