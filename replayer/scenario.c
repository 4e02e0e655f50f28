// scenario.c: small programs written by hand, for exploring (doc/scenarios.md is the language).
//
// Owns: the parser, and the order that stands for "as recorded": the first thread runs until it
// waits for something, then the next one that can run, in the order of the text. What waits for
// what follows from the objects' names alone.
//
// Every name is made once, so that a name is an object. A text is small: limits below.
#include "replayer.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS_MAX = 256,
    OBJECTS_MAX = 4096,
    OPERATIONS_MAX = 65536,
    NAME_BYTES = 40,
    OBJECT_NAME_BYTES = NAME_BYTES + 16, // with an index
    WORDS_MAX = 8,
    ALIGN_LOG2_MAX = 16
};
#define SIZE_BYTES_MAX (UINT64_C(1) << 32)
#define SLEEP_NS_MAX   UINT64_C(1000000000000)
#define NO_INDEX       UINT32_MAX

struct thread {
    char name[NAME_BYTES];
    unsigned line;
    bool described;  // it has a `thread` line
    bool is_created; // by some `create`
    bool has_begun;  // while ordering
    uint32_t next;   // likewise: its next operation, an index into written[]
};

struct object {
    char name[OBJECT_NAME_BYTES];
    unsigned made_line, gone_line; // 0: not (yet)
    uint64_t number;               // while ordering
    bool lives;
};

// An operation as written, of one thread; objects are indices into objects[].
struct written {
    uint32_t thread, peer, object, new_object;
    uint32_t following; // the thread's next one
    uint64_t size, sleep_ns;
    unsigned line;
    uint8_t op, align_log2;
};

struct replay_scenario {
    char geometry[64], route[256];
    struct thread threads[THREADS_MAX];
    uint32_t thread_count;
    struct object objects[OBJECTS_MAX];
    uint32_t object_count;
    struct written *written;
    uint32_t written_count;
    struct program_operation *operations; // in order
    uint32_t operation_count;
    uint64_t bytes; // asked for, in all
    char *line;     // the text in one line, without comments
};

struct parser {
    struct replay_scenario *scenario;
    const char *name;
    unsigned line;
    uint32_t thread; // that statements belong to; NO_INDEX before the first
    uint32_t last_written[THREADS_MAX], first_written[THREADS_MAX];
    char *message;
    size_t message_size;
};

