"""The block of pages over operations: stacked areas, with the fewest pages and the live bytes beside them."""
import figure_style as style
from canvas import Panels, label_axes, short_numbers
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

STEPPED_POINTS = 64   # up to so many points the shares of a timeline are drawn as steps
DASHED = (0, (3, 2))


class TimelineBlock(Panels):
    """A panel per run; a row of the timeline is the state at the end of its share of the steps."""

    def __init__(self, figure):
        super().__init__(figure)
        # a line of its own where it says more than the top of the areas
        self.peaks = any(top > sum(values) for panel in figure.panels for top, values in zip(panel.held_max, zip(*panel.states.values())))

    def handles(self):
        whole = "pages held" if self.figure.name == "causes" else "highest in between"
        return [Patch(facecolor=style.color(key), label=words) for key, words in self.figure.key_names.items()] + [
            Line2D([], [], color=style.color("ink"), linewidth=1.7, label="fewest possible"),
            Line2D([], [], color=style.color("ink"), linewidth=1.3, linestyle=DASHED, label="live bytes / page size"),
        ] + ([Line2D([], [], color=style.color("muted"), linewidth=0.9, label=whole)] if self.peaks else [])

    def draw_panel(self, place, panel, width):
        place.grid(axis="y", color=style.color("rule"), linewidth=0.8)
        place.set_ylim(0, panel.pages_max * 1.05 or 1)
        place.set_xlim(0, panel.steps[-1] if panel.steps and panel.steps[-1] else 1)
        short_numbers(place.xaxis, place.yaxis)
        for axis in (place.xaxis, place.yaxis):
            axis.set_major_locator(MaxNLocator(4, integer=True))
        label_axes(place, "operations", "pages")
        if panel.steps:
            self._areas(place, panel)
        else:
            place.text(0.5, 0.5, "no operations", transform=place.transAxes, ha="center", color=style.color("muted"))

    def _areas(self, place, panel):
        few = len(panel.steps) <= STEPPED_POINTS
        steps = [0] + panel.steps if panel.steps[0] else panel.steps
        lead = len(steps) - len(panel.steps)

        def whole(values):
            return values[:1] * lead + values

        below = [0] * len(steps)
        for key in self.figure.key_names:
            above = [low + more for low, more in zip(below, whole(panel.states[key]))]
            place.fill_between(steps, below, above, step="pre" if few else None, color=style.color(key), linewidth=0)
            below = above
        draw = place.step if few else place.plot
        options = {"where": "pre"} if few else {}
        halo = [withStroke(linewidth=2.6, foreground=style.color("paper"), alpha=0.6)]
        if self.peaks:
            draw(steps, whole(panel.held_max), color=style.color("muted"), linewidth=0.9, **options)
        draw(steps, whole(panel.live), color=style.color("ink"), linewidth=1.3, linestyle=DASHED, path_effects=halo, **options)
        draw(steps, whole(panel.fewest), color=style.color("ink"), linewidth=1.7, path_effects=halo, clip_on=False, **options)
