"""One run of one row under one allocator: a process, its huge pages, its failure.

Owns: starting hakbench and reading what it prints. A failure is a result: a row in which an
allocator crashes, hangs or loses data is shown as that.
"""
import ctypes
import json
import signal
import subprocess

PR_SET_THP_DISABLE = 41
# Nothing is judged by this; it only ends what hangs.
HANG_SECONDS = 180


class RowFailure(Exception):
    pass


def without_huge_pages():
    """For the child, before it becomes hakbench: kept over exec."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_THP_DISABLE)")


def _reason(done):
    if done.returncode < 0:
        return signal.Signals(-done.returncode).name
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def run_row(hakbench, allocator, row, options, huge_pages):
    """The object that hakbench prints; RowFailure with the reason."""
    try:
        done = subprocess.run([hakbench, row, *options], env=allocator.environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=HANG_SECONDS, errors="replace",
                              preexec_fn=None if huge_pages else without_huge_pages)
    except subprocess.TimeoutExpired:
        raise RowFailure(f"hangs (no end within {HANG_SECONDS} s)") from None
    if done.returncode != 0:
        raise RowFailure(_reason(done))
    if "cannot be preloaded" in done.stderr:
        raise RowFailure("the library cannot be preloaded")
    return json.loads(done.stdout)
