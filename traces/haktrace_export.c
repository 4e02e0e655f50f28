// haktrace_export.c: `haktrace export`: a trace as other tools read it.
//
// Owns: the choice of the form, and sums that several forms need. The forms have files of their
// own; what each keeps and what not is in haktrace(1).
#include "haktrace_export.h"

#include <stdlib.h>

static const struct {
    const char *name;
    int (*write)(struct haktrace_export *export);
} forms[] = {
    {"heaptrack", haktrace_export_heaptrack},
    {"pprof", haktrace_export_pprof},
    {"chrome", haktrace_export_chrome},
    {"collapsed", haktrace_export_collapsed},
    {"csv", haktrace_export_csv},
};
enum { FORM_COUNT = sizeof forms / sizeof *forms };
_Static_assert(FORM_COUNT <= HAKTRACE_FORMS_MAX, "haktrace_form lists them");

struct haktrace_site *haktrace_sum_nodes(struct haktrace_export *export) {
    struct haktrace_view view;
    struct haktrace_site *sites = NULL;
    if (haktrace_view_begin(&view, export->reading.reader) != 0 ||
        haktrace_view_whole(&view) != 0) {
        export->error = view.error;
    } else {
        sites = view.sites;
        view.sites = NULL;
    }
    haktrace_view_end(&view);
    return sites;
}

static int write_whole(struct haktrace_export *export, const struct haktrace_options *options,
                       int (*writer)(struct haktrace_export *export, uint64_t argument),
                       uint64_t argument) {
    if (!haktrace_frames_begin(&export->frames, export->reading.reader))
        return haktrace_fail("out of memory");
    int status = HAKTRACE_USAGE;
    if (options->symbols && !(export->frames.symbols = haktrace_symbols_open(options->symbols))) {
        status = haktrace_fail("out of memory");
    } else if (haktrace_output_open(&export->output, options->output, options->force) == 0) {
        bool failed = writer(export, argument) != 0;
        status = failed ? haktrace_fail("%s", export->error.text) : HAKTRACE_OK;
        status = haktrace_output_finish(&export->output, status, failed);
    }
    haktrace_frames_end(&export->frames);
    return status;
}

int haktrace_write_export(const struct haktrace_options *options,
                          int (*writer)(struct haktrace_export *export, uint64_t argument),
                          uint64_t argument) {
    struct haktrace_export export = {.error = {""}};
    int status = haktrace_read_whole(options->path, &export.reading);
    if (status != HAKTRACE_OK)
        return status;
    // A trace in disorder has no lives to speak of, and could name any number of threads.
    if (export.reading.check.anomalies.total > 0)
        status = haktrace_fail("%s: expected a trace in order, found: %s", options->path,
                               export.reading.check.anomalies.first_text);
    else
        status = write_whole(&export, options, writer, argument);
    haktrace_close(&export.reading);
    return status;
}

static int write_form(struct haktrace_export *export, uint64_t form) {
    return forms[form].write(export);
}

int haktrace_export(const struct haktrace_options *options) {
    unsigned form = haktrace_form(options->format, &forms[0].name, sizeof *forms, FORM_COUNT,
                                  "heaptrack, pprof, chrome, collapsed or csv");
    if (form == FORM_COUNT)
        return HAKTRACE_USAGE;
    return haktrace_write_export(options, write_form, form);
}
