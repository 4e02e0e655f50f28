// drainer.c: the process that outlives the launcher.
//
// Owns: accepting the processes of the recorded tree, naming their traces, telling the launcher,
// and staying until the last one is gone. Does not own: their events (drain_session.c).
//
// Threads: this file runs in one; it starts one per session and shares with them what drainer.h
// says.
#include "drainer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// A child that a recorded process forked shortly before it ended, and that has not said hello: it
// does so at its first event.
struct silent_child {
    pid_t pid;
    int pidfd;
};

struct drainer {
    const struct drain_options *options;
    struct drain_clock clock;
    int listener, control;
    struct drain_session *sessions;
    struct silent_child *silent;
    uint32_t silent_count;
    bool has_main; // the main trace has its session
    bool launcher_gone, main_ended, done_told;
    int32_t main_pid, main_status;
    bool paused;
    uint64_t start_ms, stop_ms; // when to go on and when to pause for good; 0 = never
    uint64_t status_ms;         // when the launcher was last told
    uint64_t past_events, past_bytes, past_lost, past_stalled_ns; // of sessions that are over
};

void drainer_say(int control, const char *format, ...) {
    struct control_message message = {.kind = CONTROL_LINE};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message.text, sizeof message.text, format, arguments);
    va_end(arguments);
    // A launcher that is stopped or gone must not hold up the draining.
    send(control, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// ---------------------------------------------------------------- naming

// FILE.zst → FILE.PID.zst, or FILE.PID.N.zst where one process ran several programs.
static void name_child(const char *main_path, pid_t pid, unsigned number, char *path, size_t size) {
    const char *slash = strrchr(main_path, '/');
    const char *dot = strrchr(slash != NULL ? slash + 1 : main_path, '.');
    if (dot == NULL || dot == main_path || dot[-1] == '/')
        dot = main_path + strlen(main_path);
    char suffix[16] = "";
    if (number > 1)
        snprintf(suffix, sizeof suffix, ".%u", number);
    snprintf(path, size, "%.*s.%d%s%s", (int)(dot - main_path), main_path, (int)pid, suffix, dot);
}

static void name_session(const struct drainer *drainer, struct drain_session *session) {
    if (session->is_main) {
        snprintf(session->path, sizeof session->path, "%s", drainer->options->output);
        return;
    }
    unsigned number = 1;
    do {
        name_child(drainer->options->output, session->pid, number++, session->path,
                   sizeof session->path);
    } while (access(session->path, F_OK) == 0);
}

// ---------------------------------------------------------------- pausing, and the status

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_set(struct drainer *drainer, bool paused) {
    drainer->paused = paused;
    for (struct drain_session *s = drainer->sessions; s != NULL; s = s->next)
        atomic_store(&s->paused, paused);
}

// The program has said hello: its time begins.
static void pause_schedule(struct drainer *drainer) {
    const struct drain_options *options = drainer->options;
    uint64_t start_ms = now_ms() + options->delay_ns / 1000000;
    if (options->delay_ns > 0)
        drainer->start_ms = start_ms;
    if (options->duration_ns > 0)
        drainer->stop_ms = start_ms + options->duration_ns / 1000000;
}

// Returns how long nothing of this kind is due.
static int pause_when_due(struct drainer *drainer) {
    enum { PATIENCE_MS = 100 };
    uint64_t now = now_ms();
    if (drainer->start_ms != 0 && now >= drainer->start_ms) {
        drainer->start_ms = 0;
        pause_set(drainer, false);
    }
    if (drainer->stop_ms != 0 && now >= drainer->stop_ms) {
        drainer->stop_ms = 0;
        pause_set(drainer, true);
    }
    uint64_t due = drainer->start_ms != 0 ? drainer->start_ms : drainer->stop_ms;
    return due != 0 && due - now < PATIENCE_MS ? (int)(due - now) : PATIENCE_MS;
}

static void status_tell(struct drainer *drainer) {
    uint64_t now = now_ms();
    if (drainer->options->status_ns == 0 || drainer->launcher_gone || drainer->main_ended ||
        (now - drainer->status_ms) * 1000000 < drainer->options->status_ns)
        return;
    drainer->status_ms = now;
    struct control_message message = {.kind = CONTROL_STATUS,
                                      .events = drainer->past_events,
                                      .file_bytes = drainer->past_bytes,
                                      .lost = drainer->past_lost,
                                      .stalled_ns = drainer->past_stalled_ns,
                                      .paused = drainer->paused};
    for (struct drain_session *s = drainer->sessions; s != NULL; s = s->next) {
        message.events += s->events_written;
        message.file_bytes += s->bytes_written;
        message.lost += s->events_lost;
        message.stalled_ns += s->stalled_ns;
    }
    send(drainer->control, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// ---------------------------------------------------------------- sessions

static bool has_ended(int pidfd) {
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    return poll(&end, 1, 0) == 1;
}

static bool is_gone(const struct drain_session *session) {
    return has_ended(session->pidfd);
}

static bool has_session(const struct drainer *drainer, pid_t pid) {
    for (const struct drain_session *s = drainer->sessions; s != NULL; s = s->next)
        if (s->pid == pid)
            return true;
    return false;
}

static void silent_add(struct drainer *drainer, pid_t pid) {
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return; // it has ended
    struct silent_child *silent =
        realloc(drainer->silent, (drainer->silent_count + 1) * sizeof *silent);
    if (silent == NULL) {
        close(pidfd);
        return;
    }
    drainer->silent = silent;
    silent[drainer->silent_count++] = (struct silent_child){pid, pidfd};
}

// The session is written, so all forks of its process are known.
static void silent_children_add(struct drainer *drainer, const struct drain_forked *forked) {
    for (uint32_t i = 0; i < forked->count && i < DRAIN_FORKED_MAX; i++)
        if (!has_session(drainer, forked->pids[i]))
            silent_add(drainer, forked->pids[i]);
}

// Forgets those that have spoken or ended.
static void silent_children_check(struct drainer *drainer) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < drainer->silent_count; i++) {
        struct silent_child child = drainer->silent[i];
        if (has_ended(child.pidfd) || has_session(drainer, child.pid))
            close(child.pidfd);
        else
            drainer->silent[kept++] = child;
    }
    drainer->silent_count = kept;
}

// A second image of a living process: the first has been replaced by exec.
static void supersede(struct drainer *drainer, pid_t pid, const struct drain_session *successor) {
    for (struct drain_session *s = drainer->sessions; s != NULL; s = s->next) {
        if (s->pid != pid || is_gone(s) || atomic_load(&s->superseded))
            continue;
        if (successor != NULL)
            memcpy(s->successor, successor->path, sizeof s->successor);
        atomic_store(&s->superseded, true);
    }
}

static bool session_start(struct drain_session *session) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, drain_session_run, session) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

