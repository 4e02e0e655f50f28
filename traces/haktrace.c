// haktrace.c: the haktrace tool: its table of subcommands, options and common output.
//
// Owns: the command line. Does not know what the subcommands do: each has a file of its own and a
// row in the table below.
#include "haktrace.h"

#include "hak_version.h"
#include "nearest.h"
#include "progress.h"
#include "tint.h"
#include "trace_internal.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct haktrace_command commands[] = {
    {"info", "jk", 1, "[--json] [--columns] FILE",
     "what was recorded: program, threads, events, stacks, losses", "info --columns trace.zst",
     haktrace_info},
    {"verify", "j", 1, "[--json] FILE", "check structure, order rules and totals",
     "verify --quiet trace.zst && echo fine", haktrace_verify},
    {"dump", "jsfcM", 1, "[--json] [--stacks] [--memory] [--from N] [--count N] FILE",
     "one event a line", "dump --from 1000 --count 20 --stacks trace.zst", haktrace_dump},
    {"top", "cy", 1, "[--count N] [--symbols[=ROOT]] FILE", "which stacks allocate most",
     "top --symbols --count 10 trace.zst | c++filt", haktrace_top},
    {"window", "oFj", 2, "[-o OUT] [--force] [--json] FROM..TO FILE",
     "a part as a trace of its own, with the heap as it was",
     "window -o part.zst 1.5s..2s trace.zst", haktrace_window},
    {"export", "moFy", 1, "--format=FORM [-o OUT] [--force] [--symbols[=ROOT]] FILE",
     "for other tools: heaptrack, pprof, chrome, collapsed, csv",
     "export --format=pprof -o trace.pprof --symbols trace.zst", haktrace_export},
    {"import", "moF", 1, "--format=FORM [-o OUT] [--force] FILE",
     "a trace of what others record: heaptrack, android, glibc",
     "import --format=heaptrack -o trace.zst heaptrack.app.4711.zst", haktrace_import},
    {"repack", "oFC", 1, "[-o OUT] [--force] [--core] FILE", "the same trace in the smallest form",
     "repack -o small.zst trace.zst", haktrace_repack},
    {"anonymise", "oF", 1, "[-o OUT] [--force] FILE",
     "the same events without names, paths and places in code", "anonymise -o public.zst trace.zst",
     haktrace_anonymise},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"stacks", no_argument, NULL, 's'},
    {"from", required_argument, NULL, 'f'},
    {"count", required_argument, NULL, 'c'},
    {"output", required_argument, NULL, 'o'},
    {"force", no_argument, NULL, 'F'},
    {"symbols", optional_argument, NULL, 'y'},
    {"core", no_argument, NULL, 'C'},
    {"columns", no_argument, NULL, 'k'},
    {"memory", no_argument, NULL, 'M'},
    {"format", required_argument, NULL, 'm'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {0},
};

// What an option does, for --help of the commands that take it.
static const struct {
    char letter;
    const char *form, *text;
} option_texts[] = {
    {'j', "    --json", "write JSON instead of text (dump: one object a line)"},
    {'s', "    --stacks", "follow each event by the frames of its stack"},
    {'M', "    --memory", "the rows beside the events: resident pages, the process, mappings"},
    {'f', "    --from N", "begin with event N (default 0)"},
    {'c', "    --count N", "write at most N events, or stacks"},
    {'o', "-o, --output FILE", "where to write"},
    {'F', "    --force", "replace an existing output"},
    {'y', "    --symbols[=ROOT]",
     "names of functions, from this machine's files or those below ROOT"},
    {'C', "    --core", "leave out entry points and addresses"},
    {'k', "    --columns", "show where the file's bytes go, column by column"},
    {'m', "    --format=FORM", "which form; haktrace(1) says what each keeps"},
};
enum { OPTION_TEXT_COUNT = sizeof option_texts / sizeof *option_texts };

