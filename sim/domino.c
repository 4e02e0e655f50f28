// domino.c: see domino.h.
//
// Nothing is hooked into MF2: after each operation, the counters of the thread's slot say whether
// it formatted a page (new, recycled) or put some to work; the block returned and those in the
// class's front, which were taken on the same occasion, say which. A page whose owner was another
// thread until then has been stolen.
//
// An operation is noted when it ends. Where two threads' operations overlap, a theft may be noted
// after the fresh page that it led to; it then waits for the victim's next one. No page is counted
// twice by that.
#include "domino.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

#define NOBODY     UINT32_MAX
#define SHARES_MAX 1024u // even; then two become one
#define MSER_BATCH 5u

// What is known of a page since somebody got it.
struct page_life {
    uint64_t mapped_ns, freed_ns;
    uint64_t remote_frees;
    uint32_t owner; // thread; NOBODY: never formatted
    uint32_t freer;
    uint32_t link; // that made it fresh
};

// A theft that no fresh page has answered yet.
struct theft {
    uint64_t stolen_ns;
    struct page_life life; // of the page, up to the theft
    uint32_t page, thief;
    uint32_t next; // of the same victim and class; NOBODY: the last
};

struct queue { // of thefts, by place in `thefts`
    uint32_t first, last;
};

struct slot_counts {
    struct mf2_class_counters classes[MF2_CLASS_MAX];
};

struct victim {
    struct queue queues[MF2_CLASS_MAX];
    bool exited;
};

struct share {
    uint32_t fresh, thefts, links;
};

struct sim_domino {
    struct mf2_state *state;
    struct page_life *pages;
    size_t page_room;
    struct slot_counts *slots;
    size_t slot_room;
    struct victim *victims; // by thread
    struct sim_domino_thread *threads;
    size_t thread_room, thread_count;
    struct theft *thefts;
    size_t theft_room, theft_count;
    struct sim_domino_link *links;
    size_t link_room, link_count;
    struct share shares[SHARES_MAX];
    size_t share_count;
    uint64_t operations, operations_per_share;
    struct sim_domino_totals totals;
    bool out_of_memory;
};

// ---------------------------------------------------------------- room

// Makes `index` lie in the array; new rows are all ones where `ones`, else zero.
static bool reach(struct sim_domino *domino, void *array_pointer, size_t *room, size_t row_bytes,
                  size_t index, bool ones) {
    if (index < *room)
        return true;
    void *old;
    memcpy(&old, array_pointer, sizeof old);
    size_t wanted = *room ? *room : 64;
    while (wanted <= index)
        wanted *= 2;
    char *larger = realloc(old, wanted * row_bytes);
    if (!larger) {
        domino->out_of_memory = true;
        return false;
    }
    memset(larger + *room * row_bytes, ones ? 0xFF : 0, (wanted - *room) * row_bytes);
    memcpy(array_pointer, &larger, sizeof larger);
    *room = wanted;
    return true;
}

static struct page_life *page_of(struct sim_domino *domino, uint32_t page) {
    return reach(domino, &domino->pages, &domino->page_room, sizeof *domino->pages, page, true)
               ? &domino->pages[page]
               : NULL;
}

static bool thread_reached(struct sim_domino *domino, uint32_t thread) {
    size_t room = domino->thread_room;
    if (!reach(domino, &domino->victims, &room, sizeof *domino->victims, thread, true) ||
        !reach(domino, &domino->threads, &domino->thread_room, sizeof *domino->threads, thread,
               false))
        return false;
    if (thread < domino->thread_count)
        return true;
    for (size_t i = domino->thread_count; i <= thread; i++)
        domino->victims[i].exited = false;
    domino->thread_count = thread + 1;
    return true;
}

// ---------------------------------------------------------------- the series

static struct share *share_now(struct sim_domino *domino) {
    return &domino->shares[domino->share_count - 1];
}

static void count_operation(struct sim_domino *domino) {
    if (domino->operations++ % domino->operations_per_share != 0)
        return;
    if (domino->share_count == SHARES_MAX) {
        for (size_t i = 0; i < SHARES_MAX / 2; i++) {
            const struct share *a = &domino->shares[2 * i], *b = a + 1;
            domino->shares[i] =
                (struct share){a->fresh + b->fresh, a->thefts + b->thefts, a->links + b->links};
        }
        domino->share_count = SHARES_MAX / 2;
        domino->operations_per_share *= 2;
    }
    domino->shares[domino->share_count++] = (struct share){0};
}

