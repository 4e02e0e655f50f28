// player_play.c: a stream's words, one after the other. The only code whose time counts: what it
// takes by itself shows when it plays to no allocator at all.
//
// The words are fetched ahead, and so are the slots that they name, but nothing of the blocks: an
// allocator pays for its own misses here as it does in the program.
#include "player_internal.h"

#include "player_os.h"

#include <string.h>

#define WORDS_AHEAD 8
#define PAGE_BYTES  4096u
#define FILLER      0x5A

// ---------------------------------------------------------------- time of a call

static PLAYER_COLD void note_latency(struct player_stream *stream, enum player_call call,
                                     uint64_t ticks) {
    struct player_latency *latency = &stream->latency[call];
    latency->ticks_sum += ticks;
    if (ticks > latency->ticks_max)
        latency->ticks_max = ticks;
    latency->buckets[player_bucket(ticks)]++;
}

// ---------------------------------------------------------------- a stream being played

struct play {
    struct player_stream *stream;
    const uint64_t *word;
    uint64_t place_bias; // place of a word in the plan = its address + this
    void **own;
    struct player_content *contents; // beside own
    uint64_t wide;                   // upper half of the next size, in place
    uint64_t random;
    uint32_t until_timed; // calls
};

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

static void touch_part(char *block, uint64_t from, uint64_t size) {
    unsigned log2 = size == 0 ? 0 : 63 - (unsigned)__builtin_clzll(size);
    uint64_t part = (uint64_t)((double)size * player.options->touched_part[log2] / UINT16_MAX);
    for (uint64_t at = from; at < part; at += PAGE_BYTES - at % PAGE_BYTES)
        block[at] = FILLER;
}

static inline void touch(void *block, uint64_t from, uint64_t size) {
    if (player.options->touch == PLAYER_TOUCH_ALL && from < size)
        memset((char *)block + from, FILLER, size - from);
    else if (player.options->touch == PLAYER_TOUCH_SAMPLED)
        touch_part(block, from, size);
}

static PLAYER_COLD void no_memory(uint64_t size) {
    player_fail(PLAYER_FAILURE_MEMORY, size, "no memory for %llu bytes", (unsigned long long)size);
}

static inline void made(struct play *play, uint64_t slot, void *block, uint64_t size,
                        uint64_t alignment, bool zero, bool is_checked) {
    if (__builtin_expect(block == NULL, 0)) {
        if (size != 0)
            no_memory(size);
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
    if (__builtin_expect(block == NULL && size != 0, 0))
        no_memory(size);
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

static void use_block(struct play *play, uint64_t place, uint64_t words) {
    if (player.plan != NULL) {
        play->word = (const uint64_t *)(player.plan + place);
    } else {
        uint64_t index = (uint64_t)(play->stream - player.board->streams);
        char *window = player.windows + index * player.window_bytes;
        int error = player_os_read(player.plan_file, window, words * sizeof(uint64_t), place);
        if (error != 0)
            player_fail(PLAYER_FAILURE_HARNESS, place, "cannot read the plan: %s", strerror(error));
        play->word = (const uint64_t *)window;
    }
    play->place_bias = place - (uintptr_t)play->word;
}

// ---------------------------------------------------------------- the play

static inline __attribute__((always_inline)) bool play_words(struct play *play, bool is_checked) {
    struct player_stream *self = play->stream;
    for (;; play->word++) {
        uint64_t word = *play->word, slot = player_word_slot(word);
        uint64_t argument = player_word_argument(word);
        atomic_store_explicit(&self->place, (uintptr_t)play->word + play->place_bias,
                              memory_order_relaxed);
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
            play->wide = argument << 32;
            break;
        case PLAYER_PACE:
            player_pace(self, player_word_time_ns(word));
            break;
        case PLAYER_JUMP:
            use_block(play, argument * PLAYER_SEGMENT_BYTES, slot);
            play->word--;
            break;
        case PLAYER_END:
            return argument != 0;
        default:
            player_fail(PLAYER_FAILURE_HARNESS, word, "the plan is damaged");
        }
    }
}

static __attribute__((noinline)) bool play_fast(struct play *play) {
    return play_words(play, false);
}

static __attribute__((noinline)) bool play_checked(struct play *play) {
    return play_words(play, true);
}

bool player_play(struct player_stream *stream) {
    struct play play = {.stream = stream,
                        .own = player.own_slots + stream->own_first,
                        .random = stream->own_first + 1};
    if (player.own_contents != NULL)
        play.contents = player.own_contents + stream->own_first;
    play.until_timed = next_timed(&play);
    use_block(&play, stream->first_block, stream->first_words);
    return player.options->is_checked ? play_checked(&play) : play_fast(&play);
}
