// trace_frames.c: the file as the reader sees it: a window on its bytes, frames, their contents.
//
// Owns: reading parts of the file, hashing all of it on the way, finding where a frame ends,
// decompressing. Does not know what a chunk holds (trace_tables.c, trace_rows.c).
#include "trace_reading.h"

#include <stdlib.h>
#include <zstd_errors.h>

enum {
    WINDOW_BYTES = 1 << 18,  // how much of the file is read at a time
    FRAME_HEADER_BYTES = 18, // of zstd, at most
    DECODE_PADDING = 16
};

static int fail_memory(const struct trace_reader *reader, uint64_t offset,
                       struct trace_error *error) {
    struct trace_place place = trace_reader_place(reader, offset);
    return trace_fail(&place, error, "out of memory");
}

// ---------------------------------------------------------------- the file

// Makes the window hold `size` bytes at `offset`, or fewer at the end of the file.
// *data is valid until the next call.
int trace_reader_hold(struct trace_reader *reader, uint64_t offset, uint64_t size,
                      const uint8_t **data, size_t *got, struct trace_error *error) {
    struct window *window = &reader->window;
    uint64_t left = reader->file.size_bytes - offset;
    if (size > left)
        size = left;
    if (offset < window->offset || offset + size > window->offset + window->size) {
        size_t wanted = size > WINDOW_BYTES ? size : left < WINDOW_BYTES ? left : WINDOW_BYTES;
        if (wanted > window->capacity) {
            uint8_t *grown = realloc(window->data, wanted);
            if (!grown)
                return fail_memory(reader, offset, error);
            window->data = grown;
            window->capacity = wanted;
        }
        window->offset = offset;
        window->size = 0;
        if (trace_file_read(&reader->file, offset, window->data, wanted, &window->size, error))
            return -1;
        if (window->size < size) {
            struct trace_place place = trace_reader_place(reader, offset + window->size);
            return trace_fail(&place, error, "expected %llu bytes more, found that the file shrank",
                              (unsigned long long)(size - window->size));
        }
    }
    *data = window->data + (offset - window->offset);
    *got = (size_t)size;
    return 0;
}

// Adds a part of the file to the hash if it is the next one in file order.
void trace_reader_hash_part(struct trace_reader *reader, uint64_t offset, const uint8_t *data,
                            size_t size) {
    if (offset != reader->hashed_bytes)
        return;
    XXH3_64bits_update(reader->hash_state, data, size);
    reader->hashed_bytes += size;
}

int trace_reader_hash_rest(struct trace_reader *reader, struct trace_error *error) {
    while (reader->hashed_bytes < reader->file.size_bytes) {
        const uint8_t *data;
        size_t size;
        if (trace_reader_hold(reader, reader->hashed_bytes, WINDOW_BYTES, &data, &size, error))
            return -1;
        trace_reader_hash_part(reader, reader->hashed_bytes, data, size);
    }
    reader->hash = XXH3_64bits_digest(reader->hash_state);
    return 0;
}

// ---------------------------------------------------------------- frames

// Finds where a zstd frame ends, holding as much of it as that takes.
static int measure_zstd(struct trace_reader *reader, struct frame *frame,
                        struct trace_error *error) {
    const uint64_t size_max = ZSTD_compressBound(TRACE_CHUNK_BYTES_MAX) + FRAME_HEADER_BYTES;
    struct trace_place place = trace_reader_place(reader, frame->offset);
    uint64_t left = reader->file.size_bytes - frame->offset;
    for (uint64_t wanted = FRAME_HEADER_BYTES;;) {
        const uint8_t *data;
        size_t got;
        if (trace_reader_hold(reader, frame->offset, wanted, &data, &got, error))
            return -1;
        // The window mostly holds more than was asked for.
        size_t held = reader->window.size - (size_t)(frame->offset - reader->window.offset);
        size_t size = ZSTD_findFrameCompressedSize(data, held);
        if (!ZSTD_isError(size)) {
            frame->type = FRAME_CHUNK;
            frame->size = size;
            return 0;
        }
        if (ZSTD_getErrorCode(size) != ZSTD_error_srcSize_wrong || held > size_max)
            return trace_fail(&place, error, "expected a zstd frame, found a damaged one (%s)",
                              ZSTD_getErrorName(size));
        if (held == left) {
            frame->type = FRAME_CUT;
            return 0;
        }
        wanted = 2 * (uint64_t)held;
    }
}

int trace_frame_find(struct trace_reader *reader, uint64_t offset, struct frame *frame,
                     struct trace_error *error) {
    const uint8_t *data;
    size_t got;
    *frame = (struct frame){.offset = offset};
    if (trace_reader_hold(reader, offset, 8, &data, &got, error))
        return -1;
    if (got == 0) {
        frame->type = FRAME_NONE;
        return 0;
    }
    if (got < 4) {
        frame->type = FRAME_CUT;
        return 0;
    }
    frame->magic = trace_get32(data);
    if (frame->magic == TRACE_MAGIC_ZSTD)
        return measure_zstd(reader, frame, error);
    if ((frame->magic & ~15u) != TRACE_MAGIC_SKIPPABLE) {
        struct trace_place place = trace_reader_place(reader, offset);
        return trace_fail(&place, error, "expected a frame, found bytes %02x %02x %02x %02x",
                          data[0], data[1], data[2], data[3]);
    }
    frame->type = FRAME_CUT;
    if (got == 8 && 8 + (uint64_t)trace_get32(data + 4) <= reader->file.size_bytes - offset) {
        frame->type = FRAME_SKIPPABLE;
        frame->size = 8 + (uint64_t)trace_get32(data + 4);
    }
    return 0;
}

// Decompresses a frame into reader->raw and opens it as reader->chunk.
int trace_frame_read(struct trace_reader *reader, const struct frame *frame,
                     struct trace_error *error) {
    struct trace_place place = trace_reader_place(reader, frame->offset);
    const uint8_t *data;
    size_t got;
    if (trace_reader_hold(reader, frame->offset, frame->size, &data, &got, error))
        return -1;
    trace_reader_hash_part(reader, frame->offset, data, got);
    unsigned long long content = ZSTD_getFrameContentSize(data, got);
    if (content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR)
        return trace_fail(&place, error, "expected a frame that states its content size");
    if (content > TRACE_CHUNK_BYTES_MAX)
        return trace_fail(&place, error, "expected a chunk of at most %u bytes, found %llu",
                          TRACE_CHUNK_BYTES_MAX, content);
    reader->raw.size = 0;
    if (!trace_bytes_reserve(&reader->raw, (size_t)content + DECODE_PADDING))
        return fail_memory(reader, frame->offset, error);
    size_t size =
        ZSTD_decompressDCtx(reader->decompressor, reader->raw.data, (size_t)content, data, got);
    if (ZSTD_isError(size))
        return trace_fail(&place, error, "expected a whole zstd frame, found damage (%s)",
                          ZSTD_getErrorName(size));
    if (size != content)
        return trace_fail(&place, error, "expected %llu bytes of content, found %zu", content,
                          size);
    reader->raw.size = size;
    return trace_chunk_parse(reader->raw.data, size, &reader->chunk, &place, error);
}
