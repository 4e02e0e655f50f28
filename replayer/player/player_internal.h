// player_internal.h: what the player's files share.
//
//   player.c          start, gate, end, results
//   player_fast.c     a stream's words by groups: what is played for time
//   player_play.c     the same one after the other: contents checked, calls timed, or paced
//   player_wait.c     what a stream waits for that another does
//   player_content.c  contents of blocks, in the play that checks them
//   player_serve.c    the allocator: the one that is loaded, or none
//   player_os.c       system calls
#ifndef HAK_PLAYER_INTERNAL_H
#define HAK_PLAYER_INTERNAL_H

#include "player.h"

#include <stddef.h>

#define PLAYER_COLD   __attribute__((noinline, cold))
#define PLAYER_FILLER 0x5A // what blocks are touched with

// ---------------------------------------------------------------- player_serve.c

// Calls through pointers, with or without an allocator, so that both cost the same here.
struct player_calls {
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t count, size_t size);
    void *(*aligned)(size_t alignment, size_t size);
    void *(*realloc)(void *block, size_t size);
    void (*free)(void *block);
    size_t (*usable_size)(void *block); // NULL: the library has none
};

// False: the library preloaded does not serve what it must; the board says so.
bool player_serve_allocator(struct player_board *board, struct player_calls *calls);
// Every block is the same memory, of `block_bytes_max` bytes. False: no memory.
bool player_serve_nothing(uint64_t block_bytes_max, struct player_calls *calls);

// ---------------------------------------------------------------- player_content.c

// What a block is filled with; kept beside its address, not in it.
struct player_content {
    uint64_t size, mark;
};
// Fills a new block with what only it holds. `zero`: it must have come as zero.
void player_content_fill(struct player_content *content, void *block, uint64_t size,
                         uint64_t alignment, bool zero);
// The first `size` bytes are still as filled.
void player_content_check(const struct player_content *content, const void *block, uint64_t size,
                          const char *when);

// ---------------------------------------------------------------- player.c

// What all streams' threads read; set before any of them begins.
struct player {
    struct player_board *board;
    const struct player_options *options; // the board's
    struct player_calls calls;
    char *plan; // held; NULL where it is read block by block
    int plan_file;
    _Atomic uint64_t *shared_slots;                        // see player_wait.c
    void **own_slots;                                      // of all streams
    struct player_content *shared_contents, *own_contents; // by slot; checked plays only
    uint64_t window_bytes; // block by block: one block of the plan a thread
    uint64_t began_ns;     // of the play
    unsigned spins;        // looks at a thing awaited before sleeping
};
extern struct player player;

// A failure that ends the process at once; the first one is kept.
_Noreturn void player_fail(enum player_failure failure, uint64_t value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The calling thread's stream; NULL outside of one.
extern _Thread_local struct player_stream *player_self;
// The processor's counter, after what stands before it and before what follows.
static inline uint64_t player_ticks(void) {
    unsigned processor;
    uint64_t ticks = __builtin_ia32_rdtscp(&processor);
    __builtin_ia32_lfence();
    return ticks;
}
// A thread for that stream begins.
void player_begin_stream(struct player_stream *stream);

// ---------------------------------------------------------------- player_play.c

// A stream being played by its thread.
struct play {
    struct player_stream *stream;
    const uint64_t *word;
    void **own;
    struct player_content *contents; // beside own
    char *window;                    // NULL where the plan is held
    uint64_t wide;                   // upper part of the next size, in place
    uint64_t random;
    uint32_t until_timed; // calls
};

// The thread's whole life. Returns whether the thread then exits.
bool player_play(struct player_stream *stream);
// What play->word says; the word behind it is the next one's. False: it was the last one.
bool player_play_word(struct play *play);
// play->word becomes the first one of that block.
void player_use_block(struct play *play, uint64_t place, uint64_t words);
void player_touch_part(void *block, uint64_t from, uint64_t size);
// Unless nothing was asked for.
void player_no_memory(uint64_t size);

// ---------------------------------------------------------------- player_fast.c

// All of it: no call is timed, no content checked. Returns as player_play.
bool player_play_fast(struct play *play);

// ---------------------------------------------------------------- player_wait.c

// Own slot 0 into a shared one: waits until the slot's block before has been taken.
void player_give(struct player_stream *self, uint64_t slot, uint64_t tag, uint64_t last_taker,
                 void *block, const struct player_content *content);
// Waits for the block, and empties the slot. In both, content is NULL unless the play is checked.
void *player_take(struct player_stream *self, uint64_t slot, uint64_t tag, uint64_t giver,
                  struct player_content *content);
void player_signal(struct player_stream *self);
void player_await(struct player_stream *self, uint64_t stream, uint64_t milestones);
void player_join(struct player_stream *self, uint64_t stream);
void player_pace(struct player_stream *self, uint64_t time_ns);

#endif
