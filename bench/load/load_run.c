// load_run.c: starts a row's threads, holds the clock, reads the process's memory.
//
//   main     set_up warm_up        start ...... stop                measure idle   release
//   threads                  fill         body .......... retire  rest ........... free kept
//
// Speed mode counts the operations within a window of the body, read by main while threads run, so
// that neither the first touch of fresh memory nor the end of the slowest thread is in it.
#include "block.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define REST_SECONDS  1.0
#define WARMING_SHARE 0.5 // of the measured time
#define THREAD_LIMIT  16  // more than any row has

// All threads and main meet at each of these, in this order.
enum meeting { MEET_FILLED, MEET_START, MEET_BODIES_DONE, MEET_RESTING, MEET_RELEASE, MEETINGS };
static pthread_barrier_t meetings[MEETINGS];

static void meet(enum meeting meeting) {
    pthread_barrier_wait(&meetings[meeting]);
}

_Noreturn void load_fail(const struct load_run *run, const char *what) {
    char line[256];
    int length = snprintf(line, sizeof line, "hakbench: %s: %s\n", run->row->name, what);
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        _exit(1);
    _exit(1);
}

void *load_map(size_t bytes) {
    void *memory = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "hakbench: cannot map %zu bytes\n", bytes);
        _exit(1);
    }
    return memory;
}

uint64_t load_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_for(double seconds) {
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) != 0)
        continue; // interrupted by a signal
}

// A field of /proc/self/status, which counts in KiB; read without allocating.
static uint64_t status_bytes(const char *field) {
    char text[8192];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *line = strstr(text, field);
    unsigned long long kib = 0;
    if (!line || sscanf(line + strlen(field), ": %llu", &kib) != 1)
        return 0;
    return kib * 1024;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void free_kept(struct load_thread *thread) {
    for (size_t i = 0; i < thread->kept_count; i++)
        block_free(thread, &thread->kept[i], thread->run->row->touch);
}

static void *thread_main(void *argument) {
    struct load_thread *thread = argument;
    const struct load_family *family = thread->run->row->family;
    bool works = !thread->run->empty;
    if (works && family->fill)
        family->fill(thread);
    meet(MEET_FILLED);
    meet(MEET_START);
    if (works)
        family->body(thread);
    thread->end_ns = load_now_ns();
    meet(MEET_BODIES_DONE);
    if (works && family->retire)
        family->retire(thread);
    meet(MEET_RESTING);
    meet(MEET_RELEASE);
    free_kept(thread);
    return NULL;
}

static void prepare_threads(struct load_run *run) {
    uint32_t threads = run->row->threads;
    run->threads = load_map(threads * sizeof *run->threads);
    for (uint32_t i = 0; i < threads; i++) {
        struct load_thread *thread = &run->threads[i];
        thread->run = run;
        thread->number = i;
        thread->memory = run->memory;
        thread->random = (run->seed + i + 1) * 0x9E3779B97F4A7C15u | 1;
        thread->kept_limit = run->slots / LOAD_KEEP + 1;
        thread->kept = load_map(thread->kept_limit * sizeof *thread->kept);
    }
    for (int i = 0; i < MEETINGS; i++)
        pthread_barrier_init(&meetings[i], NULL, threads + 1);
}

static void start_threads(struct load_run *run, pthread_t *handles) {
    for (uint32_t i = 0; i < run->row->threads; i++)
        if (pthread_create(&handles[i], NULL, thread_main, &run->threads[i]) != 0)
            load_fail(run, "cannot start a thread");
}

static uint64_t operations_of(const struct load_run *run) {
    uint64_t operations = 0;
    for (uint32_t i = 0; i < run->row->threads; i++)
        operations += load_operations(&run->threads[i]);
    return operations;
}

// Called with the threads at MEET_START, which it lets go.
static void run_window(struct load_run *run, struct load_outcome *outcome) {
    meet(MEET_START);
    sleep_for(run->seconds * WARMING_SHARE);
    double cpu_before = cpu_seconds();
    uint64_t operations_before = operations_of(run), begin_ns = load_now_ns();
    sleep_for(run->seconds);
    uint64_t operations_after = operations_of(run), end_ns = load_now_ns();
    outcome->cpu_seconds = cpu_seconds() - cpu_before;
    atomic_store(&run->stop, true);
    meet(MEET_BODIES_DONE);
    outcome->operations = operations_after - operations_before;
    outcome->seconds = (double)(end_ns - begin_ns) / 1e9;
}

static void run_rounds(struct load_run *run, struct load_outcome *outcome) {
    double cpu_before = cpu_seconds();
    uint64_t operations_before = operations_of(run), begin_ns = load_now_ns(), end_ns = begin_ns;
    meet(MEET_START);
    meet(MEET_BODIES_DONE);
    outcome->cpu_seconds = cpu_seconds() - cpu_before;
    for (uint32_t i = 0; i < run->row->threads; i++)
        end_ns = run->threads[i].end_ns > end_ns ? run->threads[i].end_ns : end_ns;
    outcome->operations = operations_of(run) - operations_before;
    outcome->seconds = (double)(end_ns - begin_ns) / 1e9;
}

static void sum_up(const struct load_run *run, struct load_outcome *outcome) {
    for (uint32_t i = 0; i < run->row->threads; i++) {
        outcome->checked += run->threads[i].checked;
        outcome->checksum += run->threads[i].checksum;
    }
}

static void measure_memory(struct load_run *run, struct load_outcome *outcome) {
    outcome->idle_rss_bytes = status_bytes("VmRSS");
    outcome->idle_live_bytes = (uint64_t)atomic_load(&run->live_bytes);
    outcome->peak_rss_bytes = status_bytes("VmHWM");
    outcome->peak_live_bytes = (uint64_t)atomic_load(&run->live_bytes_peak);
}

void load_run(struct load_run *run, struct load_outcome *outcome) {
    pthread_t handles[THREAD_LIMIT];
    *outcome = (struct load_outcome){0};
    prepare_threads(run);
    run->row->family->set_up(run);
    if (!run->empty && run->row->family->warm_up)
        run->row->family->warm_up(run);
    start_threads(run, handles);
    meet(MEET_FILLED);
    if (run->memory || run->empty)
        run_rounds(run, outcome);
    else
        run_window(run, outcome);
    meet(MEET_RESTING);
    if (run->memory && !run->empty)
        sleep_for(REST_SECONDS);
    measure_memory(run, outcome);
    meet(MEET_RELEASE);
    for (uint32_t i = 0; i < run->row->threads; i++)
        pthread_join(handles[i], NULL);
    sum_up(run, outcome);
    if (atomic_load(&run->live_bytes) != 0)
        load_fail(run, "blocks were lost by the row itself");
}
