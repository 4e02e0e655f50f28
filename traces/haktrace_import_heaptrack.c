// haktrace_import_heaptrack.c: what heaptrack records, raw or interpreted, as text or in zstd. All
// numbers are hexadecimal. What both have in common:
//
//     v VERSION FORMAT     X COMMAND            c MILLISECONDS since the start
//     t PLACE PARENT       a stack, numbered from 1; PARENT is its caller's
//
//     raw:                                        interpreted:
//     m LENGTH PATH BASE (OFFSET SIZE)...         s LENGTH TEXT      a string, from 1
//       ("m 1 -": the list begins anew)           i ADDRESS MODULE [...]  a place, from 1
//     + SIZE STACK POINTER    - POINTER           a SIZE STACK       a kind, from 0
//     PLACE is an address                         + KIND    - KIND
//
// heaptrack has no threads, no calls but those two (a realloc is both), and takes down an event
// after the call, under a lock: with threads its order may differ from the real one.
// An interpreted free says which kind of block ended, not which: the youngest of the kind is taken.
#include "haktrace_import.h"
#include "haktrace_lines.h"

#include <errno.h>
#include <stdlib.h>

enum { FORMAT_MIN = 2, FORMAT_MAX = 3, RANGES_MAX = 8192, SIZED_STRINGS = 3 };

// Where a part of a module is mapped.
struct range {
    uint64_t start, end, base;
    uint32_t module;
};

struct place {
    uint64_t address;
    uint32_t module;
};

struct kind {
    uint64_t size;
    uint64_t youngest; // number of its youngest live block, 0 = none
    uint32_t stack;
};

// A growing array.
struct list {
    void *items;
    size_t count, capacity, item_bytes;
};

struct heaptrack {
    struct haktrace_import *import;
    struct haktrace_lines lines;
    uint64_t format;
    char program[256];
    struct list ranges;  // raw
    struct list strings; // interpreted: uint32_t, module of the string's name, 0 = not yet made one
    struct list names;   // char *, by string, and of modules by name
    struct list places;  // interpreted
    struct list kinds;   // interpreted
    struct list older;   // interpreted, by block: the next older live block of its kind
    struct list modules; // char *, names of the modules written
    uint32_t stack_count;
};

static int fail(struct heaptrack *heaptrack, const char *expected) {
    return haktrace_lines_fail(&heaptrack->lines, &heaptrack->import->error, "expected %s",
                               expected);
}

// Adds a copy of *item.
static int add(struct heaptrack *heaptrack, struct list *list, const void *item) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        void *grown = realloc(list->items, capacity * list->item_bytes);
        if (!grown)
            return fail(heaptrack, "memory, found none");
        list->items = grown;
        list->capacity = capacity;
    }
    memcpy((char *)list->items + list->count++ * list->item_bytes, item, list->item_bytes);
    return 0;
}

// ---------------------------------------------------------------- fields of a line

static bool take_number(char **at, uint64_t *number) {
    char *end;
    *at += strspn(*at, " ");
    if (!strchr("0123456789abcdef", **at) || !**at)
        return false;
    errno = 0;
    *number = strtoull(*at, &end, 16);
    *at = end;
    return errno == 0 && *number < UINT64_MAX;
}

// A text with its length before it (format 3), or up to the next blank or the end of the line.
static char *take_text(const struct heaptrack *heaptrack, char **at, bool to_end) {
    uint64_t length = 0;
    if (heaptrack->format >= SIZED_STRINGS) {
        if (!take_number(at, &length) || **at != ' ' || strlen(*at + 1) < length)
            return NULL;
    } else {
        length = to_end ? strlen(*at) : strcspn(*at + strspn(*at, " "), " ");
        *at += to_end ? 0 : strspn(*at, " ");
        --*at; // where the blank before it would be
    }
    char *text = *at + 1;
    *at = text + length;
    if (**at)
        *(*at)++ = '\0';
    return text;
}