// ---------------------------------------------------------------- thefts and links

static void remember_theft(struct sim_domino *domino, const struct theft *theft,
                           uint32_t class_index) {
    if (!reach(domino, &domino->thefts, &domino->theft_room, sizeof *domino->thefts,
               domino->theft_count, false))
        return;
    uint32_t number = (uint32_t)domino->theft_count++;
    struct queue *queue = &domino->victims[theft->life.owner].queues[class_index];
    domino->thefts[number] = *theft;
    if (queue->first == NOBODY)
        queue->first = number;
    else
        domino->thefts[queue->last].next = number;
    queue->last = number;
}

static void note_theft(struct sim_domino *domino, struct page_life *life, uint32_t page,
                       uint32_t thief, uint32_t class_index, uint64_t now_ns) {
    uint32_t victim = life->owner;
    bool exited = domino->victims[victim].exited;
    domino->totals.thefts_exited += exited;
    domino->totals.thefts_running += !exited;
    domino->threads[victim].thefts_from_it++;
    domino->threads[thief].thefts_by_it++;
    share_now(domino)->thefts++;
    struct theft theft = {now_ns, *life, page, thief, NOBODY};
    if (!exited) // who has exited takes no fresh page
        remember_theft(domino, &theft, class_index);
    life->owner = thief;
    life->link = SIM_DOMINO_NO_LINK;
    life->mapped_ns = now_ns;
    life->remote_frees = 0;
}

// The oldest theft from this thread that no fresh page has answered; NULL: none.
static const struct theft *answer_theft(struct sim_domino *domino, uint32_t thread,
                                        uint32_t class_index) {
    struct queue *queue = &domino->victims[thread].queues[class_index];
    if (queue->first == NOBODY)
        return NULL;
    const struct theft *theft = &domino->thefts[queue->first];
    queue->first = theft->next;
    return theft;
}

static uint32_t note_link(struct sim_domino *domino, const struct theft *theft, uint32_t thread,
                          uint32_t page, uint32_t class_index, uint64_t now_ns) {
    if (!reach(domino, &domino->links, &domino->link_room, sizeof *domino->links,
               domino->link_count, false))
        return SIM_DOMINO_NO_LINK;
    uint32_t parent = theft->life.link;
    uint32_t length = parent == SIM_DOMINO_NO_LINK ? 1 : domino->links[parent].length + 1;
    domino->links[domino->link_count] = (struct sim_domino_link){
        .mapped_ns = theft->life.mapped_ns,
        .freed_ns = theft->life.freed_ns,
        .stolen_ns = theft->stolen_ns,
        .fresh_ns = now_ns,
        .remote_frees = theft->life.remote_frees,
        .stolen_page = theft->page,
        .fresh_page = page,
        .victim = thread,
        .thief = theft->thief,
        .freer = theft->life.freer,
        .block_bytes = domino->state->geometry->block_bytes[class_index],
        .page_bytes = domino->state->geometry->page_bytes
                      << domino->state->geometry->span_shift[class_index],
        .parent = parent,
        .length = length,
    };
    domino->threads[thread].links++;
    share_now(domino)->links++;
    return (uint32_t)domino->link_count++;
}

static void note_fresh(struct sim_domino *domino, uint32_t thread, uint32_t page,
                       uint32_t class_index, uint64_t now_ns) {
    struct page_life *life = page_of(domino, page);
    if (!life)
        return;
    const struct theft *theft = answer_theft(domino, thread, class_index);
    domino->threads[thread].fresh++;
    domino->totals.fresh++;
    share_now(domino)->fresh++;
    *life = (struct page_life){.mapped_ns = now_ns, .owner = thread, .link = SIM_DOMINO_NO_LINK};
    if (theft)
        life->link = note_link(domino, theft, thread, page, class_index, now_ns);
}

// ---------------------------------------------------------------- operations

// The page that a block is in: of a page of several pages of the arena the first.
static struct MidPage *head_of(struct sim_domino *domino, uint64_t offset) {
    struct mf2_state *state = domino->state;
    uint64_t page = offset >> state->page_shift;
    uint32_t class_plus_one = state->page_class[page];
    uint32_t span_shift = class_plus_one ? state->geometry->span_shift[class_plus_one - 1] : 0;
    return &state->pages[page >> span_shift << span_shift];
}

