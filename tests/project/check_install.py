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


def report_violations(prefix):
    """The report and the comparison are on the PATH, and find their modules from there."""
    for name in ("hakreport", "hakcompare"):
        done = check_tools.run([os.path.join(prefix, "bin", name)], "--help")
        if done.returncode != 0 or name not in done.stdout:
            yield f"analysis/CMakeLists.txt:1: the installed {name} does not run: {done.stderr.strip()[-200:]}"
        if not exists(prefix, "man", name + ".1"):
            yield f"doc/CMakeLists.txt:1: {name}.1 is not installed"


def outside_violations(root, prefix):
    """A program from outside the tree builds and runs, by pkg-config and by CMake."""
    trace = os.path.join(root, "traces/corpus/larson.zst")
    environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(prefix, "lib/pkgconfig"), LD_LIBRARY_PATH=os.path.join(prefix, "lib"))
    for example, source, package, arguments, said in (("trace", "count_events", "haktrace", [trace], "malloc 60001, free 56009"),
                                                     ("mf2", "print_stats", "mf2", [], '"new_page_count":')):
        folder = os.path.join(root, "doc/examples", example)
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", package], env=environment, capture_output=True, text=True)
        compiler = os.environ.get("CC", "cc")
        steps = {
            "pkg-config": [[compiler, os.path.join(folder, source + ".c"), *flags.stdout.split(), "-o", os.path.abspath(source)],
                           [os.path.abspath(source), *arguments]],
            "CMake": [["cmake", "-S", folder, "-B", f"outside_{example}", f"-DCMAKE_PREFIX_PATH={prefix}"], ["cmake", "--build", f"outside_{example}"],
                      [os.path.join(f"outside_{example}", source), *arguments]],
        }
        for way, commands in steps.items():
            for command in commands:
                done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
                if done.returncode != 0:
                    yield f"doc/examples/{example}/{source}.c:1: by {way}: {command[0]} fails: {(done.stdout + done.stderr).strip()[-300:]}"
                    break
            else:
                if said not in done.stdout:
                    yield f"doc/examples/{example}/{source}.c:1: by {way}: says {done.stdout[:100]!r}, not {said}"


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
    found = violations(arguments.root, prefix) + list(recording_violations(prefix)) + list(report_violations(prefix))
    if not os.environ.get("HAK_SANITIZE"):  # a sanitizer's run-time would have to come along
        found += outside_violations(arguments.root, prefix)
    sys.exit(tree.report(found, "installation"))
