#!/usr/bin/env python3
"""reuse_report.py: which route holds how many pages, and why. Reads results of hakreplay and haksim
(doc/results.md) and, where it is at hand, the trace that they come from; prints a table, writes
reuse_report.html, reuse_report.png and a folder with a PNG and an SVG of each figure.

This file owns the command line and the outputs; results, tables, verdict, figures and page are
modules beside it. Exit status: 0 fine, 2 usage or bad input, 130 interrupted;
after the latter two no output has been touched.
"""
import argparse
import json
import os
import re
import shutil
import sys
import textwrap

import system_python
from checking import ResultError
from progress import Progress
from results import VERSION, gather
from wording import count, did_you_mean, listing, plural

EXAMPLES = """\
examples:
  reuse_report.py                            the newest results in this folder
  reuse_report.py a.replay.json b.sim.json   these, compared
  reuse_report.py results/ -o larson         all results of a folder, into larson.html, larson.png, larson_figures/
  reuse_report.py app.replay.json --symbols build/bin   names for the program's own frames

A trace whose name and hash a result has is looked for beside the result and here.
"""
PROGRAM = os.path.basename(sys.argv[0]) or "reuse_report.py"  # installed as hakreport
TRACES_MAX = 3  # that one report reads
FIGURE_FILE = re.compile(r"(timeline|causes|routes|stranded|origins|rates|threads|migrations|remote|sites|flame|histograms|handovers|dominoes|flaws|phases|pareto|"
                         r"speeds|memory|resident|tails)(-\d+)?\.(png|svg)")  # of an older report: may go
POINTS_WIDE, POINTS_NARROW = 400, 200  # of a timeline at either width of the page


def main():
    options = _options()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without these letters shows others
    system_python.need("matplotlib")
    outputs = Outputs(options)  # an output that cannot be written is found out before the work
    try:
        _report(options, outputs)
    finally:
        outputs.discard()


def _report(options, outputs):
    try:
        found = gather(options.results)
    except (ResultError, OSError) as error:
        _fail(str(error) if isinstance(error, ResultError) else f"{error.filename}: {error.strerror}")

    import table
    import verdict
    from reports import Measured
    runs, reports = found.runs, found.reports
    title, subtitle = _titles(runs, reports)
    notes = [found.note] if found.note else []
    from_trace, sites = _of_traces(runs, options, notes)
    words = verdict.paragraphs(runs, reports, sites)
    width = shutil.get_terminal_size((120, 40)).columns
    for note in notes:
        _say(note + "\n", options)
    _say(f"{title}\n{subtitle}", options)
    if runs:
        _say("\n" + table.terminal(runs, width), options)
    for report in reports:
        if isinstance(report, Measured):
            _say("\n" + table.measured_terminal(report), options)
    for figure in sites:
        if figure.name.startswith("sites"):
            _say("\n" + table.sites_terminal(figure, width), options)
    for paragraph in words:
        _say("\n" + textwrap.fill(f"{paragraph.title}. {' '.join(paragraph.sentences)}", min(width, 88)), options)
    _write(options, outputs, runs, reports, title, subtitle, words, from_trace, sites)
    _say(f"\nwrote {listing(outputs.named)}", options)
    if options.json:
        print(json.dumps(_document(runs, reports, words, sites, notes, outputs), indent=1))


def _document(runs, reports, words, sites, notes, outputs):
    """What is said, for programs: the verdict and the main numbers; all numbers are in the results."""
    return {
        "schema": "hak.report", "version": 1, "notes": notes,
        "verdict": [{"title": part.title, "text": " ".join(part.sentences).replace("\u00a0", " ")} for part in words],
        "runs": [{"label": run.label, "file": run.path, "program": run.subject_name, "route": run.route, "certainty": run.certainty, "measures": run.measures,
                  "stranded_mean": run.stranded_means, "stranded_when_most_held": run.stranded_at_peak} for run in runs],
        "reports": [{"schema": report.schema, "file": report.path, "name": report.name} for report in reports],
        "sites": [{"figure": figure.name, "site": row.label, "pages": sum(value for _, value in row.segments)}
                  for figure in sites if figure.kind == "bars" for row in figure.panels[0].rows],
        "written": outputs.named}


