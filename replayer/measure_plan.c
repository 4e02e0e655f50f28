// measure_plan.c: a trace made ready to be played: words for each stream (player/player.h), with
// nothing left to be looked up while time counts.
//
// Two readings of the source. The first finds the blocks that another stream gives up than the one
// that made them: only these go through shared slots. The second writes.
//
// All waits point backwards in recorded order (a block's making, a slot's emptying, a thread's
// beginning or end), and streams are played in recorded order, so that no set of streams can wait
// in a circle.
//
// Shared slots are used again first in, first out, and only when SLOTS_BETWEEN others wait: a
// stream may thus run that many handed-over blocks ahead of the order recorded, and no further.
//
// What is left out, and counted: questions for the usable size of a block that another stream gives
// up or asks about as well, and operations on blocks that do not live (anomalous traces).
#include "measure.h"

#include "program_object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH          512
#define SLOTS_BETWEEN  65536u
#define BLOCK_WORDS    2048u
#define SEGMENT_WORDS  (PLAYER_SEGMENT_BYTES / sizeof(uint64_t))
#define CALL_WORDS_MAX 6 // of one operation: pace, take, wide, realloc, more, give
#define PACE_NS_MIN    20000
#define OLD_SIZE_MAX   PLAYER_ARGUMENT_MAX
#define NO_FILE        (-1)
#define IN_SHARED_SLOT 1 // program_object.state
#define IN_OWN_SLOT    0

struct slots { // given back, ready to be used again
    uint32_t *list;
    uint64_t first, count, capacity, made;
};

struct output {
    uint64_t words[BLOCK_WORDS + SEGMENT_WORDS];
    uint64_t numbers[BLOCK_WORDS];                    // operation by word
    int64_t live_at[BLOCK_WORDS / SEGMENT_WORDS + 1]; // by segment
    uint32_t count;
};

struct stream {
    struct output *output; // NULL while it has nothing to write
    struct slots own;
    uint64_t jump_at; // byte offset of the word that leads to the next block; 0: the stream's own
    uint64_t milestones, paced_ns;
    int64_t live_bytes;
    bool exits, has_begun;
};

struct compiler {
    struct measure_plan *plan;
    struct program_source *source;
    const struct measure_settings *settings;
    struct stream *streams;
    struct program_objects live;
    uint8_t *handed_over;     // bit by object
    uint8_t *asked_elsewhere; // bit by object: its usable size, by another stream
    uint8_t *joined, *made;   // by thread: somebody has waited for it; has been created
    uint64_t *exit_milestone; // by thread, folded
    uint64_t *last_operation; // by stream: its number. Threads free after their exit, too
    bool *has_operations;     // by thread
    struct slots shared;
    uint16_t *tags, *givers, *takers; // by shared slot
    uint64_t tags_capacity;
    uint64_t number; // of the operation
    uint64_t sought; // byte offset looked for, or 0
    struct measure_place *place;
    char *message;
    size_t message_size;
};

static bool fail(struct compiler *compiler, const char *what) {
    snprintf(compiler->message, compiler->message_size, "%s: %s", compiler->source->trace.path,
             what);
    return false;
}

static bool no_memory(struct compiler *compiler) {
    return fail(compiler, "out of memory for the plan");
}

static bool is_folded(const struct compiler *compiler) {
    return compiler->settings->threads > 0;
}

static uint32_t stream_of(const struct compiler *compiler, uint32_t thread) {
    return is_folded(compiler) ? thread % compiler->settings->threads : thread;
}

static bool each_operation(struct compiler *compiler,
                           bool (*visit)(struct compiler *, const struct program_operation *)) {
    struct program_operation batch[BATCH];
    ptrdiff_t count;
    compiler->number = 0;
    compiler->source->rewind(compiler->source->self);
    while ((count = compiler->source->next(compiler->source->self, batch, BATCH)) > 0)
        for (ptrdiff_t i = 0; i < count; i++, compiler->number++)
            if (!visit(compiler, &batch[i]))
                return false;
    if (count < 0)
        snprintf(compiler->message, compiler->message_size, "%s", compiler->source->message);
    return count == 0;
}

// ---------------------------------------------------------------- the first reading

