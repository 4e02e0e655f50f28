"""The source tree as the project tests see it.

Owns: which files belong to the project, C text without comments and strings, and the way a
checker reports. Does not own any rule: each check_*.py holds one.

A checker is a function from a root folder to a list of lines "file:line: what is wrong", so that
test_checkers.py can run it on small trees that break the rule.
"""

import argparse
import os
import re
import subprocess
import sys

SKIPPED = 77
LEFT_OUT = {".git", "build", "__pycache__", ".cache", "demo-out"}


def walked(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in LEFT_OUT]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def files(root):
    """All files of the project, relative to root: tracked ones and those about to be."""
    if os.path.exists(os.path.join(root, ".git")):  # a file in a linked working tree
        listing = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True)
        if listing.returncode == 0:
            names = listing.stdout.decode("utf-8", "surrogateescape").split("\0")
            return sorted(n for n in names if n and os.path.isfile(os.path.join(root, n)))
    return sorted(walked(root))


def c_files(root):
    return [f for f in files(root) if f.endswith((".c", ".h"))]


def text_of(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def floor_of(name):
    """The first folder of a path; "" for files in the root."""
    return name.split("/", 1)[0] if "/" in name else ""


COMMENT_OR_LITERAL = re.compile(
    r'//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', re.DOTALL)


def blank(match):
    text = match.group()
    if text.startswith("/"):
        return " " + "\n" * text.count("\n")
    return text[0] + " " * (len(text) - 2) + text[-1]


def code_of(text):
    """C text with comments removed and literals blanked; line numbers stay."""
    return COMMENT_OR_LITERAL.sub(blank, text)


def without_comments(text):
    """C text with comments removed and literals kept; line numbers stay."""
    return COMMENT_OR_LITERAL.sub(
        lambda m: blank(m) if m.group().startswith("/") else m.group(), text)


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)


def includes(text):
    """(line, quote, path) of every #include that is not commented out."""
    clean = without_comments(text)
    for match in INCLUDE.finditer(clean):
        yield clean.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def report(violations, rule):
    """Prints the verdict and gives the exit status."""
    for line in violations:
        print(line)
    print(f"{rule}: {len(violations)} violation(s)" if violations else f"{rule}: holds")
    return 1 if violations else 0


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def root_from_arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("root", nargs="?", default=os.environ.get("HAK_SOURCE_DIR", "."))
    return parser.parse_args().root
