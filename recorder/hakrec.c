// hakrec.c: the launcher, and the command line.
//
// Owns: options, the names of outputs, starting drainer and program, waiting, and ending as the
// program did. Does not own: draining (drainer.c), which goes on without this process.
//
// The program runs in the launcher's own process group and terminal, so what the user types
// reaches it directly; signals that another process sends to the launcher are handed on.
//
// Threads: one.
#include "drainer.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hak_version.h"
#include "nearest.h"
#include "tint.h"

enum { EXIT_USAGE = 2, CHILD_LINES_MAX = 4, STATUS_NS = 500 * 1000 * 1000 };

struct settings {
    struct drain_options drain;
    char output[4096];
    bool output_given, force, quiet, live, reserved; // reserved: this run made the output file
    int switch_signal;                               // 0 = none
    char library[4096];
};

static const char help_text[] =
    "Usage: hakrec [options] [--] program [arguments]\n"
    "Runs the program and records every call of the allocator and the life of its threads.\n"
    "\n"
    "  -o, --output=FILE     the trace (default trace.zst, or trace.1.zst, ... if that exists);\n"
    "                        child processes go to FILE with their process id inserted\n"
    "  -f, --force           replace FILE (also --overwrite)\n"
    "      --stacks=KIND     full (default), caller or none\n"
    "      --addresses       keep the blocks' addresses\n"
    "      --tick=TIME       unit of the trace's time column: 1ns to 1s (default 10us)\n"
    "      --flush=TIME      write whole frames at least this often (default 50ms)\n"
    "      --delay=TIME      begin to record so long after the start\n"
    "      --duration=TIME   record for so long; the program goes on unrecorded\n"
    "      --paused          begin to record at --switch's signal\n"
    "      --switch=SIGNAL   this signal to hakrec pauses the recording, the next goes on with "
    "it:\n"
    "                        USR1, USR2 or HUP; it is not handed on to the program\n"
    "      --resident=N      of one block in N of a page or more, count the pages resident when "
    "it\n"
    "                        is given up (default 64; 0: of none)\n"
    "      --samples=TIME    look at the process's memory and faults so often (default 50ms; 0)\n"
    "      --spool=MIB       size of the file beside the trace that takes bursts (default 256)\n"
    "      --maps            record memory that the program maps itself\n"
    "      --no-redact       keep whole paths of modules and arguments\n"
    "      --library=FILE    preload this libhakrec.so\n"
    "      --live            show meanwhile what the program does, at the foot of the terminal\n"
    "  -q, --quiet           no summary\n"
    "      --color=WHEN      errors in colour: auto (default), always or never\n"
    "  -h, --help, --version\n"
    "\n"
    "Examples:\n"
    "  hakrec ./app --port 80         then: haktrace info trace.zst; hakreplay trace.zst\n"
    "  hakrec --live -o app.zst ./app\n"
    "  hakrec --delay=30s --duration=10s --stacks=caller ./service\n"
    "\n"
    "Exits as the program does; 125 if it cannot be recorded, 126 if it cannot be run, 127 if\n"
    "there is no such program, 2 for a wrong option.\n";

static bool tinted; // errors stand out in colour

static _Noreturn void die(int exit_code, const char *text) {
    fprintf(stderr, "%s%s\n", TRACE_TINT_NAME("hakrec", tinted), text);
    exit(exit_code);
}

static _Noreturn void die_option(const char *name, const char *value, const char *expected) {
    fprintf(stderr, "%s--%s=%s: expected %s\n", TRACE_TINT_NAME("hakrec", tinted), name, value,
            expected);
    exit(EXIT_USAGE);
}

// ---------------------------------------------------------------- options

// `expected` says what ns_max allows.
static uint64_t parse_time(const char *name, const char *text, uint64_t ns_max,
                           const char *expected) {
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
    char *end;
    errno = 0;
    unsigned long long count = strtoull(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (errno == 0 && text[0] >= '1' && text[0] <= '9' && strcmp(end, units[i].unit) == 0 &&
            count <= ns_max / units[i].ns)
            return count * units[i].ns;
    die_option(name, text, expected);
}

static uint32_t parse_count(const char *name, const char *text, uint32_t most) {
    char *end;
    unsigned long count = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || count > most) {
        char expected[64];
        snprintf(expected, sizeof expected, "a whole number from 0 to %u", most);
        die_option(name, text, expected);
    }
    return (uint32_t)count;
}

