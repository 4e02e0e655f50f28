"""Results of other schemas than a run's: allocators on real threads (hak.measure), dominoes
(hak.domino), sweeps (hak.sweep). Owns what the report needs of each, checked.

A sweep is read tolerantly: any list of objects that say where they were (numbers, words) and what
was found there (numbers, or objects with mean, low and high), whatever the keys are called.
"""
from checking import ResultError

FIGURES = ("held_over_fewest", "held_max", "held_mean", "time_per_operation_ns", "line_moves_per_operation", "new_pages", "fresh_pages", "line_moves",
           "operations_per_second", "end_ns", "nanoseconds_per_operation")
LISTS = ("cells", "points", "rows", "runs", "results")
INSIDE = ("at", "parameters", "settings", "figures", "measures", "machine", "workload")  # objects whose keys count as the cell's own
PERCENTILES = ("p50", "p99", "p999")


def _objects(check, holder, where, key):
    """(what stands before its keys in errors, object) of each item of a list that must hold objects."""
    for number, item in enumerate(check.get(holder, where, key, list)):
        inside = f"{where}{key}[{number}]."
        check.that(isinstance(item, dict), inside[:-1], "an object")
        yield inside, item


class Report:
    """One file. `kind` and `identity` as of results.Run."""

    def __init__(self, check, document):
        self.path, self.document = check.path, document
        self.commit = document.get("commit", "unknown")
        self.schema = document["schema"]

    @property
    def name(self):
        """Of what was run, in a word or two."""
        return str(self.document.get("workload") or self.schema.split(".")[1])

    @property
    def subject(self):
        return (None, self.name, self.document.get("geometry"))

    @property
    def kind(self):
        return (self.schema, self.commit)

    @property
    def identity(self):
        return (self.schema, self.name, self.document.get("seed"), self.commit)


class Measured(Report):
    """hak.measure: allocators side by side on real threads."""

    def __init__(self, check, document):
        super().__init__(check, document)
        self.trace = check.get(document, "", "trace", dict)
        for key in ("path", "program", "hash"):
            check.get(self.trace, "trace.", key, str)
        self.calls = check.get(check.get(document, "", "settings", dict), "settings.", "calls", int)
        for where, subject in _objects(check, document, "", "subjects"):
            check.get(subject, where, "name", str)
            for name, metric in check.get(subject, where, "metrics", dict).items():
                fits = metric is None or isinstance(metric, dict) and all(isinstance(metric.get(key), (int, float)) for key in ("median", "low", "high"))
                check.that(fits, f"{where}metrics.{name}", "null, or median, low and high")
            self._check_series(check, subject, where)
        self.subjects = [subject for subject in document["subjects"] if subject["name"] != "null"]

    @staticmethod
    def _check_series(check, subject, where):
        series = check.get(subject, where, "series", dict)
        columns = check.get(series, where + "series.", "columns", list)
        for number, row in enumerate(check.get(series, where + "series.", "rows", list)):
            check.that(len(check.integers(row, f"{where}series.rows[{number}]")) == len(columns), f"{where}series.rows[{number}]", f"{len(columns)} values")

    def label(self, subject):
        return subject["name"] + (f" {subject['variable']}" if subject.get("variable") else "")

    def metric(self, subject, name):
        """{median, low, high, ...} or None."""
        return subject["metrics"].get(name)

    def series(self, subject):
        """{column: [values]}"""
        rows = subject["series"]["rows"]
        return {name: [row[place] for row in rows] for place, name in enumerate(subject["series"]["columns"])}

    @property
    def name(self):
        return self.trace["program"] or self.trace["path"]

    @property
    def subject(self):
        return (self.trace["hash"], None, "real")

    @property
    def identity(self):
        return (self.schema, self.trace["hash"], self.path)

    @property
    def kind(self):
        return (self.schema, self.trace["hash"])


class Domino(Report):
    """hak.domino: chains of thefts."""

    def __init__(self, check, document):
        super().__init__(check, document)
        self.routes = check.get(document, "", "routes", list)
        for where, route in _objects(check, document, "", "routes"):
            check.get(route, where, "route", str)
            for key in ("links", "chains", "longest", "thefts_running", "thefts_exited", "new_pages", "recycled_pages"):
                check.get(route, where, key, int)
            for inside, chain in _objects(check, route, where, "longest_chains"):
                for place, link in _objects(check, chain, inside, "links"):
                    for key in ("stolen_page", "fresh_page", "victim", "thief", "mapped_ns", "stolen_ns", "fresh_ns"):
                        check.get(link, place, key, int)


