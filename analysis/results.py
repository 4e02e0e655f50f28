"""Result files (doc/results.md): finding them, loading them, refusing what contradicts the schema.

Owns the schema as Python sees it. Knows nothing of tables, pictures or words.
Every number that leaves here has been checked for presence, type and, where the schema states the
same fact in two places, for agreement; the rest of the report need not check again.
"""
import json
import os
from collections import namedtuple
from dataclasses import dataclass, field

import reports
from checking import Check, OtherSchema, ResultError, check_version, short

VERSION = "0.1.0"  # of hak; a test compares it with CMakeLists.txt
SUFFIXES = (".replay.json", ".sim.json", ".measure.json")
_NAMES = ", ".join("*" + suffix for suffix in SUFFIXES[:-1]) + " or *" + SUFFIXES[-1]

OWNER_STATES = ("owner_running", "owner_idle", "owner_exited", "no_owner")
CAUSES = ("owner_exited", "owner_idle", "full_forgotten", "below_threshold", "pending_undrained")
PAGE_STATES = ("active", "partial", "full", "pending", "orphan", "empty", "large")
TIMELINE_COLUMNS = ("step", "time_ns", "held", "held_max", "fewest", "live_bytes", "new_pages", "recycled_pages",
                    "page_reuses") + PAGE_STATES + tuple("stranded_" + cause for cause in CAUSES)
COUNTS = ("held_max", "fewest_max", "constant_pages", "live_bytes_max", "new_pages", "recycled_pages", "page_reuses")
COUNTS_LATER = ("failed_allocations", "unresolved")  # 0 in results that are older than the key
RATIOS = ("held_over_fewest", "held_mean", "fewest_mean", "live_pages_max", "reuse_over_new", "reuse_share",
          "new_pages_per_million", "owner_changes_per_page")
CERTAINTIES = ("measured", "sampled", "modelled")
ENDS = ("done", "interrupted", "violation", "deadlock", "livelock", "diverged")
ROWS_MAX = 4096
TRACE_MAGIC = b"\x50\x2a\x4d\x18"  # of the identity frame, with which a trace begins


@dataclass
class Run:
    """One checked `hak.run`. `label` is unique within a report; see `label_runs`."""
    path: str
    document: dict
    timeline: dict  # column name -> list of integers
    page_bytes: float  # None where no page was ever needed
    label: str = ""
    commit: str = field(init=False)

    @property
    def threads(self):
        """Per thread, as doc/results.md has it; empty in results without."""
        return self.document["threads"]

    @property
    def migrations(self):
        """[[from, to, pages]]; None in results that are older than the key."""
        return self.document.get("migrations")

    @property
    def stranded_objects(self):
        """Which objects hold the stranded pages; None where nobody knows."""
        return self.document.get("stranded_objects")

    @property
    def stranded_means(self):
        """{cause: pages}, the mean over the timeline's rows: equal shares of the run."""
        rows = len(self.timeline["step"])
        return {cause: sum(self.timeline["stranded_" + cause]) / rows if rows else 0 for cause in CAUSES}

    @property
    def stranded_mean(self):
        return sum(self.stranded_means.values())

    @property
    def stranded_at_peak(self):
        """{cause: pages} at the row with the most pages held."""
        peaks = self.timeline["held_max"]
        at = peaks.index(max(peaks)) if peaks else None
        return {cause: self.timeline["stranded_" + cause][at] if peaks else 0 for cause in CAUSES}

    def __post_init__(self):
        for name in ("route", "certainty", "order", "strategy", "seed", "memory", "geometry", "digest", "world",
                     "commit", "measures", "stranded", "remote_frees", "switches", "violations", "trace", "steps"):
            setattr(self, name, self.document[name])

    @property
    def subject(self):
        """What was replayed or simulated: equal for runs whose page counts may be compared."""
        trace, workload = self.document["trace"], self.document.get("workload")
        if trace:  # its hash says all; haksim names a workload "trace" beside it, hakreplay none
            return (trace["hash"], None, self.geometry)
        given = {key: value for key, value in (workload or {}).items() if key != "counts"}  # the run's own counts are no input
        return (None, json.dumps(given, sort_keys=True), self.geometry)

    @property
    def subject_name(self):
        """The subject in a word or two, for people."""
        if self.trace:
            return self.trace["program"] or self.trace["path"]
        workload = self.document.get("workload")
        return workload["name"] if workload else "unnamed workload"

    @property
    def conditions(self):
        """How the subject was played: equal for runs that differ by route and seed only."""
        machine = self.document.get("machine") or {}
        return (self.world, self.certainty, self.order, self.strategy, self.memory, self.interrupted, machine.get("name"), machine.get("cores"))

    @property
    def end(self):
        """How the run ended; "done" is well."""
        return self.document.get("end", "done")

    @property
    def interrupted(self):
        """Whether the run was stopped before its end."""
        return self.document.get("interrupted", False)

    @property
    def large_new_pages(self):
        """Pages that large blocks took; None in a result without that counter."""
        return self.document["counters"].get("large_new_pages")

    @property
    def kind(self):
        """Equal for results that are shown together without being asked for together."""
        return (self.subject, self.commit)

    @property
    def identity(self):
        """Equal for two results of one and the same run."""
        return (self.subject, self.conditions, self.route, self.seed, self.commit)


