// hakload.c: runs one of the simulator's workloads on real threads, with the malloc of the process.
//
//   hakload WORKLOAD[,name=value...] [--threads=N] [--seed=N] [--pinned] [--idle=SECONDS]
//   hakrec hakload larson,chunks=500        LD_PRELOAD=libmf2.so hakload mailbox
#include "hak_version.h"
#include "real_host.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATUS_FAILED 1
#define STATUS_USAGE  2

static void print_help(void) {
    printf(
        "Usage: hakload WORKLOAD[,name=value...] [--threads=N] [--seed=N] [--pinned] [--idle=S]\n"
        "Runs a workload on real threads, with whatever malloc is in place.\n\n"
        "  --threads=N   threads at a time (default 4)\n"
        "  --seed=N      seed of its random numbers (default 12345)\n"
        "  --pinned      thread i stays on core i, counted around\n"
        "  --idle=S      does nothing for S seconds at the end, and says what that cost\n"
        "  --help, --version\n\nWorkloads:\n");
    for (size_t i = 0; workload_at(i); i++) {
        const struct workload *workload = workload_at(i);
        printf("  %-10s %s\n", workload->name, workload->meaning);
        for (size_t p = 0; p < workload->parameter_count; p++)
            printf("    %-12s %s (default %" PRIu64 ")\n", workload->parameters[p].name,
                   workload->parameters[p].meaning, workload->parameters[p].value);
    }
    printf("\nExample: hakrec hakload larson,chunks=500,generations=4 --threads=4\n");
}

static int usage(const char *text, const char *what) {
    fprintf(stderr, "hakload: %s%s; see hakload --help\n", text, what);
    return STATUS_USAGE;
}

static bool number(const char *argument, const char *name, uint64_t least, uint64_t most,
                   uint64_t *value) {
    size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0)
        return false;
    char *end;
    *value = strtoull(argument + length, &end, 10);
    return end != argument + length && *end == '\0' && *value >= least && *value <= most;
}

// What malloc holds before the workload begins, in pages of 64 KiB: this program's own tables.
static size_t pages_in_use(void) {
    struct mallinfo2 held = mallinfo2();
    return (held.arena + held.hblkhd) / 65536;
}

static double seconds_between(const struct timespec *begin, const struct timespec *end) {
    return (double)(end->tv_sec - begin->tv_sec) + (double)(end->tv_nsec - begin->tv_nsec) / 1e9;
}

static void be_idle(uint64_t seconds) {
    struct timespec rest = {.tv_sec = (time_t)seconds}, begin, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    while (nanosleep(&rest, &rest) != 0)
        continue;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    printf("%-20s %.6f\n", "idle_cpu_seconds", seconds_between(&begin, &end));
}

static int run(const struct workload *workload, const struct workload_settings *settings,
               bool pinned, uint64_t idle) {
    struct real_host *host =
        real_host_create(workload->threads(settings), workload->semaphores(settings));
    void *work = host ? workload->begin(settings, real_host_interface(host)) : NULL;
    if (!work) {
        fprintf(stderr, "hakload: no memory for %s\n", workload->name);
        return STATUS_FAILED;
    }
    if (pinned)
        real_host_pin(host);
    size_t host_pages = pages_in_use();
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    real_host_run(host, workload->main, work);
    clock_gettime(CLOCK_MONOTONIC, &end);
    struct workload_count counts[WORKLOAD_COUNT_MAX];
    size_t count = workload->counts(work, counts);
    for (size_t i = 0; i < count; i++)
        printf("%-20s %" PRIu64 "\n", counts[i].name, counts[i].value);
    printf("%-20s %zu\n", "host_pages", host_pages);
    printf("%-20s %.6f\n", "seconds", seconds_between(&begin, &end));
    if (idle)
        be_idle(idle);
    bool failed = workload->failed(work);
    if (failed)
        fprintf(stderr, "hakload: %s could not get the memory or threads it needs\n",
                workload->name);
    workload->end(work);
    real_host_destroy(host);
    return failed ? STATUS_FAILED : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    const char *text = NULL;
    uint64_t threads = 4, seed = 12345, idle = 0;
    bool pinned = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help();
            return EXIT_SUCCESS;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("hakload %s (%s)\n", HAK_VERSION, HAK_COMMIT);
            return EXIT_SUCCESS;
        }
        if (number(argv[i], "--threads=", 1, 4096, &threads) ||
            number(argv[i], "--seed=", 0, UINT64_MAX, &seed) ||
            number(argv[i], "--idle=", 0, 3600, &idle))
            continue;
        if (strcmp(argv[i], "--pinned") == 0) {
            pinned = true;
            continue;
        }
        if (argv[i][0] == '-' || text)
            return usage("unknown or misplaced argument ", argv[i]);
        text = argv[i];
    }
    if (!text)
        return usage("no workload named", "");
    struct workload_settings settings = {.threads = (uint32_t)threads, .seed = seed};
    char message[256];
    const struct workload *workload = workload_parse(text, &settings, message, sizeof message);
    const char *wrong = workload && workload->refuse ? workload->refuse(&settings) : NULL;
    if (!workload || wrong)
        return usage(workload ? wrong : message, "");
    return run(workload, &settings, pinned, idle);
}
