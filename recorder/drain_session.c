// drain_session.c: one recorded process image, from hello to END.
//
// Owns: the session's mapping, its trace's META and END, and the pace of draining: passes every
// 500 µs while there is something to do, ever less often when there is not; a doorbell that the
// program rings when a ring fills up; whole frames written at least every flush_ns.
//
// Threads: all of it runs in the session's own thread, which holds the mapping's robust mutex as
// long as it lives: so the program learns of our death from the kernel.
#include "drainer.h"

#include <errno.h>
#include <jansson.h>
#include <linux/futex.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hak_version.h"
#include "stamp.h"

enum {
    PASS_NS_MIN = 500 * 1000,
    PASS_NS_MAX = 10 * 1000 * 1000,
    RECYCLE_NS = 500 * 1000 * 1000, // how often threads are looked for that died silently
};

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void drain_session_fail(struct drain_session *session, const char *text) {
    if (session->failed)
        return;
    session->failed = true;
    snprintf(session->failure, sizeof session->failure, "%s", text);
    drainer_say(session->control, "%s; events from here on are lost", text);
}

// ---------------------------------------------------------------- the mapping

static uint64_t page_align(uint64_t bytes) {
    return (bytes + 4095) & ~(uint64_t)4095;
}

static void layout_set(struct ring_session *layout) {
    layout->modules_offset = page_align(sizeof *layout);
    layout->place_index_offset =
        page_align(layout->modules_offset + RING_MODULES_MAX * sizeof(struct ring_module));
    layout->places_offset =
        page_align(layout->place_index_offset + RING_PLACE_SLOTS * sizeof(uint32_t));
    layout->controls_offset =
        page_align(layout->places_offset + RING_PLACES_MAX * sizeof(struct ring_place));
    layout->records_offset =
        page_align(layout->controls_offset + RING_COUNT_MAX * sizeof(struct ring_control));
}

// A limit on the size of files (RLIMIT_FSIZE) is one on the mapping too: fewer rings have to do.
static bool memory_size(int memory, struct ring_session *layout) {
    for (layout->ring_count = RING_COUNT_MAX; layout->ring_count > 0; layout->ring_count /= 2) {
        layout->mapping_bytes = layout->records_offset + ring_records_before(layout->ring_count) *
                                                             sizeof(struct ring_record);
        if (ftruncate(memory, (off_t)layout->mapping_bytes) == 0)
            return true;
    }
    return false;
}

// Held from now on, so that its owner's death is told.
static bool lifeline_take(pthread_mutex_t *mutex) {
    pthread_mutexattr_t attributes;
    return pthread_mutexattr_init(&attributes) == 0 &&
           pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
           pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
           pthread_mutex_init(mutex, &attributes) == 0 && pthread_mutex_lock(mutex) == 0;
}

// How often a stack is taken twice, and how many places there are. The environment decides by
// hand (tests use it): HAKREC_STACK_CHECK, HAKREC_STACK_PLACES.
static uint32_t by_hand(const char *name, uint32_t usual) {
    const char *forced = getenv(name);
    return forced != NULL ? (uint32_t)strtoul(forced, NULL, 10) : usual;
}

static bool mapping_make(struct drain_session *session) {
    struct ring_session layout = {.magic = RING_MAGIC,
                                  .version = RING_VERSION,
                                  .clock = session->clock->clock,
                                  .stacks = session->options->stacks,
                                  .stack_check_interval = by_hand("HAKREC_STACK_CHECK", 4096),
                                  .places_max = by_hand("HAKREC_STACK_PLACES", RING_PLACES_MAX),
                                  .resident_every = session->options->resident_every,
                                  .maps = session->options->maps,
                                  .paused = atomic_load(&session->paused)};
    layout_set(&layout);
    session->memory = memfd_create("hakrec", MFD_CLOEXEC);
    if (session->memory < 0 || !memory_size(session->memory, &layout))
        return false;
    void *mapping = mmap(NULL, layout.mapping_bytes, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_NORESERVE, session->memory, 0);
    if (mapping == MAP_FAILED)
        return false;
    session->ring = mapping;
    *session->ring = layout;
    drain_stacks_prepare(session->ring);
    return lifeline_take(&session->ring->drainer_alive);
}

// Hands the mapping to the program, which has been waiting for it.
static bool mapping_send(struct drain_session *session) {
    char answer = 1;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&answer, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &session->memory, sizeof(int));
    bool sent = sendmsg(session->connection, &message, MSG_NOSIGNAL) == 1;
    close(session->memory); // the mapping stays
    return sent;
}

