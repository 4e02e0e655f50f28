"""Blocks of curves and points: histograms, series over time, points of two figures, chains of events."""
import figure_style as style
from canvas import LETTER, Panels, SMALL, label_axes, short_numbers, shortened
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from wording import short_count

DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))  # beside colours, which few eyes tell apart by themselves
MARKERS = "osD^vPX"


def look(place):
    """Colour key and place in the list of dashes and markers of the place-th curve."""
    return style.CURVES[place % len(style.CURVES)], place // len(style.CURVES)


class HistogramBlock(Panels):
    """Stacked columns; panel.bins are the labels under them, panel.layers {key: counts}."""
    PANEL = 150

    def handles(self):
        return [Patch(facecolor=style.color(key), label=words) for key, words in self.figure.key_names.items()]

    def draw_panel(self, place, panel, width):
        count = len(panel.bins)
        below = [0] * count
        for key, values in panel.layers.items():
            if any(values):
                place.bar(range(count), values, bottom=below, width=0.86, color=style.color(key), linewidth=0)
            below = [low + more for low, more in zip(below, values)]
        place.set_xlim(-0.6, max(count, 1) - 0.4)
        place.set_ylim(0, max(below, default=0) * 1.05 or 1)
        place.grid(axis="y", color=style.color("rule"), linewidth=0.8)
        short_numbers(place.yaxis, whole=True)
        every = max(1, -(-count // max(int(width / 62), 1)))
        place.set_xticks(range(0, count, every), [panel.bins[at] for at in range(0, count, every)])
        label_axes(place, panel.x_title, panel.y_title)


class SeriesBlock(Panels):
    """Lines over one axis; panel.lines is [(name, x values, y values)]."""
    PANEL = 190

    def handles(self):
        names = list(dict.fromkeys(name for panel in self.figure.panels for name, _, _ in panel.lines))
        return [self._line(number, name) for number, name in enumerate(names)]

    def _line(self, number, name, across=(), up=()):
        key, dashes = look(number)
        return Line2D(across, up, color=style.color(key), linestyle=DASHES[dashes % len(DASHES)], linewidth=1.8, label=name)

    def draw_panel(self, place, panel, width):
        names = [handle.get_label() for handle in self.handles()]
        for name, across, up in panel.lines:
            place.add_line(self._line(names.index(name), name, across, up))
        right = max((across[-1] for _, across, _ in panel.lines if across), default=1)
        highest = max((value for _, _, up in panel.lines for value in up), default=1)
        place.set_xlim(0, right or 1)
        place.set_ylim(0, min(highest, panel.top) * 1.05 or 1)
        place.grid(axis="y", color=style.color("rule"), linewidth=0.8)
        short_numbers(place.xaxis, place.yaxis)
        label_axes(place, panel.x_title, panel.y_title)


class PointsBlock(Panels):
    """A point per row, of two figures; those that no other beats in both are joined."""
    PANEL = 220

    def handles(self):
        names = list(dict.fromkeys(point.name for panel in self.figure.panels for point in panel.points))
        marks = [Line2D([], [], color=style.color(look(number)[0]), marker=MARKERS[look(number)[1] % len(MARKERS)], linestyle="", markersize=7, label=name)
                 for number, name in enumerate(names)]
        return marks + [Line2D([], [], color=style.color("muted"), linewidth=1, linestyle=DASHES[2], label="nothing is better in both")]

    def draw_panel(self, place, panel, width):
        names = [handle.get_label() for handle in self.handles()]
        front = sorted((point.across, point.up) for point in panel.points if point.best)
        place.plot([x for x, _ in front], [y for _, y in front], color=style.color("muted"), linewidth=1, linestyle=DASHES[2])
        for point in panel.points:
            key, marker = look(names.index(point.name))
            place.plot([point.across], [point.up], color=style.color(key), marker=MARKERS[marker % len(MARKERS)], markersize=7,
                       markeredgecolor=style.color("paper"), linestyle="")
        for axis, values in (("x", [point.across for point in panel.points]), ("y", [point.up for point in panel.points])):
            low, high = min(values, default=0), max(values, default=1)
            room = (high - low) * 0.08 or abs(high) * 0.1 or 1
            getattr(place, f"set_{axis}lim")(max(low - room, 0), high + room)
        place.grid(color=style.color("rule"), linewidth=0.8)
        short_numbers(place.xaxis, place.yaxis)
        label_axes(place, panel.x_title, panel.y_title)


class ChainBlock(Panels):
    """A chain of dominoes: a row per link, from the page's first day with its victim to the fresh page."""
    LEFT, ROW, LABELS = 14, 22, 150

    def columns(self, width):
        return 1

    def panel_height(self, width):
        return max(len(panel.links) for panel in self.figure.panels) * self.ROW + 6

    def handles(self):
        return [Line2D([], [], color=style.color("blue"), linewidth=6, label="the page is its victim's"),
                Line2D([], [], color=style.color("red"), linewidth=6, label="stolen, and not replaced yet"),
                Line2D([], [], color=style.color("ink"), marker="v", linestyle="", markersize=6, label="first freed by another thread"),
                Line2D([], [], color=style.color("ink"), marker="o", linestyle="", markersize=6, label="fresh page: the next link's")]

    def draw_panel(self, place, panel, width):
        times = [time for link in panel.links if link for time in (link.mapped, link.stolen, link.fresh)]
        first, last = min(times, default=0), max(times, default=1)
        span = last - first or 1
        room = min(0.5, self.LABELS / width)
        place.set_xlim(first - span * room / (1 - room), last + span * 0.02)
        place.set_ylim(len(panel.links) * self.ROW, -6)
        for number, link in enumerate(panel.links):
            middle = number * self.ROW + self.ROW / 2
            if link is None:
                place.text(first, middle, panel.gap, fontsize=SMALL, color=style.color("muted"), va="center")
                continue
            place.text(0, middle, shortened(link.text, int(self.LABELS / LETTER)), fontsize=SMALL, va="center", transform=place.get_yaxis_transform())
            place.plot([link.mapped, link.stolen], [middle, middle], color=style.color("blue"), linewidth=6, solid_capstyle="butt")
            place.plot([link.stolen, link.fresh], [middle, middle], color=style.color("red"), linewidth=6, solid_capstyle="butt")
            if link.freed is not None:
                place.plot([link.freed], [middle], marker="v", color=style.color("ink"), markersize=6)
            place.plot([link.fresh], [middle], marker="o", color=style.color("ink"), markersize=6)
        place.set_yticks([])
        place.xaxis.set_major_locator(MaxNLocator(4 if width > 500 else 3))
        place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value) if value >= 0 else ""))
        place.grid(axis="x", color=style.color("rule"), linewidth=0.8)
        label_axes(place, "milliseconds of virtual time", "")
