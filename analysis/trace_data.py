"""Figures that need the trace beside the results: sizes, lifetimes, hand-overs, and the code whose
blocks hold stranded pages.

One pass over the trace, of at most EVENTS_MAX events (some four minutes); of more than OBJECTS_MAX
objects every so many-th is followed. So time and memory are bounded; what was left out stands in the
captions, and the largest block is told whatever is left out.
"""
import ctypes
import os
from collections import namedtuple

import system_python

system_python.need("numpy")
import numpy as np

from figure_data import BarPanel, BarRow, Figure, pairs_panel
from results import CAUSES
from symbols import Symbols
from trace_reader import CREATES, OP, Trace, TraceError
from wording import CAUSE_NAMES, count, duration, percent, plural, size

EVENTS_MAX = 1 << 31
OBJECTS_MAX = 1 << 22
SITES_MAX = 15        # allocation sites with a row of their own
FLAME_SHARE_MIN = 0.002  # of the whole width; thinner boxes are not drawn
FLAME_DEPTH_MAX = 40
SIZE_BINS = 33        # 0, 1, 2, 3-4, ... up to 2^31, and beyond
LIFE_DECADES = (2, 13)  # from 100 ns to 10,000 s; two bins a decade
TOO_DEEP = "[deeper callers]"
NOT_READ = "code not known: beyond the part of the trace that was read"
HASH_BYTES = 1 << 20  # of a file, at a time

HistogramPanel = namedtuple("HistogramPanel", "label note bins layers x_title y_title")
FlamePanel = namedtuple("FlamePanel", "label note boxes total unit")
Box = namedtuple("Box", "depth start width name key")
Site = namedtuple("Site", "stack frames pages causes")  # frames: innermost first; causes: {cause: pages}

PARTS = {"program": "the program's code", "library": "a library's", "unknown": "not known"}
WHO = {"own": "freed by the thread that allocated it", "other": "freed by another thread", "never": "not freed while recording"}


def find(run, folders):
    """The path of the run's trace, by name and hash, or None."""
    for folder in folders:
        path = os.path.join(folder, run.trace["path"])
        if os.path.isfile(path) and file_hash(path) == run.trace["hash"]:
            return path
    return None


def file_hash(path):
    """The 16 hex digits that name a trace: XXH3-64 of the file."""
    library = ctypes.CDLL("libxxhash.so.0")
    if not os.path.getsize(path):
        return None

    def call(name, result, *arguments):
        function = getattr(library, name)
        function.restype, function.argtypes = result, [ctypes.c_size_t if isinstance(each, int) else ctypes.c_void_p for each in arguments]
        return function(*arguments)

    state = ctypes.c_void_p(call("XXH3_createState", ctypes.c_void_p))
    call("XXH3_64bits_reset", ctypes.c_int, state)
    with open(path, "rb") as file:
        while part := file.read(HASH_BYTES):
            call("XXH3_64bits_update", ctypes.c_int, state, ctypes.c_char_p(part), len(part))
    number = call("XXH3_64bits_digest", ctypes.c_uint64, state)
    call("XXH3_freeState", ctypes.c_int, state)
    return f"{number:016x}"


