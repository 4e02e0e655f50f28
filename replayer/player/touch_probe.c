// touch_probe.c: libhaktouch.so, an allocator that tells how much of the blocks that a program asks
// for it ever uses:
//
//     LD_PRELOAD=libhaktouch.so HAK_TOUCH=app.touch.json ./app
//     hakreplay measure trace.zst --touch=app.touch.json
//
// A block of a page or more has a mapping of its own, so that the pages of it that are resident
// when it is given up are those that the program used. Smaller ones are cut from larger mappings,
// are counted as used whole, and their memory is never used again. Slow, and hungry: it is for one
// run.
//
// A mapping begins with one page that holds the block's size; blocks of a page or more begin on a
// page, smaller ones never do.
//
// Threads: any; one lock for all. Children of a fork write nothing.
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT        __attribute__((visibility("default")))
#define PAGE_BYTES    ((size_t)4096)
#define HEADER_BYTES  16 // of a small block
#define CHUNK_BYTES   ((size_t)1 << 20)
#define SIZE_MAX_MADE ((size_t)1 << 46)

struct large { // at the beginning of its mapping
    struct large *before, *after;
    size_t size, offset; // of the block, in the mapping
    size_t mapped;
};

static atomic_flag is_locked = ATOMIC_FLAG_INIT;
static struct large head = {&head, &head, 0, 0, 0};
static uint64_t asked[64], used[64]; // bytes, by log2 of the size
static char *chunk;
static size_t chunk_left;
static pid_t owner;

static void lock(void) {
    while (atomic_flag_test_and_set_explicit(&is_locked, memory_order_acquire))
        __builtin_ia32_pause();
}

static void unlock(void) {
    atomic_flag_clear_explicit(&is_locked, memory_order_release);
}