static bool makes(uint8_t op) {
    return op == PROGRAM_MALLOC || op == PROGRAM_CALLOC || op == PROGRAM_ALIGNED;
}

static bool note_made(struct compiler *compiler, uint64_t object, uint32_t stream) {
    struct program_object *entry = program_objects_add(&compiler->live, object);
    if (entry != NULL)
        entry->place = stream;
    return entry != NULL || no_memory(compiler);
}

static void set_bit(uint8_t *bits, uint64_t number) {
    bits[number / 8] |= (uint8_t)(1u << number % 8);
}

static bool has_bit(const uint8_t *bits, uint64_t number) {
    return bits[number / 8] >> number % 8 & 1;
}

static void note_asked(struct compiler *compiler, uint64_t object, uint32_t stream) {
    const struct program_object *entry = program_objects_find(&compiler->live, object);
    if (entry != NULL && entry->place != stream)
        set_bit(compiler->asked_elsewhere, object);
}

static void note_given_up(struct compiler *compiler, uint64_t object, uint32_t stream) {
    struct program_object *entry = program_objects_find(&compiler->live, object);
    if (entry == NULL)
        return;
    if (entry->place != stream) {
        set_bit(compiler->handed_over, object);
        compiler->plan->handed_over++;
    }
    program_objects_remove(&compiler->live, entry);
}

static bool survey(struct compiler *compiler, const struct program_operation *operation) {
    uint32_t stream = stream_of(compiler, operation->thread);
    struct measure_plan *plan = compiler->plan;
    if (!compiler->has_operations[operation->thread] && !compiler->made[operation->thread])
        plan->streams[stream].begins = true;
    compiler->has_operations[operation->thread] = true;
    compiler->last_operation[stream] = compiler->number;
    if (operation->time_ns - plan->duration_ns > plan->gap_ns_max)
        plan->gap_ns_max = operation->time_ns - plan->duration_ns;
    plan->duration_ns = operation->time_ns;
    bool is_made = makes(operation->op) || operation->op == PROGRAM_REALLOC; // else it had failed
    if (is_made && operation->size > plan->block_size_max)
        plan->block_size_max = operation->size;
    switch (operation->op) {
    case PROGRAM_FREE:
        note_given_up(compiler, operation->object, stream);
        return true;
    case PROGRAM_REALLOC:
        note_given_up(compiler, operation->object, stream);
        return note_made(compiler, operation->new_object, stream);
    case PROGRAM_USABLE:
        note_asked(compiler, operation->object, stream);
        return true;
    case PROGRAM_CREATE:
        compiler->made[operation->peer] = true;
        return true;
    case PROGRAM_JOIN:
        plan->streams[stream_of(compiler, operation->peer)].is_joined = true;
        return true;
    default:
        return !makes(operation->op) || note_made(compiler, operation->object, stream);
    }
}

// ---------------------------------------------------------------- writing words

static bool grow_live(struct measure_plan *plan, uint64_t segments) {
    if (segments <= plan->segment_capacity)
        return true;
    uint64_t capacity = segments * 2;
    int64_t *larger = realloc(plan->live_by_segment, capacity * sizeof *larger);
    if (larger == NULL)
        return false;
    memset(larger + plan->segment_capacity, 0,
           (capacity - plan->segment_capacity) * sizeof *larger);
    plan->live_by_segment = larger;
    plan->segment_capacity = capacity;
    return true;
}

static bool write_plan(struct compiler *compiler, const void *data, size_t bytes, uint64_t at) {
    if (compiler->plan->file == NO_FILE || measure_os_write(compiler->plan->file, data, bytes, at))
        return true;
    return fail(compiler, "cannot write the plan to the folder for temporary files (TMPDIR)");
}

static void look_for_place(struct compiler *compiler, const struct output *output, uint64_t at) {
    if (compiler->sought >= at && compiler->sought < at + output->count * sizeof(uint64_t))
        compiler->place->number = output->numbers[(compiler->sought - at) / sizeof(uint64_t)];
}

