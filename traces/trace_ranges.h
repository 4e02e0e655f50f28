// trace_ranges.h: a set of address ranges that do not overlap.
//
// Not for other floors: they include trace.h. One set belongs to one thread at a time; memory
// follows the most ranges that it has held.
#ifndef HAK_TRACE_RANGES_H
#define HAK_TRACE_RANGES_H

#include "trace_internal.h"

struct trace_ranges {
    struct ranges_node *root; // NULL while nothing has been added
    unsigned height;          // levels above the leaves
};

enum trace_ranges_result { TRACE_RANGES_ADDED, TRACE_RANGES_OVERLAP, TRACE_RANGES_NO_MEMORY };

// Adds [start, end), start < end, unless it overlaps one that is there.
enum trace_ranges_result trace_ranges_add(struct trace_ranges *ranges, uint64_t start,
                                          uint64_t end);
// Removes the range that begins at `start`; false if there is none.
bool trace_ranges_remove(struct trace_ranges *ranges, uint64_t start);
void trace_ranges_free(struct trace_ranges *ranges);

#endif
