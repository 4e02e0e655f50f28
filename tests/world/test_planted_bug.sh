#!/bin/sh
# A planted bug passes the recorded order, is found by random interleavings, and its schedule,
# read from its file by a fresh process, shows the same violation at the same point.
#     test_planted_bug.sh BROKEN SOUND ROUTE     the two explorers; see world_explore.c
set -u
broken=$1 sound=$2 route=$3
schedules=30000

fail() {
    echo "$*"
    exit 1
}

"$broken" --recorded "$route" || fail "the recorded order already fails"
"$broken" "$route" $schedules 0 found.hks >found.txt
[ $? -eq 1 ] || fail "not found in $schedules schedules"
cat found.txt

"$broken" --replay found.hks >again.txt
[ $? -eq 1 ] || fail "the schedule that was written shows nothing"
cmp found.txt again.txt || fail "the schedule that was written shows something else"
setarch -R "$broken" --replay found.hks >fixed.txt
cmp found.txt fixed.txt || fail "another address space, another run"

"$sound" --replay found.hks 2>refused.txt
[ $? -eq 2 ] && grep -q "other sources" refused.txt || fail "played against other sources"
"$sound" --recorded "$route" && "$sound" "$route" $schedules 0 none.hks ||
    fail "the sound MF2 fails as well"
[ ! -e none.hks ] || fail "a schedule without a violation was written"