// Leads from the stream's block before, or from its head, to the block at `at`.
static bool link_block(struct compiler *compiler, uint32_t index, uint64_t at, uint32_t words) {
    struct stream *stream = &compiler->streams[index];
    uint64_t jump = player_word(PLAYER_JUMP, words, at / PLAYER_SEGMENT_BYTES);
    if (stream->jump_at != 0)
        return write_plan(compiler, &jump, sizeof jump, stream->jump_at);
    compiler->plan->streams[index].first_block = at;
    compiler->plan->streams[index].first_words = words;
    return true;
}

// Number of the group that the words from here begin; 0: they begin none.
static unsigned group_of(const uint64_t *words) {
    unsigned group = PLAYER_GROUP;
    for (unsigned i = 0, digit = 1; i < PLAYER_GROUP_CALLS; i++, digit *= PLAYER_GROUP_KINDS) {
        enum player_kind kind = player_word_kind(words[i]);
        if (kind < PLAYER_MALLOC || kind > PLAYER_FREE)
            return 0;
        group += digit * (unsigned)(kind - PLAYER_MALLOC);
    }
    return group;
}

// The call behind a WIDE is not the first of a group: its size would not be its argument.
static void form_groups(struct output *output) {
    for (uint32_t i = 0; i + PLAYER_GROUP_CALLS <= output->count;) {
        uint64_t word = output->words[i];
        unsigned group = group_of(&output->words[i]);
        if (group != 0)
            output->words[i] =
                player_word(group, player_word_slot(word), player_word_argument(word));
        i += group != 0 ? PLAYER_GROUP_CALLS : player_word_kind(word) == PLAYER_WIDE ? 2 : 1;
    }
}

// Room for the jump is left by `room`.
static bool flush(struct compiler *compiler, uint32_t index, bool is_last) {
    struct stream *stream = &compiler->streams[index];
    struct output *output = stream->output;
    struct measure_plan *plan = compiler->plan;
    uint64_t at = plan->bytes;
    if (!is_last)
        output->words[output->count++] = player_word(PLAYER_JUMP, 0, 0);
    form_groups(output);
    uint64_t segments = (output->count + SEGMENT_WORDS - 1) / SEGMENT_WORDS;
    if (!grow_live(plan, at / PLAYER_SEGMENT_BYTES + segments))
        return no_memory(compiler);
    memcpy(plan->live_by_segment + at / PLAYER_SEGMENT_BYTES, output->live_at,
           segments * sizeof *output->live_at);
    memset(output->words + output->count, 0, (segments * SEGMENT_WORDS - output->count) * 8);
    if (compiler->sought != 0)
        look_for_place(compiler, output, at);
    if (!write_plan(compiler, output->words, segments * PLAYER_SEGMENT_BYTES, at) ||
        !link_block(compiler, index, at, output->count))
        return false;
    stream->jump_at = at + (output->count - 1) * sizeof(uint64_t);
    plan->bytes += segments * PLAYER_SEGMENT_BYTES;
    if (output->count * sizeof(uint64_t) > plan->block_bytes_max)
        plan->block_bytes_max = output->count * sizeof(uint64_t);
    output->count = 0;
    if (is_last) {
        free(output);
        stream->output = NULL;
    }
    return true;
}

// Before each call: its words will stand together, and a jump behind them.
static bool room(struct compiler *compiler, uint32_t index) {
    struct stream *stream = &compiler->streams[index];
    if (stream->output == NULL && (stream->output = malloc(sizeof *stream->output)) == NULL)
        return no_memory(compiler);
    if (!stream->has_begun)
        stream->output->count = 0;
    stream->has_begun = true;
    return stream->output->count + CALL_WORDS_MAX < BLOCK_WORDS || flush(compiler, index, false);
}

static void put(struct compiler *compiler, uint32_t index, enum player_kind kind, uint64_t slot,
                uint64_t argument) {
    struct output *output = compiler->streams[index].output;
    if (output->count % SEGMENT_WORDS == 0)
        output->live_at[output->count / SEGMENT_WORDS] = compiler->streams[index].live_bytes;
    output->numbers[output->count] = compiler->number;
    output->words[output->count++] = player_word(kind, slot, argument);
}

static void put_sized(struct compiler *compiler, uint32_t index, enum player_kind kind,
                      uint64_t slot, uint64_t size) {
    if (size > PLAYER_ARGUMENT_MAX)
        put(compiler, index, PLAYER_WIDE, 0, size >> PLAYER_ARGUMENT_BITS);
    put(compiler, index, kind, slot, size & PLAYER_ARGUMENT_MAX);
}