static void session_free(struct drain_session *session) {
    if (session->pidfd >= 0)
        close(session->pidfd);
    free(session);
}

static struct drain_session *session_make(struct drainer *drainer, int connection,
                                          const struct ring_hello *hello,
                                          const struct ucred *peer) {
    struct drain_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->options = drainer->options;
    session->clock = &drainer->clock;
    session->control = drainer->control;
    session->connection = connection;
    session->pid = peer->pid;
    session->parent_pid = hello->parent_pid;
    session->shares_pid_namespace = peer->pid == hello->pid;
    session->is_main = !drainer->has_main;
    session->paused = drainer->paused;
    session->pidfd = (int)syscall(SYS_pidfd_open, peer->pid, 0);
    if (session->pidfd < 0) {
        session_free(session);
        return NULL;
    }
    return session;
}

static bool hello_read(int connection, struct ring_hello *hello, struct ucred *peer) {
    struct timeval patience = {.tv_sec = 5};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    socklen_t size = sizeof *peer;
    return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, peer, &size) == 0 &&
           recv(connection, hello, sizeof *hello, 0) == (ssize_t)sizeof *hello &&
           hello->magic == RING_MAGIC;
}

static void session_accept(struct drainer *drainer) {
    int connection = accept4(drainer->listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0)
        return;
    struct ring_hello hello;
    struct ucred peer;
    struct drain_session *session = NULL;
    if (!hello_read(connection, &hello, &peer))
        goto refuse;
    // The socket has no file whose rights would keep strangers out.
    if (peer.uid != geteuid() && geteuid() != 0)
        goto refuse;
    if (hello.version != RING_VERSION) {
        drainer_say(drainer->control, "process %d: expected libhakrec.so of this hakrec",
                    (int)peer.pid);
        goto refuse;
    }
    session = session_make(drainer, connection, &hello, &peer);
    if (session != NULL)
        name_session(drainer, session);
    if (hello.kind == RING_HELLO_IMAGE)
        supersede(drainer, peer.pid, session);
    if (session == NULL || !session_start(session))
        goto refuse;
    if (!drainer->has_main)
        pause_schedule(drainer);
    drainer->has_main = true;
    session->next = drainer->sessions;
    drainer->sessions = session;
    return;
refuse:
    if (session != NULL)
        session_free(session);
    close(connection);
}

