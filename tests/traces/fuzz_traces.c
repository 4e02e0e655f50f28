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
#include "fuzzing.h"
#include "haktrace_import.h"
#include "trace_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zstd.h>

enum { CHUNKS_MAX = 64 };

static struct fuzz_figures figures;

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

static const char *const words[] = {"0x0",     "0xffffffff", "malloc", "realloc", "free",
                                    ": ",      "\n+ ",       "\n- ",   "\n",      "ffffffff ",
                                    "m 1 -\n", "t 1 ",       " 0",     "v 1 3"};

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
        fuzz_mutate_once(&column);
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
                fuzz_mutate_bytes(&chunk);
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
        fuzz_mutate_once(to);
}

// ---------------------------------------------------------------- targets

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
    good ? figures.accepted++ : figures.refused++;
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
    good ? figures.accepted++ : figures.refused++;
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
    good ? figures.accepted++ : figures.refused++;
    if (!good)
        must_be_one_line(failure_text);
}

static const struct target {
    const char *name;
    const char *const *seeds; // below SOURCE_DIR/tests/traces
} targets[] = {
    {"reader", (const char *const[]){"golden/every_op.zst", "golden/every_op_1_2.zst",
                                     "golden/every_op_1_3.zst", "golden/every_op_1_4.zst", NULL}},
    {"window", (const char *const[]){"golden/every_op_1_2.zst", "golden/every_op_1_3.zst",
                                     "golden/every_op_1_4.zst", NULL}},
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
    fuzz_put_input();
    if (strcmp(target->name, "reader") == 0)
        run_reader();
    else if (strcmp(target->name, "window") == 0)
        run_window();
    else
        run_import(target->name);
}

static void run_target(const struct target *target, const char *source, uint64_t executions,
                       uint64_t seed) {
    fuzz_read_seeds(source, "tests/traces", target->seeds);
    fuzz_seed(seed);
    figures = (struct fuzz_figures){0};
    for (uint64_t i = 0; i < executions; i++) {
        const struct input *from = &seeds[below(seed_count)];
        if (is_trace(target) && below(8)) {
            mutate_frames(from, &current);
        } else {
            current.size = from->size;
            memcpy(current.data, from->data, from->size);
            fuzz_mutate_bytes(&current);
        }
        clock_t begin = clock();
        run_input(target);
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        figures.slowest = seconds > figures.slowest ? seconds : figures.slowest;
    }
    fuzz_tell(target->name, &figures);
}

int main(int argc, char **argv) {
    bool replay = argc == 4 && strcmp(argv[1], "--replay") == 0;
    if (argc < 4)
        return 2;
    trace_file_ignore_closed_pipes();
    fuzz_begin();
    tokens = words;
    token_count = sizeof words / sizeof *words;
    compressor = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, 1);
    for (unsigned i = 0; i < TARGET_COUNT; i++) {
        if (replay && strcmp(argv[3], targets[i].name) == 0) {
            random_state = 1;
            fuzz_read_file(argv[2], &current);
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
