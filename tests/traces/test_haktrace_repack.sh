#!/bin/sh
# haktrace repack and info --columns: the same trace, smaller; and figures that add up.
# Usage: test_haktrace_repack.sh TRACE_SAMPLE
set -u
sample=$1
haktrace=$HAK_BIN_DIR/haktrace
corpus=$HAK_SOURCE_DIR/traces/corpus
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

"$sample" good.zst 8 || fail "no sample"
for trace in good git-grep mailbox; do
    source=$corpus/$trace.zst
    [ -e "$source" ] || source=$trace.zst
    "$haktrace" repack -o $trace.small.zst "$source" >out 2>&1 || fail "repack $trace: $(cat out)"
    "$haktrace" dump "$source" >want
    "$haktrace" dump $trace.small.zst | cmp - want || fail "$trace is not the same when repacked"
    "$haktrace" verify $trace.small.zst >out || fail "$trace repacked: $(cat out)"
    # From the middle, too.
    sed -n '21,23p' want >three
    "$haktrace" dump --from 20 --count 3 $trace.small.zst | cmp - three ||
        fail "$trace repacked cannot be read from event 20"
    "$haktrace" repack --core -o $trace.core.zst "$source" || fail "repack --core $trace"
    for form in small core; do
        "$haktrace" info --columns --json $trace.$form.zst >$trace.$form.json || fail "info --columns"
        "$haktrace" info --columns $trace.$form.zst | grep -q "^core  " || fail "no line of the core"
    done
done
[ "$(wc -c <mailbox.small.zst)" -lt $(($(wc -c <"$corpus/mailbox.zst") * 7 / 10)) ] ||
    fail "mailbox repacked takes $(wc -c <mailbox.small.zst) bytes"
"$HAK_PYTHON" - <<'EOF' || fail "the figures do not add up"
import json, os, sys
sys.path.insert(0, os.path.join(os.environ["HAK_SOURCE_DIR"], "analysis"))
import trace_reader
for trace in "good", "git-grep", "mailbox":
    for form in "small", "core":
        name = f"{trace}.{form}"
        budget = json.load(open(name + ".json"))
        parts = ("META", "MODULES", "STACKS", "EVENTS", "END", "INFO", "index", "core", "file")
        columns = {key: value for key, value in budget.items() if key not in parts}
        assert abs(sum(c["bytes"] for c in columns.values()) - budget["EVENTS"]["bytes"]) < 1
        whole = sum(budget[p]["bytes"] for p in parts[:7] if p in budget)
        assert whole == budget["file"]["bytes"] == os.path.getsize(name + ".zst"), (whole, budget["file"])
        core = sum(c["bytes"] for key, c in columns.items() if key not in ("address", "entry", "other-entry"))
        assert abs(core + budget["index"]["bytes"] - budget["core"]["bytes"]) < 1
        assert {"op", "thread", "time", "rank", "size"} <= set(columns) and "object" not in columns
    # The second reader has the same objects and entry points.
    if trace == "git-grep":
        continue
    lines = [json.loads(line) for line in os.popen(f"{os.environ['HAK_BIN_DIR']}/haktrace dump --json {trace}.small.zst")]
    names = "- malloc calloc realloc reallocarray memalign posix_memalign aligned_alloc valloc pvalloc free free_sized free_aligned_sized cfree operator-new operator-delete".split()
    for event, line in zip(trace_reader.Trace(trace + ".small.zst").events(), lines, strict=True):
        assert event.object == line.get("object"), (event, line)
        assert (names[event.entry] if event.entry else None) == line.get("entry"), (event, line)
EOF
"$haktrace" repack -o good.small.zst good.zst 2>err && fail "an existing file was overwritten"
grep -q "exists and is not overwritten" err || fail "no reason: $(cat err)"

[ $failures -eq 0 ]