static bool refuse(struct parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool refuse(struct parser *parser, const char *format, ...) {
    va_list arguments;
    int length = snprintf(parser->message, parser->message_size, "%s: line %u: ", parser->name,
                          parser->line);
    if (length < 0 || (size_t)length >= parser->message_size)
        return false;
    va_start(arguments, format);
    vsnprintf(parser->message + length, parser->message_size - (size_t)length, format, arguments);
    va_end(arguments);
    return false;
}

// ---------------------------------------------------------------- names

static bool is_name(const char *text) {
    if (!isalpha((unsigned char)text[0]) && text[0] != '_')
        return false;
    for (const char *c = text; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-' && *c != '.')
            return false;
    return strlen(text) < NAME_BYTES - 12; // room for an index
}

static uint32_t find_thread(struct parser *parser, const char *name) {
    struct replay_scenario *scenario = parser->scenario;
    for (uint32_t i = 0; i < scenario->thread_count; i++)
        if (strcmp(scenario->threads[i].name, name) == 0)
            return i;
    if (scenario->thread_count == THREADS_MAX || !is_name(name))
        return NO_INDEX;
    struct thread *thread = &scenario->threads[scenario->thread_count];
    snprintf(thread->name, sizeof thread->name, "%s", name);
    thread->line = parser->line;
    thread->next = NO_INDEX;
    return scenario->thread_count++;
}

static uint32_t find_object(struct parser *parser, const char *name) {
    struct replay_scenario *scenario = parser->scenario;
    for (uint32_t i = scenario->object_count; i-- > 0;)
        if (strcmp(scenario->objects[i].name, name) == 0)
            return i;
    if (scenario->object_count == OBJECTS_MAX)
        return NO_INDEX;
    snprintf(scenario->objects[scenario->object_count].name, OBJECT_NAME_BYTES, "%s", name);
    return scenario->object_count++;
}

// NAME or NAME[I..J]: one object, or one after the other.
struct range {
    char name[NAME_BYTES];
    bool indexed;
    unsigned first, last;
};

static bool parse_range(struct parser *parser, const char *word, struct range *range) {
    char *bracket = strchr(word, '[');
    size_t length = bracket == NULL ? strlen(word) : (size_t)(bracket - word);
    *range = (struct range){.indexed = bracket != NULL};
    snprintf(range->name, sizeof range->name, "%.*s", (int)length, word);
    if (length >= NAME_BYTES || !is_name(range->name))
        return refuse(parser, "expected an object's name, found \"%s\"", word);
    if (bracket == NULL)
        return true;
    int end = 0;
    bool whole = sscanf(bracket, "[%4u..%4u]%n", &range->first, &range->last, &end) == 2 &&
                 end > 0 && bracket[end] == '\0';
    if (!whole) {
        end = 0;
        whole =
            sscanf(bracket, "[%4u]%n", &range->first, &end) == 1 && end > 0 && bracket[end] == '\0';
        range->last = range->first;
    }
    return whole || refuse(parser, "expected NAME[I] or NAME[I..J], found \"%s\"", word);
}

static unsigned range_count(const struct range *range) {
    return range->first <= range->last ? range->last - range->first + 1
                                       : range->first - range->last + 1;
}

static uint32_t range_object(struct parser *parser, const struct range *range, unsigned i) {
    char name[OBJECT_NAME_BYTES];
    unsigned index = range->first <= range->last ? range->first + i : range->first - i;
    if (range->indexed)
        snprintf(name, sizeof name, "%s[%u]", range->name, index);
    else
        snprintf(name, sizeof name, "%s", range->name);
    return find_object(parser, name);
}

// ---------------------------------------------------------------- statements

static bool parse_size(struct parser *parser, const char *word, uint64_t maximum, uint64_t *size) {
    char *end;
    *size = strtoull(word, &end, 10);
    if (!isdigit((unsigned char)word[0]) || *end != '\0' || *size > maximum)
        return refuse(parser, "expected a number of at most %llu, found \"%s\"",
                      (unsigned long long)maximum, word);
    return true;
}

static bool write_operation(struct parser *parser, struct written operation) {
    struct replay_scenario *scenario = parser->scenario;
    if (scenario->written_count == OPERATIONS_MAX)
        return refuse(parser, "more than %d operations", OPERATIONS_MAX);
    uint32_t here = scenario->written_count++;
    operation.thread = parser->thread;
    operation.line = parser->line;
    operation.following = NO_INDEX;
    scenario->written[here] = operation;
    scenario->bytes += operation.size;
    if (parser->first_written[parser->thread] == NO_INDEX)
        parser->first_written[parser->thread] = here;
    else
        scenario->written[parser->last_written[parser->thread]].following = here;
    parser->last_written[parser->thread] = here;
    return true;
}

static bool note_made(struct parser *parser, uint32_t index) {
    if (index == NO_INDEX)
        return refuse(parser, "more than %d objects", OBJECTS_MAX);
    struct object *object = &parser->scenario->objects[index];
    if (object->made_line != 0)
        return refuse(parser, "%s is made twice, first in line %u", object->name,
                      object->made_line);
    object->made_line = parser->line;
    return true;
}

static bool note_gone(struct parser *parser, uint32_t index) {
    if (index == NO_INDEX)
        return refuse(parser, "more than %d objects", OBJECTS_MAX);
    struct object *object = &parser->scenario->objects[index];
    if (object->gone_line != 0)
        return refuse(parser, "%s is given up twice, first in line %u", object->name,
                      object->gone_line);
    object->gone_line = parser->line;
    return true;
}

static bool write_makes(struct parser *parser, const struct range *made, uint8_t op, uint64_t size,
                        uint8_t align_log2) {
    for (unsigned i = 0; i < range_count(made); i++) {
        uint32_t object = range_object(parser, made, i);
        if (!note_made(parser, object) ||
            !write_operation(
                parser, (struct written){
                            .op = op, .object = object, .size = size, .align_log2 = align_log2}))
            return false;
    }
    return true;
}

static bool write_reallocs(struct parser *parser, const struct range *made, const struct range *old,
                           uint64_t size) {
    if (range_count(made) != range_count(old))
        return refuse(parser, "the two ranges differ in length");
    for (unsigned i = 0; i < range_count(made); i++) {
        uint32_t new_object = range_object(parser, made, i);
        uint32_t object = range_object(parser, old, i);
        if (!note_made(parser, new_object) || !note_gone(parser, object) ||
            !write_operation(parser, (struct written){.op = PROGRAM_REALLOC,
                                                      .object = object,
                                                      .new_object = new_object,
                                                      .size = size}))
            return false;
    }
    return true;
}

static bool write_uses(struct parser *parser, const struct range *used, uint8_t op) {
    for (unsigned i = 0; i < range_count(used); i++) {
        uint32_t object = range_object(parser, used, i);
        if (object == NO_INDEX)
            return refuse(parser, "more than %d objects", OBJECTS_MAX);
        if (op == PROGRAM_FREE && !note_gone(parser, object))
            return false;
        if (!write_operation(parser, (struct written){.op = op, .object = object}))
            return false;
    }
    return true;
}

static bool parse_alignment(struct parser *parser, const char *word, uint8_t *align_log2) {
    uint64_t alignment;
    if (!parse_size(parser, word, UINT64_C(1) << ALIGN_LOG2_MAX, &alignment))
        return false;
    if (alignment == 0 || (alignment & (alignment - 1)) != 0)
        return refuse(parser, "expected a power of two, found \"%s\"", word);
    *align_log2 = (uint8_t)__builtin_ctzll(alignment);
    return true;
}

// X = malloc N | calloc N | aligned A N | realloc Y N
static bool parse_making(struct parser *parser, char **words, unsigned count) {
    struct range made, old;
    uint64_t size;
    uint8_t align_log2 = 0;
    const char *verb = words[2];
    if (!parse_range(parser, words[0], &made))
        return false;
    if (count == 4 && (strcmp(verb, "malloc") == 0 || strcmp(verb, "calloc") == 0))
        return parse_size(parser, words[3], SIZE_BYTES_MAX, &size) &&
               write_makes(parser, &made, verb[0] == 'm' ? PROGRAM_MALLOC : PROGRAM_CALLOC, size,
                           0);
    if (count == 5 && strcmp(verb, "aligned") == 0)
        return parse_alignment(parser, words[3], &align_log2) &&
               parse_size(parser, words[4], SIZE_BYTES_MAX, &size) &&
               write_makes(parser, &made, PROGRAM_ALIGNED, size, align_log2);
    if (count == 5 && strcmp(verb, "realloc") == 0)
        return parse_range(parser, words[3], &old) &&
               parse_size(parser, words[4], SIZE_BYTES_MAX, &size) &&
               write_reallocs(parser, &made, &old, size);
    return refuse(parser, "expected malloc SIZE, calloc SIZE, aligned ALIGNMENT SIZE or realloc "
                          "NAME SIZE after \"=\"");
}

static bool parse_peer(struct parser *parser, const char *word, uint8_t op) {
    uint32_t peer = find_thread(parser, word);
    if (peer == NO_INDEX)
        return refuse(parser, "expected a thread's name, found \"%s\"", word);
    if (op == PROGRAM_CREATE && parser->scenario->threads[peer].is_created)
        return refuse(parser, "thread %s is created twice", word);
    if (op == PROGRAM_CREATE)
        parser->scenario->threads[peer].is_created = true;
    return write_operation(parser, (struct written){.op = op, .peer = peer});
}

static bool parse_operation(struct parser *parser, char **words, unsigned count) {
    struct range used;
    uint64_t sleep_ns;
    if (parser->thread == NO_INDEX)
        return refuse(parser, "expected a line \"thread NAME\" before the first operation");
    if (count >= 3 && strcmp(words[1], "=") == 0)
        return parse_making(parser, words, count);
    if (count == 2 && strcmp(words[0], "free") == 0)
        return parse_range(parser, words[1], &used) && write_uses(parser, &used, PROGRAM_FREE);
    if (count == 2 && strcmp(words[0], "usable") == 0)
        return parse_range(parser, words[1], &used) && write_uses(parser, &used, PROGRAM_USABLE);
    if (count == 2 && strcmp(words[0], "create") == 0)
        return parse_peer(parser, words[1], PROGRAM_CREATE);
    if (count == 2 && strcmp(words[0], "join") == 0)
        return parse_peer(parser, words[1], PROGRAM_JOIN);
    if (count == 1 && strcmp(words[0], "exit") == 0)
        return write_operation(parser, (struct written){.op = PROGRAM_EXIT});
    if (count == 1 && strcmp(words[0], "nothing") == 0)
        return write_operation(parser, (struct written){.op = PROGRAM_NOTHING});
    if (count == 2 && strcmp(words[0], "sleep") == 0)
        return parse_size(parser, words[1], SLEEP_NS_MAX, &sleep_ns) &&
               write_operation(parser, (struct written){.op = PROGRAM_SLEEP, .sleep_ns = sleep_ns});
    return refuse(
        parser,
        "expected thread, create, join, exit, free, usable, nothing, sleep or NAME = ..., "
        "found \"%s\"",
        words[0]);
}

static bool parse_thread(struct parser *parser, const char *name) {
    uint32_t index = find_thread(parser, name);
    if (index == NO_INDEX)
        return refuse(parser, "expected a thread's name, found \"%s\"", name);
    if (parser->scenario->threads[index].described)
        return refuse(parser, "thread %s is described twice", name);
    parser->scenario->threads[index].described = true;
    parser->thread = index;
    return true;
}

static bool parse_geometry(struct parser *parser, const char *name) {
    if (mf2_geometry_find(name) == NULL)
        return refuse(parser, "expected geometry default, seed or scenario, found \"%s\"", name);
    snprintf(parser->scenario->geometry, sizeof parser->scenario->geometry, "%s", name);
    return true;
}

static bool parse_route(struct parser *parser, const char *text) {
    struct mf2_route route;
    char message[256];
    if (!mf2_route_parse(text, &route, message, sizeof message))
        return refuse(parser, "%s", message);
    snprintf(parser->scenario->route, sizeof parser->scenario->route, "%s", text);
    return true;
}

static bool parse_statement(struct parser *parser, char *text) {
    char *words[WORDS_MAX], *rest = NULL;
    unsigned count = 0;
    for (char *word = strtok_r(text, " \t\r", &rest); word != NULL;
         word = strtok_r(NULL, " \t\r", &rest)) {
        if (count == WORDS_MAX)
            return refuse(parser, "expected at most %d words", WORDS_MAX);
        words[count++] = word;
    }
    if (count == 0)
        return true;
    if (count == 2 && strcmp(words[0], "thread") == 0)
        return parse_thread(parser, words[1]);
    if (count == 2 && strcmp(words[0], "geometry") == 0)
        return parse_geometry(parser, words[1]);
    if (count == 2 && strcmp(words[0], "route") == 0)
        return parse_route(parser, words[1]);
    return parse_operation(parser, words, count);
}

static bool parse_line(struct parser *parser, char *text) {
    char *rest = NULL;
    text[strcspn(text, "#")] = '\0';
    for (char *statement = strtok_r(text, ";", &rest); statement != NULL;
         statement = strtok_r(NULL, ";", &rest))
        if (!parse_statement(parser, statement))
            return false;
    return true;
}

static bool parse_lines(struct parser *parser, char *text) {
    for (char *line = text; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        parser->line++;
        if (!parse_line(parser, line))
            return false;
        line = end == NULL ? NULL : end + 1;
    }
    return true;
}

// ---------------------------------------------------------------- recorded order

static bool is_making(uint8_t op) {
    return op == PROGRAM_MALLOC || op == PROGRAM_CALLOC || op == PROGRAM_ALIGNED;
}

static bool thread_can_begin(const struct thread *thread) {
    return thread->has_begun || !thread->is_created;
}

static bool can_run(const struct replay_scenario *scenario, const struct written *operation) {
    if (operation->op == PROGRAM_JOIN)
        return scenario->threads[operation->peer].next == NO_INDEX &&
               thread_can_begin(&scenario->threads[operation->peer]);
    if (operation->op == PROGRAM_FREE || operation->op == PROGRAM_REALLOC ||
        operation->op == PROGRAM_USABLE)
        return scenario->objects[operation->object].lives;
    return true;
}

static void emit(struct replay_scenario *scenario, struct program_operation operation) {
    operation.time_ns = scenario->operation_count;
    scenario->operations[scenario->operation_count++] = operation;
}

static void make_object(struct replay_scenario *scenario, uint32_t index, uint64_t *made) {
    scenario->objects[index].number = (*made)++;
    scenario->objects[index].lives = true;
}

static void emit_written(struct replay_scenario *scenario, const struct written *operation,
                         uint64_t *made) {
    uint8_t op = operation->op;
    if (is_making(op))
        make_object(scenario, operation->object, made);
    if (op == PROGRAM_REALLOC)
        make_object(scenario, operation->new_object, made);
    if (op == PROGRAM_FREE || op == PROGRAM_REALLOC)
        scenario->objects[operation->object].lives = false;
    bool has_object =
        is_making(op) || op == PROGRAM_FREE || op == PROGRAM_REALLOC || op == PROGRAM_USABLE;
    uint64_t object = has_object ? scenario->objects[operation->object].number : 0;
    uint64_t new_object =
        op == PROGRAM_REALLOC ? scenario->objects[operation->new_object].number : 0;
    emit(scenario, (struct program_operation){.object = object,
                                              .new_object = new_object,
                                              .size = op == PROGRAM_SLEEP ? operation->sleep_ns
                                                                          : operation->size,
                                              .thread = operation->thread,
                                              .peer = operation->peer,
                                              .op = op,
                                              .align_log2 = operation->align_log2});
    if (op == PROGRAM_CREATE) {
        scenario->threads[operation->peer].has_begun = true;
        emit(scenario, (struct program_operation){.thread = operation->peer, .op = PROGRAM_START});
    }
}

// Whether the thread did anything.
static bool run_until_it_waits(struct replay_scenario *scenario, struct thread *thread,
                               uint64_t *made) {
    bool any = false;
    while (thread->next != NO_INDEX && thread_can_begin(thread) &&
           can_run(scenario, &scenario->written[thread->next])) {
        const struct written *operation = &scenario->written[thread->next];
        thread->next = operation->following;
        emit_written(scenario, operation, made);
        any = true;
    }
    return any;
}

static bool explain_wait(struct parser *parser, const struct thread *thread) {
    struct replay_scenario *scenario = parser->scenario;
    const struct written *operation = &scenario->written[thread->next];
    parser->line = operation->line;
    if (!thread_can_begin(thread))
        return refuse(parser, "thread %s is created only after it is waited for", thread->name);
    if (operation->op == PROGRAM_JOIN)
        return refuse(parser, "thread %s can never be joined here",
                      scenario->threads[operation->peer].name);
    const struct object *object = &scenario->objects[operation->object];
    if (object->made_line == 0)
        return refuse(parser, "%s is never made", object->name);
    if (object->gone_line != 0 && object->gone_line != operation->line)
        return refuse(parser, "%s may have been given up in line %u by then", object->name,
                      object->gone_line);
    return refuse(parser, "%s can never have been made by then", object->name);
}

static bool bring_in_order(struct parser *parser) {
    struct replay_scenario *scenario = parser->scenario;
    uint64_t made = 0;
    bool any = true;
    while (any) {
        any = false;
        for (uint32_t i = 0; i < scenario->thread_count && !any; i++)
            any = run_until_it_waits(scenario, &scenario->threads[i], &made);
    }
    for (uint32_t i = 0; i < scenario->thread_count; i++)
        if (scenario->threads[i].next != NO_INDEX)
            return explain_wait(parser, &scenario->threads[i]);
    return true;
}

static bool check_threads(struct parser *parser) {
    struct replay_scenario *scenario = parser->scenario;
    for (uint32_t i = 0; i < scenario->thread_count; i++) {
        scenario->threads[i].next = parser->first_written[i];
        parser->line = scenario->threads[i].line;
        if (!scenario->threads[i].described)
            return refuse(parser, "thread %s is named, but nothing says what it does",
                          scenario->threads[i].name);
    }
    return scenario->written_count > 0 || refuse(parser, "expected at least one operation");
}

// ---------------------------------------------------------------- the scenario

// Comments go, line ends become semicolons.
static void put_on_one_line(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '#')
            from += strcspn(from, "\n");
        if (*from == '\0')
            break;
        *to++ = *from == '\n' ? ';' : (*from == '\t' || *from == '\r') ? ' ' : *from;
    }
    *to = '\0';
}

