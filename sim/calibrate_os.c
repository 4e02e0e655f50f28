// calibrate_os.c: see calibrate_os.h.
//
// Owns: which cores there are and how they stand, repeats and medians, and the costs that are
// instructions only (MF2's, the made-up program's). The rest is in calibrate_*_os.c.
#include "calibrate.h"
#include "workload.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

#define BLOCKS       250
#define BLOCK_LEAST  16
#define BLOCK_SPREAD 1008
#define PAIRS_SHARE  8 // of the shortest loops' turns

// One thread that replaces one of its blocks again and again, as a workload does it through its
// host: a free, a malloc, two bytes written, two numbers drawn.
struct pairs {
    void *(*allocate)(size_t bytes);
    void (*release)(void *block);
};

static bool pairs_allocate(void *self, size_t bytes, struct workload_block *block) {
    const struct pairs *pairs = self;
    *block = (struct workload_block){pairs->allocate(bytes), 0, (uint32_t)bytes, 0};
    return true;
}

static void pairs_release(void *self, struct workload_block *block) {
    const struct pairs *pairs = self;
    pairs->release(block->address);
    block->address = NULL;
}

static void pairs_write(void *self, struct workload_block *block) {
    (void)self;
    volatile char *bytes = block->address;
    bytes[0] = 'a';
    if (block->bytes > 1)
        bytes[1] = 'b';
}

// A host that the compiler does not know, as a workload does not.
static const struct workload_host *host_of(struct workload_host *parts, void *self) {
    *parts = (struct workload_host){
        .self = self, .allocate = pairs_allocate, .release = pairs_release, .write = pairs_write};
    const struct workload_host *volatile shown = parts;
    return shown;
}

// Of a pair, with two numbers drawn.
static double measure_pairs(const struct calibrate *run, const struct pairs *pairs) {
    struct workload_host parts;
    const struct workload_host *host = host_of(&parts, (void *)(uintptr_t)pairs);
    struct workload_block blocks[BLOCKS];
    struct sim_lran2 random;
    sim_lran2_begin(&random, 12345);
    for (size_t i = 0; i < BLOCKS; i++)
        host->allocate(host->self, BLOCK_LEAST, &blocks[i]);
    uint64_t turns = run->loops / PAIRS_SHARE + 1;
    double began = calibrate_now_ns();
    for (uint64_t i = 0; i < turns; i++) {
        struct workload_block *block = &blocks[sim_lran2_next(&random) % BLOCKS];
        host->release(host->self, block);
        host->allocate(host->self, BLOCK_LEAST + sim_lran2_next(&random) % BLOCK_SPREAD, block);
        host->write(host->self, block);
    }
    double ns = (calibrate_now_ns() - began) / (double)turns;
    for (size_t i = 0; i < BLOCKS; i++)
        host->release(host->self, &blocks[i]);
    return ns;
}

// Of one call where nothing is drawn: 64 blocks of 16 to 1,023 bytes are taken, written to and
// freed.
#define ROW 64

static double measure_calls(const struct calibrate *run, const struct pairs *pairs) {
    struct workload_host parts;
    const struct workload_host *host = host_of(&parts, (void *)(uintptr_t)pairs);
    struct workload_block blocks[ROW];
    uint64_t turns = run->loops / PAIRS_SHARE / ROW + 1;
    double began = 0;
    for (uint64_t i = 0; i < 2 * turns; i++) {
        if (i == turns) // the first half makes the fronts
            began = calibrate_now_ns();
        for (size_t j = 0; j < ROW; j++) {
            host->allocate(host->self, BLOCK_LEAST + j * 1237 % BLOCK_SPREAD, &blocks[j]);
            host->write(host->self, &blocks[j]);
        }
        for (size_t j = 0; j < ROW; j++)
            host->release(host->self, &blocks[j]);
    }
    return (calibrate_now_ns() - began) / (double)(turns * ROW * 2);
}

