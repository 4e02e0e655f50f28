// preload_module.c: which files are loaded where.
//
// Owns: the module log of ring.h, kept from inside the process, so that a stack can be named long
// after the process is gone, and a second copy in private memory, because a fork child must not
// ask the dynamic linker, whose locks another thread may have held at the fork.
//
// The log is brought up to date when a new stack turns up after something was loaded, and when
// dlclose has unloaded something.
//
// Threads: one refresh at a time; who finds one under way does without (a handler may have
// interrupted it). The drainer then still finds the module, in what the other one appends.
#include "libhakrec.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

static struct ring_module known[RING_MODULES_MAX]; // as in the session's log
static _Atomic uint32_t known_count;
static _Atomic uint32_t epoch;
static _Atomic uint32_t unloading; // calls of dlclose under way
static atomic_flag refreshing = ATOMIC_FLAG_INIT;
static _Atomic uint64_t adds_seen, subs_seen; // the dynamic linker's counts at the last look

uint32_t rec_module_epoch(void) {
    return atomic_load_explicit(&epoch, memory_order_relaxed);
}

static struct ring_module *log_entries(void) {
    return (struct ring_module *)((char *)rec_session + rec_session->modules_offset);
}

static void build_id_read(struct ring_module *module, const char *note, size_t bytes) {
    const char *end = note + bytes;
    while (note + sizeof(ElfW(Nhdr)) <= end) {
        const ElfW(Nhdr) *header = (const ElfW(Nhdr) *)note;
        const char *name = note + sizeof *header;
        const char *content = name + ((header->n_namesz + 3) & ~3u);
        if (header->n_type == NT_GNU_BUILD_ID && header->n_namesz == 4 &&
            memcmp(name, "GNU", 4) == 0 && header->n_descsz <= sizeof module->build_id) {
            memcpy(module->build_id, content, header->n_descsz);
            module->build_id_bytes = (uint8_t)header->n_descsz;
            return;
        }
        note = content + ((header->n_descsz + 3) & ~3u);
    }
}

// The program's own file has no name here. It is asked for once: a sandbox may forbid it later.
static void path_read(struct ring_module *module, const char *name) {
    static char program[sizeof module->path];
    if (*name == '\0' && program[0] == '\0') {
        ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
        program[length > 0 ? length : 0] = '\0';
    }
    strncpy(module->path, *name != '\0' ? name : program, sizeof module->path - 1);
}

static void module_describe(struct ring_module *module, const struct dl_phdr_info *info) {
    memset(module, 0, sizeof *module);
    module->start = UINT64_MAX;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_NOTE && module->build_id_bytes == 0)
            build_id_read(module, (const char *)start, segment->p_memsz);
        if (segment->p_type != PT_LOAD)
            continue;
        if ((start & ~4095ull) < module->start)
            module->start = start & ~4095ull;
        if (start + segment->p_memsz > module->end)
            module->end = start + segment->p_memsz;
    }
    path_read(module, info->dlpi_name);
}

// The latest entry that overlaps this one is the same file: nothing to say.
static bool module_is_current(const struct ring_module *module) {
    for (uint32_t i = atomic_load(&known_count); i-- > 0;)
        if (known[i].start < module->end && module->start < known[i].end)
            return memcmp(&known[i], module, sizeof *module) == 0;
    return false;
}

static void module_append(const struct ring_module *module) {
    uint32_t count = atomic_load(&known_count);
    if (count == RING_MODULES_MAX) {
        atomic_fetch_add(&rec_session->module_overflow, 1);
        return;
    }
    known[count] = log_entries()[count] = *module;
    // Release: whoever reads the count finds the entries below it whole.
    atomic_store_explicit(&known_count, count + 1, memory_order_release);
    atomic_store_explicit(&rec_session->module_count, count + 1, memory_order_release);
}

static int module_visit(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    (void)context;
    struct ring_module module;
    module_describe(&module, info);
    if (module.start < module.end && !module_is_current(&module))
        module_append(&module);
    atomic_store_explicit(&adds_seen, info->dlpi_adds, memory_order_relaxed);
    atomic_store_explicit(&subs_seen, info->dlpi_subs, memory_order_relaxed);
    return 0;
}

void rec_module_refresh(void) {
    if (atomic_flag_test_and_set_explicit(&refreshing, memory_order_acquire))
        return;
    dl_iterate_phdr(module_visit, NULL);
    atomic_flag_clear_explicit(&refreshing, memory_order_release);
}

struct linker_counts {
    uint64_t adds, subs;
};

static int counts_visit(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    *(struct linker_counts *)context = (struct linker_counts){info->dlpi_adds, info->dlpi_subs};
    return 1;
}

static struct linker_counts counts_now(void) {
    struct linker_counts counts = {0, 0};
    dl_iterate_phdr(counts_visit, &counts);
    return counts;
}

static bool is_known(uint64_t address) {
    for (uint32_t i = atomic_load_explicit(&known_count, memory_order_acquire); i-- > 0;)
        if (address >= known[i].start && address < known[i].end)
            return true;
    return false;
}

void rec_module_cover(uint64_t address) {
    // A fork child asks only if it must: another thread of its parent may have held the linker's
    // lock. Elsewhere a known address proves nothing: another file may stand there by now.
    if (rec_session_number() > 0 && is_known(address))
        return;
    if (counts_now().adds != atomic_load_explicit(&adds_seen, memory_order_relaxed))
        rec_module_refresh();
}

bool rec_module_is_unloading(void) {
    return atomic_load_explicit(&unloading, memory_order_relaxed) != 0;
}

void rec_module_unload_begin(void) {
    atomic_fetch_add(&unloading, 1);
}

void rec_module_unload_end(void) {
    if (counts_now().subs != atomic_load_explicit(&subs_seen, memory_order_relaxed)) {
        atomic_fetch_add(&epoch, 1);
        rec_module_refresh();
    }
    atomic_fetch_sub(&unloading, 1);
}

void rec_module_reset_child(void) {
    atomic_flag_clear(&refreshing);
    atomic_store(&unloading, 0); // by a thread that does not exist here
}

void rec_module_publish(void) {
    uint32_t count = atomic_load(&known_count);
    memcpy(log_entries(), known, count * sizeof *known);
    atomic_store_explicit(&rec_session->module_count, count, memory_order_release);
}
