"""Blocks of cells: heat maps (a shade per number) and phase diagrams (a colour per winner)."""
import figure_style as style
from canvas import LETTER, Panels, SMALL, label_axes, shortened
from matplotlib.patches import Patch, Rectangle
from wording import short_count

FAINTEST = 0.10  # opacity of the smallest number that is not zero
NUMBERED_COLUMNS_MAX = 14  # with more, the cells are too small for their numbers
LABELS_MAX = 12  # along an axis


class GridBlock(Panels):
    """panel.values[row][column]: a number or None (heat), or (key, text) or None (phase)."""
    LEFT, FOOT = 52, 40

    def panel_height(self, width):
        rows, columns = (max(len(each) for each in axis) for axis in
                         ([panel.y_labels for panel in self.figure.panels], [panel.x_labels for panel in self.figure.panels]))
        cell = min(44, (width - self.LEFT - 14) / columns)
        return max(60, min(420, rows * max(cell * 0.8, 12)))

    def handles(self):
        return [Patch(facecolor=style.color(key), label=words) for key, words in self.figure.key_names.items()]

    def draw_panel(self, place, panel, width):
        columns, rows = len(panel.x_labels), len(panel.y_labels)
        place.set_xlim(0, columns)
        place.set_ylim(rows, 0)
        numbered = columns <= NUMBERED_COLUMNS_MAX and (width - self.LEFT) / columns >= 30
        largest = max((value for line in panel.values for value in line if isinstance(value, (int, float))), default=0)
        for row, line in enumerate(panel.values):
            for column, value in enumerate(line):
                if value is not None and value != 0:
                    self._cell(place, row, column, value, largest, numbered)
        for axis, labels in ((place.xaxis, panel.x_labels), (place.yaxis, panel.y_labels)):
            every = -(-len(labels) // (LABELS_MAX if width > 300 else LABELS_MAX // 2))
            axis.set_ticks([at + 0.5 for at in range(0, len(labels), every)], [shortened(labels[at], 9) for at in range(0, len(labels), every)])
        place.spines["bottom"].set_visible(False)
        place.add_patch(Rectangle((0, 0), columns, rows, fill=False, edgecolor=style.color("rule"), linewidth=1))
        label_axes(place, panel.x_title, panel.y_title)

    def _cell(self, place, row, column, value, largest, numbered):
        number = isinstance(value, (int, float))
        key, text = (self.figure.panels[0].key, short_count(value)) if number else value
        share = min(FAINTEST + (1 - FAINTEST) * value / largest, 1) if number else 0.75  # 1: a sum of two parts may pass it
        place.add_patch(Rectangle((column, row), 1, 1, facecolor=style.color(key), alpha=share, edgecolor=style.color("paper"), linewidth=0.6))
        if numbered and text:
            place.text(column + 0.5, row + 0.5, shortened(text, 6), ha="center", va="center", fontsize=SMALL - 1.5,
                       color=style.color("paper" if number and share > 0.6 else "ink"))
