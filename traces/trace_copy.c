// trace_copy.c: see trace_copy.h.
#include "trace_copy.h"

#include <stdlib.h>

static int fail_memory(struct trace_error *error) {
    return trace_fail_file("copying stacks", error, "out of memory");
}

// Makes a table of numbers hold `index`; new entries are 0.
static bool make_room(uint32_t **table, uint32_t *capacity, uint32_t index) {
    if (index < *capacity)
        return true;
    uint32_t wanted = index + index / 2 + 1024;
    uint32_t *grown = realloc(*table, wanted * sizeof *grown);
    if (!grown)
        return false;
    memset(grown + *capacity, 0, (wanted - *capacity) * sizeof *grown);
    *table = grown;
    *capacity = wanted;
    return true;
}

static int copy_module(struct trace_copy *copy, uint32_t module, uint32_t *number,
                       struct trace_error *error) {
    *number = 0;
    const char *text = trace_reader_module(copy->reader, module);
    if (module == 0 || !text)
        return 0;
    if (!make_room(&copy->modules, &copy->module_capacity, module))
        return fail_memory(error);
    if (!copy->modules[module]) {
        char *rewritten = copy->rewrite_module ? copy->rewrite_module(copy->self, module) : NULL;
        if (copy->rewrite_module && !rewritten)
            return fail_memory(error);
        copy->modules[module] =
            trace_writer_module(copy->writer, rewritten ? rewritten : text, error);
        free(rewritten);
    }
    *number = copy->modules[module];
    return *number ? 0 : -1;
}

static int copy_node(struct trace_copy *copy, uint32_t node, const struct trace_node *from,
                     struct trace_error *error) {
    struct trace_node to = {.parent = from->parent ? copy->nodes[from->parent] : 0,
                            .offset = from->offset};
    if (copy->rewrite_offset)
        to.offset = copy->rewrite_offset(copy->self, node);
    if (copy_module(copy, from->module, &to.module, error))
        return -1;
    copy->nodes[node] = trace_writer_node(copy->writer, &to, error);
    return copy->nodes[node] ? 0 : -1;
}

int trace_copy_stack(struct trace_copy *copy, uint32_t node, uint32_t *number,
                     struct trace_error *error) {
    struct trace_node from;
    uint32_t depth = 0;
    *number = 0;
    if (node == 0)
        return 0;
    // Parents have smaller numbers: room for the innermost frame is room for all.
    if (!make_room(&copy->nodes, &copy->node_capacity, node))
        return fail_memory(error);
    for (uint32_t at = node; at && !copy->nodes[at] && trace_reader_node(copy->reader, at, &from);
         at = from.parent) {
        if (!make_room(&copy->chain, &copy->chain_capacity, depth))
            return fail_memory(error);
        copy->chain[depth++] = at;
    }
    while (depth > 0) {
        uint32_t at = copy->chain[--depth];
        if (!trace_reader_node(copy->reader, at, &from) || copy_node(copy, at, &from, error))
            return -1;
    }
    *number = copy->nodes[node];
    return 0;
}

void trace_copy_free(struct trace_copy *copy) {
    free(copy->nodes);
    free(copy->modules);
    free(copy->chain);
}