static void *map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static size_t pages_of(size_t bytes) {
    return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

// ---------------------------------------------------------------- counting

static unsigned class_of(size_t size) {
    return size == 0 ? 0 : 63 - (unsigned)__builtin_clzl(size);
}

static size_t resident_bytes(char *block, size_t size) {
    static unsigned char pages[256]; // under the lock
    size_t resident = 0;
    for (size_t at = 0; at < size; at += sizeof pages * PAGE_BYTES) {
        size_t bytes =
            size - at < sizeof pages * PAGE_BYTES ? size - at : sizeof pages * PAGE_BYTES;
        if (mincore(block + at, bytes, pages) != 0)
            return size;
        for (size_t i = 0; i * PAGE_BYTES < bytes; i++)
            resident += (pages[i] & 1) * PAGE_BYTES;
    }
    return resident < size ? resident : size;
}

static void count(struct large *large) {
    asked[class_of(large->size)] += large->size;
    used[class_of(large->size)] += resident_bytes((char *)large + large->offset, large->size);
}

// ---------------------------------------------------------------- blocks

static bool is_large(const void *block) {
    return ((uintptr_t)block & (PAGE_BYTES - 1)) == 0;
}

// Its header's page lies before it, whatever the alignment.
static struct large *large_of(void *block) {
    struct large *large;
    memcpy(&large, (char *)block - sizeof large, sizeof large);
    return large;
}

static void link_in(struct large *large) {
    large->before = &head;
    large->after = head.after;
    head.after->before = large;
    head.after = large;
    char *block = (char *)large + large->offset;
    memcpy(block - sizeof large, &large, sizeof large);
}

static void *make_large(size_t size, size_t alignment) {
    size_t offset = alignment > PAGE_BYTES ? alignment : PAGE_BYTES;
    size_t bytes = pages_of(size) + 2 * offset;
    struct large *large = size > SIZE_MAX_MADE ? NULL : map(bytes);
    if (large == NULL)
        return NULL;
    uintptr_t block = ((uintptr_t)large + offset + alignment - 1) & ~(uintptr_t)(alignment - 1);
    large->size = size;
    large->mapped = bytes;
    large->offset = block - (uintptr_t)large;
    link_in(large);
    return (void *)block;
}

static void *make_small(size_t size, size_t alignment) {
    size_t bytes = ((size + HEADER_BYTES + 15) & ~(size_t)15) + 2 * alignment + 16;
    if (bytes > chunk_left) {
        if ((chunk = map(CHUNK_BYTES)) == NULL)
            return NULL;
        chunk_left = CHUNK_BYTES;
    }
    uintptr_t block = ((uintptr_t)chunk + HEADER_BYTES + alignment - 1) & ~(alignment - 1);
    if (is_large((void *)block))
        block += alignment;
    chunk_left -= block + size - (uintptr_t)chunk;
    chunk = (char *)block + size;
    memcpy((char *)block - sizeof size, &size, sizeof size);
    asked[class_of(size)] += size;
    used[class_of(size)] += size;
    return (void *)block;
}

static void *make(size_t size, size_t alignment) {
    lock();
    void *block = size >= PAGE_BYTES || alignment >= PAGE_BYTES ? make_large(size, alignment)
                                                                : make_small(size, alignment);
    unlock();
    if (block == NULL)
        errno = ENOMEM;
    return block;
}

static size_t size_of(void *block) {
    size_t size;
    if (is_large(block))
        return large_of(block)->size;
    memcpy(&size, (char *)block - sizeof size, sizeof size);
    return size;
}

static void take_out(struct large *large) {
    large->before->after = large->after;
    large->after->before = large->before;
}

// ---------------------------------------------------------------- the entry points

EXPORT void *malloc(size_t size);
EXPORT void free(void *block);
EXPORT void *calloc(size_t many, size_t size);
EXPORT void *realloc(void *block, size_t size);
EXPORT int posix_memalign(void **block, size_t alignment, size_t size);
EXPORT void *aligned_alloc(size_t alignment, size_t size);
EXPORT void *memalign(size_t alignment, size_t size);
EXPORT void *valloc(size_t size);
EXPORT size_t malloc_usable_size(void *block);

void *malloc(size_t size) {
    return make(size, 16);
}

void *calloc(size_t many, size_t size) {
    if (size != 0 && many > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return make(many * size, 16); // no memory is used twice
}

void free(void *block) {
    if (block == NULL || !is_large(block))
        return;
    int error = errno;
    lock();
    struct large *large = large_of(block);
    count(large);
    take_out(large);
    munmap(large, large->mapped);
    unlock();
    errno = error;
}

// Pages move with the block: copying them would use them.
static void *move_large(void *block, size_t size) {
    struct large *large = large_of(block);
    size_t offset = large->offset, bytes = pages_of(size) + 2 * offset;
    lock();
    take_out(large);
    struct large *moved = mremap(large, large->mapped, bytes, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) {
        link_in(large);
        unlock();
        errno = ENOMEM;
        return NULL;
    }
    moved->size = size;
    moved->mapped = bytes;
    link_in(moved);
    unlock();
    return (char *)moved + offset;
}

void *realloc(void *block, size_t size) {
    if (block == NULL)
        return malloc(size);
    if (size == 0) {
        free(block);
        return NULL;
    }
    if (size <= SIZE_MAX_MADE && is_large(block) && size >= PAGE_BYTES)
        return move_large(block, size);
    void *moved = malloc(size);
    if (moved != NULL) {
        size_t before = size_of(block);
        memcpy(moved, block, before < size ? before : size);
        free(block);
    }
    return moved;
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    void *made = make(size, alignment < 16 ? 16 : alignment);
    if (made == NULL)
        return ENOMEM;
    *block = made;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t size) {
    return make(size, alignment < 16 ? 16 : alignment);
}

void *memalign(size_t alignment, size_t size) {
    return make(size, alignment < 16 ? 16 : alignment);
}

void *valloc(size_t size) {
    return make(size, PAGE_BYTES);
}

size_t malloc_usable_size(void *block) {
    return block == NULL ? 0 : size_of(block);
}

// ---------------------------------------------------------------- the result

static __attribute__((constructor)) void note_owner(void) {
    owner = getpid();
}

static __attribute__((destructor)) void tell(void) {
    static char text[64 * 96 + 128];
    const char *path = getenv("HAK_TOUCH");
    if (path == NULL || getpid() != owner)
        return;
    lock();
    for (struct large *large = head.after; large != &head; large = large->after)
        count(large);
    int length =
        snprintf(text, sizeof text, "{\"schema\":\"hak.touch\",\"version\":1,\"classes\":[");
    bool is_first = true;
    for (unsigned i = 0; i < 64; i++)
        if (asked[i] != 0) {
            length += snprintf(text + length, sizeof text - (size_t)length,
                               "%s\n{\"log2\":%u,\"bytes\":%llu,\"used_bytes\":%llu}",
                               is_first ? "" : ",", i, (unsigned long long)asked[i],
                               (unsigned long long)used[i]);
            is_first = false;
        }
    length += snprintf(text + length, sizeof text - (size_t)length, "]}\n");
    unlock();
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0 || write(file, text, (size_t)length) != length)
        _exit(1);
    close(file);
}