// ---------------------------------------------------------------- output

static bool tinted; // errors stand out in colour

// ---------------------------------------------------------------- progress

static struct trace_progress progress;

static void tell_part(const struct trace_file *file, uint64_t offset, unsigned pass) {
    char more[32];
    snprintf(more, sizeof more, "pass %u", pass);
    struct trace_progress_state state = {.what = file->path,
                                         .unit = "MB",
                                         .done = (double)offset / 1e6,
                                         .total = (double)file->size_bytes / 1e6,
                                         .left_s = -1,
                                         .more = pass > 1 ? more : NULL};
    trace_progress_tell(&progress, trace_file_clock_ns(), &state);
}

// A file is read once or twice: to check it, and for what is to be made of it.
static void tell_progress(const struct trace_file *file, uint64_t offset, uint64_t end) {
    static uint64_t offset_before;
    static unsigned pass = 1;
    uint64_t now_ns = trace_file_clock_ns();
    if (offset < offset_before) {
        pass++;
        progress.began_ns = now_ns;
    }
    offset_before = offset;
    if (end >= file->size_bytes) // what the command prints may follow
        trace_progress_clear(&progress);
    else if (trace_progress_is_due(&progress, now_ns))
        tell_part(file, offset, pass);
}

static void progress_begin(void) {
    progress = trace_progress_begin("haktrace", isatty(STDERR_FILENO) != 0);
    trace_file_watch(tell_progress);
}

int haktrace_fail(const char *format, ...) {
    va_list arguments;
    trace_progress_clear(&progress);
    fputs(TRACE_TINT_NAME("haktrace", tinted), stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return HAKTRACE_USAGE;
}

static int output_errno; // of the first failed write; 0 = none

bool haktrace_output_closed(void) {
    if (ferror(stdout) && !output_errno)
        output_errno = errno;
    return output_errno != 0;
}

int haktrace_finish_output(int status) {
    if (fflush(stdout) != 0 && !output_errno)
        output_errno = errno;
    haktrace_output_closed();
    if (output_errno && output_errno != EPIPE)
        return haktrace_fail("cannot write standard output: %s", strerror(output_errno));
    return status;
}

void haktrace_print_text(const char *text) {
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        putchar(byte < 0x20 || byte == 0x7f ? '?' : byte);
    }
}

static void print_help(void) {
    puts("Usage: haktrace COMMAND [OPTIONS] FILE\n"
         "Look into a trace that hakrec has recorded, and make other files of it.\n");
    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    puts("\nOptions:\n"
         "  -q, --quiet        no progress and no summary; of verify the exit status only\n"
         "      --color=WHEN   errors in colour: auto (default), always or never\n"
         "      --help         print this help, after COMMAND that command's\n"
         "      --version      print version and commit\n"
         "\nExamples:\n"
         "  haktrace info trace.zst\n"
         "  haktrace verify trace.zst && hakreplay trace.zst\n"
         "  haktrace dump --from 1000 --count 20 --stacks trace.zst\n"
         "  haktrace window -o part.zst 50000..60000 trace.zst\n"
         "\nExit status: 0 fine; 1 verify found the trace incomplete or out of order;\n"
         "2 usage, or a file that cannot be read as a trace.");
}

static void print_command_help(const struct haktrace_command *command) {
    printf("Usage: haktrace %s %s\n%c%s.\n\nOptions:\n", command->name, command->usage,
           command->summary[0] - 'a' + 'A', command->summary + 1);
    for (unsigned i = 0; i < OPTION_TEXT_COUNT; i++)
        if (strchr(command->letters, option_texts[i].letter))
            printf("  %-20s %s\n", option_texts[i].form, option_texts[i].text);
    printf("  %-20s %s\n  %-20s %s\n", "-q, --quiet", "no progress, no summary", "    --help",
           "print this help");
    printf("\nExample:\n  haktrace %s\n", command->example);
}