static bool parse(struct parser *parser, const char *text) {
    struct replay_scenario *scenario = parser->scenario;
    char *copy = strdup(text);
    scenario->line = strdup(text);
    scenario->written = calloc(OPERATIONS_MAX, sizeof *scenario->written);
    // A created thread has a START of its own beside what is written.
    scenario->operations = calloc(OPERATIONS_MAX + THREADS_MAX, sizeof *scenario->operations);
    bool fine = copy != NULL && scenario->line != NULL && scenario->written != NULL &&
                scenario->operations != NULL;
    if (!fine)
        refuse(parser, "out of memory");
    fine = fine && parse_lines(parser, copy) && check_threads(parser) && bring_in_order(parser);
    if (fine)
        put_on_one_line(scenario->line);
    free(copy);
    return fine;
}

struct replay_scenario *replay_scenario_parse(const char *name, const char *text, char *message,
                                              size_t message_size) {
    struct replay_scenario *scenario = calloc(1, sizeof *scenario);
    struct parser parser = {.scenario = scenario,
                            .name = name,
                            .thread = NO_INDEX,
                            .message = message,
                            .message_size = message_size};
    memset(parser.first_written, 0xFF, sizeof parser.first_written);
    if (scenario == NULL) {
        refuse(&parser, "out of memory");
        return NULL;
    }
    snprintf(scenario->geometry, sizeof scenario->geometry, "scenario");
    if (parse(&parser, text))
        return scenario;
    replay_scenario_free(scenario);
    return NULL;
}

void replay_scenario_free(struct replay_scenario *scenario) {
    if (scenario == NULL)
        return;
    free(scenario->written);
    free(scenario->operations);
    free(scenario->line);
    free(scenario);
}

struct program_source *replay_scenario_source(const struct replay_scenario *scenario) {
    struct program_source *source =
        program_open_memory(scenario->operations, scenario->operation_count, scenario->thread_count,
                            scenario->object_count);
    if (source != NULL)
        source->live_bytes_max = scenario->bytes;
    return source;
}

const char *replay_scenario_geometry(const struct replay_scenario *scenario) {
    return scenario->geometry;
}

const char *replay_scenario_route(const struct replay_scenario *scenario) {
    return scenario->route;
}

const char *replay_scenario_thread(const struct replay_scenario *scenario, uint32_t thread) {
    return scenario->threads[thread].name;
}

const char *replay_scenario_line(const struct replay_scenario *scenario) {
    return scenario->line;
}
