#!/bin/bash
# What the corpus takes in the smallest form, in bits per event, and the geometric mean.
#
#   traces/corpus/measure_sizes.sh [BUILD]     BUILD defaults to build/release
#
# core: what `haktrace info --columns` calls so, of `haktrace repack --core`: every column that a
# replay reads, the stack's number, the index. whole: the file of `haktrace repack`, with stacks,
# modules and entry points. Then the core column by column (rare: align, value, peer). recorded: the trace as hakrec wrote it. Needs jq.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
haktrace=$(cd "${1:-$here/../../build/release}" && pwd)/bin/haktrace
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '%-14s %9s %8s %8s %8s\n' trace events core whole recorded
for trace in "$here"/*.zst; do
  "$haktrace" repack --quiet --core --force -o "$work/core.zst" "$trace"
  "$haktrace" repack --quiet --force -o "$work/whole.zst" "$trace"
  "$haktrace" info --columns --json "$work/core.zst" | jq -r --arg n "$(basename "$trace" .zst)" '
    def raw(name): .[name].bits_per_event // 0;
    def short: . * 100 | round / 100;
    def bits(name): raw(name) | short;
    "| \($n) | \(bits("op")) | \(bits("thread")) | \(bits("time")) | \(raw("rank") + raw("distance") | short) | " +
    "\(bits("size")) | \(bits("stack")) | \(raw("align") + raw("value") + raw("peer") | short) | \(bits("index")) | \(bits("core")) |"
    ' >>"$work/columns"
  events=$("$haktrace" info --json "$trace" | jq .events)
  core=$("$haktrace" info --columns --json "$work/core.zst" | jq .core.bits_per_event)
  printf '%-14s %9d %8.2f %8.2f %8.2f\n' "$(basename "$trace" .zst)" "$events" "$core" \
    "$(jq -n "8 * $(stat -c %s "$work/whole.zst") / $events")" \
    "$(jq -n "8 * $(stat -c %s "$trace") / $events")"
done | tee "$work/table"
awk '{ for (i = 3; i <= 5; i++) sum[i] += log($i); count++; if ($3 > worst) { worst = $3; name = $1 } }
  END { printf "%-14s %9s %8.2f %8.2f %8.2f   geometric mean; the worst core: %s\n", "", "",
        exp(sum[3] / count), exp(sum[4] / count), exp(sum[5] / count), name }' "$work/table"
echo
echo '| trace | op | thread | time | object | size | stack | rare | index | core |'
echo '|---|---|---|---|---|---|---|---|---|---|'
cat "$work/columns"