Gathered = namedtuple("Gathered", "runs note reports")


def gather(paths):
    """What to report on: runs, each with a label of its own; a note for the user (or None); and the
    reports of other schemas (reports.py).

    A file: what is in it. A folder: all results directly in it. No path: the newest result in the
    current folder, and with it those of the same subject and sources (haksim writes a file for each
    route).
    """
    if paths:
        loaded, note = _load_asked(paths)
    else:
        loaded, note = _newest_here()
    runs = [each for each in loaded if isinstance(each, Run)]
    label_runs(runs)
    return Gathered(runs, note, [each for each in loaded if not isinstance(each, Run)])


def _load_asked(paths):
    """What was asked for. Of a folder, results of schemas that no figure shows are left out, and said."""
    loaded, left = [], []
    named = {os.path.normpath(path) for path in paths if not os.path.isdir(path)}
    for file in _files(paths):
        try:
            loaded += load_file(file)
        except OtherSchema as error:
            if os.path.normpath(file) in named:
                raise
            left.append(f"{os.path.basename(file)} ({error.schema})")
    if not loaded:
        raise ResultError(f"{', '.join(paths)}: one result of a run at least expected, found only {', '.join(left)}")
    return loaded, f"Left out, as no figure shows them: {', '.join(left)}." if left else None


def _files(paths):
    files = []
    for path in paths:
        found = _in_folder(path) if os.path.isdir(path) else [path]
        if not found:
            raise ResultError(f"{path}: a folder with {_NAMES} expected")
        files += [file for file in found if file not in files]
    return files


def _in_folder(folder):
    names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIXES))
    return [os.path.normpath(os.path.join(folder, name)) for name in names]


def _newest_here():
    files = sorted(_in_folder("."), key=lambda path: (os.stat(path).st_mtime_ns, path), reverse=True)
    if not files:
        raise ResultError(f"no result here: a file named {_NAMES} expected in {os.getcwd()}")
    chosen = [load_file(files[0])]
    kinds = {each.kind for each in chosen[0]}
    seen = {each.identity for each in chosen[0]}
    for path in files[1:]:
        try:
            older = load_file(path)
        except ResultError:
            continue  # nobody asked for this one; the note counts it
        identities = {each.identity for each in older}
        if {each.kind for each in older} <= kinds and not identities & seen:
            chosen.append(older)
            seen |= identities
    left = len(files) - len(chosen)
    note = f"Left out: {left} other result{'s' if left > 1 else ''} here, older, damaged, of other programs or of other sources. To include: reuse_report.py ." if left else None
    return [each for some in reversed(chosen) for each in some], note