def _options():
    parser = argparse.ArgumentParser(
        prog=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES, allow_abbrev=False,
        description="Compare results of hakreplay and haksim: table, HTML page, PNG and SVG.")
    parser.error = lambda message: _fail(f"{message}{did_you_mean(parser, message)}; see --help")
    parser.add_argument("results", nargs="*", metavar="FILE|FOLDER", help="*.replay.json, *.sim.json, *.measure.json; default: the newest ones here")
    parser.add_argument("-o", "--output", metavar="BASENAME", default="reuse_report", help="write BASENAME.html, BASENAME.png and BASENAME_figures/")
    parser.add_argument("--trace", metavar="FILE", action="append", default=[], help="a trace of these results; may be given several times")
    parser.add_argument("--no-trace", action="store_true", help="do not look for traces: no sizes, lifetimes and sites")
    parser.add_argument("--symbols", metavar="FOLDER", action="append", default=[], help="look there, too, for programs and libraries with symbols")
    parser.add_argument("--no-html", action="store_true", help="table and PNG only")
    parser.add_argument("--no-figures", action="store_true", help="no folder with the single figures")
    parser.add_argument("--json", action="store_true", help="print the verdict and the main numbers as JSON instead of the table")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} (hak) {VERSION}")
    return parser.parse_args()


def _say(text, options):
    """Print; a reader that has gone away (`| head`) does not keep the outputs from being written."""
    if options.quiet or options.json:
        return
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text):
    sys.stderr.write(f"{PROGRAM}: {text}\n")
    raise SystemExit(2)


def _titles(runs, reports):
    names = list(dict.fromkeys(each.subject_name for each in runs)) or list(dict.fromkeys(report.name for report in reports))
    title = f"Page reuse: {listing(names) if len(names) <= 3 else plural(len(names), 'program')}"
    if not runs:
        return title.replace("Page reuse", "Report"), "; ".join(f"{report.schema.split('.')[1]}: {os.path.basename(report.path)}" for report in reports)
    routes = list(dict.fromkeys(run.route for run in runs))
    facts = [f"{plural(len(runs), 'run')}, {plural(len(routes), 'route')}"]
    traces = {run.trace["hash"]: run.trace for run in runs if run.trace}
    if len(traces) == 1:
        trace = next(iter(traces.values()))
        facts.append(f"{count(trace['events'])} recorded events of {plural(trace['threads'], 'thread')}")
    return title, "; ".join(facts)


def _of_traces(runs, options, notes):
    """Figures of the traces of these results: ([of traces alone], [of sites])."""
    from_trace, sites = [], []
    if options.no_trace:
        return from_trace, sites
    by_hash = {}
    for run in runs:
        if run.trace:
            by_hash.setdefault(run.trace["hash"], []).append(run)
    import trace_data
    from trace_reader import TraceError
    for number, (name, some) in enumerate(list(by_hash.items())[:TRACES_MAX]):
        run = _whose_sites(some)
        path = next((path for path in options.trace if os.path.isfile(path) and trace_data.file_hash(path) == name), None) or \
            trace_data.find(run, list(dict.fromkeys([os.path.dirname(each.path) or "." for each in some] + ["."])))
        if not path:
            notes.append(f"The trace {run.trace['path']} is not here (--trace FILE): no sizes, lifetimes and code of its blocks.")
            continue
        progress = Progress(PROGRAM, os.path.basename(path), "events", min(run.trace["events"], trace_data.EVENTS_MAX), not options.quiet)
        try:
            alone, of_sites = trace_data.figures(run, path, options.symbols, progress.reached)
        except (TraceError, OSError) as error:
            notes.append(f"{path}: cannot be read: {error}")
            continue
        finally:
            progress.clear()
        suffix = f"-{number + 1}" if number else ""
        from_trace += [figure._replace(name=figure.name + suffix) for figure in alone]
        sites += [figure._replace(name=figure.name + suffix) for figure in of_sites]
    return from_trace, sites


