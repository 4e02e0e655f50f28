// trace_ranges.c: see trace_ranges.h.
//
// A B+ tree: a node fills a few cache lines, and a search in it is a count without branches. A
// million ranges are four levels, where a binary tree has twenty, each a cache miss. Leaves are
// linked, for the neighbours of a range are what it must not overlap. A node that becomes empty is
// removed; one that becomes sparse is left so, since blocks come back where blocks were.
#include "trace_ranges.h"

#include <stdlib.h>

enum { NODE_KEYS = 32, HEIGHT_MAX = 24 };

// Leaf: ranges [keys[i], ends[i]). Inner node: children[i] holds what begins at keys[i] or later,
// and before keys[i + 1]; keys[0] counts as 0. count > 0 except in a root leaf.
struct ranges_node {
    uint32_t count;
    struct ranges_node *previous, *next; // leaves only
    uint64_t keys[NODE_KEYS];
    union {
        uint64_t ends[NODE_KEYS];
        struct ranges_node *children[NODE_KEYS];
    };
};

// The way from the root to a leaf: nodes, and which child was taken in each.
struct way {
    struct ranges_node *nodes[HEIGHT_MAX];
    uint32_t places[HEIGHT_MAX];
    struct ranges_node *leaf;
};

// How many keys are at most `key`.
static uint32_t count_up_to(const struct ranges_node *node, uint64_t key) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->count; i++)
        count += node->keys[i] <= key;
    return count;
}

static void find_leaf(const struct trace_ranges *ranges, uint64_t start, struct way *way) {
    struct ranges_node *node = ranges->root;
    for (unsigned level = 0; level < ranges->height; level++) {
        uint32_t count = count_up_to(node, start);
        way->nodes[level] = node;
        way->places[level] = count ? count - 1 : 0;
        node = node->children[way->places[level]];
    }
    way->leaf = node;
}

// ---------------------------------------------------------------- adding

static bool overlaps(const struct ranges_node *leaf, uint32_t place, uint64_t start, uint64_t end) {
    const struct ranges_node *before = place ? leaf : leaf->previous;
    const struct ranges_node *after = place < leaf->count ? leaf : leaf->next;
    if (before && before->count && before->ends[place ? place - 1 : before->count - 1] > start)
        return true;
    return after && after->count && after->keys[after == leaf ? place : 0] < end;
}

static void put_in(struct ranges_node *node, uint32_t place, uint64_t key, uint64_t value) {
    size_t moved = (node->count - place) * sizeof *node->keys;
    memmove(&node->keys[place + 1], &node->keys[place], moved);
    memmove(&node->ends[place + 1], &node->ends[place], moved);
    node->keys[place] = key;
    node->ends[place] = value; // or a child, of the same size
    node->count++;
}

// Moves the upper half of a full node into a new one; NULL when memory is out.
static struct ranges_node *split(struct ranges_node *node, bool is_leaf) {
    enum { HALF = NODE_KEYS / 2 };
    struct ranges_node *upper = calloc(1, sizeof *upper);
    if (!upper)
        return NULL;
    upper->count = node->count - HALF;
    memcpy(upper->keys, &node->keys[HALF], upper->count * sizeof *upper->keys);
    memcpy(upper->ends, &node->ends[HALF], upper->count * sizeof *upper->ends);
    node->count = HALF;
    if (is_leaf) {
        upper->previous = node;
        upper->next = node->next;
        if (upper->next)
            upper->next->previous = upper;
        node->next = upper;
    }
    return upper;
}

static bool grow_root(struct trace_ranges *ranges) {
    struct ranges_node *root = calloc(1, sizeof *root);
    if (!root || ranges->height + 1 == HEIGHT_MAX) {
        free(root);
        return false;
    }
    root->count = 1;
    root->children[0] = ranges->root;
    ranges->root = root;
    ranges->height++;
    return true;
}

