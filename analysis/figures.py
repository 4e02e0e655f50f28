"""Draws the figures of figure_data.py, trace_data.py and report_data.py: each by itself as SVG or PNG,
all of them under one another as one PNG. How one is laid out is its block's business (canvas.py)."""
import io
import textwrap

import numpy as np

import figure_style as style
from canvas import LETTER, Canvas, plt
from figure_bars import BarBlock, IntervalBlock, TailBlock
from figure_curves import ChainBlock, HistogramBlock, PointsBlock, SeriesBlock
from figure_flame import FlameBlock
from figure_grid import GridBlock
from figure_timeline import TimelineBlock

BLOCKS = {"timeline": TimelineBlock, "bars": BarBlock, "intervals": IntervalBlock, "tails": TailBlock, "grid": GridBlock,
          "histogram": HistogramBlock, "series": SeriesBlock, "points": PointsBlock, "chains": ChainBlock, "flame": FlameBlock}


def block(figure):
    return BLOCKS[figure.kind](figure)


def svg(figure, width):
    """The figure as an <svg> element that takes its colours from the page."""
    return style.svg_with_variables(plain_svg(figure, width))


def plain_svg(figure, width):
    """The figure as an <svg> element in the light theme, without a ground."""
    drawn = block(figure)
    canvas = Canvas(width, drawn.height(width))
    drawn.draw(canvas, 0, 0, width)
    buffer = io.StringIO()
    # the salt makes ids that are the same in every run and differ from those of the page's other pictures
    with plt.rc_context({"svg.hashsalt": f"{figure.name} {width}"}):
        canvas.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    canvas.close()
    text = buffer.getvalue()
    return text[text.index("<svg"):]


def svg_file(element):
    """That element as a file that stands by itself: a white ground under it."""
    start = element.index(">") + 1
    ground = f'<rect width="100%" height="100%" fill="{style.color("paper")}"/>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{element[:start]}{ground}{element[start:]}'


PNG_WIDTH, PNG_MARGIN, PNG_HEADING = 1000, 36, 54
PNG_SCALE = 2           # dots a point
PNG_DOTS_MAX = 60_000   # high: more is not a PNG that everything opens


def picture(figure):
    """The figure with its title, as an array of dots."""
    inner = PNG_WIDTH - 2 * PNG_MARGIN
    drawn = block(figure)
    canvas = Canvas(PNG_WIDTH, round(drawn.height(inner) + PNG_HEADING + 14))
    canvas.text(PNG_MARGIN, 12, figure.title, fontsize=style.HEADING_SIZE, fontweight="bold")
    drawn.draw(canvas, PNG_MARGIN, PNG_HEADING - 8, inner)
    return _dots(canvas)


def heading(title, lead):
    """The head of the picture that has all figures."""
    lines = textwrap.wrap(lead, int((PNG_WIDTH - 2 * PNG_MARGIN) / LETTER))
    canvas = Canvas(PNG_WIDTH, PNG_MARGIN + 46 + 18 * len(lines))
    canvas.text(PNG_MARGIN, PNG_MARGIN, title, fontsize=style.TITLE_SIZE, fontweight="bold")
    for number, line in enumerate(lines):
        canvas.text(PNG_MARGIN, PNG_MARGIN + 34 + 18 * number, line, color=style.color("muted"), fontsize=style.TEXT_SIZE)
    return _dots(canvas)


def _dots(canvas):
    canvas.figure.set_dpi(72 * PNG_SCALE)
    canvas.figure.canvas.draw()
    dots = np.asarray(canvas.figure.canvas.buffer_rgba()).copy()
    canvas.close()
    return dots


def save_png(path, pictures):
    """Pictures of one width under one another; every other dot where they would be too high."""
    dots = np.concatenate(pictures) if len(pictures) > 1 else pictures[0]
    while len(dots) > PNG_DOTS_MAX:
        dots = dots[::2, ::2]
    plt.imsave(path, dots, format="png", metadata={"Software": None})
