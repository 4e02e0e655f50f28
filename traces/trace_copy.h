// trace_copy.h: stacks and modules of one trace into another, and the plan of what becomes of them.
//
// Not for other floors: they include trace.h. For tools that write a trace made from another:
// nodes and modules are taken over when an event first needs them, and numbered anew.
#ifndef HAK_TRACE_COPY_H
#define HAK_TRACE_COPY_H

#include "trace_internal.h"

struct trace_copy {
    const struct trace_reader *reader;
    struct trace_writer *writer;
    // NULL: modules and offsets are taken over as they are. Else the JSON of a module as it is to
    // be written (malloc, NULL when memory is out), and a node's offset.
    char *(*rewrite_module)(void *self, uint32_t module);
    uint64_t (*rewrite_offset)(void *self, uint32_t node);
    void *self;
    uint32_t *nodes, *modules; // number there by number here, 0 = not yet taken over
    uint32_t node_capacity, module_capacity;
    uint32_t *chain; // scratch: nodes on the way to the outermost frame
    uint32_t chain_capacity;
};

// The node's number in the new trace, in *number; 0 stays 0. 0, or -1 with *error set.
int trace_copy_stack(struct trace_copy *copy, uint32_t node, uint32_t *number,
                     struct trace_error *error);
void trace_copy_free(struct trace_copy *copy);

#endif
