// preload_walk.c: from a call outwards, frame by frame.
//
// Owns: following the rules of places (preload_rule.c) through the stack's memory, the caches that
// each thread keeps for it, and the *trail*: the frames of this thread's previous stack.
//
// Most of a stack is as it was at the thread's previous call. When the walk reaches a frame with
// the same place, stack pointer and frame pointer as one of the trail, all that the walk would
// read further out is compared, word by word, with what it read then. If nothing has changed, the
// rest of the trail is the rest of the stack: the walk is a function of those words alone. So a
// hit cannot be wrong as long as the rules are right; those of an address change only when a
// module is unloaded, which dlclose tells (rec_module_epoch). preload_stack.c takes some stacks a
// second time with the full unwinder and counts how often the two differ.
//
// Memory. A thread's own stack is read freely, within its bounds. Elsewhere (another stack, a
// handler's, a fiber's) every page is asked for before it is read: a walk must never fault.
//
// Threads: a scratch belongs to one ring, so to one thread at one level.
#include "libhakrec.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

// ---------------------------------------------------------------- which memory may be read

extern void *__libc_stack_end; // where the kernel put the first thread's first frame

void rec_walk_thread_open(bool is_first) {
    enum { FIRST_STACK_MAX = 64 << 20 }; // the kernel keeps twice that free below
    if (is_first) {
        struct rlimit limit;
        uint64_t bytes = FIRST_STACK_MAX;
        if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < bytes)
            bytes = limit.rlim_cur;
        rec_thread.stack_high = (uint64_t)__libc_stack_end;
        rec_thread.stack_low = rec_thread.stack_high - bytes;
        return;
    }
    pthread_attr_t attributes;
    void *low;
    size_t bytes;
    rec_own_begin();
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &low, &bytes) == 0) {
            rec_thread.stack_low = (uint64_t)low;
            rec_thread.stack_high = (uint64_t)low + bytes;
        }
        pthread_attr_destroy(&attributes);
    }
    rec_own_end();
}

struct walk {
    uint64_t low, high; // may be read
    uint64_t page;      // as may this one, which has been asked for
};

// The kernel reads the set before it finds that there is no such operation.
static bool is_mapped(uint64_t address) {
    return syscall(SYS_rt_sigprocmask, ~0, address & ~(uint64_t)7, NULL, 8) == 0 || errno != EFAULT;
}

__attribute__((noinline)) static bool is_readable_elsewhere(struct walk *walk, uint64_t address) {
    if (address < PAGE_BYTES || address >= 1ull << 47 || address % 8 != 0)
        return false;
    if (address / PAGE_BYTES == walk->page)
        return true;
    if (rec_is_sandboxed() || !is_mapped(address))
        return false;
    walk->page = address / PAGE_BYTES;
    return true;
}

// An aligned word.
static inline bool is_readable(struct walk *walk, uint64_t address) {
    if (REC_LIKELY(address >= walk->low && address < walk->high && address % 8 == 0))
        return true;
    return is_readable_elsewhere(walk, address);
}

static inline uint64_t word_at(uint64_t address) {
    return *(const uint64_t *)address;
}

// ---------------------------------------------------------------- caches

__attribute__((noinline)) static const struct rec_step *
step_find(struct rec_scratch *scratch, struct rec_step *step, uint64_t address) {
    if (scratch->is_uncertain) { // not kept: it gets no address
        *step = (struct rec_step){.rule = rec_rule_of(address - 1)};
        return step;
    }
    struct ring_place place;
    uint32_t number = rec_place_of(address, scratch->epoch, &place);
    *step = (struct rec_step){.address = address, .place = number, .rule = place.rule};
    return step;
}

static inline const struct rec_step *step_of(struct rec_scratch *scratch, uint64_t address) {
    struct rec_step *step =
        &scratch->steps[address * 0x9e3779b97f4a7c15ull >> (64 - REC_STEPS_LOG2)];
    if (REC_LIKELY(step->address == address))
        return step;
    return step_find(scratch, step, address);
}

void rec_walk_forget(struct rec_scratch *scratch, uint32_t epoch, bool is_uncertain) {
    scratch->is_uncertain = is_uncertain;
    scratch->trail_count = 0;
    memset(scratch->steps, 0, sizeof scratch->steps);
    scratch->epoch = epoch;
}

// ---------------------------------------------------------------- the trail

