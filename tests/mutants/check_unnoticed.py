"""Which planted bugs do other tests notice? Those do not count as found by exploring.

    check_unnoticed.py BUILD [--stress=SECONDS] [--results=FILE] [NAME...]

BUILD is a release build with its tests built. Around each bug: the unit tests of alloc/ (real
threads, and the controlled world without exploring), the strict replay of the whole corpus under
every route with stamps, and alloc_stress on real threads for so many seconds (default 60), its
routes in turn. Prints one line a bug: "unnoticed", or who noticed it. With --results the lines go to
the end of FILE as well, and bugs that have one there are left out: it may be stopped and begun again.
Exit status 1 if any was noticed.
"""

import glob
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OPTIONS = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--"))
BUILD, *NAMES = [word for word in sys.argv[1:] if not word.startswith("--")]
STRESS_SECONDS = float(OPTIONS.get("stress", "60"))
RESULTS = OPTIONS.get("results")
CC = "cc"
CHECK_LIBRARIES = "-lcheck -lsubunit -lrt -lm -lpthread".split()
FLAGS = "-std=c11 -O3 -DNDEBUG -w -D_GNU_SOURCE -fPIC -fno-strict-aliasing -fno-omit-frame-pointer".split()
REAL_TESTS = ["alloc_route", "alloc_geometry", "alloc_order"]
VIRTUAL_TESTS = ["alloc_switches", "alloc_races"]
STRESS_ROUTES = ("cda cda-claim cda-t2 cda-t4 cda-reenqueue s1 s2 s3 p home best best,empty=unmap "
                 "best,front=0,depot=0 s2,orphans=adopt s2,protocol=word,empty=recycle "
                 "p,orphans=reclaim,empty=recycle home,drain=anyone").split()


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def check(*command):
    done = run(*command)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")


def objects_of(target, folder="alloc"):
    return sorted(glob.glob(f"{BUILD}/{folder}/CMakeFiles/{target}.dir/**/*.o", recursive=True))


def changed_files(tree, patch):
    with open(patch, encoding="utf-8") as file:
        changed = re.findall(r"^\+\+\+ b/alloc/(\S+)", file.read(), re.M)
    headers = [f'"{name}"' for name in changed if name.endswith(".h")]
    seen = {name for name in changed if name.endswith(".c")}
    for path in glob.glob(f"{tree}/*.c"):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if any(header in text for header in headers):
            seen.add(os.path.basename(path))
    skipped = {"entry.c", "entry_cxx.c", "entry_report.c", "platform_process.c"}
    return sorted(seen - skipped)


def build(folder, name):
    tree = f"{folder}/alloc"
    os.makedirs(tree)
    for path in glob.glob(f"{ROOT}/alloc/*.[ch]"):
        with open(path, "rb") as old, open(f"{tree}/{os.path.basename(path)}", "wb") as new:
            new.write(old.read())
    check("patch", "-p1", "-F1", "--batch", "--forward", "-s", "-d", folder, "-i", f"{HERE}/{name}.patch")
    files = changed_files(tree, f"{HERE}/{name}.patch")
    for world, flags in [("real", []), ("virtual", ["-DMF2_VIRTUAL"])]:
        for file in files:
            check(CC, *FLAGS, *flags, f"-I{tree}", "-include", f"{HERE}/weaker_orders.h", "-c",
                  f"{tree}/{file}", "-o", f"{folder}/{world}_{file}.o")
    real = [f"{folder}/real_{file}.o" for file in files] + [
        path for path in objects_of("mf2_real") if os.path.basename(path)[:-2] not in files]
    virtual = [f"{folder}/virtual_{file}.o" for file in files]
    lib = f"{BUILD}/lib"
    for test in REAL_TESTS + ["alloc_stress"]:
        check(CC, "-o", f"{folder}/{test}", *objects_of(test, "tests/alloc"), *real, *CHECK_LIBRARIES)
    for test in VIRTUAL_TESTS:
        check(CC, "-o", f"{folder}/{test}", *objects_of(test, "tests/alloc"), *virtual,
              f"{BUILD}/tests/lib/libworld_test.a", f"{lib}/libhak_machine.a", "-lxxhash", *CHECK_LIBRARIES)
    check(CC, "-o", f"{folder}/hakreplay", f"{BUILD}/replayer/CMakeFiles/hakreplay.dir/hakreplay.c.o", *virtual,
          f"{lib}/libhak_replayer.a", f"{lib}/libhak_program.a", f"{lib}/libhaktrace.a",
          f"{lib}/libhak_machine.a", "-ljansson", "-lxxhash", "-lzstd", "-lm")


def stress(folder):
    """The route under which it fails; None."""
    end, i = time.monotonic() + STRESS_SECONDS, 0
    while time.monotonic() < end:
        route = STRESS_ROUTES[i % len(STRESS_ROUTES)]
        for geometry in ["default", "seed"]:
            done = subprocess.run([f"{folder}/alloc_stress", "--operations=100000", "--threads=4",
                                   "--rounds=3", f"--seed={i}"], capture_output=True,
                                  env={**os.environ, "MF2_ROUTE": route, "MF2_GEOMETRY": geometry},
                                  timeout=300)
            if done.returncode != 0:
                return f"{route}, {geometry}"
        i += 1
    return None


def who_notices(folder, name):
    build(folder, name)
    environment = {**os.environ, "CK_DEFAULT_TIMEOUT": "0"}
    for test in REAL_TESTS + VIRTUAL_TESTS:
        done = run(f"{folder}/{test}", env=environment, cwd=folder)
        if done.returncode != 0:
            return f"noticed by {test}: {done.stdout.strip()[-160:]}"
    for trace in sorted(glob.glob(f"{ROOT}/traces/corpus/*.zst")):
        done = run(f"{folder}/hakreplay", trace, "--route=all", "--stamps", "--quiet", "-o", f"{folder}/out.json")
        if done.returncode != 0:
            return f"noticed by the strict replay of {os.path.basename(trace)}: {done.stderr.strip()[-200:]}"
    try:
        where = stress(folder)
    except subprocess.TimeoutExpired:
        where = "it hung"
    return f"noticed by stress on real threads: {where}" if where else f"unnoticed ({STRESS_SECONDS:.0f} s of stress)"


def results_so_far():
    if not RESULTS or not os.path.exists(RESULTS):
        return {}
    with open(RESULTS, encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(": ", 1) for line in file if not line.startswith("#"))


def main():
    lines = results_so_far()
    for name in NAMES or sorted(f[:-6] for f in os.listdir(HERE) if f.endswith(".patch")):
        if name in lines:
            continue
        with tempfile.TemporaryDirectory() as folder:
            lines[name] = " ".join(who_notices(folder, name).split())[:200]
        print(f"{name}: {lines[name]}", flush=True)
        if RESULTS:
            with open(RESULTS, "a", encoding="utf-8") as file:
                file.write(f"{name}: {lines[name]}\n")
    noticed = sum(not line.startswith("unnoticed") for line in lines.values())
    print(f"{noticed} of {len(lines)} are noticed by other tests")
    return 1 if noticed else 0


sys.exit(main())
