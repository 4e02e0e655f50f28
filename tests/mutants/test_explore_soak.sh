#!/bin/sh
# A soak goes on where it was stopped, keeps its sums, and keeps what it finds.
#     test_explore_soak.sh PYTHON SOURCE_DIR BUILD_DIR
set -u
soak() {
    "$1" "$2/tests/mutants/explore_soak.py" "$3" --state=soak.json --hours=0.0002 --slice=0.05 >"$4" ||
        { cat "$4"; exit 1; }
}
sum() { sed -n 's/^in all \([0-9,]*\),.*/\1/p' "$1" | tr -d ,; }
soak "$1" "$2" "$3" first.txt
soak "$1" "$2" "$3" second.txt
[ "$(sum first.txt)" -gt 0 ] && [ "$(sum second.txt)" -gt "$(sum first.txt)" ] || { cat first.txt second.txt; exit 1; }

# The same sum is told without exploring, and a violation in the file is told and is the exit status.
"$1" "$2/tests/mutants/explore_soak.py" "$3" --state=soak.json --table >told.txt || exit 1
[ "$(sum told.txt)" = "$(sum second.txt)" ] || { cat told.txt; exit 1; }
sed 's/"violations": \[\]/"violations": [{"text": "planted", "command": "none"}]/' soak.json >worse.json
"$1" "$2/tests/mutants/explore_soak.py" "$3" --state=worse.json --table >worse.txt
[ $? -eq 1 ] && grep -q "^planted" worse.txt || { cat worse.txt; exit 1; }
