"""The verdict in plain words, computed from the numbers: what holds the pages, which route holds
fewer, what is uncertain. Owns the thresholds at which a difference is worth a sentence.

It claims no more than the results carry: a sampled interleaving is called one sample, a modelled
figure a model's, and runs of different programs or conditions are not ranked.
"""
import math
from collections import namedtuple

from reports import Ablation, Domino, Measured, Sweep
from results import CAUSES, CERTAINTIES
from wording import NOTHING, count, listing, percent, plural, ratio, size, words_of

Paragraph = namedtuple("Paragraph", "title sentences")

CLOSE = 0.10             # of the fewest pages: held so close to them, there is no cause to look for
DIFFERENCE_MIN = 0.01    # of the larger count: closer routes are called equal
CAUSE_SHARE_MIN = 0.10   # of the pages held: a smaller part is not called the cause
LARGE_SHARE_MIN = 0.50   # of the pages held: from here on the routes hardly matter
GEOMETRY_MIN = 1.25      # fewest pages ÷ live bytes in pages: from here on the classes cost something
PAGES_FEW = 64           # below this a difference of a few pages is granularity
NAMED_MAX = 6            # runs are named up to here, then counted
GROUPS_MAX = 3           # more programs or conditions than that are summed up, not told one by one

STRANDED_BECAUSE = dict(zip(CAUSES, (
    "stranded because their owner has exited", "stranded because their owner is idle",
    "full once and then forgotten", "stranded below the notify threshold",
    "stranded with frees that nobody drained")))


def paragraphs(runs, reports=(), sites=()):
    """[Paragraph], in reading order; empty ones are left out. `sites`: figures of trace_data.py."""
    groups = _groups(runs)
    many = len(groups) > GROUPS_MAX
    found = [
        Paragraph("Rules broken", [_violation(run) for run in runs if run.violations][:GROUPS_MAX * 2]),
        Paragraph("What holds the pages", (_holdings_of_many(groups) if many else _holdings(groups)) + _code(sites)),
        Paragraph("Which route holds fewer", (_comparisons_of_many(groups) if many else _comparisons(groups)) if runs else []),
        Paragraph("Which allocator", [sentence for report in reports for sentence in _allocators(report)]),
        Paragraph("Which route where", [sentence for report in reports for sentence in _sweeps(report)]),
        Paragraph("What the flaws cost", [sentence for report in reports for sentence in _flaws(report)]),
        Paragraph("Dominoes", [sentence for report in reports for sentence in _dominoes(report)]),
        Paragraph("What is uncertain", uncertainties(runs, groups) if runs else []),
    ]
    return [paragraph for paragraph in found if paragraph.sentences]


def _code(sites):
    """Which code allocated the blocks that hold stranded pages."""
    text = []
    for figure in sites:
        if figure.kind == "bars":
            rows = figure.panels[0].rows
            total = sum(value for row in rows for _, value in row.segments)
            first = sum(value for _, value in rows[0].segments)
            text.append(f"Of the stranded pages that living blocks hold, {percent(first / total)} are held by blocks from {rows[0].label.split(' ← ')[0]}.")
    return text


def _allocators(report):
    """The verdicts of a measurement; those that show nothing for the same reason are one sentence."""
    text, nothing = [], {}
    for verdict in report.document.get("verdicts") or [] if isinstance(report, Measured) else []:
        figure, found, reason = str(verdict).partition(": no difference shown")
        if found:
            nothing.setdefault(reason.strip(" ."), []).append(figure)
        else:
            text.append(str(verdict).rstrip(".") + ".")
    for reason, figures in nothing.items():
        text.append(f"No difference is shown in {listing(figures)}" + (f" {reason}." if reason else "."))
    return text


def _sweeps(report):
    """Who has the least of the first figure where, and on the whole; and who is fastest."""
    if not isinstance(report, Sweep) or not report.figures:
        return []
    figure, means = report.figures[0], report.means(report.figures[0])
    winners = list(report.winners(figure).values())
    if len(means) < 2 or not winners:
        return []
    won = {route: [undecided for name, undecided in winners if name == route] for route in means}
    ranked = sorted((route for route in won if won[route]), key=lambda route: -len(won[route]))
    places = [f"{route} at {count(len(won[route]))}" + (f" ({count(sum(won[route]))} undecided)" if any(won[route]) else "") for route in ranked[:GROUPS_MAX]]
    text = [f"In the model{f' ({report.name})' if report.document.get('workload') else ''}, of {plural(len(winners), 'point')} of the grid the least {words_of(figure)} is that of {listing(places)}."]
    text.append(f"The mean over the grid: {listing([f'{route} {means[route]:,.3g}' for route in sorted(means, key=means.get)[:NAMED_MAX]])}.")
    times = report.means("time_per_operation_ns")
    if len(times) > 1:
        fastest, least = min(times, key=times.get), min(means, key=means.get)
        text.append(f"The fastest on the mean is {fastest}, {times[fastest]:,.3g} ns per operation" +
                    (f"; {least}, with the least {words_of(figure)}, takes {times[least]:,.3g}." if least in times and least != fastest else "."))
    return text