// ---------------------------------------------------------------- modules

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int begin(struct heaptrack *heaptrack) {
    if (heaptrack->import->writer)
        return 0;
    return haktrace_import_begin(heaptrack->import,
                                 *heaptrack->program ? heaptrack->program
                                                     : heaptrack->import->options->path,
                                 1000000, "monotonic", true);
}

// The module of this name; a new one is written.
static int module_named(struct heaptrack *heaptrack, const char *path, uint32_t *module) {
    const char *name = base_name(path);
    char *const *names = heaptrack->modules.items;
    for (*module = 1; *module <= heaptrack->modules.count; ++*module)
        if (strcmp(names[*module - 1], name) == 0)
            return 0;
    if (heaptrack->modules.count >= RANGES_MAX)
        return fail(heaptrack, "at most 8192 modules");
    json_t *row = json_pack("{s:s, s:s, s:i}", "name", name, "build_id", "", "size", 0);
    if (!row) // not UTF-8
        row = json_pack("{s:s, s:s, s:i}", "name", "?", "build_id", "", "size", 0);
    char *text = row ? json_dumps(row, JSON_COMPACT) : NULL;
    char *copy = strdup(name);
    json_decref(row);
    int status = -1;
    if (!text || !copy)
        fail(heaptrack, "memory, found none");
    else if (begin(heaptrack) == 0 &&
             trace_writer_module(heaptrack->import->writer, text, &heaptrack->import->error))
        status = add(heaptrack, &heaptrack->modules, &copy);
    free(text);
    if (status)
        free(copy);
    return status;
}

static int take_module(struct heaptrack *heaptrack, char *at) {
    char *path = take_text(heaptrack, &at, false);
    struct range range;
    if (!path)
        return fail(heaptrack, "m LENGTH PATH");
    if (strcmp(path, "-") == 0) {
        heaptrack->ranges.count = 0;
        return 0;
    }
    if (strcmp(path, "x") == 0 && *heaptrack->program) // the program itself
        path = heaptrack->program;
    if (!take_number(&at, &range.base))
        return fail(heaptrack, "m LENGTH PATH BASE (OFFSET SIZE)...");
    if (module_named(heaptrack, path, &range.module))
        return -1;
    uint64_t offset, size;
    while (take_number(&at, &offset) && take_number(&at, &size)) {
        range.start = range.base + offset;
        range.end = range.start + size;
        if (heaptrack->ranges.count >= RANGES_MAX)
            return fail(heaptrack, "at most 8192 mapped parts");
        if (add(heaptrack, &heaptrack->ranges, &range))
            return -1;
    }
    return 0;
}

static const struct range *range_of(const struct heaptrack *heaptrack, uint64_t address) {
    const struct range *ranges = heaptrack->ranges.items;
    for (size_t i = 0; i < heaptrack->ranges.count; i++)
        if (address >= ranges[i].start && address < ranges[i].end)
            return &ranges[i];
    return NULL;
}

// ---------------------------------------------------------------- stacks

static int take_string(struct heaptrack *heaptrack, char *at) {
    char *text = take_text(heaptrack, &at, true);
    uint32_t module = 0;
    char *copy = text ? strdup(text) : NULL;
    if (!text)
        return fail(heaptrack, "s LENGTH TEXT");
    if (!copy)
        return fail(heaptrack, "memory, found none");
    if (add(heaptrack, &heaptrack->names, &copy)) {
        free(copy);
        return -1;
    }
    return add(heaptrack, &heaptrack->strings, &module);
}

static int take_place(struct heaptrack *heaptrack, char *at) {
    struct place place = {0};
    uint64_t string;
    if (!take_number(&at, &place.address) || !take_number(&at, &string) ||
        string > heaptrack->strings.count)
        return fail(heaptrack, "i ADDRESS MODULE, a string before it");
    if (string > 0) {
        uint32_t *module = (uint32_t *)heaptrack->strings.items + (string - 1);
        char *const *names = heaptrack->names.items;
        if (!*module && module_named(heaptrack, names[string - 1], module))
            return -1;
        place.module = *module;
    }
    return add(heaptrack, &heaptrack->places, &place);
}

