"""The report as one HTML page without a reference to anything outside it: CSS and SVG are inline,
both themes follow the reader's system, and a phone gets pictures drawn for its width."""
from collections import namedtuple
from html import escape

import figure_style as style
from reports import Measured
from results import VERSION
from table import measured_table, sections, warnings
from wording import count, listing, plural

WIDE, NARROW = 900, 358  # widths of the pictures, in CSS pixels

DEFINITIONS = (
    ("Page", "The unit in which the allocator takes memory for blocks of one size class."),
    ("Held, H", "Pages mapped and not given back, in whatever state; empty pages kept for later are counted."),
    ("Fewest, F", "For each size class the live blocks divided by the blocks of a page, rounded up; summed. No policy can hold fewer with these classes."),
    ("Live bytes / page size, B", "What the program asked for and still has, in pages; it shows the cost of the size classes."),
    ("C", "One page for each thread and size class in use: what pages that belong to threads may cost beyond F."),
    ("State of a page", "Each page held is in one, the first of these that fits. Large: part of a large block. Empty, cached: no live block, "
     "kept for later, by whomever. Orphan: its owner has exited. Active: the page from which its owner allocates its class. "
     "Pending: frees wait on its remote list, whether the owner has been told (the page is marked, or queued) or not. "
     "Partial: has room, on its owner's list. Full: the rest."),
    ("Stranded", "A page of a size class that still has an owner on record and has free blocks that the next allocation of the class would not find by itself. "
     "Another question than the state: an empty, partial or pending page may be stranded or not, and has one cause at most."),
    ("Stranded: owner exited", "Its owner has ended, cached empty pages of that owner included; on routes that look for orphans, marked pages are not counted, as the next slow path finds them."),
    ("Stranded: owner idle", "Active, partial or marked, but its living owner has taken no slow path for the route's idle_ns."),
    ("Stranded: pending undrained", "Marked for its owner, which is not idle but has not drained it yet. The state pending also counts pages that are not marked."),
    ("Stranded: below threshold", "Frees wait in it, fewer than the route's notify, so that the owner has not been told."),
    ("Stranded: full and forgotten", "Once full, so on no list; has room again, and nothing tells its owner."),
    ("Own full page", "A remote free by the page's own owner: a full page is on no list of its owner, and even its frees go the remote way. A program of one thread shows these too."),
    ("New, large blocks' pages", "New pages are those of size classes; pages that large blocks took are counted apart."),
    ("Measured, sampled, modelled", "Counted on the allocator's code under the order named; under one of many interleavings; dependent on a cost model."),
    ("Digest", "A hash over every operation, its result and all counters. Equal digests: the same run, bit for bit."),
)

CSS = """
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:964px;margin:0 auto;padding:40px 32px 64px}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .4rem;letter-spacing:-.01em}
h2{font-size:1.2rem;line-height:1.3;margin:3rem 0 .3rem}
h3{font-size:1rem;margin:1.1rem 0 .15rem}
p{margin:.2rem 0 .6rem;max-width:44rem}
nav{margin:1.6rem 0 0;font-size:.9rem}
nav ul{margin:0;padding:0;list-style:none;columns:2;column-gap:2rem}
nav li{margin:0;padding:.15rem 0;break-inside:avoid}
a{color:var(--blue);text-underline-offset:.15em}
.muted,figcaption{color:var(--muted);font-size:.9rem}
.verdict{background:var(--shade);border-left:3px solid var(--blue);padding:.5rem 1.3rem .8rem;margin:1.6rem 0 0;max-width:50rem}
.broken{border-left-color:var(--red)}
figure{margin:0}
figcaption{max-width:44rem;margin:0 0 .9rem}
svg{display:block;width:100%;height:auto;overflow:visible}
svg.narrow{display:none}
.scroll{overflow-x:auto;margin-top:.9rem}
table{border-collapse:separate;border-spacing:0;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.28rem .55rem;text-align:right;white-space:nowrap;vertical-align:top}
th:first-child{text-align:left;padding-left:0;font-weight:400;position:sticky;left:0;background:var(--paper)}
td.digest{font:.78em/1.9 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
thead th{border-bottom:1px solid var(--muted);font-weight:600}
tbody th[scope=rowgroup]{font-weight:600;padding-top:1rem}
tbody tr+tr:not(.head) td,tbody tr+tr:not(.head) th{border-top:1px solid var(--rule)}
dl{margin:.8rem 0 0;display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.4rem;font-size:.95rem}
dt{font-weight:600}
dd{margin:0;color:var(--muted)}
code{font:.86em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
li{margin:.5rem 0}
footer{margin-top:3.5rem;border-top:1px solid var(--rule);padding-top:.8rem}
@media (max-width:720px){
main{padding:24px 16px 48px}
h1{font-size:1.45rem}
.verdict{margin-left:-16px;margin-right:-16px;padding:.4rem 16px .7rem}
svg.wide{display:none}
svg.narrow{display:block}
nav ul{columns:1}
th:first-child{white-space:normal;min-width:6.5rem;max-width:6.5rem}
th[scope=rowgroup]:first-child{white-space:nowrap;max-width:none}
dl{display:block}
dd{margin-bottom:.6rem}
}
@media print{svg.wide{display:block}svg.narrow{display:none}}
"""


Drawn = namedtuple("Drawn", "figure wide narrow")  # the figure, and its <svg> elements for both widths


