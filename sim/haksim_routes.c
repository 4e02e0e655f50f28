// haksim_routes.c: a list of routes as text.
#include "haksim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(char *message, size_t message_size, const char *what) {
    snprintf(message, message_size, "--route: %s", what);
    return -1;
}

// A route that is its preset so far.
static int add(struct haksim_routes *routes, const char *name, size_t length, char *message,
               size_t message_size) {
    struct haksim_route *more =
        realloc(routes->routes, (routes->count + 1) * sizeof *routes->routes);
    if (!more)
        return fail(message, message_size, "out of memory");
    routes->routes = more;
    struct haksim_route *route = &more[routes->count];
    if (length >= sizeof route->text)
        return fail(message, message_size, "expected routes of at most 255 bytes");
    memcpy(route->text, name, length);
    route->text[length] = 0;
    routes->count++;
    return 0;
}

static int add_all(struct haksim_routes *routes, char *message, size_t message_size) {
    int failed = 0;
    for (size_t i = 0; i < mf2_route_preset_count && !failed; i++) {
        const char *name = mf2_route_presets[i].name;
        failed = add(routes, name, strlen(name), message, message_size);
    }
    return failed;
}

// An override is the last preset's, or that of all presets after `all`.
static int override(struct haksim_routes *routes, size_t first, const char *text, size_t length,
                    char *message, size_t message_size) {
    for (size_t i = first; i < routes->count; i++) {
        struct haksim_route *route = &routes->routes[i];
        size_t used = strlen(route->text);
        if (used + 1 + length >= sizeof route->text)
            return fail(message, message_size, "expected routes of at most 255 bytes");
        snprintf(route->text + used, sizeof route->text - used, ",%.*s", (int)length, text);
    }
    return 0;
}

static int split(const char *text, struct haksim_routes *routes, char *message,
                 size_t message_size) {
    size_t first = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        bool is_override = routes->count > 0 && memchr(text, '=', length);
        bool is_all = length == 3 && memcmp(text, "all", 3) == 0;
        if (!is_override)
            first = routes->count;
        int failed = is_override ? override(routes, first, text, length, message, message_size)
                     : is_all    ? add_all(routes, message, message_size)
                                 : add(routes, text, length, message, message_size);
        if (failed || text[length] == 0)
            return failed;
        text += length + 1;
    }
}

int haksim_routes_parse(const char *text, struct haksim_routes *routes, char *message,
                        size_t message_size) {
    *routes = (struct haksim_routes){0};
    if (split(text, routes, message, message_size))
        return -1;
    for (size_t i = 0; i < routes->count; i++)
        if (!mf2_route_parse(routes->routes[i].text, &routes->routes[i].route, message,
                             message_size))
            return -1;
    return 0;
}

void haksim_routes_free(struct haksim_routes *routes) {
    free(routes->routes);
    *routes = (struct haksim_routes){0};
}
