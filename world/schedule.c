// schedule.c: the choices of a run, kept, written, read and played. doc/schedules.md is the format.
//
// Owns: the run-length code in memory and on disk, and the strategy that plays it.
// Does not know: what a schedule belongs to; its user says so in keys.
//
// A schedule belongs to one OS thread at a time.
#include "world_internal.h"
#include "world_os.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define FIRST_LINE      "hak schedule 1"
#define CHOICE_TOKEN    "FIBER[+CLOCK][!OUTCOME][~AGE][*COUNT]"
#define TOKENS_PER_LINE 16
#define FILE_BYTES_MAX  (UINT64_C(1) << 30)

static const char *const outcome_names[WORLD_OUTCOME_COUNT] = {
    [WORLD_OUTCOME_NORMAL] = "normal",
    [WORLD_OUTCOME_FAIL] = "fail",
    [WORLD_OUTCOME_SPURIOUS] = "spurious",
    [WORLD_OUTCOME_TIMEOUT] = "timeout",
};

// The same choice, so many times in a row.
struct choice_run {
    uint32_t fiber, outcome, store_age;
    uint64_t clock_step_ns;
    uint64_t count;
};

struct schedule_key {
    char *key, *value;
};

struct world_schedule {
    struct choice_run *runs;
    size_t run_count, run_capacity;
    uint64_t choices;
    bool incomplete; // a choice found no memory
    struct schedule_key *keys;
    size_t key_count;
    // playing
    size_t next_run;
    uint64_t taken; // of that run
};

// ---------------------------------------------------------------- in memory

struct world_schedule *world_schedule_new(void) {
    return calloc(1, sizeof(struct world_schedule));
}

void world_schedule_free(struct world_schedule *schedule) {
    if (!schedule) {
        return;
    }
    for (size_t i = 0; i < schedule->key_count; i++) {
        free(schedule->keys[i].key);
        free(schedule->keys[i].value);
    }
    free(schedule->keys);
    free(schedule->runs);
    free(schedule);
}

void world_schedule_clear(struct world_schedule *schedule) {
    schedule->run_count = 0;
    schedule->choices = 0;
    schedule->incomplete = false;
}

static bool add_run(struct world_schedule *schedule, struct choice_run run) {
    if (schedule->run_count == schedule->run_capacity) {
        size_t capacity = schedule->run_capacity ? 2 * schedule->run_capacity : 256;
        struct choice_run *runs = realloc(schedule->runs, capacity * sizeof *runs);
        if (!runs) {
            return false;
        }
        schedule->runs = runs;
        schedule->run_capacity = capacity;
    }
    schedule->runs[schedule->run_count++] = run;
    schedule->choices += run.count;
    return true;
}

static bool is_same_choice(const struct choice_run *a, const struct choice_run *b) {
    return a->fiber == b->fiber && a->outcome == b->outcome && a->store_age == b->store_age &&
           a->clock_step_ns == b->clock_step_ns;
}

void world_schedule_append(struct world_schedule *schedule, const struct world_choice *choice,
                           uint64_t clock_step_ns) {
    struct choice_run run = {choice->fiber, choice->outcome, choice->store_age, clock_step_ns, 1};
    if (schedule->run_count && !schedule->incomplete) {
        struct choice_run *last = &schedule->runs[schedule->run_count - 1];
        if (is_same_choice(last, &run)) {
            last->count++;
            schedule->choices++;
            return;
        }
    }
    if (schedule->incomplete || !add_run(schedule, run)) {
        schedule->incomplete = true;
    }
}

void world_schedule_record(struct world *world, struct world_schedule *schedule) {
    world->recording = schedule;
}

uint64_t world_schedule_choices(const struct world_schedule *schedule) {
    return schedule->choices;
}

// ---------------------------------------------------------------- keys

static bool key_is_valid(const char *key) {
    return key[0] && key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == 0 &&
           strcmp(key, "choices") != 0 && strcmp(key, "end") != 0;
}

