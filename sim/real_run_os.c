// real_run_os.c: see real_run_os.h.
#include "real_run_os.h"

#include <errno.h>
#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIABLES  5 // added to the environment
#define TEXT_BYTES 4096u

extern char **environ;

__attribute__((format(printf, 3, 4))) static int fail(char *message, size_t message_size,
                                                      const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, message_size, format, arguments);
    va_end(arguments);
    return -1;
}

// ---------------------------------------------------------------- the process

struct started {
    pid_t process;
    int output; // its standard output
};

static size_t count_environment(void) {
    size_t count = 0;
    while (environ[count])
        count++;
    return count;
}

static int spawn_with(char *const *arguments, char **variables, struct started *started) {
    int ends[2];
    if (pipe(ends) != 0)
        return errno;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    size_t inherited = count_environment();
    char **environment = calloc(inherited + VARIABLES + 1, sizeof *environment);
    int error = ENOMEM;
    if (environment) { // the first of two of a name counts
        memcpy(environment, variables, VARIABLES * sizeof *environment);
        memcpy(environment + VARIABLES, environ, inherited * sizeof *environment);
        error =
            posix_spawn(&started->process, arguments[0], &actions, NULL, arguments, environment);
    }
    free(environment);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    started->output = ends[0];
    if (error)
        close(ends[0]);
    return error;
}

static int start(const struct sim_real_options *options, const char *counters_path,
                 struct started *started) {
    char preload[512], route[256], geometry[64], file[512], threads[32], seed[48];
    char stats[] = "MF2_STATS=json";
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", options->library);
    snprintf(route, sizeof route, "MF2_ROUTE=%s", options->route);
    snprintf(geometry, sizeof geometry, "MF2_GEOMETRY=%s", options->geometry);
    snprintf(file, sizeof file, "MF2_STATS_FILE=%s", counters_path);
    snprintf(threads, sizeof threads, "--threads=%u", options->threads);
    snprintf(seed, sizeof seed, "--seed=%llu", (unsigned long long)options->seed);
    char *variables[VARIABLES] = {preload, route, geometry, file, stats};
    char *program = strdup(options->hakload), *workload = strdup(options->workload);
    char pinned[] = "--pinned";
    char *arguments[] = {program, workload, threads, seed, options->pinned ? pinned : NULL, NULL};
    int error = program && workload ? spawn_with(arguments, variables, started) : ENOMEM;
    free(program);
    free(workload);
    return error;
}

static void read_output(int output, char *text, size_t size) {
    size_t used = 0;
    while (used + 1 < size) {
        ssize_t got = read(output, text + used, size - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    text[used] = '\0';
    close(output);
}

// ---------------------------------------------------------------- what it said

// A line "name   value"; -1: there is none.
static double row(const char *text, const char *name) {
    size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtod(line + length, NULL);
    }
    return -1;
}

static uint64_t counter(json_t *counters, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(counters, name));
}

static int take(const char *text, json_t *stats, struct sim_real_run *run, char *message,
                size_t message_size) {
    json_t *counters = json_object_get(stats, "counters");
    double host_pages = row(text, "host_pages");
    run->seconds = row(text, "seconds");
    double allocations = row(text, "allocations"), frees = row(text, "frees");
    if (!json_is_object(counters) || host_pages < 0 || !(run->seconds > 0) || allocations < 0 ||
        frees < 0)
        return fail(message, message_size, "expected hakload's counts and MF2's counters");
    run->allocations = (uint64_t)allocations;
    run->frees = (uint64_t)frees;
    uint64_t pages = counter(counters, "new_page_count") + counter(counters, "large_new_pages");
    run->pages = pages > (uint64_t)host_pages ? pages - (uint64_t)host_pages : 0;
    run->remote_frees = counter(counters, "remote_frees");
    run->owner_changes = counter(counters, "owner_changes");
    return 0;
}

static int finish(const struct started *started, const char *counters_path,
                  struct sim_real_run *run, char *message, size_t message_size) {
    char text[TEXT_BYTES];
    int status = 0;
    read_output(started->output, text, sizeof text);
    while (waitpid(started->process, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(message, message_size, "ended with status %d", status);
    json_t *stats = json_load_file(counters_path, 0, NULL);
    int result = take(text, stats, run, message, message_size);
    json_decref(stats);
    return result;
}

int sim_real_run(const struct sim_real_options *options, struct sim_real_run *run, char *message,
                 size_t message_size) {
    char counters_path[] = "/tmp/haksim-validate-XXXXXX", why[256];
    struct started started;
    *run = (struct sim_real_run){0};
    int descriptor = mkstemp(counters_path);
    if (descriptor < 0)
        return fail(message, message_size, "%s: %s", counters_path, strerror(errno));
    close(descriptor);
    int error = start(options, counters_path, &started), result = -1;
    if (error)
        fail(message, message_size, "%s: %s", options->hakload, strerror(error));
    else if (finish(&started, counters_path, run, why, sizeof why))
        fail(message, message_size, "%s %s --threads=%u: %s", options->hakload, options->workload,
             options->threads, why);
    else
        result = 0;
    unlink(counters_path);
    return result;
}

int sim_real_beside(const char *relative, char *path, size_t size) {
    char own[512];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0)
        return -1;
    own[length] = '\0';
    *strrchr(own, '/') = '\0';
    int used = snprintf(path, size, "%s/%s", own, relative);
    return used > 0 && (size_t)used < size ? 0 : -1;
}
