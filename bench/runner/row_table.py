"""The terminal's table: a line per row, a column per allocator, and what follows from all."""
from verdict_of_rows import best_peer, figure, is_tie, share


def _cell(row, name):
    result = row["results"][name]
    if "failure" in result:
        return "FAILED"
    if row["mode"] == "speed":
        return f"{figure(row, name)['median'] / 1e6:.3g}"
    if row["mode"] == "programs":
        return f"{result['seconds']['median']:.2f}/{result['peak_rss_bytes']['median'] / 1e6:.0f}"
    return f"{figure(row, name)['median']:.2f}x/{result['idle']['median']:.2f}"


def _verdict(row):
    part = share(row, "mf2")
    if part is None:
        return "-"
    return f"{part:.2f} of {best_peer(row)}" + (" (tie)" if is_tie(row) else "")


def _grid(header, lines):
    widths = [max(map(len, column)) for column in zip(header, *lines)]
    return "\n".join("  ".join([line[0].ljust(widths[0])]
                               + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])])
                     for line in [header, *lines])


def _mode_table(rows, names, title):
    header = ["row", *names, "mf2 to best peer"]
    lines = [[row["row"], *(_cell(row, name) for name in names), _verdict(row)] for row in rows]
    return f"{title}\n{_grid(header, lines)}"


def _mean(found):
    value = found["geometric_mean"]
    finished = "" if found["rows"] == found["of"] else f" ({found['rows']} of {found['of']} rows)"
    return "-" if value is None else f"{value:.3f}{finished}"


TITLES = {
    "speed": "speed: million operations a second (more is better)",
    "memory": "memory: peak RSS above an empty run ÷ peak requested bytes / share of what was freed "
              "still held a second later (less is better)",
    "programs": "programs: seconds / peak RSS in MB; the share is of speed",
}


def terminal(rows, names, summary):
    parts = []
    for mode, title in TITLES.items():
        chosen = [row for row in rows if row["mode"] == mode]
        if chosen:
            parts.append(_mode_table(chosen, names, title))
            parts.append(f"geometric mean of shares of the best peer, {mode}: "
                         + ", ".join(f"{name} {_mean(summary[mode][name])}" for name in names))
    failures = [f"{row['row']} ({row['mode']}): {name}: {result['failure']}" for row in rows
                for name, result in row["results"].items() if "failure" in result]
    parts += ["failed:\n  " + "\n  ".join(failures)] if failures else []
    if summary["lost"]:
        parts.append("MF2 below .85 of the best peer: " + ", ".join(summary["lost"]))
    if summary["leanest_of_them"]:
        parts.append(f"three fastest peers: {', '.join(summary['three_fastest'])}; "
                     f"the leanest of them: {summary['leanest_of_them']}")
    return "\n\n".join(parts)
