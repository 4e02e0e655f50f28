"""The block of a flame graph: a box per frame, callers below, as wide as what its callees hold."""
import figure_style as style
from canvas import Panels, SMALL, label_axes, short_numbers, shortened
from matplotlib.patches import Patch, Rectangle

LETTER_SMALL = 6.0
LABEL_LETTERS_MIN = 3


class FlameBlock(Panels):
    """panel.boxes: [Box(depth, start, width, name, key)]."""
    ROW, LEFT, FOOT = 18, 8, 36

    def handles(self):
        return [Patch(facecolor=style.color(key), alpha=0.6, label=words) for key, words in self.figure.key_names.items()]

    def columns(self, width):
        return 1

    def panel_height(self, width):
        return max((box.depth + 1 for panel in self.figure.panels for box in panel.boxes), default=1) * self.ROW

    def draw_panel(self, place, panel, width):
        depth = max((box.depth + 1 for each in self.figure.panels for box in each.boxes), default=1)
        place.set_xlim(0, panel.total or 1)
        place.set_ylim(0, depth)
        points = (width - self.LEFT - 14) / (panel.total or 1)
        for box in panel.boxes:
            place.add_patch(Rectangle((box.start, box.depth), box.width, 1, facecolor=style.color(box.key), alpha=0.42 + 0.2 * (box.depth % 2),
                                      edgecolor=style.color("paper"), linewidth=0.6))
            letters = int((box.width * points - 6) / LETTER_SMALL)
            if letters >= LABEL_LETTERS_MIN:
                name = box.name if len(box.name) <= letters else box.name[:letters - 1] + "…"
                place.text(box.start + 3 / points, box.depth + 0.5, name, fontsize=SMALL - 1, va="center")
        place.set_yticks([])
        short_numbers(place.xaxis)
        label_axes(place, panel.unit, "")
