// player_play.c: a stream's words, one after the other: where contents are checked, single calls
// timed, or the recorded pace kept. What a whole play takes is taken from player_fast.c.
//
// The slots that words name are fetched ahead, but nothing of the blocks: an allocator pays for its
// own misses here as it does in the program.
#include "player_internal.h"

#include "player_os.h"

#include <string.h>

#define WORDS_AHEAD 8
#define PAGE_BYTES  4096u

// ---------------------------------------------------------------- time of a call

static PLAYER_COLD void note_latency(const struct player_stream *stream, enum player_call call,
                                     uint64_t ticks) {
    uint32_t index = (uint32_t)(stream - player.board->streams);
    struct player_latency *latency = &player_latency_set(player.board, index)->calls[call];
    uint64_t most = atomic_load_explicit(&latency->ticks_max, memory_order_relaxed);
    while (ticks > most && !atomic_compare_exchange_weak(&latency->ticks_max, &most, ticks))
        continue;
    atomic_fetch_add_explicit(&latency->ticks_sum, ticks, memory_order_relaxed);
    atomic_fetch_add_explicit(&latency->buckets[player_bucket(ticks)], 1, memory_order_relaxed);
}

static PLAYER_COLD uint32_t next_timed(struct play *play) {
    uint32_t every = player.options->sample_every;
    play->random = play->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    // Between 1 and 2 × every − 1, so that no rhythm of the program is met again and again.
    return every == 0 ? 0 : 1 + (uint32_t)((play->random >> 33) % (2 * (uint64_t)every - 1));
}

// `expression`, timed now and then.
#define CALL(play, call, expression)                                                               \
    do {                                                                                           \
        if (__builtin_expect(--(play)->until_timed == 0, 0)) {                                     \
            uint64_t began_ticks = player_ticks();                                                 \
            expression;                                                                            \
            note_latency((play)->stream, call, player_ticks() - began_ticks);                      \
            (play)->until_timed = next_timed(play);                                                \
        } else {                                                                                   \
            expression;                                                                            \
        }                                                                                          \
    } while (0)

static inline uint64_t size_of(struct play *play, uint64_t word) {
    uint64_t size = player_word_argument(word) | play->wide;
    play->wide = 0;
    return size;
}

// ---------------------------------------------------------------- blocks

void player_touch_part(void *block, uint64_t from, uint64_t size) {
    unsigned log2 = size == 0 ? 0 : 63 - (unsigned)__builtin_clzll(size);
    uint64_t part = (uint64_t)((double)size * player.options->touched_part[log2] / UINT16_MAX);
    for (uint64_t at = from; at < part; at += PAGE_BYTES - at % PAGE_BYTES)
        ((char *)block)[at] = PLAYER_FILLER;
}

static inline void touch(void *block, uint64_t from, uint64_t size) {
    if (player.options->touch == PLAYER_TOUCH_ALL && from < size)
        memset((char *)block + from, PLAYER_FILLER, size - from);
    else if (player.options->touch == PLAYER_TOUCH_SAMPLED)
        player_touch_part(block, from, size);
}

PLAYER_COLD void player_no_memory(uint64_t size) {
    if (size != 0)
        player_fail(PLAYER_FAILURE_MEMORY, size, "no memory for %llu bytes",
                    (unsigned long long)size);
}

static inline void made(struct play *play, uint64_t slot, void *block, uint64_t size,
                        uint64_t alignment, bool zero, bool is_checked) {
    if (__builtin_expect(block == NULL, 0)) {
        player_no_memory(size);
    } else if (is_checked) {
        player_content_fill(&play->contents[slot], block, size, alignment, zero);
    } else {
        touch(block, 0, size);
    }
    play->own[slot] = block;
}

static inline void free_block(struct play *play, uint64_t slot, bool is_checked) {
    void *block = play->own[slot];
    if (is_checked && block != NULL)
        player_content_check(&play->contents[slot], block, play->contents[slot].size,
                             "found when it was freed");
    CALL(play, PLAYER_CALL_FREE, player.calls.free(block));
}

