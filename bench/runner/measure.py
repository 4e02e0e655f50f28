"""Runs rows: allocators interleaved, in an order that rotates, more often where two are close.

Owns: the plan of repetitions and what one row's result is. A result is, per allocator, either a
summary of each figure or its failure.
"""
from process import RowFailure, run_row
from programs import run_program
from statistics_of_rows import overlap, summary

MORE = 11
CLOSE = 0.10


class Plan:
    def __init__(self, hakbench, allocators, repetitions, options, huge_pages, say):
        self.hakbench, self.allocators, self.repetitions = hakbench, allocators, repetitions
        self.options, self.huge_pages, self.say = options, huge_pages, say


def _once(plan, allocator, row, mode, runs, failures, extra=()):
    if allocator.name in failures:
        return
    try:
        if mode == "programs":
            run = run_program(allocator, row, plan.huge_pages)
        else:
            run = run_row(plan.hakbench, allocator, row, [f"--mode={mode}", *plan.options, *extra],
                          plan.huge_pages)
        runs[allocator.name].append(run)
    except RowFailure as failure:
        failures[allocator.name] = str(failure)


def _rotated(allocators, by):
    by %= len(allocators)
    return allocators[by:] + allocators[:by]


def _figures(mode, runs, empty):
    if mode == "programs":
        return {"operations_per_second": summary([1 / r["seconds"] for r in runs]),
                **{key: summary([r[key] for r in runs])
                   for key in ("seconds", "cpu_seconds", "peak_rss_bytes")},
                "checksum": runs[0]["checksum"]}
    if mode == "speed":
        return {"operations_per_second": summary([r["operations"] / r["seconds"] for r in runs])}
    figures = {"ratio": summary([(r["peak_rss_bytes"] - empty) / r["peak_live_bytes"] for r in runs]),
               "idle": summary([idle_share(r, empty) for r in runs])}
    figures["peak_live_bytes"] = max(r["peak_live_bytes"] for r in runs)
    figures["empty_rss_bytes"] = empty
    figures["checksum"] = runs[0]["checksum"]
    return figures


def idle_share(run, empty):
    """(RSS − live) ÷ (peak − live) of requested bytes, a second after nearly all was freed."""
    live = run["idle_live_bytes"]
    return (run["idle_rss_bytes"] - empty - live) / (run["peak_live_bytes"] - live)


def _close(results, mode, chosen):
    """Names whose figure's interval overlaps that of `chosen`, with medians within 10 %."""
    key = "ratio" if mode == "memory" else "operations_per_second"
    if chosen not in results or "failure" in results[chosen]:
        return []
    one = results[chosen][key]
    return [name for name, result in results.items()
            if name != chosen and "failure" not in result and overlap(one, result[key])
            and abs(result[key]["median"] / one["median"] - 1) <= CLOSE]


def _results(mode, plan, runs, failures, empty):
    results = {}
    for allocator in plan.allocators:
        name = allocator.name
        results[name] = ({"failure": failures[name]} if name in failures
                         else {**_figures(mode, runs[name], empty.get(name, 0)), "runs": runs[name]})
    return results


def _empty_rss(plan, row):
    runs, failures = {a.name: [] for a in plan.allocators}, {}
    for allocator in plan.allocators:
        _once(plan, allocator, row, "memory", runs, failures, ("--empty",))
    return {name: done[0]["peak_rss_bytes"] for name, done in runs.items() if done}


def _check_sums(results):
    """The same work under every allocator: another sum is a failure."""
    sums = [r["checksum"] for r in results.values() if "checksum" in r]
    for name, result in list(results.items()):
        if "checksum" in result and sums.count(result["checksum"]) * 2 < len(sums):
            results[name] = {"failure": "its blocks' content differs from the others'"}


def measure_row(plan, row, mode):
    runs, failures = {a.name: [] for a in plan.allocators}, {}
    empty = _empty_rss(plan, row) if mode == "memory" else {}
    for repetition in range(plan.repetitions):
        for allocator in _rotated(plan.allocators, repetition):
            _once(plan, allocator, row, mode, runs, failures)
    results = _results(mode, plan, runs, failures, empty)
    close = set(_close(results, mode, "mf2"))
    if close and 6 <= plan.repetitions < MORE:
        again = [a for a in plan.allocators if a.name in close | {"mf2"}]
        plan.say(f"{row}: close, so {MORE} repetitions of {', '.join(a.name for a in again)}")
        for repetition in range(plan.repetitions, MORE):
            for allocator in _rotated(again, repetition):
                _once(plan, allocator, row, mode, runs, failures)
        results = _results(mode, plan, runs, failures, empty)
    if mode != "speed":
        _check_sums(results)
    return {"row": row, "mode": mode, "results": results}