static struct schedule_key *find_key(const struct world_schedule *schedule, const char *key) {
    for (size_t i = 0; i < schedule->key_count; i++) {
        if (strcmp(schedule->keys[i].key, key) == 0) {
            return &schedule->keys[i];
        }
    }
    return NULL;
}

static int add_key(struct world_schedule *schedule, const char *key, const char *value) {
    size_t count = schedule->key_count + 1;
    struct schedule_key *keys = realloc(schedule->keys, count * sizeof *keys);
    if (!keys) {
        return -1;
    }
    schedule->keys = keys;
    struct schedule_key added = {strdup(key), strdup(value)};
    if (!added.key || !added.value) {
        free(added.key);
        free(added.value);
        return -1;
    }
    schedule->keys[schedule->key_count++] = added;
    return 0;
}

int world_schedule_key(struct world_schedule *schedule, const char *key, const char *value) {
    if (!key_is_valid(key) || value[strcspn(value, "\r\n")]) {
        return -1;
    }
    struct schedule_key *found = find_key(schedule, key);
    if (!found) {
        return add_key(schedule, key, value);
    }
    char *copy = strdup(value);
    if (!copy) {
        return -1;
    }
    free(found->value);
    found->value = copy;
    return 0;
}

const char *world_schedule_value(const struct world_schedule *schedule, const char *key) {
    const struct schedule_key *found = find_key(schedule, key);
    return found ? found->value : NULL;
}

// ---------------------------------------------------------------- writing

static void print_choice(FILE *out, const struct choice_run *run) {
    fprintf(out, "%" PRIu32, run->fiber);
    if (run->clock_step_ns) {
        fprintf(out, "+%" PRIu64, run->clock_step_ns);
    }
    if (run->outcome != WORLD_OUTCOME_NORMAL) {
        fprintf(out, "!%s", outcome_names[run->outcome]);
    }
    if (run->store_age) {
        fprintf(out, "~%" PRIu32, run->store_age);
    }
    if (run->count > 1) {
        fprintf(out, "*%" PRIu64, run->count);
    }
}

static void print_schedule(FILE *out, const struct world_schedule *schedule) {
    fprintf(out, FIRST_LINE "\n");
    for (size_t i = 0; i < schedule->key_count; i++) {
        fprintf(out, "%s %s\n", schedule->keys[i].key, schedule->keys[i].value);
    }
    fprintf(out, "choices %" PRIu64 "\n", schedule->choices);
    for (size_t i = 0; i < schedule->run_count; i++) {
        bool ends_line = i % TOKENS_PER_LINE == TOKENS_PER_LINE - 1 || i + 1 == schedule->run_count;
        print_choice(out, &schedule->runs[i]);
        fputc(ends_line ? '\n' : ' ', out);
    }
}

// The text with its last line; NULL without memory. free() it.
static char *schedule_text(const struct world_schedule *schedule, size_t *bytes) {
    char *text = NULL;
    FILE *out = open_memstream(&text, bytes);
    if (!out) {
        return NULL;
    }
    print_schedule(out, schedule);
    fflush(out);
    fprintf(out, "end %016" PRIx64 "\n", (uint64_t)XXH3_64bits(text, *bytes));
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}

int world_schedule_write(const struct world_schedule *schedule, const char *path, char *message,
                         size_t message_size) {
    size_t bytes = 0;
    char *text = schedule->incomplete ? NULL : schedule_text(schedule, &bytes);
    if (!text) {
        snprintf(message, message_size, "%s: no memory for a schedule of %" PRIu64 " choices", path,
                 schedule->choices);
        return -1;
    }
    const char *why = world_os_write_file(path, text, bytes);
    if (why) {
        snprintf(message, message_size, "%s: cannot be written: %s", path, why);
    }
    free(text);
    return why ? -1 : 0;
}

// ---------------------------------------------------------------- reading

