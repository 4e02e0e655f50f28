#!/usr/bin/env python3
"""compare.py: did a change make it worse? Compares two results, or folders of them, run by run, and
fails where a figure moved farther than it may: for use in CI.

    compare.py before.replay.json after.replay.json --fail-on new_pages+5% --fail-on held_max+0

Runs are paired by program, order, strategy, geometry, route and seed; allocators of hak.measure by
name. A figure is a measure, a counter, `stranded` (the mean over the run), or `wall_ns` and the other
metrics of hak.measure (their medians). NAME+5% trips where B is more than 5 % above A, NAME-5% where
it is more than 5 % below, NAME+5 and NAME-5 by so many units. A threshold of a metric with an
interval trips only if the intervals of A and B lie apart as well.
Exit status: 0 nothing tripped, 1 something did, 2 usage, bad input, or nothing to compare.
"""
import argparse
import json
import os
import re
import sys

from checking import ResultError
from reports import Measured
from results import VERSION, gather
from wording import did_you_mean

PROGRAM = os.path.basename(sys.argv[0]) or "compare.py"  # installed as hakcompare
THRESHOLD = re.compile(r"(?P<name>[a-z_0-9]+)(?P<sign>[+-])(?P<size>\d+(\.\d+)?)(?P<percent>%?)")
SHOWN = ("held_max", "held_over_fewest", "held_mean", "new_pages", "recycled_pages", "page_reuses", "stranded", "owner_changes", "remote_frees", "slow_paths",
         "wall_ns", "processor_ns", "peak_bytes", "idle_bytes")


class Figure:
    """A number, and the interval in which it lies where there is one."""

    def __init__(self, value, low=None, high=None):
        self.value, self.low, self.high = value, low, high

    def apart(self, other):
        """Whether the intervals do not overlap; exact numbers always lie apart."""
        return self.low is None or other.low is None or self.low > other.high or other.low > self.high


def main():
    options = _options()
    try:
        before, after = (_figures_of(gather([path]), options.ignore, path) for path in (options.before, options.after))
    except (ResultError, OSError) as error:
        _fail(str(error) if isinstance(error, ResultError) else f"{error.filename}: {error.strerror}")
    thresholds = [_threshold(text) for text in options.fail_on]
    pairs = [key for key in before if key in after]
    if not pairs:
        _fail(f"{options.before} and {options.after} have no run in common: same program, order, strategy, geometry, route and seed expected")
    for name in sorted({threshold["name"] for threshold in thresholds}):
        if not any(name in before[key] and name in after[key] for key in pairs):
            known = sorted({name for key in pairs for name in before[key]})
            _fail(f"--fail-on: no figure {name} here; there are {', '.join(known)}")
    tripped = [(key, threshold) for key in pairs for threshold in thresholds if _trips(before[key], after[key], threshold)]
    only = [(options.before, [key for key in before if key not in after]), (options.after, [key for key in after if key not in before])]
    try:
        if options.json:
            print(json.dumps(_document(options, before, after, pairs, tripped, only), indent=1))
        elif not options.quiet:
            _print(options, before, after, pairs, tripped, only)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has had enough; the status is for the caller
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(1 if tripped else 0)


def _options():
    parser = argparse.ArgumentParser(prog=PROGRAM, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Compare two results of hakreplay, haksim or hakreplay measure, run by run.",
                                     epilog="examples:\n  compare.py before.replay.json after.replay.json\n"
                                            "  compare.py main/ branch/ --fail-on new_pages+5% --fail-on held_max+10\n\n"
                                            "exit status: 0 nothing tripped; 1 a --fail-on did; 2 usage, bad input, nothing to compare")
    parser.error = lambda message: _fail(f"{message}{did_you_mean(parser, message)}; see --help")
    parser.add_argument("before", metavar="A", nargs="?", help="a result, or a folder of results")
    parser.add_argument("after", metavar="B", nargs="?", help="the same after the change")
    parser.add_argument("--fail-on", metavar="NAME±N[%]", action="append", default=[], help="exit with 1 where a figure rises (+) or falls (-) by more; may be given several times")
    parser.add_argument("--ignore", choices=("route", "seed", "geometry"), action="append", default=[], help="pair runs although this differs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} (hak) {VERSION}")
    options = parser.parse_args()
    if not options.after:  # argparse would name them before an option that it does not know
        parser.error("two results expected, A and B")
    return options