static uint32_t parse_stacks(const char *text) {
    if (strcmp(text, "full") == 0)
        return RING_STACKS_FULL;
    if (strcmp(text, "caller") == 0)
        return RING_STACKS_CALLER;
    if (strcmp(text, "none") == 0)
        return RING_STACKS_NONE;
    die_option("stacks", text, "full, caller or none");
}

static void copy_path(char *path, size_t size, const char *text) {
    if (*text == '\0' || strlen(text) >= size)
        die(EXIT_USAGE, "expected a file name of 1 to 4095 bytes");
    strcpy(path, text);
}

static int parse_signal(const char *text) {
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"HUP", SIGHUP}};
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (strcmp(name, signals[i].name) == 0)
            return signals[i].number;
    die_option("switch", text, "USR1, USR2 or HUP");
}

enum option_code {
    OPTION_STACKS = 256,
    OPTION_DELAY,
    OPTION_DURATION,
    OPTION_PAUSED,
    OPTION_SWITCH,
    OPTION_ADDRESSES,
    OPTION_RESIDENT,
    OPTION_SAMPLES,
    OPTION_MAPS,
    OPTION_SPOOL,
    OPTION_TICK,
    OPTION_FLUSH,
    OPTION_NO_REDACT,
    OPTION_LIBRARY,
    OPTION_VERSION,
    OPTION_COLOR,
    OPTION_LIVE,
};

static const struct option option_table[] = {
    {"output", required_argument, NULL, 'o'},
    {"force", no_argument, NULL, 'f'},
    {"overwrite", no_argument, NULL, 'f'},
    {"stacks", required_argument, NULL, OPTION_STACKS},
    {"addresses", no_argument, NULL, OPTION_ADDRESSES},
    {"resident", required_argument, NULL, OPTION_RESIDENT},
    {"samples", required_argument, NULL, OPTION_SAMPLES},
    {"spool", required_argument, NULL, OPTION_SPOOL},
    {"maps", no_argument, NULL, OPTION_MAPS},
    {"tick", required_argument, NULL, OPTION_TICK},
    {"flush", required_argument, NULL, OPTION_FLUSH},
    {"delay", required_argument, NULL, OPTION_DELAY},
    {"duration", required_argument, NULL, OPTION_DURATION},
    {"paused", no_argument, NULL, OPTION_PAUSED},
    {"switch", required_argument, NULL, OPTION_SWITCH},
    {"no-redact", no_argument, NULL, OPTION_NO_REDACT},
    {"library", required_argument, NULL, OPTION_LIBRARY},
    {"live", no_argument, NULL, OPTION_LIVE},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"color", required_argument, NULL, OPTION_COLOR},
    {NULL, 0, NULL, 0},
};

#define PAUSE_NS_MAX (86400 * 1000000000ull)