static uint64_t lesser(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static inline void realloc_block(struct play *play, uint64_t word, uint64_t more, bool is_checked) {
    uint64_t slot = player_word_slot(word), new_slot = player_word_slot(more);
    uint64_t size = size_of(play, word);
    void *old = play->own[slot], *block;
    struct player_content before = {0};
    if (is_checked && old != NULL) {
        before = play->contents[slot];
        player_content_check(&before, old, before.size, "found before realloc");
    }
    CALL(play, PLAYER_CALL_REALLOC, block = player.calls.realloc(old, size));
    if (__builtin_expect(block == NULL, 0))
        player_no_memory(size);
    if (is_checked && block != NULL) {
        player_content_check(&before, block, lesser(before.size, size), "found after realloc");
        player_content_fill(&play->contents[new_slot], block, size, 1, false);
    } else if (block != NULL) {
        touch(block, player_word_argument(more), size);
    }
    play->own[new_slot] = block;
}

static PLAYER_COLD void ask_usable_size(void *block, uint64_t least) {
    if (player.calls.usable_size == NULL || block == NULL || player.options->is_null)
        return;
    uint64_t usable = player.calls.usable_size(block);
    if (usable < least)
        player_fail(PLAYER_FAILURE_BLOCK, usable,
                    "block %p: malloc_usable_size says %llu, less than the %llu asked for", block,
                    (unsigned long long)usable, (unsigned long long)least);
}

// ---------------------------------------------------------------- blocks of the plan

void player_use_block(struct play *play, uint64_t place, uint64_t words) {
    if (player.plan != NULL) {
        play->word = (const uint64_t *)(player.plan + place);
    } else {
        int error = player_os_read(player.plan_file, play->window, words * sizeof(uint64_t), place);
        if (error != 0)
            player_fail(PLAYER_FAILURE_HARNESS, place, "cannot read the plan: %s", strerror(error));
        play->word = (const uint64_t *)play->window;
    }
    atomic_store_explicit(&play->stream->word_bias, place - (uintptr_t)play->word,
                          memory_order_relaxed);
}

// Windows of threads that have ended, each beginning with the next one's address: as many as there
// were threads at one time, not as there are streams.
static _Atomic bool windows_are_taken;
static char *windows;

static void lock_windows(void) {
    while (atomic_exchange_explicit(&windows_are_taken, true, memory_order_acquire))
        __builtin_ia32_pause();
}

static char *take_window(void) {
    lock_windows();
    char *window = windows;
    if (window != NULL)
        memcpy(&windows, window, sizeof windows);
    atomic_store_explicit(&windows_are_taken, false, memory_order_release);
    if (window == NULL && (window = player_os_map(player.window_bytes)) == NULL)
        player_fail(PLAYER_FAILURE_HARNESS, player.window_bytes,
                    "cannot map %llu bytes for a thread's part of the plan",
                    (unsigned long long)player.window_bytes);
    return window;
}

static void give_window_back(char *window) {
    lock_windows();
    memcpy(window, &windows, sizeof windows);
    windows = window;
    atomic_store_explicit(&windows_are_taken, false, memory_order_release);
}

// ---------------------------------------------------------------- the play

static inline __attribute__((always_inline)) bool play_word(struct play *play, bool is_checked) {
    struct player_stream *self = play->stream;
    uint64_t word = *play->word, slot = player_word_slot(word);
    uint64_t argument = player_word_argument(word);
    atomic_store_explicit(&self->word, (uintptr_t)play->word, memory_order_relaxed);
    __builtin_prefetch(&play->own[player_word_slot(play->word[WORDS_AHEAD])], 1);
    switch (player_word_kind(word)) {
    case PLAYER_MALLOC: {
        uint64_t size = size_of(play, word);
        void *block;
        CALL(play, PLAYER_CALL_MALLOC, block = player.calls.malloc(size));
        made(play, slot, block, size, 1, false, is_checked);
        break;
    }
    case PLAYER_FREE:
        free_block(play, slot, is_checked);
        break;
    case PLAYER_GIVE:
        player_give(self, slot, argument >> 16, argument & UINT16_MAX, play->own[0],
                    is_checked ? &play->contents[0] : NULL);
        break;
    case PLAYER_TAKE:
        play->own[0] = player_take(self, slot, argument >> 16, argument & UINT16_MAX,
                                   is_checked ? &play->contents[0] : NULL);
        break;
    case PLAYER_CALLOC: {
        uint64_t size = size_of(play, word);
        void *block;
        CALL(play, PLAYER_CALL_MALLOC, block = player.calls.calloc(1, size));
        made(play, slot, block, size, 1, true, is_checked);
        break;
    }
    case PLAYER_ALIGNED: {
        uint64_t size = size_of(play, word);
        uint64_t alignment = UINT64_C(1) << player_word_argument(*++play->word);
        void *block;
        CALL(play, PLAYER_CALL_MALLOC, block = player.calls.aligned(alignment, size));
        made(play, slot, block, size, alignment, false, is_checked);
        break;
    }
    case PLAYER_REALLOC:
        realloc_block(play, word, *++play->word, is_checked);
        break;
    case PLAYER_USABLE:
        ask_usable_size(play->own[slot], argument);
        break;
    case PLAYER_CREATE:
        player_begin_stream(&player.board->streams[argument]);
        break;
    case PLAYER_JOIN:
        player_join(self, argument);
        break;
    case PLAYER_SIGNAL:
        player_signal(self);
        break;
    case PLAYER_AWAIT:
        player_await(self, slot, argument);
        break;
    case PLAYER_WIDE:
        play->wide = argument << PLAYER_ARGUMENT_BITS;
        break;
    case PLAYER_PACE:
        player_pace(self, player_word_time_ns(word));
        break;
    case PLAYER_JUMP:
        player_use_block(play, argument * PLAYER_SEGMENT_BYTES, slot);
        return true;
    case PLAYER_END:
        return false;
    default:
        player_fail(PLAYER_FAILURE_HARNESS, word, "the plan is damaged");
    }
    play->word++;
    return true;
}

bool player_play_word(struct play *play) {
    return play_word(play, false);
}

static bool play_each(struct play *play) {
    while (play_word(play, false))
        continue;
    return player_word_argument(*play->word) != 0;
}

static bool play_checked(struct play *play) {
    while (play_word(play, true))
        continue;
    return player_word_argument(*play->word) != 0;
}

static bool play_all(struct play *play) {
    if (player.options->is_checked)
        return play_checked(play);
    bool is_for_time = player.options->sample_every == 0 && !player.options->is_paced;
    return is_for_time ? player_play_fast(play) : play_each(play);
}

bool player_play(struct player_stream *stream) {
    struct play play = {.stream = stream,
                        .own = player.own_slots + stream->own_first,
                        .random = stream->own_first + 1};
    if (player.own_contents != NULL)
        play.contents = player.own_contents + stream->own_first;
    if (player.plan == NULL)
        play.window = take_window();
    play.until_timed = next_timed(&play);
    player_use_block(&play, stream->first_block, stream->first_words);
    bool exits = play_all(&play);
    if (play.window != NULL)
        give_window_back(play.window);
    return exits;
}