static void print_version(void) {
    puts("haktrace " HAK_VERSION " (" HAK_COMMIT ")");
}

void haktrace_tell_written(const struct haktrace_options *options, const char *output) {
    struct trace_reader *before = trace_reader_open(options->path, NULL);
    struct trace_reader *after = trace_reader_open(output, NULL);
    if (before && after && !options->quiet) {
        struct trace_summary old, new;
        trace_reader_summary(before, &old);
        trace_reader_summary(after, &new);
        printf("%s: %" PRIu64 " bytes; %s has %" PRIu64 "\n", output, new.file_bytes, options->path,
               old.file_bytes);
    }
    trace_reader_close(before);
    trace_reader_close(after);
}

// ---------------------------------------------------------------- reading a whole trace

int haktrace_read_whole(const char *path, struct haktrace_reading *reading) {
    struct trace_error error;
    *reading = (struct haktrace_reading){.reader = trace_reader_open(path, &error)};
    if (!reading->reader)
        return haktrace_fail("%s", error.text);
    trace_reader_visit_sides(reading->reader, haktrace_memory_count, &reading->memory);
    if (trace_check(reading->reader, &reading->check, &error)) {
        haktrace_close(reading);
        return haktrace_fail("%s", error.text);
    }
    trace_reader_visit_sides(reading->reader, NULL, NULL);
    trace_reader_summary(reading->reader, &reading->summary);
    reading->meta = json_loads(reading->summary.meta_json, 0, NULL);
    if (reading->summary.end_json)
        reading->end = json_loads(reading->summary.end_json, 0, NULL);
    return HAKTRACE_OK;
}

void haktrace_close(struct haktrace_reading *reading) {
    json_decref(reading->meta);
    json_decref(reading->end);
    trace_reader_close(reading->reader);
}

const char *haktrace_missing(const struct haktrace_reading *reading, char *buffer, size_t size) {
    const struct trace_summary *summary = &reading->summary;
    if (summary->complete)
        return NULL;
    snprintf(buffer, size, "%s; %llu bytes after the last whole frame",
             summary->end_json ? "the index is missing: the file was cut"
                               : "the end is missing: the recording did not finish, or the file "
                                 "was cut",
             (unsigned long long)summary->cut_bytes);
    return buffer;
}

const char *haktrace_unseen(const struct haktrace_reading *reading, char *buffer, size_t size) {
    json_t *recorder = json_object_get(reading->end, "recorder");
    const char *own_malloc = json_string_value(json_object_get(recorder, "own_malloc"));
    const char *own_new = json_string_value(json_object_get(recorder, "own_operator_new"));
    if (own_malloc)
        snprintf(buffer, size,
                 "the program brings its own malloc (%s): its calls are not in this trace",
                 own_malloc);
    else if (own_new)
        snprintf(buffer, size, "C++ operator new of %s is not in this trace", own_new);
    return own_malloc || own_new ? buffer : NULL;
}

// ---------------------------------------------------------------- command line

