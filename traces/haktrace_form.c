// haktrace_form.c: the form that --format names, for export and import. See haktrace.h.
#include "haktrace.h"
#include "nearest.h"

#include <string.h>

unsigned haktrace_form(const char *given, const char *const *name, size_t stride, unsigned count,
                       const char *expected) {
    const char *names[HAKTRACE_FORMS_MAX];
    char meant[TRACE_MEANT_BYTES] = "";
    for (unsigned form = 0; form < count; form++) {
        names[form] = *(const char *const *)(const void *)((const char *)name + form * stride);
        if (given && strcmp(given, names[form]) == 0)
            return form;
    }
    haktrace_fail("expected --format=%s, found %s%s", expected, given ? given : "none",
                  given ? trace_meant(meant, "", given, names, count) : "");
    return count;
}
