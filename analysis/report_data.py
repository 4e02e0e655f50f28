"""Figures of the reports of reports.py as plain data: dominoes, sweeps, allocators side by side."""
import math
from collections import namedtuple

from figure_data import BarPanel, BarRow, Figure, GridPanel, ROWS_MAX
from reports import PERCENTILES, Ablation, Domino, Measured, Sweep
from wording import count, listing, plural, words_of

ChainPanel = namedtuple("ChainPanel", "label note links gap")
Link = namedtuple("Link", "text mapped freed stolen fresh")  # milliseconds; freed may be None
SeriesPanel = namedtuple("SeriesPanel", "label note lines x_title y_title top")
PointsPanel = namedtuple("PointsPanel", "label note points x_title y_title")
Point = namedtuple("Point", "name across up best")

LINKS_MAX = 16        # of a chain that are drawn: its first and last ones
CHAINS_MAX = 4
KINDS_MAX = 8         # programs and machines of a sweep that have a panel
WORKLOADS_MAX = 6     # of one ablation
POINTS_MAX = 400      # of a series
POINTS_PER_PANEL = 600
CELL_COLOURS = ("blue", "orange", "green", "red", "purple", "sky", "grey")
RATIO_TOP = 6         # resident ÷ live is cut there: it says nothing where hardly anything lives
LIVE_SHARE_MIN = 0.05  # of the most live bytes: below, the ratio is not drawn


def all_figures(reports):
    """In the order in which they are read; empty ones are left out."""
    found = []
    for report in reports:
        if isinstance(report, Measured):
            found += [speeds(report), memory(report), resident(report), tails(report)]
        elif isinstance(report, Domino):
            found += [chains(report)]
        elif isinstance(report, Ablation):
            found += [flaws(workload) for workload in report.workloads[:WORKLOADS_MAX]]
        elif isinstance(report, Sweep):
            found += [phases(report), pareto(report)]
    names = {}
    for place, figure in enumerate(found):
        if figure:
            names[figure.name] = names.get(figure.name, 0) + 1
            if names[figure.name] > 1:
                found[place] = figure._replace(name=f"{figure.name}-{names[figure.name]}")
    return [figure for figure in found if figure]


# ---------------------------------------------------------------- dominoes

def chains(report):
    """The longest chains of the routes that have any."""
    with_chains = sorted((route for route in report.routes if any(chain["links"] for chain in route["longest_chains"])),
                         key=lambda route: -route["longest"])[:CHAINS_MAX]
    if not with_chains:
        return None
    without = [route["route"] for route in report.routes if not any(chain["links"] for chain in route["longest_chains"])]
    return Figure("dominoes", f"Dominoes: the longest chain of thefts ({report.name})",
                  "A row per link: a page of the victim is put to work by another thread, and the victim takes a fresh one, which is the next link's. "
                  "Modelled: virtual time." + (f" No chain under {', '.join(without)}." if without else ""),
                  [_chain_panel(route) for route in with_chains], {}, "chains")