// Returns the number of processes that are recorded or may still be.
static uint32_t sessions_reap(struct drainer *drainer) {
    uint32_t count = 0;
    struct drain_session **link = &drainer->sessions;
    while (*link != NULL) {
        struct drain_session *session = *link;
        if (atomic_load(&session->finished)) {
            *link = session->next;
            drainer->past_events += session->events_written;
            drainer->past_bytes += session->bytes_written;
            drainer->past_lost += session->events_lost;
            drainer->past_stalled_ns += session->stalled_ns;
            silent_children_add(drainer, &session->forked);
            session_free(session);
        } else {
            link = &session->next;
            count++;
        }
    }
    silent_children_check(drainer);
    return count + drainer->silent_count;
}

// ---------------------------------------------------------------- the launcher

static void main_status_spread(const struct drainer *drainer) {
    for (struct drain_session *s = drainer->sessions; s != NULL && drainer->main_ended; s = s->next)
        if (s->pid == drainer->main_pid) {
            atomic_store(&s->wait_status, drainer->main_status);
            atomic_store(&s->has_wait_status, true);
        }
}

static void control_read(struct drainer *drainer) {
    struct control_message message;
    ssize_t got = recv(drainer->control, &message, sizeof message, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        drainer->launcher_gone = true;
        return;
    }
    if (got == (ssize_t)sizeof message && message.kind == CONTROL_SWITCH)
        pause_set(drainer, !drainer->paused);
    if (got != (ssize_t)sizeof message || message.kind != CONTROL_MAIN_EXIT)
        return;
    drainer->main_ended = true;
    drainer->main_pid = message.pid;
    drainer->main_status = message.status;
}

// Once the program has ended: as soon as every session whose process is gone is written.
static void done_tell(struct drainer *drainer) {
    if (!drainer->main_ended || drainer->done_told)
        return;
    uint32_t running = drainer->silent_count;
    for (struct drain_session *s = drainer->sessions; s != NULL; s = s->next) {
        if (atomic_load(&s->finished) || atomic_load(&s->superseded) || is_gone(s))
            return;
        running++;
    }
    struct control_message message = {.kind = CONTROL_DONE, .running = running};
    if (send(drainer->control, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        drainer->done_told = true;
}

// ---------------------------------------------------------------- the process

static void signals_block(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

// Every recorded process takes two descriptors here.
static void descriptors_raise(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void drainer_run(int listener, int control, const struct drain_options *options) {
    // A child forked just before its parent's end says hello a moment later.
    enum { LINGER_MS = 1000 };
    struct drainer drainer = {.options = options, .listener = listener, .control = control};
    signals_block();
    descriptors_raise();
    drain_clock_choose(&drainer.clock);
    drainer.paused = options->starts_paused || options->delay_ns > 0;
    struct control_message ready = {.kind = CONTROL_READY};
    send(control, &ready, sizeof ready, MSG_NOSIGNAL);
    uint64_t idle_since_ms = 0;
    for (;;) {
        struct pollfd events[2] = {{.fd = listener, .events = POLLIN},
                                   {.fd = drainer.launcher_gone ? -1 : control, .events = POLLIN}};
        bool ending = drainer.main_ended || drainer.launcher_gone;
        bool answering = drainer.main_ended && !drainer.done_told && !drainer.launcher_gone;
        int patience_ms = pause_when_due(&drainer);
        poll(events, 2, answering ? 2 : patience_ms);
        if (events[0].revents != 0)
            session_accept(&drainer);
        if (events[1].revents != 0)
            control_read(&drainer);
        main_status_spread(&drainer);
        if (events[0].revents != 0)
            continue; // the launcher's answer counts who has already said hello
        uint32_t running = sessions_reap(&drainer);
        status_tell(&drainer);
        done_tell(&drainer);
        if (!ending || running > 0)
            idle_since_ms = now_ms();
        else if (now_ms() - idle_since_ms > LINGER_MS)
            exit(0);
    }
}