static void apply_option(struct settings *settings, int code) {
    switch (code) {
    case 'o':
        copy_path(settings->output, sizeof settings->output, optarg);
        settings->output_given = true;
        break;
    case 'f':
        settings->force = true;
        break;
    case 'q':
        settings->quiet = true;
        break;
    case 'h':
        fputs(help_text, stdout);
        exit(0);
    case OPTION_STACKS:
        settings->drain.stacks = parse_stacks(optarg);
        break;
    case OPTION_ADDRESSES:
        settings->drain.addresses = true;
        break;
    case OPTION_RESIDENT:
        settings->drain.resident_every = parse_count("resident", optarg, 1000000);
        break;
    case OPTION_SAMPLES:
        settings->drain.process_ns = strcmp(optarg, "0") == 0
                                         ? 0
                                         : parse_time("samples", optarg, 3600u * 1000000000ull,
                                                      "0 or a time from 1ns to 3600s");
        break;
    case OPTION_SPOOL:
        settings->drain.spool_bytes = (uint64_t)parse_count("spool", optarg, 65536) << 20;
        break;
    case OPTION_MAPS:
        settings->drain.maps = true;
        break;
    case OPTION_TICK:
        settings->drain.tick_ns =
            parse_time("tick", optarg, 1000000000, "a time from 1ns to 1s, such as 10us");
        break;
    case OPTION_FLUSH:
        settings->drain.flush_ns = parse_time("flush", optarg, 3600u * 1000000000ull,
                                              "a time from 1ns to 3600s, such as 50ms");
        break;
    case OPTION_DELAY:
        settings->drain.delay_ns =
            parse_time("delay", optarg, PAUSE_NS_MAX, "a time from 1ns to 86400s, such as 10s");
        break;
    case OPTION_DURATION:
        settings->drain.duration_ns =
            parse_time("duration", optarg, PAUSE_NS_MAX, "a time from 1ns to 86400s, such as 10s");
        break;
    case OPTION_PAUSED:
        settings->drain.starts_paused = true;
        break;
    case OPTION_SWITCH:
        settings->switch_signal = parse_signal(optarg);
        break;
    case OPTION_LIVE:
        settings->live = true;
        break;
    case OPTION_NO_REDACT:
        settings->drain.redact = false;
        break;
    case OPTION_LIBRARY:
        copy_path(settings->library, sizeof settings->library, optarg);
        break;
    case OPTION_VERSION:
        printf("hakrec %s (%s)\n", HAK_VERSION, HAK_COMMIT);
        exit(0);
    case OPTION_COLOR:
        if (!trace_tint_choose(optarg, isatty(STDERR_FILENO) != 0, &tinted))
            die_option("color", optarg, "auto, always or never");
        break;
    default:
        abort(); // option_table and the switch differ
    }
}

static bool is_known(int code) {
    for (const struct option *row = option_table; row->name != NULL; row++)
        if (row->val == code)
            return true;
    return false;
}

static const char *nearest_option(const char *word) {
    const char *names[sizeof option_table / sizeof option_table[0]];
    size_t count = 0;
    for (const struct option *row = option_table; row->name != NULL; row++)
        names[count++] = row->name;
    return strncmp(word, "--", 2) == 0 ? trace_nearest(word + 2, names, count) : NULL;
}

// What getopt has refused; `word` is the one before its next.
static _Noreturn void die_refused_option(int code, const char *word) {
    const char letter[] = {'-', (char)optopt, '\0'};
    const char *name = word, *problem = "unknown option";
    if (code == ':')
        problem = "its value is missing";
    else if (is_known(optopt))
        problem = "it takes no value";
    else if (optopt != 0) // one letter of a group
        name = letter;
    const char *near = code == '?' && optopt == 0 ? nearest_option(word) : NULL;
    if (near != NULL)
        fprintf(stderr, "%s%s: unknown option; did you mean --%s?\n",
                TRACE_TINT_NAME("hakrec", tinted), word, near);
    else
        fprintf(stderr, "%s%s: %s (see hakrec --help)\n", TRACE_TINT_NAME("hakrec", tinted), name,
                problem);
    exit(EXIT_USAGE);
}

// Returns the index of the program's name.
static int parse_options(struct settings *settings, int count, char **arguments) {
    *settings = (struct settings){.drain = {.tick_ns = 10000,
                                            .flush_ns = 50 * 1000000,
                                            .stacks = RING_STACKS_FULL,
                                            .resident_every = 64,
                                            .spool_bytes = 256u << 20,
                                            .process_ns = 50 * 1000000,
                                            .redact = true}};
    trace_tint_choose(NULL, isatty(STDERR_FILENO) != 0, &tinted);
    int code;
    while ((code = getopt_long(count, arguments, "+:o:fqh", option_table, NULL)) != -1) {
        if (code == '?' || code == ':')
            die_refused_option(code, arguments[optind - 1]);
        apply_option(settings, code);
    }
    if (settings->drain.starts_paused && settings->switch_signal == 0)
        die(EXIT_USAGE, "--paused: expected --switch=SIGNAL beside it");
    if (settings->drain.starts_paused &&
        (settings->drain.delay_ns > 0 || settings->drain.duration_ns > 0))
        die(EXIT_USAGE, "--paused: expected neither --delay nor --duration beside it");
    if (settings->live && settings->quiet)
        die(EXIT_USAGE, "--live: expected no --quiet beside it");
    if (settings->live && !live_view_fits())
        die(EXIT_USAGE, "--live: expected standard error to be a terminal of 16 lines and 40 "
                        "columns at least");
    if (!settings->quiet && isatty(STDERR_FILENO))
        settings->drain.status_ns = STATUS_NS;
    if (optind == count)
        die(EXIT_USAGE, "expected a program to run (see hakrec --help)");
    return optind;
}

