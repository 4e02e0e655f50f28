// player_fast.c: a stream's words by groups: the only code whose time counts.
//
// A program's calls are irregular, and a branch on each one's kind is mispredicted about every
// fifth time, at what a whole malloc costs. So malloc, calloc and free are played four at a time:
// one jump, to code for just these four. On the corpus's cc1plus that takes two thirds of the time
// of a switch for each call. Its price is code: 3⁴ pieces, 19 KiB, of which a program uses some.
// Straight-line code made from the trace would have no such branch, and took four times as long:
// each line of it is fetched from memory for the first time.
//
// Nothing here is written per call but the slot and the place in the plan, which a failure is
// traced by. Slots are fetched ahead; nothing of the blocks is.
#include "player_internal.h"

#include <string.h>

#define WORDS_AHEAD 10

// ---------------------------------------------------------------- one call

#define PLACE(n)                                                                                   \
    atomic_store_explicit(&self->word, (uintptr_t)(word + (n)), memory_order_relaxed);             \
    __builtin_prefetch(&own[player_word_slot(word[(n) + WORDS_AHEAD])], 1)

#define SIZE(n, wide) (player_word_argument(word[n]) | (wide))
#define MADE(n, wide, block)                                                                       \
    do {                                                                                           \
        void *made = (block);                                                                      \
        own[player_word_slot(word[n])] = made;                                                     \
        if (__builtin_expect(made == NULL, 0))                                                     \
            player_no_memory(SIZE(n, wide));                                                       \
        else                                                                                       \
            TOUCH(made, SIZE(n, wide));                                                            \
    } while (0)

// By kind, less PLAYER_MALLOC.
#define CALL_0(n, wide)                                                                            \
    PLACE(n);                                                                                      \
    MADE(n, wide, calls.malloc(SIZE(n, wide)))
#define CALL_1(n, wide)                                                                            \
    PLACE(n);                                                                                      \
    MADE(n, wide, calls.calloc(1, SIZE(n, wide)))
#define CALL_2(n, wide)                                                                            \
    PLACE(n);                                                                                      \
    calls.free(own[player_word_slot(word[n])])

// ---------------------------------------------------------------- four of them

#define NEXT goto *heads[player_word_head(*word)]

#define GROUP(a, b, c, d)                                                                          \
    group_##a##b##c##d : CALL_##a(0, 0);                                                           \
    CALL_##b(1, 0);                                                                                \
    CALL_##c(2, 0);                                                                                \
    CALL_##d(3, 0);                                                                                \
    word += PLAYER_GROUP_CALLS;                                                                    \
    NEXT;
#define LABEL(a, b, c, d) &&group_##a##b##c##d,

// In the order of their numbers: the first call's kind changes fastest.
#define EACH_1(of, b, c, d) of(0, b, c, d) of(1, b, c, d) of(2, b, c, d)
#define EACH_2(of, c, d)    EACH_1(of, 0, c, d) EACH_1(of, 1, c, d) EACH_1(of, 2, c, d)
#define EACH_3(of, d)       EACH_2(of, 0, d) EACH_2(of, 1, d) EACH_2(of, 2, d)
#define EACH_GROUP(of)      EACH_3(of, 0) EACH_3(of, 1) EACH_3(of, 2)

// A word by itself, and back.
#define ALONE(n)                                                                                   \
    alone_##n : CALL_##n(0, wide);                                                                 \
    wide = 0;                                                                                      \
    word++;                                                                                        \
    NEXT;

// ---------------------------------------------------------------- the loop

// One for each way of touching, so that no call asks which.
#define PLAY(name)                                                                                 \
    static __attribute__((noinline)) bool name(struct play *play) {                                \
        static const void *const heads[1 << PLAYER_KIND_BITS] = {                                  \
            [PLAYER_MORE] = &&rare,                                                                \
            [PLAYER_MALLOC] = &&alone_0,                                                           \
            [PLAYER_CALLOC] = &&alone_1,                                                           \
            [PLAYER_FREE] = &&alone_2,                                                             \
            [PLAYER_ALIGNED... PLAYER_USABLE] = &&rare,                                            \
            [PLAYER_GIVE] = &&give,                                                                \
            [PLAYER_TAKE] = &&take,                                                                \
            [PLAYER_CREATE... PLAYER_AWAIT] = &&rare,                                              \
            [PLAYER_WIDE] = &&widen,                                                               \
            [PLAYER_PACE... PLAYER_GROUP - 1] = &&rare,                                            \
            [PLAYER_GROUP] = EACH_GROUP(LABEL)[PLAYER_GROUP_END...(1 << PLAYER_KIND_BITS) - 1] =   \
                &&rare};                                                                           \
        const struct player_calls calls = player.calls;                                            \
        struct player_stream *const self = play->stream;                                           \
        void **const own = play->own;                                                              \
        const uint64_t *word = play->word;                                                         \
        uint64_t wide = 0;                                                                         \
        NEXT;                                                                                      \
        EACH_GROUP(GROUP)                                                                          \
        ALONE(0)                                                                                   \
        ALONE(1)                                                                                   \
        ALONE(2)                                                                                   \
    give:                                                                                          \
        PLACE(0);                                                                                  \
        player_give(self, player_word_slot(*word), player_word_argument(*word) >> 16,              \
                    player_word_argument(*word) & UINT16_MAX, own[0], NULL);                       \
        word++;                                                                                    \
        NEXT;                                                                                      \
    take:                                                                                          \
        PLACE(0);                                                                                  \
        own[0] = player_take(self, player_word_slot(*word), player_word_argument(*word) >> 16,     \
                             player_word_argument(*word) & UINT16_MAX, NULL);                      \
        word++;                                                                                    \
        NEXT;                                                                                      \
    widen:                                                                                         \
        if (player_word_kind(word[1]) > PLAYER_FREE)                                               \
            goto rare; /* takes play->wide */                                                      \
        wide = player_word_argument(*word) << PLAYER_ARGUMENT_BITS;                                \
        word++;                                                                                    \
        NEXT;                                                                                      \
    rare:                                                                                          \
        play->word = word;                                                                         \
        if (!player_play_word(play))                                                               \
            return player_word_argument(*word) != 0;                                               \
        word = play->word;                                                                         \
        NEXT;                                                                                      \
    }

#define TOUCH(block, size) memset(block, PLAYER_FILLER, size)
PLAY(play_touching_all)
#undef TOUCH
#define TOUCH(block, size) player_touch_part(block, 0, size)
PLAY(play_touching_part)
#undef TOUCH
#define TOUCH(block, size) ((void)(block))
PLAY(play_touching_none)

bool player_play_fast(struct play *play) {
    switch (player.options->touch) {
    case PLAYER_TOUCH_ALL:
        return play_touching_all(play);
    case PLAYER_TOUCH_SAMPLED:
        return play_touching_part(play);
    default:
        return play_touching_none(play);
    }
}