static void note_owner(struct sim_domino *domino, uint32_t page, uint32_t thread,
                       uint32_t class_index, uint64_t now_ns) {
    struct page_life *life = page_of(domino, page);
    if (life && life->owner != thread && life->owner != NOBODY)
        note_theft(domino, life, page, thread, class_index, now_ns);
}

// Pages put to work for a front are those of the blocks that it now holds: only its own thread has
// taken those from pages that name it as their home.
static void look_at_front(struct sim_domino *domino, const struct MF2_ThreadPages *self,
                          uint32_t thread, uint32_t class_index, uint64_t now_ns) {
    void **top = self->fronts[class_index + 1].top;
    for (void **at = self->bins[class_index].bottom; at != top; at++) {
        uint64_t offset = (uint64_t)((char *)*at - (char *)domino->state);
        uint32_t page = mf2_page_number(domino->state, head_of(domino, offset));
        if (domino->state->pages[page].home.value == self->slot)
            note_owner(domino, page, thread, class_index, now_ns);
    }
}

// What the class's counters of the slot say has happened since the last look. A fresh page is made
// for an empty hand only, so that the block returned lies in it.
static void look_at_class(struct sim_domino *domino, const struct MF2_ThreadPages *self,
                          uint32_t thread, uint32_t page, uint64_t now_ns) {
    uint32_t class_index = domino->state->pages[page].class_index;
    if (!reach(domino, &domino->slots, &domino->slot_room, sizeof *domino->slots, self->slot,
               false))
        return;
    struct mf2_class_counters *seen = &domino->slots[self->slot].classes[class_index];
    struct mf2_class_counters now = self->classes[class_index];
    uint32_t made = now.new_pages - seen->new_pages;
    uint32_t recycled = now.recycled_pages - seen->recycled_pages;
    uint32_t reused = now.page_reuses - seen->page_reuses;
    *seen = now;
    domino->totals.new_pages += made;
    domino->totals.recycled_pages += recycled;
    if (made + recycled > 0)
        note_fresh(domino, thread, page, class_index, now_ns);
    if (reused == 0)
        return;
    if (domino->state->pages[page].home.value == self->slot)
        note_owner(domino, page, thread, class_index, now_ns);
    look_at_front(domino, self, thread, class_index, now_ns);
}

static void look_at_free(struct sim_domino *domino, uint32_t page, uint32_t thread,
                         uint64_t now_ns) {
    const struct MidPage *facts = &domino->state->pages[page];
    struct page_life *life = page_of(domino, page);
    if (!life || life->owner == NOBODY || life->owner == thread)
        return;
    if (facts->home.value == mf2_own()->slot) { // reclaimed by who freed
        note_theft(domino, life, page, thread, facts->class_index, now_ns);
        return;
    }
    if (life->remote_frees++ == 0) {
        life->freed_ns = now_ns;
        life->freer = thread;
    }
}

void sim_domino_on_done(void *self, struct world *world, const struct program_done *done) {
    struct sim_domino *domino = self;
    if (domino->out_of_memory || !thread_reached(domino, done->thread))
        return;
    count_operation(domino);
    if (done->op == PROGRAM_EXIT)
        domino->victims[done->thread].exited = true;
    if ((!done->made && !done->released) || done->result == WORLD_NO_OFFSET)
        return;
    uint32_t page = mf2_page_number(domino->state, head_of(domino, done->result));
    bool in_class = domino->state->page_class[page] != 0;
    bool has_slot = mf2_own()->slot != MF2_SLOT_NONE;
    if (done->made && has_slot && in_class)
        look_at_class(domino, mf2_own(), done->thread, page, world_clock_ns(world));
    else if (!done->made)
        look_at_free(domino, page, done->thread, world_clock_ns(world));
}

// ---------------------------------------------------------------- life

struct sim_domino *sim_domino_new(struct world *world) {
    struct sim_domino *domino = calloc(1, sizeof *domino);
    if (domino) {
        domino->state = world_mf2(world);
        domino->operations_per_share = 1;
    }
    return domino;
}

void sim_domino_free(struct sim_domino *domino) {
    if (!domino)
        return;
    free(domino->pages);
    free(domino->slots);
    free(domino->victims);
    free(domino->threads);
    free(domino->thefts);
    free(domino->links);
    free(domino);
}