// Frame `i` of the trail is the present one. Follows what was read on its outer side; returns the
// first frame whose outer neighbour is not the same any more, 0 if all are.
static unsigned trail_verify(const struct rec_frame *trail, unsigned i) {
    for (; i > 0; i--) {
        const struct rec_frame *frame = &trail[i], *outer = &trail[i - 1];
        if (frame->is_opaque || word_at(outer->sp - 8) != outer->address ||
            *frame->bp_from != outer->bp)
            return i;
    }
    return 0;
}

// Puts the frames that were walked, innermost last, behind those that stay.
static void trail_extend(struct rec_scratch *scratch, unsigned kept, unsigned fresh_count) {
    unsigned depth = kept > 0 ? scratch->trail[kept - 1].depth : 0;
    scratch->trail_kept = kept;
    for (unsigned i = fresh_count; i-- > 0; kept++) {
        struct rec_frame *frame = &scratch->trail[kept];
        *frame = scratch->fresh[i];
        if (frame->bp_from == NULL)
            frame->bp_from = &frame->bp; // it stays as it is
        depth += !frame->is_own;
        frame->depth = (uint8_t)depth;
    }
    scratch->trail_count = kept;
}

// The innermost RING_STACK_FRAMES_MAX of a stack that has more, or that was lost on the way.
static void trail_cut(struct rec_scratch *scratch, unsigned kept, unsigned fresh_count) {
    unsigned room = RING_STACK_FRAMES_MAX - fresh_count;
    unsigned moved = kept < room ? kept : room;
    memmove(scratch->trail + 1, scratch->trail + kept - moved, moved * sizeof *scratch->trail);
    scratch->trail[0] =
        (struct rec_frame){.address = RING_STACK_CUT, .place = RING_PLACE_CUT, .depth = 1};
    for (unsigned i = 1; i <= moved; i++)
        scratch->trail[i].depth =
            (uint8_t)(scratch->trail[i - 1].depth + !scratch->trail[i].is_own);
    trail_extend(scratch, 1 + moved, fresh_count);
    scratch->trail_kept = 0;
}

// ---------------------------------------------------------------- one step outwards

struct frame_state {
    uint64_t address, sp, bp;
};

// The context that the kernel saved stands where the handler's return left the stack pointer.
static enum rec_walk_end step_signal(struct walk *walk, struct frame_state *at) {
    const ucontext_t *context = (const ucontext_t *)at->sp;
    const greg_t *registers = context->uc_mcontext.gregs;
    if (!is_readable(walk, (uint64_t)&registers[REG_R8]) ||
        !is_readable(walk, (uint64_t)&registers[REG_RIP]))
        return REC_WALK_LOST;
    at->bp = (uint64_t)registers[REG_RBP];
    at->sp = (uint64_t)registers[REG_RSP];
    // No call stands here: the interrupted instruction itself is the place.
    at->address = (uint64_t)registers[REG_RIP] + 1;
    return REC_WALK_GOES_ON;
}

// What stands in the place of a return address and is none; 0 is put under a stack's first frame.
static enum rec_walk_end ends_at(uint64_t address) {
    return address == 0 ? REC_WALK_COMPLETE_ZERO : REC_WALK_LOST;
}

// Code without unwind information, made at run time: a frame pointer is followed where there is
// one. `frame` becomes what was read.
static enum rec_walk_end step_guess(struct walk *walk, struct frame_state *at,
                                    struct rec_frame *frame) {
    enum { FRAME_BYTES_MAX = 1 << 20 };
    uint64_t bp = at->bp;
    if (bp == 0)
        return REC_WALK_COMPLETE;
    if (bp < at->sp || bp - at->sp > FRAME_BYTES_MAX || !is_readable(walk, bp) ||
        !is_readable(walk, bp + 8))
        return REC_WALK_LOST;
    frame->bp_from = (const uint64_t *)bp;
    *at = (struct frame_state){word_at(bp + 8), bp + 16, word_at(bp)};
    return at->address >= PAGE_BYTES ? REC_WALK_GOES_ON : ends_at(at->address);
}

static inline enum rec_walk_end step_ruled(struct walk *walk, struct frame_state *at,
                                           const struct ring_rule *rule, struct rec_frame *frame) {
    uint64_t cfa =
        (rule->cfa == REC_CFA_SP ? at->sp : at->bp) + (uint64_t)(int64_t)rule->cfa_offset;
    if (REC_UNLIKELY(rule->cfa == REC_CFA_BP_DEREF)) {
        if (!is_readable(walk, cfa))
            return REC_WALK_LOST;
        cfa = word_at(cfa);
        frame->is_opaque = true;
    }
    if (cfa <= at->sp || !is_readable(walk, cfa - 8))
        return REC_WALK_LOST;
    if (rule->bp != REC_BP_SAME) {
        uint64_t from =
            (rule->bp == REC_BP_AT_CFA ? cfa : at->bp) + (uint64_t)(int64_t)rule->bp_offset;
        if (!is_readable(walk, from))
            return REC_WALK_LOST;
        frame->bp_from = (const uint64_t *)from;
        at->bp = word_at(from);
    }
    at->sp = cfa;
    at->address = word_at(cfa - 8);
    return REC_LIKELY(at->address >= PAGE_BYTES) ? REC_WALK_GOES_ON : ends_at(at->address);
}

