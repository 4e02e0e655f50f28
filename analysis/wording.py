"""Numbers and schema keys as people read them: shared by table, figures, page and verdict."""
import difflib

from results import CAUSES, OWNER_STATES, PAGE_STATES

STATE_NAMES = dict(zip(PAGE_STATES, ("active", "partial", "full", "pending", "orphan", "empty, cached", "large")))
CAUSE_NAMES = dict(zip(CAUSES, ("owner exited", "owner idle", "full and forgotten", "below threshold", "pending undrained")))
OWNER_NAMES = dict(zip(OWNER_STATES, ("owner running", "owner idle", "owner exited", "own full page")))
NOTHING = "–"
JOINED = "\u00a0"  # between a number and its unit, where no line may break


def did_you_mean(parser, message):
    """What an unknown option in argparse's message was meant to be: `, did you mean --x?`, or nothing."""
    word = message.removeprefix("unrecognized arguments: ").split(" ")[0].split("=")[0]
    names = [name for action in parser._actions for name in action.option_strings]
    near = difflib.get_close_matches(word, names, 1, 0.7) if word.startswith("--") else []
    return f", did you mean {near[0]}?" if near else ""


def count(value):
    """12345 -> 12,345; a fraction keeps one digit."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.1f}"


def short_count(value):
    """For axes: 0, 950, 1.2 k, 35 k, 4 M."""
    for step, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= step:
            return f"{value / step:.3g}{JOINED}{unit}"
    return f"{value:.3g}"


def ratio(value):
    return NOTHING if value is None else f"{value:,.2f}×"


def percent(value):
    """0.0623 -> 6.2 %; what is not zero never reads as zero."""
    if value is None:
        return NOTHING
    if 0 < value < 0.001:
        return f"<{JOINED}0.1{JOINED}%"
    return f"{value * 100:,.1f}{JOINED}%" if value < 10 else f"{value * 100:,.0f}{JOINED}%"


def size(value):
    """Bytes in binary units."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:,.0f}{JOINED}{unit}" if unit == "bytes" or value >= 100 else f"{value:,.1f}{JOINED}{unit}"
        value /= 1024


def listing(words):
    """a; a and b; a, b and c."""
    words = list(words)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def plural(number, noun, nouns=None):
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def words_of(name):
    """held_max -> pages held at most; others as they are, without underscores."""
    known = {"held_max": "pages held at most", "held_mean": "pages held on the average", "held_over_fewest": "pages held ÷ fewest",
             "new_pages": "new pages", "end_ns": "virtual time", "time_per_operation_ns": "nanoseconds per operation", "line_moves_per_operation": "cache lines moved per operation", "line_moves": "cache lines moved", "operations_per_second": "operations per second"}
    return known.get(name, str(name).replace("_", " "))


def duration(nanoseconds):
    """100 ns, 2 µs, 1.5 ms, 20 s."""
    for step, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= step:
            return f"{nanoseconds / step:.3g}{JOINED}{unit}"
    return f"{nanoseconds:.3g}{JOINED}ns"