def _flaws(report):
    """The greatest effect of a single flaw on the first figure of each workload."""
    text = []
    for workload in report.workloads[:GROUPS_MAX * 2] if isinstance(report, Ablation) else []:
        figure = next(iter(workload["figures"].values()), {"effects": []})
        single = [effect for effect in figure["effects"] if len(effect["flaws"]) == 1 and not effect.get("undecided")]
        if not single:
            text.append(f"In the model ({workload['workload']}) no flaw's effect on {figure.get('unit', 'pages')} is decided.")
            continue
        worst = max(single, key=lambda effect: effect["mean"])
        size = percent(math.exp(min(worst["mean"], 50)) - 1) if figure.get("scale") == "logarithm" else f"{worst['mean']:.3g}"
        text.append(f"In the model ({workload['workload']}) the flaw that adds most to {figure['unit']} is {worst['flaws'][0]}: {size}." if worst["mean"] > 0 else
                    f"In the model ({workload['workload']}) no flaw adds to {figure['unit']}.")
    return text


def _dominoes(report):
    if not isinstance(report, Domino):
        return []
    text = []
    worst = max(report.routes, key=lambda route: route["links"])
    fresh = worst["new_pages"] + worst["recycled_pages"]
    if worst["links"]:
        text.append(f"In the model ({report.name}), {count(worst['links'])} of the {count(fresh)} fresh pages of {worst['route']} answer a theft, "
                    f"{percent(worst['links'] / fresh) if fresh else NOTHING} at most; the longest chain has {plural(worst['longest'], 'link')}.")
    without = [route["route"] for route in report.routes if not route["links"]]
    if without:
        text.append(f"No page was stolen from a victim that then took a fresh one under {listing(without)}.")
    return text


def _holdings_of_many(groups):
    """What holds the pages, of more groups than one can read about: how often which answer, and the worst."""
    runs = [run for group in groups for run in group]
    rated = [run for run in runs if run.measures["held_over_fewest"] is not None]
    if not rated:
        return ["No run held a page."]
    ratios = sorted(run.measures["held_over_fewest"] for run in rated)
    worst = max(rated, key=lambda run: run.measures["held_over_fewest"])
    close = sum(value <= 1 + CLOSE for value in ratios)
    text = [f"{plural(len(rated), 'run')} of {plural(len(groups), 'program or condition', 'programs or conditions')} held {ratio(ratios[0])} to {ratio(ratios[-1])} the fewest pages at their peaks, "
            f"half of them {ratio(ratios[len(ratios) // 2])} or less; {count(close)} were within {percent(CLOSE)} of the fewest.",
            "The farthest: " + what_holds(worst)[0]]
    return text + what_holds(worst)[1:]


def _comparisons_of_many(groups):
    """How often each route holds fewest, over the groups in which at least two were played."""
    wins, near, played = {}, {}, {}
    ranked = 0
    for group in groups:
        by_route = {}
        for run in group:
            by_route.setdefault(run.route, []).append(run)
        if len(by_route) < 2:
            continue
        ranked += 1
        means = {route: _mean(some) for route, some in by_route.items()}
        least = min(means.values())
        for route, mean in means.items():
            played[route] = played.get(route, 0) + 1
            wins[route] = wins.get(route, 0) + (mean == least)
            near[route] = near.get(route, 0) + (mean <= least * (1 + DIFFERENCE_MIN))
    if not ranked:
        return ["No two routes were played under the same conditions: nothing is ranked."]
    best = max(near, key=lambda route: (near[route] / played[route], wins[route]))
    text = [f"Of {plural(ranked, 'comparison')} of routes under equal conditions, {best} holds the fewest pages, or within {percent(DIFFERENCE_MIN)} of them, in {count(near[best])} of {count(played[best])}."]
    others = [route for route in sorted(near, key=lambda route: -near[route] / played[route]) if route != best][:2]
    text += [f"{route}: {count(near[route])} of {count(played[route])}." for route in others]
    return text + ["The figure of routes side by side has each of them."]


def _groups(runs):
    """Runs that may be compared, together: same subject, same conditions."""
    groups = {}
    for run in runs:
        groups.setdefault((run.subject, run.conditions), []).append(run)
    return list(groups.values())