static int take_stack(struct heaptrack *heaptrack, char *at) {
    struct trace_node node = {0};
    uint64_t number, parent;
    if (!take_number(&at, &number) || !take_number(&at, &parent) || parent > heaptrack->stack_count)
        return fail(heaptrack, "t PLACE PARENT, a stack before it");
    node.parent = (uint32_t)parent;
    node.offset = number;
    if (heaptrack->places.count > 0) {
        const struct place *places = heaptrack->places.items;
        if (number == 0 || number > heaptrack->places.count)
            return fail(heaptrack, "t PLACE PARENT, a place before it");
        node.module = places[number - 1].module;
        node.offset = places[number - 1].address;
    } else {
        const struct range *range = range_of(heaptrack, number);
        node.module = range ? range->module : 0;
        node.offset = range ? number - range->base : number;
    }
    if (begin(heaptrack))
        return -1;
    heaptrack->stack_count =
        trace_writer_node(heaptrack->import->writer, &node, &heaptrack->import->error);
    return heaptrack->stack_count ? 0 : -1;
}

// ---------------------------------------------------------------- blocks

static int take_kind(struct heaptrack *heaptrack, char *at) {
    struct kind kind = {0};
    uint64_t stack;
    if (!take_number(&at, &kind.size) || !take_number(&at, &stack) ||
        stack > heaptrack->stack_count)
        return fail(heaptrack, "a SIZE STACK, a stack before it");
    kind.stack = (uint32_t)stack;
    return add(heaptrack, &heaptrack->kinds, &kind);
}

static int allocate(struct heaptrack *heaptrack, uint64_t size, uint64_t stack, uint64_t number) {
    struct haktrace_block block = {
        .number = number, .size = size, .op = TRACE_MALLOC, .stack = (uint32_t)stack};
    return begin(heaptrack) || haktrace_import_allocate(heaptrack->import, 0, &block) ? -1 : 0;
}

static struct kind *kind_numbered(struct heaptrack *heaptrack, uint64_t number) {
    struct kind *kinds = heaptrack->kinds.items;
    return number < heaptrack->kinds.count ? &kinds[number] : NULL;
}

static int take_begin(struct heaptrack *heaptrack, char *at) {
    uint64_t first, stack, pointer;
    if (!take_number(&at, &first))
        return fail(heaptrack, "+ and a number");
    if (take_number(&at, &stack)) {
        if (!take_number(&at, &pointer) || stack > heaptrack->stack_count)
            return fail(heaptrack, "+ SIZE STACK POINTER, a stack before it");
        return allocate(heaptrack, first, stack, pointer);
    }
    struct kind *kind = kind_numbered(heaptrack, first);
    if (!kind)
        return fail(heaptrack, "+ KIND, a kind before it");
    uint64_t older = kind->youngest;
    if (add(heaptrack, &heaptrack->older, &older))
        return -1;
    kind->youngest = heaptrack->older.count; // blocks are numbered from 1
    return allocate(heaptrack, kind->size, kind->stack, kind->youngest);
}

static int take_end(struct heaptrack *heaptrack, char *at) {
    uint64_t number;
    if (!take_number(&at, &number))
        return fail(heaptrack, "- and a number");
    if (heaptrack->kinds.count > 0) {
        struct kind *kind = kind_numbered(heaptrack, number);
        const uint64_t *older = heaptrack->older.items;
        if (!kind)
            return fail(heaptrack, "- KIND, a kind before it");
        number = kind->youngest;
        if (number == 0)
            return fail(heaptrack, "- KIND of which a block is live");
        kind->youngest = older[number - 1];
    }
    return begin(heaptrack) || haktrace_import_free(heaptrack->import, 0, number, 0) ? -1 : 0;
}

