// route.c: the presets, the switches by name, and their text form. Constant data and pure
// functions; no memory, no state.
#include "route.h"
#include "counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---------------------------------------------------------------- presets
//
// The seed says little of what is not its subject. Where it is silent: pages of exited threads are
// stranded, a page without live blocks stays with its owner, a thread's frees into its own full
// page go unnoticed until the page is drained (its "graveyard") unless there is a partial list.

// clang-format off
#define SEED_CDA(threshold)                                                                     \
    .protocol = MF2_PROTOCOL_COUNTED, .drain = MF2_DRAIN_ANYONE, .orphans = MF2_ORPHANS_STRAND, \
    .full_free = MF2_FULL_FREE_GRAVEYARD, .empty = MF2_EMPTY_KEEP, .scan = MF2_SCAN_ALL,        \
    .notify = (threshold), .budget = 4, .idle_ns = 150000
#define SEED_S                                                                                  \
    .protocol = MF2_PROTOCOL_COUNTED, .drain = MF2_DRAIN_OWNER, .orphans = MF2_ORPHANS_STRAND,  \
    .empty = MF2_EMPTY_KEEP, .scan = MF2_SCAN_ALL, .claim = 1, .must_reuse = 1, .notify = 1,    \
    .budget = 4, .idle_ns = 150000
#define PARTIAL_LIST .partial = 1, .full_free = MF2_FULL_FREE_PARTIAL

const struct mf2_route_preset mf2_route_presets[] = {
    {"cda", "the seed's Consumer-Driven Adoption: anyone drains at the first remote free",
     {SEED_CDA(1)}},
    {"cda-claim", "cda, and a page is claimed before it is drained", {SEED_CDA(1), .claim = 1}},
    {"cda-t2", "cda with a threshold of two remote frees", {SEED_CDA(2)}},
    {"cda-t4", "cda with a threshold of four remote frees", {SEED_CDA(4)}},
    {"cda-reenqueue", "cda, and a drained page with new remote frees is queued again",
     {SEED_CDA(1), .reenqueue = 1}},
    {"s1", "Route S, phase 1: only owners drain, must-reuse gate",
     {SEED_S, .full_free = MF2_FULL_FREE_GRAVEYARD}},
    {"s2", "Route S, phase 2: s1 with a partial list", {SEED_S, PARTIAL_LIST}},
    {"s3", "Route S, phase 3: s2 with a helper that drains for idle owners",
     {SEED_S, PARTIAL_LIST, .helper = 1}},
    {"p", "Route P: adoption behind the right of first refusal and five gates",
     {.protocol = MF2_PROTOCOL_COUNTED, .drain = MF2_DRAIN_GATED, .orphans = MF2_ORPHANS_STRAND,
      .empty = MF2_EMPTY_KEEP, .scan = MF2_SCAN_MASK, .claim = 1, .must_reuse = 1, PARTIAL_LIST,
      .notify = 1, .budget = 4, .gate_idle = 1, .gate_partial = 1, .gate_pressure = 4,
      .gate_remotes = 8, .rfr_ns = 200000, .idle_ns = 150000}},
    {"home", "owners drain, pages of exited owners are reclaimed, empties shared; no fronts",
     {.protocol = MF2_PROTOCOL_WORD, .drain = MF2_DRAIN_OWNER, .orphans = MF2_ORPHANS_RECLAIM,
      .empty = MF2_EMPTY_RECYCLE, .scan = MF2_SCAN_MASK, .claim = 1, .must_reuse = 1, PARTIAL_LIST,
      .notify = 1, .budget = 4, .idle_ns = 150000}},
    {"best", "the default: fronts and a depot before pages that nobody owns once they are full",
     {.protocol = MF2_PROTOCOL_WORD, .drain = MF2_DRAIN_OWNER, .orphans = MF2_ORPHANS_ADOPT,
      .full = MF2_FULL_SHARED, .full_free = MF2_FULL_FREE_PENDING, .empty = MF2_EMPTY_RECYCLE,
      .scan = MF2_SCAN_MASK, .claim = 1, .must_reuse = 1, .notify = 1, .notify_shift = 3, .put_back = 1,
      .budget = 4, .idle_ns = 150000, .purge_ns = 200000000, .front = 262144,
      .front_total = 4194304, .depot = 16777216, .borrow = 25}},
};
// clang-format on
const size_t mf2_route_preset_count = sizeof(mf2_route_presets) / sizeof(mf2_route_presets[0]);