def load_file(path):
    """What one file holds: runs of schema hak.run or hak.runs, or one report of another."""
    try:
        with open(path, encoding="utf-8") as file:
            if file.buffer.peek(4)[:4] == TRACE_MAGIC:
                raise ResultError(f"{path}: this is a trace: hakreplay it first; a result file expected")
            text = file.read()
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}: a readable result file expected")
    except UnicodeDecodeError as error:
        raise ResultError(f"{path}: offset {error.start}: UTF-8 text expected")
    if not text.strip():
        raise ResultError(f"{path}: offset 0: a JSON object expected, the file is empty")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultError(f"{path}: offset {error.pos}: complete JSON expected ({error.msg})")
    except RecursionError:
        raise ResultError(f"{path}: JSON of ordinary depth expected")
    check = Check(path)
    check.that(isinstance(document, dict), "", "a JSON object")
    schema = document.get("schema")
    if schema == "hak.run":
        return [_run(check, document, "")]
    if schema in reports.READERS:
        check_version(check, document, "")
        return [reports.READERS[schema](check, document)]
    if isinstance(schema, str) and schema.startswith("hak.") and schema != "hak.runs":
        raise OtherSchema(check.path, schema, ["hak.run", "hak.runs", *reports.READERS])
    check.that(schema == "hak.runs", "schema", '"hak.run", "hak.runs"' + "".join(f', "{name}"' for name in reports.READERS) + (f", found {short(schema)}," if "schema" in document else ""))
    check_version(check, document, "")
    runs = check.get(document, "", "runs", list)
    check.that(runs, "runs", "at least one run")
    for number, run in enumerate(runs):
        check.that(isinstance(run, dict) and run.get("schema") == "hak.run", f"runs[{number}].schema", '"hak.run"')
    return [_run(check, run, f"runs[{number}].") for number, run in enumerate(runs)]


def _run(check, document, prefix):
    check_version(check, document, prefix)
    for key in ("route", "certainty", "order", "strategy", "memory", "geometry", "digest", "world", "commit", "tool"):
        check.get(document, prefix, key, str)
    check.that(document["certainty"] in CERTAINTIES, prefix + "certainty", " or ".join(CERTAINTIES))
    check.that("seed" in document, prefix + "seed", "a decimal seed")
    check.get(document, prefix, "steps", int)
    check.get(document, prefix, "switches", dict)
    check.that(isinstance(document.get("interrupted", False), bool), prefix + "interrupted", "true or false")
    check.get(document, prefix, "violations", list)
    for number, violation in enumerate(document["violations"]):
        check.that(isinstance(violation, dict), f"{prefix}violations[{number}]", "an object")
    document.setdefault("counters", {})
    if "large_new_pages" in check.get(document, prefix, "counters", dict):
        check.get(document["counters"], prefix + "counters.", "large_new_pages", int)
    trace = check.get(document, prefix, "trace", dict, null=True)
    if trace is not None:
        for key, kind in (("path", str), ("hash", str), ("program", str), ("events", int), ("threads", int), ("lost", int)):
            check.get(trace, prefix + "trace.", key, kind)
        check.that(isinstance(trace.get("complete"), bool), prefix + "trace.complete", "true or false")
    for key in ("workload", "machine"):
        if document.get(key) is not None:
            check.get(check.get(document, prefix, key, dict), f"{prefix}{key}.", "name", str)
    measures = check.get(document, prefix, "measures", dict)
    for key in COUNTS:
        check.get(measures, prefix + "measures.", key, int)
    for key in RATIOS:
        check.get(measures, prefix + "measures.", key, float, null=True)
    for key in COUNTS_LATER:
        measures.setdefault(key, 0)
        check.get(measures, prefix + "measures.", key, int)
    if "end" in document:
        check.that(document["end"] in ENDS, prefix + "end", " or ".join(ENDS))
    _check_details(check, document, prefix)
    for part, keys in (("remote_frees", OWNER_STATES), ("stranded", CAUSES + ("total", "at_step"))):
        numbers = check.get(document, prefix, part, dict)
        for key in keys:
            check.get(numbers, f"{prefix}{part}.", key, int)
    stranded = document["stranded"]
    total = sum(stranded[cause] for cause in CAUSES)
    check.that(stranded["total"] == total, prefix + "stranded.total", f"the sum of the causes, {total},")
    return Run(check.path, document, _timeline(check, document, prefix), _page_bytes(check, document, prefix))


