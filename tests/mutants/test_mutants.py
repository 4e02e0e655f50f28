"""Every planted bug is found by the portfolio over the suite, and MF2 without one is not accused.

    test_mutants.py CC FIND_OBJECT ALLOC SUITE SCENARIOS LIBRARY... [-- NAME...]

A bug is a patch against alloc/, NAME.patch; order_*.patch weaken a memory order. Of each, the files
that it changes (or that include a header which it changes) are compiled, and stand before the
others when the search is linked. Bugs of memory orders must be found with --memory=c11, and must
not be found with --memory=sc in as many schedules: a search that accuses whatever it is given would
find them there, too.

Those of not_found.txt need not be found. Without names all are tried, and a table is printed: how many schedules it took with several seeds.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = sys.argv[1:]
NAMES = WORDS[WORDS.index("--") + 1:] if "--" in WORDS else []
CC, FIND_OBJECT, ALLOC, SUITE, SCENARIOS, *LIBRARIES = WORDS[:WORDS.index("--")] if "--" in WORDS else WORDS
FLAGS = ("-std=c11 -O2 -g -w -D_GNU_SOURCE -DMF2_VIRTUAL -fno-strict-aliasing -fno-omit-frame-pointer "
         "-fPIE").split()
# Of schedules. What must be found, is long before; what must not, costs this much.
LIMIT = int(os.environ.get("HAK_MUTANT_LIMIT", "1000000"))
CONTROL = int(os.environ.get("HAK_MUTANT_CONTROL", "200000" if not NAMES else "30000"))
with open(f"{HERE}/not_found.txt", encoding="utf-8") as file:
    BEYOND = {line.strip() for line in file if not line.startswith("#")}
SEEDS = [1] if NAMES or os.environ.get("HAK_MUTANT_ONE_SEED") else [1, 1000001, 2000001]


def is_order(name):
    return name.startswith("order_")


def files_of(tree, patch):
    """The .c files to compile: changed ones, and those that see a changed header."""
    with open(patch, encoding="utf-8") as file:
        changed = re.findall(r"^\+\+\+ b/alloc/(\S+)", file.read(), re.M)
    headers = [name for name in changed if name.endswith(".h")]
    seen = {name for name in changed if name.endswith(".c")}
    for name in os.listdir(tree):
        if name.endswith(".c"):
            with open(f"{tree}/{name}", encoding="utf-8") as file:
                text = file.read()
            if any(f'"{header}"' in text for header in headers):
                seen.add(name)
    return sorted(seen)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def build(folder, name):
    """The search with this bug; None and why, if it cannot be built."""
    tree, patch = f"{folder}/{name}/alloc", f"{HERE}/{name}.patch"
    os.makedirs(tree)
    for source in os.listdir(ALLOC):
        if source.endswith((".c", ".h")):
            with open(f"{ALLOC}/{source}", "rb") as old, open(f"{tree}/{source}", "wb") as new:
                new.write(old.read())
    applied = run("patch", "-p1", "-F1", "--batch", "--forward", "-i", patch, cwd=f"{folder}/{name}")
    if applied.returncode != 0:
        return None, f"no longer applies: {applied.stdout}"
    objects = []
    for source in files_of(tree, patch):
        objects.append(f"{tree}/{source}.o")
        compiled = run(CC, *FLAGS, f"-I{tree}", "-include", f"{HERE}/weaker_orders.h", "-c",
                       f"{tree}/{source}", "-o", objects[-1])
        if compiled.returncode != 0:
            return None, compiled.stderr
    linked = run(CC, "-o", f"{folder}/{name}/find", FIND_OBJECT, *objects, *LIBRARIES)
    return (f"{folder}/{name}/find", None) if linked.returncode == 0 else (None, linked.stderr)


SMALL = []  # (operations, preemptions, seconds) of failures made smaller, or None


def note_small(text):
    small = re.search(r"^small: (\d+) operations, (\d+) preemptions, \d+ runs, ([\d.]+) s", text, re.M)
    SMALL.append((int(small.group(1)), int(small.group(2)), float(small.group(3))) if small else None)


def search(program, *options):
    """(schedules, line); schedules is None where nothing was found."""
    done = run(program, *options, SUITE, SCENARIOS)
    found = re.match(r"found in (\d+) schedules: (.*)", done.stdout)
    if done.returncode == 1 and found:
        if "--shrink" in options:
            note_small(done.stdout)
        return int(found.group(1)), found.group(2)
    assert done.returncode == 0 and done.stdout.startswith("nothing in "), done.stdout + done.stderr
    return None, done.stdout.strip()


def examine(folder, name):
    """A row of the table, and what is wrong."""
    program, why = build(folder, name)
    if program is None:
        return [], f"{name}: {why}"
    memory = ["--memory=c11"] if is_order(name) else []
    results = [search(program, *memory, "--shrink", f"--schedules={LIMIT}", f"--seed={seed}") for seed in SEEDS]
    counts = [count for count, _ in results]
    if None in counts:
        wrong = f"{name}: not found in {LIMIT} schedules" if name not in BEYOND else None
        return [name, None, None, results[0][1]], wrong
    wrong = None
    if is_order(name):
        count, line = search(program, f"--schedules={CONTROL}")
        if count is not None:
            wrong = f"{name}: found without weak memory as well: {line}"
    return [name, statistics.median(counts), max(counts), results[0][1]], wrong


def main():
    if os.environ.get("HAK_SANITIZE"):
        print("skipped: the bugs are looked for in the release build")
        return 77
    names = NAMES or sorted(f[:-6] for f in os.listdir(HERE) if f.endswith(".patch"))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        folder = os.path.abspath(folder)
        with ThreadPoolExecutor(1 if NAMES else 2) as pool:
            rows = list(pool.map(lambda name: examine(folder, name), names))
    print(f"{'bug':<40} {'median':>9} {'worst':>9}  first found as")
    for row, _ in rows:
        if row:
            print(f"{row[0]:<40} {row[1] if row[1] is not None else '-':>9} "
                  f"{row[2] if row[2] is not None else '-':>9}  {row[3]}")
    found = [row for row, wrong in rows if row and row[1] is not None and not wrong]
    if found:
        orders = sum(is_order(row[0]) for row in found)
        print(f"{len(found) - orders} bugs and {orders} of memory orders found; median of medians "
              f"{statistics.median(row[1] for row in found):.0f}, worst {max(row[2] for row in found)}")
    if SMALL:
        few = [small for small in SMALL if small and small[0] <= 10 and small[1] <= 3]
        print(f"{len(SMALL)} failures, {len(few)} of them made smaller to at most 10 operations and 3 "
              f"preemptions ({100 * len(few) / len(SMALL):.0f} %); processor time of the slowest "
              f"{max((small[2] for small in SMALL if small), default=0):.1f} s, of 19 in 20 at most "
              f"{sorted(small[2] if small else 99 for small in SMALL)[len(SMALL) * 19 // 20 - 1]:.1f} s")
    failures = [wrong for _, wrong in rows if wrong]
    print("\n".join(failures))
    return 1 if failures else 0


sys.exit(main())
