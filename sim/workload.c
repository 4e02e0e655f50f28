// workload.c: the table of workloads, their parameters as text, and their block sizes.
#include "workload.h"

#include "nearest.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct workload *const workloads[] = {
    &workload_larson,  &workload_pingpong, &workload_adopters,
    &workload_mailbox, &workload_stop,     &workload_reclaimer,
};

const struct workload *workload_at(size_t i) {
    return i < sizeof workloads / sizeof workloads[0] ? workloads[i] : NULL;
}

static const struct workload *find(const char *name, size_t length) {
    for (size_t i = 0; workload_at(i); i++)
        if (strlen(workload_at(i)->name) == length && !strncmp(workload_at(i)->name, name, length))
            return workload_at(i);
    return NULL;
}

static void say_unknown(const char *text, size_t length, char *message, size_t message_size) {
    int used = snprintf(message, message_size, "no workload '%.*s'; expected", (int)length, text);
    for (size_t i = 0; workload_at(i) && used > 0 && (size_t)used < message_size; i++)
        used += snprintf(message + used, message_size - (size_t)used, " %s,", workload_at(i)->name);
    const char *names[sizeof workloads / sizeof workloads[0]];
    char word[TRACE_NEAREST_LETTERS + 1], meant[TRACE_MEANT_BYTES];
    size_t count = 0;
    for (; workload_at(count); count++)
        names[count] = workload_at(count)->name;
    snprintf(word, sizeof word, "%.*s", (int)length, text);
    if (used > 0 && (size_t)used < message_size)
        snprintf(message + used, message_size - (size_t)used, " or trace:FILE%s",
                 trace_meant(meant, "", word, names, count));
}

static int fail(char *message, size_t message_size, const char *what, const char *found,
                size_t found_length) {
    snprintf(message, message_size, "%s '%.*s'", what, (int)found_length, found);
    return -1;
}

static bool number_of(const char *text, size_t length, uint64_t *number) {
    char digits[21];
    if (length == 0 || length >= sizeof digits)
        return false;
    memcpy(digits, text, length);
    digits[length] = 0;
    for (size_t i = 0; i < length; i++)
        if (!isdigit((unsigned char)digits[i]))
            return false;
    errno = 0;
    *number = strtoull(digits, NULL, 10);
    return errno == 0;
}

static void say_no_parameter(const struct workload *workload, const char *text, size_t length,
                             char *message, size_t message_size) {
    const char *names[WORKLOAD_PARAMETER_MAX];
    char word[TRACE_NEAREST_LETTERS + 1], meant[TRACE_MEANT_BYTES];
    for (size_t i = 0; i < workload->parameter_count; i++)
        names[i] = workload->parameters[i].name;
    snprintf(word, sizeof word, "%.*s", (int)length, text);
    snprintf(message, message_size, "workload %s has no parameter '%.*s'%s", workload->name,
             (int)length, text, trace_meant(meant, "", word, names, workload->parameter_count));
}

// One `key=value` of `length` bytes.
static int set_parameter(const struct workload *workload, const char *text, size_t length,
                         struct workload_settings *settings, char *message, size_t message_size) {
    const char *equals = memchr(text, '=', length);
    if (!equals)
        return fail(message, message_size, "expected key=value, found", text, length);
    size_t key_length = (size_t)(equals - text);
    size_t i = 0;
    while (i < workload->parameter_count &&
           (strlen(workload->parameters[i].name) != key_length ||
            strncmp(workload->parameters[i].name, text, key_length) != 0))
        i++;
    if (i == workload->parameter_count) {
        say_no_parameter(workload, text, key_length, message, message_size);
        return -1;
    }
    const struct workload_parameter *parameter = &workload->parameters[i];
    uint64_t value;
    if (!number_of(equals + 1, length - key_length - 1, &value) || value < parameter->least ||
        value > parameter->most) {
        snprintf(message, message_size,
                 "workload %s: expected %s as a number from %llu to %llu, found '%.*s'",
                 workload->name, parameter->name, (unsigned long long)parameter->least,
                 (unsigned long long)parameter->most, (int)(length - key_length - 1), equals + 1);
        return -1;
    }
    settings->values[i] = value;
    return 0;
}

const struct workload *workload_parse(const char *text, struct workload_settings *settings,
                                      char *message, size_t message_size) {
    size_t length = strcspn(text, ",");
    const struct workload *workload = find(text, length);
    if (!workload) {
        say_unknown(text, length, message, message_size);
        return NULL;
    }
    for (size_t i = 0; i < workload->parameter_count; i++)
        settings->values[i] = workload->parameters[i].value;
    for (text += length; *text == ','; text += length) {
        length = strcspn(++text, ",");
        if (set_parameter(workload, text, length, settings, message, message_size))
            return NULL;
    }
    const char *refusal = workload->refuse(settings);
    if (refusal) {
        snprintf(message, message_size, "workload %s: %s", workload->name, refusal);
        return NULL;
    }
    return workload;
}

const char *workload_refuse_sizes(uint64_t least, uint64_t most) {
    return least > most ? "expected min to be at most max" : NULL;
}

size_t workload_draw_size(struct sim_lran2 *random, uint64_t least, uint64_t most) {
    uint64_t range = most - least;
    return (size_t)(range ? least + sim_lran2_next(random) % range : least);
}

bool workload_fill(const struct workload_host *host, struct sim_lran2 *random, uint64_t least,
                   uint64_t most, struct workload_block *block) {
    host->think(host->self);
    if (!host->allocate(host->self, workload_draw_size(random, least, most), block))
        return false;
    host->write(host->self, block);
    return true;
}
