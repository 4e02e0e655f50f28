"""Makes result documents that follow doc/results.md, for the tests of analysis/: every number is
invented here, and the facts that the schema states twice agree."""
import json
import random

from results import CAUSES, OWNER_STATES, PAGE_STATES, TIMELINE_COLUMNS

TRACE = {"path": "larson.trace.zst", "hash": "00112233445566aa", "program": "larson", "events": 4_000_000, "objects": 2_000_000,
         "threads": 9, "lost": 0, "complete": True, "tick_ns": 100}


def run(route="s2", rows=200, peak=10_000, surplus=0.3, seed=1, certainty="measured", **changes):
    """A hak.run. `surplus`: share of the pages held beyond the fewest; `changes`: keys to replace."""
    chance = random.Random(f"{route} {rows} {peak} {seed}")
    lines = [_line(chance, number, rows, peak, surplus) for number in range(rows)]
    columns = {name: [line[place] for line in lines] for place, name in enumerate(TIMELINE_COLUMNS)}
    held_max = max(columns["held_max"], default=0)
    fewest_max = max(columns["fewest"], default=0)
    worst = max(range(rows), key=lambda at: sum(columns["stranded_" + cause][at] for cause in CAUSES), default=None)
    stranded = {cause: columns["stranded_" + cause][worst] if rows else 0 for cause in CAUSES}
    last = {name: values[-1] if values else 0 for name, values in columns.items()}
    new, reused = last["new_pages"], last["page_reuses"]
    document = {
        "schema": "hak.run", "version": 1, "tool": "hakreplay", "tool_version": "0.1.0", "commit": "0123456789ab",
        "world": "simulated" if certainty == "modelled" else "controlled", "certainty": certainty, "trace": dict(TRACE),
        "workload": None, "machine": None, "order": "strict", "strategy": "recorded", "seed": seed, "memory": "sc",
        "geometry": "default", "route": route, "switches": {"drain": "owner", "orphans": "strand", "threshold": len(route)},
        "digest": f"{chance.getrandbits(64):016x}", "steps": last["step"], "points": last["step"] * 7, "time_ns": last["time_ns"],
        "counters": {}, "threads": [], "classes": [],
        "measures": {
            "held_max": held_max, "fewest_max": fewest_max, "held_over_fewest": _over(held_max, fewest_max),
            "held_mean": _over(sum(columns["held"]), rows), "fewest_mean": _over(sum(columns["fewest"]), rows),
            "constant_pages": 40, "live_bytes_max": max(columns["live_bytes"], default=0),
            "live_pages_max": max(columns["live_bytes"], default=0) / 65536, "new_pages": new,
            "recycled_pages": last["recycled_pages"], "page_reuses": reused, "reuse_over_new": _over(reused, new),
            "reuse_share": _over(reused, reused + new), "new_pages_per_million": _over(new * 1e6, last["step"]),
            "owner_changes_per_page": 0.0},
        "remote_frees": dict(zip(OWNER_STATES, (chance.randrange(peak * 9) for _ in OWNER_STATES))) if peak else dict.fromkeys(OWNER_STATES, 0),
        "stranded": dict(stranded, total=sum(stranded.values()), at_step=columns["step"][worst] if rows else 0),
        "timeline": {"columns": list(TIMELINE_COLUMNS), "rows": lines}, "violations": [], "unreliable": {},
    }
    document.update(changes)
    return document


def _over(above, below):
    return above / below if below else None


def _line(chance, number, rows, peak, surplus):
    """One row of the timeline: growth to a plateau, then a slow fall of what is live."""
    done = (number + 1) / rows
    fewest = int(peak * min(1, done * 4) * (1 if done < 0.7 else 1 - (done - 0.7)) * (1 + chance.uniform(-.03, 0)))
    beyond = int(peak * surplus * min(1, done * 1.6))
    state = dict.fromkeys(PAGE_STATES, 0)
    state.update(active=min(fewest, 40), full=int(fewest * .8), orphan=int(beyond * .4), pending=int(beyond * .35))
    state["empty"] = beyond - state["orphan"] - state["pending"]
    state["partial"] = fewest - state["active"] - state["full"] if fewest > 200 else max(0, fewest - state["active"] - state["full"])
    held = sum(state.values())
    stranded = (state["orphan"], int(state["pending"] * .5), 0, int(state["pending"] * .2), int(state["pending"] * .1))
    line = dict(state, step=(number + 1) * 5000, time_ns=(number + 1) * 2_000_000, held=held, held_max=held + chance.randrange(1 + peak // 50),
                fewest=fewest, live_bytes=int(fewest * 65536 * .86), new_pages=int(peak * (1 + surplus) * done), recycled_pages=int(peak * 3 * done),
                page_reuses=int(peak * 5 * done * (1 - surplus / 2)), **{"stranded_" + cause: value for cause, value in zip(CAUSES, stranded)})
    return [line[name] for name in TIMELINE_COLUMNS]


def runs(*documents):
    """The documents as one hak.runs."""
    return {"schema": "hak.runs", "version": 1, "tool": "hakreplay", "tool_version": "0.1.0", "commit": "0123456789ab",
            "trace": dict(TRACE), "runs": list(documents)}


def save(path, document):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    return path