bool sim_domino_out_of_memory(const struct sim_domino *domino) {
    return domino->out_of_memory;
}

// ---------------------------------------------------------------- sums

size_t sim_mser5(const double *values, size_t count) {
    size_t batches = count / MSER_BATCH, best = 0;
    double least = -1;
    // From the end on, so that sums grow: S(d) = Σ of batch means from d, Q(d) = Σ of their
    // squares.
    double sum = 0, squares = 0;
    for (size_t d = batches; d-- > 0;) {
        double mean = 0;
        for (size_t i = 0; i < MSER_BATCH; i++)
            mean += values[d * MSER_BATCH + i] / MSER_BATCH;
        sum += mean;
        squares += mean * mean;
        double n = (double)(batches - d);
        double error = (squares - sum * sum / n) / (n * n);
        if (2 * d <= batches && (least < 0 || error <= least)) {
            least = error;
            best = d;
        }
    }
    return best * MSER_BATCH;
}

static struct sim_domino_rate rate_of(const struct sim_domino *domino, size_t from, size_t to,
                                      uint64_t operations) {
    struct sim_domino_rate rate = {0};
    double each = operations ? 1e6 / (double)operations : 0;
    for (size_t i = from; i < to; i++) {
        rate.fresh += domino->shares[i].fresh * each;
        rate.thefts += domino->shares[i].thefts * each;
        rate.links += domino->shares[i].links * each;
    }
    return rate;
}

static void find_steady_state(const struct sim_domino *domino, struct sim_domino_totals *totals) {
    double series[SHARES_MAX];
    // The last share may be a short one.
    size_t whole = (size_t)(domino->operations / domino->operations_per_share);
    for (size_t i = 0; i < whole; i++)
        series[i] = domino->shares[i].fresh;
    size_t cut = sim_mser5(series, whole);
    totals->transient_operations = cut * domino->operations_per_share;
    totals->transient = rate_of(domino, 0, cut, totals->transient_operations);
    totals->steady = rate_of(domino, cut, domino->share_count,
                             domino->operations - totals->transient_operations);
}

static void count_chains(const struct sim_domino *domino, struct sim_domino_totals *totals) {
    totals->chains = domino->link_count;
    for (size_t i = 0; i < domino->link_count; i++) {
        const struct sim_domino_link *link = &domino->links[i];
        totals->longest = link->length > totals->longest ? link->length : totals->longest;
        // A page is stolen once from who made it fresh: no link has two that follow it.
        totals->chains -= link->parent != SIM_DOMINO_NO_LINK;
    }
}

void sim_domino_totals(const struct sim_domino *domino, struct sim_domino_totals *totals) {
    *totals = domino->totals;
    totals->links = domino->link_count;
    totals->operations = domino->operations;
    for (size_t i = 0; i < domino->thread_count; i++) {
        const struct sim_domino_thread *thread = &domino->threads[i];
        totals->victims += thread->thefts_from_it > 0;
        totals->thieves += thread->thefts_by_it > 0;
        if (thread->links > totals->links_of_worst)
            totals->links_of_worst = thread->links;
    }
    count_chains(domino, totals);
    find_steady_state(domino, totals);
}

size_t sim_domino_links(const struct sim_domino *domino, const struct sim_domino_link **links) {
    *links = domino->links;
    return domino->link_count;
}

size_t sim_domino_threads(const struct sim_domino *domino, const struct sim_domino_thread **list) {
    *list = domino->threads;
    return domino->thread_count;
}

static bool shares_a_link(const struct sim_domino *domino, uint32_t end, const uint32_t *ends,
                          size_t count) {
    for (size_t i = 0; i < count; i++)
        for (uint32_t link = ends[i]; link != SIM_DOMINO_NO_LINK; link = domino->links[link].parent)
            if (link == end)
                return true;
    return false;
}

size_t sim_domino_longest(const struct sim_domino *domino, uint32_t *ends, size_t count) {
    size_t found = 0;
    for (; found < count; found++) {
        uint32_t best = SIM_DOMINO_NO_LINK;
        for (uint32_t i = 0; i < domino->link_count; i++)
            if ((best == SIM_DOMINO_NO_LINK ||
                 domino->links[i].length > domino->links[best].length) &&
                !shares_a_link(domino, i, ends, found))
                best = i;
        if (best == SIM_DOMINO_NO_LINK)
            break;
        ends[found] = best;
    }
    return found;
}