// Unlocked first: the kernel must not look for a mutex where something else may be mapped by then.
static void mapping_close(struct drain_session *session) {
    if (session->ring == NULL)
        return;
    pthread_mutex_unlock(&session->ring->drainer_alive);
    munmap(session->ring, session->ring->mapping_bytes);
}

// ---------------------------------------------------------------- META

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

// Of "--option=/a/b" the path is what follows the "=".
static json_t *argument_json(const char *argument, bool redact) {
    char text[4096];
    const char *slash = strrchr(argument, '/');
    const char *equals = strchr(argument, '=');
    int kept = equals != NULL && equals < slash ? (int)(equals + 1 - argument) : 0;
    if (redact && slash != NULL)
        snprintf(text, sizeof text, "%.*s%s", kept, argument, slash[1] != '\0' ? slash + 1 : "/");
    else
        snprintf(text, sizeof text, "%s", argument);
    json_t *json = json_string(text);
    return json != NULL ? json : json_string("(not UTF-8)");
}

static json_t *command_json(pid_t pid, bool redact) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return json_null();
    json_t *command = json_array();
    char *argument = NULL;
    size_t capacity = 0;
    while (getdelim(&argument, &capacity, '\0', file) >= 0)
        json_array_append_new(command, argument_json(argument, redact));
    free(argument);
    fclose(file);
    return command;
}

static void program_name(struct drain_session *session) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)session->pid);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    snprintf(session->program, sizeof session->program, "%.255s", base_name(path));
}

static json_t *program_json(const struct drain_session *session) {
    json_t *json = json_string(session->program);
    return json != NULL ? json : json_string("(not UTF-8)");
}

static const char *stacks_name(uint32_t stacks) {
    static const char *const names[] = {"none", "caller", "full"};
    return names[stacks <= RING_STACKS_FULL ? stacks : 0];
}

// Rounding to ticks, and what the clock may be wrong by.
static json_int_t stamp_ticks_max(const struct drain_session *session) {
    double ticks = session->clock->error_ns / (double)session->options->tick_ns;
    return 1 + (json_int_t)ceil(ticks);
}

static char *meta_text(const struct drain_session *session) {
    const struct drain_options *options = session->options;
    char start_time[32];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(start_time, sizeof start_time, "%Y-%m-%dT%H:%M:%SZ", &parts);
    json_t *meta = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:i, s:i, s:s, s:I, s:I, s:s, s:s, s:b, s:b, s:I, s:i, s:i}",
        "format", "hak-trace", "tool", "hakrec", "version", HAK_VERSION, "program",
        program_json(session), "command", command_json(session->pid, options->redact), "pid",
        (int)session->pid, "parent_pid", (int)session->parent_pid, "start_time", start_time,
        "tick_ns", (json_int_t)options->tick_ns, "stamp_ticks_max", stamp_ticks_max(session),
        "clock", drain_clock_name(session->clock->clock), "stacks", stacks_name(options->stacks),
        "addresses", options->addresses, "maps", options->maps, "resident_every",
        (json_int_t)options->resident_every, "page_size", (int)sysconf(_SC_PAGESIZE), "cores",
        (int)sysconf(_SC_NPROCESSORS_CONF));
    char *text = json_dumps(meta, JSON_COMPACT);
    json_decref(meta);
    return text;
}

static bool trace_make(struct drain_session *session) {
    // The main trace's file exists already: the launcher has reserved it. A child's does not,
    // unless a stranger put it there, and then it stays.
    struct trace_writer_options options = {.addresses = session->options->addresses,
                                           .overwrite = session->is_main};
    struct trace_error error = {"out of memory"};
    program_name(session);
    char *meta = meta_text(session);
    if (meta != NULL)
        session->writer = trace_writer_create(session->path, meta, &options, &error);
    free(meta);
    if (session->writer == NULL)
        drainer_say(session->control, "%s; process %d is not recorded", error.text,
                    (int)session->pid);
    return session->writer != NULL;
}

// ---------------------------------------------------------------- END

static uint64_t stalled_ns(const struct drain_session *session) {
    uint64_t sum = 0;
    struct ring_control *controls =
        (struct ring_control *)((char *)session->ring + session->ring->controls_offset);
    uint32_t high = atomic_load(&session->ring->ring_high);
    for (uint32_t i = 0; i < high && i < RING_COUNT_MAX; i++)
        sum += atomic_load(&controls[i].stalled_ns);
    return sum;
}

