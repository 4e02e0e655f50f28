"""What each figure shows, as plain data. No drawing here, no colours: tests read these values.

A *timeline panel* is one run's pages over its operations. A *bar panel* is one measure with a row
per run; the segments of a row add up to what its text says, or the text says what is missing.
"""
import statistics
from collections import namedtuple

from results import CAUSES, OWNER_STATES, PAGE_STATES
from wording import CAUSE_NAMES, OWNER_NAMES, STATE_NAMES, count, listing, percent, plural, ratio

TimelinePanel = namedtuple("TimelinePanel", "label note steps states fewest live held_max pages_max")
BarPanel = namedtuple("BarPanel", "title unit rows")
# segments: [(key, number)], zero ones included; interval: (low, high) of an only segment
BarRow = namedtuple("BarRow", "label segments text interval", defaults=(None,))
# values[row][column]: a number, (key, words), or None; key: the colour of numbers
GridPanel = namedtuple("GridPanel", "label note x_labels y_labels values x_title y_title key", defaults=("moved",))
# key_names: {key: words} for the legend; kind: which block draws it (figures.py)
Figure = namedtuple("Figure", "name title caption panels key_names kind", defaults=("bars",))

PANELS_MAX = 12   # of one figure; more runs than that are represented by some of them
ROWS_MAX = 40     # of a figure with a row per run
THREADS_MAX = 16  # that have a row of their own
GRID_MAX = 24     # rows and columns of a heat map
T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09)  # Student's t, by degrees of freedom from 1


def all_figures(runs, points_max):
    """The figures that results alone can fill, in reading order; those with nothing to show are left out."""
    if not runs:
        return []
    found = [timeline(runs, points_max), causes(runs, points_max), routes(runs), stranded(runs), origins(runs), rates(runs),
             threads(runs), migrations(runs), remote_frees(runs)]
    return [figure for figure in found if figure]


def _some(runs, limit):
    """At most so many of the runs: those that hold most and fewest, and others evenly; and how many are left out."""
    if len(runs) <= limit:
        return runs, 0
    ranked = sorted(range(len(runs)), key=lambda at: runs[at].measures["held_max"])
    kept = sorted({ranked[round(place * (len(ranked) - 1) / (limit - 1))] for place in range(limit)})
    return [runs[at] for at in kept], len(runs) - len(kept)


def _left_out(number):
    return f" {plural(number, 'other run')} between these {'is' if number == 1 else 'are'} not drawn; the table below has all." if number else ""


def timeline(runs, points_max):
    """Pages by state against the fewest possible. Runs of one subject share the scale of their axis."""
    return _over_time(runs, points_max, "timeline", "Pages held against the fewest possible", PAGE_STATES, STATE_NAMES,
                      lambda state: state, "Filled: pages held, by state.")


def causes(runs, points_max):
    """The same axes, filled with the pages that strand free blocks, by cause."""
    if not any(any(run.timeline["stranded_" + cause]) for run in runs for cause in CAUSES):
        return None
    return _over_time(runs, points_max, "causes", "Stranded pages over time, by cause", CAUSES, CAUSE_NAMES,
                      lambda cause: "stranded_" + cause, "Filled: pages whose free blocks the next allocation would not find by itself.")


def _over_time(runs, points_max, name, title, keys, names, column, filled):
    runs, left = _some(runs, PANELS_MAX)
    panels = [_timeline_panel(run, points_max, keys, column, name == "causes") for run in runs]
    tops = {}
    for run, panel in zip(runs, panels):
        tops[run.subject] = max(tops.get(run.subject, 0), panel.pages_max)
    panels = [panel._replace(pages_max=tops[run.subject]) for run, panel in zip(runs, panels)]
    used = {key: names[key] for key in keys if any(any(panel.states[key]) for panel in panels)}
    scale = " All panels share one scale." if len(tops) == 1 < len(runs) else \
        " Panels of one program, input and geometry share one scale; others have their own." if len(runs) > 1 else ""
    return Figure(name, title, filled + " Solid line: the fewest pages that the live blocks need. Dashed: live bytes "
                  "divided by the page size." + scale + _left_out(left), panels, used, "timeline")