// ---------------------------------------------------------------- files

static bool reserve(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0)
        close(file);
    return file >= 0;
}

static void output_default(struct settings *settings) {
    strcpy(settings->output, "trace.zst");
    for (unsigned i = 1; !reserve(settings->output); i++) {
        if (errno != EEXIST) {
            fprintf(stderr, "hakrec: %s: cannot be written: %s\n", settings->output,
                    strerror(errno));
            exit(DRAIN_EXIT_CANNOT_RECORD);
        }
        snprintf(settings->output, sizeof settings->output, "trace.%u.zst", i);
    }
    if (strcmp(settings->output, "trace.zst") != 0) // where the trace is, is no summary
        fprintf(stderr, "hakrec: trace.zst exists: writing %s\n", settings->output);
}

// With --force an existing file is left as it is until the drainer has something to put there.
static void output_check_existing(const struct settings *settings) {
    struct stat status;
    if (!settings->force) {
        fprintf(stderr, "hakrec: %s: exists already (--force replaces it)\n", settings->output);
        exit(DRAIN_EXIT_CANNOT_RECORD);
    }
    if (stat(settings->output, &status) != 0 || !S_ISREG(status.st_mode) ||
        access(settings->output, W_OK) != 0) {
        fprintf(stderr, "hakrec: %s: expected a regular file that can be written\n",
                settings->output);
        exit(DRAIN_EXIT_CANNOT_RECORD);
    }
}

static void output_prepare(struct settings *settings) {
    settings->drain.output = settings->output;
    if (!settings->output_given && !settings->force) {
        output_default(settings);
        settings->reserved = true;
        return;
    }
    if (!settings->output_given)
        strcpy(settings->output, "trace.zst");
    settings->reserved = reserve(settings->output);
    if (settings->reserved)
        return;
    if (errno == EEXIST) {
        output_check_existing(settings);
        return;
    }
    fprintf(stderr, "hakrec: %s: cannot be written: %s\n", settings->output, strerror(errno));
    exit(DRAIN_EXIT_CANNOT_RECORD);
}

// Nothing was recorded: an empty file that this run has made would only mislead.
static void output_discard(const struct settings *settings) {
    struct stat status;
    if (settings->reserved && stat(settings->output, &status) == 0 && status.st_size == 0)
        unlink(settings->output);
}

static void library_find(struct settings *settings) {
    char self[4096];
    if (settings->library[0] != '\0') {
        bool found = realpath(settings->library, self) != NULL;
        if (!found || !library_is_ours(self)) {
            fprintf(stderr, "hakrec: --library=%s: %s\n", settings->library,
                    found ? "expected a libhakrec.so" : strerror(errno));
            exit(DRAIN_EXIT_CANNOT_RECORD);
        }
        strcpy(settings->library, self);
    } else {
        ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
        self[length > 0 ? length : 0] = '\0';
        char *slash = strrchr(self, '/');
        if (slash != NULL)
            *slash = '\0';
        char path[4200];
        snprintf(path, sizeof path, "%s/../lib/libhakrec.so", self);
        if (realpath(path, settings->library) == NULL)
            die(DRAIN_EXIT_CANNOT_RECORD, "expected libhakrec.so in ../lib beside hakrec");
    }
    if (strpbrk(settings->library, ": ") != NULL)
        die(DRAIN_EXIT_CANNOT_RECORD, "expected a path of libhakrec.so without spaces and colons "
                                      "(LD_PRELOAD cannot hold it)");
}

// ---------------------------------------------------------------- the drainer

static int listener_open(char *name, size_t name_size) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, name_size, "hakrec.%d.%lx%lx", (int)getpid(), (long)now.tv_sec, now.tv_nsec);
    memcpy(address.sun_path + 1, name, strlen(name));
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0 &&
        listen(listener, 128) == 0)
        return listener;
    return -1;
}

