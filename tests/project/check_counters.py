"""doc/counters.md says what the table in alloc/counters.h says; --write makes it anew."""

import argparse
import os
import re
import sys

import project_tree as tree

LITERAL = r'"([^"]*)"'
DOCUMENT = "doc/counters.md"
ROW = re.compile(r'X\((\w+), "(\w+)",\s*((?:"[^"]*"[\s\\]*)+)\)')
HEAD = """# Counters of MF2

Made from `alloc/counters.h`, the one table that also makes the struct, the `counters` of [results](results.md) and the output of `MF2_STATS`. All are sums over threads.

| counter | unit | meaning |
|---|---|---|
"""


def document(header):
    """The page for the text of counters.h."""
    return HEAD + "".join(f"| `{name}` | {unit} | {''.join(re.findall(LITERAL, literals))} |\n"
                          for name, unit, literals in ROW.findall(header))


def violations(root):
    expected = document(tree.text_of(root, "alloc/counters.h"))
    try:
        found = tree.text_of(root, DOCUMENT)
    except FileNotFoundError:
        found = ""
    return [] if found == expected else [
        f"{DOCUMENT}:1: is not what alloc/counters.h says; run tests/project/check_counters.py --write"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", default=".")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.write:
        with open(os.path.join(arguments.root, DOCUMENT), "w", encoding="utf-8") as file:
            file.write(document(tree.text_of(arguments.root, "alloc/counters.h")))
    sys.exit(tree.report(violations(arguments.root), "counters' page"))
