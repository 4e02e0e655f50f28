// fiber.c: see fiber.h.
//
// The switch is a dozen instructions of our own. Neither of the obvious others will do: swapcontext
// makes a system call; Boost's fcontext enters a fiber by a jump where it was left by a call, after
// which the processor mispredicts every return up to the fiber's body. A switch at a point cost
// 39 ns so, and 7 ns with the call and the return here, which are a pair (x86-64 at 3 GHz).
#include "fiber.h"
#include "world_os.h"

#include <errno.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

enum { GUARD_BYTES = 4096 };

// Saves the registers that a call keeps, puts the stack pointer into *save, and goes on where
// `resume` was saved. The floating point modes are left alone: no fiber changes them.
void world_fiber_swap(void **save, void *resume);
__asm__(".text\n"
        ".globl world_fiber_swap\n"
        ".hidden world_fiber_swap\n"
        ".type world_fiber_swap, @function\n"
        "world_fiber_swap:\n"
        "    push %rbp\n"
        "    push %rbx\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n"
        ".size world_fiber_swap, . - world_fiber_swap\n");

enum { SAVED_REGISTERS = 6 };

// ---------------------------------------------------------------- what the sanitizers are told

#if defined(__SANITIZE_ADDRESS__)

static void tell_prepared(struct fiber_context *context) {
    // An earlier fiber may have been dropped in the middle of its frames.
    __asan_unpoison_memory_region(context->stack, context->stack_bytes);
    context->sanitizer_stack = context->stack;
    context->sanitizer_bytes = context->stack_bytes;
}

static void tell_leaving(struct fiber_context *from, struct fiber_context *to, bool for_good) {
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->sanitizer_fake, to->sanitizer_stack,
                                   to->sanitizer_bytes);
}

// `origin` is whom we come from; an OS thread's own stack is measured here.
static void tell_arrived(struct fiber_context *to, struct fiber_context *origin) {
    __sanitizer_finish_switch_fiber(to->sanitizer_fake, &origin->sanitizer_stack,
                                    &origin->sanitizer_bytes);
    to->sanitizer_fake = NULL;
}

void fiber_forget(struct fiber_context *context) {
    context->resume = NULL;
}

#elif defined(__SANITIZE_THREAD__)

static void tell_prepared(struct fiber_context *context) {
    context->sanitizer_fiber = __tsan_create_fiber(0);
}

static void tell_leaving(struct fiber_context *from, struct fiber_context *to, bool for_good) {
    (void)for_good;
    if (!from->stack) {
        from->sanitizer_fiber = __tsan_get_current_fiber();
    }
    __tsan_switch_to_fiber(to->sanitizer_fiber, 0);
}

static void tell_arrived(struct fiber_context *to, struct fiber_context *origin) {
    (void)to;
    (void)origin;
}

void fiber_forget(struct fiber_context *context) {
    context->resume = NULL;
    if (context->stack && context->sanitizer_fiber) {
        __tsan_destroy_fiber(context->sanitizer_fiber);
        context->sanitizer_fiber = NULL;
    }
}

#else

static inline void tell_prepared(struct fiber_context *context) {
    (void)context;
}
static inline void tell_leaving(struct fiber_context *from, struct fiber_context *to,
                                bool for_good) {
    (void)from;
    (void)to;
    (void)for_good;
}
static inline void tell_arrived(struct fiber_context *to, struct fiber_context *origin) {
    (void)to;
    (void)origin;
}
void fiber_forget(struct fiber_context *context) {
    context->resume = NULL;
}

#endif

// ---------------------------------------------------------------- contexts

// Who has just left; for whom it has entered.
static _Thread_local struct fiber_context *leaving __attribute__((tls_model("initial-exec")));

// First code on a new stack.
static void begin(void) {
    struct fiber_context *context = leaving->entering;
    tell_arrived(context, leaving);
    errno = 0;
    context->entry(context->argument);
    abort(); // entry must not return
}

void fiber_prepare(struct fiber_context *context, void *stack, size_t stack_bytes,
                   void (*entry)(void *), void *argument) {
    *context = (struct fiber_context){
        .entry = entry, .argument = argument, .stack = stack, .stack_bytes = stack_bytes};
    tell_prepared(context);
    // As if `begin` had been called from nowhere: a zero for its return address, the address to go
    // to, and registers of zero. The stack is then aligned as a function finds it.
    uintptr_t *top = (uintptr_t *)(void *)((char *)stack + stack_bytes);
    *--top = 0;
    *--top = (uintptr_t)begin;
    for (int i = 0; i < SAVED_REGISTERS; i++) {
        *--top = 0;
    }
    context->resume = top;
}

void fiber_switch(struct fiber_context *from, struct fiber_context *to) {
    int kept_errno = errno;
    from->entering = to;
    leaving = from;
    tell_leaving(from, to, false);
    world_fiber_swap(&from->resume, to->resume);
    tell_arrived(from, leaving);
    errno = kept_errno;
}

void fiber_leave(struct fiber_context *from, struct fiber_context *to) {
    from->entering = to;
    leaving = from;
    tell_leaving(from, to, true);
    world_fiber_swap(&from->resume, to->resume);
    abort(); // nobody resumes it
}

// ---------------------------------------------------------------- stacks

static size_t slot_bytes(const struct fiber_stacks *stacks) {
    return GUARD_BYTES + stacks->stack_bytes;
}

bool fiber_stacks_create(struct fiber_stacks *stacks, size_t limit, size_t stack_bytes) {
    *stacks = (struct fiber_stacks){.stack_bytes = stack_bytes, .limit = limit};
    stacks->base = world_os_reserve(limit * slot_bytes(stacks), GUARD_BYTES, true);
    stacks->free = malloc(limit * sizeof *stacks->free);
    return stacks->base && stacks->free;
}

void fiber_stacks_destroy(struct fiber_stacks *stacks) {
    if (stacks->base) {
        world_os_release(stacks->base, stacks->limit * slot_bytes(stacks));
    }
    free(stacks->free);
}

void fiber_stacks_reset(struct fiber_stacks *stacks) {
    stacks->free_count = stacks->used;
    for (size_t i = 0; i < stacks->used; i++) {
        stacks->free[i] = (uint32_t)(stacks->used - 1 - i); // the first ones first
    }
}

void *fiber_stack_take(struct fiber_stacks *stacks) {
    if (stacks->free_count) {
        size_t slot = stacks->free[--stacks->free_count];
        return stacks->base + slot * slot_bytes(stacks) + GUARD_BYTES;
    }
    if (stacks->used == stacks->limit) {
        return NULL;
    }
    char *stack = stacks->base + stacks->used * slot_bytes(stacks) + GUARD_BYTES;
    if (!world_os_open(stack, stacks->stack_bytes)) {
        return NULL;
    }
    stacks->used++;
    return stack;
}

void fiber_stack_give(struct fiber_stacks *stacks, void *stack) {
    size_t slot = (size_t)((char *)stack - stacks->base) / slot_bytes(stacks);
    stacks->free[stacks->free_count++] = (uint32_t)slot;
}