// Nothing of the launcher's stays open here: whoever waits for the end of a pipe that the program
// writes to must not wait for us.
static _Noreturn void drainer_become(int listener, int control,
                                     const struct drain_options *options) {
    enum { LISTENER = 100, CONTROL = 101 };
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    if (dup2(listener, LISTENER) < 0 || dup2(control, CONTROL) < 0)
        _exit(1);
    syscall(SYS_close_range, 3, LISTENER - 1, 0);
    syscall(SYS_close_range, CONTROL + 1, ~0u, 0);
    prctl(PR_SET_NAME, "hakrec-drain");
    drainer_run(LISTENER, CONTROL, options);
}

// Starts the drainer as nobody's child, in a session of its own: neither the terminal's signals
// nor the launcher's end reach it. Returns the launcher's end of the control socket.
static int drainer_start(int listener, const struct drain_options *options) {
    int control[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0)
        return -1;
    pid_t intermediate = fork();
    if (intermediate < 0)
        return -1;
    if (intermediate == 0) {
        setsid();
        close(control[0]);
        pid_t drainer = fork();
        if (drainer == 0)
            drainer_become(listener, control[1], options);
        _exit(drainer < 0);
    }
    close(control[1]);
    int status;
    while (waitpid(intermediate, &status, 0) < 0 && errno == EINTR)
        ;
    struct control_message message;
    if (recv(control[0], &message, sizeof message, 0) != (ssize_t)sizeof message)
        return -1;
    return control[0];
}

// ---------------------------------------------------------------- the program

static volatile sig_atomic_t program_pid;
static int switch_signal, switch_control; // what hand_on needs