def _chain_panel(route):
    chain = max(route["longest_chains"], key=lambda each: len(each["links"]))["links"]
    links = [Link(f"page {link['stolen_page']} → {link['fresh_page']}", link["mapped_ns"] / 1e6, link["freed_ns"] / 1e6 if "freed_ns" in link else None,
                  link["stolen_ns"] / 1e6, link["fresh_ns"] / 1e6) for link in chain]
    gap = ""
    if len(links) > LINKS_MAX:
        gap = f"… {len(links) - LINKS_MAX} links more …"
        links = links[:LINKS_MAX // 2] + [None] + links[-LINKS_MAX // 2:]
    thefts, fresh = route["thefts_running"] + route["thefts_exited"], route["new_pages"] + route["recycled_pages"]
    return ChainPanel(f"{route['route']}: thread {chain[0]['victim']}", f"{plural(len(chain), 'link')}; in all {count(thefts)} thefts, {count(route['links'])} links, {count(fresh)} fresh pages",
                      links, gap)


# ---------------------------------------------------------------- flaws

def flaws(workload):
    """What each flaw alone adds to each figure, on the average over the others; interactions are in the file."""
    panels = []
    for figure in workload["figures"].values():
        multiplies = figure.get("scale") == "logarithm"
        rows = [_effect_row(effect, multiplies) for effect in figure["effects"] if len(effect["flaws"]) == 1]
        if rows:
            panels.append(BarPanel(figure["unit"], "% more" if multiplies else "more", rows))
    return Figure("flaws", f"What each flaw costs ({workload['workload']})",
                  "The change that a flaw's being there makes, the mean over all combinations of the other flaws, with its interval over seeds. "
                  "Modelled. An effect marked ? is undecided: another cost table may turn it.", panels, {}, "intervals") if panels else None


def _effect_row(effect, multiplies):
    values = [effect[key] for key in ("mean", "low", "high")]
    if multiplies:
        values = [(math.exp(min(value, 50)) - 1) * 100 for value in values]
    text = f"{values[0]:+,.1f}" if abs(values[0]) < 100 else f"{values[0]:+,.0f}"
    return BarRow(effect["flaws"][0], [("effect", values[0])], text + (" ?" if effect.get("undecided") else ""), (values[1], values[2]))


# ---------------------------------------------------------------- sweeps

def phases(report):
    """Which route has the least of the first figure, over the sweep's axes; a panel per program and machine."""
    if not report.axes or not report.figures or not any("route" in cell for cell in report.cells):
        return None
    figure, kinds = report.figures[0], {}
    for cell in report.cells:
        if report.value(cell, figure) is not None and report.axes[0] in cell:
            kinds.setdefault(", ".join(str(cell.get(name)) for name in report.kinds), []).append(cell)
    if not kinds:
        return None
    shown = list(kinds.items())[:KINDS_MAX]
    across, up = report.axes[0], report.axes[1] if len(report.axes) > 1 else None
    won = {kind: report.winners(figure, cells, across, up) for kind, cells in shown}
    names = sorted({name for winners in won.values() for name, _ in winners.values()})
    colours = {name: CELL_COLOURS[min(place, len(CELL_COLOURS) - 1)] for place, name in enumerate(names)}
    legend = {}
    for name in names:
        legend[colours[name]] = f"{legend[colours[name]]}, {name}" if colours[name] in legend else name
    averaged = [words_of(name) for name in {name for cell in report.cells for name in cell} - set(report.axes) - set(report.kinds) - {"route"}
                if name in ("costs", "seed", "cores", "threads", "machine") and len({str(cell.get(name)) for cell in report.cells}) > 1]
    return Figure("phases", f"Which route has the least {words_of(figure)}",
                  f"Each cell: the route with the least {words_of(figure)}" + (f", by the mean over {listing(sorted(averaged))}" if averaged else "")
                  + ". A question mark: the interval of another route meets its own. Modelled."
                  + (f" {plural(len(kinds) - len(shown), 'more program')} in the file only." if len(kinds) > len(shown) else ""),
                  [_phase_panel(report, kind, cells, won[kind], colours) for kind, cells in shown], legend, "grid")


def _phase_panel(report, kind, cells, winners, colours):
    rows, columns = (sorted({key[place] for key in winners}, key=_order) for place in (0, 1))
    values = [[(colours[winners[row, column][0]], winners[row, column][0] + (" ?" if winners[row, column][1] else "")) if (row, column) in winners else None
               for column in columns] for row in rows]
    return GridPanel(kind, plural(len(cells), "result"), [str(each) for each in columns], [str(each) for each in rows], values,
                     words_of(report.axes[0]), words_of(report.axes[1]) if len(report.axes) > 1 else "")


def _order(value):
    """Numbers by size, before words."""
    return (0, value, "") if isinstance(value, (int, float)) else (1, 0, str(value))


def pareto(report):
    """Two figures against each other, a point per route; the mean over the sweep."""
    if len(report.figures) < 2:
        return None
    across, up = report.figures[0], report.figures[1]
    times = [name for name in report.figures if name.endswith(("_ns", "_second")) or "nanoseconds" in name or name.startswith("line_moves")]
    if times:
        up = times[0] if times[0] != across else up
    sums = {}
    for cell in report.cells:
        x, y = report.value(cell, across), report.value(cell, up)
        if x is not None and y is not None:
            sums.setdefault(str(cell.get("route", "all")), []).append((x, y))
    points = [(name, sum(x for x, _ in some) / len(some), sum(y for _, y in some) / len(some)) for name, some in sums.items()]
    if len(points) < 2:
        return None
    more_is_better = up.endswith("_per_second")
    rated = [Point(name, x, y, not any(ox <= x and (oy >= y if more_is_better else oy <= y) and (ox, oy) != (x, y) for _, ox, oy in points)) for name, x, y in points]
    return Figure("pareto", f"{words_of(across).capitalize()} against {words_of(up)}",
                  "A point per route, the mean over the sweep. Joined: routes that no other beats in both figures.",
                  [PointsPanel("", plural(len(rated), "route"), rated, words_of(across), words_of(up) + (" (more is better)" if more_is_better else ""))], {}, "points")


# ---------------------------------------------------------------- allocators on real threads

def speeds(report):
    """Operations per second, with intervals."""
    rows = []
    for subject in report.subjects[:ROWS_MAX]:
        wall = report.metric(subject, "wall_ns")
        rows.append(_speed_row(report.label(subject), report.calls, wall, subject.get("failure")))
    return Figure("speeds", f"Allocators: operations per second ({report.name})",
                  f"{count(report.calls)} calls of the trace, made by real threads. Point: median of the repetitions; bar: its interval.",
                  [BarPanel("", "million operations per second", rows)], {}, "intervals") if rows else None


def _speed_row(label, calls, wall, failure):
    if not wall or not wall["low"]:
        return BarRow(label, [("wall", None)], failure or "not measured")
    rates = [calls / wall[key] * 1e3 for key in ("median", "high", "low")]  # calls per ns, in millions a second
    return BarRow(label, [("wall", rates[0])], f"{rates[0]:.2f}", (rates[1], rates[2]))


def memory(report):
    """The most resident, and what stays once the program rests."""
    def panel(title, name):
        rows = []
        for subject in report.subjects[:ROWS_MAX]:
            metric = report.metric(subject, name)
            mebi = [metric[key] / 2**20 for key in ("median", "low", "high")] if metric else None
            rows.append(BarRow(report.label(subject), [("resident", mebi[0])], f"{mebi[0]:,.1f}", tuple(mebi[1:])) if mebi else
                        BarRow(report.label(subject), [("resident", None)], "not measured"))
        return BarPanel(title, "MiB", rows)
    shown = [(title, name) for title, name in (("most resident", "peak_bytes"), ("resident at rest", "idle_bytes"))
             if any(report.metric(subject, name) for subject in report.subjects)]
    return Figure("memory", f"Allocators: resident memory ({report.name})",
                  "Memory of the process less that of the same play without an allocator. Point: median; bar: its interval.",
                  [panel(*each) for each in shown], {}, "intervals") if shown else None


def resident(report):
    """Resident ÷ live bytes over time, of the first repetition."""
    lines = []
    for subject in report.subjects:
        series = report.series(subject)
        if {"time_ns", "resident_bytes", "live_bytes"} <= set(series):
            points = thinned(_ratios(*(series[name] for name in ("time_ns", "resident_bytes", "live_bytes"))))
            if points:
                lines.append((report.label(subject), [x for x, _ in points], [y for _, y in points]))
    # half of each line at least is to be seen
    top = math.ceil(max([RATIO_TOP, *(1.1 * sorted(ratios)[len(ratios) // 2] for _, _, ratios in lines)]))
    return Figure("resident", f"Allocators: resident ÷ live bytes over time ({report.name})",
                  f"1 is as little as can be. While the program plays; not drawn while less than {LIVE_SHARE_MIN:.0%} of the most live bytes lives. "
                  f"The axis ends at {top}.", [SeriesPanel("", "first repetition", lines, "seconds", "resident ÷ live", top)], {}, "series") if lines else None


def _ratios(times_ns, resident_bytes, live_bytes):
    """[(seconds, resident ÷ live)] until the program rests: from then on its live bytes do not change."""
    enough = max(live_bytes, default=0) * LIVE_SHARE_MIN
    rests = len(live_bytes) - 1
    while rests > 0 and live_bytes[rests - 1] == live_bytes[-1]:
        rests -= 1
    if rests < 2:  # constant from the start
        rests = len(live_bytes) - 1
    return [(time / 1e9, held / live) for time, held, live in zip(times_ns[:rests + 1], resident_bytes, live_bytes) if live > enough and held > 0]


def thinned(points, limit=POINTS_MAX):
    """At most so many points, in order; of each part the least and the greatest stay, and the last of all."""
    if len(points) <= limit:
        return points
    parts = max((limit - 1) // 2, 1)
    kept = {len(points) - 1}
    for number in range(parts):
        part = range(len(points) * number // parts, len(points) * (number + 1) // parts)
        kept |= {min(part, key=lambda at: points[at][1]), max(part, key=lambda at: points[at][1])}
    return [points[at] for at in sorted(kept)]


def tails(report):
    """Percentiles of malloc and free."""
    panels = []
    for call in ("malloc", "free"):
        rows = []
        for subject in report.subjects[:ROWS_MAX]:
            values = [(key, (report.metric(subject, f"{call}_ns_{key}") or {}).get("median", 0)) for key in PERCENTILES]
            worst = max((repetition.get(f"{call}_ns_max") or 0 for repetition in subject.get("repetitions") or []), default=0)
            values.append(("max", worst))
            rows.append(BarRow(report.label(subject), values, "" if any(value for _, value in values) else "not measured"))
        if any(value for row in rows for _, value in row.segments):
            panels.append(BarPanel(call, "nanoseconds", rows))
    return Figure("tails", f"Allocators: how long a call takes ({report.name})",
                  "Percentiles of one call: medians over the repetitions; the greatest of all repetitions.",
                  panels, {"p50": "half of the calls", "p99": "99 %", "p999": "99.9 %", "max": "the longest"}, "tails") if panels else None
