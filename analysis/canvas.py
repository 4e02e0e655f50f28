"""A picture measured in points from its top left corner, and what all blocks of figures share.

A *block* draws one figure: `height(width)` says how tall it is, `draw(canvas, left, top, width)`
draws it there. The blocks are in figure_timeline.py, figure_bars.py, figure_grid.py,
figure_curves.py and figure_flame.py; figures.py chooses one for each figure.
"""
import figure_style as style

style.apply()

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, MaxNLocator

from wording import short_count

NARROW = 500          # a canvas up to this width is laid out in one column
LETTER, LETTER_BOLD = 6.6, 7.8  # about the width of a letter
LEGEND_ROW = 18
EDGE = 14             # right of an axis, for half of its last number
SMALL = style.SMALL_SIZE


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


class Panels:
    """What blocks of several panels share: a legend, then panels of PANEL points, each under a head
    of its label and note, two beside one another where the width allows."""
    PANEL, GAP, LEFT, LINE, FOOT, LEGEND_COLUMN = 170, 22, 46, 18, 36, 172

    def __init__(self, figure):
        self.figure = figure

    def handles(self):
        """Legend handles."""
        return []

    def panel_height(self, width):
        """Of the axes alone, at this width of a panel."""
        return self.PANEL

    def draw_panel(self, place, panel, width):
        """Draws into the axes."""
        raise NotImplementedError

    def columns(self, width):
        return 1 if width <= NARROW or len(self.figure.panels) == 1 else 2

    def panel_width(self, width):
        columns = self.columns(width)
        return (width - self.GAP * (columns - 1)) / columns

    def _two_lines(self, width):
        """Whether some panel's label and note do not fit beside each other."""
        return any(len(panel.label) * LETTER_BOLD + (len(panel.note) + 4) * LETTER > self.panel_width(width) for panel in self.figure.panels)

    def _head(self, width):
        return self.LINE * (2 if self._two_lines(width) else 1) + 4

    def _row_height(self, width):
        return self._head(width) + self.panel_height(self.panel_width(width)) + self.FOOT

    def _legend_columns(self, width):
        return max(1, int((width + 20) // self.LEGEND_COLUMN))

    def _legend_height(self, width):
        count = len(self.handles())
        return -(-count // self._legend_columns(width)) * LEGEND_ROW + 10 if count else 0

    def height(self, width):
        rows = -(-len(self.figure.panels) // self.columns(width))
        return self._legend_height(width) + rows * self._row_height(width)

    def draw(self, canvas, left, top, width):
        if self.handles():
            canvas.legend(left, top, self.handles(), self._legend_columns(width))
        top += self._legend_height(width)
        for number, panel in enumerate(self.figure.panels):
            row, column = divmod(number, self.columns(width))
            self._panel(canvas, panel, left + column * (self.panel_width(width) + self.GAP), top + row * self._row_height(width), width)

    def _panel(self, canvas, panel, left, top, block_width):
        width, below, head = self.panel_width(block_width), self._two_lines(block_width), self._head(block_width)
        place = canvas.axes(left + self.LEFT, top + head, width - self.LEFT - EDGE, self.panel_height(width))
        canvas.text(left, top, shortened(panel.label, int(width / LETTER_BOLD)), fontweight="bold", fontsize=style.TEXT_SIZE)
        canvas.text(left if below else left + width - EDGE, top + 1 + (self.LINE - 2) * below, shortened(panel.note, int(width / LETTER)),
                    ha="left" if below else "right", color=style.color("muted"), fontsize=SMALL)
        bare(place)
        self.draw_panel(place, panel, width)


def bare(place):
    """Axes without a frame but the lower line."""
    for side in ("top", "right", "left"):
        place.spines[side].set_visible(False)
    place.tick_params(length=0, pad=4)


def label_axes(place, across, up):
    """Names and units of both axes."""
    place.set_xlabel(across, fontsize=SMALL, color=style.color("muted"), labelpad=2)
    place.set_ylabel(up, fontsize=SMALL, color=style.color("muted"), labelpad=3)


def short_numbers(*axes, whole=False):
    """A few round numbers an axis, in the short form; `whole`: of things that are counted, no parts."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(4, integer=whole))
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))


def shortened(words, letters):
    """Without its middle, if need be: labels differ at their ends."""
    half = max((letters - 1) // 2, 1)
    return words if len(words) <= letters else f"{words[:half]}…{words[-half:]}"