class Facts:
    """What one pass over a trace finds out; `reached` is told how many events have been read. Raises OSError and TraceError."""

    def __init__(self, path, wanted=(), reached=lambda events: None):
        self.trace, self._reached = Trace(path), reached
        self.stride = max(1, -(-int((self.trace.end or {}).get("objects", 0)) // OBJECTS_MAX))
        self.events, self.whole = 0, True
        self.sizes = {key: np.zeros(SIZE_BINS, np.int64) for key in WHO}
        self.lives = {key: np.zeros(2 * (LIFE_DECADES[1] - LIFE_DECADES[0]), np.int64) for key in WHO}
        self.size_max = 0  # of all blocks, followed or not
        self.pairs = {}
        self.stack_of = {}  # of the wanted objects
        self._wanted = np.array(sorted(wanted), np.int64)
        self._born = self._thread = self._size = np.zeros(0)
        self._tick_ns = self.trace.meta["tick_ns"]
        self._pass()

    def _pass(self):
        self._born, self._thread, self._size = np.zeros(1 << 16, np.float64), np.zeros(1 << 16, np.int32), np.full(1 << 16, -1, np.int64)
        last = 0
        for chunk in self.trace.chunks():
            self._made(chunk)
            self._given_up(chunk)
            self.events += len(chunk.op)
            last = float(chunk.time[-1])
            self._reached(self.events)
            if self.events >= EVENTS_MAX:
                self.whole = False
                break
        alive = self._size >= 0
        self._count("never", self._size[alive], (last - self._born[alive]))

    def _made(self, chunk):
        made = np.flatnonzero(CREATES[chunk.op])
        objects = chunk.object[made].astype(np.int64)
        if len(self._wanted) and len(made):
            hits = made[np.isin(objects, self._wanted)]
            self.stack_of.update(zip(chunk.object[hits].astype(np.int64).tolist(), chunk.stack[hits].tolist()))
        self.size_max = max(self.size_max, int(chunk.size[made].max(initial=0)))
        followed = objects % self.stride == 0
        made, places = made[followed], objects[followed] // self.stride
        if not len(made):
            return
        self._reach(int(places[-1]))
        self._born[places] = chunk.time[made]
        self._thread[places] = chunk.thread[made]
        self._size[places] = np.minimum(chunk.size[made], 2**62).astype(np.int64)

    def _reach(self, place):
        while place >= len(self._born):
            self._born = np.concatenate((self._born, np.zeros(len(self._born))))
            self._thread = np.concatenate((self._thread, np.zeros(len(self._thread), np.int32)))
            self._size = np.concatenate((self._size, np.full(len(self._size), -1, np.int64)))

    def _given_up(self, chunk):
        gone = np.flatnonzero((chunk.op == OP["FREE"]) | (chunk.op == OP["REALLOC_RELEASE"]))
        objects = chunk.object[gone].astype(np.int64)
        followed = objects % self.stride == 0
        gone, places = gone[followed], objects[followed] // self.stride
        here = (places < len(self._size)) & (self._size[np.minimum(places, len(self._size) - 1)] >= 0)
        gone, places = gone[here], places[here]
        maker, taker = self._thread[places], chunk.thread[gone].astype(np.int32)
        lived = chunk.time[gone].astype(np.float64) - self._born[places]
        for key, which in (("own", maker == taker), ("other", maker != taker)):
            self._count(key, self._size[places[which]], lived[which])
        handed = maker != taker
        both, number = np.unique(np.stack((maker[handed], taker[handed]), axis=1), axis=0, return_counts=True)
        for (source, to), times in zip(both.tolist(), number.tolist()):
            self.pairs[source, to] = self.pairs.get((source, to), 0) + times
        self._size[places] = -1

    def _count(self, key, sizes, ticks):
        self.sizes[key] += np.bincount(np.minimum(size_bin(sizes), SIZE_BINS - 1), minlength=SIZE_BINS)
        with np.errstate(divide="ignore"):
            bins = np.floor((np.log10(np.maximum(ticks * self._tick_ns, 1)) - LIFE_DECADES[0]) * 2).astype(np.int64)
        bins = np.clip(bins, 0, len(self.lives[key]) - 1)
        self.lives[key] += np.bincount(bins, minlength=len(self.lives[key]))

    @property
    def note(self):
        """What was left out, for captions."""
        parts = [] if self.whole else [f"The first {count(self.events)} events of the trace."]
        return " ".join(parts + ([f"One in {count(self.stride)} blocks was followed."] if self.stride > 1 else []))


def size_bin(sizes):
    """0 -> 0, 1 -> 1, 2 -> 2, 3..4 -> 3, 5..8 -> 4, ...: the bin that ends at 2^(n-1)."""
    return np.where(sizes <= 0, 0, np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64) + 1)


def _trimmed(bins, layers):
    """Without the empty bins at both ends."""
    used = np.flatnonzero(sum(layers.values()))
    if not len(used):
        return [], {key: [] for key in layers}
    part = slice(used[0], used[-1] + 1)
    return bins[part], {key: values[part].tolist() for key, values in layers.items()}


def histograms(facts, name):
    """Sizes, and how long blocks live, both by who freed them."""
    size_bins = ["0"] + [short_size(2**place) for place in range(SIZE_BINS - 1)]
    life_bins = [duration(round(10 ** (LIFE_DECADES[0] + place / 2), -1)) for place in range(2 * (LIFE_DECADES[1] - LIFE_DECADES[0]))]
    panels = [HistogramPanel("size", f"bytes asked for; the largest block {size(facts.size_max)}", *_trimmed(size_bins, facts.sizes), "bytes, up to", "blocks"),
              HistogramPanel("lifetime", f"clock of {duration(facts.trace.meta['tick_ns'])}", *_trimmed(life_bins, facts.lives), "lived at least", "blocks")]
    if not panels[0].bins:
        return None
    return Figure("histograms", f"Sizes and lifetimes of blocks ({name})",
                  "Lifetimes of blocks that were not freed end with the recording. A realloc ends one block and begins another. " + facts.note,
                  panels, {key: words for key, words in WHO.items() if facts.sizes[key].any()}, "histogram")


def short_size(number):
    for step, unit in ((2**30, "G"), (2**20, "M"), (2**10, "K")):
        if number >= step:
            return f"{number // step}{unit}"
    return str(number)


def hand_overs(facts, name):
    """Who frees whose blocks."""
    if not facts.pairs:
        return None
    freed = sum(int(facts.sizes[key].sum()) for key in ("own", "other"))
    handed = sum(facts.pairs.values())
    panel = pairs_panel("", f"{percent(handed / freed)} of the frees", [[source, to, number] for (source, to), number in sorted(facts.pairs.items())],
                        "thread that freed", "thread that allocated")
    return Figure("handovers", f"Blocks freed by another thread ({name})",
                  "Row: the thread that allocated. Column: the thread that freed. A recorded fact, whatever the allocator. " + facts.note, [panel], {}, "grid")


# ---------------------------------------------------------------- sites of stranded pages

def sites(run, facts):
    """[Site] of one run, those with the most stranded pages first; and {cause: pages} of the objects that the pass did not meet.

    Rows of a sample stand for the others: together they are as many pages as living blocks hold.
    """
    found, unknown = {}, dict.fromkeys(CAUSES, 0.0)
    objects = run.stranded_objects
    sampled = sum(row[2] for row in objects["rows"]) / 1e6
    factor = (objects["stranded"] - objects["without_objects"]) / sampled if objects["stride"] > 1 and sampled else 1
    for number, cause, millionths in objects["rows"]:
        pages = millionths * factor / 1e6
        stack = facts.stack_of.get(number)
        where = unknown if stack is None else found.setdefault(stack, dict.fromkeys(CAUSES, 0.0))
        where[cause] += pages
    by_frames = {}
    for stack, causes in found.items():
        frames = tuple(facts.trace.stack(stack))
        site = by_frames.setdefault(frames, Site(stack, frames, 0.0, dict.fromkeys(CAUSES, 0.0)))
        for cause, pages in causes.items():
            site.causes[cause] += pages
    ranked = [site._replace(pages=sum(site.causes.values())) for site in by_frames.values()]
    return sorted(ranked, key=lambda site: (-site.pages, site.stack)), unknown


def site_name(site, symbols):
    """The allocating function and its callers: the innermost three frames that are not a library's allocation wrapper."""
    names = [symbols.name(*frame) for frame in site.frames]
    while len(names) > 1 and names[0].split("+")[0] in ("operator new(unsigned long)", "libstdc++.so.6"):
        names = names[1:]
    return " ← ".join(names[:3]) if names else "no stack recorded"


def site_figures(run, facts, symbols):
    """Rows of the sites with the most, and a flame graph of all."""
    ranked, unknown = sites(run, facts)
    if not ranked:
        return []
    objects = run.stranded_objects
    not_met = sum(unknown.values())
    held = sum(site.pages for site in ranked) + not_met
    by_name = {}
    for site in ranked:
        by_name.setdefault(site_name(site, symbols), []).append(site)
    named = sorted(by_name.items(), key=lambda item: -sum(site.pages for site in item[1]))
    rows = [_site_row(name, some) for name, some in named[:SITES_MAX]]
    if len(named) > SITES_MAX:
        rows.append(_site_row(plural(len(named) - SITES_MAX, "other site"), [site for _, some in named[SITES_MAX:] for site in some]))
    if not_met >= 1:
        rows.append(_site_row(NOT_READ, [Site(0, (), not_met, unknown)]))
    used = {cause: CAUSE_NAMES[cause] for cause in CAUSES if not_met >= 1 and unknown[cause] or any(site.causes[cause] for site in ranked)}
    when = percent(objects["at_step"] / run.steps) if run.steps else "0"
    said = (f"Route {run.label}, after {when} of the operations, when {count(objects['stranded'])} pages were stranded: {count(round(held))} of them by "
            f"{plural(objects['objects'], 'living block')}, {count(objects['without_objects'])} had none. A page counts for its blocks in equal parts."
            + (f" A sample: one block in {objects['stride']}." if objects["stride"] > 1 else "")
            + (f" {count(round(not_met))} pages lie beyond the part of the trace that was read." if not_met >= 1 else ""))
    missing = symbols.unresolved
    lacks = f" Without symbols here: {', '.join(missing[:6])}{' …' if len(missing) > 6 else ''}." if missing else ""
    return [Figure("sites", f"Code whose blocks hold stranded pages ({run.subject_name})", said + lacks, [BarPanel("", "pages", rows)], used),
            Figure("flame", f"The same as a flame graph ({run.subject_name})", "Callers below, the allocating function on top; the width is the pages held." + lacks,
                   [flame_panel(run.label, ranked, symbols)], PARTS, "flame")]


def _site_row(name, some):
    sums = [(cause, sum(site.causes[cause] for site in some)) for cause in CAUSES]
    total = sum(value for _, value in sums)
    return BarRow(name, sums, f"{total:,.1f}" if total < 100 else count(round(total)))


def flame_panel(label, ranked, symbols):
    """Boxes of the call tree: outermost callers at depth 0, widest first."""
    root = {}
    for site in ranked:
        frames = site.frames[::-1] or ((0, 0),)
        if len(frames) > FLAME_DEPTH_MAX:  # the innermost frames are the interesting ones
            frames = (None,) + frames[-(FLAME_DEPTH_MAX - 1):]
        node = root
        for frame in frames:
            name = TOO_DEEP if frame is None else symbols.name(*frame) if frame != (0, 0) else "no stack recorded" if not site.frames else "[further callers]"
            below = node.setdefault(name, [0.0, {}, frame])
            below[0] += site.pages
            node = below[1]
    total = sum(site.pages for site in ranked)
    boxes = []
    _boxes(root, 0, 0.0, total * FLAME_SHARE_MIN, symbols, boxes)
    return FlamePanel(label, f"{count(round(total))} pages, {plural(len(ranked), 'site')}", boxes, total, "pages")


def _boxes(node, depth, start, thinnest, symbols, boxes):
    for name, (pages, below, frame) in sorted(node.items(), key=lambda item: (-item[1][0], item[0])):
        if pages >= thinnest:
            boxes.append(Box(depth, start, pages, name, _part(frame, symbols)))
            _boxes(below, depth + 1, start, thinnest, symbols, boxes)
        start += pages


def _part(frame, symbols):
    """Whose code: a shared library's, the program's, or nobody knows."""
    if not frame or not frame[0]:
        return "unknown"
    return "library" if ".so" in symbols.module_name(frame[0]) else "program"


def figures(run, path, symbol_folders, reached=lambda events: None):
    """Of one trace: (figures of the trace alone, figures of the sites of `run`'s stranded pages). `reached`: as Facts has it."""
    wanted = [row[0] for row in run.stranded_objects["rows"]] if run.stranded_objects else []
    facts = Facts(path, wanted, reached)
    symbols = Symbols(facts.trace.modules, [*symbol_folders, os.path.dirname(path) or ".", "."])
    found = [histograms(facts, run.subject_name), hand_overs(facts, run.subject_name)]
    return [figure for figure in found if figure], site_figures(run, facts, symbols) if run.stranded_objects else []