class Sweep(Report):
    """hak.sweep: many runs over a grid of settings. `cells`: [{name: number, word, or {mean, low, high}}]."""

    def __init__(self, check, document):
        super().__init__(check, document)
        found = next((document[key] for key in LISTS if isinstance(document.get(key), list)), None)
        check.that(found and all(isinstance(cell, dict) for cell in found), LISTS[0], "a list of objects")
        self.cells = [_flat(cell) for cell in found]
        names = list(dict.fromkeys(name for cell in self.cells for name in cell))
        stated = [str(name) for name in document.get("axes", []) if isinstance(name, str) and name in names] if isinstance(document.get("axes"), list) else []
        self.figures = [name for name in FIGURES if any(name in cell for cell in self.cells)] or \
            [name for name in names if any(isinstance(cell.get(name), dict) for cell in self.cells)]
        varied = [name for name in names if name not in self.figures and name not in ("route", "seed", "digest")
                  and len({cell[name] for cell in self.cells if isinstance(cell.get(name), (int, float, str))}) > 1]
        # what is counted makes axes; programs and machines make panels
        self.axes = stated or [name for name in varied if all(isinstance(cell.get(name, 0), (int, float)) for cell in self.cells)
                               and not name.endswith(("_max", "_mean", "_pages"))][:2] or varied[:1]
        self.kinds = [name for name in varied if name not in self.axes and any(isinstance(cell.get(name), str) for cell in self.cells)]

    def winners(self, figure, cells=None, across=None, up=None):
        """{place: (route with the least, whether another's interval meets its own)}. A place: the values of `up` and `across`, or of all that is varied."""
        found = {}
        for cell in self.cells if cells is None else cells:
            if self.value(cell, figure) is None:
                continue
            place = tuple(cell.get(name) for name in self.axes + self.kinds) if across is None else (cell.get(up) if up else "", cell[across])
            found.setdefault(place, {}).setdefault(str(cell.get("route")), []).append((self.value(cell, figure), *self.interval(cell, figure)))
        least = {}
        for place, by_route in found.items():
            means = {route: [sum(part) / len(part) for part in zip(*values)] for route, values in by_route.items()}
            best = min(means, key=lambda route: means[route][0])
            least[place] = (best, any(means[other][1] <= means[best][2] for other in means if other != best))
        return least

    def means(self, figure):
        """{route: mean over the sweep}"""
        found = {}
        for cell in self.cells:
            if self.value(cell, figure) is not None:
                found.setdefault(str(cell.get("route")), []).append(self.value(cell, figure))
        return {route: sum(values) / len(values) for route, values in found.items()}

    @staticmethod
    def interval(cell, figure):
        """(low, high) of a figure; without an interval the number itself, twice."""
        value = cell.get(figure)
        if isinstance(value, dict) and isinstance(value.get("low"), (int, float)) and isinstance(value.get("high"), (int, float)):
            return value["low"], value["high"]
        return (Sweep.value(cell, figure),) * 2

    @staticmethod
    def value(cell, figure):
        """The number of a figure, or the mean of its interval; None without."""
        value = cell.get(figure)
        value = value.get("mean") if isinstance(value, dict) else value
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _flat(cell):
    flat = {}
    for key, value in cell.items():
        if isinstance(value, dict) and "mean" not in value:
            flat.update(_flat(value) if key in INSIDE else {f"{key}.{name}": inner for name, inner in value.items() if not isinstance(inner, (dict, list))})
        elif not isinstance(value, list):
            flat[key] = value
    return flat


class Ablation(Report):
    """hak.ablation: what each of the seed's flaws costs."""

    def __init__(self, check, document):
        super().__init__(check, document)
        self.workloads = check.get(document, "", "workloads", list)
        for where, workload in _objects(check, document, "", "workloads"):
            check.get(workload, where, "workload", str)
            for name, figure in check.get(workload, where, "figures", dict).items():
                inside = f"{where}figures.{name}."
                check.that(isinstance(figure, dict), inside[:-1], "an object")
                check.get(figure, inside, "unit", str)
                for at, effect in enumerate(check.get(figure, inside, "effects", list)):
                    fits = isinstance(effect, dict) and isinstance(effect.get("flaws"), list) and \
                        all(isinstance(effect.get(key), (int, float)) for key in ("mean", "low", "high"))
                    check.that(fits, f"{inside}effects[{at}]", "flaws, mean, low and high")

    @property
    def name(self):
        return ", ".join(workload["workload"] for workload in self.workloads)


READERS = {"hak.ablation": Ablation, "hak.measure": Measured, "hak.domino": Domino, "hak.sweep": Sweep}
