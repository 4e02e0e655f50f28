"""Draws the figures of figure_data.py. Owns layout, in points from the top left corner of a canvas.

Every figure is a Block: it says how tall it is at a given width and draws itself at a place. One
block alone becomes an SVG of the page; all of them under one another become the PNG.
"""
import io
import textwrap

import figure_style as style

style.apply()

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from wording import short_count

NARROW = 500          # a canvas up to this width is laid out in one column
LETTER, LETTER_BOLD = 6.6, 7.8  # about the width of a letter
STEPPED_POINTS = 64   # up to so many points the shares of a timeline are drawn as steps
LEGEND_ROW = 18
EDGE = 14             # right of an axis, for half of its last number


class Canvas:
    """A matplotlib figure measured in points from its top left corner."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.figure = plt.figure(figsize=(width / 72, height / 72), dpi=72)

    def axes(self, left, top, width, height):
        return self.figure.add_axes([left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height])

    def text(self, left, top, words, **options):
        self.figure.text(left / self.width, 1 - top / self.height, words, va="top", **options)

    def legend(self, left, top, handles, columns):
        self.figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(left / self.width, 1 - top / self.height),
                           ncol=columns, frameon=False, borderpad=0, borderaxespad=0, handlelength=1.3, handleheight=0.8,
                           columnspacing=1.4, handletextpad=0.5, labelspacing=0.45, fontsize=SMALL)

    def close(self):
        plt.close(self.figure)


SMALL = style.SMALL_SIZE


def block(figure):
    return TimelineBlock(figure) if figure.name == "timeline" else BarBlock(figure)


class TimelineBlock:
    """Panels of stacked areas, two beside one another where the width allows."""
    PANEL, GAP, LEFT, LINE, FOOT = 170, 22, 46, 18, 36

    def __init__(self, figure):
        self.figure = figure
        panels = figure.panels
        self.peaks = any(top > sum(values) for panel in panels for top, values in zip(panel.held_max, zip(*panel.states.values())))

    def _columns(self, width):
        return 1 if width <= NARROW or len(self.figure.panels) == 1 else 2

    def _panel_width(self, width):
        columns = self._columns(width)
        return (width - self.GAP * (columns - 1)) / columns

    def _two_lines(self, width):
        """Whether some panel's label and note do not fit beside each other."""
        return any(len(panel.label) * LETTER_BOLD + (len(panel.note) + 4) * LETTER > self._panel_width(width) for panel in self.figure.panels)

    def _row_height(self, width):
        return self.LINE * (2 if self._two_lines(width) else 1) + 4 + self.PANEL + self.FOOT

    def _legend_columns(self, width):
        return max(1, int((width + 20) // 172))

    def _handles(self):
        handles = [Patch(facecolor=style.color(state), label=words) for state, words in self.figure.key_names.items()]
        handles += [Line2D([], [], color=style.color("ink"), linewidth=1.7, label="fewest possible"),
                    Line2D([], [], color=style.color("ink"), linewidth=1.3, linestyle=(0, (3, 2)), label="live bytes / page size")]
        if self.peaks:
            handles.append(Line2D([], [], color=style.color("muted"), linewidth=0.9, label="highest in between"))
        return handles

    def _legend_height(self, width):
        return -(-len(self._handles()) // self._legend_columns(width)) * LEGEND_ROW + 10

    def height(self, width):
        rows = -(-len(self.figure.panels) // self._columns(width))
        return self._legend_height(width) + rows * self._row_height(width)

    def draw(self, canvas, left, top, width):
        canvas.legend(left, top, self._handles(), self._legend_columns(width))
        top += self._legend_height(width)
        for number, panel in enumerate(self.figure.panels):
            row, column = divmod(number, self._columns(width))
            self._panel(canvas, panel, left + column * (self._panel_width(width) + self.GAP), top + row * self._row_height(width), width)

    def _panel(self, canvas, panel, left, top, block_width):
        width, below = self._panel_width(block_width), self._two_lines(block_width)
        head = self.LINE * (2 if below else 1) + 4
        place = canvas.axes(left + self.LEFT, top + head, width - self.LEFT - EDGE, self.PANEL)
        canvas.text(left, top, _shortened(panel.label, int(width / LETTER_BOLD)), fontweight="bold", fontsize=style.TEXT_SIZE)
        canvas.text(left if below else left + width - EDGE, top + 1 + (self.LINE - 2) * below, panel.note,
                    ha="left" if below else "right", color=style.color("muted"), fontsize=SMALL)
        _bare(place)
        place.grid(axis="y", color=style.color("rule"), linewidth=0.8)
        place.set_ylim(0, panel.pages_max * 1.05 or 1)
        place.set_xlim(0, panel.steps[-1] if panel.steps and panel.steps[-1] else 1)
        place.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        place.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        for axis in (place.xaxis, place.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        place.set_xlabel("operations", fontsize=SMALL, color=style.color("muted"), labelpad=2)
        place.set_ylabel("pages", fontsize=SMALL, color=style.color("muted"), labelpad=3)
        if panel.steps:
            self._areas(place, panel)
        else:
            place.text(0.5, 0.5, "no operations", transform=place.transAxes, ha="center", color=style.color("muted"))

    def _areas(self, place, panel):
        """A row of the timeline is the state at the end of its share of the steps."""
        few = len(panel.steps) <= STEPPED_POINTS
        steps = [0] + panel.steps if panel.steps[0] else panel.steps
        lead = len(steps) - len(panel.steps)

        def whole(values):
            return values[:1] * lead + values

        below = [0] * len(steps)
        for state in self.figure.key_names:
            above = [low + more for low, more in zip(below, whole(panel.states[state]))]
            place.fill_between(steps, below, above, step="pre" if few else None, color=style.color(state), linewidth=0)
            below = above
        draw = place.step if few else place.plot
        options = {"where": "pre"} if few else {}
        halo = [withStroke(linewidth=2.6, foreground=style.color("paper"), alpha=0.6)]
        if self.peaks:
            draw(steps, whole(panel.held_max), color=style.color("muted"), linewidth=0.9, **options)
        draw(steps, whole(panel.live), color=style.color("ink"), linewidth=1.3, linestyle=(0, (3, 2)), path_effects=halo, **options)
        draw(steps, whole(panel.fewest), color=style.color("ink"), linewidth=1.7, path_effects=halo, clip_on=False, **options)


class BarBlock:
    """Panels of horizontal bars, a row per run. Short labels stand left of the bars, others above."""
    ROW, ROW_LABELLED, HEAD, FOOT, GAP, LABEL_LETTERS_MAX = 23, 38, 22, 38, 24, 30

    def __init__(self, figure):
        self.figure = figure
        self.letters = max(len(row.label) for row in figure.panels[0].rows)
        self.head = self.HEAD if figure.panels[0].title else 2

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
        return self._legend_height(width) + self._panel_height(width) * (len(self.figure.panels) if width <= NARROW else 1)

    def draw(self, canvas, left, top, width):
        if self.figure.key_names:
            handles = [Patch(facecolor=style.color(key), label=words) for key, words in self.figure.key_names.items()]
            canvas.legend(left, top, handles, self._legend_columns(width))
            top += self._legend_height(width)
        panels, above = self.figure.panels, self._above(width)
        if width <= NARROW:
            for number, panel in enumerate(panels):
                self._panel(canvas, panel, left, top + number * self._panel_height(width), width, True)
            return
        gutter = 0 if above else self.letters * LETTER + 12
        wide = (width - gutter - self.GAP * (len(panels) - 1)) / len(panels)
        for number, row in enumerate(panels[0].rows if gutter else []):
            canvas.text(left, top + self.head + number * self.ROW + 4, row.label, fontsize=style.TEXT_SIZE)
        for number, panel in enumerate(panels):
            self._panel(canvas, panel, left + gutter + number * (wide + self.GAP), top, wide, above)

    def _panel(self, canvas, panel, left, top, width, above):
        row_height = self.ROW_LABELLED if above else self.ROW
        width -= EDGE
        place = canvas.axes(left, top + self.head, width, len(panel.rows) * row_height)
        if panel.title:
            canvas.text(left, top, panel.title, fontsize=style.TEXT_SIZE, fontweight="bold")
        _bare(place)
        room = max(len(row.text) for row in panel.rows) * LETTER + 10
        longest = max(sum(value for _, value in row.segments) for row in panel.rows)
        place.set_xlim(0, longest / max(1 - room / width, 0.3) or 1)
        place.set_ylim(len(panel.rows) * row_height, 0)
        for number, row in enumerate(panel.rows):
            middle = number * row_height + (27 if above else row_height / 2)
            if above:
                place.text(0, number * row_height + 15, _shortened(row.label, int(width / LETTER)), fontsize=style.TEXT_SIZE, va="baseline")
            self._bar(place, row, middle)
        place.set_yticks([])
        place.grid(axis="x", color=style.color("rule"), linewidth=0.8)
        place.xaxis.set_major_locator(MaxNLocator(4 if width > 300 else 3, integer=longest >= 3 or not longest))
        place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        place.set_xlabel(panel.unit, fontsize=SMALL, color=style.color("muted"), labelpad=2)

    def _bar(self, place, row, middle):
        start = 0
        for key, value in row.segments:
            if value:
                place.barh(middle, value, left=start, height=13, color=style.color(key), edgecolor=style.color("paper"), linewidth=0.6)
                start += value
        place.annotate(row.text, (start, middle), xytext=(5, 0), textcoords="offset points", va="center",
                       color=style.color("muted" if not start else "ink"), fontsize=SMALL)


def _bare(place):
    for side in ("top", "right", "left"):
        place.spines[side].set_visible(False)
    place.tick_params(length=0, pad=4)


def _shortened(words, letters):
    """Without its middle, if need be: labels differ at their ends."""
    half = max((letters - 1) // 2, 1)
    return words if len(words) <= letters else f"{words[:half]}…{words[-half:]}"


def svg(figure, width):
    """The figure as an <svg> element that takes its colours from the page."""
    drawn = block(figure)
    canvas = Canvas(width, drawn.height(width))
    drawn.draw(canvas, 0, 0, width)
    buffer = io.StringIO()
    # the salt makes ids that are the same in every run and differ from those of the page's other pictures
    with plt.rc_context({"svg.hashsalt": f"{figure.name} {width}"}):
        canvas.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    canvas.close()
    text = buffer.getvalue()
    return style.svg_with_variables(text[text.index("<svg"):])


def save_png(path, figures, title, lead):
    """All figures under one another; the last two, which have one panel each, side by side."""
    width, margin, heading = 1000, 36, 54
    inner, half = width - 2 * margin, (width - 3 * margin) / 2
    blocks = [block(figure) for figure in figures]
    lead_lines = textwrap.wrap(lead, int(inner / LETTER))
    heights = [drawn.height(inner) for drawn in blocks[:-2]] + [max(drawn.height(half) for drawn in blocks[-2:])]
    top = margin + 32 + 18 * len(lead_lines)
    canvas = Canvas(width, top + sum(heights) + len(heights) * (heading + 14) + margin / 2)
    canvas.text(margin, margin, title, fontsize=style.TITLE_SIZE, fontweight="bold")
    for number, line in enumerate(lead_lines):
        canvas.text(margin, margin + 34 + 18 * number, line, color=style.color("muted"), fontsize=style.TEXT_SIZE)
    places = [(drawn, margin, number, inner) for number, drawn in enumerate(blocks[:-2])]
    places += [(drawn, margin + side * (half + margin), len(blocks) - 2, half) for side, drawn in enumerate(blocks[-2:])]
    for drawn, left, row, wide in places:
        y = top + 14 + sum(heights[:row]) + row * (heading + 14)
        canvas.text(left, y + 12, drawn.figure.title, fontsize=style.HEADING_SIZE, fontweight="bold")
        drawn.draw(canvas, left, y + heading - 8, wide)
    canvas.figure.savefig(path, format="png", dpi=144, metadata={"Software": None})
    canvas.close()