def _extremes(group):
    """The runs that hold most and fewest; one run where they agree."""
    most, fewest = max(group, key=_held), min(group, key=_held)
    return [most] if _held(most) == _held(fewest) else [most, fewest]


def _holdings(groups):
    """What holds the pages of each group's extremes, and what the size classes cost; what is true of several runs once."""
    heads_of, prices = {}, []
    for group in groups:
        for run in _extremes(group):
            head, *reasons = what_holds(run)
            heads_of.setdefault(tuple(reasons), []).append(head)
        fewest, live = group[0].measures["fewest_max"], group[0].measures["live_pages_max"]
        if live and fewest >= GEOMETRY_MIN * live:
            prices.append(f"The size classes have a price of their own: even the fewest pages are {ratio(fewest / live)} the live bytes.")
    text = []
    for reasons, heads in heads_of.items():
        text += heads
        text += [f"In each of these, {reason[0].lower()}{reason[1:]}" if len(heads) > 1 else reason for reason in reasons]
    return text + list(dict.fromkeys(prices))


def _held(run):
    return run.measures["held_max"]


def _violation(run):
    first = run.violations[0]
    return (f"{run.label}: {plural(len(run.violations), 'violation')} of the allocator's rules, the first by "
            f"{first.get('oracle', 'an unnamed oracle')} at step {first.get('step', '?')}; its other figures describe a broken run.")


def what_holds(run):
    """Sentences on one run: how far it is from the fewest pages, and what the rest consists of."""
    held, fewest, constant = _held(run), run.measures["fewest_max"], run.measures["constant_pages"]
    if held == 0:
        return [f"{run.label} held no page at all."]
    over = run.measures["held_over_fewest"]
    text = [f"{run.label} held {plural(held, 'page')} at its peak; the live blocks needed at most {count(fewest)}"
            + (f" ({ratio(over)})." if over is not None else ".")]
    if held <= fewest:
        text.append("That is all of it: there is nothing to save.")
    elif held <= fewest + constant:
        text.append(f"The rest is no more than C = {count(constant)}, one page for each thread and class in use, "
                    "which an allocator with pages per thread may cost anyway.")
    elif held - fewest <= CLOSE * fewest:
        text.append(f"That is within {percent(CLOSE)} of the fewest: a policy has little left to save.")
    else:
        text.append(_largest_part(run, held))
    return text


def _largest_part(run, held):
    """What the pages near the peak are, by the timeline row that contains it."""
    peaks = run.timeline["held_max"]
    at = peaks.index(max(peaks))
    now = {name: values[at] for name, values in run.timeline.items()}
    if now["large"] >= LARGE_SHARE_MIN * held:
        return f"Near the peak {percent(now['large'] / held)} of that were large blocks, which no route governs."
    parts = {STRANDED_BECAUSE[cause]: now["stranded_" + cause] for cause in CAUSES}
    parts["empty and kept for later use"] = now["empty"]
    parts["partly filled and within reach of their owner"] = now["partial"]
    reason = max(parts, key=parts.get)
    if parts[reason] < CAUSE_SHARE_MIN * held:
        return "Near the peak neither stranded, nor empty, nor partly filled pages made up a tenth of those held."
    return (f"Beside the pages in full use, the largest group near the peak, {plural(parts[reason], 'page')} "
            f"({percent(parts[reason] / held)} of those held), was {reason}.")


def _comparisons(groups):
    text, unranked = [], 0
    for group in groups:
        if len({run.route for run in group}) > 1:
            text += compare(group)
        else:
            unranked += 1
    if not text and len(groups) == 1:
        return ["Only one route is compared here: hakreplay --route=a,b,c plays several."]
    if unranked and len(groups) > 1:
        text.append("Runs of different programs, geometries or conditions are not ranked against each other.")
    return text


def compare(group):
    """Sentences on runs of one subject under one set of conditions, two routes at least."""
    by_route = {}
    for run in group:
        by_route.setdefault(run.route, []).append(run)
    ranked = sorted(by_route, key=lambda route: _mean(by_route[route]))
    best, second, worst = ranked[0], ranked[1], ranked[-1]
    last = [route for route in ranked if _mean(by_route[route]) == _mean(by_route[worst])]
    least, most = _mean(by_route[best]), _mean(by_route[worst])
    if most - least <= DIFFERENCE_MIN * most:
        text = [f"No difference worth naming: all {len(ranked)} routes hold {_span(group)} pages at most."]
    else:
        text = [f"{best} holds the fewest: {_span(by_route[best])} pages at most, {percent((most - least) / most)} fewer than {listing(last)} ({_span(by_route[worst])})."]
        close = [route for route in ranked[1:] if _mean(by_route[route]) - least <= DIFFERENCE_MIN * _mean(by_route[route])]
        if close:
            text.append(f"{listing(close)} {'is' if len(close) == 1 else 'are'} within {percent(DIFFERENCE_MIN)} of it.")
        if any(run.certainty == "sampled" for run in group):
            text.append(_sampling(by_route[best], by_route[second], by_route[worst]))
        if any(run.certainty == "modelled" for run in group):
            text.append("That is what the model says: a real machine may interleave the threads otherwise.")
    return text + _second_thoughts(by_route, best) + _same_digests(by_route)