struct reading {
    const char *path;
    char *text, *end;
    char *next; // start of the next line
    unsigned line;
    char *message;
    size_t message_size;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct reading *reading,
                                                         const char *format, ...) {
    int used = snprintf(reading->message, reading->message_size, "%s: line %u: ", reading->path,
                        reading->line);
    if (used >= 0 && (size_t)used < reading->message_size) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reading->message + used, reading->message_size - (size_t)used, format, arguments);
        va_end(arguments);
    }
    return false;
}

// The next line, without its newline; NULL where no whole line is left.
static char *next_line(struct reading *reading) {
    char *line = reading->next;
    char *newline = memchr(line, '\n', (size_t)(reading->end - line));
    reading->line++;
    if (!newline) {
        refuse(reading, "expected a line and at last 'end HASH', found the end of the file");
        return NULL;
    }
    *newline = 0;
    reading->next = newline + 1;
    return line;
}

static char *read_text(struct reading *reading) {
    FILE *file = fopen(reading->path, "rb");
    char *text = NULL;
    size_t bytes = 0;
    long size = -1;
    if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 &&
        (uint64_t)size <= FILE_BYTES_MAX) {
        rewind(file);
        text = malloc((size_t)size + 1);
        bytes = text ? fread(text, 1, (size_t)size, file) : 0;
    }
    if (!text || bytes != (size_t)size) {
        snprintf(reading->message, reading->message_size, "%s: cannot be read: %s", reading->path,
                 !file      ? strerror(errno)
                 : size < 0 ? "not a file"
                            : "too long");
        free(text);
        text = NULL;
    } else {
        text[bytes] = 0;
        reading->end = text + bytes;
    }
    if (file) {
        fclose(file);
    }
    return text;
}

static bool read_first_line(struct reading *reading) {
    if (strncmp(reading->text, "hak schedule ", 13) != 0) {
        reading->line = 1;
        return refuse(reading, "expected '" FIRST_LINE "', found another kind of file");
    }
    const char *line = next_line(reading);
    if (line && strcmp(line, FIRST_LINE) != 0) {
        return refuse(reading, "expected '" FIRST_LINE "', found version '%.20s'", line + 13);
    }
    return line != NULL;
}

static bool read_number(char **text, uint64_t *value) {
    if (**text < '0' || **text > '9') {
        return false;
    }
    errno = 0;
    *value = strtoull(*text, text, 10);
    return errno == 0;
}

static bool read_number_32(char **text, uint32_t *value) {
    uint64_t wide;
    if (!read_number(text, &wide) || wide > UINT32_MAX) {
        return false;
    }
    *value = (uint32_t)wide;
    return true;
}

static bool read_outcome(char **text, uint32_t *outcome) {
    for (uint32_t i = WORLD_OUTCOME_NORMAL + 1; i < WORLD_OUTCOME_COUNT; i++) {
        size_t length = strlen(outcome_names[i]);
        if (strncmp(*text, outcome_names[i], length) == 0) {
            *text += length;
            *outcome = i;
            return true;
        }
    }
    return false;
}

// A CHOICE_TOKEN.
static bool read_choice(char **text, struct choice_run *run) {
    *run = (struct choice_run){.count = 1};
    if (!read_number_32(text, &run->fiber) || run->fiber == WORLD_NO_FIBER) {
        return false;
    }
    if (**text == '+' && (++*text, !read_number(text, &run->clock_step_ns))) {
        return false;
    }
    if (**text == '!' && (++*text, !read_outcome(text, &run->outcome))) {
        return false;
    }
    if (**text == '~' && (++*text, !read_number_32(text, &run->store_age))) {
        return false;
    }
    if (**text == '*' && (++*text, !read_number(text, &run->count))) {
        return false;
    }
    return run->count > 0 && (**text == 0 || **text == ' ');
}

static bool read_choices_line(struct reading *reading, struct world_schedule *schedule,
                              char *line) {
    for (char *text = line; *text; text += *text == ' ') {
        char *token = text;
        struct choice_run run;
        if (!read_choice(&text, &run)) {
            return refuse(reading, "expected " CHOICE_TOKEN ", found '%.30s'", token);
        }
        if (!add_run(schedule, run)) {
            return refuse(reading, "no memory");
        }
    }
    return true;
}

