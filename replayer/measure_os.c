// measure_os.c: what measuring asks of the operating system: a file for the plan, the player's
// process, and what may explain a figure later.
//
// Resident memory is read from outside: a sampling thread inside would make the process one of
// several threads, and allocators take slower paths in those.
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLAN_FILE_NUMBER  10 // in the player
#define BOARD_FILE_NUMBER 11

extern char **environ;

// ---------------------------------------------------------------- files

int measure_os_temporary(char *message, size_t size) {
    const char *folder = getenv("TMPDIR");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/hakreplay-plan-XXXXXX",
             folder == NULL || folder[0] == '\0' ? "/tmp" : folder);
    int file = mkostemp(path, O_CLOEXEC);
    if (file < 0)
        snprintf(message, size, "%s: cannot make a temporary file: %s", path, strerror(errno));
    else
        unlink(path);
    return file;
}

bool measure_os_write(int file, const void *data, size_t bytes, uint64_t offset) {
    const char *at = data;
    while (bytes > 0) {
        ssize_t written = pwrite(file, at, bytes, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
        offset += (uint64_t)written;
        bytes -= (size_t)written;
    }
    return true;
}

void measure_os_close(int file) {
    close(file);
}

bool measure_os_resolve(const char *path, char *resolved, size_t size) {
    char whole[PATH_MAX];
    if (realpath(path, whole) == NULL || access(whole, R_OK) != 0 || strlen(whole) >= size)
        return false;
    strcpy(resolved, whole);
    return true;
}

bool measure_os_beside(const char *relative, char *path, size_t size) {
    char self[PATH_MAX], joined[2 * PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return false;
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(joined, sizeof joined, "%s/%s", self, relative);
    return measure_os_resolve(joined, path, size);
}

static uint64_t number_in(const char *path, const char *name) {
    char line[256];
    uint64_t number = 0;
    FILE *stream = fopen(path, "re");
    while (stream != NULL && fgets(line, sizeof line, stream) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtoull(line + strlen(name), NULL, 10);
    if (stream != NULL)
        fclose(stream);
    return number;
}

uint64_t measure_os_memory_available(void) {
    return number_in("/proc/meminfo", "MemAvailable:") << 10;
}

// ---------------------------------------------------------------- the player's process

bool measure_os_board(struct measure_process *process, uint32_t streams) {
    *process = (struct measure_process){.process = -1, .watch = -1, .statm = -1};
    process->board_bytes = player_board_bytes(streams);
    process->board_file = memfd_create("hakreplay-board", MFD_CLOEXEC);
    process->errors_file = memfd_create("hakplayer-errors", MFD_CLOEXEC);
    if (process->board_file < 0 || process->errors_file < 0 ||
        ftruncate(process->board_file, (off_t)process->board_bytes) != 0)
        return false;
    process->board = mmap(NULL, process->board_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                          process->board_file, 0);
    return process->board != MAP_FAILED;
}

// The environment with LD_PRELOAD and the subject's variable in place of any that are there.
static char **environment_for(const char *preload, const char *variable) {
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **list = calloc(count + 3, sizeof *list);
    size_t name_length = strcspn(variable, "=");
    for (size_t i = 0; list != NULL && i < count; i++)
        if (strncmp(environ[i], "LD_PRELOAD=", 11) != 0 &&
            (variable[0] == '\0' || strncmp(environ[i], variable, name_length + 1) != 0))
            list[kept++] = environ[i];
    if (list != NULL && preload[0] != '\0')
        list[kept++] = (char *)(uintptr_t)preload;
    if (list != NULL && variable[0] != '\0')
        list[kept++] = (char *)(uintptr_t)variable;
    return list;
}

static int spawn_player(struct measure_process *process, const char *player, int plan_file,
                        char **environment) {
    char plan_text[16], board_text[16];
    posix_spawn_file_actions_t actions;
    snprintf(plan_text, sizeof plan_text, "%d", PLAN_FILE_NUMBER);
    snprintf(board_text, sizeof board_text, "%d", BOARD_FILE_NUMBER);
    char *arguments[] = {(char *)(uintptr_t)player, plan_text, board_text, NULL};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, process->errors_file, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, process->errors_file, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, plan_file, PLAN_FILE_NUMBER);
    posix_spawn_file_actions_adddup2(&actions, process->board_file, BOARD_FILE_NUMBER);
    int error = posix_spawn(&process->process, player, &actions, NULL, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

bool measure_os_start(struct measure_process *process, const struct measure_subject *subject,
                      const char *player, int plan_file) {
    char preload[PLAYER_TEXT_MAX + 16] = "", path[64];
    if (subject->library[0] != '\0')
        snprintf(preload, sizeof preload, "LD_PRELOAD=%s", subject->library);
    char **environment = environment_for(preload, subject->variable);
    int error =
        environment == NULL ? ENOMEM : spawn_player(process, player, plan_file, environment);
    free(environment);
    if (error != 0) {
        process->process = -1;
        errno = error;
        return false;
    }
    process->watch = (int)syscall(SYS_pidfd_open, process->process, 0);
    snprintf(path, sizeof path, "/proc/%d/statm", process->process);
    process->statm = open(path, O_RDONLY | O_CLOEXEC);
    return process->watch >= 0;
}

bool measure_os_ended(struct measure_process *process, uint64_t wait_ns, int *status) {
    struct pollfd watch = {.fd = process->watch, .events = POLLIN};
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u),
                            .tv_nsec = (long)(wait_ns % 1000000000u)};
    ppoll(&watch, 1, &wait, NULL);
    if (waitpid(process->process, status, WNOHANG) != process->process)
        return false;
    process->process = -1;
    return true;
}

void measure_os_kill(struct measure_process *process) {
    int status;
    if (process->process <= 0)
        return;
    kill(process->process, SIGKILL);
    while (waitpid(process->process, &status, 0) < 0 && errno == EINTR)
        continue;
    process->process = -1;
}

uint64_t measure_os_resident(const struct measure_process *process) {
    char text[128];
    unsigned long long size, resident, shared;
    ssize_t length = pread(process->statm, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    if (sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3 || resident < shared)
        return 0;
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void measure_os_last_line(const struct measure_process *process, char *text, size_t size) {
    char tail[1024];
    off_t end = lseek(process->errors_file, 0, SEEK_END);
    off_t from = end > (off_t)sizeof tail - 1 ? end - (off_t)sizeof tail + 1 : 0;
    ssize_t length = pread(process->errors_file, tail, sizeof tail - 1, from);
    tail[length > 0 ? length : 0] = '\0';
    while (length > 0 && (tail[length - 1] == '\n' || tail[length - 1] == ' '))
        tail[--length] = '\0';
    const char *line = strrchr(tail, '\n');
    snprintf(text, size, "%.*s", (int)size - 1, line == NULL ? tail : line + 1);
}

void measure_os_end(struct measure_process *process) {
    measure_os_kill(process);
    if (process->board != NULL && process->board != MAP_FAILED)
        munmap(process->board, process->board_bytes);
    const int files[] = {process->board_file, process->errors_file, process->watch, process->statm};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] >= 0)
            close(files[i]);
}

// ---------------------------------------------------------------- the environment

static void set_line_of(json_t *object, const char *key, const char *path) {
    char line[256] = "";
    FILE *stream = fopen(path, "re");
    if (stream != NULL && fgets(line, sizeof line, stream) != NULL)
        line[strcspn(line, "\n")] = '\0';
    if (stream != NULL)
        fclose(stream);
    json_object_set_new(object, key, line[0] == '\0' ? json_null() : json_string(line));
}

static void set_processor(json_t *object) {
    char line[256];
    FILE *stream = fopen("/proc/cpuinfo", "re");
    while (stream != NULL && fgets(line, sizeof line, stream) != NULL)
        if (strncmp(line, "model name", 10) == 0) {
            line[strcspn(line, "\n")] = '\0';
            json_object_set_new(object, "processor", json_string(strchr(line, ':') + 2));
            break;
        }
    if (stream != NULL)
        fclose(stream);
}

// Variables by which allocators are told what to do.
static json_t *allocator_options(void) {
    static const char *const names[] = {"MALLOC_",        "MIMALLOC_", "TCMALLOC_", "MF2_",
                                        "GLIBC_TUNABLES", "JEMALLOC_", "RPMALLOC_", "SNMALLOC_"};
    json_t *list = json_array();
    for (char **variable = environ; *variable != NULL; variable++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strncmp(*variable, names[i], strlen(names[i])) == 0)
                json_array_append_new(list, json_string(*variable));
    return list;
}

json_t *measure_os_environment(void) {
    struct utsname names;
    cpu_set_t set;
    json_t *object = json_object();
    if (uname(&names) == 0)
        json_object_set_new(object, "kernel", json_string(names.release));
    set_processor(object);
    json_object_set_new(
        object, "cores",
        json_integer(sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0));
    json_object_set_new(object, "memory_bytes",
                        json_integer((json_int_t)(number_in("/proc/meminfo", "MemTotal:") << 10)));
    set_line_of(object, "huge_pages", "/sys/kernel/mm/transparent_hugepage/enabled");
    set_line_of(object, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    json_object_set_new(object, "allocator_options", allocator_options());
    return object;
}