static bool parse_number(const char *text, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

static const struct haktrace_command *find_command(const char *name) {
    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

// One option into *options; false after an error line.
static bool take_option(const struct haktrace_command *command, int letter,
                        struct haktrace_options *options) {
    if (letter != 'q' && !strchr(command->letters, letter)) {
        haktrace_fail("%s does not take this option (see haktrace --help)", command->name);
        return false;
    }
    switch (letter) {
    case 'j':
        options->json = true;
        return true;
    case 'q':
        options->quiet = true;
        progress.tells = false;
        return true;
    case 's':
        options->stacks = true;
        return true;
    case 'F':
        options->force = true;
        return true;
    case 'C':
        options->core = true;
        return true;
    case 'y':
        options->symbols = optarg ? optarg : "";
        return true;
    case 'k':
        options->columns = true;
        return true;
    case 'M':
        options->memory = true;
        return true;
    case 'o':
        options->output = optarg;
        return true;
    case 'm':
        options->format = optarg;
        return true;
    default:
        if (parse_number(optarg, letter == 'f' ? &options->from : &options->count))
            return true;
        haktrace_fail("expected a number after --%s, found '%s'", letter == 'f' ? "from" : "count",
                      optarg);
        return false;
    }
}

// What getopt has refused; `word` is the one before its next.
static int refuse_option(int letter, const char *word) {
    bool is_long_option = optopt == 0;
    for (const struct option *row = long_options; row->name; row++)
        is_long_option |= row->val == optopt;
    if (!is_long_option) // one letter of a group
        return haktrace_fail("-%c: unknown option (see haktrace --help)", optopt);
    const char *names[sizeof long_options / sizeof *long_options];
    size_t count = 0;
    for (const struct option *row = long_options; row->name; row++)
        names[count++] = row->name;
    const char *nearest = optopt == 0 ? trace_nearest(word + 2, names, count) : NULL;
    if (nearest)
        return haktrace_fail("%s: unknown option; did you mean --%s?", word, nearest);
    return haktrace_fail("%s: %s (see haktrace --help)", word,
                         letter == ':' ? "its value is missing"
                         : optopt      ? "it takes no value"
                                       : "unknown option");
}

static int refuse_command(const char *word) {
    const char *names[COMMAND_COUNT];
    if (word[0] == '-' && word[1] == '-') {
        optopt = 0; // as getopt leaves it for a long option
        return refuse_option('?', word);
    }
    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    const char *nearest = trace_nearest(word, names, COMMAND_COUNT);
    if (nearest)
        return haktrace_fail("unknown command '%s'; did you mean %s?", word, nearest);
    return haktrace_fail("unknown command '%s' (see haktrace --help)", word);
}

static int run_command(const struct haktrace_command *command, int argc, char **argv) {
    struct haktrace_options options = {.count = UINT64_MAX};
    int letter;
    while ((letter = getopt_long(argc, argv, ":hqo:", long_options, NULL)) != -1) {
        if (letter == 'h' || letter == 'V') {
            letter == 'h' ? print_command_help(command) : print_version();
            return haktrace_finish_output(HAKTRACE_OK);
        }
        if (letter == '?' || letter == ':')
            return refuse_option(letter, argv[optind - 1]);
        if (!take_option(command, letter, &options))
            return HAKTRACE_USAGE;
    }
    if (argc - optind != command->operand_count)
        return haktrace_fail("%s expects %s, found %d (see haktrace --help)", command->name,
                             command->operand_count == 1 ? "one trace file"
                                                         : "FROM..TO and one trace file",
                             argc - optind);
    // Lines on the same terminal show by themselves how far it is.
    bool streams = command->run == haktrace_dump || command->run == haktrace_export;
    progress.tells &= !(streams && !options.output && isatty(STDOUT_FILENO));
    options.path = argv[argc - 1];
    options.range = command->operand_count == 2 ? argv[optind] : NULL;
    return command->run(&options);
}

int main(int argc, char **argv) {
    trace_file_ignore_closed_pipes();
    const char *when = trace_tint_take(&argc, argv, isatty(STDERR_FILENO) != 0, &tinted);
    if (when)
        return haktrace_fail("--color=%s: expected auto, always or never", when);
    progress_begin();
    if (argc < 2)
        return haktrace_fail("expected a command, such as info (see haktrace --help)");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return haktrace_finish_output(HAKTRACE_OK);
    }
    if (strcmp(argv[1], "--version") == 0) {
        print_version();
        return haktrace_finish_output(HAKTRACE_OK);
    }
    const struct haktrace_command *command = find_command(argv[1]);
    if (!command)
        return refuse_command(argv[1]);
    int status = run_command(command, argc - 1, argv + 1);
    trace_progress_clear(&progress);
    return status;
}
