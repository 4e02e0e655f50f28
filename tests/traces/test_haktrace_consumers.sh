#!/bin/sh
# The programs for which haktrace exports, on traces of the corpus: heaptrack_print, go tool pprof
# and jq say what haktrace info says. And haktrace imports what heaptrack records.
. "$(dirname "$0")/haktrace_prelude.sh"

for tool in heaptrack_print go jq; do
    command -v $tool >/dev/null || {
        echo "skipped: $tool is not installed (packages heaptrack, golang-go, jq)"
        exit 77
    }
done

for trace in git-grep cc1plus larson; do
    "$haktrace" info --json "$corpus/$trace.zst" >info.json
    for form in heaptrack pprof chrome; do
        "$haktrace" export --format=$form --force -o $trace.$form "$corpus/$trace.zst" || fail "$form"
    done
    # heaptrack_print rounds to three digits.
    heaptrack_print -f $trace.heaptrack >printed 2>errors || fail "heaptrack_print: $(cat errors)"
    [ ! -s errors ] || fail "heaptrack_print complains: $(head -3 errors)"
    "$HAK_PYTHON" - printed <<'PY' || fail "heaptrack_print says something else of $trace"
import json, re, sys
info, text = json.load(open("info.json")), open("printed").read()
calls = int(re.search(r"calls to allocation functions: (\d+)", text).group(1))
assert calls == info["objects"], (calls, info["objects"])
def size(words):
    number, unit = re.search(words + r": ([\d.]+)([BKMG])", text).groups()
    return float(number) * {"B": 1, "K": 1e3, "M": 1e6, "G": 1e9}[unit]
for words, key in ("peak heap memory consumption", "peak_live_bytes"), ("total memory leaked", "live_bytes"):
    assert abs(size(words) - info[key]) <= 0.006 * info[key] + 5, (words, size(words), info[key])
PY
    go tool pprof -raw $trace.pprof >raw 2>errors || fail "pprof: $(cat errors)"
    "$HAK_PYTHON" - <<'PY' || fail "pprof says something else of $trace"
import json, re
info, total = json.load(open("info.json")), [0] * 4
lines = iter(open("raw"))
for line in lines:
    if line.startswith("Samples:"):
        assert "alloc_objects/count alloc_space/bytes" in next(lines)
        break
for line in lines:
    if line.startswith("Locations"):
        break
    numbers = line.split(":")[0].split()
    total = [a + int(b) for a, b in zip(total, numbers)]
assert total[0] == info["objects"] and total[2:] == [info["live_objects"], info["live_bytes"]], total
PY
    peak=$(jq '[.traceEvents[] | select(.name == "live") | .args.bytes] | max' $trace.chrome)
    [ "$peak" = "$(jq .peak_live_bytes info.json)" ] || fail "jq finds a peak of $peak in $trace"
done

cat >program.c <<'C'
#include <stdlib.h>
int main(void) {
    void *blocks[100];
    for (int i = 0; i < 100; i++)
        blocks[i] = malloc((size_t)i + 1);
    for (int i = 0; i < 90; i++)
        free(blocks[i]);
    return blocks[95] == realloc(blocks[96], 5000);
}
C
cc -g -o program program.c
heaptrack -r -o recorded ./program >log 2>&1 || fail "heaptrack: $(cat log)"
"$haktrace" import --format=heaptrack -o imported.zst recorded.raw.zst >log || fail "import: $(cat log)"
"$haktrace" verify imported.zst >log || fail "what heaptrack recorded is not in order: $(cat log)"
wanted=$(zstd -dcq recorded.raw.zst | /usr/lib/heaptrack/libexec/heaptrack_interpret 2>&1 >interpreted |
    sed -n 's/.*allocations:[^0-9]*//p' | head -1)
found=$("$haktrace" info --json imported.zst | jq .objects)
[ "$found" = "$wanted" ] || fail "heaptrack counts $wanted allocations, the import $found"
"$haktrace" import --format=heaptrack -o twice.zst interpreted >log || fail "import: $(cat log)"
for key in objects peak_live_bytes live_bytes; do
    one=$("$haktrace" info --json imported.zst | jq .$key)
    two=$("$haktrace" info --json twice.zst | jq .$key)
    [ "$one" = "$two" ] || fail "$key: $one from the raw file, $two from the interpreted one"
done

[ $failures -eq 0 ]