// ---------------------------------------------------------------- slots

static bool slots_push(struct slots *slots, uint32_t slot) {
    if (slots->count == slots->capacity) {
        uint64_t capacity = slots->capacity == 0 ? 64 : slots->capacity * 2;
        uint32_t *larger = malloc(capacity * sizeof *larger);
        if (larger == NULL)
            return false;
        for (uint64_t i = 0; i < slots->count; i++)
            larger[i] = slots->list[(slots->first + i) & (slots->capacity - 1)];
        free(slots->list);
        slots->list = larger;
        slots->first = 0;
        slots->capacity = capacity;
    }
    slots->list[(slots->first + slots->count++) & (slots->capacity - 1)] = slot;
    return true;
}

static uint32_t slots_pop_last(struct slots *slots) {
    return slots->list[(slots->first + --slots->count) & (slots->capacity - 1)];
}

static uint32_t slots_pop_first(struct slots *slots) {
    slots->count--;
    return slots->list[slots->first++ & (slots->capacity - 1)];
}

static uint32_t own_slot(struct stream *stream) {
    return stream->own.count > 0 ? slots_pop_last(&stream->own) : (uint32_t)stream->own.made++;
}

static bool grow_tags(struct compiler *compiler) {
    if (compiler->shared.made < compiler->tags_capacity)
        return true;
    uint64_t capacity = compiler->tags_capacity == 0 ? 1024 : compiler->tags_capacity * 2;
    uint16_t **arrays[] = {&compiler->tags, &compiler->givers, &compiler->takers};
    for (size_t i = 0; i < 3; i++) {
        uint16_t *larger = realloc(*arrays[i], capacity * sizeof *larger);
        if (larger == NULL)
            return no_memory(compiler);
        *arrays[i] = larger;
        memset(larger + compiler->tags_capacity, 0,
               (capacity - compiler->tags_capacity) * sizeof *larger);
    }
    compiler->tags_capacity = capacity;
    return true;
}

static bool shared_slot(struct compiler *compiler, uint32_t *slot) {
    struct slots *shared = &compiler->shared;
    if (shared->count >= SLOTS_BETWEEN) {
        *slot = slots_pop_first(shared);
        return true;
    }
    if (!grow_tags(compiler))
        return false;
    *slot = (uint32_t)shared->made++;
    return shared->made < PLAYER_SLOT_MAX || fail(compiler, "more blocks handed over at one time "
                                                            "than a plan can name");
}

// ---------------------------------------------------------------- calls

// Where the stream's next block goes: its own slot, or slot 0 on its way to a shared one.
static uint32_t place_for(struct compiler *compiler, uint32_t index, uint64_t object) {
    return has_bit(compiler->handed_over, object) ? 0 : own_slot(&compiler->streams[index]);
}

static bool give(struct compiler *compiler, uint32_t index, uint32_t *slot) {
    if (!shared_slot(compiler, slot))
        return false;
    uint64_t tag = ++compiler->tags[*slot];
    put(compiler, index, PLAYER_GIVE, *slot, tag << 16 | compiler->takers[*slot]);
    compiler->givers[*slot] = (uint16_t)index;
    return true;
}

// The block that slot `slot` of the stream now holds has begun to live.
static bool keep(struct compiler *compiler, uint32_t index, uint64_t object, uint64_t size,
                 uint32_t slot) {
    struct program_object *entry = program_objects_add(&compiler->live, object);
    if (entry == NULL)
        return no_memory(compiler);
    compiler->streams[index].live_bytes += (int64_t)size;
    *entry = (struct program_object){.key = entry->key, .size = size, .place = slot};
    if (slot != 0)
        return true;
    entry->state = IN_SHARED_SLOT;
    return give(compiler, index, &entry->place);
}

