#!/usr/bin/env python3
"""A sweep of haksim on several machines: hands the points of a grid to the workers of a Dask scheduler.

    sweep_dask.py GRID (--scheduler=tcp://HOST:PORT | --scheduler-file=FILE) [-o FILE]

Each task is `haksim sweep GRID --points=A-B` on a worker, which needs that program, of the same sources,
under the same path (--haksim). What comes back goes into FILE.part, as with a local sweep, in whatever
order it comes; at the end `haksim sweep GRID` makes FILE of it, with the same bytes as a local sweep. A
worker that dies loses nothing: Dask gives its tasks to others. Begun again, it goes on where it was.

Exit status: as haksim sweep; 2 if there is no scheduler or Dask.
"""
import argparse
import os
import subprocess
import sys
import time


def run_points(haksim, grid_text, first, last):
    """On a worker: the part's lines of these points, the head line included."""
    import subprocess  # a function that travels brings its own
    import tempfile
    with tempfile.NamedTemporaryFile(suffix=".json") as grid:
        grid.write(grid_text)
        grid.flush()
        done = subprocess.run([haksim, "sweep", grid.name, f"--points={first}-{last}", "--jobs=1"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr.strip()


def missing_ranges(count, done, chunk):
    """Ranges of at most `chunk` points, none of which has been run."""
    first = None
    for point in range(count + 1):
        open_point = point < count and point not in done
        if first is not None and (not open_point or point - first == chunk):
            yield first, point - 1
            first = None
        if open_point and first is None:
            first = point


class Part:
    """FILE.part: a head line, then a line per point. Only whole lines count."""

    def __init__(self, path):
        self.path = path
        self.head = None
        self.points = set()
        lines = []
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                lines = file.read().split("\n")[:-1]
        if lines:
            self.head = lines[0]
            self.points = {int(line.split(" ", 1)[0]) for line in lines[1:]}
            with open(path, "w", encoding="ascii") as file:
                file.writelines(line + "\n" for line in lines)

    def add(self, text):
        """A worker's output. False: it is of other sources than what is here already."""
        lines = text.splitlines()
        if self.head is not None and lines[0] != self.head:
            return False
        with open(self.path, "a", encoding="ascii") as file:
            if self.head is None:
                file.write(lines[0] + "\n")
            file.writelines(line + "\n" for line in lines[1:])
        self.head = lines[0]
        self.points |= {int(line.split(" ", 1)[0]) for line in lines[1:]}
        return True


def fail(text):
    print(f"sweep_dask: {text}", file=sys.stderr)
    return 2


def show(done, count, began):
    if sys.stderr.isatty():
        rate = done / max(time.monotonic() - began, 1e-9)
        print(f"\r{done} of {count} points, {rate:.1f}/s, {(count - done) / max(rate, 1e-9):.0f} s to go  ",
              end="" if done < count else "\n", file=sys.stderr, flush=True)


def collect(client, options, grid_text, count, part):
    """Runs what is missing. 0, or the status of the first task that failed."""
    from distributed import as_completed
    ranges = list(missing_ranges(count, part.points, options.chunk))
    tasks = as_completed([client.submit(run_points, options.haksim, grid_text, first, last, pure=False, retries=3)
                          for first, last in ranges])
    began, before = time.monotonic(), len(part.points)
    for task in tasks:
        status, lines, error = task.result()
        if status != 0:
            print(error, file=sys.stderr)
            return status
        if not part.add(lines):
            return fail(f"{part.path}: a worker has another grid or version of MF2; expected '{part.head}'")
        show(len(part.points) - before, count - before, began)
    return 0


def parse(arguments):
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], prog="sweep_dask.py")
    parser.add_argument("grid")
    parser.add_argument("--scheduler", help="its address")
    parser.add_argument("--scheduler-file", help="the file that it has written")
    parser.add_argument("--haksim", default=os.path.join(here, "..", "build", "release", "bin", "haksim"),
                        help="the program, on every worker (that of this tree)")
    parser.add_argument("--chunk", type=int, default=16, help="points in a task (16)")
    parser.add_argument("-o", "--output", default="sweep.sim.json")
    options = parser.parse_args(arguments)
    options.haksim = os.path.abspath(options.haksim)
    return options


def main(arguments):
    options = parse(arguments)
    if not options.scheduler and not options.scheduler_file:
        return fail("expected --scheduler or --scheduler-file")
    try:
        from distributed import Client
    except ImportError:
        return fail("needs Dask: apt-get install python3-distributed")
    counted = subprocess.run([options.haksim, "sweep", options.grid, "--count"], capture_output=True, text=True)
    if counted.returncode != 0:
        print(counted.stderr.strip(), file=sys.stderr)
        return counted.returncode
    with open(options.grid, "rb") as file:
        grid_text = file.read()
    try:
        client = Client(address=options.scheduler, scheduler_file=options.scheduler_file, timeout="30s")
    except (OSError, ValueError) as error:
        return fail(f"no scheduler: {error}")
    with client:
        status = collect(client, options, grid_text, int(counted.stdout), Part(options.output + ".part"))
    if status != 0:
        return status
    return subprocess.run([options.haksim, "sweep", options.grid, "-o", options.output], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