// The terminal signals the program itself; what another process sends was meant for it too.
static void hand_on(int number, siginfo_t *info, void *context) {
    (void)context;
    int saved_errno = errno;
    static const struct control_message message = {.kind = CONTROL_SWITCH};
    if (number == switch_signal)
        send(switch_control, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
    else if (info->si_code <= 0 && program_pid > 0)
        kill(program_pid, number);
    errno = saved_errno;
}

static const int handed_on[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
static struct sigaction handed_on_before[sizeof handed_on / sizeof *handed_on];

static void signals_watch(void) {
    struct sigaction action = {.sa_sigaction = hand_on, .sa_flags = SA_SIGINFO | SA_RESTART};
    for (size_t i = 0; i < sizeof handed_on / sizeof *handed_on; i++)
        sigaction(handed_on[i], &action, &handed_on_before[i]);
}

static void signals_restore(void) {
    for (size_t i = 0; i < sizeof handed_on / sizeof *handed_on; i++)
        sigaction(handed_on[i], &handed_on_before[i], NULL);
}

// First in the list, so that another preloaded allocator serves the calls that we record.
static void environment_set(const struct settings *settings, const char *socket_name) {
    const char *others = getenv("LD_PRELOAD");
    size_t size = strlen(settings->library) + (others != NULL ? strlen(others) : 0) + 2;
    char *list = malloc(size);
    if (list == NULL)
        return;
    snprintf(list, size, "%s%s%s", settings->library, others != NULL && *others ? ":" : "",
             others != NULL ? others : "");
    setenv("LD_PRELOAD", list, 1);
    setenv(RING_SOCKET_VARIABLE, socket_name, 1);
    free(list);
}

// Whoever reads what we say may be gone; the program's own end is still ours to pass on.
static void pipe_ignore(void) {
    signal(SIGPIPE, SIG_IGN);
}

static pid_t program_start(const struct settings *settings, const char *socket_name,
                           const char *path, char **arguments, int *exec_error) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return -1;
    signals_watch();
    pid_t pid = fork();
    if (pid == 0) {
        signals_restore();
        environment_set(settings, socket_name);
        execv(path, arguments);
        int error = errno;
        ssize_t written = write(report[1], &error, sizeof error);
        _exit(written == (ssize_t)sizeof error ? DRAIN_EXIT_CANNOT_RUN : DRAIN_EXIT_CANNOT_RECORD);
    }
    program_pid = pid;
    pipe_ignore();
    close(report[1]);
    *exec_error = 0;
    if (pid > 0 && read(report[0], exec_error, sizeof *exec_error) < 0)
        *exec_error = 0;
    close(report[0]);
    return pid;
}

// ---------------------------------------------------------------- waiting

struct report {
    uint32_t children, running;
    uint64_t child_events, child_bytes, child_lost;
    bool has_main, done, drainer_gone;
    bool has_lines; // the drainer has told of trouble
    uint64_t status_events, status_ms;
    int status_width;       // of the line that stands on the terminal; 0 = none
    struct live_view *live; // stands there instead; NULL = not asked for
};

static double bits_per_event(uint64_t bytes, uint64_t events) {
    return events > 0 ? 8.0 * (double)bytes / (double)events : 0;
}

static void session_print(const struct control_message *message) {
    fprintf(stderr,
            "hakrec: %s: %s: %" PRIu64 " event%s, %u thread%s, %.2f bits/event, %" PRIu64 " lost\n",
            message->text, message->program, message->events, message->events == 1 ? "" : "s",
            message->threads, message->threads == 1 ? "" : "s",
            bits_per_event(message->file_bytes, message->events), message->lost);
    if (message->is_main && message->successor[0] != '\0')
        fprintf(stderr, "hakrec: %s: (it then ran another program by exec: see %s)\n",
                message->text, message->successor);
}

// The status line: one that is written over and over, on a terminal only.

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void status_clear(struct report *report) {
    if (report->status_width > 0)
        fprintf(stderr, "\r%*s\r", report->status_width, "");
    report->status_width = 0;
}

static void status_print(struct report *report, const struct control_message *message) {
    uint64_t now = now_ms(), ms = now - report->status_ms;
    double rate =
        ms > 0 ? (double)(message->events - report->status_events) * 1e-3 / (double)ms : 0;
    char line[160];
    snprintf(line, sizeof line,
             "hakrec: %" PRIu64 " events, %.2f M/s, %.1f MB, %.2f bits/event, %" PRIu64
             " lost, %.2f s stalled%s",
             message->events, rate, (double)message->file_bytes * 1e-6,
             bits_per_event(message->file_bytes, message->events), message->lost,
             (double)message->stalled_ns * 1e-9, message->paused ? ", paused" : "");
    status_clear(report);
    report->status_width = fprintf(stderr, "\r%s", line) - 1;
    report->status_events = message->events;
    report->status_ms = now;
}

static void session_report(const struct settings *settings, struct report *report,
                           const struct control_message *message) {
    report->has_main |= message->is_main;
    if (!message->is_main) {
        report->children++;
        report->child_events += message->events;
        report->child_bytes += message->file_bytes;
        report->child_lost += message->lost;
    }
    if (settings->quiet)
        return;
    if (message->is_main || report->children <= CHILD_LINES_MAX)
        session_print(message);
    if (message->own == RING_OWN_MALLOC)
        fprintf(stderr,
                "hakrec: %s: the program brings its own malloc (%s): its calls are not seen\n",
                message->text, message->own_module);
    else if (message->own == RING_OWN_OPERATOR_NEW)
        fprintf(stderr, "hakrec: %s: C++ operator new of %s is not seen\n", message->text,
                message->own_module);
}

static void control_read(const struct settings *settings, int control, struct report *report) {
    struct control_message message;
    ssize_t got = recv(control, &message, sizeof message, 0);
    if (got < 0 && errno == EINTR)
        return;
    if (got == (ssize_t)sizeof message && message.kind == CONTROL_STATUS && report->live) {
        struct live_status status = {message.events, message.lost, message.paused};
        live_view_status(report->live, &status);
        return;
    }
    if (got == (ssize_t)sizeof message && message.kind == CONTROL_STATUS) {
        status_print(report, &message);
        return;
    }
    status_clear(report);
    if (got != (ssize_t)sizeof message) {
        report->drainer_gone = true;
    } else if (message.kind == CONTROL_LINE) {
        fprintf(stderr, "hakrec: %s\n", message.text);
        report->has_lines = true;
    } else if (message.kind == CONTROL_SESSION) {
        session_report(settings, report, &message);
    } else if (message.kind == CONTROL_DONE) {
        report->done = true;
        report->running = message.running;
    }
}

// Until the program ends; returns its wait status.
static int program_wait(const struct settings *settings, pid_t pid, int control,
                        struct report *report) {
    int status = 0;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    for (;;) {
        struct pollfd events[2] = {{.fd = report->drainer_gone ? -1 : control, .events = POLLIN},
                                   {.fd = pidfd, .events = POLLIN}};
        int patience_ms = report->live != NULL ? live_view_step(report->live) : -1;
        if (poll(events, 2, patience_ms) < 0)
            continue;
        if (events[0].revents != 0)
            control_read(settings, control, report);
        if (events[1].revents == 0)
            continue;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        close(pidfd);
        program_pid = 0;
        return status;
    }
}

static void drainer_wait(const struct settings *settings, pid_t pid, int status, int control,
                         struct report *report) {
    struct control_message message = {.kind = CONTROL_MAIN_EXIT, .pid = pid, .status = status};
    if (send(control, &message, sizeof message, MSG_NOSIGNAL) < 0)
        report->drainer_gone = true;
    while (!report->done && !report->drainer_gone)
        control_read(settings, control, report);
}

static void report_print(const struct settings *settings, const struct report *report) {
    if (report->drainer_gone)
        fprintf(stderr, "hakrec: the drainer was killed: %s ends early\n", settings->output);
    if (settings->quiet)
        return;
    if (report->children > CHILD_LINES_MAX)
        fprintf(stderr,
                "hakrec: %u traces of child processes in all: %" PRIu64
                " events, %.2f bits/event, %" PRIu64 " lost\n",
                report->children, report->child_events,
                bits_per_event(report->child_bytes, report->child_events), report->child_lost);
    if (report->running > 0)
        fprintf(stderr, "hakrec: %u process%s still running, recorded in the background\n",
                report->running, report->running == 1 ? " is" : "es are");
}

// As the program did, down to the signal; its core dump is enough.
static _Noreturn void exit_as(int status) {
    if (WIFSIGNALED(status)) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(WTERMSIG(status), SIG_DFL);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, WTERMSIG(status));
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        raise(WTERMSIG(status));
        exit(128 + WTERMSIG(status));
    }
    exit(WEXITSTATUS(status));
}

