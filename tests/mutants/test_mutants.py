"""Every planted bug is found by the portfolio over the suite, and MF2 without one is not accused.

    test_mutants.py CC FIND_OBJECT ALLOC SUITE SCENARIOS LIBRARY... [-- [--doc=FILE] [NAME...]]

A bug is a patch against alloc/, NAME.patch; order_*.patch weaken a memory order. Of each, the files
that it changes (or that include a header which it changes) are compiled, and stand before the
others when the search is linked. Bugs of memory orders must be found with --memory=c11, and must
not be found with --memory=sc in as many schedules: a search that accuses whatever it is given would
find them there, too.

Those of not_found.txt need not be found. Without names all are tried, and a table is printed: how
many schedules it took with several seeds, and how small the failures became. --doc writes it to FILE
as doc/planted-bugs.md has it (target planted_bugs).
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
ASKED = WORDS[WORDS.index("--") + 1:] if "--" in WORDS else []
NAMES = [word for word in ASKED if not word.startswith("--")]
DOC = next((word.partition("=")[2] for word in ASKED if word.startswith("--doc=")), None)
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


SMALL = re.compile(r"^small: (\d+) operations, (\d+) preemptions, \d+ runs, ([\d.]+) s", re.M)
FOUND = re.compile(r"found in (\d+) schedules: (\S+), route (\S+), seed (\d+): ([\w-]+): (.*)")


class SearchFailed(Exception):
    """The search itself came to an end that it should not have."""


class Find:
    """One search: schedules until something was found, and what; None where nothing was."""

    def __init__(self, program, *options):
        done = run(program, *options, SUITE, SCENARIOS)
        found = FOUND.match(done.stdout)
        nothing = done.returncode == 0 and done.stdout.startswith("nothing in ")
        if not nothing and not (done.returncode == 1 and found):
            raise SearchFailed(f"{' '.join(options)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        self.schedules = int(found.group(1)) if found else None
        self.scenario, self.route, self.oracle = found.group(2, 3, 5) if found else ("", "", "")
        small = SMALL.search(done.stdout)
        self.small = (int(small.group(1)), int(small.group(2)), float(small.group(3))) if small else None

    def is_small(self):
        return self.small is not None and self.small[0] <= 10 and self.small[1] <= 3


class Bug:
    def __init__(self, folder, name):
        self.name, self.finds, self.wrong = name, [], None
        program, self.wrong = build(folder, name)
        if program is None:
            self.wrong = f"{name}: {self.wrong}"
            return
        memory = ["--memory=c11"] if is_order(name) else []
        try:
            self.finds = [Find(program, *memory, "--shrink", f"--schedules={LIMIT}", f"--seed={seed}")
                          for seed in SEEDS]
        except SearchFailed as failure:
            self.wrong = f"{name}: {failure}"
            return
        if not self.is_found():
            if name not in BEYOND:
                self.wrong = f"{name}: not found in {LIMIT} schedules"
        elif is_order(name):
            control = Find(program, f"--schedules={CONTROL}")
            if control.schedules is not None:
                self.wrong = f"{name}: found without weak memory as well, in {control.scenario}"

    def is_found(self):
        return bool(self.finds) and all(find.schedules is not None for find in self.finds)

    def counts(self):
        return [find.schedules for find in self.finds]

    def median(self):
        return statistics.median(self.counts())

    def smallness(self):
        """Operations/preemptions of each failure."""
        return " ".join(f"{f.small[0]}/{f.small[1]}" if f.small else "-" for f in self.finds)


def summary(bugs):
    """Lines that say what came of it."""
    found = [bug for bug in bugs if bug.is_found() and not bug.wrong]
    finds = [find for bug in bugs for find in bug.finds if find.schedules is not None]
    few = [find for find in finds if find.is_small()]
    seconds = sorted(find.small[2] if find.small else 99 for find in finds)
    orders = sum(is_order(bug.name) for bug in found)
    if found:
        yield (f"{len(found) - orders} bugs and {orders} of memory orders found; median of medians "
               f"{statistics.median(bug.median() for bug in found):.0f} schedules, worst "
               f"{max(max(bug.counts()) for bug in found)}")
    if finds:
        yield (f"{len(finds)} failures, {len(few)} ({100 * len(few) / len(finds):.1f} %) of them made "
               f"smaller to at most 10 operations and 3 preemptions; processor time of the slowest "
               f"{seconds[-1]:.1f} s, of 19 in 20 at most {seconds[len(seconds) * 19 // 20 - 1]:.1f} s")


def noticed():
    """Name to who noticed it, as check_unnoticed.py has found."""
    with open(f"{HERE}/noticed.txt", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(": ", 1) for line in file if not line.startswith("#"))


def write_doc(bugs):
    with open(f"{HERE}/planted-bugs.md.in", encoding="utf-8") as file:
        text = file.read()
    others = noticed()
    rows = []
    for bug in bugs:
        first = next((find for find in bug.finds if find.schedules is not None), None)
        said = others.get(bug.name, "not checked")
        seen = "no" if said.startswith("unnoticed") else said.removeprefix("noticed ").split(":")[0]
        rows.append(f"| {bug.name} | " + (f"{bug.median():.0f} | {max(bug.counts())}" if bug.is_found() else "- | -")
                    + (f" | {first.scenario} | `{first.route}` | {first.oracle}" if first else " |  |  | ")
                    + f" | {bug.smallness()} | {seen} |")
    counted = [bug for bug in bugs if bug.is_found() and not bug.wrong
               and others.get(bug.name, "").startswith("unnoticed")]
    orders = sum(is_order(bug.name) for bug in counted)
    values = {
        "SC": sum(not is_order(bug.name) for bug in bugs), "ORDERS": sum(is_order(bug.name) for bug in bugs),
        "LIMIT": f"{LIMIT:,}", "CONTROL": f"{CONTROL:,}", "SEEDS": len(SEEDS),
        "SUMMARY": "\n".join(f"- {line}." for line in summary(bugs)),
        "BEYOND": ", ".join(f"`{bug.name}`" for bug in bugs if not bug.is_found()) or "none",
        "COUNTED": f"{len(counted) - orders} and {orders} of memory orders",
        "NOTICED": ", ".join(f"`{bug.name}`" for bug in bugs if others.get(bug.name, "").startswith("noticed")) or "none",
        "UNCHECKED": sum(bug.name not in others for bug in bugs), "ROWS": "\n".join(rows)}
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    with open(DOC, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    if os.environ.get("HAK_SANITIZE"):
        print("skipped: the bugs are looked for in the release build")
        return 77
    names = NAMES or sorted(f[:-6] for f in os.listdir(HERE) if f.endswith(".patch"))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        folder = os.path.abspath(folder)
        with ThreadPoolExecutor(1 if NAMES else 2) as pool:
            bugs = list(pool.map(lambda name: Bug(folder, name), names))
    print(f"{'bug':<40} {'median':>9} {'worst':>9}  {'oracle':<14} {'scenario':<16} smaller")
    for bug in bugs:
        counts = (f"{bug.median():>9.0f} {max(bug.counts()):>9}" if bug.is_found() else f"{'-':>9} {'-':>9}")
        first = next((find for find in bug.finds if find.schedules is not None), None)
        print(f"{bug.name:<40} {counts}  {first.oracle if first else '':<14} "
              f"{first.scenario if first else '':<16} {bug.smallness()}")
    print("\n".join(summary(bugs)))
    if DOC:
        write_doc(bugs)
    failures = [bug.wrong for bug in bugs if bug.wrong]
    print("\n".join(failures))
    return 1 if failures else 0


sys.exit(main())
