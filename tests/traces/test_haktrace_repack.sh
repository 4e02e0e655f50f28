#!/bin/sh
# haktrace repack and info --columns: the same trace, smaller; and figures that add up.
# Usage: test_haktrace_repack.sh TRACE_SAMPLE
. "$(dirname "$0")/haktrace_prelude.sh"

"$sample" good.zst 8 sides || fail "no sample"
for trace in good git-grep mailbox; do
    source=$corpus/$trace.zst
    [ -e "$source" ] || source=$trace.zst
    "$haktrace" repack -o $trace.small.zst "$source" >out 2>&1 || fail "repack $trace: $(cat out)"
    "$haktrace" dump "$source" >want
    "$haktrace" dump $trace.small.zst | cmp - want || fail "$trace is not the same when repacked"
    "$haktrace" dump --memory "$source" >rows
    "$haktrace" dump --memory $trace.small.zst | cmp - rows || fail "$trace has other rows of memory"
    "$haktrace" verify $trace.small.zst >out || fail "$trace repacked: $(cat out)"
    # From the middle, too.
    sed -n '21,23p' want >three
    "$haktrace" dump --from 20 --count 3 $trace.small.zst | cmp - three ||
        fail "$trace repacked cannot be read from event 20"
    for file in "$source" $trace.small.zst; do
        "$haktrace" export --format=chrome "$file" | grep thread_name >names.$(basename "$file") || :
    done
    cmp names.$(basename "$source") names.$trace.small.zst || fail "$trace has lost threads' names"
    "$haktrace" repack --core -o $trace.core.zst "$source" || fail "repack --core $trace"
    for form in small core; do
        "$haktrace" info --columns --json $trace.$form.zst >$trace.$form.json || fail "info --columns"
        "$haktrace" info --columns $trace.$form.zst | grep -q "^core  " || fail "no line of the core"
    done
done
[ "$(wc -c <mailbox.small.zst)" -lt $(($(wc -c <"$corpus/mailbox.zst") * 7 / 10)) ] ||
    fail "mailbox repacked takes $(wc -c <mailbox.small.zst) bytes"
"$HAK_PYTHON" "$HAK_SOURCE_DIR/tests/traces/check_repacked.py" || fail "the figures do not add up"
"$haktrace" repack -o good.small.zst good.zst 2>err && fail "an existing file was overwritten"
grep -q "exists and is not overwritten" err || fail "no reason: $(cat err)"

grep -q worker names.good.small.zst || fail "the sample has no threads' names: nothing is shown"

[ $failures -eq 0 ]
