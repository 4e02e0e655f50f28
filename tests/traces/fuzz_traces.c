// fuzz_traces: reader, checker, small form, windows and importers on inputs that nobody wrote.
//
//     fuzz_traces SOURCE_DIR EXECUTIONS SEED [reader|window|android|heaptrack|glibc]
//     fuzz_traces --replay FILE TARGET
//
// Mutates the committed seeds (tests/traces/golden, tests/traces/seeds) by a fixed random sequence:
// the same arguments make the same inputs. What it must find is done by the sanitizers and by the
// asserts here: no crash, no leak, one line of error that names the file, and what is accepted is
// the same after being written and read again. A trace is mutated as bytes, and also inside its
// frames, whose checksums and index are then made right, so that what is behind them is reached.
// On a crash the input is left in fuzz_input.
#include "haktrace_import.h"
#include "trace_internal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

enum { INPUT_BYTES_MAX = 1 << 16, SEEDS_MAX = 8, CHUNKS_MAX = 64 };

struct input {
    uint8_t data[INPUT_BYTES_MAX];
    size_t size;
};

static struct input seeds[SEEDS_MAX], current;
static unsigned seed_count;
static uint64_t random_state;
static uint64_t accepted, refused;
static int input_file; // a file in memory, and its path
static char input_path[64];

// ---------------------------------------------------------------- failing

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "fuzz_traces: %s:%d: does not hold: %s\n", __FILE__, __LINE__,         \
                    #condition);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void keep_input(void) {
    FILE *file = fopen("fuzz_input", "wb");
    if (file) {
        fwrite(current.data, 1, current.size, file);
        fclose(file);
    }
}

static void on_signal(int number) {
    keep_input();
    signal(number, SIG_DFL);
    raise(number);
}

void __asan_set_death_callback(void (*callback)(void)) __attribute__((weak));

// What the importers call of haktrace.c.
static char failure_text[1024];
int haktrace_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure_text, sizeof failure_text, format, arguments);
    va_end(arguments);
    return HAKTRACE_USAGE;
}
int haktrace_finish_output(int status) {
    return status;
}

// ---------------------------------------------------------------- random

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static size_t below(size_t limit) {
    return limit ? next_random() % limit : 0;
}

// ---------------------------------------------------------------- mutating bytes

static const uint8_t tokens[][12] = {"0x0",     "0xffffffff", "malloc", "realloc", "free",
                                     ": ",      "\n+ ",       "\n- ",   "\n",      "ffffffff ",
                                     "m 1 -\n", "t 1 ",       " 0",     "v 1 3"};
enum { TOKEN_COUNT = sizeof tokens / sizeof *tokens };

static void overwrite(struct input *input, size_t at, const void *data, size_t size) {
    if (at >= input->size)
        return;
    memcpy(input->data + at, data, size < input->size - at ? size : input->size - at);
}

static void insert(struct input *input, size_t at, const void *data, size_t size) {
    if (input->size + size > sizeof input->data)
        return;
    memmove(input->data + at + size, input->data + at, input->size - at);
    memcpy(input->data + at, data, size);
    input->size += size;
}

static void cut_out(struct input *input, size_t at, size_t size) {
    if (size > input->size - at)
        size = input->size - at;
    memmove(input->data + at, input->data + at + size, input->size - at - size);
    input->size -= size;
}