// Keys up to and with `choices N`.
static bool read_keys(struct reading *reading, struct world_schedule *schedule,
                      uint64_t *expected) {
    for (;;) {
        char *line = next_line(reading);
        if (!line) {
            return false;
        }
        char *value = strchr(line, ' ');
        if (!value) {
            return refuse(reading, "expected 'key value', found '%.40s'", line);
        }
        *value++ = 0;
        if (strcmp(line, "choices") == 0) {
            return (read_number(&value, expected) && *value == 0) ||
                   refuse(reading, "expected 'choices' and a number");
        }
        if (world_schedule_key(schedule, line, value)) {
            return refuse(reading, "expected a key, found '%.40s'", line);
        }
    }
}

static bool read_choices(struct reading *reading, struct world_schedule *schedule,
                         uint64_t expected, const char **hash) {
    for (;;) {
        char *line = next_line(reading);
        if (!line) {
            return false;
        }
        if (strncmp(line, "end ", 4) == 0) {
            *hash = line + 4;
            if (reading->next != reading->end) {
                return refuse(reading, "expected 'end HASH' as the last line");
            }
            return schedule->choices == expected ||
                   refuse(reading, "expected %" PRIu64 " choices, found %" PRIu64, expected,
                          schedule->choices);
        }
        if (!read_choices_line(reading, schedule, line)) {
            return false;
        }
    }
}

// Over everything before the last line, as it stands in the file.
static uint64_t text_hash(const char *text, size_t bytes) {
    size_t last = bytes ? bytes - 1 : 0;
    while (last > 0 && text[last - 1] != '\n') {
        last--;
    }
    return XXH3_64bits(text, last);
}

static bool read_schedule(struct reading *reading, struct world_schedule *schedule) {
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64,
             text_hash(reading->text, (size_t)(reading->end - reading->text)));
    uint64_t expected = 0;
    const char *found = "";
    return read_first_line(reading) && read_keys(reading, schedule, &expected) &&
           read_choices(reading, schedule, expected, &found) &&
           (strcmp(hash, found) == 0 ||
            refuse(reading,
                   "expected the hash %s of the lines before, found '%.16s': the file is "
                   "damaged",
                   hash, found));
}

struct world_schedule *world_schedule_read(const char *path, char *message, size_t message_size) {
    struct reading reading = {.path = path, .message = message, .message_size = message_size};
    struct world_schedule *schedule = world_schedule_new();
    reading.text = reading.next = read_text(&reading);
    if (!reading.text || !schedule || !read_schedule(&reading, schedule)) {
        world_schedule_free(schedule);
        schedule = NULL;
    }
    free(reading.text);
    return schedule;
}

// ---------------------------------------------------------------- playing

static void play_begin(void *self, struct world *world, uint64_t seed) {
    struct world_schedule *schedule = self;
    (void)world;
    (void)seed;
    schedule->next_run = 0;
    schedule->taken = 0;
}

static void play_pick(void *self, struct world *world, const struct world_point *point,
                      struct world_choice *choice) {
    struct world_schedule *schedule = self;
    if (schedule->next_run == schedule->run_count) {
        world_diverge(world,
                      "point %" PRIu64 ": the schedule of %" PRIu64
                      " choices has ended and the run goes on",
                      point->number, schedule->choices);
        return;
    }
    const struct choice_run *run = &schedule->runs[schedule->next_run];
    choice->fiber = run->fiber;
    choice->outcome = run->outcome;
    choice->store_age = run->store_age;
    choice->clock_ns = world->clock_ns + run->clock_step_ns;
    if (++schedule->taken == run->count) {
        schedule->taken = 0;
        schedule->next_run++;
    }
}

const struct world_strategy world_strategy_schedule = {
    .name = "schedule", .begin = play_begin, .pick = play_pick};
