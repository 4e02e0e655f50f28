// haktrace_frames.h: places in code, numbered and named.
//
// A *place* is a module and an offset in it; many nodes of the stack tree share one. One thread.
#ifndef HAK_HAKTRACE_FRAMES_H
#define HAK_HAKTRACE_FRAMES_H

#include "haktrace_symbols.h"
#include "trace.h"

#include <jansson.h>

struct haktrace_place {
    uint32_t module; // 0 = not known
    uint64_t offset;
};

struct haktrace_frames {
    const struct trace_reader *reader;
    struct haktrace_symbols *symbols; // NULL: no names of functions; closed with the frames
    uint32_t *place_of_node;          // from 1, 0 = not yet numbered
    uint32_t node_capacity;
    struct haktrace_place *places; // by number; 0 is none
    uint32_t place_count, place_capacity;
    uint32_t *slots; // hash table of place numbers
    uint32_t slot_count;
    json_t **modules; // by number, parsed when first asked for
    uint32_t module_capacity;
};

bool haktrace_frames_begin(struct haktrace_frames *frames, const struct trace_reader *reader);
void haktrace_frames_end(struct haktrace_frames *frames);
// The place of a node, numbered from 1 in the order in which they are first asked for; 0 when
// memory is out or there is no such node.
uint32_t haktrace_place_of(struct haktrace_frames *frames, uint32_t node);
// The function's name if there are symbols and it is known.
const char *haktrace_place_function(struct haktrace_frames *frames, uint32_t place);
// The function, or "NAME+0xOFFSET", as long as `size` allows; control characters, ';' and blanks as
// '?' or '_'.
void haktrace_place_name(struct haktrace_frames *frames, uint32_t place, char *text, size_t size);
// A string of a module's row, "" if there is none.
const char *haktrace_module_text(struct haktrace_frames *frames, uint32_t module, const char *key);
uint64_t haktrace_module_size(struct haktrace_frames *frames, uint32_t module);

#endif