static void mutate_once(struct input *input) {
    static const uint64_t interesting[] = {0,          1,          0x7f,       0x80,
                                           0xff,       0x100,      0xffff,     0x7fffffff,
                                           0xffffffff, UINT64_MAX, 1ull << 63, 1ull << 32};
    uint8_t copy[256];
    size_t at = below(input->size + 1), size = 1 + below(16);
    uint64_t value = interesting[below(sizeof interesting / sizeof *interesting)];
    switch (below(9)) {
    case 0:
        if (at < input->size)
            input->data[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        if (at < input->size)
            input->data[at] = (uint8_t)next_random();
        break;
    case 2:
        overwrite(input, at, &value, 1u << below(4));
        break;
    case 3:
        value = next_random();
        insert(input, at, &value, 1 + below(8));
        break;
    case 4:
        cut_out(input, at, size);
        break;
    case 5: { // a part of itself
        size = 1 + below(sizeof copy);
        size_t from = below(input->size + 1);
        size = size < input->size - from ? size : input->size - from;
        memcpy(copy, input->data + from, size);
        insert(input, at, copy, size);
        break;
    }
    case 6: { // a part of another seed
        const struct input *other = &seeds[below(seed_count)];
        size_t from = below(other->size + 1);
        size = 1 + below(64);
        insert(input, at, other->data + from,
               size < other->size - from ? size : other->size - from);
        break;
    }
    case 7: {
        const uint8_t *token = tokens[below(TOKEN_COUNT)];
        insert(input, at, token, strlen((const char *)token));
        break;
    }
    default:
        if (at < input->size)
            input->data[at] = (uint8_t)(input->data[at] + (below(2) ? 1 : -1));
        break;
    }
}

static void mutate_bytes(struct input *input) {
    for (size_t times = 1 + below(4); times > 0; times--)
        mutate_once(input);
    if (below(32) == 0)
        input->size = below(input->size + 1);
}

// ---------------------------------------------------------------- mutating inside frames

static ZSTD_CCtx *compressor;

static void append(struct input *to, const void *data, size_t size) {
    if (to->size + size <= sizeof to->data) {
        memcpy(to->data + to->size, data, size);
        to->size += size;
    }
}

// Columns keep their places: what is in one is changed, and its length is made right.
static bool mutate_columns(struct input *chunk_bytes) {
    static struct trace_chunk chunk;
    static struct input column;
    struct trace_place place = {"chunk", 0};
    struct trace_bytes raw = {0};
    if (trace_chunk_parse(chunk_bytes->data, chunk_bytes->size, &chunk, &place, NULL) ||
        chunk.column_count == 0)
        return false;
    struct trace_column *changed = &chunk.columns[below(chunk.column_count)];
    column.size = changed->bytes < sizeof column.data ? changed->bytes : 0;
    memcpy(column.data, changed->data, column.size);
    for (size_t times = 1 + below(3); times > 0; times--)
        mutate_once(&column);
    changed->data = column.data;
    changed->bytes = (uint32_t)column.size;
    if (changed->encoding == TRACE_BYTES || changed->encoding == TRACE_TEXT || below(8) == 0)
        changed->values = (uint32_t)column.size;
    if (below(8) == 0) {
        uint16_t *fields[] = {&chunk.kind, &chunk.flags, &changed->id};
        *fields[below(3)] ^= (uint16_t)(1u << below(5));
    }
    if (below(8) == 0)
        *(below(2) ? &chunk.first : &chunk.object0) += below(3) - 1;
    bool built = trace_chunk_build(&chunk, &raw) && raw.size <= sizeof chunk_bytes->data;
    if (built) {
        memcpy(chunk_bytes->data, raw.data, raw.size);
        chunk_bytes->size = raw.size;
    }
    trace_bytes_free(&raw);
    return built;
}

// Frame after frame of a seed, some changed, left out or doubled; and an index that fits, mostly.
static void mutate_frames(const struct input *seed, struct input *to) {
    static struct input chunk;
    static uint8_t frame[INPUT_BYTES_MAX];
    struct trace_index_entry entries[CHUNKS_MAX];
    size_t count = 0, victim = below(12);
    to->size = 0;
    append(to, seed->data, TRACE_IDENTITY_BYTES);
    for (size_t at = TRACE_IDENTITY_BYTES, number = 0; at < seed->size; number++) {
        size_t bytes = ZSTD_findFrameCompressedSize(seed->data + at, seed->size - at);
        if (ZSTD_isError(bytes) || trace_get32(seed->data + at) != TRACE_MAGIC_ZSTD)
            break;
        chunk.size = ZSTD_decompress(chunk.data, sizeof chunk.data, seed->data + at, bytes);
        at += bytes;
        if (ZSTD_isError(chunk.size))
            break;
        size_t copies = 1;
        if (number == victim || below(16) == 0) {
            size_t choice = below(16);
            if (choice == 0)
                copies = below(3);
            else if (choice < 4 || !mutate_columns(&chunk))
                mutate_bytes(&chunk);
        }
        for (; copies > 0; copies--) {
            size_t size = ZSTD_compress2(compressor, frame, sizeof frame, chunk.data, chunk.size);
            if (ZSTD_isError(size) || count == CHUNKS_MAX || to->size + size > sizeof to->data)
                break;
            if (chunk.size >= 48)
                entries[count++] =
                    (struct trace_index_entry){.offset = to->size,
                                               .bytes = (uint32_t)size,
                                               .kind = trace_get16(chunk.data + 4),
                                               .rows = trace_get32(chunk.data + 12),
                                               .first = trace_get64(chunk.data + 16),
                                               .time0 = trace_get64(chunk.data + 24)};
            append(to, frame, size);
        }
    }
    struct trace_bytes index = {0};
    if (below(4) && trace_index_build(entries, count, &index))
        append(to, index.data, index.size);
    trace_bytes_free(&index);
    if (below(16) == 0)
        mutate_once(to);
}

// ---------------------------------------------------------------- targets

static void put_input(void) {
    must(ftruncate(input_file, 0) == 0);
    must(pwrite(input_file, current.data, current.size, 0) == (ssize_t)current.size);
}

static void must_be_one_line(const char *text) {
    must(text[0] != '\0' && strchr(text, '\n') == NULL);
}

// Written again in the small form and read back, every event is the same.
static void rewrite(struct trace_reader *reader) {
    struct trace_error error;
    struct trace_event events[64], again[64];
    struct trace_writer_options options = {
        .ranked = true, .addresses = true, .overwrite = true, .rows_per_chunk = 16, .trace_id = 1};
    const char *meta = "{\"format\":\"hak-trace\",\"tick_ns\":1}";
    struct trace_writer *writer = trace_writer_create("fuzz_again.zst", meta, &options, &error);
    must(writer);
    ptrdiff_t count;
    must(trace_reader_seek(reader, 0, &error) == 0);
    uint32_t nodes = 0;
    while ((count = trace_reader_next(reader, events, 64, &error)) > 0)
        for (ptrdiff_t i = 0; i < count; i++) {
            struct trace_node node = {0};
            while (nodes < events[i].stack)
                must(trace_writer_node(writer, &node, &error) == ++nodes);
            must(trace_writer_event(writer, &events[i], &error) == 0);
        }
    must(count == 0 && trace_writer_close(writer, "{}", &error) == 0);
    struct trace_reader *second = trace_reader_open("fuzz_again.zst", &error);
    must(second && trace_reader_seek(reader, 0, &error) == 0);
    while ((count = trace_reader_next(reader, events, 64, &error)) > 0) {
        ptrdiff_t taken = 0;
        while (taken < count) {
            ptrdiff_t got =
                trace_reader_next(second, again + taken, (size_t)(count - taken), &error);
            must(got > 0);
            taken += got;
        }
        must(memcmp(events, again, (size_t)count * sizeof *events) == 0);
    }
    must(trace_reader_next(second, again, 1, &error) == 0);
    trace_reader_close(second);
}

static void run_reader(void) {
    struct trace_error error = {""};
    struct trace_check_result result;
    struct trace_summary summary;
    struct trace_event event;
    struct trace_node node;
    struct trace_reader *reader = trace_reader_open(input_path, &error);
    bool good = reader && trace_check(reader, &result, &error) == 0;
    good ? accepted++ : refused++;
    if (!good)
        must_be_one_line(error.text);
    if (reader) {
        trace_reader_summary(reader, &summary);
        uint64_t number = below((size_t)summary.events + 2);
        if (trace_reader_seek(reader, number, &error) == 0)
            must(trace_reader_next(reader, &event, 1, &error) < 1 || event.number == number);
        if (trace_reader_seek_time(reader, next_random() >> below(64), &error) == 0)
            trace_reader_next(reader, &event, 1, &error);
        trace_reader_node(reader, (uint32_t)next_random() >> below(32), &node);
        if (good && below(16) == 0)
            rewrite(reader);
    }
    trace_reader_close(reader);
}

static void run_window(void) {
    struct trace_error error = {""};
    struct trace_window_result result;
    struct trace_window_range range = {.from = below(30)};
    range.to = range.from + below(30);
    remove("fuzz_window.zst");
    bool good = trace_window(input_path, &range, "fuzz_window.zst", true, &result, &error) == 0;
    good ? accepted++ : refused++;
    if (!good) {
        must_be_one_line(error.text);
        return;
    }
    struct trace_check_result check;
    struct trace_reader *reader = trace_reader_open("fuzz_window.zst", &error);
    must(reader && trace_check(reader, &check, &error) == 0);
    must(check.anomalies.total == 0);
    trace_reader_close(reader);
}

static void run_import(const char *form) {
    struct haktrace_options options = {
        .path = input_path, .output = "/dev/null", .format = form, .force = true};
    failure_text[0] = '\0';
    bool good = haktrace_import(&options) == HAKTRACE_OK;
    good ? accepted++ : refused++;
    if (!good)
        must_be_one_line(failure_text);
}

static const struct target {
    const char *name;
    const char *const *seeds; // below SOURCE_DIR/tests/traces
} targets[] = {
    {"reader", (const char *const[]){"golden/every_op.zst", "golden/every_op_1_2.zst",
                                     "golden/every_op_1_3.zst", NULL}},
    {"window", (const char *const[]){"golden/every_op_1_2.zst", "golden/every_op_1_3.zst", NULL}},
    {"android", (const char *const[]){"seeds/android.txt", NULL}},
    {"heaptrack",
     (const char *const[]){"seeds/heaptrack_raw.txt", "seeds/heaptrack_interpreted.txt",
                           "seeds/heaptrack_raw.zst", NULL}},
    {"glibc", (const char *const[]){"seeds/glibc.wl", NULL}},
};
enum { TARGET_COUNT = sizeof targets / sizeof *targets };

static bool is_trace(const struct target *target) {
    return strcmp(target->name, "reader") == 0 || strcmp(target->name, "window") == 0;
}

static void run_input(const struct target *target) {
    put_input();
    if (strcmp(target->name, "reader") == 0)
        run_reader();
    else if (strcmp(target->name, "window") == 0)
        run_window();
    else
        run_import(target->name);
}

static size_t read_file(const char *path, struct input *input) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "fuzz_traces: cannot open %s\n", path);
        exit(2);
    }
    input->size = fread(input->data, 1, sizeof input->data, file);
    fclose(file);
    return input->size;
}