// Processor time of this session's thread: what draining has cost.
static uint64_t thread_cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static json_t *recorder_json(const struct drain_session *session) {
    const struct drain_counts *counts = &session->counts;
    struct ring_session *ring = session->ring;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"stalled_ns", stalled_ns(session)},
        {"drain_cpu_ns", thread_cpu_ns()},
        {"passes", counts->passes},
        {"spool_records_max", session->spool.held_max},
        {"spool_file_bytes", session->spool.file_bytes},
        {"spool_full", session->spool.full},
        {"ties", counts->ties},
        {"skewed", counts->skewed},
        {"skew_ns_max", (uint64_t)((double)counts->skew_stamps_max * session->clock->ns_per_stamp)},
        {"stamp_error_ns", (uint64_t)session->clock->error_ns},
        {"unseen_frees", counts->unseen_frees},
        {"unknown_usable", counts->unknown_usable},
        {"deferred", counts->deferred},
        {"resident_calls", atomic_load(&ring->resident_calls)},
        {"resident_ns", atomic_load(&ring->resident_ns)},
        {"guarded", atomic_load(&ring->guarded)},
        {"stack_places", atomic_load(&ring->place_count)},
        {"frames_spelled", atomic_load(&ring->frames_spelled)},
        {"stacks_unwound", atomic_load(&ring->stacks_unwound)},
        {"stacks_checked", atomic_load(&ring->stacks_checked)},
        {"stacks_shorter", atomic_load(&ring->stacks_shorter)},
        {"stacks_wrong", atomic_load(&ring->stacks_wrong)},
        {"module_overflow", atomic_load(&ring->module_overflow)},
        {"rings", atomic_load(&ring->ring_high)},
    };
    json_t *json = json_object();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        json_object_set_new(json, rows[i].name, json_integer((json_int_t)rows[i].value));
    uint32_t own = atomic_load(&ring->own_allocator);
    if (own != RING_OWN_NOTHING)
        json_object_set_new(json, own == RING_OWN_MALLOC ? "own_malloc" : "own_operator_new",
                            json_string(base_name(ring->own_allocator_module)));
    return json;
}

// How the image ended, as far as anyone can tell; `end` gets "exit" and "status".
static void exit_describe(const struct drain_session *session, json_t *end) {
    const char *exit = "unknown";
    int status = -1;
    if (atomic_load(&session->superseded)) {
        exit = "exec";
    } else if (atomic_load(&session->has_wait_status)) {
        int wait_status = atomic_load(&session->wait_status);
        bool exited = WIFEXITED(wait_status);
        exit = exited ? "exited" : WTERMSIG(wait_status) == SIGKILL ? "killed" : "signalled";
        status = exited ? WEXITSTATUS(wait_status) : WTERMSIG(wait_status);
    } else if (atomic_load(&session->ring->has_exit_status)) {
        exit = "exited";
        status = (int)atomic_load(&session->ring->exit_status);
    }
    json_object_set_new(end, "exit", json_string(exit));
    if (status >= 0)
        json_object_set_new(end, "status", json_integer(status));
}

static char *end_text(const struct drain_session *session) {
    struct trace_writer_totals totals;
    trace_writer_totals(session->writer, &totals);
    json_t *end = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "events", (json_int_t)totals.events, "objects",
        (json_int_t)totals.objects, "threads", (json_int_t)session->thread_numbers, "lost",
        (json_int_t)session->counts.lost, "late", (json_int_t)session->counts.late, "unknown_frees",
        (json_int_t)session->counts.unknown_frees, "recorder", recorder_json(session));
    exit_describe(session, end);
    char *text = json_dumps(end, JSON_COMPACT);
    json_decref(end);
    return text;
}

// The launcher learns the main program's status, and hands it on, just after the program's end.
static void await_wait_status(const struct drain_session *session) {
    struct timespec pause = {.tv_nsec = 1000 * 1000};
    bool expected = session->is_main && !atomic_load(&session->superseded);
    for (int i = 0; i < 500 && expected && !atomic_load(&session->has_wait_status); i++)
        nanosleep(&pause, NULL);
}