// Makes the block stand in a slot of the stream, which *slot then names, and forgets it.
static bool let_go(struct compiler *compiler, uint32_t index, struct program_object *entry,
                   uint32_t *slot) {
    struct stream *stream = &compiler->streams[index];
    stream->live_bytes -= (int64_t)entry->size;
    *slot = entry->state == IN_SHARED_SLOT ? 0 : entry->place;
    bool kept = true;
    if (entry->state == IN_SHARED_SLOT) {
        uint32_t shared = entry->place;
        put(compiler, index, PLAYER_TAKE, shared,
            (uint64_t)compiler->tags[shared] << 16 | compiler->givers[shared]);
        compiler->takers[shared] = (uint16_t)index;
        kept = compiler->tags[shared] == PLAYER_TAG_MAX || slots_push(&compiler->shared, shared);
    } else {
        kept = slots_push(&stream->own, entry->place);
    }
    program_objects_remove(&compiler->live, entry);
    return kept || no_memory(compiler);
}

static bool make(struct compiler *compiler, uint32_t index,
                 const struct program_operation *operation, uint64_t object) {
    if (program_objects_find(&compiler->live, object) != NULL) {
        compiler->plan->left_out++;
        return true;
    }
    uint32_t slot = place_for(compiler, index, object);
    compiler->plan->calls++;
    if (operation->op == PROGRAM_ALIGNED && operation->align_log2 > 0) {
        put_sized(compiler, index, PLAYER_ALIGNED, slot, operation->size);
        put(compiler, index, PLAYER_MORE, 0, operation->align_log2);
        compiler->plan->has_aligned = true;
    } else {
        put_sized(compiler, index, operation->op == PROGRAM_CALLOC ? PLAYER_CALLOC : PLAYER_MALLOC,
                  slot, operation->size);
    }
    return keep(compiler, index, object, operation->size, slot);
}

static bool give_up(struct compiler *compiler, uint32_t index, uint64_t object) {
    struct program_object *entry = program_objects_find(&compiler->live, object);
    uint32_t slot;
    if (entry == NULL) {
        compiler->plan->left_out++;
        return true;
    }
    compiler->plan->calls++;
    if (!let_go(compiler, index, entry, &slot))
        return false;
    put(compiler, index, PLAYER_FREE, slot, 0);
    return true;
}

static bool move(struct compiler *compiler, uint32_t index,
                 const struct program_operation *operation) {
    struct program_object *entry = program_objects_find(&compiler->live, operation->object);
    uint32_t slot;
    if (entry == NULL)
        return make(compiler, index, operation, operation->new_object);
    uint64_t old_size = entry->size < OLD_SIZE_MAX ? entry->size : OLD_SIZE_MAX;
    if (!let_go(compiler, index, entry, &slot))
        return false;
    uint32_t new_slot = place_for(compiler, index, operation->new_object);
    compiler->plan->calls++;
    put_sized(compiler, index, PLAYER_REALLOC, slot, operation->size);
    put(compiler, index, PLAYER_MORE, new_slot, old_size);
    return keep(compiler, index, operation->new_object, operation->size, new_slot);
}

static void ask(struct compiler *compiler, uint32_t index,
                const struct program_operation *operation) {
    struct program_object *entry = program_objects_find(&compiler->live, operation->object);
    if (entry == NULL || entry->state == IN_SHARED_SLOT ||
        has_bit(compiler->asked_elsewhere, operation->object)) {
        compiler->plan->left_out++;
        return;
    }
    put(compiler, index, PLAYER_USABLE, entry->place, 0);
    compiler->plan->calls++;
}

// ---------------------------------------------------------------- threads

static void create(struct compiler *compiler, uint32_t index, uint32_t peer) {
    if (!compiler->has_operations[peer] || compiler->made[peer])
        return;
    compiler->made[peer] = true;
    if (is_folded(compiler)) {
        put(compiler, index, PLAYER_SIGNAL, 0, 0);
        compiler->exit_milestone[peer] = ++compiler->streams[index].milestones << 16 | index;
    } else {
        put(compiler, index, PLAYER_CREATE, 0, peer);
    }
}

// Folded: exit_milestone holds (milestones reached << 16 | stream) of the thread's creation first,
// of its end later.
static void await(struct compiler *compiler, uint32_t index, uint32_t thread) {
    uint64_t milestone = compiler->exit_milestone[thread];
    if (milestone != 0 && (milestone & UINT16_MAX) != index)
        put(compiler, index, PLAYER_AWAIT, milestone & UINT16_MAX, milestone >> 16);
}

