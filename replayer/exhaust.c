// exhaust.c: every order of a small program, but of orders that differ only in accesses which do
// not touch each other one alone: dynamic partial-order reduction with sleep sets.
//
//   C. Flanagan, P. Godefroid, "Dynamic partial-order reduction for model checking software",
//   POPL 2005; P. Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems",
//   1996, for sleep sets
//
// A run is a path from the root of a tree; a node is a point, its branches the fibers that can run
// there. A branch is taken when some run has shown that it makes a difference: that an access met
// an earlier one of another fiber, with nothing to order the two. So the first path is any, and
// each run says what others are needed.
//
// Accesses touch each other when they are to one address and one of them writes; waits and wakes
// write to their word, memory taken and given back to its first page. What a fiber makes runnable
// comes after what it has done. The environment does nothing unexpected here.
#include "replayer.h"

#include "platform.h"

#include <stdlib.h>
#include <string.h>
#include <string.h>

enum { FIBERS_MAX = 63, HELPER_BIT = 63, BITS = 64, LOG2_PLACES = 12 };

struct node {
    uint64_t enabled, backtrack, done, sleep; // bits of fibers; sleep as the node is entered
    uint64_t sleep_after;                     // once its fiber has done its access
    uint32_t fiber;
};

// Who happened before: the last step of each fiber, plus 1.
struct clock {
    uint32_t steps[BITS];
};

struct place {
    uint64_t key; // offset + 1
    uint64_t run;
    uint32_t write_step; // plus 1; 0: none in this run
    uint32_t read_steps[BITS];
    struct clock writes, all;
};

struct replay_tree {
    struct node *nodes;
    uint32_t depth, capacity; // nodes of the path
    uint32_t prefix;          // of them, those that the next run repeats
    uint32_t step;            // of the run under way
    uint32_t fiber_limit;
    uint64_t run, redundant;
    struct clock clocks[BITS];
    struct place places[1 << LOG2_PLACES];
    uint32_t place_count, last_bit;
    bool asleep, failed;
};

struct replay_tree *replay_tree_new(uint32_t fiber_limit) {
    struct replay_tree *tree = fiber_limit <= FIBERS_MAX ? calloc(1, sizeof *tree) : NULL;
    if (tree != NULL)
        tree->fiber_limit = fiber_limit;
    return tree;
}

void replay_tree_free(struct replay_tree *tree) {
    if (tree != NULL)
        free(tree->nodes);
    free(tree);
}

static uint32_t bit_of(const struct replay_tree *tree, uint32_t fiber) {
    return fiber == tree->fiber_limit ? HELPER_BIT : fiber;
}

static uint32_t fiber_of(const struct replay_tree *tree, uint32_t bit) {
    return bit == HELPER_BIT ? tree->fiber_limit : bit;
}

static uint64_t flag(uint32_t bit) {
    return UINT64_C(1) << bit;
}

// ---------------------------------------------------------------- accesses

static bool writes(const struct world_point *access) {
    uint8_t kind = access->site->kind;
    return kind != MF2_POINT_LOAD && kind != MF2_POINT_PLAIN_READ;
}

static bool touch(const struct world_point *a, const struct world_point *b) {
    return a->offset == b->offset && a->offset != WORLD_NO_OFFSET && (writes(a) || writes(b));
}

static struct place *place_of(struct replay_tree *tree, uint64_t offset) {
    uint32_t mask = (1u << LOG2_PLACES) - 1;
    uint64_t key = offset + 1;
    uint32_t i = (uint32_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> (64 - LOG2_PLACES));
    while (tree->places[i].run == tree->run && tree->places[i].key != key)
        i = (i + 1) & mask;
    struct place *place = &tree->places[i];
    if (place->run != tree->run) {
        *place = (struct place){.key = key, .run = tree->run};
        tree->failed |= ++tree->place_count > mask / 4 * 3;
    }
    return place;
}

static void join(struct clock *clock, const struct clock *other) {
    for (uint32_t i = 0; i < BITS; i++)
        if (other->steps[i] > clock->steps[i])
            clock->steps[i] = other->steps[i];
}

// ---------------------------------------------------------------- what a run shows

// The last step, plus 1, of another fiber at this place that touches the access, and that nothing
// orders before it; 0: none.
static uint32_t unordered_step(const struct replay_tree *tree, const struct place *place,
                               uint32_t bit, bool writes_it) {
    const struct clock *clock = &tree->clocks[bit];
    uint32_t best = 0;
    if (place->write_step != 0) {
        uint32_t writer = bit_of(tree, tree->nodes[place->write_step - 1].fiber);
        if (writer != bit && place->write_step > clock->steps[writer])
            best = place->write_step;
    }
    for (uint32_t reader = 0; writes_it && reader < BITS; reader++)
        if (reader != bit && place->read_steps[reader] > clock->steps[reader] &&
            place->read_steps[reader] > best)
            best = place->read_steps[reader];
    return best;
}

static void add_branch(struct replay_tree *tree, uint32_t step, uint32_t bit) {
    struct node *node = &tree->nodes[step - 1];
    node->backtrack |= node->enabled & flag(bit) ? flag(bit) : node->enabled;
}