static inline enum rec_walk_end step(struct walk *walk, struct frame_state *at,
                                     const struct ring_rule *rule, struct rec_frame *frame) {
    if (REC_LIKELY(rule->cfa <= REC_CFA_BP_DEREF))
        return step_ruled(walk, at, rule, frame);
    if (rule->cfa == REC_CFA_END)
        return REC_WALK_COMPLETE;
    if (rule->cfa == REC_CFA_SIGNAL)
        return step_signal(walk, at);
    if (rule->cfa == REC_CFA_GUESS)
        return step_guess(walk, at, frame);
    return REC_WALK_FOREIGN;
}

// ---------------------------------------------------------------- the walk

static void walk_open(struct walk *walk, uint64_t sp) {
    bool is_home = sp >= rec_thread.stack_low && sp < rec_thread.stack_high;
    *walk = (struct walk){.low = is_home ? sp : 0, .high = is_home ? rec_thread.stack_high : 0};
}

enum rec_walk_end rec_walk(struct rec_scratch *scratch, const struct rec_caller *caller) {
    struct walk walk;
    walk_open(&walk, caller->sp);
    struct frame_state at = {(uint64_t)caller->address, caller->sp, caller->bp};
    const struct rec_frame *trail = scratch->trail;
    // Off its own stack, what the trail names may be unmapped by now.
    unsigned candidate = walk.high != 0 ? scratch->trail_count : 0;
    unsigned fresh_count = 0, kept = 0;
    bool keeps = walk.high != 0, is_interrupted = false;
    enum rec_walk_end end = REC_WALK_GOES_ON;
    while (fresh_count < RING_STACK_FRAMES_MAX) {
        while (candidate > 0 && trail[candidate - 1].sp < at.sp)
            candidate--;
        if (candidate > 0 && trail[candidate - 1].sp == at.sp &&
            trail[candidate - 1].address == at.address && trail[candidate - 1].bp == at.bp) {
            unsigned changed = trail_verify(trail, candidate - 1);
            if (changed == 0) {
                kept = candidate;
                end = REC_WALK_COMPLETE;
                break;
            }
            candidate = changed;
        }
        const struct rec_step *found = step_of(scratch, at.address);
        struct rec_frame *frame = &scratch->fresh[fresh_count++];
        *frame = (struct rec_frame){.address = at.address,
                                    .sp = at.sp,
                                    .bp = at.bp,
                                    .place = found->place,
                                    .is_own = found->rule.is_own,
                                    .is_interrupted = is_interrupted};
        is_interrupted = found->rule.cfa == REC_CFA_SIGNAL;
        keeps &= !is_interrupted;
        end = step(&walk, &at, &found->rule, frame);
        if (end != REC_WALK_GOES_ON)
            break;
    }
    if (end == REC_WALK_FOREIGN)
        return end;
    keeps &= walk.page == 0 && end != REC_WALK_COMPLETE_ZERO;
    if (end == REC_WALK_COMPLETE_ZERO)
        end = REC_WALK_COMPLETE;
    if (end == REC_WALK_COMPLETE && kept + fresh_count <= RING_STACK_FRAMES_MAX) {
        trail_extend(scratch, kept, fresh_count);
        scratch->trail_keeps = keeps;
        return end;
    }
    trail_cut(scratch, kept, fresh_count);
    scratch->trail_keeps = false;
    return end == REC_WALK_COMPLETE || end == REC_WALK_GOES_ON ? REC_WALK_CUT : REC_WALK_LOST;
}

void rec_walk_adopt(struct rec_scratch *scratch, const uint64_t *addresses, unsigned count,
                    bool is_cut) {
    for (unsigned i = 0; i < count; i++) {
        const struct rec_step *found = step_of(scratch, addresses[i]);
        scratch->fresh[i] = (struct rec_frame){
            .address = addresses[i], .place = found->place, .is_own = found->rule.is_own};
    }
    if (is_cut)
        trail_cut(scratch, 0, count);
    else
        trail_extend(scratch, 0, count);
    scratch->trail_keeps = false;
}