// ---------------------------------------------------------------- lines

static int take_version(struct heaptrack *heaptrack, char *at) {
    uint64_t version;
    if (!take_number(&at, &version) || !take_number(&at, &heaptrack->format) ||
        heaptrack->format < FORMAT_MIN || heaptrack->format > FORMAT_MAX)
        return fail(heaptrack, "v VERSION and format 2 or 3");
    return 0;
}

static int take_time(struct heaptrack *heaptrack, char *at) {
    uint64_t milliseconds;
    if (!take_number(&at, &milliseconds))
        return fail(heaptrack, "c MILLISECONDS");
    heaptrack->import->time_ticks = milliseconds;
    return 0;
}

static void take_command(struct heaptrack *heaptrack, const char *at) {
    const char *name = at + strspn(at, " ");
    size_t length = strcspn(name, " ");
    if (length < sizeof heaptrack->program) {
        memcpy(heaptrack->program, name, length);
        heaptrack->program[length] = '\0';
    }
}

static int take_line(struct heaptrack *heaptrack, char *line) {
    char *at = line + 1;
    if (*line == '\0' || *line == '#')
        return 0;
    if (*line == 'v')
        return take_version(heaptrack, at);
    if (!heaptrack->format)
        return fail(heaptrack, "v VERSION FORMAT, the first line of heaptrack's files");
    if (*at++ != ' ' && !strchr("RIAS", *line))
        return fail(heaptrack, "a letter and a blank");
    switch (*line) {
    case 'X':
        take_command(heaptrack, at);
        return 0;
    case 'm':
        return take_module(heaptrack, at);
    case 's':
        return take_string(heaptrack, at);
    case 'i':
        return take_place(heaptrack, at);
    case 't':
        return take_stack(heaptrack, at);
    case 'a':
        return take_kind(heaptrack, at);
    case '+':
        return take_begin(heaptrack, at);
    case '-':
        return take_end(heaptrack, at);
    case 'c':
        return take_time(heaptrack, at);
    case 'x': // the program's path
    case 'R': // resident memory
    case 'I': // the machine
    case 'A': // attached
    case 'S': // suppressions
        return 0;
    default:
        return fail(heaptrack, "a line of heaptrack's (v X m s i t a + - c)");
    }
}

static int read_lines(struct heaptrack *heaptrack) {
    char *line;
    if (haktrace_lines_open(&heaptrack->lines, heaptrack->import->options->path,
                            &heaptrack->import->error))
        return -1;
    while ((line = haktrace_lines_next(&heaptrack->lines, &heaptrack->import->error)))
        if (take_line(heaptrack, line))
            return -1;
    if (heaptrack->import->error.text[0])
        return -1;
    return heaptrack->format ? begin(heaptrack)
                             : fail(heaptrack, "v VERSION FORMAT, found the end of the file");
}

static void free_texts(struct list *list) {
    char **texts = list->items;
    for (size_t i = 0; i < list->count; i++)
        free(texts[i]);
    free(texts);
}

int haktrace_import_heaptrack(struct haktrace_import *import) {
    struct heaptrack heaptrack = {
        .import = import,
        .ranges.item_bytes = sizeof(struct range),
        .strings.item_bytes = sizeof(uint32_t),
        .names.item_bytes = sizeof(char *),
        .places.item_bytes = sizeof(struct place),
        .kinds.item_bytes = sizeof(struct kind),
        .older.item_bytes = sizeof(uint64_t),
        .modules.item_bytes = sizeof(char *),
    };
    int status = read_lines(&heaptrack);
    haktrace_lines_close(&heaptrack.lines);
    free_texts(&heaptrack.names);
    free_texts(&heaptrack.modules);
    free(heaptrack.ranges.items);
    free(heaptrack.strings.items);
    free(heaptrack.places.items);
    free(heaptrack.kinds.items);
    free(heaptrack.older.items);
    return status;
}
