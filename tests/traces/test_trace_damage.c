// Bad files: cut, flipped, foreign, newer, hostile. Each is refused with a message or read as far
// as it is whole; none is believed, none crashes.
#include "sample.h"
#include "trace_internal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

static struct trace_error error;

// ---------------------------------------------------------------- files

static struct trace_bytes read_file(const char *path) {
    struct trace_bytes bytes = {0};
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert(trace_bytes_reserve(&bytes, 1 << 20));
    bytes.size = fread(bytes.data, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static void write_file(const char *path, const uint8_t *data, size_t size) {
    unlink(path); // some file systems flush a file that is truncated to be written anew
    FILE *file = fopen(path, "wb");
    ck_assert(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

// Reads all that can be read; what comes must be a prefix of the sample. Returns how many events,
// and whether it ended in an error.
static unsigned read_prefix(const char *path, bool *refused, struct trace_summary *summary) {
    struct trace_event event;
    ptrdiff_t got = -1;
    unsigned seen = 0;
    *summary = (struct trace_summary){0};
    error.text[0] = '\0';
    struct trace_reader *reader = trace_reader_open(path, &error);
    while (reader && (got = trace_reader_next(reader, &event, 1, &error)) > 0) {
        ck_assert_uint_lt(seen, SAMPLE_EVENTS);
        ck_assert(sample_equal(&event, &sample_events[seen]));
        seen++;
    }
    *refused = got < 0;
    if (*refused) {
        ck_assert_msg(strncmp(error.text, path, strlen(path)) == 0, "no file name: %s", error.text);
        ck_assert_ptr_null(strchr(error.text, '\n'));
    }
    if (reader && !*refused)
        trace_reader_summary(reader, summary);
    trace_reader_close(reader);
    return seen;
}

static void expect_refusal(const char *path, const char *words) {
    bool refused;
    struct trace_summary summary;
    read_prefix(path, &refused, &summary);
    ck_assert_msg(refused, "was read; expected a refusal with \"%s\"", words);
    ck_assert_msg(strstr(error.text, words) != NULL, "expected \"%s\" in: %s", words, error.text);
}

// ---------------------------------------------------------------- cuts and flips

START_TEST(a_file_cut_anywhere_reads_as_far_as_it_is_whole) {
    ck_assert_int_eq(sample_write("whole.zst", 6, true, &error), 0);
    struct trace_bytes whole = read_file("whole.zst");
    unsigned seen_before = 0;
    for (size_t size = 0; size < whole.size; size++) {
        bool refused;
        struct trace_summary summary;
        write_file("cut.zst", whole.data, size);
        unsigned seen = read_prefix("cut.zst", &refused, &summary);
        ck_assert_msg(seen >= seen_before, "fewer events from more bytes at %zu", size);
        seen_before = seen;
        if (refused) { // only where there is no META yet
            ck_assert_msg(seen == 0 && strstr(error.text, "expected"), "cut at %zu: %s", size,
                          error.text);
            continue;
        }
        ck_assert_msg(!summary.complete, "cut at %zu is said to be complete", size);
        ck_assert_uint_le(summary.cut_bytes, size);
    }
    ck_assert_uint_eq(seen_before, SAMPLE_EVENTS);
    trace_bytes_free(&whole);
}
END_TEST

// Whether a file's frames decompress to the same as another's: zstd has a few bits that mean
// nothing (reserved ones, and padding), which no checksum of the content can cover.
static bool same_content(const struct trace_bytes *a, const struct trace_bytes *b) {
    static uint8_t content_a[1 << 16], content_b[1 << 16];
    size_t end = a->size - trace_index_size(a->data + a->size - 8);
    size_t size_a = ZSTD_decompress(content_a, sizeof content_a, a->data, end);
    size_t size_b = ZSTD_decompress(content_b, sizeof content_b, b->data, end);
    ck_assert(!ZSTD_isError(size_a));
    return size_a == size_b && memcmp(content_a, content_b, size_a) == 0;
}

START_TEST(every_flipped_byte_is_noticed) {
    static const uint8_t flips[] = {0x01, 0x80, 0xff, 0x10};
    unsigned unnoticed = 0;
    ck_assert_int_eq(sample_write("whole.zst", 6, true, &error), 0);
    struct trace_bytes whole = read_file("whole.zst"), flipped = read_file("whole.zst");
    for (size_t at = 0; at < whole.size; at++)
        for (unsigned i = 0; i < sizeof flips; i++) {
            bool refused;
            struct trace_summary summary;
            flipped.data[at] ^= flips[i];
            write_file("flipped.zst", flipped.data, flipped.size);
            read_prefix("flipped.zst", &refused, &summary);
            if (!refused && summary.complete) {
                // What nothing hangs on: the minor version and the trace id.
                bool ignorable = (at >= 18 && at < 20) || (at >= 24 && at < 32);
                ck_assert_msg(ignorable || same_content(&whole, &flipped),
                              "byte %zu ^ %02x went unnoticed", at, flips[i]);
                unnoticed++;
            }
            flipped.data[at] ^= flips[i];
        }
    ck_assert_uint_lt(unnoticed, whole.size * sizeof flips / 20);
    trace_bytes_free(&whole);
    trace_bytes_free(&flipped);
}
END_TEST

// Without an index a flip can look like a cut, never like a whole trace.
START_TEST(every_flipped_byte_of_an_unfinished_trace_is_harmless) {
    ck_assert_int_eq(sample_write("open.zst", 6, false, &error), 0);
    struct trace_bytes whole = read_file("open.zst");
    for (size_t at = 0; at < whole.size; at++) {
        bool refused;
        struct trace_summary summary;
        whole.data[at] ^= 0xff;
        write_file("flipped.zst", whole.data, whole.size);
        read_prefix("flipped.zst", &refused, &summary);
        ck_assert(!summary.complete);
        whole.data[at] ^= 0xff;
    }
    trace_bytes_free(&whole);
}
END_TEST

// The checks behind zstd's checksum: flips inside the chunks, compressed anew.
START_TEST(every_flipped_byte_of_the_content_is_survived) {
    ck_assert_int_eq(sample_write("whole.zst", SAMPLE_EVENTS, true, &error), 0);
    struct trace_bytes whole = read_file("whole.zst");
    size_t at = TRACE_IDENTITY_BYTES;
    while (at < whole.size && trace_get32(whole.data + at) == TRACE_MAGIC_ZSTD) {
        size_t size = ZSTD_findFrameCompressedSize(whole.data + at, whole.size - at);
        uint8_t content[4096], frame[8192];
        size_t content_size = ZSTD_decompress(content, sizeof content, whole.data + at, size);
        ck_assert(!ZSTD_isError(content_size));
        for (size_t i = 0; i < content_size; i++)
            for (unsigned bit = 0; bit < 8; bit++) {
                content[i] ^= (uint8_t)(1u << bit);
                size_t frame_size = ZSTD_compress(frame, sizeof frame, content, content_size, 1);
                struct trace_bytes file = {0};
                trace_bytes_append(&file, whole.data, at);
                trace_bytes_append(&file, frame, frame_size);
                trace_bytes_append(&file, whole.data + at + size, whole.size - at - size);
                write_file("content.zst", file.data, file.size);
                struct trace_event events[8];
                struct trace_reader *reader = trace_reader_open("content.zst", &error);
                while (reader && trace_reader_next(reader, events, 8, &error) > 0)
                    ;
                if (reader && trace_reader_seek(reader, 20, &error) == 0)
                    trace_reader_next(reader, events, 8, &error);
                trace_reader_close(reader);
                trace_bytes_free(&file);
                content[i] ^= (uint8_t)(1u << bit);
            }
        at += size;
    }
    trace_bytes_free(&whole);
}
END_TEST

// ---------------------------------------------------------------- not a trace

START_TEST(what_is_not_a_trace_is_refused_at_once) {
    ck_assert_ptr_null(trace_reader_open("missing.zst", &error));
    ck_assert_ptr_nonnull(strstr(error.text, "missing.zst: cannot open: No such file"));
    ck_assert_ptr_null(trace_reader_open(".", &error));
    ck_assert_ptr_nonnull(strstr(error.text, "found a directory"));
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    ck_assert_ptr_null(trace_reader_open("pipe", &error)); // and does not wait
    ck_assert_ptr_nonnull(strstr(error.text, "expected a regular file"));

    write_file("empty.zst", (const uint8_t *)"", 0);
    expect_refusal("empty.zst", "offset 0: expected a hak trace, found an empty file");
    write_file("foreign.zst", (const uint8_t *)"#!/bin/sh\necho this is no trace at all\n", 39);
    expect_refusal("foreign.zst", "found another format");
    uint8_t frame[256];
    size_t size = ZSTD_compress(frame, sizeof frame, "other zstd content", 18, 1);
    write_file("zstd.zst", frame, size);
    expect_refusal("zstd.zst", "found another format");
    write_file("short.zst", (const uint8_t *)"\x50\x2a\x4d\x18\x18\0\0\0HAK", 11);
    expect_refusal("short.zst", "found a file cut after 11");
}
END_TEST

START_TEST(a_newer_version_is_named) {
    ck_assert_int_eq(sample_write("newer.zst", 6, true, &error), 0);
    struct trace_bytes whole = read_file("newer.zst");
    trace_put16(whole.data + 16, 2);
    trace_put16(whole.data + 18, 5);
    write_file("newer.zst", whole.data, whole.size);
    expect_refusal("newer.zst", "expected trace format 1.x, found the newer 2.5: use a newer hak");
    // A newer minor version is read.
    trace_put16(whole.data + 16, 1);
    trace_put16(whole.data + 18, 9);
    write_file("minor.zst", whole.data, whole.size);
    bool refused;
    struct trace_summary summary;
    ck_assert_uint_eq(read_prefix("minor.zst", &refused, &summary), SAMPLE_EVENTS);
    ck_assert(!refused && summary.complete);
    trace_bytes_free(&whole);
}
END_TEST

// ---------------------------------------------------------------- hostile chunks

// A file under construction from raw chunks.
struct forge {
    struct trace_bytes file;
    struct trace_index_entry entries[16];
    size_t count;
};

static void forge_frame(struct forge *forge, const uint8_t *content, size_t size, bool state_size) {
    ZSTD_CCtx *compressor = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_contentSizeFlag, state_size);
    ck_assert(trace_bytes_reserve(&forge->file, ZSTD_compressBound(size)));
    size_t frame = ZSTD_compress2(compressor, forge->file.data + forge->file.size,
                                  ZSTD_compressBound(size), content, size);
    ck_assert(!ZSTD_isError(frame));
    forge->entries[forge->count++] = (struct trace_index_entry){
        .offset = forge->file.size,
        .bytes = (uint32_t)frame,
        .kind = size >= 48 ? trace_get16(content + 4) : 0,
        .rows = size >= 48 ? trace_get32(content + 12) : 0,
        .first = size >= 48 ? trace_get64(content + 16) : 0,
        .time0 = size >= 48 ? trace_get64(content + 24) : 0,
    };
    forge->file.size += frame;
    ZSTD_freeCCtx(compressor);
}

static void forge_chunk(struct forge *forge, const struct trace_chunk *chunk) {
    struct trace_bytes raw = {0};
    ck_assert(trace_chunk_build(chunk, &raw));
    forge_frame(forge, raw.data, raw.size, true);
    trace_bytes_free(&raw);
}

static struct trace_chunk text_chunk(uint16_t kind, uint32_t rows, uint64_t first,
                                     const char *text) {
    struct trace_chunk chunk = {
        .kind = kind, .flags = 1, .column_count = 1, .row_count = rows, .first = first};
    uint32_t size = (uint32_t)strlen(text);
    chunk.columns[0] = (struct trace_column){1, TRACE_TEXT, 1, size, size, (const uint8_t *)text};
    return chunk;
}

static struct forge forge_begin(void) {
    struct forge forge = {0};
    uint8_t identity[TRACE_IDENTITY_BYTES];
    trace_identity_build(identity, 1);
    trace_bytes_append(&forge.file, identity, sizeof identity);
    struct trace_chunk meta = text_chunk(TRACE_KIND_META, 0, 0, SAMPLE_META);
    forge_chunk(&forge, &meta);
    return forge;
}

static void forge_end(struct forge *forge, const char *end_json) {
    struct trace_chunk end = text_chunk(TRACE_KIND_END, 0, 0, end_json);
    forge_chunk(forge, &end);
    struct trace_bytes index = {0};
    ck_assert(trace_index_build(forge->entries, forge->count, &index));
    trace_bytes_append(&forge->file, index.data, index.size);
    trace_bytes_free(&index);
}

static void forge_write(struct forge *forge) {
    write_file("forged.zst", forge->file.data, forge->file.size);
    trace_bytes_free(&forge->file);
}

// Two events, both of thread 0: malloc(8) and its free.
static struct trace_chunk base_events(void) {
    struct trace_chunk chunk = {
        .kind = TRACE_KIND_EVENTS, .flags = 1, .column_count = 5, .row_count = 2};
    chunk.columns[0] = (struct trace_column){1, TRACE_BYTES, 1, 2, 2, (const uint8_t *)"\1\4"};
    chunk.columns[1] = (struct trace_column){2, TRACE_RUNS, 1, 2, 2, (const uint8_t *)"\0\2"};
    chunk.columns[2] = (struct trace_column){3, TRACE_UVARINT, 1, 2, 2, (const uint8_t *)"\1\1"};
    chunk.columns[3] = (struct trace_column){4, TRACE_UVARINT, 1, 1, 1, (const uint8_t *)"\0"};
    chunk.columns[4] = (struct trace_column){5, TRACE_UVARINT, 1, 1, 1, (const uint8_t *)"\10"};
    return chunk;
}

static void set_column(struct trace_chunk *chunk, unsigned at, const char *data, uint32_t size) {
    chunk->columns[at].data = (const uint8_t *)data;
    chunk->columns[at].bytes = size;
}

static void drop_column(struct trace_chunk *chunk, unsigned at) {
    chunk->column_count--;
    memmove(&chunk->columns[at], &chunk->columns[at + 1],
            (chunk->column_count - at) * sizeof *chunk->columns);
}

static void add_column(struct trace_chunk *chunk, uint16_t id, uint8_t encoding, uint8_t flags,
                       uint32_t values, const char *data, uint32_t size) {
    chunk->columns[chunk->column_count++] =
        (struct trace_column){id, encoding, flags, values, size, (const uint8_t *)data};
}

static void unknown_op(struct trace_chunk *c) {
    set_column(c, 0, "\1\22", 2);
}
// The object of the free by rank: 1 is the right one.
static void use_rank(struct trace_chunk *c, const char *rank) {
    drop_column(c, 3);
    add_column(c, 12, TRACE_BYTES, 1, 1, rank, 1);
}
static void rank_beyond_newer(struct trace_chunk *c) {
    use_rank(c, "\2");
}
static void rank_beyond_newest(struct trace_chunk *c) {
    use_rank(c, "\102"); // 66
}
static void rank_before_the_finger(struct trace_chunk *c) {
    use_rank(c, "\201"); // 129
}
static void rank_unknown(struct trace_chunk *c) {
    use_rank(c, "\301"); // 193
}
static void rank_without_distance(struct trace_chunk *c) {
    use_rank(c, "\0");
}
static void rank_distance_beyond(struct trace_chunk *c) {
    use_rank(c, "\0");
    add_column(c, 13, TRACE_SVARINT, 1, 1, "\4", 1); // +2 from the finger at -1
}
static void rank_distance_before_all(struct trace_chunk *c) {
    use_rank(c, "\0");
    add_column(c, 13, TRACE_SVARINT, 1, 1, "\1", 1); // -1
}
static void rank_with_object(struct trace_chunk *c) {
    add_column(c, 12, TRACE_BYTES, 1, 1, "\1", 1);
}
static void distance_without_rank(struct trace_chunk *c) {
    add_column(c, 13, TRACE_SVARINT, 1, 1, "\1", 1);
}
static void two_kinds_of_entry(struct trace_chunk *c) {
    add_column(c, 11, TRACE_BYTES, 0, 2, "\1\1", 2);
    add_column(c, 14, TRACE_BYTES, 1, 2, "\0\0", 2);
}
static void op_zero(struct trace_chunk *c) {
    set_column(c, 0, "\1\0", 2);
}
static void op_short(struct trace_chunk *c) {
    set_column(c, 0, "\1", 1);
}
static void ops_missing(struct trace_chunk *c) {
    drop_column(c, 0);
}
static void threads_missing(struct trace_chunk *c) {
    drop_column(c, 1);
}
static void times_missing(struct trace_chunk *c) {
    drop_column(c, 2);
}
static void objects_missing(struct trace_chunk *c) {
    drop_column(c, 3);
}
static void sizes_missing(struct trace_chunk *c) {
    drop_column(c, 4);
}
static void run_too_long(struct trace_chunk *c) {
    set_column(c, 1, "\0\3", 2);
}
static void run_too_short(struct trace_chunk *c) {
    set_column(c, 1, "\0\1", 2);
}
static void run_of_none(struct trace_chunk *c) {
    set_column(c, 1, "\0\0\0\2", 4);
}
static void run_huge(struct trace_chunk *c) {
    set_column(c, 1, "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 11);
}
static void thread_huge(struct trace_chunk *c) {
    set_column(c, 1, "\x80\x80\x80\x8\2", 5);
}
static void varint_unending(struct trace_chunk *c) {
    set_column(c, 4, "\x80\x80", 2);
}
static void varint_superfluous(struct trace_chunk *c) {
    set_column(c, 4, "\x88\0", 2);
}
static void varint_superfluous_long(struct trace_chunk *c) {
    set_column(c, 4, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", 10);
}
static void varint_65_bits(struct trace_chunk *c) {
    set_column(c, 4, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\2", 10);
}
static void varint_11_bytes(struct trace_chunk *c) {
    set_column(c, 4, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\1", 11);
}
static void column_too_long(struct trace_chunk *c) {
    set_column(c, 4, "\10\10", 2);
}
static void too_many_values(struct trace_chunk *c) {
    c->columns[4].values = 2;
}
static void other_encoding(struct trace_chunk *c) {
    c->columns[4].encoding = TRACE_DELTA;
}
static void dangling_object(struct trace_chunk *c) {
    set_column(c, 3, "\1", 1);
}
static void time_overflow(struct trace_chunk *c) {
    set_column(c, 2, "\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 11);
}
static void columns_unsorted(struct trace_chunk *c) {
    struct trace_column kept = c->columns[3];
    c->columns[3] = c->columns[4];
    c->columns[4] = kept;
}
static void column_twice(struct trace_chunk *c) {
    c->columns[c->column_count] = c->columns[4];
    c->column_count++;
}
static void unknown_required_column(struct trace_chunk *c) {
    add_column(c, 77, 200, TRACE_FLAG_REQUIRED, 9, "abc", 3);
}
static void column_flag(struct trace_chunk *c) {
    c->columns[4].flags = 3;
}
static void chunk_flag(struct trace_chunk *c) {
    c->flags = 2;
}
static void unknown_required_kind(struct trace_chunk *c) {
    c->kind = 99;
}
static void no_rows(struct trace_chunk *c) {
    c->row_count = 0;
}
static void too_many_rows(struct trace_chunk *c) {
    c->row_count = TRACE_ROWS_MAX + 1;
}
static void rows_unbacked(struct trace_chunk *c) {
    c->row_count = TRACE_ROWS_MAX;
}
static void first_wrong(struct trace_chunk *c) {
    c->first = 1;
}
static void first_huge(struct trace_chunk *c) {
    c->first = UINT64_MAX;
}
static void object0_wrong(struct trace_chunk *c) {
    c->object0 = 5;
}
static void time0_wrong(struct trace_chunk *c) {
    c->time0 = 5;
}
static void stack_unwritten(struct trace_chunk *c) {
    add_column(c, TRACE_COLUMN_STACK, TRACE_UVARINT, 0, 1, "\1", 1);
}
static void align_huge(struct trace_chunk *c) {
    set_column(c, 0, "\3\4", 2);
    add_column(c, TRACE_COLUMN_ALIGN, TRACE_BYTES, 1, 1, "\51", 1);
}
static void peer_huge(struct trace_chunk *c) {
    set_column(c, 0, "\1\13", 2);
    drop_column(c, 3);
    add_column(c, TRACE_COLUMN_PEER, TRACE_UVARINT, 1, 1, "\x80\x80\x80\x8", 4);
}
static void second_meta(struct trace_chunk *c) {
    *c = text_chunk(TRACE_KIND_META, 0, 0, "{}");
}
static void end_not_json(struct trace_chunk *c) {
    *c = text_chunk(TRACE_KIND_END, 0, 0, "{\"");
}
static void end_without_totals(struct trace_chunk *c) {
    *c = text_chunk(TRACE_KIND_END, 0, 0, "{}");
}
static void info_not_utf8(struct trace_chunk *c) {
    *c = text_chunk(TRACE_KIND_INFO, 0, 0, "{\"a\":\"\xff\"}");
}
static void info_not_text(struct trace_chunk *c) {
    *c = text_chunk(TRACE_KIND_INFO, 0, 0, "{}");
    c->columns[0].encoding = TRACE_BYTES;
}
static void modules_too_few(struct trace_chunk *c) {
    *c = text_chunk(TRACE_KIND_MODULES, 2, 1, "[{}]");
}
static void module_no_object(struct trace_chunk *c) {
    *c = text_chunk(TRACE_KIND_MODULES, 1, 1, "[7]");
}
static void modules_gap(struct trace_chunk *c) {
    *c = text_chunk(TRACE_KIND_MODULES, 1, 2, "[{}]");
}
static void stacks(struct trace_chunk *c, const char *parent, const char *module) {
    *c = (struct trace_chunk){.kind = TRACE_KIND_STACKS, .flags = 1, .row_count = 1, .first = 1};
    add_column(c, 1, TRACE_UVARINT, 1, 1, parent, 1);
    add_column(c, 2, TRACE_UVARINT, 1, 1, module, 1);
    add_column(c, 3, TRACE_DELTA, 1, 1, "\0", 1);
}
static void parent_after(struct trace_chunk *c) {
    stacks(c, "\2", "\0");
}
static void parent_self(struct trace_chunk *c) {
    stacks(c, "\0", "\0");
}
static void module_unwritten(struct trace_chunk *c) {
    stacks(c, "\1", "\1");
}
static void stacks_gap(struct trace_chunk *c) {
    stacks(c, "\1", "\0");
    c->first = 2;
}
static void offsets_missing(struct trace_chunk *c) {
    stacks(c, "\1", "\0");
    c->column_count = 2;
}

static const struct {
    void (*spoil)(struct trace_chunk *chunk);
    const char *words; // in the message
} hostile[] = {
    {unknown_op, "found op 18"},
    {op_zero, "found op 0"},
    {op_short, "expected 2 bytes in column op"},
    {ops_missing, "expected column op"},
    {threads_missing, "expected column thread"},
    {times_missing, "expected column time"},
    {objects_missing, "expected column object"},
    {sizes_missing, "expected column size"},
    {run_too_long, "expected 2 values in column thread"},
    {run_too_short, "expected 2 values in column thread"},
    {run_of_none, "expected 2 values in column thread"},
    {run_huge, "expected 2 values in column thread"},
    {thread_huge, "expected 2 values in column thread"},
    {varint_unending, "in column size"},
    {varint_superfluous, "in column size"},
    {varint_superfluous_long, "in column size"},
    {varint_65_bits, "in column size"},
    {varint_11_bytes, "in column size"},
    {column_too_long, "in column size"},
    {too_many_values, "expected 1 values in column size, found 2"},
    {other_encoding, "expected column size in encoding 1, found 3"},
    {dangling_object, "expected references to objects created before"},
    {time_overflow, "expected times that fit 64 bits"},
    {columns_unsorted, "expected columns in ascending order"},
    {column_twice, "expected columns in ascending order"},
    {unknown_required_column, "found column 77"},
    {column_flag, "expected reserved bits of column 5 to be 0"},
    {chunk_flag, "expected reserved bits of the chunk to be 0"},
    {unknown_required_kind, "found kind 99"},
    {no_rows, "found none in the chunk"},
    {too_many_rows, "expected at most 1048576 rows"},
    {rows_unbacked, "expected 1048576 values in column op, found 2"},
    {first_wrong, "expected event 0 next, found 1"},
    {first_huge, "expected row numbers that fit 64 bits"},
    {object0_wrong, "expected object 0 next, found 5"},
    {time0_wrong, "expected events after tick 0"},
    {stack_unwritten, "expected stack node 1 before"},
    {align_huge, "found 2^41"},
    {peer_huge, "expected thread numbers below 2^24"},
    {second_meta, "found a second"},
    {rank_beyond_newer, "expected ranks among the live objects, found rank 2 of event 1"},
    {rank_beyond_newest, "expected ranks among the live objects, found rank 66"},
    {rank_before_the_finger, "expected ranks among the live objects, found rank 129"},
    {rank_unknown, "expected ranks among the live objects, found rank 193"},
    {rank_without_distance, "expected column distance with 1 values"},
    {rank_distance_beyond, "expected references to objects created before"},
    {rank_distance_before_all, "expected references to objects created before"},
    {rank_with_object, "expected column object or rank, found both"},
    {distance_without_rank, "expected 0 values in column distance, found 1"},
    {two_kinds_of_entry, "expected column entry or other-entry, found both"},
    {end_not_json, "expected JSON"},
    {end_without_totals, "expected END with the integers events and objects"},
    {info_not_utf8, "expected JSON"},
    {info_not_text, "expected column text in encoding 5"},
    {modules_too_few, "expected a JSON array of 2 modules"},
    {module_no_object, "expected a JSON object as module 1"},
    {modules_gap, "expected a table that continues at row 1, found row 2"},
    {parent_after, "expected the parent of node 1 before it"},
    {parent_self, "expected the parent of node 1 before it"},
    {module_unwritten, "expected module 1 of node 1 before it"},
    {stacks_gap, "expected a table that continues at row 1, found row 2"},
    {offsets_missing, "expected column offset"},
};
enum { HOSTILE_COUNT = sizeof hostile / sizeof *hostile };

static void read_all(const char *path, const char *words) {
    struct trace_event events[4];
    ptrdiff_t got = -1;
    struct trace_reader *reader = trace_reader_open(path, &error);
    while (reader && (got = trace_reader_next(reader, events, 4, &error)) > 0)
        ;
    if (words) {
        ck_assert_msg(got == -1, "was read; expected a refusal with \"%s\"", words);
        ck_assert_msg(strstr(error.text, words) != NULL, "expected \"%s\" in: %s", words,
                      error.text);
        struct trace_error again; // and it stays refused
        ck_assert(!reader || trace_reader_next(reader, events, 4, &again) == -1);
    } else {
        ck_assert_msg(got == 0, "%s", error.text);
    }
    trace_reader_close(reader);
}

START_TEST(the_unspoilt_chunk_is_read) {
    struct forge forge = forge_begin();
    struct trace_chunk chunk = base_events();
    forge_chunk(&forge, &chunk);
    forge_end(&forge, "{\"events\":2,\"objects\":1}");
    forge_write(&forge);
    read_all("forged.zst", NULL);
}
END_TEST

START_TEST(a_hostile_chunk_is_refused) {
    struct forge forge = forge_begin();
    struct trace_chunk chunk = base_events();
    hostile[_i].spoil(&chunk);
    forge_chunk(&forge, &chunk);
    forge_write(&forge);
    read_all("forged.zst", hostile[_i].words);
}
END_TEST

START_TEST(the_index_does_not_hide_a_hostile_chunk) {
    struct forge forge = forge_begin();
    struct trace_chunk chunk = base_events();
    hostile[_i].spoil(&chunk);
    forge_chunk(&forge, &chunk);
    forge_end(&forge, "{\"events\":2,\"objects\":1}");
    forge_write(&forge);
    struct trace_event events[4];
    struct trace_reader *reader = trace_reader_open("forged.zst", &error);
    if (reader && trace_reader_seek(reader, 1, &error) == 0) {
        ptrdiff_t got;
        while ((got = trace_reader_next(reader, events, 4, &error)) > 0)
            ;
        ck_assert_msg(got < 0, "was read; expected \"%s\"", hostile[_i].words);
    }
    trace_reader_close(reader);
}
END_TEST

START_TEST(what_may_be_unknown_is_skipped) {
    struct forge forge = forge_begin();
    struct trace_chunk chunk = base_events(), unknown = base_events();
    add_column(&chunk, 40, 99, 0, 123456, "whatever", 8);
    unknown.kind = 50;
    unknown.flags = 0;
    forge_chunk(&forge, &unknown);
    trace_bytes_append(&forge.file, "\x5e\x2a\x4d\x18\3\0\0\0abc", 11); // a foreign skippable frame
    forge_chunk(&forge, &chunk);
    forge_end(&forge, "{\"events\":2,\"objects\":1}");
    forge_write(&forge);
    read_all("forged.zst", NULL);
}
END_TEST

START_TEST(an_unknown_entry_point_reads_as_unknown) {
    struct forge forge = forge_begin();
    struct trace_chunk chunk = base_events();
    struct trace_event events[2];
    add_column(&chunk, TRACE_COLUMN_ENTRY, TRACE_BYTES, 0, 2, "\xc8\12", 2);
    forge_chunk(&forge, &chunk);
    forge_write(&forge);
    struct trace_reader *reader = trace_reader_open("forged.zst", &error);
    ck_assert_ptr_nonnull(reader);
    ck_assert_int_eq(trace_reader_next(reader, events, 2, &error), 2);
    ck_assert_uint_eq(events[0].entry, TRACE_ENTRY_UNKNOWN);
    ck_assert_uint_eq(events[1].entry, TRACE_ENTRY_FREE);
    trace_reader_close(reader);
}
END_TEST

START_TEST(wrong_totals_are_refused) {
    static const struct {
        const char *end, *words;
    } cases[] = {
        {"{\"events\":3,\"objects\":1}", "expected 3 events, as END says, found 2"},
        {"{\"events\":2,\"objects\":0}", "expected 0 objects, as END says, found 1"},
        {"{\"events\":\"2\",\"objects\":1}", "expected END with the integers"},
    };
    for (unsigned i = 0; i < 3; i++) {
        struct forge forge = forge_begin();
        struct trace_chunk chunk = base_events();
        forge_chunk(&forge, &chunk);
        forge_end(&forge, cases[i].end);
        forge_write(&forge);
        read_all("forged.zst", cases[i].words);
    }
}
END_TEST

START_TEST(a_bomb_is_refused_before_it_goes_off) {
    size_t size = TRACE_CHUNK_BYTES_MAX + 1;
    uint8_t *zeros = calloc(1, size);
    struct forge forge = forge_begin();
    forge_frame(&forge, zeros, size, true);
    forge_write(&forge);
    read_all("forged.zst", "expected a chunk of at most 67108864 bytes");
    forge = forge_begin();
    forge_frame(&forge, zeros, 1000, false);
    forge_write(&forge);
    read_all("forged.zst", "expected a frame that states its content size");
    forge = forge_begin();
    forge_frame(&forge, zeros, 1000, true);
    forge_write(&forge);
    read_all("forged.zst", "expected a chunk (\"hkCH\")");
    forge = forge_begin();
    forge_frame(&forge, zeros, 10, true);
    forge_write(&forge);
    read_all("forged.zst", "expected a chunk (\"hkCH\")");
    free(zeros);
}
END_TEST

START_TEST(text_has_a_limit) {
    char *text = malloc(TRACE_TEXT_BYTES_MAX + 8);
    memset(text, ' ', TRACE_TEXT_BYTES_MAX + 8);
    memcpy(text, "{}", 2);
    text[TRACE_TEXT_BYTES_MAX + 1] = '\0';
    struct forge forge = forge_begin();
    struct trace_chunk info = text_chunk(TRACE_KIND_INFO, 0, 0, text);
    forge_chunk(&forge, &info);
    forge_write(&forge);
    read_all("forged.zst", "expected at most 4194304 bytes of text");
    free(text);
}
END_TEST

static void refuse_header(const char *words, size_t at, uint32_t value) {
    struct forge forge = forge_begin();
    struct trace_chunk chunk = base_events();
    struct trace_bytes raw = {0};
    ck_assert(trace_chunk_build(&chunk, &raw));
    trace_put32(raw.data + at, value);
    forge_frame(&forge, raw.data, raw.size, true);
    forge_write(&forge);
    read_all("forged.zst", words);
    trace_bytes_free(&raw);
}

START_TEST(a_chunk_s_sizes_must_agree) {
    refuse_header("expected at most 64 columns, found 65", 8, 65);
    refuse_header("expected at most 64 columns", 8, UINT32_MAX);
    refuse_header("expected a chunk of", 8, 4);
    refuse_header("expected a chunk of", 40, UINT32_MAX);
    refuse_header("expected reserved bits of the chunk", 44, 1);
    refuse_header("expected columns within the chunk", 48 + 8, UINT32_MAX);
    refuse_header("expected the columns to fill the chunk", 48 + 4 * 16 + 8, 0);
    refuse_header("expected reserved bits of column 1", 48 + 12, 1);
}
END_TEST

// ---------------------------------------------------------------- order of frames, index

START_TEST(meta_comes_first) {
    struct forge forge = {0};
    uint8_t identity[TRACE_IDENTITY_BYTES];
    trace_identity_build(identity, 1);
    trace_bytes_append(&forge.file, identity, sizeof identity);
    struct trace_chunk chunk = base_events();
    forge_chunk(&forge, &chunk);
    forge_write(&forge);
    read_all("forged.zst", "expected the META chunk, found kind 4");

    static const char *const metas[] = {"[]",
                                        "{}",
                                        "{\"format\":\"hak-trace\"}",
                                        "{\"format\":\"hak-trace\",\"tick_ns\":0}",
                                        "{\"format\":\"other\",\"tick_ns\":1}",
                                        "{\"format\":\"hak-trace\",\"tick_ns\":1,"
                                        "\"stamp_ticks_max\":0}",
                                        "{\"format\":\"hak-trace\",\"tick_ns\":1,"
                                        "\"stamp_ticks_max\":\"1\"}"};
    for (unsigned i = 0; i < 7; i++) {
        forge = (struct forge){0};
        trace_bytes_append(&forge.file, identity, sizeof identity);
        struct trace_chunk meta = text_chunk(TRACE_KIND_META, 0, 0, metas[i]);
        forge_chunk(&forge, &meta);
        forge_write(&forge);
        read_all("forged.zst",
                 i < 5 ? "expected META with format" : "expected META with stamp_ticks_max");
    }
}
END_TEST

START_TEST(nothing_follows_the_end) {
    struct forge forge = forge_begin();
    struct trace_chunk chunk = base_events();
    struct trace_chunk end = text_chunk(TRACE_KIND_END, 0, 0, "{\"events\":0,\"objects\":0}");
    forge_chunk(&forge, &end);
    forge_chunk(&forge, &chunk);
    forge_write(&forge);
    read_all("forged.zst", "expected nothing but an index after END");

    ck_assert_int_eq(sample_write("whole.zst", 6, true, &error), 0);
    struct trace_bytes whole = read_file("whole.zst");
    struct trace_bytes twice = {0};
    trace_bytes_append(&twice, whole.data, whole.size);
    trace_bytes_append(&twice, whole.data, whole.size);
    write_file("twice.zst", twice.data, twice.size);
    expect_refusal("twice.zst", "expected the index at the end of the file");
    trace_bytes_free(&whole);
    trace_bytes_free(&twice);
}
END_TEST

// An index with a right checksum and wrong entries.
static void spoil_index(unsigned entry, void (*spoil)(struct trace_index_entry *),
                        const char *words) {
    struct forge forge = forge_begin();
    struct trace_chunk chunk = base_events();
    forge_chunk(&forge, &chunk);
    struct trace_chunk end = text_chunk(TRACE_KIND_END, 0, 0, "{\"events\":2,\"objects\":1}");
    forge_chunk(&forge, &end);
    spoil(&forge.entries[entry]);
    struct trace_bytes index = {0};
    ck_assert(trace_index_build(forge.entries, forge.count, &index));
    trace_bytes_append(&forge.file, index.data, index.size);
    trace_bytes_free(&index);
    forge_write(&forge);
    read_all("forged.zst", words);
    // Seeking neither crashes nor finds what is not there.
    struct trace_event event;
    struct trace_reader *reader = trace_reader_open("forged.zst", &error);
    if (reader && trace_reader_seek(reader, 1, &error) == 0 &&
        trace_reader_next(reader, &event, 1, &error) == 1)
        ck_assert(event.number == 1 && event.op == TRACE_FREE);
    trace_reader_close(reader);
}

static void back_to_meta(struct trace_index_entry *e) {
    e->offset = TRACE_IDENTITY_BYTES;
}
static void far_beyond(struct trace_index_entry *e) {
    e->offset = UINT64_MAX - 10;
}
static void bytes_huge(struct trace_index_entry *e) {
    e->bytes = UINT32_MAX;
}
static void bytes_less(struct trace_index_entry *e) {
    e->bytes--;
}
static void rows_huge(struct trace_index_entry *e) {
    e->rows = TRACE_ROWS_MAX + 1;
}
static void rows_more(struct trace_index_entry *e) {
    e->rows++;
}
static void other_kind(struct trace_index_entry *e) {
    e->kind = TRACE_KIND_INFO;
}
static void first_later(struct trace_index_entry *e) {
    e->first++;
}
static void time_later(struct trace_index_entry *e) {
    e->time0++;
}

START_TEST(a_lying_index_is_refused) {
    spoil_index(1, back_to_meta, "expected index entry 1 to follow the one before");
    spoil_index(1, far_beyond, "expected index entry 1 to follow the one before");
    spoil_index(1, bytes_huge, "expected index entry 1 to follow the one before");
    spoil_index(1, rows_huge, "rows in index entry 1");
    spoil_index(1, first_later, "expected index entry 1 to begin at row 0");
    spoil_index(0, other_kind, "expected an index from META to END");
    spoil_index(2, other_kind, "expected an index from META to END");
    spoil_index(1, bytes_less, "expected the chunk that the index names");
    spoil_index(1, rows_more, "expected the chunk that the index names");
    spoil_index(1, other_kind, "expected the chunk that the index names");
    spoil_index(1, time_later, "expected the chunk that the index names");
}
END_TEST

START_TEST(an_index_names_every_chunk) {
    struct forge forge = forge_begin();
    struct trace_chunk chunk = base_events();
    struct trace_chunk info = text_chunk(TRACE_KIND_INFO, 0, 0, "{}");
    forge_chunk(&forge, &chunk);
    forge_chunk(&forge, &info);
    forge.count--; // forget the last
    forge_end(&forge, "{\"events\":2,\"objects\":1}");
    forge_write(&forge);
    read_all("forged.zst", "expected the chunk that the index names");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("trace_damage");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, a_file_cut_anywhere_reads_as_far_as_it_is_whole);
    tcase_add_test(tests, every_flipped_byte_is_noticed);
    tcase_add_test(tests, every_flipped_byte_of_an_unfinished_trace_is_harmless);
    tcase_add_test(tests, every_flipped_byte_of_the_content_is_survived);
    tcase_add_test(tests, what_is_not_a_trace_is_refused_at_once);
    tcase_add_test(tests, a_newer_version_is_named);
    tcase_add_test(tests, the_unspoilt_chunk_is_read);
    tcase_add_loop_test(tests, a_hostile_chunk_is_refused, 0, HOSTILE_COUNT);
    tcase_add_loop_test(tests, the_index_does_not_hide_a_hostile_chunk, 0, HOSTILE_COUNT);
    tcase_add_test(tests, what_may_be_unknown_is_skipped);
    tcase_add_test(tests, an_unknown_entry_point_reads_as_unknown);
    tcase_add_test(tests, wrong_totals_are_refused);
    tcase_add_test(tests, a_bomb_is_refused_before_it_goes_off);
    tcase_add_test(tests, text_has_a_limit);
    tcase_add_test(tests, a_chunk_s_sizes_must_agree);
    tcase_add_test(tests, meta_comes_first);
    tcase_add_test(tests, nothing_follows_the_end);
    tcase_add_test(tests, a_lying_index_is_refused);
    tcase_add_test(tests, an_index_names_every_chunk);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
