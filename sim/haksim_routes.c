// haksim_routes.c: a list of routes as text.
#include "haksim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct haksim_routes *routes, const char *text, size_t length, char *message,
               size_t message_size) {
    struct haksim_route *more =
        realloc(routes->routes, (routes->count + 1) * sizeof *routes->routes);
    if (!more) {
        snprintf(message, message_size, "out of memory for the routes");
        return -1;
    }
    routes->routes = more;
    struct haksim_route *route = &more[routes->count];
    if (length >= sizeof route->text) {
        snprintf(message, message_size, "route: expected at most %zu bytes, found %zu",
                 sizeof route->text - 1, length);
        return -1;
    }
    memcpy(route->text, text, length);
    route->text[length] = 0;
    routes->count++;
    return mf2_route_parse(route->text, &route->route, message, message_size) ? 0 : -1;
}

static int add_all(struct haksim_routes *routes, char *message, size_t message_size) {
    for (size_t i = 0; i < mf2_route_preset_count; i++) {
        const char *name = mf2_route_presets[i].name;
        if (add(routes, name, strlen(name), message, message_size))
            return -1;
    }
    return 0;
}

// Bytes of the first route: a name and the overrides that follow it.
static size_t route_length(const char *text) {
    size_t length = strcspn(text, ",");
    while (text[length] == ',') {
        size_t next = strcspn(text + length + 1, ",");
        if (!memchr(text + length + 1, '=', next))
            break;
        length += 1 + next;
    }
    return length;
}

int haksim_routes_parse(const char *text, struct haksim_routes *routes, char *message,
                        size_t message_size) {
    *routes = (struct haksim_routes){0};
    if (strcmp(text, "all") == 0)
        return add_all(routes, message, message_size);
    for (;;) {
        size_t length = route_length(text);
        if (add(routes, text, length, message, message_size))
            return -1;
        if (text[length] == 0)
            return 0;
        text += length + 1;
    }
}

void haksim_routes_free(struct haksim_routes *routes) {
    free(routes->routes);
    *routes = (struct haksim_routes){0};
}
