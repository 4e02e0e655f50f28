"""Makes results of the other schemas (hak.measure, hak.domino, hak.sweep) for the tests of analysis/:
every number is invented here."""
import results
from made_results import TRACE, save


def metric(median, half=0.05):
    return {"median": median, "low": median * (1 - half), "high": median * (1 + half), "count": 5, "is_interval": True}


def measure(subjects=3, factor=1.0):
    """A hak.measure of `null` and so many allocators."""
    def subject(name, number):
        metrics = {"wall_ns": metric(2e9 * (1 + number) * factor), "processor_ns": metric(4e9), "peak_bytes": metric(2**26 * (1 + number)),
                   "idle_bytes": metric(2**25), "page_faults": metric(1000)}
        metrics |= {f"{call}_ns_{part}": metric(value * (1 + number) * factor) for call in ("malloc", "free")
                    for part, value in (("p50", 20), ("p99", 300), ("p999", 4000), ("mean", 35))}
        rows = [[time * 10**7, 2**20 * (10 + time % 7 + number), 2**20 * (8 if time else 0)] for time in range(1000)]
        return {"name": name, "library": None, "allocator_version": "1", "variable": None, "failure": None, "metrics": metrics,
                "repetitions": [{"malloc_ns_max": 10**6, "free_ns_max": 10**5}], "series": {"columns": ["time_ns", "resident_bytes", "live_bytes"], "rows": rows}}
    return {"schema": "hak.measure", "version": 1, "tool": "hakreplay", "commit": "0123456789ab", "trace": dict(TRACE), "settings": {"calls": 10**7},
            "subjects": [subject("null", 0)] + [subject(name, number) for number, name in enumerate(("mf2", "glibc", "jemalloc")[:subjects])],
            "verdicts": ["mf2 is faster than glibc"]}


def domino(links=5):
    """A hak.domino of two routes, one with a chain of so many links."""
    chain = [{"stolen_page": at, "fresh_page": at + 1, "block_bytes": 64, "victim": 1, "thief": 2, "remote_frees": 1, "freer": 3, "freed_ns": at * 10**6 + 500_000,
              "mapped_ns": at * 10**6, "stolen_ns": at * 10**6 + 700_000, "fresh_ns": (at + 1) * 10**6} for at in range(links)]

    def route(name, links_there):
        return {"route": name, "links": links_there, "chains": 1 if links_there else 0, "longest": links_there, "thefts_running": links_there * 3, "thefts_exited": 0,
                "new_pages": 1000, "recycled_pages": 10, "longest_chains": [{"length": links_there, "links": chain}] if links_there else []}
    return {"schema": "hak.domino", "version": 1, "tool": "haksim", "commit": "0123456789ab", "workload": "adopters", "seed": 1, "geometry": "seed",
            "routes": [route("cda", links), route("s2", 0)]}


def sweep(columns=4, rows=3):
    """A hak.sweep over threads and hand-over share, in one of the forms that the reader takes."""
    cells = [{"route": route, "parameters": {"threads": 2**x, "handed": 10 * y}, "figures": {"held_max": {"mean": 100 + x * (7 if route == "cda" else 3) + y * (1 if route == "cda" else 4),
              "low": 90, "high": 120}, "end_ns": 10**6 * (2 if route == "cda" else 3)}} for x in range(columns) for y in range(rows) for route in ("cda", "best")]
    return {"schema": "hak.sweep", "version": 1, "tool": "haksim", "commit": "0123456789ab", "workload": "pingpong", "cells": cells}


def ablation():
    """A hak.ablation of one workload, two flaws and two figures; one effect is negative, one undecided."""
    def effects(first, second):
        return [{"flaws": ["adoption"], "mean": first, "low": first - .1, "high": first + .1, "share": .5, "undecided": False},
                {"flaws": ["orphans-stranded"], "mean": second, "low": second - .2, "high": second + .2, "share": .4, "undecided": True},
                {"flaws": ["adoption", "orphans-stranded"], "mean": 9, "low": 8, "high": 10, "share": .1, "undecided": False}]
    return {"schema": "hak.ablation", "version": 1, "tool": "haksim", "commit": "0123456789ab", "geometry": "seed", "flaws": ["adoption", "orphans-stranded"],
            "workloads": [{"workload": "stop", "threads": 4, "figures": {"held": {"unit": "pages held / fewest", "scale": "logarithm", "effects": effects(.6931471805599453, -.2)},
                                                                         "changes": {"unit": "owner changes per page", "scale": "plain", "effects": effects(.5, 0)},
                                                                         "lines": {"unit": "modelled cache lines fetched by one operation, and a long name", "scale": "logarithm", "effects": effects(3, -3)},
                                                                         "more": {"unit": "pages", "scale": "logarithm", "effects": effects(0, 0)}}}]}


def reports(*documents):
    """These documents as the report reads them."""
    paths = [save(f"made{number}.sim.json", document) for number, document in enumerate(documents)]
    return results.gather(paths).reports
