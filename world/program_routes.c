// program_routes.c: a list of routes as text, as --route= takes it. What one route says is MF2's to
// parse; this file only knows which words belong to it.
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parsing {
    struct program_routes *routes;
    size_t first; // an override belongs to all from here on: what the last name stood for
    char *message;
    size_t message_size;
};

static bool fail(const struct parsing *parsing, const char *what) {
    snprintf(parsing->message, parsing->message_size, "%s", what);
    return false;
}

static bool fail_length(const struct parsing *parsing) {
    snprintf(parsing->message, parsing->message_size, "expected routes of at most %d characters",
             PROGRAM_ROUTE_TEXT_MAX - 1);
    return false;
}

// A route that is its preset so far.
static bool add_name(struct parsing *parsing, const char *name, size_t length) {
    struct program_routes *routes = parsing->routes;
    struct program_route *more = realloc(routes->list, (routes->count + 1) * sizeof *more);
    if (more == NULL)
        return fail(parsing, "out of memory");
    routes->list = more;
    struct program_route *route = &more[routes->count];
    if (length >= sizeof route->text)
        return fail_length(parsing);
    snprintf(route->text, sizeof route->text, "%.*s", (int)length, name);
    routes->count++;
    return true;
}

static bool add_all(struct parsing *parsing) {
    for (size_t i = 0; i < mf2_route_preset_count; i++)
        if (!add_name(parsing, mf2_route_presets[i].name, strlen(mf2_route_presets[i].name)))
            return false;
    return true;
}

static bool add_override(struct parsing *parsing, const char *text, size_t length) {
    for (size_t i = parsing->first; i < parsing->routes->count; i++) {
        struct program_route *route = &parsing->routes->list[i];
        size_t used = strlen(route->text);
        if (used + 1 + length >= sizeof route->text)
            return fail_length(parsing);
        snprintf(route->text + used, sizeof route->text - used, ",%.*s", (int)length, text);
    }
    return true;
}

static bool add_word(struct parsing *parsing, const char *text, size_t length) {
    if (parsing->routes->count > 0 && memchr(text, '=', length) != NULL)
        return add_override(parsing, text, length);
    parsing->first = parsing->routes->count;
    bool is_all = length == 3 && memcmp(text, "all", 3) == 0;
    return is_all ? add_all(parsing) : add_name(parsing, text, length);
}

static bool split(struct parsing *parsing, const char *text) {
    for (;;) {
        size_t length = strcspn(text, ",");
        if (!add_word(parsing, text, length))
            return false;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

bool program_routes_parse(const char *text, struct program_routes *routes, char *message,
                          size_t message_size) {
    struct parsing parsing = {.routes = routes, .message = message, .message_size = message_size};
    *routes = (struct program_routes){0};
    if (!split(&parsing, text))
        return false;
    for (size_t i = 0; i < routes->count; i++) {
        struct program_route *route = &routes->list[i];
        if (!mf2_route_parse(route->text, &route->route, message, message_size)) {
            routes->refused = route;
            return false;
        }
    }
    return true;
}

void program_routes_free(struct program_routes *routes) {
    free(routes->list);
    *routes = (struct program_routes){0};
}