def render(runs, reports, title, subtitle, verdict, drawn):
    """The whole page; `drawn` are the figures in reading order."""
    theme = (f":root{{color-scheme:light dark;{style.css_variables(style.LIGHT)}}}"
             f"@media (prefers-color-scheme:dark){{:root{{{style.css_variables(style.DARK)}}}}}")
    parts = [
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{theme}{CSS}</style></head><body><main>",
        f'<h1>{escape(title)}</h1><p class="muted">{escape(subtitle)}</p>',
        _verdict(verdict),
        _contents(drawn, runs),
        *(_figure(each) for each in drawn),
        *(['<h2 id="table">All numbers</h2>', _table(runs)] if runs else []),
        *(_measured(report) for report in reports if isinstance(report, Measured)),
        _violations(runs),
        *(['<h2 id="words">The words</h2><dl>', *(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in DEFINITIONS), "</dl>"] if runs else []),
        '<h2 id="runs">Where the numbers come from</h2><ul>', *(f"<li>{_origin(run, runs)}</li>" for run in runs), *(f"<li>{_report_origin(report)}</li>" for report in reports), "</ul>",
        f'<footer class="muted">hak {VERSION}, reuse_report.py</footer>', "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _verdict(verdict):
    if not verdict:
        return ""
    broken = " broken" if verdict[0].title == "Rules broken" else ""
    texts = "".join(f"<h3>{escape(part.title)}</h3><p>{escape(' '.join(part.sentences))}</p>" for part in verdict)
    return f'<section class="verdict{broken}" aria-label="Verdict">{texts}</section>'


def _contents(drawn, runs):
    links = [(each.figure.name, each.figure.title) for each in drawn] + ([("table", "All numbers"), ("words", "The words")] if runs else [])
    return '<nav aria-label="Contents"><ul>' + "".join(f'<li><a href="#{escape(name)}">{escape(title)}</a></li>' for name, title in links) + "</ul></nav>"


def _figure(drawn):
    title, name = escape(drawn.figure.title), escape(drawn.figure.name)
    pictures = "".join(element.replace("<svg", f'<svg class="{kind}" role="img" aria-label="{title}"', 1)
                       for kind, element in (("wide", style.svg_with_variables(drawn.wide)), ("narrow", style.svg_with_variables(drawn.narrow))))
    return f'<h2 id="{name}">{title}</h2><figure><figcaption>{escape(drawn.figure.caption)}</figcaption>{pictures}</figure>'


def _table(runs):
    head = "".join(f'<th scope="col">{escape(run.label)}</th>' for run in runs)
    rows = []
    for section in sections(runs):
        rows.append(f'<tr class="head"><th scope="rowgroup" colspan="{len(runs) + 1}">{escape(section.title)}</th></tr>')
        rows += [_table_row(row) for row in section.rows]
    warned = "".join(f"<p>{escape(text)}</p>" for text in warnings(runs))
    return f'{warned}<div class="scroll" tabindex="0"><table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _table_row(row):
    kind = ' class="digest"' if row.name == "digest" else ""
    return f'<tr><th scope="row">{escape(row.name)}</th>{"".join(f"<td{kind}>{escape(value)}</td>" for value in row.values)}</tr>'


def _measured(report):
    head, lines = measured_table(report)
    rows = "".join(f'<tr><th scope="row">{escape(line[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in line[1:]) + "</tr>" for line in lines)
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    said = "".join(f"<li>{escape(str(text))}</li>" for text in report.document.get("verdicts") or [])
    return (f'<h2>Allocators on real threads: {escape(report.name)}</h2><div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'
            + (f"<p>What the intervals allow to be said:</p><ul>{said}</ul>" if said else ""))


def _report_origin(report):
    document = report.document
    return "; ".join([f"<strong>{escape(report.name)}</strong>: <code>{escape(report.path)}</code>", f"{escape(str(document.get('tool', 'unknown tool')))} ({escape(report.schema)})",
                      f"sources {escape(report.commit)}"])


def _violations(runs):
    items = [f"<li>{escape(run.label)}, step {escape(str(violation.get('step', '?')))}, {escape(str(violation.get('oracle', '?')))}: "
             f"{escape(str(violation.get('text', '')))}</li>" for run in runs for violation in run.violations]
    return f"<h2>Rules broken</h2><ul>{''.join(items)}</ul>" if items else ""


def _origin(run, runs):
    """Where a run comes from, and the switches in which it differs from the others."""
    document = run.document
    facts = [f"<strong>{escape(run.label)}</strong>: <code>{escape(run.path)}</code>",
             f"{escape(document['tool'])}, sources {escape(run.commit)}",
             f"{escape(run.world)} world, {escape(run.geometry)} geometry, memory {escape(run.memory)}"]
    if run.trace:
        trace = run.trace
        facts.append(f"trace {escape(trace['path'])} <code>{escape(trace['hash'])}</code>: {count(trace['events'])} events, "
                     f"{plural(trace['threads'], 'thread')}")
    for key in ("workload", "machine"):
        if document.get(key):
            facts.append(f"{key} " + escape(listing(f"{name} {value}" for name, value in document[key].items())))
    differing = [name for name in run.switches if len({str(other.switches.get(name)) for other in runs}) > 1]
    if differing:
        facts.append("switches " + ", ".join(f"<code>{escape(name)}={escape(str(run.switches[name]))}</code>" for name in differing))
    return "; ".join(facts)
