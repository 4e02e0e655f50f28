// route.h: policy as data. A route is a set of independent switches; presets are named routes.
//
// Text form, as in MF2_ROUTE and --route: a preset, then overrides, separated by commas:
// "s2", "s2,orphans=strand", "best,helper=on". Parsing is in route.c; it needs no memory.
#ifndef MF2_ROUTE_H
#define MF2_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mf2_protocol { MF2_PROTOCOL_COUNTED, MF2_PROTOCOL_WORD };
enum mf2_drain { MF2_DRAIN_OWNER, MF2_DRAIN_ANYONE, MF2_DRAIN_GATED };
enum mf2_orphans { MF2_ORPHANS_STRAND, MF2_ORPHANS_ADOPT, MF2_ORPHANS_RECLAIM };
enum mf2_full_free { MF2_FULL_FREE_GRAVEYARD, MF2_FULL_FREE_PENDING, MF2_FULL_FREE_PARTIAL };
enum mf2_empty { MF2_EMPTY_KEEP, MF2_EMPTY_RECYCLE, MF2_EMPTY_UNMAP };
enum mf2_full { MF2_FULL_HOME, MF2_FULL_SHARED };
enum mf2_scan { MF2_SCAN_ALL, MF2_SCAN_MASK };

// The switches, by their names in the text form:
//   protocol        how a page's remote frees are represented: `counted` is the seed's
//                   remote_count + in_remote_pending; `word` keeps head, count, held and pending
//                   bits in one word that is changed whole
//   drain           who may drain another thread's pending pages: nobody (`owner`), `anyone`
//                   (CDA), or anyone behind Route P's gates (`gated`)
//   notify          remote frees on a page that put it on its owner's pending queue
//   notify_shift    0, or: not before 1/2^notify_shift of its blocks are remote frees
//   reenqueue       a drained page with new remote frees is queued again at once
//   claim           a page is claimed before it is drained (else drained, then claimed)
//   must_reuse      own pending pages and the active page's remote frees come before a new page
//   budget          own pending pages tried per slow path by that gate
//   partial         pages with free blocks are kept on a list that the slow path pops first
//   orphans         pages of exited threads: `strand`, `adopt` on the slow path, or also
//                   `reclaim` by the thread that frees into one
//   rfr_ns          right of first refusal: time after the 0→1 edge in which only the owner drains
//   idle_ns         an owner without a slow path for this long is idle
//   gate_idle, gate_partial, gate_pressure, gate_remotes: Route P's gates; 0 switches one off
//   helper          on the 0→1 edge of an idle owner's page a helper drains it
//   full_free       a thread frees into a page of its own that it put away as full: nobody
//                   notices (`graveyard`), the page becomes `pending`, or it is taken back as
//                   `partial`
//   full            a full page keeps its `home`, which is told of remote frees, or is `shared`:
//                   put away, it belongs to nobody, and with enough remote frees it goes where
//                   the slow path of every thread finds it
//   put_back        a thread holds no page between its slow paths: it puts back what it took blocks
//                   of, for any thread's next slow path (full=shared only)
//   empty           a page without live blocks stays with its owner (`keep`), goes to the shared
//                   cache (`recycle`), or back to the OS (`unmap`)
//   front           bytes of free blocks of one class that a thread may keep before its pages
//                   (front.c); 0: none. A class of which two blocks are more than that has none
//   front_total     bytes that the fronts of one thread may hold together
//   depot           bytes of one class that may wait in batches for any thread's front, a 16th of
//   it
//                   where blocks have 1 KiB or more (depot.c); 0: none
//   borrow          an empty front takes a free block of a class that is larger by so many percent
//                   at most before a page is made for its own; blocks of 1 to 64 KiB; 0: no
//   purge_ns        memory of free pages that was not needed for so long goes back to the OS, and
//                   the fronts of threads that made no call for so long to their pages, by
//                   the helper; 0: `recycle` keeps it, large blocks give it back when freed
//   scan            adoption looks at the pending queues of `all` threads in turn, or asks the
//                   ready `mask`
struct mf2_route {
    uint8_t protocol;  // enum mf2_protocol
    uint8_t drain;     // enum mf2_drain
    uint8_t orphans;   // enum mf2_orphans
    uint8_t full_free; // enum mf2_full_free
    uint8_t empty;     // enum mf2_empty
    uint8_t full;      // enum mf2_full
    uint8_t scan;      // enum mf2_scan
    uint8_t reenqueue; // 0 or 1, as all below up to notify
    uint8_t claim;
    uint8_t must_reuse;
    uint8_t partial;
    uint8_t helper;
    uint8_t gate_idle;
    uint8_t gate_partial;
    uint8_t put_back;
    uint8_t borrow; // 0..100
    uint8_t notify; // 1..255
    uint8_t notify_shift;
    uint16_t budget; // 1..65535
    uint16_t gate_pressure;
    uint16_t gate_remotes;
    uint64_t rfr_ns;
    uint64_t idle_ns;
    uint64_t purge_ns;
    uint32_t front;
    uint32_t front_total;
    uint32_t depot;
};

struct mf2_route_preset {
    const char *name, *meaning;
    struct mf2_route route;
};
extern const struct mf2_route_preset mf2_route_presets[];
extern const size_t mf2_route_preset_count;
#define MF2_ROUTE_DEFAULT "best"

// Parses `text` into *route. On failure returns false and writes one line to message: what is
// wrong and what was expected (with the nearest known name).
bool mf2_route_parse(const char *text, struct mf2_route *route, char *message, size_t message_size);

// The switches by number, for printing: returns the name of switch i and writes its value as
// text, or NULL past the last one.
const char *mf2_route_switch(const struct mf2_route *route, size_t i, char *value,
                             size_t value_size);
// Its meaning, one line; NULL past the last one.
const char *mf2_route_switch_meaning(size_t i);
// Its possible values, separated by '|', or "a number".
const char *mf2_route_switch_values(size_t i);

#endif
