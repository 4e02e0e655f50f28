// drain_table.c: memory for large tables that are looked up at random.
//
// Owns: asking for huge pages. On small ones every look-up in a table of some MiB misses the
// processor's table of pages too, which in a virtual machine costs more than the memory itself.
#include "drainer.h"

#include <sys/mman.h>

enum { HUGE_BYTES = 2 << 20 };

static size_t mapped_bytes(size_t bytes) {
    size_t unit = bytes >= HUGE_BYTES ? HUGE_BYTES : 4096;
    return (bytes + unit - 1) & ~(unit - 1);
}

// A part of a larger mapping that begins where a huge page can.
static void *map_huge(size_t bytes) {
    char *mapping =
        mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)mapping & (HUGE_BYTES - 1);
    if (before > 0)
        munmap(mapping, before);
    munmap(mapping + before + bytes, HUGE_BYTES - before);
    madvise(mapping + before, bytes, MADV_HUGEPAGE); // without, it is slower
    return mapping + before;
}

void *drain_table_make(size_t bytes) {
    size_t mapped = mapped_bytes(bytes);
    if (bytes >= HUGE_BYTES)
        return map_huge(mapped);
    void *table = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return table != MAP_FAILED ? table : NULL;
}

void drain_table_free(void *table, size_t bytes) {
    if (table != NULL)
        munmap(table, mapped_bytes(bytes));
}
