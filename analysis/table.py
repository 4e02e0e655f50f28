"""The comparison as a table: one column per run. Owns which figures are shown and how the terminal
shows them; the page takes the same rows."""
import textwrap
from collections import namedtuple

from results import CAUSES, OWNER_STATES
from wording import CAUSE_NAMES, NOTHING, OWNER_NAMES, count, duration, listing, percent, plural, ratio, size

Section = namedtuple("Section", "title rows")
Row = namedtuple("Row", "name values")  # values: one text per run


def sections(runs):
    """[Section]; every row has exactly one text per run."""
    def row(name, text):
        return Row(name, [text(run) for run in runs])

    def measure(name, key, form=count):
        return row(name, lambda run: form(run.measures[key]))

    return [
        Section("Run", [
            row("subject", lambda run: run.subject_name),
            row("figures are", lambda run: run.certainty),
            row("order", lambda run: run.order),
            row("strategy", lambda run: run.strategy),
            row("seed", lambda run: str(run.seed)),
            row("operations", lambda run: count(run.steps)),
        ]),
        Section("Pages held", [
            measure("max held (H)", "held_max"),
            measure("max fewest (F)", "fewest_max"),
            measure("max H / max F", "held_over_fewest", ratio),
            measure("mean held", "held_mean"),
            measure("mean fewest", "fewest_mean"),
            measure("one per thread, class (C)", "constant_pages"),
            measure("live bytes / page size", "live_pages_max"),
            measure("live bytes, max", "live_bytes_max", size),
        ]),
        Section("Pages by origin", [
            measure("new (without large blocks)", "new_pages"),
            row("large blocks' pages", lambda run: count(run.large_new_pages)),
            measure("recycled", "recycled_pages"),
            measure("reused", "page_reuses"),
            measure("reused / new", "reuse_over_new", percent),
            measure("reused / (reused + new)", "reuse_share", percent),
            measure("new per million allocs", "new_pages_per_million"),
            measure("owner changes per page", "owner_changes_per_page", lambda value: count(value) if value is None else f"{value:.2f}"),
        ]),
        Section("Pages stranded", [
            row("mean over the run", lambda run: count(run.stranded_mean)),
            row("when most were held", lambda run: count(sum(run.stranded_at_peak.values()))),
        ] + [row("  " + CAUSE_NAMES[cause], lambda run, cause=cause: count(run.stranded_at_peak[cause])) for cause in CAUSES] + [
            row("at the worst moment", lambda run: count(run.stranded["total"])),
            row("  which was after", lambda run: percent(run.stranded["at_step"] / run.steps if run.steps and run.stranded["total"] else None)),
        ]),
        Section("Remote frees by owner", [
            row("total", lambda run: count(sum(run.remote_frees[state] for state in OWNER_STATES))),
        ] + [row(OWNER_NAMES[state], lambda run, state=state: count(run.remote_frees[state])) for state in OWNER_STATES]),
        Section("Check", [
            row("violations", lambda run: count(len(run.violations))),
            row("digest", lambda run: run.digest),
        ]),
    ]


def terminal(runs, width):
    """The table as text; runs that do not fit into `width` characters follow in further blocks."""
    whole = sections(runs)
    name_width = max(len(row.name) for section in whole for row in section.rows) + 4
    widths = [max([len(run.label)] + [len(row.values[number]) for section in whole for row in section.rows]) + 2
              for number, run in enumerate(runs)]
    blocks = [_block(whole, runs, chosen, name_width, widths) for chosen in _fitting(widths, width - name_width)]
    return "\n\n".join(blocks + [textwrap.fill(text, max(width, 40)) for text in warnings(runs)])


def _fitting(widths, room):
    """Column numbers in blocks that fit into room; a block has one column at least."""
    blocks, used = [[]], 0
    for number, wide in enumerate(widths):
        if blocks[-1] and used + wide > room:
            blocks.append([])
            used = 0
        blocks[-1].append(number)
        used += wide
    return blocks


def _block(whole, runs, chosen, name_width, widths):
    def line(name, texts):
        return (name.ljust(name_width) + "".join(texts[number].rjust(widths[number]) for number in chosen)).rstrip()

    lines = [line("", [run.label for run in runs]), "─" * (name_width + sum(widths[number] for number in chosen))]
    for section in whole:
        lines.append(section.title)
        lines += [line("  " + row.name, row.values) for row in section.rows]
    return "\n".join(lines)


def warnings(runs):
    """A line for each run whose figures are not those of the program."""
    found = []
    for run in runs:
        reasons = [f"it ended in {run.end}"] if run.end not in ("done", "interrupted") else []  # the verdict names an interruption
        for key, what, then in (("failed_allocations", "allocation", "found no memory"), ("unresolved", "operation", "had no living object")):
            if run.measures[key]:
                reasons.append(f"{plural(run.measures[key], what)} {then}")
        if reasons:
            found.append(f"Warning: {run.label}: {listing(reasons)}; the figures are not the program's.")
    return found


def measured_table(report):
    """(column names, lines) of allocators on real threads: medians, each with half of its interval."""
    columns = (("time", "wall_ns", lambda value: duration(value)), ("processor time", "processor_ns", lambda value: duration(value)),
               ("most resident", "peak_bytes", size), ("at rest", "idle_bytes", size),
               ("malloc 99.9 %", "malloc_ns_p999", lambda value: duration(value)), ("free 99.9 %", "free_ns_p999", lambda value: duration(value)))
    lines = []
    for subject in report.subjects:
        line = [report.label(subject)]
        for _, name, form in columns:
            metric = report.metric(subject, name)
            if not metric:
                line.append(NOTHING)
                continue
            half = (metric["high"] - metric["low"]) / 2 / metric["median"] if metric["median"] else 0
            line.append(form(metric["median"]) + (f" ±{half:.0%}" if metric.get("is_interval", True) and half >= 0.005 else ""))
        lines.append(line)
    return ["allocator"] + [name for name, _, _ in columns], lines


def measured_terminal(report):
    """The same as text."""
    head, lines = measured_table(report)
    widths = [max(len(row[place]) for row in [head] + lines) + 2 for place in range(len(head))]
    text = [f"Allocators on real threads: {report.name}", "─" * sum(widths)]
    return "\n".join(text + ["".join([row[0].ljust(widths[0])] + [cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:])]).rstrip() for row in [head] + lines])


def sites_terminal(figure, width):
    """The rows of figure `sites` (trace_data.py) as text."""
    rows = figure.panels[0].rows
    wide = max(len(row.text) for row in rows)
    return "\n".join([figure.title] + textwrap.wrap(figure.caption, width) + [f"  {row.text.rjust(wide)}  {row.label}" for row in rows])