def _mean(runs):
    return sum(_held(run) for run in runs) / len(runs)


def _span(runs):
    low, high = min(map(_held, runs)), max(map(_held, runs))
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def _sampling(best, second, worst):
    """What a difference between sampled interleavings is worth."""
    if len(best) == 1 or len(second) == 1:
        return "With a single sampled interleaving of a route the difference may be chance: play several seeds before choosing."
    for rival, place in ((second, "the next best"), (worst, "the worst")):
        if max(map(_held, best)) < min(map(_held, rival)):
            return (f"Every sampled interleaving of it ({len(best)} seeds) held fewer pages than any of {place}, "
                    f"{rival[0].route} ({len(rival)} seeds).")
    return "The seeds of the routes overlap: the order between them is not settled."


def _second_thoughts(by_route, best):
    """Where another measure would rank the routes differently."""
    text, runs = [], [run for route in by_route.values() for run in route]
    means = {route: [run.measures["held_mean"] for run in some] for route, some in by_route.items()}
    if all(None not in values for values in means.values()):
        average = {route: sum(values) / len(values) for route, values in means.items()}
        thrifty = min(average, key=average.get)
        if average[best] - average[thrifty] > DIFFERENCE_MIN * average[best]:
            text.append(f"By the mean over the run {thrifty} holds fewer ({count(average[thrifty])} against {count(average[best])}).")
    shares = [run for run in runs if run.measures["reuse_share"] is not None]
    if shares:
        busiest = max(shares, key=lambda run: run.measures["reuse_share"])
        if busiest.measures["reuse_share"] > max((run.measures["reuse_share"] for run in shares if run.route == best), default=0) \
                and _mean(by_route[busiest.route]) - _mean(by_route[best]) > DIFFERENCE_MIN * _mean(by_route[busiest.route]):
            text.append(f"The highest reuse rate, {percent(busiest.measures['reuse_share'])} of {busiest.route}, does not make it the route with the fewest pages.")
    return text


def _same_digests(by_route):
    routes_of = {}
    for route, runs in by_route.items():
        for run in runs:
            routes_of.setdefault(run.digest, set()).add(route)
    return [f"{listing(sorted(routes))} did exactly the same here: one digest."
            for routes in routes_of.values() if len(routes) > 1]


def uncertainties(runs, groups):
    """What the reader must not take for granted."""
    meanings = {
        "measured": "counted on the allocator's own code under the order named; another order may give other figures",
        "sampled": "counted on the allocator's own code under one of many possible interleavings",
        "modelled": "only as good as the cost model that chose the interleaving",
    }
    text = []
    for certainty in CERTAINTIES:
        named = [run.label for run in runs if run.certainty == certainty]
        if named:
            who = "All figures are" if len(named) == len(runs) else \
                f"The figures of {listing(named)} are" if len(named) <= NAMED_MAX else f"The figures of {count(len(named))} runs are"
            text.append(f"{who} {certainty}: {meanings[certainty]}.")
    for trace in {run.trace["hash"]: run.trace for run in runs if run.trace}.values():
        if trace["lost"] or not trace["complete"]:
            lacks = ([f"lacks {plural(trace['lost'], 'lost event')}"] if trace["lost"] else []) + ([] if trace["complete"] else ["has no end"])
            text.append(f"The trace {trace['path']} {listing(lacks)}: later figures build on what is missing.")
    stopped = [run.label for run in runs if run.interrupted]
    if stopped:
        text.append(f"{listing(stopped)} {'was' if len(stopped) == 1 else 'were'} interrupted: the figures cover the operations played until then.")
    if len({run.commit for run in runs}) > 1:
        text.append("The runs come from different versions of the sources.")
    if any("dirty" in run.commit for run in runs):
        text.append("Sources with uncommitted changes took part: these figures cannot be made again from a commit alone.")
    if 0 < max(map(_held, runs)) < PAGES_FEW:
        text.append(f"Fewer than {PAGES_FEW} pages are involved: a difference of a few pages is granularity, not policy.")
    return text
