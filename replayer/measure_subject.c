// measure_subject.c: allocators by name, and the options of one side by side.
#include "measure.h"

#include "nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct known {
    const char *name, *package;
    const char *files[4]; // in the folders below; the first that is there
};

static const struct known all_known[] = {
    {"jemalloc", "libjemalloc2", {"libjemalloc.so.2"}},
    {"mimalloc", "libmimalloc2.0", {"libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so.2.0"}},
    {"tcmalloc", "libtcmalloc-minimal4", {"libtcmalloc_minimal.so.4", "libtcmalloc.so.4"}},
    {"tbbmalloc", "libtbbmalloc2", {"libtbbmalloc_proxy.so.2"}},
};
#define KNOWN_COUNT (sizeof all_known / sizeof *all_known)

static const char *const folders[] = {"/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64",
                                      "/usr/lib"};

static bool find_known(const struct known *known, char *path, size_t size) {
    char candidate[MEASURE_TEXT_MAX];
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++)
        for (size_t i = 0; i < 4 && known->files[i] != NULL; i++) {
            snprintf(candidate, sizeof candidate, "%s/%s", folders[f], known->files[i]);
            if (measure_os_resolve(candidate, path, size))
                return true;
        }
    return false;
}

static struct measure_subject *add(struct measure_subjects *subjects, const char *name) {
    if (subjects->count == MEASURE_SUBJECTS_MAX) {
        replay_fail("--allocator: expected at most %d", MEASURE_SUBJECTS_MAX - 1);
        return NULL;
    }
    struct measure_subject *subject = &subjects->list[subjects->count];
    *subject = (struct measure_subject){0};
    snprintf(subject->name, sizeof subject->name, "%s", name);
    subject->repetitions = calloc(MEASURE_REPS_MAX, sizeof *subject->repetitions);
    if (subject->repetitions == NULL) {
        replay_fail("out of memory for the repetitions");
        return NULL;
    }
    subjects->count++;
    return subject;
}

static bool find_mf2(struct measure_subject *subject) {
    if (measure_os_beside("../lib/libmf2.so", subject->library, sizeof subject->library))
        return true;
    replay_fail("mf2: expected libmf2.so in ../lib beside hakreplay");
    return false;
}

static bool find_by_name(struct measure_subject *subject) {
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (strcmp(subject->name, all_known[i].name) == 0) {
            if (find_known(&all_known[i], subject->library, sizeof subject->library))
                return true;
            replay_fail("%s: expected %s in a system folder: apt-get install %s, or name it as "
                        "%s=PATH.so",
                        subject->name, all_known[i].files[0], all_known[i].package, subject->name);
            return false;
        }
    const char *names[KNOWN_COUNT + 2] = {"mf2", "glibc"};
    char meant[TRACE_MEANT_BYTES];
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        names[i + 2] = all_known[i].name;
    replay_fail("unknown allocator \"%s\": expected mf2, glibc, jemalloc, mimalloc, tcmalloc, "
                "tbbmalloc or NAME=PATH.so%s",
                subject->name, trace_meant(meant, "", subject->name, names, KNOWN_COUNT + 2));
    return false;
}

static bool find_by_path(struct measure_subject *subject, const char *path) {
    if (!measure_os_resolve(path, subject->library, sizeof subject->library)) {
        replay_fail("%s: %s: expected a shared library that can be read", subject->name, path);
        return false;
    }
    if (strpbrk(subject->library, " :") == NULL)
        return true;
    replay_fail("%s: %s: a library with a space or colon in its path cannot be preloaded",
                subject->name, subject->library);
    return false;
}

static bool add_named(struct measure_subjects *subjects, char *text) {
    char *path = strchr(text, '=');
    if (path != NULL)
        *path++ = '\0';
    for (size_t i = 1; i < subjects->count; i++)
        if (strcmp(subjects->list[i].name, text) == 0) {
            replay_fail("--allocator: %s is named twice", text);
            return false;
        }
    struct measure_subject *subject = add(subjects, text);
    if (subject == NULL)
        return false;
    if (path != NULL)
        return find_by_path(subject, path);
    if (strcmp(text, "glibc") == 0)
        return true;
    return strcmp(text, "mf2") == 0 ? find_mf2(subject) : find_by_name(subject);
}

static bool add_all_named(struct measure_subjects *subjects, const char *list) {
    char *copy = strdup(list), *rest = copy, *name;
    bool fine = copy != NULL;
    while (fine && (name = strsep(&rest, ",")) != NULL)
        fine = add_named(subjects, name);
    free(copy);
    return fine;
}

static bool add_installed(struct measure_subjects *subjects) {
    char path[PLAYER_TEXT_MAX];
    if (!add_all_named(subjects, "mf2,glibc"))
        return false;
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (find_known(&all_known[i], path, sizeof path) &&
            !add_all_named(subjects, all_known[i].name))
            return false;
    return true;
}

// VAR=a,b,c, or VAR=a;b;c where values have commas: the one allocator once for each value.
static bool sweep(struct measure_subjects *subjects, const char *text) {
    char variable[256];
    const char *values = strchr(text, '=');
    if (values == NULL || values == text || subjects->count != 2) {
        replay_fail("--sweep-env: expected VAR=a,b,c, and one --allocator");
        return false;
    }
    struct measure_subject one = subjects->list[1];
    free(one.repetitions);
    subjects->count = 1;
    snprintf(variable, sizeof variable, "%.*s", (int)(values - text), text);
    char *copy = strdup(values + 1), *rest = copy, *value;
    const char *separator = strchr(values, ';') == NULL ? "," : ";";
    bool fine = copy != NULL;
    while (fine && (value = strsep(&rest, separator)) != NULL) {
        char name[sizeof one.name];
        snprintf(name, sizeof name, "%.40s %.80s", one.name, value);
        struct measure_subject *subject = add(subjects, name);
        fine = subject != NULL;
        if (fine) {
            memcpy(subject->library, one.library, sizeof one.library);
            snprintf(subject->variable, sizeof subject->variable, "%.80s=%.170s", variable, value);
        }
    }
    free(copy);
    return fine;
}

bool measure_subjects_find(struct measure_subjects *subjects,
                           const struct measure_settings *settings) {
    subjects->list = calloc(MEASURE_SUBJECTS_MAX, sizeof *subjects->list);
    subjects->count = 0;
    if (subjects->list == NULL || add(subjects, "null") == NULL)
        return false;
    subjects->list[0].is_null = true;
    bool found = settings->allocators == NULL ? add_installed(subjects)
                                              : add_all_named(subjects, settings->allocators);
    return found && (settings->sweep == NULL || sweep(subjects, settings->sweep));
}

void measure_subjects_free(struct measure_subjects *subjects) {
    for (size_t i = 0; i < subjects->count; i++)
        free(subjects->list[i].repetitions);
    free(subjects->list);
}
