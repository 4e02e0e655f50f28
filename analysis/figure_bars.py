"""Blocks of rows: bars that add up, and means with their intervals. A row per run, thread or allocator."""
import figure_style as style
from canvas import EDGE, LEGEND_ROW, LETTER, LETTER_BOLD, NARROW, SMALL, bare, shortened
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from wording import short_count


class BarBlock:
    """Panels of horizontal bars, a row per run. Short labels stand left of the bars, others above."""
    ROW, ROW_LABELLED, HEAD, FOOT, GAP, LABEL_LETTERS_MAX = 23, 38, 22, 38, 24, 30

    def __init__(self, figure):
        self.figure = figure
        self.letters = max(len(row.label) for row in figure.panels[0].rows)
        self.head = self.HEAD if figure.panels[0].title else 2

    def _legend_handles(self):
        return [Patch(facecolor=style.color(key), label=words) for key, words in self.figure.key_names.items()]

    def _longest(self, panel):
        return max(sum(value for _, value in row.segments) for row in panel.rows)

    def _above(self, width):
        return width <= NARROW or self.letters > self.LABEL_LETTERS_MAX

    def _legend_columns(self, width):
        return max(1, int((width + 20) // 168))

    def _legend_height(self, width):
        names = len(self.figure.key_names)
        return -(-names // self._legend_columns(width)) * LEGEND_ROW + 10 if names else 0

    def _panel_height(self, width):
        row = self.ROW_LABELLED if self._above(width) else self.ROW
        return self.head + len(self.figure.panels[0].rows) * row + self.FOOT

    def height(self, width):
        return self._legend_height(width) + self._panel_height(width) * -(-len(self.figure.panels) // self._columns(width))

    def _columns(self, width):
        """Panels beside one another: up to three in a row, more in rows of two."""
        count = len(self.figure.panels)
        return 1 if width <= NARROW else count if count <= 3 else 2

    def draw(self, canvas, left, top, width):
        if self.figure.key_names:
            canvas.legend(left, top, self._legend_handles(), self._legend_columns(width))
            top += self._legend_height(width)
        panels, above = self.figure.panels, self._above(width)
        columns = self._columns(width)
        gutter = 0 if above else self.letters * LETTER + 12
        wide = (width - gutter - self.GAP * (columns - 1)) / columns
        for number, panel in enumerate(panels):
            line, column = divmod(number, columns)
            y = top + line * self._panel_height(width)
            self._panel(canvas, panel, left + gutter + column * (wide + self.GAP), y, wide, above)
            for place, row in enumerate(panel.rows if gutter and not column else []):
                canvas.text(left, y + self.head + place * self.ROW + 4, row.label, fontsize=style.TEXT_SIZE)

    def _panel(self, canvas, panel, left, top, width, above):
        row_height = self.ROW_LABELLED if above else self.ROW
        width -= EDGE
        place = canvas.axes(left, top + self.head, width, len(panel.rows) * row_height)
        if panel.title:
            canvas.text(left, top, shortened(panel.title, int(width / LETTER_BOLD)), fontsize=style.TEXT_SIZE, fontweight="bold")
        bare(place)
        place.set_ylim(len(panel.rows) * row_height, 0)
        self._scale(place, panel, width)
        for number, row in enumerate(panel.rows):
            middle = number * row_height + (27 if above else row_height / 2)
            if above:
                place.text(0, number * row_height + 15, shortened(row.label, int(width / LETTER)), fontsize=style.TEXT_SIZE, va="baseline",
                           transform=place.get_yaxis_transform())
            self._bar(place, row, middle)
        place.set_yticks([])
        place.grid(axis="x", color=style.color("rule"), linewidth=0.8)
        place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        place.set_xlabel(panel.unit, fontsize=SMALL, color=style.color("muted"), labelpad=2)

    def _scale(self, place, panel, width):
        room = max(len(row.text) for row in panel.rows) * LETTER + 10
        longest = self._longest(panel)
        place.set_xlim(0, longest / max(1 - room / width, 0.3) or 1)
        place.xaxis.set_major_locator(MaxNLocator(4 if width > 300 else 3, integer=longest >= 3 or not longest))

    def _bar(self, place, row, middle):
        start = 0
        for key, value in row.segments:
            if value:
                place.barh(middle, value, left=start, height=13, color=style.color(key), edgecolor=style.color("paper"), linewidth=0.6)
                start += value
        place.annotate(row.text, (start, middle), xytext=(5, 0), textcoords="offset points", va="center",
                       color=style.color("muted" if not start else "ink"), fontsize=SMALL)


class IntervalBlock(BarBlock):
    """The same rows, with a point for the value and a line for its interval."""

    def _bar(self, place, row, middle):
        (key, value), = row.segments
        if value is None:
            place.annotate(row.text, (0, middle), xytext=(5, 0), textcoords="offset points", va="center", color=style.color("muted"), fontsize=SMALL)
            return
        low, high = row.interval
        place.plot([low, high], [middle, middle], color=style.color(key), linewidth=3.2, alpha=0.45, solid_capstyle="butt")
        place.plot([value], [middle], marker="o", markersize=6, color=style.color(key))
        place.annotate(row.text, (high, middle), xytext=(9, 0), textcoords="offset points", va="center", fontsize=SMALL)

    def _longest(self, panel):
        return max((row.interval[1] for row in panel.rows if row.interval), default=0)

    def _scale(self, place, panel, width):
        """From 0, or from the lowest where something is below it; room for the text behind each point."""
        lowest = min((row.interval[0] for row in panel.rows if row.interval), default=0)
        super()._scale(place, panel, width)
        if lowest < 0:
            highest = max(self._longest(panel), 0)
            span = highest - lowest
            room = max(len(row.text) for row in panel.rows) * LETTER + 14
            place.set_xlim(lowest - span * 0.05, highest + span * 1.05 * room / max(width - room, width * 0.3))
            place.axvline(0, color=style.color("muted"), linewidth=1)


class TailBlock(BarBlock):
    """Percentiles of a latency, a row per allocator, on a logarithmic axis that all panels share."""
    MARKERS = ("o", "s", "D", "^")

    def _legend_handles(self):
        return [Line2D([], [], color=style.color(key), marker=marker, linestyle="", markersize=6, label=words)
                for (key, words), marker in zip(self.figure.key_names.items(), self.MARKERS)]

    def _scale(self, place, panel, width):
        values = [value for some in self.figure.panels for row in some.rows for _, value in row.segments if value]
        place.set_xscale("log")
        place.set_xlim(min(values, default=1) / 1.5, max(values, default=10) * 1.6)
        place.xaxis.set_major_locator(LogLocator(numticks=6))
        place.xaxis.set_minor_locator(NullLocator())

    def _bar(self, place, row, middle):
        left = place.get_xlim()[0]
        values = [value for _, value in row.segments if value]
        if not values:
            place.annotate(row.text, (left, middle), xytext=(5, 0), textcoords="offset points", va="center", color=style.color("muted"), fontsize=SMALL)
            return
        place.plot([min(values), max(values)], [middle, middle], color=style.color("rule"), linewidth=2.5)
        for (key, value), marker in zip(row.segments, self.MARKERS):
            if value:
                place.plot([value], [middle], marker=marker, markersize=6, color=style.color(key))