// ---------------------------------------------------------------- switches

struct switch_info {
    const char *name;
    const char *values; // names by enum value, separated by '|'; NULL: a number
    size_t offset, size;
    uint64_t minimum, maximum;
    const char *meaning;
};
#define ENUM(field, names, text)                                                                   \
    { #field, names, offsetof(struct mf2_route, field), sizeof(uint8_t), 0, 0, text }
#define NUMBER(field, low, high, text)                                                             \
    {                                                                                              \
#field, NULL, offsetof(struct mf2_route, field), sizeof(((struct mf2_route *)0)->field),   \
            low, high, text                                                                        \
    }

static const struct switch_info switches[] = {
    ENUM(protocol, "counted|word", "how a page's remote frees are represented"),
    ENUM(drain, "owner|anyone|gated", "who may drain another thread's pending pages"),
    NUMBER(notify, 1, 255, "remote frees on a page that put it on its owner's queue"),
    NUMBER(notify_shift, 0, 15, "... and not before 1/2^n of its blocks are; 0 = no matter"),
    ENUM(reenqueue, "off|on", "a drained page with new remote frees is queued again"),
    ENUM(claim, "off|on", "a page is claimed before it is drained"),
    ENUM(must_reuse, "off|on", "own pending pages and remote frees come before a new page"),
    NUMBER(budget, 1, 65535, "own pending pages tried per slow path"),
    ENUM(partial, "off|on", "pages with free blocks are kept on a list of their owner"),
    ENUM(orphans, "strand|adopt|reclaim", "what becomes of an exited thread's pages"),
    NUMBER(rfr_ns, 0, 10000000000ull, "right of first refusal after the 0-1 edge, ns"),
    NUMBER(idle_ns, 0, 10000000000ull, "an owner without a slow path for so long is idle, ns"),
    ENUM(gate_idle, "off|on", "Route P: the owner must be idle"),
    ENUM(gate_partial, "off|on", "Route P: the owner must have no partial page"),
    NUMBER(gate_pressure, 0, 65535, "Route P: more adoptable pages than this, 0 = no gate"),
    NUMBER(gate_remotes, 0, 65535, "Route P: at least so many remote frees, 0 = no gate"),
    ENUM(helper, "off|on", "a helper drains pages of idle owners"),
    ENUM(full_free, "graveyard|pending|partial", "a thread frees into its own full page"),
    ENUM(full, "home|shared", "who is told of a full page's remote frees: its home, or all"),
    ENUM(put_back, "off|on", "a thread holds no page between slow paths (full=shared)"),
    ENUM(empty, "keep|recycle|unmap", "a page without live blocks"),
    ENUM(scan, "all|mask", "how adoption finds pending queues"),
    NUMBER(front, 0, 16777216, "bytes of a class that a thread keeps before its pages, 0 = none"),
    NUMBER(front_total, 0, 1073741824, "bytes that the fronts of one thread may hold together"),
    NUMBER(depot, 0, 1073741824, "bytes of a class that wait in batches for any front, 0 = none"),
    NUMBER(borrow, 0, 100,
           "percent that a block may be larger, to be taken before a page is, 0 = no"),
    NUMBER(purge_ns, 0, 3600000000000ull, "free memory unused for so long is purged, ns, 0 = no"),
};
#define SWITCH_COUNT (sizeof(switches) / sizeof(switches[0]))

static uint64_t switch_get(const struct mf2_route *route, const struct switch_info *info) {
    const char *field = (const char *)route + info->offset;
    uint64_t value = 0;
    memcpy(&value, field, info->size); // little-endian, as the platform is
    return value;
}

static void switch_set(struct mf2_route *route, const struct switch_info *info, uint64_t value) {
    memcpy((char *)route + info->offset, &value, info->size);
}

// The index of text[0..length) among names separated by '|', or -1.
static int name_index(const char *names, const char *text, size_t length) {
    for (int index = 0;; index++) {
        size_t name_length = strcspn(names, "|");
        if (name_length == length && memcmp(names, text, length) == 0)
            return index;
        if (names[name_length] == '\0')
            return -1;
        names += name_length + 1;
    }
}

static void name_at(const char *names, uint64_t index, char *text, size_t text_size) {
    for (; index > 0; index--)
        names += strcspn(names, "|") + 1;
    snprintf(text, text_size, "%.*s", (int)strcspn(names, "|"), names);
}

const char *mf2_route_switch(const struct mf2_route *route, size_t i, char *value,
                             size_t value_size) {
    if (i >= SWITCH_COUNT)
        return NULL;
    uint64_t number = switch_get(route, &switches[i]);
    if (switches[i].values)
        name_at(switches[i].values, number, value, value_size);
    else
        snprintf(value, value_size, "%llu", (unsigned long long)number);
    return switches[i].name;
}

const char *mf2_route_switch_meaning(size_t i) {
    return i < SWITCH_COUNT ? switches[i].meaning : NULL;
}

const char *mf2_route_switch_values(size_t i) {
    if (i >= SWITCH_COUNT)
        return NULL;
    return switches[i].values ? switches[i].values : "a number";
}

// ---------------------------------------------------------------- parsing

// Edit distance of two short names, for "did you mean".
static unsigned distance(const char *a, size_t a_length, const char *b) {
    unsigned row[64];
    size_t b_length = strlen(b);
    if (b_length >= 63)
        return UINT32_MAX;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);
            unsigned shorter = row[j] + 1 < row[j - 1] + 1 ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[b_length];
}