def _check_details(check, document, prefix):
    """Threads, migrations and the objects of stranded pages, where a result has them."""
    document.setdefault("threads", [])
    for number, thread in enumerate(check.get(document, prefix, "threads", list)):
        where = f"{prefix}threads[{number}]"
        check.that(isinstance(thread, dict), where, "an object")
        for key in ("id", "new_pages", "recycled_pages", "page_reuses"):
            check.get(thread, where + ".", key, int)
    if document.get("migrations") is not None:
        for number, pair in enumerate(check.get(document, prefix, "migrations", list)):
            check.that(len(check.integers(pair, f"{prefix}migrations[{number}]")) == 3, f"{prefix}migrations[{number}]", "[from, to, pages]")
    if document.get("stranded_objects") is not None:
        objects, where = check.get(document, prefix, "stranded_objects", dict), prefix + "stranded_objects."
        for key in ("at_step", "stranded", "without_objects", "objects", "stride"):
            check.get(objects, where, key, int)
        check.that(objects.get("columns") == ["object", "cause", "page_millionths"], where + "columns", '"object", "cause", "page_millionths"')
        for number, row in enumerate(check.get(objects, where, "rows", list)):
            fits = isinstance(row, list) and len(row) == 3 and row[1] in CAUSES and all(type(value) is int and value >= 0 for value in row[::2])
            check.that(fits, f"{where}rows[{number}]", "an object, a cause and its part of the page")


def _timeline(check, document, prefix):
    """The timeline turned into columns, after the checks that its own words make possible."""
    prefix += "timeline."
    timeline = check.get(document, prefix[:-len("timeline.")], "timeline", dict)
    columns, rows = check.get(timeline, prefix, "columns", list), check.get(timeline, prefix, "rows", list)
    for name in TIMELINE_COLUMNS:
        check.that(name in columns, prefix + "columns", f'"{name}"')
    check.that(len(rows) <= ROWS_MAX, prefix + "rows", f"at most {ROWS_MAX} rows")
    for number, row in enumerate(rows):
        fits = isinstance(row, list) and len(row) == len(columns) and all(type(value) is int and value >= 0 for value in row)
        check.that(fits, f"{prefix}rows[{number}]", f"{len(columns)} integers >= 0")
    table = {name: [row[columns.index(name)] for row in rows] for name in TIMELINE_COLUMNS}
    for number in range(len(rows)):
        held, key = table["held"][number], f"{prefix}rows[{number}]"
        states = sum(table[state][number] for state in PAGE_STATES)
        check.that(states == held, key, f"page states that sum to held, {held}, not {states},")
        check.that(table["held_max"][number] >= held, key, f"held_max of at least held, {held},")
        check.that(number == 0 or table["step"][number] > table["step"][number - 1], key, "a later step than the row before")
    if rows:
        peak, stated = max(table["held_max"]), document["measures"]["held_max"]
        check.that(peak == stated, prefix[:-len("timeline.")] + "measures.held_max", f"the timeline's greatest held_max, {peak},")
    return table


def _page_bytes(check, document, prefix):
    """Bytes of a page: as stated, or from the two forms in which the peak of live memory is given."""
    if "page_bytes" in document:
        stated = check.get(document, prefix, "page_bytes", int)
        check.that(stated > 0, prefix + "page_bytes", "more than 0")
        return stated
    measures = document["measures"]
    return measures["live_bytes_max"] / measures["live_pages_max"] if measures["live_pages_max"] else None


def label_runs(runs):
    """Give every run a label: its route, and as much more as tells it from the others."""
    parts = {
        "trace": lambda run: run.trace["path"] if run.trace else None,
        "geometry": lambda run: f"{run.geometry} geometry",
        "world": lambda run: run.world,
        "machine": lambda run: " ".join(str(part) for part in run.conditions[6:] if part is not None),
        "order": lambda run: run.order,
        "strategy": lambda run: run.strategy,
        "memory": lambda run: run.memory,
        "seed": lambda run: f"seed {run.seed}",
        "commit": lambda run: run.commit,
        "file": lambda run: os.path.basename(run.path),
    }
    for run in runs:
        run.label = run.route
    if len({run.subject_name for run in runs}) > 1:  # which program comes before which policy
        for run in runs:
            run.label = f"{run.subject_name} {run.route}"
    for part in parts.values():
        for group in _same_label(runs):
            if len({part(run) for run in group}) > 1:
                for run in group:
                    run.label += f", {part(run)}"
    for group in _same_label(runs):
        for number, run in enumerate(group, 1):
            run.label += f" #{number}"


def _same_label(runs):
    groups = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    return [group for group in groups.values() if len(group) > 1]
