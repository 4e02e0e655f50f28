// player_wait.c: what a stream waits for that another does: a block handed over, a shared slot
// emptied, a thread's beginning or end.
//
// A shared slot is one word: tag << 48 | address | 1 while it holds a block (user addresses have 47
// bits), tag << 48 after that block was taken. Zero-filled memory is so a table of emptied slots of
// tag 0. Giving and taking are a plain store each: a waiter does not make them dearer. Whoever has
// to wait says so in `sought` of the stream that will act, imposes a memory barrier on all threads,
// looks once more and sleeps on that stream's bell:
//
//     waiter: sought |= bit; BARRIER EVERYWHERE; look; sleep unless the bell has rung meanwhile
//     actor:  store; (compiler barrier) look at sought; if the bit is set: clear, ring, wake
//
// The barrier falls before or after the actor's store: before, then the actor's look at `sought`
// comes after it too, and finds the bit; after, then the waiter's look finds the store. Bits are
// shared by slots equal modulo 64: a wrong wake-up looks again.
#include "player_internal.h"

#include "player_os.h"

#define ADDRESS_BITS 48
#define HOLDS_BLOCK  UINT64_C(1)
#define ADDRESS_MASK (((UINT64_C(1) << ADDRESS_BITS) - 1) & ~HOLDS_BLOCK)

// Shorter sleeps would come late; the recorded clock is no finer.
#define SLEEP_NS_MIN 20000

static bool holds_block(uint64_t word, uint64_t tag) {
    return word >> ADDRESS_BITS == tag && (word & HOLDS_BLOCK) != 0;
}

static bool is_emptied(uint64_t word, uint64_t tag_before) {
    return word == tag_before << ADDRESS_BITS;
}

static bool has_reached(uint64_t milestones, uint64_t wanted) {
    return milestones >= wanted;
}

static uint64_t bit_of(uint64_t number) {
    return UINT64_C(1) << (number % 64);
}

// Until test(*word, wanted), which `actor` brings about.
static PLAYER_COLD void wait_until(struct player_stream *self, struct player_stream *actor,
                                   uint64_t bit, const _Atomic uint64_t *word,
                                   bool (*test)(uint64_t, uint64_t), uint64_t wanted) {
    for (unsigned i = 0; i < player.spins; i++) {
        if (test(atomic_load_explicit(word, memory_order_acquire), wanted))
            return;
        __builtin_ia32_pause();
    }
    atomic_store_explicit(&self->state, PLAYER_WAITING, memory_order_relaxed);
    for (;;) {
        uint32_t rung = atomic_load_explicit(&actor->bell, memory_order_acquire);
        atomic_fetch_or(&actor->sought, bit);
        player_os_barrier_everywhere();
        if (test(atomic_load_explicit(word, memory_order_acquire), wanted))
            break;
        player_os_wait(&actor->bell, rung);
    }
    atomic_store_explicit(&self->state, 0, memory_order_relaxed);
}

static PLAYER_COLD void ring(struct player_stream *self, uint64_t bit) {
    atomic_fetch_and(&self->sought, ~bit); // before the bell, or a waiter's bit could be lost
    atomic_fetch_add(&self->bell, 1);
    player_os_wake(&self->bell);
}

// After what somebody may have waited for.
static inline void tell(struct player_stream *self, uint64_t bit) {
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(atomic_load_explicit(&self->sought, memory_order_relaxed) & bit, 0))
        ring(self, bit);
}

void player_give(struct player_stream *self, uint64_t slot, uint64_t tag, uint64_t last_taker,
                 void *block, const struct player_content *content) {
    _Atomic uint64_t *word = &player.shared_slots[slot];
    if (!is_emptied(atomic_load_explicit(word, memory_order_acquire), tag - 1))
        wait_until(self, &player.board->streams[last_taker], bit_of(slot), word, is_emptied,
                   tag - 1);
    if (content != NULL)
        player.shared_contents[slot] = *content;
    // Pairs with the acquire in player_take: the block's first contents go with it.
    atomic_store_explicit(word, tag << ADDRESS_BITS | (uintptr_t)block | HOLDS_BLOCK,
                          memory_order_release);
    tell(self, bit_of(slot));
}

void *player_take(struct player_stream *self, uint64_t slot, uint64_t tag, uint64_t giver,
                  struct player_content *content) {
    _Atomic uint64_t *word = &player.shared_slots[slot];
    if (!holds_block(atomic_load_explicit(word, memory_order_acquire), tag))
        wait_until(self, &player.board->streams[giver], bit_of(slot), word, holds_block, tag);
    uint64_t held = atomic_load_explicit(word, memory_order_acquire);
    if (content != NULL)
        *content = player.shared_contents[slot];
    // Pairs with the acquire in player_give.
    atomic_store_explicit(word, tag << ADDRESS_BITS, memory_order_release);
    tell(self, bit_of(slot));
    return (void *)(uintptr_t)(held & ADDRESS_MASK);
}

void player_signal(struct player_stream *self) {
    uint64_t reached = atomic_load_explicit(&self->milestones, memory_order_relaxed) + 1;
    atomic_store_explicit(&self->milestones, reached, memory_order_release);
    tell(self, bit_of(reached));
}

void player_await(struct player_stream *self, uint64_t stream, uint64_t milestones) {
    struct player_stream *actor = &player.board->streams[stream];
    if (!has_reached(atomic_load_explicit(&actor->milestones, memory_order_acquire), milestones))
        wait_until(self, actor, bit_of(milestones), &actor->milestones, has_reached, milestones);
}

void player_join(struct player_stream *self, uint64_t stream) {
    struct player_stream *peer = &player.board->streams[stream];
    atomic_store_explicit(&self->state, PLAYER_WAITING, memory_order_relaxed);
    while (atomic_load_explicit(&peer->life, memory_order_acquire) == 0)
        player_os_wait(&peer->life, 0);
    player_os_join(peer->thread);
    atomic_store_explicit(&self->state, 0, memory_order_relaxed);
}

void player_pace(struct player_stream *self, uint64_t time_ns) {
    uint64_t due_ns = player.began_ns + time_ns;
    if (due_ns < player_os_clock_ns() + SLEEP_NS_MIN)
        return;
    atomic_store_explicit(&self->state, PLAYER_SLEEPING, memory_order_relaxed);
    player_os_sleep_until(due_ns);
    atomic_store_explicit(&self->state, 0, memory_order_relaxed);
}