def _fail(text):
    sys.stderr.write(f"{PROGRAM}: {text}\n")
    raise SystemExit(2)


def _threshold(text):
    match = THRESHOLD.fullmatch(text)
    if not match:
        _fail(f"--fail-on={text}: a figure, + or -, and a number, perhaps with %, expected: new_pages+5%")
    return dict(match.groupdict(), size=float(match["size"]), text=text)


def _figures_of(gathered, ignored, path):
    """{key of a run or allocator: {name: Figure}}"""
    found = {}
    for run in gathered.runs:
        numbers = {**run.document["counters"], **run.measures, "stranded": run.stranded_mean}
        named = {"geometry": run.geometry, "route": run.route, "seed": str(run.seed)}
        key = (run.subject_name, *map(str, run.conditions), *(named[part] for part in named if part not in ignored), str(run.subject[:2]))
        if key in found and ignored:
            _fail(f"{path}: several runs differ only in what --ignore leaves out: one of them expected")
        found[key] = {name: Figure(value) for name, value in numbers.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
    for report in gathered.reports:
        if isinstance(report, Measured):
            for subject in report.subjects:
                found[(report.name, report.label(subject), report.trace["hash"])] = \
                    {name: Figure(metric["median"], metric["low"], metric["high"]) for name, metric in subject["metrics"].items() if metric}
    return found


def _trips(before, after, threshold):
    name = threshold["name"]
    if name not in before or name not in after:
        return False
    a, b = before[name], after[name]
    room = abs(a.value) * threshold["size"] / 100 if threshold["percent"] else threshold["size"]
    moved = b.value - a.value if threshold["sign"] == "+" else a.value - b.value
    return moved > room and a.apart(b)


def _change(a, b):
    if a.value == b.value:
        return "="
    if not a.value:
        return f"from 0 to {_number(b.value)}"
    return f"{(b.value / a.value - 1) * 100:+.1f} %" + ("" if a.apart(b) else " (intervals overlap)")


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"


def _label(key, keys):
    """Those parts of a key in which the runs differ; its route or allocator at least."""
    same_length = [other for other in keys if len(other) == len(key)]
    parts = [part for place, part in enumerate(key) if len({other[place] for other in same_length}) > 1 and not part.startswith("(")]
    return " ".join(parts) or (key[-3] if len(key) > 12 else key[0] if len(key) > 3 else key[1])


def _print(options, before, after, pairs, tripped, only):
    names = [name for name in SHOWN if any(name in before[key] for key in pairs)]
    names += [threshold["name"] for _, threshold in tripped if threshold["name"] not in names]
    for key in pairs:
        print(_label(key, pairs))
        rows = [(name, before[key][name], after[key][name]) for name in dict.fromkeys(names) if name in before[key] and name in after[key]]
        changed = [row for row in rows if row[1].value != row[2].value]
        for name, a, b in changed:
            print(f"  {name:<18} {_number(a.value):>16} → {_number(b.value):>16}   {_change(a, b)}")
        equal = len(rows) - len(changed)
        if equal:
            print(f"  {equal} of {len(rows)} figures shown are equal")
    for path, keys in only:
        if keys:
            print(f"only in {path}: {', '.join(_label(key, pairs + keys) for key in keys)}")
    for key, threshold in tripped:
        a, b = before[key][threshold["name"]], after[key][threshold["name"]]
        print(f"FAILED {threshold['text']}: {_label(key, pairs)}: {_number(a.value)} → {_number(b.value)} ({_change(a, b)})")


def _document(options, before, after, pairs, tripped, only):
    return {"schema": "hak.comparison", "version": 1, "before": options.before, "after": options.after,
            "pairs": [{"run": list(key), "figures": {name: [before[key][name].value, after[key][name].value] for name in before[key] if name in after[key]}} for key in pairs],
            "only_before": [list(key) for key in only[0][1]], "only_after": [list(key) for key in only[1][1]],
            "tripped": [{"run": list(key), "threshold": threshold["text"], "before": before[key][threshold["name"]].value, "after": after[key][threshold["name"]].value}
                        for key, threshold in tripped]}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.stderr.write(f"{PROGRAM}: interrupted\n")
        raise SystemExit(130)