def _timeline_panel(run, points_max, keys, column, about_stranding):
    chosen = _rows_kept(run, points_max)
    if about_stranding:
        mean, peak = run.stranded_mean, run.stranded_at_peak
        note = f"mean {count(round(mean))} · {count(sum(peak.values()))} when most were held"
    else:
        held = run.measures["held_max"]
        note = f"{run.certainty} · max {count(held)}"
        if run.measures["held_over_fewest"] is not None:
            note += f" = {ratio(run.measures['held_over_fewest'])} the fewest"

    def at_rows(name):
        return [run.timeline[name][row] for row in chosen]

    live = [value / run.page_bytes for value in at_rows("live_bytes")] if run.page_bytes else [0] * len(chosen)
    after = [-1] + chosen
    held_max = [max(run.timeline["held_max"][before + 1:row + 1]) for before, row in zip(after, chosen)]
    fewest = at_rows("fewest")
    return TimelinePanel(run.label, note, at_rows("step"), {key: at_rows(column(key)) for key in keys},
                         fewest, live, held_max, max(held_max + fewest + live, default=0))


def _rows_kept(run, points_max):
    """Which rows are drawn: of each of equal parts the last, and where there is room also those with
    the most and the least pages held, the most needed and the most stranded."""
    table = run.timeline
    rows = len(table["step"])
    if rows <= points_max:
        return list(range(rows))
    stranded = [sum(values) for values in zip(*(table["stranded_" + cause] for cause in CAUSES))]
    picks = 5
    kept = set()
    for start, end in _buckets(rows, max(points_max // picks, 1)):
        part = range(start, end)
        kept |= {end - 1, max(part, key=table["held"].__getitem__), min(part, key=table["held"].__getitem__),
                 max(part, key=table["fewest"].__getitem__), max(part, key=stranded.__getitem__)}
    return sorted(kept)


def _buckets(rows, points_max):
    """[(start, end)] that cover all rows in at most points_max nearly equal parts."""
    points = min(rows, points_max)
    return [(rows * number // points, rows * (number + 1) // points) for number in range(points)]


def routes(runs):
    """Routes side by side: the mean over seeds, and the interval in which it lies."""
    groups = {}
    for run in runs:
        groups.setdefault((run.subject, run.conditions), {}).setdefault(run.route, []).append(run)
    groups = [by_route for by_route in groups.values() if len(by_route) > 1]
    if not groups:
        return None
    rows = [(label, some) for by_route in groups for label, some in by_route.items()]
    names = {run.subject_name for by_route in groups for some in by_route.values() for run in some}
    left = max(len(rows) - ROWS_MAX, 0)

    def panel(title, unit, key):
        lines = []
        for route, some in rows[:ROWS_MAX]:
            values = [run.measures[key] for run in some if run.measures[key] is not None]
            label = f"{some[0].subject_name} {route}" if len(names) > 1 else route
            lines.append(_interval_row(label, key, values))
        return BarPanel(title, unit, lines)
    seeds = max(len(some) for _, some in rows)
    how = "Point: the mean over the seeds; bar: its 95 % interval (of two seeds: both)." if seeds > 1 else \
        "One run a route: there is no interval. What is measured in a given order is exact for that order."
    return Figure("routes", "Routes side by side", how + (f" {plural(left, 'more route')} in the table only." if left else ""),
                  [panel("most pages held", "pages", "held_max"), panel("pages held, mean", "pages", "held_mean"), panel("new pages", "pages", "new_pages")],
                  {}, "intervals")


def _interval_row(label, key, values):
    if not values:
        return BarRow(label, [(key, None)], "no value")
    mean = statistics.fmean(values)
    low, high = interval(values)
    text = count(mean if mean >= 100 else round(mean, 1))
    if len(values) > 1:
        text += f" ± {count(round((high - low) / 2, 1))}"
    return BarRow(label, [(key, mean)], text, (low, high))


def interval(values):
    """95 % interval of the mean by Student's t; of two values both, of one itself."""
    if len(values) < 3:
        return min(values), max(values)
    freedom = len(values) - 1
    half = (T_95[freedom - 1] if freedom <= len(T_95) else 1.96 + 2.5 / freedom) * statistics.stdev(values) / len(values) ** 0.5
    mean = statistics.fmean(values)
    return mean - half, mean + half


def _extremes(runs):
    """The run that holds most and the one that holds fewest: at most two."""
    most, fewest = max(runs, key=lambda run: run.measures["held_max"]), min(runs, key=lambda run: run.measures["held_max"])
    return [most] if most is fewest else [most, fewest]


def threads(runs):
    """Pages by origin for each thread, with both reuse rates; of the runs that hold most and fewest."""
    chosen = [run for run in _extremes(runs) if len(run.threads) > 1]
    if not chosen:
        return None
    keys = ("new_pages", "recycled_pages", "page_reuses")
    names = dict(zip(keys, ("new", "recycled", "reused")))
    weights = {}
    for run in chosen:
        for thread in run.threads:
            weights[thread["id"]] = weights.get(thread["id"], 0) + sum(thread[key] for key in keys)
    shown = sorted(sorted(weights, key=lambda number: (-weights[number], number))[:THREADS_MAX])

    def row(label, some):
        sums = [sum(thread[key] for thread in some) for key in keys]
        new, reused = sums[0], sums[2]
        both = f"{percent(reused / new if new else None)} | {percent(reused / (reused + new) if reused + new else None)}"
        return BarRow(label, list(zip(keys, sums)), both)

    panels = []
    for run in chosen:
        of = {thread["id"]: thread for thread in run.threads}
        rows = [row(f"thread {number}", [of[number]] if number in of else []) for number in shown]
        others = [thread for number, thread in of.items() if number not in shown]
        if len(weights) > len(shown):
            rows.append(row(f"{plural(len(weights) - len(shown), 'other')}", others))
        rows.append(row("total", run.threads))
        panels.append(BarPanel(run.label, "pages", rows))
    return Figure("threads", "New, recycled and reused pages, by thread",
                  "Behind each bar both reuse rates: reused / new | reused / (reused + new). "
                  + ("The runs that hold most and fewest. " if len(runs) > 2 else "")
                  + (f"The {THREADS_MAX} threads with the most pages have rows of their own." if len(weights) > len(shown) else ""), panels, names)


def migrations(runs):
    """Which thread's pages became whose."""
    chosen = sorted((run for run in runs if run.migrations), key=lambda run: -sum(pages for _, _, pages in run.migrations))[:4]
    if not chosen:
        return None
    panels = [pairs_panel(run.label, f"{count(sum(pages for _, _, pages in run.migrations))} pages", run.migrations, "new owner", "owner before") for run in chosen]
    idle = [run.label for run in runs if run.migrations == []]
    return Figure("migrations", "Pages that changed their owner",
                  "Row: the thread that had the page. Column: the thread that put it to work. The darker, the more pages."
                  + (" The four runs with the most." if len([run for run in runs if run.migrations]) > 4 else "")
                  + (f" None in {listing(idle)}." if 0 < len(idle) <= 6 else f" None in {len(idle)} runs." if idle else ""), panels, {}, "grid")


def pairs_panel(label, note, pairs, x_title, y_title):
    """A heat map of [from, to, number] with the busiest threads; the rest are one more row and column."""
    weights = {}
    for source, to, number in pairs:
        weights[source] = weights.get(source, 0) + number
        weights[to] = weights.get(to, 0) + number
    shown = sorted(sorted(weights, key=lambda thread: (-weights[thread], thread))[:GRID_MAX])
    place = {thread: number for number, thread in enumerate(shown)}
    size = len(shown) + (len(weights) > len(shown))
    values = [[0] * size for _ in range(size)]
    for source, to, number in pairs:
        values[place.get(source, size - 1)][place.get(to, size - 1)] += number
    labels = [str(thread) for thread in shown] + (["rest"] if size > len(shown) else [])
    return GridPanel(label, note, labels, labels, values, x_title, y_title)


def origins(runs):
    """Where pages came from: the OS, the cache of empty pages, or back from use."""
    runs, left = _some(runs, ROWS_MAX)

    def panel(title, key):
        return BarPanel(title, "pages", [_single(run, key, run.measures[key], count) for run in runs])
    return Figure("origins", "New, recycled and reused pages",
                  "New: memory from the operating system (without large blocks). Recycled: a cached empty page formatted again. "
                  "Reused: a page with live blocks or pending frees put back to work. Each panel has its own scale." + _left_out(left),
                  [panel("new", "new_pages"), panel("recycled", "recycled_pages"), panel("reused", "page_reuses")], {})


def rates(runs):
    """Both definitions of the reuse rate."""
    runs, left = _some(runs, ROWS_MAX)

    def panel(title, unit, key):
        return BarPanel(title, unit, [_single(run, key, run.measures[key], percent) for run in runs])
    return Figure("rates", "Reuse rate, by both definitions",
                  "The two denominators differ. A policy that needs fewer page changes can show a lower rate and still hold fewer pages." + _left_out(left),
                  [panel("reused / new", "% of new pages", "reuse_over_new"),
                   panel("reused / (reused + new)", "% of pages activated", "reuse_share")], {})


def _single(run, key, value, form):
    """One bar; rates are drawn in per cent. No value is no bar and says so."""
    if value is None:
        return BarRow(run.label, [(key, 0)], "not defined: divided by 0")
    return BarRow(run.label, [(key, value * 100 if form is percent else value)], form(value))


def stranded(runs):
    """Pages stranded, by cause: on the average over the run, and at the moment when most were held."""
    if not any(run.stranded["total"] for run in runs):
        return None
    runs, left = _some(runs, ROWS_MAX)
    used = {cause: CAUSE_NAMES[cause] for cause in CAUSES if any(run.stranded_means[cause] or run.stranded_at_peak[cause] for run in runs)}

    def panel(title, numbers):
        return BarPanel(title, "pages", [BarRow(run.label, [(cause, numbers(run)[cause]) for cause in CAUSES],
                                                count(round(sum(numbers(run).values())))) for run in runs])
    return Figure("stranded", "Stranded pages, by cause",
                  "Causes are not the states of the first figure: a page of any state but large may be stranded; see the words below. "
                  "The worst moment of all is often the end of the program, when nearly every page has free blocks; the table has it." + _left_out(left),
                  [panel("mean over the run", lambda run: run.stranded_means), panel("when most pages were held", lambda run: run.stranded_at_peak)], used)


def remote_frees(runs):
    """Frees through a page's remote list, by what its owner was doing."""
    return _stacked("remote", "Remote frees, by state of the page's owner", "Frees that went through a page's remote list: by another thread than the page's owner, "
                    "or by the owner itself into a page of its own that was full at that moment (own full page).",
                    "frees", runs, lambda run: run.remote_frees, OWNER_STATES, OWNER_NAMES)


def _stacked(name, title, caption, unit, runs, numbers, keys, names):
    runs, left = _some(runs, ROWS_MAX)
    caption += _left_out(left)
    rows = [BarRow(run.label, [(key, numbers(run)[key]) for key in keys], count(sum(numbers(run)[key] for key in keys))) for run in runs]
    used = {key: names[key] for key in keys if any(numbers(run)[key] for run in runs)}
    return Figure(name, title, caption, [BarPanel("", unit, rows)], used)