static void trace_end(struct drain_session *session) {
    session->counts.lost += atomic_load(&session->ring->lost_without_ring);
    struct trace_error error = {"out of memory"};
    if (!session->failed && trace_writer_flush(session->writer, &error) != 0)
        drain_session_fail(session, error.text);
    struct trace_writer_totals totals;
    trace_writer_totals(session->writer, &totals);
    await_wait_status(session);
    char *end = end_text(session);
    if (trace_writer_close(session->writer, end, &error) != 0)
        drain_session_fail(session, error.text);
    free(end);
    struct stat status;
    bool written = stat(session->path, &status) == 0;
    struct control_message message = {.kind = CONTROL_SESSION,
                                      .pid = session->pid,
                                      .is_main = session->is_main,
                                      .own = atomic_load(&session->ring->own_allocator),
                                      .threads = session->thread_numbers,
                                      .events = totals.events,
                                      .file_bytes = written ? (uint64_t)status.st_size : 0,
                                      .lost = session->counts.lost};
    snprintf(message.text, sizeof message.text, "%.500s", session->path);
    snprintf(message.program, sizeof message.program, "%s", session->program);
    snprintf(message.own_module, sizeof message.own_module, "%s",
             base_name(session->ring->own_allocator_module));
    if (atomic_load(&session->superseded))
        snprintf(message.successor, sizeof message.successor, "%.500s", session->successor);
    send(session->control, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// ---------------------------------------------------------------- draining

static bool process_is_gone(const struct drain_session *session) {
    struct pollfd end = {.fd = session->pidfd, .events = POLLIN};
    return poll(&end, 1, 0) == 1;
}

static void doorbell_wait(const struct drain_session *session, uint32_t seen, uint64_t wait_ns) {
    struct timespec patience = {.tv_nsec = (long)wait_ns};
    syscall(SYS_futex, &session->ring->doorbell, FUTEX_WAIT, seen, &patience, NULL, 0);
}

static void status_note(struct drain_session *session) {
    struct trace_writer_totals totals;
    trace_writer_totals(session->writer, &totals);
    atomic_store(&session->events_written, totals.events);
    atomic_store(&session->bytes_written, totals.file_bytes);
    atomic_store(&session->events_lost, session->counts.lost);
    atomic_store(&session->stalled_ns, stalled_ns(session));
}

static void drain(struct drain_session *session) {
    uint64_t wait_ns = PASS_NS_MIN, flushed_ns = now_ns(), recycled_ns = flushed_ns;
    uint64_t unflushed = 0;
    bool last = false;
    while (!last) {
        uint32_t bell = atomic_load(&session->ring->doorbell);
        last = atomic_load(&session->superseded) || process_is_gone(session);
        uint64_t taken = drain_merge_pass(session, last);
        unflushed += taken;
        uint64_t now = now_ns();
        drain_process_look(session, now);
        atomic_store(&session->ring->paused, atomic_load(&session->paused));
        drain_merge_recycle(session, now - recycled_ns > RECYCLE_NS);
        if (now - recycled_ns > RECYCLE_NS) {
            recycled_ns = now;
            status_note(session);
        }
        if (unflushed > 0 && now - flushed_ns >= session->options->flush_ns) {
            struct trace_error error;
            if (!session->failed && trace_writer_flush(session->writer, &error) != 0)
                drain_session_fail(session, error.text);
            unflushed = 0;
            flushed_ns = now;
        }
        wait_ns = taken > 0 ? PASS_NS_MIN : wait_ns * 2 > PASS_NS_MAX ? PASS_NS_MAX : wait_ns * 2;
        if (!last && !session->has_backlog)
            doorbell_wait(session, bell, wait_ns);
    }
    drain_event_finish(session);
}

// Beside the trace, where there is room for it.
static bool spool_make(struct drain_session *session) {
    char folder[sizeof session->path];
    snprintf(folder, sizeof folder, "%s", session->path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder] = '\0';
    return drain_spool_open(&session->spool, slash != NULL ? folder : ".",
                            session->options->spool_bytes);
}

static bool session_open(struct drain_session *session) {
    session->stacks = drain_stacks_open(session->options);
    if (session->stacks == NULL || !address_map_open(&session->objects) || !mapping_make(session)) {
        drainer_say(session->control, "%s: cannot set up the recording of process %d: %s",
                    session->path, (int)session->pid, strerror(errno));
        return false;
    }
    double ticks = session->clock->ns_per_stamp / (double)session->options->tick_ns;
    session->ticks_per_stamp = (uint64_t)(ticks * (double)(1ull << 48));
    session->base_stamp = session->time_stamp = stamp_now(session->clock->clock);
    session->thread_numbers = 1; // raw thread 0, which started the session, is thread 0
    if (!spool_make(session))
        return false;
    session->threads = calloc(64, sizeof *session->threads);
    session->thread_capacity = session->threads != NULL ? 64 : 0;
    if (session->threads != NULL)
        session->threads[0].number_plus_one = 1;
    return session->threads != NULL && trace_make(session);
}

void *drain_session_run(void *context) {
    struct drain_session *session = context;
    bool opened = session_open(session);
    bool sent = opened && mapping_send(session);
    close(session->connection); // without an answer: the program is not recorded
    drain_process_open(session);
    if (sent)
        drain(session);
    drain_process_close(session);
    if (opened)
        trace_end(session);
    drain_stacks_close(session->stacks);
    for (uint32_t i = 0; i < RING_COUNT_MAX; i++)
        drain_spool_forget(&session->queues[i]);
    drain_spool_close(&session->spool);
    address_map_close(&session->objects);
    free(session->threads);
    mapping_close(session);
    atomic_store(&session->finished, true);
    return NULL;
}
