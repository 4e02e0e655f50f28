// nearest.h: which of some names a mistyped word was meant to be. For the tools' error lines.
#ifndef HAK_TRACES_NEAREST_H
#define HAK_TRACES_NEAREST_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define TRACE_NEAREST_LETTERS 32 // longer names are not compared

// Letters to insert, delete, replace or swap with their neighbour that make one of the other
// (optimal string alignment). Both at most TRACE_NEAREST_LETTERS long.
static inline size_t trace_edit_distance(const char *from, size_t rows, const char *to,
                                         size_t columns) {
    size_t d[TRACE_NEAREST_LETTERS + 1][TRACE_NEAREST_LETTERS + 1];
    for (size_t i = 0; i <= rows; i++) {
        for (size_t k = 0; k <= columns; k++) {
            if (i == 0 || k == 0) {
                d[i][k] = i + k;
                continue;
            }
            size_t best = d[i - 1][k - 1] + (from[i - 1] != to[k - 1]);
            if (d[i - 1][k] + 1 < best)
                best = d[i - 1][k] + 1;
            if (d[i][k - 1] + 1 < best)
                best = d[i][k - 1] + 1;
            if (i > 1 && k > 1 && from[i - 1] == to[k - 2] && from[i - 2] == to[k - 1] &&
                d[i - 2][k - 2] + 1 < best)
                best = d[i - 2][k - 2] + 1;
            d[i][k] = best;
        }
    }
    return d[rows][columns];
}

// The nearest of the names, if at most a third of the word's letters (one at least) are wrong; else
// NULL. The word ends at '=', so that an option may stand with its value.
static inline const char *trace_nearest(const char *word, const char *const *names, size_t count) {
    size_t length = strcspn(word, "=");
    size_t least = length / 3 + 2;
    const char *nearest = NULL;
    for (size_t i = 0; i < count && length <= TRACE_NEAREST_LETTERS; i++) {
        size_t other = strlen(names[i]);
        size_t wrong = other <= TRACE_NEAREST_LETTERS
                           ? trace_edit_distance(word, length, names[i], other)
                           : least;
        if (wrong < least) {
            least = wrong;
            nearest = names[i];
        }
    }
    return nearest;
}

#define TRACE_MEANT_BYTES 64

// "; did you mean --NAME?" in `text`, of TRACE_MEANT_BYTES, or "" where nothing is near. `before`
// stands before the name: "--", or nothing.
static inline const char *trace_meant(char *text, const char *before, const char *word,
                                      const char *const *names, size_t count) {
    const char *nearest = trace_nearest(word, names, count);
    text[0] = '\0';
    if (nearest)
        snprintf(text, TRACE_MEANT_BYTES, "; did you mean %s%s?", before, nearest);
    return text;
}

#endif
