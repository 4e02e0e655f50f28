"""agreement.py HAKREPLAY TRACE [PAIRS [OPTION…]]: the same measurement again and again.

Two measurements of the same trace agree where the intervals of a subject's figure overlap. Prints
how many pairs agree for each subject and figure, over measurements next to each other and over those
half the time apart; fails if fewer than 95 in 100 of all do.
"""
import json
import subprocess
import sys

FIGURES = "wall_ns", "processor_ns", "net_wall_ns", "peak_bytes", "idle_bytes", "call_ns_mean"
AGREEMENT_MIN = 0.95


def measure(options):
    done = subprocess.run([sys.argv[1], "measure", sys.argv[2], "--json", "-o", "one.json", *options],
                          capture_output=True, text=True, check=True)
    return {s["name"]: s["metrics"] for s in json.loads(done.stdout)["subjects"]}


def agree(a, b):
    return a["low"] <= b["high"] and b["low"] <= a["high"]


def main():
    pairs = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    runs = [measure(sys.argv[4:]) for _ in range(pairs + 1)]
    together = total = 0
    for name in runs[0]:
        for figure in FIGURES:
            both = [(a[name][figure], b[name][figure]) for a, b in zip(runs, runs[1:])]
            far = list(zip(runs[:pairs // 2], runs[(pairs + 1) // 2:]))
            both = [(a, b) for a, b in both if a and b and a["is_interval"] and b["is_interval"]]
            if not both or name == "null" and figure not in ("wall_ns", "processor_ns"):
                continue
            agreed = sum(agree(a, b) for a, b in both)
            apart = sum(agree(a[name][figure], b[name][figure]) for a, b in far)
            print(f"{name:10} {figure:14} {agreed:4} of {len(both)} agree; {apart} of {len(far)} "
                  "half the time apart", flush=True)
            together += agreed
            total += len(both)
    print(f"all: {together} of {total} agree: {100 * together / total:.1f} %")
    sys.exit(together < AGREEMENT_MIN * total)


main()
