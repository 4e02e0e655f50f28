// trace_columns.c: byte buffers and the encodings of a column (FORMAT.md §2).
//
// Owns: turning a column's bytes into arrays. Does not know what a column means.
// Decoding is by whole columns: a loop over one kind of value is what a processor does fastest.
#include "trace_internal.h"

#include <stdlib.h>

bool trace_bytes_reserve(struct trace_bytes *bytes, size_t more) {
    if (bytes->capacity - bytes->size >= more)
        return true;
    size_t capacity = bytes->capacity ? bytes->capacity : 256;
    while (capacity - bytes->size < more)
        capacity *= 2;
    uint8_t *data = realloc(bytes->data, capacity);
    if (!data)
        return false;
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

bool trace_bytes_append(struct trace_bytes *bytes, const void *data, size_t size) {
    if (!trace_bytes_reserve(bytes, size))
        return false;
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return true;
}

void trace_bytes_free(struct trace_bytes *bytes) {
    free(bytes->data);
    *bytes = (struct trace_bytes){0};
}

// One varint, byte by byte: the ends of columns, and values of nine or ten bytes.
// Returns the byte after it, or NULL.
static const uint8_t *decode_one(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    uint64_t result = 0;
    for (unsigned shift = 0; at < end; shift += 7) {
        uint64_t byte = *at++;
        if (shift == 63 && byte > 1)
            return NULL;
        result |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0)
                return NULL;
            *value = result;
            return at;
        }
    }
    return NULL;
}

// Closes the gaps that the continuation bits leave between up to eight groups of seven bits.
static inline uint64_t compact_groups(uint64_t word) {
    word &= 0x7f7f7f7f7f7f7f7f;
    word = ((word & 0x7f007f007f007f00) >> 1) | (word & 0x007f007f007f007f);
    word = ((word & 0x3fff00003fff0000) >> 2) | (word & 0x00003fff00003fff);
    return ((word & 0x0fffffff00000000) >> 4) | (word & 0x000000000fffffff);
}

// While eight bytes can be loaded: runs of one-byte values eight at a time, others without a
// branch on their length, which would be mispredicted on most real columns.
bool trace_decode_uvarint(const uint8_t *data, size_t size, uint64_t *values, size_t count) {
    const uint64_t continuation_bits = 0x8080808080808080;
    const uint8_t *at = data, *end = data + size;
    uint64_t superfluous = 0;
    size_t i = 0;
    while (i < count) {
        uint64_t stops = 0;
        uint64_t word = 0;
        if (end - at >= 8) {
            word = trace_get64(at);
            stops = ~word & continuation_bits;
            if (stops == continuation_bits && count - i >= 8) {
                for (unsigned k = 0; k < 8; k++)
                    values[i + k] = word >> (8 * k) & 0xff;
                i += 8;
                at += 8;
                continue;
            }
        }
        if (stops == 0) {
            at = decode_one(at, end, &values[i++]);
            if (!at)
                return false;
            continue;
        }
        unsigned bits = (unsigned)__builtin_ctzll(stops) + 1; // 8 a byte
        word &= ~UINT64_C(0) >> (64 - bits);
        superfluous |= (uint64_t)((bits > 8) & (word >> (bits - 8) == 0));
        values[i++] = compact_groups(word);
        at += bits / 8;
    }
    return at == end && !superfluous;
}

bool trace_decode_delta(const uint8_t *data, size_t size, uint64_t *values, size_t count) {
    if (!trace_decode_uvarint(data, size, values, count))
        return false;
    uint64_t previous = 0;
    for (size_t i = 0; i < count; i++)
        values[i] = previous += trace_unzigzag(values[i]);
    return true;
}

bool trace_decode_runs(const uint8_t *data, size_t size, uint32_t *values, size_t count,
                       uint32_t value_max) {
    const uint8_t *at = data, *end = data + size;
    size_t filled = 0;
    while (at < end) {
        uint64_t value, run;
        at = decode_one(at, end, &value);
        if (!at || value > value_max)
            return false;
        at = decode_one(at, end, &run);
        if (!at || run == 0 || run > count - filled)
            return false;
        for (size_t stop = filled + run; filled < stop; filled++)
            values[filled] = (uint32_t)value;
    }
    return filled == count;
}
