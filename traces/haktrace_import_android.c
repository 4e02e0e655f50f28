// haktrace_import_android.c: the text of Android's malloc_debug (record_allocs), which its
// memory_replay plays. One call a line, numbers decimal or 0x hexadecimal:
//
//     TID: malloc PTR SIZE            TID: calloc PTR COUNT SIZE
//     TID: realloc NEW OLD SIZE       TID: memalign PTR ALIGNMENT SIZE
//     TID: free PTR                   TID: thread_done 0x0
//
// each followed in newer recordings by the times in ns at which the call began and ended (free: and
// the resident bytes, which are passed over). Lines stand in the order in which calls ended.
#include "haktrace_import.h"
#include "haktrace_lines.h"

#include <errno.h>
#include <stdlib.h>

enum { NUMBERS_MAX = 6 };

struct line {
    uint64_t tid;
    const char *action;
    uint64_t numbers[NUMBERS_MAX];
    unsigned count;
};

// The number at *at, which is moved behind it.
static bool take_number(char **at, uint64_t *number) {
    char *end;
    while (**at == ' ' || **at == '\t')
        ++*at;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *number = strtoull(*at, &end, 0);
    *at = end;
    return errno == 0;
}

static bool parse_line(char *text, struct line *line) {
    *line = (struct line){0};
    if (!take_number(&text, &line->tid) || *text++ != ':')
        return false;
    text += strspn(text, " \t");
    line->action = text;
    text += strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    if (*text && *text != ' ' && *text != '\t' && *text != '\r')
        return false;
    char *action_end = text;
    if (*text)
        text++;
    while (line->count < NUMBERS_MAX && take_number(&text, &line->numbers[line->count]))
        line->count++;
    *action_end = '\0';
    return text[strspn(text, " \t\r")] == '\0';
}

static const struct action {
    const char *name;
    unsigned numbers; // without times
    uint8_t op, entry;
} actions[] = {
    {"malloc", 2, TRACE_MALLOC, TRACE_ENTRY_MALLOC},
    {"calloc", 3, TRACE_CALLOC, TRACE_ENTRY_CALLOC},
    {"memalign", 3, TRACE_ALIGNED, TRACE_ENTRY_MEMALIGN},
    {"realloc", 3, TRACE_REALLOC_RELEASE, TRACE_ENTRY_REALLOC},
    {"free", 1, TRACE_FREE, TRACE_ENTRY_FREE},
    {"thread_done", 1, TRACE_THREAD_EXIT, 0},
};
enum { ACTION_COUNT = sizeof actions / sizeof *actions };

static const struct action *find_action(const char *name) {
    for (unsigned i = 0; i < ACTION_COUNT; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static uint64_t product(uint64_t a, uint64_t b) {
    uint64_t result;
    return __builtin_mul_overflow(a, b, &result) ? UINT64_MAX : result;
}

static int perform(struct haktrace_import *import, const struct action *action,
                   const struct line *line) {
    const uint64_t *numbers = line->numbers;
    uint32_t thread;
    if (action->op == TRACE_THREAD_EXIT)
        return haktrace_import_thread_exit(import, line->tid);
    if (haktrace_import_thread(import, line->tid, &thread))
        return -1;
    if (action->op == TRACE_FREE)
        return haktrace_import_free(import, thread, numbers[0], action->entry);
    if (action->op == TRACE_REALLOC_RELEASE)
        return haktrace_import_realloc(import, thread, numbers[0], numbers[1], numbers[2]);
    struct haktrace_block block = {
        .number = numbers[0], .size = numbers[1], .op = action->op, .entry = action->entry};
    if (action->op == TRACE_CALLOC)
        block.size = product(numbers[1], numbers[2]);
    if (action->op == TRACE_ALIGNED) {
        block.align = numbers[1];
        block.size = numbers[2];
    }
    return haktrace_import_allocate(import, thread, &block);
}

// The time at which the call began, where the line has it, counted from the first one's.
static void take_time(struct haktrace_import *import, const struct action *action,
                      const struct line *line, uint64_t *first) {
    if (line->count <= action->numbers)
        return;
    uint64_t time = line->numbers[action->numbers];
    if (*first == UINT64_MAX)
        *first = time;
    import->time_ticks = time > *first ? time - *first : 0;
}

static bool names_the_impossible(const struct line *line) {
    return line->tid == UINT64_MAX || line->numbers[0] == UINT64_MAX ||
           line->numbers[1] == UINT64_MAX;
}

static int read_lines(struct haktrace_import *import, struct haktrace_lines *lines) {
    uint64_t first = UINT64_MAX;
    char *text;
    while ((text = haktrace_lines_next(lines, &import->error))) {
        struct line line;
        if (text[strspn(text, " \t\r")] == '\0')
            continue;
        const struct action *action = parse_line(text, &line) ? find_action(line.action) : NULL;
        if (!action || line.count < action->numbers)
            return haktrace_lines_fail(lines, &import->error,
                                       "expected TID: ACTION POINTER [NUMBER...]");
        if (names_the_impossible(&line))
            return haktrace_lines_fail(lines, &import->error, "expected numbers below 2^64 - 1");
        take_time(import, action, &line, &first);
        if (perform(import, action, &line))
            return -1;
    }
    return import->error.text[0] ? -1 : 0;
}

int haktrace_import_android(struct haktrace_import *import) {
    struct haktrace_lines lines;
    int status =
        haktrace_lines_open(&lines, import->options->path, &import->error) ||
                haktrace_import_begin(import, import->options->path, 1, "monotonic", false) ||
                read_lines(import, &lines)
            ? -1
            : 0;
    haktrace_lines_close(&lines);
    return status;
}
