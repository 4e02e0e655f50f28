// preload_map.c: memory that the program maps itself.
//
// Owns: mmap, munmap and mremap as the program calls them, and what is said of them where that was
// asked for (--maps). Does not own: what the allocator maps for its blocks, which it does inside of
// calls that are recorded, and what the C library and the dynamic linker map for themselves (stacks
// of threads, libraries): they do not come by here.
//
// The order is that of blocks: a range is given up before the real call, and got after it.
#include "libhakrec.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define CALLER_STATE &(const struct rec_caller)REC_CALLER_HERE

static void *forward_mmap(void *address, size_t bytes, int protection, int flags, int file,
                          off_t offset) {
    if (rec_real.mmap != NULL)
        return rec_real.mmap(address, bytes, protection, flags, file, offset);
    return (void *)rec_raw(SYS_mmap, (long)address, (long)bytes, protection, flags, file, offset);
}

static int forward_munmap(void *address, size_t bytes) {
    if (rec_real.munmap != NULL)
        return rec_real.munmap(address, bytes);
    return (int)rec_raw(SYS_munmap, (long)address, (long)bytes, 0, 0, 0, 0);
}

static void *forward_mremap(void *old, size_t old_bytes, size_t bytes, int flags, void *to) {
    if (rec_real.mremap != NULL)
        return rec_real.mremap(old, old_bytes, bytes, flags, to);
    return (void *)rec_raw(SYS_mremap, (long)old, (long)old_bytes, (long)bytes, flags, (long)to, 0);
}

// Opens an event for a call of the program's own. What is mapped within another event is the
// allocator's affair, or ours.
static bool begin(const struct rec_caller *caller) {
    return rec_session != NULL && rec_session->maps != 0 && rec_thread.depth == 0 &&
           rec_begin_call(caller->address);
}

// Who called goes before, as the ring's stack; the record's own word has no room for it.
static void say(uint8_t op, const void *address, size_t bytes, int protection, int flags,
                const struct rec_caller *caller) {
    struct rec_level *level = rec_level_now();
    int saved_errno = errno;
    level->phase = REC_PHASE_RECORD;
    if (rec_level_has_room(level)) {
        uint64_t stack = rec_stack_capture(level, caller);
        if (rec_level_reserve(level, 2)) {
            rec_publish(level, RING_OP_STACK, 0, 0, 0, stack, (uint8_t)ring_stack_count(stack));
            rec_publish(level, op, 0, (uint64_t)address, bytes,
                        (uint32_t)protection | (uint64_t)(uint32_t)flags << 32, 0);
        }
    }
    level->phase = REC_PHASE_REAL;
    errno = saved_errno;
}

REC_EXPORT void *mmap(void *address, size_t bytes, int protection, int flags, int file,
                      off_t offset) {
    if (REC_LIKELY(!begin(CALLER_STATE)))
        return forward_mmap(address, bytes, protection, flags, file, offset);
    void *range = forward_mmap(address, bytes, protection, flags, file, offset);
    if (range != MAP_FAILED)
        say(RING_OP_MAP, range, bytes, protection, flags, CALLER_STATE);
    rec_end();
    return range;
}

REC_EXPORT void *mmap64(void *address, size_t bytes, int protection, int flags, int file,
                        off_t offset) __attribute__((alias("mmap")));

REC_EXPORT int munmap(void *address, size_t bytes) {
    if (REC_LIKELY(!begin(CALLER_STATE)))
        return forward_munmap(address, bytes);
    say(RING_OP_UNMAP, address, bytes, 0, 0, CALLER_STATE);
    int result = forward_munmap(address, bytes);
    if (result != 0)
        say(RING_OP_MAP_KEPT, address, bytes, 0, 0, CALLER_STATE);
    rec_end();
    return result;
}

REC_EXPORT void *mremap(void *old, size_t old_bytes, size_t bytes, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    void *to = flags & MREMAP_FIXED ? va_arg(arguments, void *) : NULL;
    va_end(arguments);
    if (REC_LIKELY(!begin(CALLER_STATE)))
        return forward_mremap(old, old_bytes, bytes, flags, to);
    say(RING_OP_MAP_MOVE_FROM, old, old_bytes, 0, flags, CALLER_STATE);
    void *range = forward_mremap(old, old_bytes, bytes, flags, to);
    if (range != MAP_FAILED)
        say(RING_OP_MAP_MOVE_TO, range, bytes, 0, flags, CALLER_STATE);
    else
        say(RING_OP_MAP_KEPT, old, old_bytes, 0, 0, CALLER_STATE);
    rec_end();
    return range;
}
