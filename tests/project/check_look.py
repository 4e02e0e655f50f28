"""One look across the tools: what holds for one command of one tool holds for all.

Commands are those that a tool's own --help names, so that a new one is checked as soon as it is there.
"""

import argparse
import os
import re
import sys

import project_tree as tree
from check_completion import answers
from check_tools import UNKNOWN_OPTION, USAGE_STATUS, run

TOOLS = ("hakrec", "haktrace", "hakreplay", "haksim")
REPORTS = {"hakreport": "analysis/reuse_report.py", "hakcompare": "analysis/compare.py"}
LINES_MAX, COLUMNS_MAX = 50, 120  # one screen
MISSPELT = {"--quite": "--quiet", "--hepl": "--help"}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
NO_FILE = "no-such-file.zst"
# Commands whose operand is not a file that must be there.
WITHOUT_FILE = {("haksim", name) for name in ("", "run", "domino", "ablate", "seed-table", "calibrate", "validate")} | {("hakrec", "")}
BEFORE_FILE = {("haktrace", "window"): ["1..2"], ("haktrace", "export"): ["--format=csv"], ("haktrace", "import"): ["--format=glibc"],
               ("hakcompare", ""): [NO_FILE]}


def commands_of(tool, text):
    found = re.findall(r"^  ([a-z][a-z-]+)  +\S", text, re.M) if tool != "hakreplay" else re.findall(r"^  hakreplay ([a-z]+) \[", text, re.M)
    return [name for name in found if tool != "hakrec"]


def help_violations(where, line):
    done = run(line, "--help")
    lines = done.stdout.splitlines()
    if done.returncode != 0 or done.stderr:
        yield f"{where} --help exits {done.returncode}, says '{done.stderr.strip()}'"
    if len(lines) > LINES_MAX or max(map(len, lines), default=0) > COLUMNS_MAX:
        yield f"{where} --help has {len(lines)} lines of {max(map(len, lines), default=0)} columns, not one screen"
    for word in ("sage:", "xample", "--quiet"):
        if word not in done.stdout:
            yield f"{where} --help has no '{word}'"


def option_violations(where, line, text):
    for option in ("--quiet", "-q", "--color=never") + (("--json",) if "--json" in text else ()):
        done = run(line, option, UNKNOWN_OPTION)
        if done.returncode != USAGE_STATUS or UNKNOWN_OPTION not in done.stderr or len(done.stderr.splitlines()) != 1 or done.stdout:
            yield f"{where} {option} {UNKNOWN_OPTION} exits {done.returncode}: {done.stderr.strip() or 'silent'}"
    for wrong, meant in MISSPELT.items():
        done = run(line, wrong)
        if done.returncode != USAGE_STATUS or f"did you mean {meant}?" not in done.stderr:
            yield f"{where} {wrong} is not taken for {meant}: {done.stderr.strip()}"
    done = run(line, "--color=always", UNKNOWN_OPTION)
    if "\033[" not in done.stderr:
        yield f"{where} --color=always: no colour in {done.stderr!r}"


def file_violations(where, line, key):
    done = run(line, *BEFORE_FILE.get(key, ()), NO_FILE)
    if done.returncode != USAGE_STATUS or len(done.stderr.splitlines()) != 1 or NO_FILE not in done.stderr or done.stdout:
        yield f"{where} {NO_FILE} exits {done.returncode}: {done.stderr.strip()}"


def man_violations(where, name, text, manual):
    for option in sorted(set(OPTION.findall(text))):
        if not re.search(re.escape(option) + r"(?![\w-])", manual):
            yield f"doc/man/{name}.1:1: {where.split(':')[0]} has {option}, this page has not"


def command_violations(name, command, line, manual):
    where = f"{name} {command}".strip() + ":1:"
    text = run(line, "--help").stdout
    yield from help_violations(where, line)
    yield from man_violations(where, name, text, manual)
    if (name, command) in (("haktrace", ""), ("haksim", "")):
        return  # takes a command before anything else
    if name not in REPORTS:
        yield from option_violations(where, line, text)
    if (name, command) not in WITHOUT_FILE:
        yield from file_violations(where, line, (name, command))


def violations(root, binaries, python):
    lines = {name: [os.path.join(binaries, name)] for name in TOOLS}
    lines.update({name: [python, os.path.join(root, script)] for name, script in REPORTS.items()})
    for name, line in lines.items():
        manual = tree.text_of(root, f"doc/man/{name}.1").replace("\\-", "-").replace("\\fR", "")
        commands = commands_of(name, run(line, "--help").stdout) if name in TOOLS else []
        if name in ("haktrace", "hakreplay", "haksim") and len(commands) < 3:
            yield f"{name}:1: --help names only the commands {commands}"
        for command in ["", *commands]:
            yield from command_violations(name, command, line + ([command] if command else []), manual)
            script = os.path.join(root, "doc/completions/hak.bash")
            path = f"{binaries}:{os.environ['PATH']}"
            if name in TOOLS and command and command not in answers(script, [name, command[:-1]], path):
                yield f"doc/completions/hak.bash:1: {name} {command[:-1]}: does not offer {command}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("binaries")
    arguments = parser.parse_args()
    sys.exit(tree.report(list(violations(arguments.root, arguments.binaries, os.environ["HAK_PYTHON"])), "look"))
