"""What is installed works where it is installed: tools, libraries and man pages, from any prefix."""

import argparse
import os
import subprocess
import sys

import check_tools
import project_tree as tree

LIBRARIES = {"recorder": "libhakrec.so", "alloc": "libmf2.so"}


def exists(prefix, folder, name):
    """Whether the prefix holds the file, whatever the distribution calls the folder's kin."""
    return any(name in names and f"/{folder}" in path[len(prefix):] + "/"
               for path, _, names in os.walk(prefix))


def built_floors(root):
    return [f for f in (*check_tools.TOOLS, *LIBRARIES)
            if os.path.exists(os.path.join(root, f, "CMakeLists.txt"))]


def violations(root, prefix):
    found = []
    for floor in sorted(set(built_floors(root))):
        if floor in LIBRARIES and not exists(prefix, "lib", LIBRARIES[floor]):
            found.append(f"{floor}/CMakeLists.txt:1: {LIBRARIES[floor]} is not installed")
        if floor in check_tools.TOOLS:
            tool = check_tools.TOOLS[floor]
            path = os.path.join(prefix, "bin", tool)
            if not os.path.exists(path):
                found.append(f"{floor}/CMakeLists.txt:1: {tool} is not installed")
            elif check_tools.run([path], "--version").returncode != 0:
                found.append(f"{floor}/CMakeLists.txt:1: the installed {tool} does not run")
            if not exists(prefix, "man", tool + ".1"):
                found.append(f"doc/CMakeLists.txt:1: {tool}.1 is not installed")
    return found


def recording_violations(prefix):
    """The installed launcher finds its library without being told where."""
    tools = [os.path.join(prefix, "bin", name) for name in ("hakrec", "haktrace")]
    if all(map(os.path.exists, tools)):
        for command in ([tools[0], "-o", "t.zst", "true"], [tools[1], "verify", "t.zst"]):
            done = check_tools.run(command)
            if done.returncode != 0:
                yield f"recorder/CMakeLists.txt:1: {' '.join(command)}: {done.stderr.strip()}"


def install(build, prefix):
    subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True,
                   stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("build")
    arguments = parser.parse_args()
    prefix = os.path.abspath("prefix")
    install(arguments.build, prefix)
    sys.exit(tree.report(violations(arguments.root, prefix) + list(recording_violations(prefix)),
                         "installation"))