static const struct mf2_route_preset *find_preset(const char *text, size_t length) {
    for (size_t i = 0; i < mf2_route_preset_count; i++) {
        const char *name = mf2_route_presets[i].name;
        if (strlen(name) == length && memcmp(name, text, length) == 0)
            return &mf2_route_presets[i];
    }
    return NULL;
}

static const struct switch_info *find_switch(const char *text, size_t length) {
    for (size_t i = 0; i < SWITCH_COUNT; i++)
        if (strlen(switches[i].name) == length && memcmp(switches[i].name, text, length) == 0)
            return &switches[i];
    return NULL;
}

static void say_unknown(char *message, size_t size, const char *what, const char *text,
                        size_t length, const char *nearest) {
    snprintf(message, size, "unknown %s '%.*s'; did you mean '%s'?", what, (int)length, text,
             nearest);
}

static void say_unknown_preset(char *message, size_t size, const char *text, size_t length) {
    const char *nearest = mf2_route_presets[0].name;
    for (size_t i = 1; i < mf2_route_preset_count; i++)
        if (distance(text, length, mf2_route_presets[i].name) < distance(text, length, nearest))
            nearest = mf2_route_presets[i].name;
    say_unknown(message, size, "route", text, length, nearest);
}

static void say_unknown_switch(char *message, size_t size, const char *text, size_t length) {
    const char *nearest = switches[0].name;
    for (size_t i = 1; i < SWITCH_COUNT; i++)
        if (distance(text, length, switches[i].name) < distance(text, length, nearest))
            nearest = switches[i].name;
    say_unknown(message, size, "switch", text, length, nearest);
}

static bool parse_value(const struct switch_info *info, const char *text, size_t length,
                        uint64_t *value, char *message, size_t size) {
    if (info->values) {
        int index = name_index(info->values, text, length);
        if (index < 0)
            snprintf(message, size, "switch %s is one of %s, not '%.*s'", info->name, info->values,
                     (int)length, text);
        *value = (uint64_t)index;
        return index >= 0;
    }
    bool digits = length > 0 && length < 20;
    *value = 0;
    for (size_t i = 0; digits && i < length; i++) {
        digits = text[i] >= '0' && text[i] <= '9';
        *value = *value * 10 + (uint64_t)(text[i] - '0');
    }
    if (!digits || *value < info->minimum || *value > info->maximum) {
        snprintf(message, size, "switch %s is a number from %llu to %llu, not '%.*s'", info->name,
                 (unsigned long long)info->minimum, (unsigned long long)info->maximum, (int)length,
                 text);
        return false;
    }
    return true;
}

