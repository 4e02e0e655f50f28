#!/bin/sh
# haktrace window from outside: ranges, outputs, and that a window of a real trace plays.
# Usage: test_haktrace_window.sh TRACE_SAMPLE
. "$(dirname "$0")/haktrace_prelude.sh"

# window_of WORDS COMMAND...: exits 0 and says WORDS.
window_of() {
    words=$1
    shift
    "$@" >out 2>err || fail "$*: $(cat err)"
    grep -qF -e "$words" out || fail "$*: no '$words' in: $(cat out)"
}

refuse() {
    words=$1
    shift
    "$@" >out 2>err
    [ $? -eq 2 ] || fail "$* did not exit 2"
    [ "$(wc -l <err)" -eq 1 ] || fail "$*: expected one line of error: $(cat err)"
    grep -qF -e "$words" err || fail "$*: no '$words' in: $(cat err)"
}

"$sample" good.zst 8 || fail "no sample"
window_of "events 6 to 20" "$haktrace" window 6..20 good.zst
[ -s window.zst ] || fail "window.zst is not where an output goes by default"
refuse "exists and is not overwritten" "$haktrace" window 6..20 good.zst
window_of '"from":6,"to":24' "$haktrace" window --json --force 6.. good.zst
window_of "events 0 to 24" "$haktrace" window --force .. good.zst
# Ticks of 100 ns: event 5 is the first at or after 1.000005 s, event 4 is the one at 1 s.
window_of '"from":4,"to":5' "$haktrace" window --json -o part.zst --force 1s..1000005us good.zst
window_of '"from":4,"to":24' "$haktrace" window --json -o part.zst --force 1000ms..900000s good.zst
for range in 6 6-20 a..b 6..2x -1..3 1.5..3; do
    refuse "expected FROM..TO" "$haktrace" window -- $range good.zst
done
refuse "expected a window within its 24 events" "$haktrace" window -o no.zst 6..25 good.zst
refuse "window expects FROM..TO and one trace file, found 1" "$haktrace" window good.zst
[ ! -e no.zst ] || fail "a refused window left a file"

# The whole as a window has the same events; the same range makes the same file.
"$haktrace" window --force -o whole.zst .. good.zst >/dev/null
"$haktrace" dump good.zst >want
"$haktrace" dump whole.zst | sed 's/stack=[0-9]*/stack/' >out
sed 's/stack=[0-9]*/stack/' want | cmp - out || fail "the whole as a window differs"
"$haktrace" window --force -o again.zst .. good.zst >/dev/null
cmp whole.zst again.zst || fail "the same window is not the same file"

# A part of a real trace: in order, and played without a divergence.
"$haktrace" window -o larson.zst 50000..60000 "$corpus/larson.zst" >/dev/null || fail "larson"
"$haktrace" verify larson.zst >/dev/null || fail "the window of larson is not in order"
"$HAK_BIN_DIR/hakreplay" --quiet --geometry=seed -o larson.json larson.zst >/dev/null ||
    fail "the window of larson does not play"

[ $failures -eq 0 ]
