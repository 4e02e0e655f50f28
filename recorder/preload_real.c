// preload_real.c: the functions behind ours.
//
// Owns: their addresses (RTLD_NEXT, so another preloaded allocator is served as well as glibc's)
// and the address ranges that tell the allocator's own calls from the program's.
// Does not own: when they are looked up (preload_session.c).
#include "libhakrec.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <string.h>

struct rec_real rec_real;
bool rec_real_realloc_zero_frees, rec_real_tells_size;

struct range {
    uintptr_t start, end;
};
static struct range allocator_range, libc_range, linker_range, unwinder_range;

struct range_search {
    uintptr_t address;
    struct range found;
};

static int range_visit(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    struct range_search *search = context;
    struct range range = {UINTPTR_MAX, 0};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD)
            continue;
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        if (start < range.start)
            range.start = start;
        if (start + segment->p_memsz > range.end)
            range.end = start + segment->p_memsz;
    }
    if (search->address < range.start || search->address >= range.end)
        return 0;
    search->found = range;
    return 1;
}

static struct range range_around(const void *address) {
    struct range_search search = {.address = (uintptr_t)address};
    dl_iterate_phdr(range_visit, &search);
    return search.found;
}

static bool range_holds(const struct range *range, const void *address) {
    return (uintptr_t)address >= range->start && (uintptr_t)address < range->end;
}

// dlsym gives a data pointer; ISO C has no cast from that to a function's.
static void look_up(void *function, const char *name) {
    void *address = dlsym(RTLD_NEXT, name);
    memcpy(function, &address, sizeof address);
}

static void *as_data(void *(*function)(size_t)) {
    void *address;
    memcpy(&address, &function, sizeof address);
    return address;
}

void rec_real_resolve(void) {
    look_up(&rec_real.calloc, "calloc");
    look_up(&rec_real.free, "free");
    look_up(&rec_real.realloc, "realloc");
    look_up(&rec_real.memalign, "memalign");
    look_up(&rec_real.posix_memalign, "posix_memalign");
    look_up(&rec_real.aligned_alloc, "aligned_alloc");
    look_up(&rec_real.valloc, "valloc");
    look_up(&rec_real.pvalloc, "pvalloc");
    look_up(&rec_real.malloc_usable_size, "malloc_usable_size");
    look_up(&rec_real.pthread_create, "pthread_create");
    look_up(&rec_real.pthread_join, "pthread_join");
    look_up(&rec_real.pthread_tryjoin_np, "pthread_tryjoin_np");
    look_up(&rec_real.pthread_timedjoin_np, "pthread_timedjoin_np");
    look_up(&rec_real.pthread_clockjoin_np, "pthread_clockjoin_np");
    look_up(&rec_real.thrd_create, "thrd_create");
    look_up(&rec_real.thrd_join, "thrd_join");
    look_up(&rec_real.fork, "fork");
    look_up(&rec_real._Fork, "_Fork");
    look_up(&rec_real.dlclose, "dlclose");
    look_up(&rec_real._exit, "_exit");
    look_up(&rec_real.mmap, "mmap");
    look_up(&rec_real.munmap, "munmap");
    look_up(&rec_real.mremap, "mremap");
    look_up(&rec_real.malloc, "malloc");
    libc_range = range_around(gnu_get_libc_version());
    allocator_range = range_around(as_data(rec_real.malloc));
    linker_range = range_around(dlsym(RTLD_NEXT, "__tls_get_addr"));
    void *tells_size;
    memcpy(&tells_size, &rec_real.malloc_usable_size, sizeof tells_size);
    rec_real_tells_size = range_holds(&allocator_range, tells_size);
    rec_real_realloc_zero_frees = allocator_range.start == libc_range.start;
}

int (*rec_real_unwinder(void))(void **, int) {
    // RTLD_LOCAL and never linked: libunwind exports _Unwind_RaiseException and its kin, and must
    // not become the unwinder of the program's C++ plugins.
    void *library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return NULL;
    void *address = dlsym(library, "unw_backtrace");
    int (*backtrace)(void **, int);
    memcpy(&backtrace, &address, sizeof backtrace);
    unwinder_range = range_around(address);
    return backtrace;
}

bool rec_real_is_inside(const void *caller, uint32_t phase) {
    if (phase == REC_PHASE_RECORD)
        return false;
    if (phase == REC_PHASE_REAL)
        return range_holds(&allocator_range, caller);
    // While the ranges are not known yet, only start-up code can be running.
    return libc_range.end == 0 || range_holds(&linker_range, caller) ||
           range_holds(&libc_range, caller) || range_holds(&unwinder_range, caller);
}

bool rec_real_is_linker(const void *caller) {
    return range_holds(&linker_range, caller);
}

// The module that defines the function that the program calls by this name. A program that takes
// a function's address has a stub of that name which it does not define: NULL.
static const char *definer(const char *name, Dl_info *where) {
    ElfW(Sym) *symbol = NULL;
    void *address = dlsym(RTLD_DEFAULT, name);
    if (address == NULL || dladdr1(address, where, (void **)&symbol, RTLD_DL_SYMENT) == 0 ||
        symbol == NULL || symbol->st_shndx == SHN_UNDEF)
        return NULL;
    return where->dli_fname;
}

struct import_search {
    const char *prefix;
    bool found;
};

// A pointer of the dynamic section; in the kernel's own module the loader has not relocated it.
static const void *dynamic_pointer(const struct dl_phdr_info *info, const ElfW(Dyn) * entry) {
    uintptr_t address = entry->d_un.d_ptr;
    return (const void *)(address < info->dlpi_addr ? info->dlpi_addr + address : address);
}

static int import_visit(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    struct import_search *search = context;
    const ElfW(Dyn) *entry = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    const ElfW(Sym) *symbols = NULL;
    const char *names = NULL;
    const uint32_t *gnu_hash = NULL;
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            symbols = dynamic_pointer(info, entry);
        else if (entry->d_tag == DT_STRTAB)
            names = dynamic_pointer(info, entry);
        else if (entry->d_tag == DT_GNU_HASH)
            gnu_hash = dynamic_pointer(info, entry);
    }
    if (symbols == NULL || names == NULL || gnu_hash == NULL)
        return 0;
    uint32_t first_defined = gnu_hash[1]; // those that a module imports come before
    for (uint32_t i = 1; i < first_defined && !search->found; i++)
        search->found =
            symbols[i].st_shndx == SHN_UNDEF &&
            strncmp(names + symbols[i].st_name, search->prefix, strlen(search->prefix)) == 0;
    return search->found;
}

// Whether any module loaded now calls a function whose name begins so.
static bool is_imported(const char *prefix) {
    struct import_search search = {.prefix = prefix};
    dl_iterate_phdr(import_visit, &search);
    return search.found;
}

uint32_t rec_real_own_allocator(const char **module) {
    Dl_info where, ours;
    *module = definer("malloc", &where);
    if (*module != NULL && dladdr(&rec_real, &ours) != 0 && where.dli_fbase != ours.dli_fbase)
        return RING_OWN_MALLOC;
    // An allocator's own operator new does not come by malloc; a C program does not call it.
    *module = definer("_Znwm", &where);
    bool by_allocator = *module != NULL && range_holds(&allocator_range, where.dli_saddr);
    return by_allocator && (is_imported("_Znw") || is_imported("_Zna")) ? RING_OWN_OPERATOR_NEW
                                                                        : RING_OWN_NOTHING;
}