// Combinations that mean nothing are refused, not ignored.
static bool check_meaning(const struct mf2_route *route, char *message, size_t size) {
    const char *wrong = NULL;
    bool gates = route->gate_idle || route->gate_partial || route->gate_pressure ||
                 route->gate_remotes || route->rfr_ns;
    if (route->protocol == MF2_PROTOCOL_WORD && !route->claim)
        wrong = "claim=off means nothing with protocol=word, which claims before it drains";
    else if (route->protocol == MF2_PROTOCOL_WORD && route->reenqueue)
        wrong = "reenqueue=on means nothing with protocol=word, whose drain misses no free";
    else if (gates && route->drain != MF2_DRAIN_GATED)
        wrong = "gates and rfr_ns mean something with drain=gated only";
    else if (route->drain == MF2_DRAIN_GATED && route->scan != MF2_SCAN_MASK)
        wrong = "drain=gated looks at one queue of the ready mask: it needs scan=mask";
    else if (route->full == MF2_FULL_SHARED && route->protocol != MF2_PROTOCOL_WORD)
        wrong = "full=shared needs protocol=word, whose release misses no free";
    else if (route->put_back && route->full != MF2_FULL_SHARED)
        wrong = "put_back=on needs full=shared, where every thread finds the page again";
    else if (route->full == MF2_FULL_SHARED && route->orphans == MF2_ORPHANS_RECLAIM)
        wrong = "orphans=reclaim needs full=home: a shared page is nobody's to take back";
    else if (route->full == MF2_FULL_SHARED && route->full_free != MF2_FULL_FREE_PENDING)
        wrong = "full=shared needs full_free=pending: nobody's page is its own";
    else if (route->depot && !route->front)
        wrong = "depot needs front: it holds what fronts gave away";
    else if (!route->partial && route->full_free == MF2_FULL_FREE_PARTIAL)
        wrong = "full_free=partial needs partial=on";
    else if (!route->partial && route->orphans == MF2_ORPHANS_RECLAIM)
        wrong = "orphans=reclaim needs partial=on, the list it puts the pages on";
    else if (route->drain != MF2_DRAIN_ANYONE && !route->must_reuse)
        wrong = "must_reuse=off needs drain=anyone: nobody would drain a thread's own pages";
    if (wrong)
        snprintf(message, size, "%s", wrong);
    return wrong == NULL;
}

bool mf2_route_parse(const char *text, struct mf2_route *route, char *message,
                     size_t message_size) {
    size_t length = strcspn(text, ",");
    const struct mf2_route_preset *preset = find_preset(text, length);
    if (!preset) {
        say_unknown_preset(message, message_size, text, length);
        return false;
    }
    *route = preset->route;
    while (text[length] == ',') {
        text += length + 1;
        length = strcspn(text, ",");
        const char *equals = memchr(text, '=', length);
        if (!equals) {
            snprintf(message, message_size, "'%.*s' is not of the form switch=value", (int)length,
                     text);
            return false;
        }
        size_t name_length = (size_t)(equals - text);
        const struct switch_info *info = find_switch(text, name_length);
        if (!info) {
            say_unknown_switch(message, message_size, text, name_length);
            return false;
        }
        uint64_t value;
        if (!parse_value(info, equals + 1, length - name_length - 1, &value, message, message_size))
            return false;
        switch_set(route, info, value);
    }
    return check_meaning(route, message, message_size);
}

// ---------------------------------------------------------------- counters by name

const struct mf2_counter_info mf2_counter_table[] = {
#define X(name, unit, meaning) {#name, unit, meaning},
    MF2_COUNTERS(X)
#undef X
};
_Static_assert(sizeof(mf2_counter_table) / sizeof(mf2_counter_table[0]) == MF2_COUNTER_COUNT,
               "the table has a row for each field");
