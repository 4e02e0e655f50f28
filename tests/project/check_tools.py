"""Every tool has --help and --version, refuses an unknown option in one line, and has a man page.

A floor's tool is expected as soon as the floor is part of the build.
"""

import argparse
import os
import subprocess
import sys

import project_tree as tree

TOOLS = {"traces": "haktrace", "recorder": "hakrec", "replayer": "hakreplay", "sim": "haksim"}
USAGE_STATUS = 2
REPORTS = ("analysis/reuse_report.py", "analysis/compare.py")
UNKNOWN_OPTION = "--no-such-option"
MISSPELT_OPTION, MEANT_OPTION = "--vresion", "--version"


def run(command, *arguments):
    return subprocess.run([*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace")


def text_violations(name, command, option, must_hold):
    done = run(command, option)
    if done.returncode != 0:
        yield f"{name}:1: {option} exits {done.returncode}, not 0"
    if must_hold not in done.stdout:
        yield f"{name}:1: {option} does not print '{must_hold}' on standard output"
    if done.stderr:
        yield f"{name}:1: {option} prints on standard error: {done.stderr.splitlines()[0]}"


def refusal_violations(name, command):
    done = run(command, UNKNOWN_OPTION)
    lines = done.stderr.splitlines()
    if done.returncode != USAGE_STATUS:
        yield f"{name}:1: an unknown option exits {done.returncode}, not {USAGE_STATUS}"
    if len(lines) != 1 or UNKNOWN_OPTION not in lines[0]:
        yield f"{name}:1: an unknown option gives {len(lines)} line(s) of error, not one naming it"
    if done.stdout:
        yield f"{name}:1: an unknown option prints on standard output"


def suggestion_violations(name, command):
    done = run(command, MISSPELT_OPTION)
    if done.returncode != USAGE_STATUS or f"did you mean {MEANT_OPTION}?" not in done.stderr:
        yield f"{name}:1: {MISSPELT_OPTION} is not taken for {MEANT_OPTION}: {done.stderr.strip()}"


def color_violations(name, command):
    """--color=always colours the error, never and NO_COLOR and a pipe do not; another word is refused."""
    for arguments, variables, tinted in ((["--color=always"], {}, True), (["--color=never"], {}, False), ([], {}, False), ([], {"NO_COLOR": "1"}, False)):
        done = subprocess.run([*command, *arguments, UNKNOWN_OPTION], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", env=dict(os.environ, **variables))
        if ("\033[" in done.stderr) != tinted or UNKNOWN_OPTION not in done.stderr:
            yield f"{name}:1: {' '.join(arguments)} with {variables}: its error reads {done.stderr!r}"
    done = run(command, "--color=sometimes")
    if done.returncode != USAGE_STATUS or "expected auto, always or never" not in done.stderr:
        yield f"{name}:1: --color=sometimes is not refused: {done.stderr.strip()}"


def tool_violations(name, command, version):
    yield from suggestion_violations(name, command)
    yield from text_violations(name, command, "--help", "sage:")
    yield from text_violations(name, command, "--version", version)
    yield from refusal_violations(name, command)


def violations(root, binaries, python, version):
    found = []
    for floor, tool in TOOLS.items():
        if not os.path.exists(os.path.join(root, floor, "CMakeLists.txt")):
            continue
        path = os.path.join(binaries, tool)
        if not os.path.exists(path):
            found.append(f"{floor}/CMakeLists.txt:1: builds no {tool}")
            continue
        found += tool_violations(tool, [path], version)
        found += color_violations(tool, [path])
        if not os.path.exists(os.path.join(root, "doc", "man", tool + ".1")):
            found.append(f"doc/man/{tool}.1:1: missing")
    for name in REPORTS:
        report = os.path.join(root, name)
        if os.path.exists(report):
            found += tool_violations(name, [python, report], version)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("binaries")
    parser.add_argument("version")
    arguments = parser.parse_args()
    sys.exit(tree.report(violations(arguments.root, arguments.binaries, os.environ["HAK_PYTHON"],
                                    arguments.version), "tools"))
