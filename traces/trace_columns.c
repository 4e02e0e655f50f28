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

#define CONTINUATION_BITS UINT64_C(0x8080808080808080)

// One varint from where eight bytes can be loaded. Its length, which is hard to predict, is
// computed and not branched on. A superfluous last byte is accepted here.
static inline const uint8_t *decode_loaded(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    uint64_t word = trace_get64(at);
    uint64_t stops = ~word & CONTINUATION_BITS;
    if (__builtin_expect(stops == 0, 0))
        return decode_one(at, end, value);
    *value = compact_groups(word & (stops ^ (stops - 1)));
    return at + (__builtin_ctzll(stops) >> 3) + 1;
}

// Whether some varint has a zero byte at its end that it could do without.
static bool has_superfluous(const uint8_t *data, size_t size) {
    uint8_t found = 0;
    for (size_t i = 1; i < size; i++)
        found |= (uint8_t)(data[i - 1] & (data[i] == 0 ? 0x80 : 0));
    return found;
}

// Part of a column: `count` values in exactly [at, end).
struct lane {
    const uint8_t *at, *end;
    uint64_t *values;
    size_t count;
};

static bool decode_lane(struct lane *lane) {
    for (; lane->count > 0 && lane->at; lane->count--) {
        if (lane->end - lane->at >= 8)
            lane->at = decode_loaded(lane->at, lane->end, lane->values++);
        else
            lane->at = decode_one(lane->at, lane->end, lane->values++);
    }
    return lane->at == lane->end;
}

// How many varints end in these bytes.
static size_t count_ends(const uint8_t *at, const uint8_t *end) {
    size_t count = 0;
    for (; end - at >= 8; at += 8) {
        uint64_t stops = (~trace_get64(at) & CONTINUATION_BITS) >> 7;
        count += stops * UINT64_C(0x0101010101010101) >> 56;
    }
    for (; at < end; at++)
        count += *at < 0x80;
    return count;
}

// Where one varint begins is known only when the one before is decoded: a chain of a dozen cycles
// a value. Four lanes are four chains at once. They are cut at bytes that end a varint, and as
// many of those as a lane has, so many values it holds.
enum { LANES = 4 };

static bool cut_lanes(const uint8_t *data, const uint8_t *end, uint64_t *values, size_t count,
                      struct lane lanes[LANES]) {
    const uint8_t *start = data;
    for (unsigned k = 0; k < LANES; k++) {
        const uint8_t *stop = data + (size_t)(end - data) * (k + 1) / LANES;
        if (stop < start)
            stop = start;
        while (stop < end && stop > data && stop[-1] >= 0x80)
            stop++;
        size_t ends = count_ends(start, stop);
        if (ends > count)
            return false;
        lanes[k] = (struct lane){start, stop, values, ends};
        values += ends;
        count -= ends;
        start = stop;
    }
    return count == 0;
}

static bool decode_lanes(struct lane lanes[LANES], const uint8_t *end) {
    const uint8_t *at[LANES];
    uint64_t *values[LANES];
    size_t rounds = lanes[0].count, done = 0;
    for (unsigned k = 0; k < LANES; k++) {
        at[k] = lanes[k].at;
        values[k] = lanes[k].values;
        rounds = lanes[k].count < rounds ? lanes[k].count : rounds;
    }
    // The last lane is the nearest to the end of what may be loaded.
    for (; done < rounds && end - at[LANES - 1] >= 8; done++)
#pragma GCC unroll 4
        for (unsigned k = 0; k < LANES; k++) {
            at[k] = decode_loaded(at[k], end, &values[k][done]);
            if (__builtin_expect(!at[k], 0))
                return false;
        }
    bool whole = true;
    for (unsigned k = 0; k < LANES; k++) {
        lanes[k] = (struct lane){at[k], lanes[k].end, values[k] + done, lanes[k].count - done};
        whole = decode_lane(&lanes[k]) && whole;
    }
    return whole;
}

// A column of which every value has one byte.
static bool decode_single_bytes(const uint8_t *data, uint64_t *values, size_t count) {
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++) {
        any |= data[i];
        values[i] = data[i];
    }
    return any < 0x80;
}

bool trace_decode_uvarint(const uint8_t *data, size_t size, uint64_t *values, size_t count) {
    struct lane lanes[LANES];
    if (size == count)
        return decode_single_bytes(data, values, count);
    return !has_superfluous(data, size) && cut_lanes(data, data + size, values, count, lanes) &&
           decode_lanes(lanes, data + size);
}

bool trace_decode_delta(const uint8_t *data, size_t size, uint64_t *values, size_t count) {
    if (!trace_decode_uvarint(data, size, values, count))
        return false;
    uint64_t previous = 0;
    for (size_t i = 0; i < count; i++)
        values[i] = previous += trace_unzigzag(values[i]);
    return true;
}

// The next number of a run, which mostly has one byte.
static inline const uint8_t *decode_short(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    if (at < end && *at < 0x80) {
        *value = *at;
        return at + 1;
    }
    return decode_one(at, end, value);
}

bool trace_decode_runs(const uint8_t *data, size_t size, uint32_t *values, size_t count,
                       uint32_t value_max) {
    const uint8_t *at = data, *end = data + size;
    size_t filled = 0;
    while (at < end) {
        uint64_t value, run;
        at = decode_short(at, end, &value);
        if (!at || value > value_max)
            return false;
        at = decode_short(at, end, &run);
        if (!at || run == 0 || run > count - filled)
            return false;
        // Four at once, in case the run is short; what is too much is overwritten by the next.
        size_t stop = filled + run;
        if (count - filled >= 4)
            for (unsigned i = 0; i < 4; i++)
                values[filled + i] = (uint32_t)value;
        for (filled = run < 4 && count - filled >= 4 ? stop : filled; filled < stop; filled++)
            values[filled] = (uint32_t)value;
    }
    return filled == count;
}
