// fiber.h: stacks and the switch between them.
//
// Owns: contexts, the pool of stacks with a guard page below each, what the sanitizers must be
// told. Does not know: who should run (machine.c).
//
// Threads: a context is left and entered by one OS thread at a time.
#ifndef HAK_WORLD_FIBER_H
#define HAK_WORLD_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One stack's place of execution. The stack that an OS thread came with needs none: a zeroed
// context stands for it.
struct fiber_context {
    void *resume; // where it goes on; NULL while it runs
    void (*entry)(void *argument);
    void *argument;
    struct fiber_context *entering; // whom it switches to
    void *stack;                    // lowest byte; NULL: the OS thread's own
    size_t stack_bytes;
    const void *sanitizer_stack; // ASan: bounds, also of the OS thread's own stack
    size_t sanitizer_bytes;
    void *sanitizer_fake;  // ASan: its frames beside the stack
    void *sanitizer_fiber; // TSan: its history
};

// Prepares a context that calls entry(argument), which must not return, on this stack.
void fiber_prepare(struct fiber_context *context, void *stack, size_t stack_bytes,
                   void (*entry)(void *), void *argument);
// Leaves `from`, which runs, for `to`; returns when somebody switches back. errno is `from`'s own.
void fiber_switch(struct fiber_context *from, struct fiber_context *to);
// As fiber_switch; `from` never runs again.
void fiber_leave(struct fiber_context *from, struct fiber_context *to) __attribute__((noreturn));
// The context is not used again; it does not run.
void fiber_forget(struct fiber_context *context);

// A pool of stacks of one size in one reservation. A stack's memory is opened when it is first
// given out; those given back are given out again first.
struct fiber_stacks {
    char *base;
    size_t stack_bytes, limit, used;
    uint32_t *free;
    size_t free_count;
};
bool fiber_stacks_create(struct fiber_stacks *stacks, size_t limit, size_t stack_bytes);
void fiber_stacks_destroy(struct fiber_stacks *stacks);
void fiber_stacks_reset(struct fiber_stacks *stacks); // all are given back
void *fiber_stack_take(struct fiber_stacks *stacks);  // NULL: no memory
// May be called on the very stack that is given back, until the next take.
void fiber_stack_give(struct fiber_stacks *stacks, void *stack);

#endif
