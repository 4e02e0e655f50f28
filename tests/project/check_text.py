"""Texts and traces of the project name no folder of the machine they were made on; the licence
is there."""

import re
import subprocess
import sys

import project_tree as tree

# Written in pieces, so that this file does not break its own rule.
WORKPLACE = re.compile(
    rb"(?<![\w.$}/-])/(?:" + b"|".join([b"wo" + b"rk", b"ro" + b"ot(?=/\\w)", b"Us" + b"ers", b"bui" + b"lds",
                                    b"home/(?!user\\b|alice\\b|some(?:one|body)\\b)\\w+",
                                    b"tm" + b"p/b-"]) + rb")\b")
LICENCES = (b"MIT License", b"Apache License")


def contents(root, name):
    path = f"{root}/{name}"
    if not name.endswith(".zst"):
        with open(path, "rb") as file:
            return file.read()
    # A trace: what it says is inside. A damaged one gives what comes before the damage.
    return subprocess.run(["zstd", "-dcq", path], capture_output=True).stdout


def workplace_violations(root):
    for name in tree.files(root):
        data = contents(root, name)
        is_text = b"\0" not in data[:4096]
        for match in WORKPLACE.finditer(data):
            line = data.count(b"\n", 0, match.start()) + 1 if is_text else 1
            yield f"{name}:{line}: names a folder of one machine: {match.group().decode()}"
            break


def licence_violations(root):
    try:
        text = tree.text_of(root, "LICENSE").encode()
    except FileNotFoundError:
        return ["LICENSE:1: missing"]
    return [] if any(name in text[:200] for name in LICENCES) else [
        "LICENSE:1: neither the MIT nor the Apache licence"]


def violations(root):
    return list(workplace_violations(root)) + licence_violations(root)


if __name__ == "__main__":
    sys.exit(tree.report(violations(tree.root_from_arguments(__doc__)), "text"))