// The stream's last words. What it took to write them is given back, so that writing takes memory
// by the threads that live at one time.
static bool end_stream(struct compiler *compiler, uint32_t index) {
    struct stream *stream = &compiler->streams[index];
    struct measure_stream *planned = &compiler->plan->streams[index];
    put(compiler, index, PLAYER_END, 0, stream->exits && !is_folded(compiler));
    planned->own_slots = stream->own.made;
    planned->live_bytes_last = stream->live_bytes;
    free(stream->own.list);
    stream->own = (struct slots){0};
    return flush(compiler, index, true);
}

static void end_thread(struct compiler *compiler, uint32_t index, uint32_t thread) {
    compiler->streams[index].exits = true;
    if (!is_folded(compiler))
        return;
    put(compiler, index, PLAYER_SIGNAL, 0, 0);
    compiler->exit_milestone[thread] = ++compiler->streams[index].milestones << 16 | index;
}

static void join(struct compiler *compiler, uint32_t index, uint32_t peer) {
    if (!compiler->has_operations[peer] || compiler->joined[peer])
        return;
    compiler->joined[peer] = true;
    if (is_folded(compiler))
        await(compiler, index, peer);
    else
        put(compiler, index, PLAYER_JOIN, 0, peer);
}

static void pace(struct compiler *compiler, uint32_t index, uint64_t time_ns) {
    struct stream *stream = &compiler->streams[index];
    if (!compiler->settings->is_paced || time_ns - stream->paced_ns < PACE_NS_MIN)
        return;
    stream->paced_ns = time_ns;
    put(compiler, index, PLAYER_PACE, time_ns >> PLAYER_ARGUMENT_BITS,
        time_ns & PLAYER_ARGUMENT_MAX);
}

static bool write_calls(struct compiler *compiler, const struct program_operation *operation,
                        uint32_t index) {
    switch (operation->op) {
    case PROGRAM_MALLOC:
    case PROGRAM_CALLOC:
    case PROGRAM_ALIGNED:
        return make(compiler, index, operation, operation->object);
    case PROGRAM_FREE:
        return give_up(compiler, index, operation->object);
    case PROGRAM_REALLOC:
        return move(compiler, index, operation);
    case PROGRAM_USABLE:
        ask(compiler, index, operation);
        return true;
    case PROGRAM_CREATE:
        create(compiler, index, operation->peer);
        return true;
    case PROGRAM_START:
        if (is_folded(compiler))
            await(compiler, index, operation->thread);
        return true;
    case PROGRAM_EXIT:
        end_thread(compiler, index, operation->thread);
        return true;
    case PROGRAM_JOIN:
        join(compiler, index, operation->peer);
        return true;
    default:
        return true;
    }
}

static bool write_operation(struct compiler *compiler, const struct program_operation *operation) {
    uint32_t index = stream_of(compiler, operation->thread);
    if (!room(compiler, index))
        return false;
    pace(compiler, index, operation->time_ns);
    return write_calls(compiler, operation, index) &&
           (compiler->number != compiler->last_operation[index] || end_stream(compiler, index));
}

// ---------------------------------------------------------------- the whole

static bool prepare(struct compiler *compiler) {
    uint32_t threads = compiler->source->threads;
    struct measure_plan *plan = compiler->plan;
    plan->stream_count = is_folded(compiler) ? compiler->settings->threads : threads;
    if (plan->stream_count > PLAYER_STREAMS_MAX)
        return fail(compiler,
                    "more threads than can be played at once: fold them with --threads=N");
    plan->streams = calloc(plan->stream_count + 1, sizeof *plan->streams);
    compiler->streams = calloc(plan->stream_count + 1, sizeof *compiler->streams);
    compiler->handed_over = calloc(compiler->source->objects / 8 + 1, 1);
    compiler->asked_elsewhere = calloc(compiler->source->objects / 8 + 1, 1);
    compiler->joined = calloc(threads + 1, 1);
    compiler->made = calloc(threads + 1, 1);
    compiler->has_operations = calloc(threads + 1, sizeof(bool));
    compiler->exit_milestone = calloc(threads + 1, sizeof(uint64_t));
    compiler->last_operation = calloc(plan->stream_count + 1, sizeof(uint64_t));
    if (plan->streams == NULL || compiler->streams == NULL || compiler->handed_over == NULL ||
        compiler->asked_elsewhere == NULL || compiler->joined == NULL || compiler->made == NULL ||
        compiler->has_operations == NULL || compiler->exit_milestone == NULL ||
        compiler->last_operation == NULL || !program_objects_init(&compiler->live, UINT64_MAX))
        return no_memory(compiler);
    for (uint32_t i = 0; i < plan->stream_count; i++)
        compiler->streams[i].own.made = 1; // slot 0 is for blocks on their way
    // Place 0 in the board means not begun.
    plan->bytes = PLAYER_SEGMENT_BYTES;
    return true;
}

