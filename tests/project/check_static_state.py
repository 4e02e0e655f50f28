"""alloc/ has no static mutable variable, in any world it is compiled for: its objects say so.

All mutable state is one struct mf2_state and one struct per thread, reached through platform.h;
otherwise several instances could not live in one process, nor be reset by a copy.
"""

import argparse
import fnmatch
import json
import os
import re
import subprocess
import sys

import project_tree as tree

# (source, symbol): why it may be static and mutable. Only the real platform owns any.
ALLOWED = {
    ("alloc/platform_real.c", "mf2_real_state"): "the process's one instance",
    ("alloc/platform_real.c", "mf2_real_seat"): "where the calling thread finds its pages, thread-local",
    ("alloc/platform_real.c", "exit_key"): "tells the platform that a thread ends; set once",
    ("alloc/platform_real.c", "start_lock"): "makes the one instance once",
    ("alloc/platform_helper.c", "room"): "the one helper's stack, and the process it may run in",
    ("alloc/platform_process.c", "kept"): "the stderr that MF2_STATS writes to; set before main",
}

SYMBOL = re.compile(r"^[0-9a-f]+ .{7} (\S+)\t[0-9a-f]+\s+(?:0x\w+ )?(?:\.hidden )?(\S+)$")


def is_mutable(section):
    if section.startswith(".data.rel.ro"):
        return False  # constant tables of pointers, read-only after relocation
    return section == "*COM*" or section.startswith((".data", ".bss", ".tdata", ".tbss"))


def symbols(object_path):
    """(section, symbol) of every defined symbol."""
    listing = subprocess.run(["objdump", "-t", object_path], capture_output=True, text=True,
                             check=True).stdout
    for line in listing.split("\n"):
        match = SYMBOL.match(line)
        if match and match.group(1) != "*UND*":
            yield match.group(1), match.group(2)


def objects(build, source_prefix):
    """(source, object) of every compilation of a file below source_prefix."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    for command in commands:
        if " -flto" in command["command"]:
            continue  # its object has no symbols yet; the source is compiled without as well
        source = os.path.normpath(os.path.join(command["directory"], command["file"]))
        if source.startswith(source_prefix + os.sep):
            output = re.search(r"-o (\S+\.o)\b", command["command"]).group(1)
            yield source, os.path.normpath(os.path.join(command["directory"], output))


def is_allowed(source_name, symbol):
    plain = re.sub(r"\.\d+$", "", symbol)  # static variables of functions are numbered
    return any(fnmatch.fnmatchcase(source_name, s) and plain == n for s, n in ALLOWED)


def violations_of_object(source_name, object_path):
    """What is mutable in one object, and whether anything was compiled into it at all."""
    if not os.path.exists(object_path):
        return []  # configured, not built
    found = []
    for section, symbol in symbols(object_path):
        # A section's own symbol bears its name and stands for no variable.
        if is_mutable(section) and symbol != section and not is_allowed(source_name, symbol):
            found.append(f"{source_name}:1: {symbol} is mutable and static ({section})")
    return found


def violations(root, build):
    found = set()
    built = 0
    for source, object_path in objects(build, os.path.join(os.path.realpath(root), "alloc")):
        built += os.path.exists(object_path)
        found.update(violations_of_object(os.path.relpath(source, os.path.realpath(root)),
                                          object_path))
    if not built:
        found.add(f"{build}:1: no object of alloc/ was built, so nothing could be read")
    return sorted(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("build")
    arguments = parser.parse_args()
    if os.environ.get("HAK_SANITIZE"):
        tree.skip("sanitizers add variables of their own to every object")
    sys.exit(tree.report(violations(arguments.root, arguments.build), "no static state in alloc/"))
