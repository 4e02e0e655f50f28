#!/usr/bin/env python3
"""reuse_report.py: which route holds how many pages, and why. Reads results of hakreplay and haksim
(doc/results.md); prints a table, writes reuse_report.html and reuse_report.png.

This file owns the command line and the outputs; results, table, verdict, figures and page are
modules beside it. Exit status: 0 fine, 2 usage or bad input, 130 interrupted;
after the latter two no output has been touched.
"""
import argparse
import os
import shutil
import sys
import textwrap

import system_python
from results import VERSION, ResultError, gather
from wording import count, listing, plural

EXAMPLES = """\
examples:
  reuse_report.py                            the newest results in this folder
  reuse_report.py a.replay.json b.sim.json   these, compared
  reuse_report.py results/ -o larson         all results of a folder, into larson.html and larson.png
"""


def main():
    options = _options()
    sys.stdout.reconfigure(errors="replace")  # a terminal without these letters shows others
    try:
        runs, note = gather(options.results)
    except (ResultError, OSError) as error:
        _fail(str(error) if isinstance(error, ResultError) else f"{error.filename}: {error.strerror}")
    system_python.need("matplotlib")

    import table
    import verdict
    title, subtitle = _titles(runs)
    words = verdict.paragraphs(runs)
    width = shutil.get_terminal_size((120, 40)).columns
    if note:
        _say(note + "\n")
    _say(f"{title}\n{subtitle}\n\n{table.terminal(runs, width)}")
    for paragraph in words:
        _say("\n" + textwrap.fill(f"{paragraph.title}. {' '.join(paragraph.sentences)}", min(width, 88)))
    written = _write(options, runs, title, subtitle, words)
    _say(f"\nwrote {listing(written)}")


def _options():
    parser = argparse.ArgumentParser(
        prog="reuse_report.py", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES, allow_abbrev=False,
        description="Compare results of hakreplay and haksim: table, HTML page and PNG.")
    parser.error = lambda message: _fail(f"{message}; see --help")
    parser.add_argument("results", nargs="*", metavar="FILE|FOLDER", help="*.replay.json, *.sim.json; default: the newest ones here")
    parser.add_argument("-o", "--output", metavar="BASENAME", default="reuse_report", help="write BASENAME.html and BASENAME.png")
    parser.add_argument("--no-html", action="store_true", help="table and PNG only")
    parser.add_argument("--version", action="version", version=f"reuse_report.py (hak) {VERSION}")
    return parser.parse_args()


def _say(text):
    """Print; a reader that has gone away (`| head`) does not keep the outputs from being written."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text):
    sys.stderr.write(f"reuse_report.py: {text}\n")
    raise SystemExit(2)


def _titles(runs):
    names = list(dict.fromkeys(run.subject_name for run in runs))
    title = f"Page reuse: {listing(names) if len(names) <= 3 else plural(len(names), 'program')}"
    routes = list(dict.fromkeys(run.route for run in runs))
    facts = [f"{plural(len(runs), 'run')}, {plural(len(routes), 'route')}"]
    traces = {run.trace["hash"]: run.trace for run in runs if run.trace}
    if len(traces) == 1:
        trace = next(iter(traces.values()))
        facts.append(f"{count(trace['events'])} recorded events of {plural(trace['threads'], 'thread')}")
    return title, "; ".join(facts)


def _write(options, runs, title, subtitle, words):
    """Write the outputs under temporary names, and give them their own when all are complete."""
    import figure_data
    import figures
    import page
    outputs = [options.output + ".png"] + ([] if options.no_html else [options.output + ".html"])
    for path in outputs:
        if os.path.isdir(path):
            _fail(f"{path}: cannot be written: a folder has this name")
    temporary = {path: f"{path}.{os.getpid()}.part" for path in outputs}
    try:
        lead = " ".join(next((part.sentences for part in words if part.title in ("Rules broken", "Which route holds fewer")), [])[:2])
        figures.save_png(temporary[outputs[0]], figure_data.all_figures(runs, 400), title, f"{subtitle}. {lead}")
        if not options.no_html:
            drawn = {page.WIDE: figure_data.all_figures(runs, 260), page.NARROW: figure_data.all_figures(runs, 140)}
            with open(temporary[outputs[1]], "w", encoding="utf-8") as file:
                file.write(page.render(runs, title, subtitle, words, drawn))
        for path in outputs:
            os.replace(temporary[path], path)
    except OSError as error:
        _fail(f"{options.output}: cannot be written: {error.strerror}")
    finally:
        for path in temporary.values():
            if os.path.exists(path):
                os.unlink(path)
    return outputs


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.stderr.write("reuse_report.py: interrupted\n")
        raise SystemExit(130)
