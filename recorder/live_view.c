// live_view.c: hakrec --live: what the program does, while it runs, at the foot of the terminal.
//
// Owns: the terminal's last lines. They are taken out of the part that scrolls, so that what the
// program prints goes on above them. What stands there is read from the main trace as it grows; the
// drainer knows nothing of it, and a program that is faster than the reading only makes the view
// lag behind, which it then says.
//
// Threads: the launcher's one. Reading goes in slices, so that the launcher stays responsive.
#include "drainer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "haktrace_view.h"

enum {
    SLICE_EVENTS = 100 * 1000,
    DRAW_MS = 500,
    GROW_MS = 50, // how often the file is looked at
    SITES = 8,
    HEIGHT = SITES + 4,    // lines of the view
    ROWS_MIN = HEIGHT + 4, // of the terminal
    COLUMNS_MAX = 400
};

struct live_view {
    const char *path;
    uint64_t old_inode; // of what stands under that name until the trace takes it over; 0 = nothing
    bool tinted;
    struct trace_reader *reader; // NULL until the trace has begun
    struct haktrace_frames frames;
    struct haktrace_view view;
    bool has_view, failed, at_end;
    struct live_status status; // the drainer's latest
    unsigned rows, columns;    // of the terminal, as set up; 0 = it has been given back
    uint64_t start_ms, drawn_ms, drawn_events, grown_ms;
};

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t inode_of(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

// ---------------------------------------------------------------- the terminal

// One write, so that it does not mix with the program's.
struct screen {
    char text[HEIGHT * (COLUMNS_MAX + 32) + 64];
    size_t length;
};

static void put(struct screen *screen, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void put(struct screen *screen, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof screen->text - screen->length;
    int length = vsnprintf(screen->text + screen->length, room, format, arguments);
    va_end(arguments);
    if (length > 0)
        screen->length += (size_t)length < room ? (size_t)length : room - 1;
}

static void screen_write(struct screen *screen) {
    for (size_t done = 0; done < screen->length;) {
        ssize_t n = write(STDERR_FILENO, screen->text + done, screen->length - done);
        if (n < 0 && errno != EINTR)
            return;
        done += n > 0 ? (size_t)n : 0;
    }
}

static bool terminal_size(unsigned *rows, unsigned *columns) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0)
        return false;
    *rows = size.ws_row;
    *columns = size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
    return true;
}

bool live_view_fits(void) {
    unsigned rows, columns;
    return terminal_size(&rows, &columns) && rows >= ROWS_MIN && columns >= 40;
}

// Makes room below, and lets only what is above it scroll. The cursor stays at its text.
static void terminal_take(struct live_view *live, unsigned rows, unsigned columns) {
    struct screen screen = {.length = 0};
    for (int i = 0; i < HEIGHT; i++)
        put(&screen, "\n");
    put(&screen, "\033[%dA\0337\033[1;%ur\0338", HEIGHT, rows - HEIGHT);
    screen_write(&screen);
    live->rows = rows;
    live->columns = columns;
}

static void terminal_give_back(struct live_view *live) {
    struct screen screen = {.length = 0};
    if (live->rows == 0)
        return;
    put(&screen, "\0337\033[r\033[%u;1H\033[J\0338", live->rows - HEIGHT + 1);
    screen_write(&screen);
    live->rows = 0;
}

static bool terminal_follow(struct live_view *live) {
    unsigned rows, columns;
    if (!terminal_size(&rows, &columns))
        return false;
    if (rows == live->rows && columns == live->columns)
        return true;
    terminal_give_back(live);
    if (rows < ROWS_MIN || columns < 40)
        return false;
    terminal_take(live, rows, columns);
    return true;
}

// ---------------------------------------------------------------- what it says

static void words_of_reading(const struct live_view *live, double rate, char *text, size_t size) {
    uint64_t events = live->has_view ? live->view.events : 0;
    uint64_t ms = now_ms() - live->start_ms;
    int length =
        snprintf(text, size, "hakrec: %.1f s, %" PRIu64 " events, %.2f M/s, %" PRIu64 " lost%s",
                 (double)ms * 1e-3, events, rate * 1e-6, live->status.lost,
                 live->status.paused ? ", paused" : "");
    if (!live->at_end && live->status.events > events)
        snprintf(text + length, size - (size_t)length, ", the view is %" PRIu64 " behind",
                 live->status.events - events);
}

// Cut at the terminal's width; names may hold what a terminal obeys.
static void line_put(struct screen *screen, unsigned columns, const char *text) {
    for (unsigned i = 0; text[i] != '\0' && i < columns; i++) {
        unsigned char byte = (unsigned char)text[i];
        put(screen, "%c", byte < 0x20 || byte == 0x7f ? '?' : byte);
    }
}

