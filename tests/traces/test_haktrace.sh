#!/bin/sh
# haktrace from outside: outputs, exit statuses, and one clear line for whatever is wrong.
# Usage: test_haktrace.sh TRACE_SAMPLE
. "$(dirname "$0")/haktrace_prelude.sh"

# expect STATUS WORDS COMMAND...: its exit status, and words on its output or errors.
expect() {
    status=$1 words=$2
    shift 2
    "$@" >out 2>err
    found=$?
    [ "$found" -eq "$status" ] || fail "$* exited $found, expected $status: $(cat err)"
    grep -qF -e "$words" out err || fail "$*: no '$words' in: $(cat out err)"
}

# refuse WORDS COMMAND...: exit 2, one line on standard error, nothing on standard output.
refuse() {
    expect 2 "$@"
    [ "$(wc -l <err)" -eq 1 ] || fail "$*: expected one line of error: $(cat err)"
    [ ! -s out ] || fail "$*: expected no output: $(cat out)"
    case $(cat err) in
    haktrace:*) ;;
    *) fail "$*: the error does not begin with the tool's name: $(cat err)" ;;
    esac
}

"$sample" good.zst 8 || fail "no sample"
"$sample" open.zst 8 unfinished || fail "no unfinished sample"
head -c 900 good.zst >cut.zst
head -c $(($(wc -c <good.zst) - 3)) good.zst >noindex.zst

# --- usage
expect 0 "Usage: haktrace COMMAND" "$haktrace" --help
expect 0 "Usage: haktrace verify [--json] FILE" "$haktrace" verify --help
expect 0 "haktrace 0" "$haktrace" --version
[ "$("$haktrace" --help | wc -l)" -le 40 ] || fail "--help does not fit a screen"
refuse "expected a command" "$haktrace"
refuse "unknown command 'frobnicate'" "$haktrace" frobnicate
refuse "expects one trace file, found 0" "$haktrace" info
refuse "expects one trace file, found 2" "$haktrace" info good.zst good.zst
refuse "haktrace: --frobnicate: unknown option (see haktrace --help)" \
    "$haktrace" info --frobnicate good.zst
refuse "haktrace: -x: unknown option" "$haktrace" info -xh good.zst
refuse "haktrace: --json=1: it takes no value" "$haktrace" info --json=1 good.zst
refuse "haktrace: --from: its value is missing" "$haktrace" dump good.zst --from
refuse "info does not take this option" "$haktrace" info --stacks good.zst
refuse "expected a number after --from, found '-1'" "$haktrace" dump --from=-1 good.zst
refuse "expected a number after --count, found '3x'" "$haktrace" dump --count 3x good.zst

# --- bad files, the same for every command
for command in info verify dump; do
    refuse "missing.zst: cannot open: No such file" "$haktrace" $command missing.zst
    : >empty.zst
    refuse "empty.zst: offset 0: expected a hak trace, found an empty file" \
        "$haktrace" $command empty.zst
    refuse "offset 0: expected a hak trace" "$haktrace" $command "$0"
    refuse "a directory" "$haktrace" $command .
    { head -c 16 good.zst && printf '\003\000' && tail -c +19 good.zst; } >newer.zst
    refuse "found the newer 3.4" "$haktrace" $command newer.zst
done
{ head -c 600 good.zst && printf 'XXXX' && tail -c +605 good.zst; } >bad.zst
refuse "bad.zst: offset " "$haktrace" info bad.zst
refuse "bad.zst: offset " "$haktrace" verify bad.zst
expect 2 "bad.zst: offset " "$haktrace" dump bad.zst

# --- verify
expect 0 "good.zst: OK: 24 events, 6 objects, 2 threads" "$haktrace" verify good.zst
expect 0 '"ok": true' "$haktrace" verify --json good.zst
expect 1 "incomplete: the end is missing" "$haktrace" verify open.zst
expect 1 "incomplete: the end is missing" "$haktrace" verify cut.zst
expect 1 "incomplete: the index is missing" "$haktrace" verify noindex.zst
expect 1 '"missing": "the end is missing' "$haktrace" verify --json cut.zst

