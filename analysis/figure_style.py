"""How figures look: colours of both themes, type sizes, axes. The only file that names a colour.

Hues are Okabe and Ito's palette, made to be told apart by colour-blind readers; the dark theme
lightens them. An SVG is drawn in the light theme and its colours are then turned into CSS variables,
so that one picture follows the theme of the page (`svg_with_variables`, `css_variables`).
"""
import re

import matplotlib

ROLES = {  # role: (light, dark); the light values differ from one another, or SVG colours would mix
    "paper": ("#ffffff", "#14171b"),
    "ink": ("#1f2328", "#e4e7eb"),
    "muted": ("#5b6570", "#9aa4af"),
    "rule": ("#dfe3e8", "#2c3239"),
    "shade": ("#f5f6f8", "#1b1f24"),
    "blue": ("#0072b2", "#3a97dc"),
    "sky": ("#56b4e9", "#8ed0f5"),
    "green": ("#009e73", "#24b48a"),
    "orange": ("#e69f00", "#f2b53a"),
    "red": ("#d55e00", "#ec7b35"),
    "grey": ("#bcc3cb", "#626b75"),
    "purple": ("#cc79a7", "#dd95bd"),
}
ROLE_OF_KEY = {  # one meaning keeps one colour where two figures show it
    "active": "blue", "partial": "sky", "full": "green", "pending": "orange", "orphan": "red", "empty": "grey", "large": "purple",
    "owner_running": "blue", "owner_idle": "orange", "owner_exited": "red", "no_owner": "grey",
    "full_forgotten": "green", "below_threshold": "sky", "pending_undrained": "purple",
    "own": "blue", "other": "orange", "never": "grey", "wall": "blue", "resident": "blue", "effect": "red", "moved": "blue",
    "p50": "blue", "p99": "orange", "p999": "red", "max": "purple", "held_mean": "blue", "held_max": "blue", "count": "blue", "program": "orange", "library": "sky", "unknown": "grey",
    "new_pages": "orange", "recycled_pages": "grey", "page_reuses": "blue", "reuse_over_new": "blue", "reuse_share": "blue",
}
CURVES = ("blue", "orange", "green", "red", "purple", "sky")  # in this order where a figure has curves or points of several names
LIGHT, DARK = 0, 1
TEXT_SIZE, SMALL_SIZE, HEADING_SIZE, TITLE_SIZE = 11.5, 10.5, 15, 21  # points; a point is a pixel on the page


def color(role, theme=LIGHT):
    return ROLES[ROLE_OF_KEY.get(role, role)][theme]


def apply():
    """Settings for every figure of this process."""
    matplotlib.use("Agg")
    matplotlib.rcParams.update({
        "font.family": "DejaVu Sans", "font.size": TEXT_SIZE, "text.color": color("ink"),
        "axes.edgecolor": color("rule"), "axes.linewidth": 0.8, "axes.axisbelow": True, "axes.facecolor": color("paper"),
        "xtick.color": color("muted"), "ytick.color": color("muted"), "xtick.labelsize": SMALL_SIZE, "ytick.labelsize": SMALL_SIZE,
        "figure.facecolor": color("paper"), "savefig.facecolor": color("paper"),
        "svg.fonttype": "none", "path.simplify": True,
    })


def svg_with_variables(svg):
    """The SVG with each light colour replaced by the variable of its role."""
    for role, (light, _) in ROLES.items():
        svg = svg.replace(light, f"var(--{role})")
    # the shorthand `font: 700 11px name` cannot inherit a family; its long forms can
    return re.sub(r"font: (?:(\d+) )?([\d.]+px) 'DejaVu Sans'", r"font-size: \2; font-weight: \1", svg).replace("font-weight: ;", "")


def css_variables(theme):
    return "".join(f"--{role}:{colors[theme]};" for role, colors in ROLES.items())