static void note_access(struct replay_tree *tree, uint32_t bit, const struct world_point *access) {
    struct clock *clock = &tree->clocks[bit];
    uint32_t step = tree->step + 1;
    if (access->offset == WORLD_NO_OFFSET) {
        clock->steps[bit] = step;
        return;
    }
    struct place *place = place_of(tree, access->offset);
    bool writes_it = writes(access);
    uint32_t other = unordered_step(tree, place, bit, writes_it);
    if (other != 0)
        add_branch(tree, other, bit);
    join(clock, writes_it ? &place->all : &place->writes);
    clock->steps[bit] = step;
    join(&place->all, clock);
    if (writes_it) {
        place->writes = *clock;
        place->write_step = step;
    } else {
        place->read_steps[bit] = step;
    }
}

// ---------------------------------------------------------------- a run

void replay_exhaustive_begin(void *self, struct world *world, uint64_t seed) {
    struct replay_tree *tree = ((struct replay_strategist *)self)->tree;
    (void)world;
    (void)seed;
    if (tree == NULL) // the measuring run goes by recorded order
        return;
    tree->run++;
    tree->step = 0;
    tree->place_count = 0;
    tree->asleep = false;
    memset(tree->clocks, 0, sizeof tree->clocks);
}

void replay_exhaustive_ready(void *self, struct world *world, uint32_t fiber) {
    struct replay_tree *tree = ((struct replay_strategist *)self)->tree;
    (void)world;
    if (tree != NULL && tree->step > 0)
        join(&tree->clocks[bit_of(tree, fiber)], &tree->clocks[tree->last_bit]);
}

static bool add_node(struct replay_tree *tree, const struct node *node) {
    if (tree->depth == tree->capacity) {
        uint32_t capacity = tree->capacity == 0 ? 1024 : 2 * tree->capacity;
        struct node *nodes = realloc(tree->nodes, capacity * sizeof *nodes);
        if (nodes == NULL)
            return false;
        tree->nodes = nodes;
        tree->capacity = capacity;
    }
    tree->nodes[tree->depth++] = *node;
    return true;
}

// A new node; false: all that could run here has been tried elsewhere, or there is no memory.
static bool open_node(struct replay_tree *tree, struct world *world, uint32_t preferred) {
    struct node node = {0};
    uint32_t count;
    const uint32_t *runnable = world_runnables(world, &count);
    for (uint32_t i = 0; i < count; i++)
        node.enabled |= flag(bit_of(tree, runnable[i]));
    node.sleep = tree->step == 0 ? 0 : tree->nodes[tree->step - 1].sleep_after;
    uint64_t awake = node.enabled & ~node.sleep;
    if (awake == 0) {
        tree->asleep = true;
        return false;
    }
    uint32_t bit = bit_of(tree, preferred);
    if (!(awake & flag(bit)))
        bit = (uint32_t)__builtin_ctzll(awake);
    node.fiber = fiber_of(tree, bit);
    node.backtrack = flag(bit);
    tree->failed |= !add_node(tree, &node);
    return !tree->failed;
}

// Who was to be tried elsewhere stays out of what follows, until somebody touches its access.
static uint64_t sleep_after(const struct replay_tree *tree, const struct world *world,
                            const struct node *node, const struct world_point *access) {
    uint64_t sleep = (node->sleep | node->done) & ~flag(bit_of(tree, node->fiber));
    uint64_t kept = 0;
    for (; sleep != 0; sleep &= sleep - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(sleep);
        const struct world_point *other = world_point_of(world, fiber_of(tree, bit));
        if (other != NULL && !touch(other, access))
            kept |= flag(bit);
    }
    return kept;
}

void replay_exhaustive_pick(void *self, struct world *world, const struct world_point *point,
                            struct world_choice *choice) {
    struct replay_tree *tree = ((struct replay_strategist *)self)->tree;
    (void)point;
    if (tree == NULL)
        return;
    bool known = tree->step < tree->prefix;
    if (!known && !open_node(tree, world, choice->fiber)) {
        world_stop(world);
        return;
    }
    struct node *node = &tree->nodes[tree->step];
    const struct world_point *access = world_point_of(world, node->fiber);
    uint32_t bit = bit_of(tree, node->fiber);
    choice->fiber = node->fiber;
    node->sleep_after = sleep_after(tree, world, node, access);
    note_access(tree, bit, access);
    tree->last_bit = bit;
    tree->step++;
}

// ---------------------------------------------------------------- the tree

enum replay_tree_state replay_tree_next(struct replay_tree *tree) {
    tree->redundant += tree->asleep;
    if (tree->failed)
        return REPLAY_TREE_FAILED;
    while (tree->depth > 0) {
        struct node *node = &tree->nodes[tree->depth - 1];
        node->done |= flag(bit_of(tree, node->fiber));
        uint64_t left = node->backtrack & ~node->done & ~node->sleep;
        if (left != 0) {
            node->fiber = fiber_of(tree, (uint32_t)__builtin_ctzll(left));
            tree->prefix = tree->depth;
            return REPLAY_TREE_MORE;
        }
        tree->depth--;
    }
    return REPLAY_TREE_DONE;
}

void replay_tree_repeat(struct replay_tree *tree) {
    tree->prefix = tree->depth;
}

bool replay_tree_was_redundant(const struct replay_tree *tree) {
    return tree->asleep;
}

uint64_t replay_tree_redundant(const struct replay_tree *tree) {
    return tree->redundant;
}
