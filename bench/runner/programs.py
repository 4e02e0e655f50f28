"""Whole programs under each allocator: wall clock, processor time, peak RSS.

Owns: which programs, and how one is run. Their input is in bench/programs/; a program that is not
installed is left out and named. What it prints must be the same under every allocator.
"""
import hashlib
import os
import resource
import shutil
import subprocess
import tempfile
import time

from process import HANG_SECONDS, RowFailure, without_huge_pages

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs")


def _input(name):
    return os.path.abspath(os.path.join(HERE, name))


# name: command, variables, file on standard input
PROGRAMS = {
    "program-c++": (["g++", "-std=c++17", "-O1", "-c", _input("heavy.cpp"), "-o", "heavy.o"], {}, None),
    "program-python": (["/usr/bin/python3", _input("objects.py")], {"PYTHONMALLOC": "malloc"}, None),
    "program-perl": (["perl", _input("words.pl")], {"PERL_HASH_SEED": "0"}, None),
    "program-sqlite": (["sqlite3", ":memory:"], {}, _input("tables.sql")),
    "program-redis": ([_input("redis.sh")], {}, None),
}


def available():
    """(names, names of those that are not installed)"""
    needs = {"program-redis": "redis-benchmark"}
    found = [name for name, (command, _, _) in PROGRAMS.items()
             if shutil.which(needs.get(name, command[0]))]
    return found, [name for name in PROGRAMS if name not in found]


def _spent():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# A new process per run: its children's peak RSS is then this program's own.
PEAK = ("import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, file=sys.stderr); "
        "sys.exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)")


def run_program(allocator, name, huge_pages):
    command, variables, standard_input = PROGRAMS[name]
    preload = [f"LD_PRELOAD={allocator.path}"] if allocator.path else []
    settings = [f"{key}={value}" for key, value in variables.items()] + preload
    environment = {k: v for k, v in allocator.environment().items() if k != "LD_PRELOAD"}
    with tempfile.TemporaryDirectory() as folder, \
            open(standard_input or os.devnull, "rb") as given:
        before, begin = _spent(), time.monotonic()
        try:
            done = subprocess.run(["/usr/bin/python3", "-c", PEAK, "env", *settings, *command],
                                  cwd=folder, env=environment, stdin=given, capture_output=True,
                                  timeout=HANG_SECONDS,
                                  preexec_fn=None if huge_pages else without_huge_pages)
        except subprocess.TimeoutExpired:
            raise RowFailure(f"hangs (no end within {HANG_SECONDS} s)") from None
        seconds, cpu = time.monotonic() - begin, _spent() - before
    lines = done.stderr.decode(errors="replace").splitlines()
    if done.returncode != 0 or not lines:
        raise RowFailure(lines[0] if len(lines) > 1 else f"exit status {done.returncode}")
    return {"operations": 1, "seconds": seconds, "cpu_seconds": cpu, "peak_rss_bytes": int(lines[-1]),
            "checksum": hashlib.sha256(done.stdout).hexdigest()[:16]}