// Line `number` of the view, from 0.
static void line_text(struct live_view *live, unsigned number, double rate,
                      const struct haktrace_site *sites, size_t site_count, char *text,
                      size_t size) {
    char bytes[32];
    text[0] = '\0';
    if (number == 1)
        words_of_reading(live, rate, text, size);
    else if (number == 2 && live->has_view)
        haktrace_view_words(&live->view, text, size);
    else if (number == 3)
        snprintf(text, size, "%10s %9s %6s  %s", "live", "blocks", "share",
                 "stack, innermost frame first");
    if (number < 4 || number - 4 >= site_count)
        return;
    const struct haktrace_site *site = &sites[number - 4];
    haktrace_view_bytes(site->live_bytes, bytes, sizeof bytes);
    double share = live->view.live_bytes > 0
                       ? 100.0 * (double)site->live_bytes / (double)live->view.live_bytes
                       : 0;
    int length = snprintf(text, size, "%10s %9" PRIu64 " %5.1f%%  ", bytes, site->live, share);
    haktrace_view_stack(&live->view, &live->frames, site->node, text + length,
                        size - (size_t)length);
}

static void draw(struct live_view *live) {
    struct haktrace_site sites[SITES];
    char text[COLUMNS_MAX + 1];
    uint64_t now = now_ms(), events = live->has_view ? live->view.events : 0;
    double rate = now > live->drawn_ms
                      ? 1e3 * (double)(events - live->drawn_events) / (double)(now - live->drawn_ms)
                      : 0;
    live->drawn_ms = now;
    live->drawn_events = events;
    if (!terminal_follow(live))
        return;
    size_t count = live->has_view ? haktrace_view_most_live(&live->view, sites, SITES) : 0;
    struct screen screen = {.length = 0};
    put(&screen, "\0337");
    for (unsigned i = 0; i < HEIGHT; i++) {
        put(&screen, "\033[%u;1H\033[K", live->rows - HEIGHT + 1 + i);
        line_text(live, i, rate, sites, count, text, sizeof text);
        put(&screen, "%s", live->tinted && i == 3 ? "\033[7m" : "");
        line_put(&screen, live->columns, text);
        put(&screen, "%s", live->tinted && i == 3 ? "\033[m" : "");
    }
    put(&screen, "\0338");
    screen_write(&screen);
}

// ---------------------------------------------------------------- reading

// The drainer makes the file; until its first frame is there, it is no trace.
static void open_when_begun(struct live_view *live) {
    struct trace_error error;
    uint64_t inode = inode_of(live->path);
    if (inode == 0 || inode == live->old_inode)
        return;
    live->reader = trace_reader_open(live->path, &error);
    if (live->reader == NULL)
        return;
    live->has_view = haktrace_view_begin(&live->view, live->reader) == 0;
    live->failed = !live->has_view || !haktrace_frames_begin(&live->frames, live->reader);
    if (!live->failed)
        live->frames.symbols = haktrace_symbols_open("");
}

// Returns how long there is nothing to do.
static int read_slice(struct live_view *live) {
    uint64_t now = now_ms();
    struct trace_error error;
    if (live->at_end) {
        if (now - live->grown_ms < GROW_MS)
            return (int)(GROW_MS - (now - live->grown_ms));
        live->grown_ms = now;
        live->at_end = false;
        if (live->reader != NULL && trace_reader_grow(live->reader, &error) != 0)
            live->failed = true;
    }
    if (live->reader == NULL)
        open_when_begun(live);
    if (live->failed)
        return GROW_MS;
    int more = live->reader != NULL ? haktrace_view_step(&live->view, SLICE_EVENTS) : 0;
    live->failed |= more < 0;
    live->at_end = more <= 0;
    return more > 0 ? 0 : GROW_MS;
}

struct live_view *live_view_begin(const char *path, bool tinted) {
    struct live_view *live = calloc(1, sizeof *live);
    if (live == NULL)
        return NULL;
    *live = (struct live_view){
        .path = path, .old_inode = inode_of(path), .tinted = tinted, .start_ms = now_ms()};
    live->drawn_ms = live->start_ms;
    draw(live);
    return live;
}

int live_view_step(struct live_view *live) {
    int patience_ms = read_slice(live);
    if (now_ms() - live->drawn_ms >= DRAW_MS)
        draw(live);
    return patience_ms;
}

void live_view_status(struct live_view *live, const struct live_status *status) {
    live->status = *status;
}

// What the view came to, as lines that stay.
static void print_rest(struct live_view *live) {
    struct haktrace_site sites[SITES];
    char text[1024];
    size_t count = haktrace_view_most_live(&live->view, sites, SITES);
    haktrace_view_words(&live->view, text, sizeof text);
    fprintf(stderr, "hakrec: %s\n", text);
    for (unsigned i = 0; count > 0 && i <= count; i++) {
        line_text(live, 3 + i, 0, sites, count, text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
}

void live_view_end(struct live_view *live) {
    if (live == NULL)
        return;
    for (int looks = 0; looks < 2; looks++) { // what is there now, then what has come since
        live->grown_ms = 0;
        while (read_slice(live) == 0)
            ;
    }
    terminal_give_back(live);
    if (live->has_view && !live->failed)
        print_rest(live);
    if (live->has_view)
        haktrace_view_end(&live->view);
    if (live->reader != NULL)
        haktrace_frames_end(&live->frames);
    trace_reader_close(live->reader);
    free(live);
}
