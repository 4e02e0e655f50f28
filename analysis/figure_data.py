"""What each figure shows, as plain data. No drawing here, no colours: tests read these values.

A *timeline panel* is one run's pages over its operations. A *bar panel* is one measure with a row
per run; the segments of a row add up to what its text says, or the text says what is missing.
"""
from collections import namedtuple

from results import CAUSES, OWNER_STATES, PAGE_STATES
from wording import CAUSE_NAMES, OWNER_NAMES, STATE_NAMES, count, percent, ratio

TimelinePanel = namedtuple("TimelinePanel", "label note steps states fewest live held_max pages_max")
BarPanel = namedtuple("BarPanel", "title unit rows")
BarRow = namedtuple("BarRow", "label segments text")  # segments: [(key, number)], zero ones included
Figure = namedtuple("Figure", "name title caption panels key_names")  # key_names: {key: words} for the legend


def all_figures(runs, points_max):
    """The five figures of the report, in reading order."""
    return [timeline(runs, points_max), origins(runs), rates(runs), stranded(runs), remote_frees(runs)]


def timeline(runs, points_max):
    """Pages by state against the fewest possible. Runs of one subject share the scale of their axis."""
    panels = [_timeline_panel(run, points_max) for run in runs]
    tops = {}
    for run, panel in zip(runs, panels):
        tops[run.subject] = max(tops.get(run.subject, 0), panel.pages_max)
    panels = [panel._replace(pages_max=tops[run.subject]) for run, panel in zip(runs, panels)]
    used = {state: STATE_NAMES[state] for state in PAGE_STATES if any(any(panel.states[state]) for panel in panels)}
    scale = "All panels share one scale." if len(tops) == 1 < len(runs) else \
        "Panels of one program, input and geometry share one scale; others have their own." if len(runs) > 1 else ""
    return Figure("timeline", "Pages held against the fewest possible",
                  "Filled: pages held, by state. Solid line: the fewest pages that the live blocks need. Dashed: live bytes "
                  "divided by the page size. " + scale, panels, used)


def _timeline_panel(run, points_max):
    chosen = _buckets(len(run.timeline["step"]), points_max)
    held = run.measures["held_max"]
    note = f"{run.certainty} · max {count(held)}"
    if run.measures["held_over_fewest"] is not None:
        note += f" = {ratio(run.measures['held_over_fewest'])} the fewest"

    def at_ends(name):
        return [run.timeline[name][end - 1] for _, end in chosen]

    live = [value / run.page_bytes for value in at_ends("live_bytes")] if run.page_bytes else [0] * len(chosen)
    held_max = [max(run.timeline["held_max"][start:end]) for start, end in chosen]
    fewest = at_ends("fewest")
    return TimelinePanel(run.label, note, at_ends("step"), {state: at_ends(state) for state in PAGE_STATES},
                         fewest, live, held_max, max(held_max + fewest + live, default=0))


def _buckets(rows, points_max):
    """[(start, end)] that cover all rows in at most points_max nearly equal parts."""
    points = min(rows, points_max)
    return [(rows * number // points, rows * (number + 1) // points) for number in range(points)]


def origins(runs):
    """Where pages came from: the OS, the cache of empty pages, or back from use."""
    def panel(title, key):
        return BarPanel(title, "pages", [_single(run, key, run.measures[key], count) for run in runs])
    return Figure("origins", "New, recycled and reused pages",
                  "New: memory from the operating system (without large blocks). Recycled: a cached empty page formatted again. "
                  "Reused: a page with live blocks or pending frees put back to work. Each panel has its own scale.",
                  [panel("new", "new_pages"), panel("recycled", "recycled_pages"), panel("reused", "page_reuses")], {})


def rates(runs):
    """Both definitions of the reuse rate."""
    def panel(title, unit, key):
        return BarPanel(title, unit, [_single(run, key, run.measures[key], percent) for run in runs])
    return Figure("rates", "Reuse rate, by both definitions",
                  "The two denominators differ. A policy that needs fewer page changes can show a lower rate and still hold fewer pages.",
                  [panel("reused / new", "% of new pages", "reuse_over_new"),
                   panel("reused / (reused + new)", "% of pages activated", "reuse_share")], {})


def _single(run, key, value, form):
    """One bar; rates are drawn in per cent. No value is no bar and says so."""
    if value is None:
        return BarRow(run.label, [(key, 0)], "not defined: divided by 0")
    return BarRow(run.label, [(key, value * 100 if form is percent else value)], form(value))


def stranded(runs):
    """Pages stranded at the worst moment of each run, by cause."""
    return _stacked("stranded", "Stranded pages, by cause", "Pages at the moment of the greatest stranding in each run. Causes are not the states of the first figure: "
                    "a page of any state but large may be stranded; see the words below.",
                    "pages", runs, lambda run: run.stranded, CAUSES, CAUSE_NAMES)


def remote_frees(runs):
    """Frees through a page's remote list, by what its owner was doing."""
    return _stacked("remote", "Remote frees, by state of the page's owner", "Frees that went through a page's remote list: by another thread than the page's owner, "
                    "or by the owner itself into a page of its own that was full at that moment (own full page).",
                    "frees", runs, lambda run: run.remote_frees, OWNER_STATES, OWNER_NAMES)


def _stacked(name, title, caption, unit, runs, numbers, keys, names):
    rows = [BarRow(run.label, [(key, numbers(run)[key]) for key in keys], count(sum(numbers(run)[key] for key in keys))) for run in runs]
    used = {key: names[key] for key in keys if any(numbers(run)[key] for run in runs)}
    return Figure(name, title, caption, [BarPanel("", unit, rows)], used)