static bool begin_second_reading(struct compiler *compiler) {
    memset(compiler->made, 0, compiler->source->threads);
    if (is_folded(compiler))
        for (uint32_t i = 0; i < compiler->plan->stream_count; i++)
            compiler->plan->streams[i].begins = true;
    program_objects_free(&compiler->live);
    return program_objects_init(&compiler->live, UINT64_MAX) || no_memory(compiler);
}

static bool end_plan(struct compiler *compiler) {
    static const char padding[PLAYER_PADDING_BYTES];
    compiler->plan->shared_slots = compiler->shared.made;
    bool written = write_plan(compiler, padding, sizeof padding, compiler->plan->bytes);
    compiler->plan->bytes += PLAYER_PADDING_BYTES;
    return written;
}

static void dispose(struct compiler *compiler) {
    if (compiler->streams != NULL)
        for (uint32_t i = 0; i < compiler->plan->stream_count; i++) {
            free(compiler->streams[i].output);
            free(compiler->streams[i].own.list);
        }
    free(compiler->streams);
    free(compiler->handed_over);
    free(compiler->asked_elsewhere);
    free(compiler->joined);
    free(compiler->made);
    free(compiler->has_operations);
    free(compiler->exit_milestone);
    free(compiler->last_operation);
    free(compiler->shared.list);
    free(compiler->tags);
    free(compiler->givers);
    free(compiler->takers);
    program_objects_free(&compiler->live);
}

static bool compile(struct compiler *compiler) {
    return prepare(compiler) && each_operation(compiler, survey) &&
           begin_second_reading(compiler) && each_operation(compiler, write_operation) &&
           end_plan(compiler);
}

bool measure_plan_make(struct measure_plan *plan, struct program_source *source,
                       const struct measure_settings *settings, char *message, size_t size) {
    *plan = (struct measure_plan){.file = measure_os_temporary(message, size)};
    if (plan->file < 0)
        return false;
    struct compiler compiler = {.plan = plan,
                                .source = source,
                                .settings = settings,
                                .message = message,
                                .message_size = size};
    bool made = compile(&compiler);
    dispose(&compiler);
    return made;
}

static bool note_operation(struct compiler *compiler, const struct program_operation *operation) {
    if (compiler->number == compiler->place->number) {
        compiler->place->operation = *operation;
        compiler->place->found = true;
    }
    return true;
}

void measure_plan_find(struct program_source *source, const struct measure_settings *settings,
                       uint64_t offset, struct measure_place *place) {
    char message[MEASURE_TEXT_MAX];
    struct measure_plan plan = {.file = NO_FILE};
    struct compiler compiler = {.plan = &plan,
                                .source = source,
                                .settings = settings,
                                .sought = offset,
                                .place = place,
                                .message = message,
                                .message_size = sizeof message};
    *place = (struct measure_place){.number = UINT64_MAX};
    if (compile(&compiler))
        each_operation(&compiler, note_operation);
    dispose(&compiler);
    measure_plan_free(&plan);
}

uint64_t measure_plan_live_bytes(const struct measure_plan *plan,
                                 const struct player_board *board) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        uint64_t segment = player_place(&board->streams[i]) / PLAYER_SEGMENT_BYTES;
        if (segment > 0 && segment < plan->segment_capacity)
            sum += plan->live_by_segment[segment];
    }
    return sum > 0 ? (uint64_t)sum : 0;
}

void measure_plan_free(struct measure_plan *plan) {
    if (plan->file > 0)
        measure_os_close(plan->file);
    free(plan->streams);
    free(plan->live_by_segment);
}