def _whose_sites(runs):
    """The run whose stranded pages are traced to code: of route `best` where that strands any, else the one with the most."""
    with_objects = [run for run in runs if run.stranded_objects and run.stranded_objects["rows"]]
    return next((run for run in with_objects if run.route == "best"), None) or \
        max(with_objects, key=lambda run: run.stranded_objects["stranded"] - run.stranded_objects["without_objects"], default=runs[0])


class Outputs:
    """The files that a report writes: under temporary names, made before the work begins, and under
    their own when all are complete."""

    def __init__(self, options):
        self.png, self.html = options.output + ".png", None if options.no_html else options.output + ".html"
        self.folder = None if options.no_figures else options.output + "_figures"
        self.named = [self.png] + [path for path in (self.html,) if path] + ([self.folder + "/"] if self.folder else [])
        self._parts, self._mark = {}, f".{os.getpid()}.part"
        files = [self.png] + ([self.html] if self.html else [])
        for path in files:
            if os.path.isdir(path):
                _fail(f"{path}: cannot be written: a folder has this name")
        if self.folder and os.path.exists(self.folder) and not os.path.isdir(self.folder):
            _fail(f"{self.folder}: cannot be written: a file has this name")
        try:
            for path in files:
                self._parts[path] = path + self._mark
                with open(self._parts[path], "wb"):
                    pass
            if self.folder:
                os.mkdir(self.folder + self._mark)
        except OSError as error:
            self.discard()
            _fail(f"{options.output}: cannot be written: {error.strerror}")

    def part(self, path):
        """Where to write what is to become `path`."""
        return self._parts[path] if path in self._parts else os.path.join(self.folder + self._mark, path)

    def complete(self):
        """Everything is written: give the names. Figures of an older report go."""
        for path, part in self._parts.items():
            os.replace(part, path)
        if self.folder:
            os.makedirs(self.folder, exist_ok=True)
            fresh = os.listdir(self.folder + self._mark)
            for name in fresh:
                os.replace(os.path.join(self.folder + self._mark, name), os.path.join(self.folder, name))
            for name in set(os.listdir(self.folder)) - set(fresh):
                if FIGURE_FILE.fullmatch(name):
                    os.unlink(os.path.join(self.folder, name))

    def discard(self):
        """What was not completed goes."""
        for part in self._parts.values():
            if os.path.exists(part):
                os.unlink(part)
        if self.folder:
            shutil.rmtree(self.folder + self._mark, ignore_errors=True)


def _write(options, outputs, runs, reports, title, subtitle, words, from_trace, sites):
    import figure_data
    import figures
    import page
    import report_data
    after = sites + from_trace + report_data.all_figures(reports)
    wide = figure_data.all_figures(runs, POINTS_WIDE) + after
    narrow = figure_data.all_figures(runs, POINTS_NARROW) + after
    lead = " ".join(next((part.sentences for part in words if part.title in ("Rules broken", "Which route holds fewer")), [])[:2])
    pictures, drawn = [figures.heading(title, f"{subtitle}. {lead}")], []
    try:
        for large, small in zip(wide, narrow):
            pictures.append(figures.picture(large))
            if outputs.html or outputs.folder:
                drawn.append(page.Drawn(large, figures.plain_svg(large, page.WIDE), figures.plain_svg(small, page.NARROW) if outputs.html else ""))
            if outputs.folder:
                figures.save_png(outputs.part(large.name + ".png"), pictures[-1:])
                with open(outputs.part(large.name + ".svg"), "w", encoding="utf-8") as file:
                    file.write(figures.svg_file(drawn[-1].wide))
        figures.save_png(outputs.part(outputs.png), pictures)
        if outputs.html:
            with open(outputs.part(outputs.html), "w", encoding="utf-8") as file:
                file.write(page.render(runs, reports, title, subtitle, words, drawn))
        outputs.complete()
    except OSError as error:
        _fail(f"{options.output}: cannot be written: {error.strerror}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.stderr.write(f"{PROGRAM}: interrupted\n")
        raise SystemExit(130)
