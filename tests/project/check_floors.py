"""Each floor includes only what stands below it; base names are unique in the tree."""

import os
import sys

import project_tree as tree

# floor: the floors whose files it may include, beside its own.
MAY_INCLUDE = {
    "traces": set(),
    "alloc": set(),
    "recorder": {"traces"},
    "world": {"alloc", "traces"},
    "replayer": {"traces", "world", "alloc"},
    "sim": {"traces", "world", "alloc"},
}
FREE_FOLDERS = {"tests", "bench", "doc", "cmake"}
# Written by the build, includable everywhere.
GENERATED = {"hak_version.h"}
# Names that recur by convention.
RECURRING = {"CMakeLists.txt", "README.md", "__init__.py", "Makefile"}


def resolve(source, path, headers_by_name):
    """The tree's file that `path` names when `source` includes it, or None."""
    near = os.path.normpath(os.path.join(os.path.dirname(source), path))
    candidates = headers_by_name.get(os.path.basename(path), [])
    if near in candidates:
        return near
    tail = [c for c in candidates if c == path or c.endswith("/" + path)]
    return tail[0] if tail else None


def include_violations(root):
    sources = tree.c_files(root)
    by_name = {}
    for name in sources:
        by_name.setdefault(os.path.basename(name), []).append(name)
    for source in sources:
        floor = tree.floor_of(source)
        if floor in FREE_FOLDERS:
            continue
        if floor not in MAY_INCLUDE:
            yield f"{source}:1: C code in '{floor or '.'}', which is no floor for C"
            continue
        for line, quote, path in tree.includes(tree.text_of(root, source)):
            target = resolve(source, path, by_name)
            if target is None:
                if quote == '"' and path not in GENERATED:
                    yield f"{source}:{line}: \"{path}\" is not in the tree"
                continue
            other = tree.floor_of(target)
            if other != floor and other not in MAY_INCLUDE[floor]:
                allowed = ", ".join(sorted(MAY_INCLUDE[floor])) or "no other floor"
                yield f"{source}:{line}: {floor} includes {target}; it may include {allowed}"


def name_violations(root):
    first = {}
    for name in tree.files(root):
        base = os.path.basename(name)
        if not base.endswith((".c", ".h", ".py", ".sh")) or base in RECURRING:
            continue
        if base in first:
            yield f"{name}:1: the base name is taken by {first[base]}"
        first.setdefault(base, name)


def violations(root):
    return list(include_violations(root)) + list(name_violations(root))


if __name__ == "__main__":
    sys.exit(tree.report(violations(tree.root_from_arguments(__doc__)), "floor table"))
