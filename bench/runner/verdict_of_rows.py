"""What the rows say together: shares of the best peer, geometric means, who is lean and fast.

Plain functions of the rows' results; nothing is run or printed here.
"""
from statistics_of_rows import geometric_mean, overlap

LOST_BELOW = 0.85


def figure(row, name):
    result = row["results"].get(name, {})
    return result.get("ratio" if row["mode"] == "memory" else "operations_per_second")


def best_peer(row):
    """Name of the fastest, or leanest, allocator other than MF2; None: all failed."""
    peers = [name for name in row["results"] if name != "mf2" and figure(row, name)]
    pick = min if row["mode"] == "memory" else max
    return pick(peers, key=lambda name: figure(row, name)["median"]) if peers else None


def share(row, name):
    """Of the best peer: speed above 1 is faster, memory below 1 is leaner."""
    best, own = best_peer(row), figure(row, name)
    if best is None or own is None or figure(row, best)["median"] <= 0:
        return None
    return own["median"] / figure(row, best)["median"]


def is_tie(row):
    best = best_peer(row)
    return bool(best and figure(row, "mf2") and overlap(figure(row, "mf2"), figure(row, best)))


def means(rows, names):
    """Per allocator: geometric mean of its shares, over the rows that it finished, and how many."""
    found = {}
    for name in names:
        shares = [s for s in (share(row, name) for row in rows) if s is not None]
        found[name] = {"geometric_mean": geometric_mean(shares), "rows": len(shares),
                       "of": len(rows)}
    return found


def lost(rows):
    """Speed rows in which MF2 stays below .85 of the best peer, or fails."""
    return [row["row"] for row in rows
            if (share(row, "mf2") or 0) < LOST_BELOW and best_peer(row)]


def summary(rows, names):
    speed = [row for row in rows if row["mode"] == "speed"]
    memory = [row for row in rows if row["mode"] == "memory"]
    programs = [row for row in rows if row["mode"] == "programs"]
    speed_means, memory_means = means(speed, names), means(memory, names)
    peers = [n for n in names if n != "mf2" and speed_means[n]["geometric_mean"]]
    fastest = sorted(peers, key=lambda n: -speed_means[n]["geometric_mean"])[:3]
    lean = [n for n in fastest if memory_means[n]["geometric_mean"]]
    return {"speed": speed_means, "memory": memory_means,
            "programs": means(programs, names), "lost": lost(speed),
            "three_fastest": fastest,
            "leanest_of_them": min(lean, key=lambda n: memory_means[n]["geometric_mean"])
                               if lean else None}