int main(int count, char **arguments) {
    static struct settings settings;
    static struct program_check check;
    int first = parse_options(&settings, count, arguments);
    program_find(arguments[first], &check);
    if (check.exit_code != 0)
        die(check.exit_code, check.problem);
    library_find(&settings);
    output_prepare(&settings);

    char socket_name[64];
    int listener = listener_open(socket_name, sizeof socket_name);
    int control = listener >= 0 ? drainer_start(listener, &settings.drain) : -1;
    if (control < 0) {
        output_discard(&settings);
        die(DRAIN_EXIT_CANNOT_RECORD, "cannot start the drainer");
    }
    close(listener);

    int exec_error;
    switch_signal = settings.switch_signal;
    switch_control = control;
    // Before the drainer gives the trace its name: what has it now is another's.
    struct report report = {.live =
                                settings.live ? live_view_begin(settings.output, tinted) : NULL};
    pid_t pid = program_start(&settings, socket_name, check.path, arguments + first, &exec_error);
    if (pid < 0 || exec_error != 0) {
        live_view_end(report.live);
        output_discard(&settings);
        fprintf(stderr, "hakrec: %s: cannot be run: %s\n", check.path,
                strerror(pid < 0 ? errno : exec_error));
        exit(exec_error == ENOENT ? DRAIN_EXIT_NOT_FOUND : DRAIN_EXIT_CANNOT_RUN);
    }

    int status = program_wait(&settings, pid, control, &report);
    signals_restore();
    drainer_wait(&settings, pid, status, control, &report);
    if (!report.has_main && report.running == 0 && !report.drainer_gone) {
        output_discard(&settings);
        if (!report.has_lines)
            fprintf(stderr, "hakrec: nothing was recorded: %s did not load libhakrec.so\n",
                    check.path);
    }
    live_view_end(report.live);
    report_print(&settings, &report);
    exit_as(status);
}
