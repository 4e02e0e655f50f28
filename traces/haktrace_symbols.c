// haktrace_symbols.c: see haktrace_symbols.h.
#include "haktrace_symbols.h"

#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Where distributions put programs and libraries.
static const char *const folders[] = {
    "/usr/lib/x86_64-linux-gnu",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/lib64",
    "/usr/lib",
    "/lib/x86_64-linux-gnu",
    "/lib64",
    "/lib",
    "/bin",
    "/usr/libexec",
    "",
    "/usr/games",
};
enum { FOLDER_COUNT = sizeof folders / sizeof *folders, MODULES_MAX = 1 << 20 };

struct module {
    bool tried;
    Dwfl *dwfl; // NULL: no file was found
    Dwfl_Module *content;
    uint64_t start; // address at which elfutils has laid out the module's load base
};

struct haktrace_symbols {
    char *root;
    struct module *modules; // by number
    uint32_t capacity;
};

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
};

struct haktrace_symbols *haktrace_symbols_open(const char *root) {
    struct haktrace_symbols *symbols = calloc(1, sizeof *symbols);
    if (symbols)
        symbols->root = strdup(root);
    if (symbols && !symbols->root) {
        free(symbols);
        return NULL;
    }
    return symbols;
}

void haktrace_symbols_close(struct haktrace_symbols *symbols) {
    if (!symbols)
        return;
    for (uint32_t i = 0; i < symbols->capacity; i++)
        dwfl_end(symbols->modules[i].dwfl);
    free(symbols->modules);
    free(symbols->root);
    free(symbols);
}

// Whether the module's build-id is this one, in hexadecimal.
static bool has_build_id(Dwfl_Module *content, const char *build_id) {
    const unsigned char *bits;
    GElf_Addr address;
    int size = dwfl_module_build_id(content, &bits, &address);
    if (size <= 0 || strlen(build_id) != 2 * (size_t)size)
        return false;
    for (int i = 0; i < size; i++) {
        char byte[3];
        snprintf(byte, sizeof byte, "%02x", bits[i]);
        if (memcmp(byte, build_id + 2 * (size_t)i, 2) != 0)
            return false;
    }
    return true;
}

static bool open_file(struct module *module, const char *path, const char *build_id) {
    Dwfl *dwfl = dwfl_begin(&callbacks);
    if (!dwfl)
        return false;
    dwfl_report_begin(dwfl);
    Dwfl_Module *content = dwfl_report_offline(dwfl, "module", path, -1);
    dwfl_report_end(dwfl, NULL, NULL);
    if (!content || !has_build_id(content, build_id)) {
        dwfl_end(dwfl);
        return false;
    }
    Dwarf_Addr start;
    dwfl_module_info(content, NULL, &start, NULL, NULL, NULL, NULL, NULL);
    *module = (struct module){true, dwfl, content, start};
    return true;
}

// The file itself, or what stands in for it by its build-id.
static void find_file(const struct haktrace_symbols *symbols, struct module *module,
                      const char *name, const char *build_id) {
    char path[4096];
    module->tried = true;
    if (strlen(build_id) < 4)
        return;
    for (unsigned i = 0; *name && !strchr(name, '/') && i < FOLDER_COUNT; i++) {
        snprintf(path, sizeof path, "%s%s/%s", symbols->root, folders[i], name);
        // "" is the root itself, and without a root the current folder.
        if (open_file(module, *path == '/' && !*symbols->root && !*folders[i] ? name : path,
                      build_id))
            return;
    }
    snprintf(path, sizeof path, "%s/usr/lib/debug/.build-id/%.2s/%s.debug", symbols->root, build_id,
             build_id + 2);
    open_file(module, path, build_id);
}

static struct module *module_numbered(struct haktrace_symbols *symbols, uint32_t number) {
    if (number >= MODULES_MAX)
        return NULL;
    if (number >= symbols->capacity) {
        uint32_t capacity = number + 64;
        struct module *grown = realloc(symbols->modules, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        memset(grown + symbols->capacity, 0, (capacity - symbols->capacity) * sizeof *grown);
        symbols->modules = grown;
        symbols->capacity = capacity;
    }
    return &symbols->modules[number];
}

const char *haktrace_symbols_name(struct haktrace_symbols *symbols, uint32_t number,
                                  const char *name, const char *build_id, uint64_t offset) {
    struct module *module = module_numbered(symbols, number);
    if (!module)
        return NULL;
    if (!module->tried)
        find_file(symbols, module, name, build_id);
    GElf_Off into;
    GElf_Sym symbol;
    if (!module->content)
        return NULL;
    return dwfl_module_addrinfo(module->content, module->start + offset, &into, &symbol, NULL, NULL,
                                NULL);
}
