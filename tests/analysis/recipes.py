#!/usr/bin/env python3
"""The recipes of doc/recipes.md and doc/viewers.md: run as they stand, and compared with what the page says comes out.

A ```console block holds commands (`$ `), what they print, and `[exit status N]` where that is not 0;
`...` stands for any lines. Compared are the words: numbers, and the code of sites, differ between
versions and machines. `--write` puts what comes out now into the pages.
"""
import os
import re
import subprocess
import sys

SOURCE = os.environ.get("HAK_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("HAK_BIN_DIR") or os.path.join(SOURCE, "build/release/bin")
PAGES = [os.path.join(SOURCE, "doc", name) for name in ("recipes.md", "viewers.md")]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
SECONDS_MAX = 300  # ends a recipe that hangs


def blocks(page):
    """The text, and [(start, end, [(command, expected text)])] of it."""
    with open(page, encoding="utf-8") as file:
        text = file.read()
    found = []
    for match in BLOCK.finditer(text):
        steps = []
        for line in match[1].splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
        found.append((match.start(1), match.end(1), [(command, "\n".join(lines)) for command, lines in steps]))
    return text, found


def prepare():
    """The current folder becomes one in which the recipes run: traces, and the commands on the path."""
    os.makedirs("path", exist_ok=True)
    for name, target in [("hakreport", f"{SOURCE}/analysis/reuse_report.py"), ("hakcompare", f"{SOURCE}/analysis/compare.py")] + \
            [(name, f"{BIN}/{name}") for name in ("hakrec", "hakreplay", "haksim", "haktrace")]:
        if not os.path.lexists(f"path/{name}"):
            os.symlink(target, f"path/{name}")
    for name in os.listdir(f"{SOURCE}/traces/corpus"):
        if name.endswith(".zst") and not os.path.lexists(name):
            os.symlink(f"{SOURCE}/traces/corpus/{name}", name)


def run(command):
    """What the command prints, as the page has it."""
    environment = dict(os.environ, PATH=f"{os.path.abspath('path')}:{os.environ['PATH']}", COLUMNS="100", PYTHONIOENCODING="utf-8", LC_ALL="C.UTF-8")
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, timeout=SECONDS_MAX, encoding="utf-8",
                          stdin=subprocess.DEVNULL)
    text = done.stdout.rstrip("\n").replace("\u00a0", " ")
    return text + ("\n" if text else "") + f"[exit status {done.returncode}]" if done.returncode else text


def words(text):
    """The text without what differs between machines and versions; lines are no matter, since numbers move their ends."""
    text = re.sub(r"Sources with uncommitted changes[^.]*\.", "", text)  # a working copy says so
    text = re.sub(r"Without symbols here: [^.]*(\.[^ ][^.]*)*\.", "", text)
    text = re.sub(r"^ *[\d.,]+ +\S.* ← .*$", "SITE", text, flags=re.MULTILINE)
    text = re.sub(r"\b[0-9a-f]{16}\b", "N", text)
    text = re.sub(r"[+-]?\d[\d,.]*( ?(µs|ns|ms|s|%|×|bytes|[KMG]iB)(?!\w))?|±|=(?= |$)|–", "N", text)
    return re.sub(r"(N )*N\b", "N", " ".join(text.replace("N", " N ").split()))


def write(page):
    """Puts today's outputs into the page."""
    text, found = blocks(page)
    outputs = [[(command, run(command)) for command, _ in steps] for _, _, steps in found]
    for (start, end, _), said in reversed(list(zip(found, outputs))):
        block = "".join(f"$ {command}\n" + (output + "\n" if output else "") for command, output in said)
        text = text[:start] + block + text[end:]
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: recipes.py --write (in an empty folder)")
    if os.listdir("."):
        sys.exit("recipes.py: an empty folder to run in expected")
    prepare()
    for each in PAGES:
        write(each)