static void run_target(const struct target *target, const char *source, uint64_t executions,
                       uint64_t seed) {
    char path[4096];
    seed_count = 0;
    for (const char *const *name = target->seeds; *name; name++) {
        snprintf(path, sizeof path, "%s/tests/traces/%s", source, *name);
        must(read_file(path, &seeds[seed_count++]) > 0);
    }
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    accepted = refused = 0;
    double slowest = 0;
    for (uint64_t i = 0; i < executions; i++) {
        const struct input *from = &seeds[below(seed_count)];
        if (is_trace(target) && below(8)) {
            mutate_frames(from, &current);
        } else {
            current.size = from->size;
            memcpy(current.data, from->data, from->size);
            mutate_bytes(&current);
        }
        clock_t begin = clock();
        run_input(target);
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        slowest = seconds > slowest ? seconds : slowest;
    }
    // Both must happen, or the mutations are too tame or too wild to show anything.
    must(executions < 1000 || (accepted > 0 && refused > 0));
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    fprintf(stderr, "%s: %llu executions, %llu accepted, %llu refused; slowest %.3f s, %ld MB\n",
            target->name, (unsigned long long)executions, (unsigned long long)accepted,
            (unsigned long long)refused, slowest, usage.ru_maxrss / 1024);
}

int main(int argc, char **argv) {
    bool replay = argc == 4 && strcmp(argv[1], "--replay") == 0;
    if (argc < 4)
        return 2;
    trace_file_ignore_closed_pipes();
    signal(SIGABRT, on_signal);
    signal(SIGSEGV, on_signal);
    if (__asan_set_death_callback)
        __asan_set_death_callback(keep_input);
    input_file = memfd_create("fuzz", 0);
    must(input_file >= 0 && freopen("/dev/null", "w", stdout));
    snprintf(input_path, sizeof input_path, "/proc/self/fd/%d", input_file);
    compressor = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, 1);
    for (unsigned i = 0; i < TARGET_COUNT; i++) {
        if (replay && strcmp(argv[3], targets[i].name) == 0) {
            random_state = 1;
            read_file(argv[2], &current);
            run_input(&targets[i]);
        } else if (!replay && (argc < 5 || strcmp(argv[4], targets[i].name) == 0)) {
            run_target(&targets[i], argv[1], strtoull(argv[2], NULL, 10),
                       strtoull(argv[3], NULL, 10));
        }
    }
    ZSTD_freeCCtx(compressor);
    close(input_file);
    return 0;
}