# --- info
expect 0 "incomplete: the end is missing" "$haktrace" info cut.zst
expect 0 "2 of 6 (33.3 %)" "$haktrace" info good.zst
"$haktrace" info --json good.zst >info.json || fail "info --json"
"$HAK_PYTHON" - <<'EOF' || fail "info --json has the wrong content"
import json, os
info = json.load(open("info.json"))
expected = dict(events=24, objects=6, threads=2, cross_thread_frees=2, frees=6, stacks="full",
                distinct_stacks=4, lost=2, late=0, complete=True, missing=None, tick_ns=100,
                program="sample", command=["sample", "--all"], anomalies=0, peak_live_objects=4,
                exit="exited", status=0, file_bytes=os.path.getsize("good.zst"))
for key, value in expected.items():
    assert info[key] == value, (key, info[key], value)
assert sum(info["by_op"].values()) == 24 and info["by_op"]["free"] == 4
assert abs(info["bits_per_event"] - 8 * info["file_bytes"] / 24) < 1e-6
assert len(info["hash"]) == 16 and int(info["hash"], 16)
EOF

# --- dump
"$haktrace" dump --stacks "$golden/every_op.zst" >dump.txt || fail "dump"
cmp dump.txt "$golden/every_op.dump" || fail "the golden trace is dumped differently"
"$haktrace" dump good.zst | sed -n '8,10p' >want
"$haktrace" dump --from 7 --count 3 good.zst >out || fail "dump --from --count"
cmp want out || fail "dump --from 7 --count 3"
"$haktrace" dump --from 24 good.zst >out || fail "dump from the end"
[ ! -s out ] || fail "events after the last"
refuse "expected an event number up to 24, found 25" "$haktrace" dump --from 25 good.zst
"$haktrace" dump --json --stacks good.zst >dump.json || fail "dump --json"
"$HAK_PYTHON" - <<'EOF' || fail "dump --json differs from dump"
import json
events = [json.loads(line) for line in open("dump.json")]
lines = [line.split() for line in open("dump.txt") if not line.startswith(" ")]
assert len(events) == len(lines) == 24
for event, line in zip(events, lines):
    frames = event.pop("frames", [])
    assert ("stack" in event) == bool(frames)
    for word in line[4:]:
        name, value = word.split("=")
        found = event.pop(name)
        assert (hex(found) if name == "address" else str(found)) == value, (line, name)
    assert [str(event.pop(k)) for k in ("number", "time", "thread", "op")] == line[:4]
    assert not event, event
assert any("size=18446744073709551615" in line for line in lines)
EOF
# What is whole comes out before the error of what is not.
"$haktrace" dump good.zst >want
"$haktrace" dump bad.zst >out 2>/dev/null
[ -s out ] || fail "dump of a damaged trace shows nothing"
head -n "$(wc -l <out)" want | cmp - out || fail "dump of a damaged trace shows something else"
{ "$haktrace" dump good.zst; echo $? >status; } 2>err | :
[ "$(cat status)" -eq 0 ] && [ ! -s err ] || fail "a closed pipe is not quiet: $(cat status err)"
if [ -w /dev/full ]; then
    for command in info verify dump --help; do
        "$haktrace" $command good.zst >/dev/full 2>err
        [ $? -eq 2 ] || fail "$command to a full device did not exit 2"
        grep -q "cannot write standard output: No space left" err || fail "$command: $(cat err)"
    done
fi

# --- a terminal is not to obey what a file says
"$sample" control.zst 8 control || fail "no sample with control characters"
expect 0 "evil?[31m" "$haktrace" info control.zst

# --- zstd reads it
if command -v zstd >/dev/null; then
    for trace in good open; do
        zstd -dcq $trace.zst >content || fail "zstd -dc $trace.zst"
        [ "$(head -c 4 content)" = hkCH ] || fail "zstd -dc gives something else"
    done
else
    echo "zstd is not installed: zstd -dc is not tried"
fi

[ $failures -eq 0 ]