static int open_malloc(const char *path, struct pairs *pairs, char *message, size_t message_size) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(message, message_size, "%s", dlerror());
        return -1;
    }
    *(void **)&pairs->allocate = dlsym(library, "malloc");
    *(void **)&pairs->release = dlsym(library, "free");
    if (pairs->allocate && pairs->release)
        return 0;
    snprintf(message, message_size, "%s: expected malloc and free in it", path);
    return -1;
}

// In a process of its own, since a library takes its route once, when it is loaded.
struct routed {
    const char *path, *route;
    double (*measure)(const struct calibrate *run, const struct pairs *pairs);
    double less_ns;    // taken off
    double share;      // of the rest
    char message[256]; // why it could not be measured; empty: it could
};

struct answer {
    double ns;
    char message[256];
};

static double measure_routed(const struct calibrate *run, void *self) {
    struct routed *routed = self;
    struct answer answer = {.ns = -1};
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        struct pairs pairs = {0};
        setenv("MF2_ROUTE", routed->route, 1);
        if (open_malloc(routed->path, &pairs, answer.message, sizeof answer.message) == 0) {
            routed->measure(run, &pairs);
            answer.ns = routed->measure(run, &pairs);
        }
        _exit(write(ends[1], &answer, sizeof answer) != sizeof answer);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &answer, sizeof answer) != sizeof answer)
        snprintf(answer.message, sizeof answer.message, "%s: malloc and free could not be measured",
                 routed->path);
    close(ends[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    snprintf(routed->message, sizeof routed->message, "%s", answer.message);
    if (answer.ns < 0)
        return -1;
    return answer.ns > routed->less_ns ? routed->share * (answer.ns - routed->less_ns) : 0;
}

// Accesses to lines at hand in a pair of calls under `cda`, as haksim run counts them
// (--workload=larson,generations=1,rounds=400,chunks=250,min=16,max=1024, one thread: points for
// each step, less the operation's own, twice).
#define SLOW_POINTS 3

static int calibrate_instructions(const struct calibrate *run, const char *path,
                                  struct sim_calibration *calibration, char *message,
                                  size_t message_size) {
    double at_hand_ns = calibration->costs.line_same_core.value_ns; // the two bytes' line as well
    struct sim_calibrated *operation = &calibration->costs.operation;
    struct sim_calibrated *program = &calibration->costs.program;
    struct routed calls = {.path = path,
                           .route = "best",
                           .measure = measure_calls,
                           .less_ns = at_hand_ns / 2,
                           .share = 1};
    struct routed pairs = {.path = path, .route = "best", .measure = measure_pairs, .share = .5};
    struct routed slow = {.path = path, .route = "cda", .measure = measure_pairs, .share = .5};
    calibrate_repeat(run, operation,
                     "64 blocks of 16 to 1,023 bytes taken and freed, route best, per call, less "
                     "the write",
                     measure_routed, &calls);
    if (calls.message[0]) {
        snprintf(message, message_size, "%s", calls.message);
        return -1;
    }
    pairs.less_ns = 2 * operation->value_ns + at_hand_ns;
    calibrate_repeat(run, program,
                     "one of 250 blocks replaced, two numbers of lran2 drawn, route best, less two "
                     "operation and the write, half",
                     measure_routed, &pairs);
    slow.less_ns = pairs.less_ns + 2 * program->value_ns + SLOW_POINTS * at_hand_ns;
    calibrate_repeat(run, &calibration->costs.slow_operation,
                     "the same, route cda, less two program and three line_same_core as well, half",
                     measure_routed, &slow);
    return 0;
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
    int failed = find_cores(&run, message, message_size);
    if (!failed) {
        describe(&run, calibration);
        calibrate_pin(run.cores[0]);
        calibrate_core(&run, calibration);
        calibrate_memory(&run, calibration);
        calibrate_pairs(&run, calibration);
        calibrate_threads(&run, calibration);
        if (options->malloc_path)
            failed = calibrate_instructions(&run, options->malloc_path, calibration, message,
                                            message_size);
        calibrate_unpin(&run);
    }
    return failed;
}
