"""Completion offers what the tools' help names: commands, options, values."""

import argparse
import os
import shutil
import subprocess
import sys

import project_tree as tree

ASK = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
_hak "$1"
printf '%s\\n' "${COMPREPLY[@]}"
"""
# Words typed (the last one is to be completed), and one answer that must come.
CASES = [
    (["haksim", "dom"], "domino"), (["haktrace", "ver"], "verify"), (["hakreplay", "ex"], "explore"), (["hakreplay", "--rou"], "--route="),
    (["hakreplay", "--route", "=", "s2,orphans=strand,be"], "s2,orphans=strand,best"), (["haksim", "run", "--work"], "--workload="),
    (["hakrec", "--sta"], "--stacks="), (["hakreplay", "measure", "--alloc"], "--allocator="), (["hakreplay", "--order", "=", "d"], "dataflow"),
    (["hakreport", "--no-h"], "--no-html"), (["hakcompare", "--fail"], "--fail-on"),
]
NOT = [(["haksim", "run", "--chai"], "--chains="), (["haktrace", "--rou"], "--route=")]


def answers(script, words, path):
    done = subprocess.run(["bash", "-c", ASK, "bash", script, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=dict(os.environ, PATH=path))
    return done.stdout.split()


def violations(root, binaries):
    os.makedirs("path", exist_ok=True)
    for name, script in (("hakreport", "reuse_report.py"), ("hakcompare", "compare.py")):
        if not os.path.lexists(f"path/{name}"):
            os.symlink(os.path.join(root, "analysis", script), f"path/{name}")
    path = f"{binaries}:{os.path.abspath('path')}:{os.environ['PATH']}"
    script = os.path.join(root, "doc/completions/hak.bash")
    for words, wanted in CASES:
        found = answers(script, words, path)
        if wanted not in found:
            yield f"doc/completions/hak.bash:1: {' '.join(words)}: offers {found[:8]}, not {wanted}"
    for words, unwanted in NOT:
        if unwanted in answers(script, words, path):
            yield f"doc/completions/hak.bash:1: {' '.join(words)}: offers {unwanted}, which is another command's"
    if shutil.which("zsh"):
        done = subprocess.run(["zsh", "-n", os.path.join(root, "doc/completions/_hak")], capture_output=True, text=True)
        if done.returncode != 0:
            yield f"doc/completions/_hak:1: {done.stderr.strip()}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("binaries")
    arguments = parser.parse_args()
    sys.exit(tree.report(list(violations(arguments.root, arguments.binaries)), "completion"))