// Splits what is full on the way down to where `start` belongs, so that there is room in the leaf.
static bool make_room(struct trace_ranges *ranges, uint64_t start) {
    if (ranges->root->count == NODE_KEYS && !grow_root(ranges))
        return false;
    struct ranges_node *node = ranges->root;
    for (unsigned level = 0; level < ranges->height; level++) {
        uint32_t place = count_up_to(node, start);
        place = place ? place - 1 : 0;
        struct ranges_node *child = node->children[place];
        if (child->count == NODE_KEYS) {
            struct ranges_node *upper = split(child, level + 1 == ranges->height);
            if (!upper)
                return false;
            if (place == 0) // it counts as 0, and may be more than the first child has by now
                node->keys[0] = 0;
            put_in(node, place + 1, upper->keys[0], (uint64_t)(uintptr_t)upper);
            if (start >= upper->keys[0])
                child = upper;
        }
        node = child;
    }
    return true;
}

enum trace_ranges_result trace_ranges_add(struct trace_ranges *ranges, uint64_t start,
                                          uint64_t end) {
    struct way way;
    if (!ranges->root && !(ranges->root = calloc(1, sizeof *ranges->root)))
        return TRACE_RANGES_NO_MEMORY;
    find_leaf(ranges, start, &way);
    uint32_t place = count_up_to(way.leaf, start);
    if (overlaps(way.leaf, place, start, end))
        return TRACE_RANGES_OVERLAP;
    if (way.leaf->count == NODE_KEYS) {
        if (!make_room(ranges, start))
            return TRACE_RANGES_NO_MEMORY;
        find_leaf(ranges, start, &way);
        place = count_up_to(way.leaf, start);
    }
    put_in(way.leaf, place, start, end);
    return TRACE_RANGES_ADDED;
}

// ---------------------------------------------------------------- removing

static void take_out(struct ranges_node *node, uint32_t place) {
    size_t moved = (node->count - place - 1) * sizeof *node->keys;
    memmove(&node->keys[place], &node->keys[place + 1], moved);
    memmove(&node->ends[place], &node->ends[place + 1], moved);
    node->count--;
}

// An empty leaf goes, and above it what has become empty; a root of one child gives way to it.
static void remove_empty(struct trace_ranges *ranges, struct way *way) {
    struct ranges_node *leaf = way->leaf;
    if (ranges->height == 0)
        return;
    if (leaf->previous)
        leaf->previous->next = leaf->next;
    if (leaf->next)
        leaf->next->previous = leaf->previous;
    free(leaf);
    unsigned level = ranges->height;
    while (level-- > 0) {
        take_out(way->nodes[level], way->places[level]);
        if (way->nodes[level]->count > 0 || level == 0)
            break;
        free(way->nodes[level]);
    }
    if (ranges->root->count == 0) { // the last leaf of all: begin anew
        free(ranges->root);
        *ranges = (struct trace_ranges){0};
    }
    while (ranges->height > 0 && ranges->root->count == 1) {
        struct ranges_node *root = ranges->root;
        ranges->root = root->children[0];
        ranges->height--;
        free(root);
    }
}

bool trace_ranges_remove(struct trace_ranges *ranges, uint64_t start) {
    struct way way;
    if (!ranges->root)
        return false;
    find_leaf(ranges, start, &way);
    uint32_t place = count_up_to(way.leaf, start);
    if (place == 0 || way.leaf->keys[place - 1] != start)
        return false;
    take_out(way.leaf, place - 1);
    if (way.leaf->count == 0)
        remove_empty(ranges, &way);
    return true;
}

static void free_node(struct ranges_node *node, unsigned height) {
    for (uint32_t i = 0; height > 0 && i < node->count; i++)
        free_node(node->children[i], height - 1);
    free(node);
}

void trace_ranges_free(struct trace_ranges *ranges) {
    if (ranges->root)
        free_node(ranges->root, ranges->height);
    *ranges = (struct trace_ranges){0};
}
