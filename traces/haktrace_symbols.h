// haktrace_symbols.h: names of functions, found after the fact, on this machine or with its files.
//
// A module is known by its build-id. Its file is looked for under its name in the folders where
// programs and libraries are, below `root`, and taken only if its build-id is the same; separate
// debugging information is found as elfutils finds it (/usr/lib/debug, or debuginfod where
// DEBUGINFOD_URLS says so). One thread.
#ifndef HAK_HAKTRACE_SYMBOLS_H
#define HAK_HAKTRACE_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

struct haktrace_symbols;

// `root`: folder below which files are looked for, "" for this machine's own. NULL when memory is
// out.
struct haktrace_symbols *haktrace_symbols_open(const char *root);
void haktrace_symbols_close(struct haktrace_symbols *symbols);
// The function at `offset` of a module (number as in the trace), as its file spells it, or NULL.
// Valid until the symbols are closed.
const char *haktrace_symbols_name(struct haktrace_symbols *symbols, uint32_t module,
                                  const char *name, const char *build_id, uint64_t offset);

#endif
