#!/bin/sh
# haktrace export --symbols: names of functions from a file that has the recorded build-id, and from
# no other.
# Usage: test_haktrace_symbols.sh TRACE_SAMPLE
. "$(dirname "$0")/haktrace_prelude.sh"

[ -z "$HAK_SANITIZE" ] || {
    echo "skipped: programs built with a sanitizer are not recorded"
    exit 77
}
"$HAK_BIN_DIR/hakrec" --quiet -o recorded.zst "$sample" written.zst || fail "hakrec"
mkdir root other
cp "$sample" root/
"$haktrace" export --format=collapsed recorded.zst >plain || fail "export"
"$haktrace" export --format=collapsed --symbols=root recorded.zst >named || fail "export --symbols"
grep -q "trace_sample+0x" plain || fail "no frame of the program"
grep -q "main;.*trace_writer_create" named || fail "no names of functions: $(head -3 named)"
grep -q "trace_sample+0x[0-9a-f]*;main" named && fail "main has two names"
[ "$(awk '{ sum += $NF } END { print sum }' plain)" = "$(awk '{ sum += $NF } END { print sum }' named)" ] ||
    fail "names change the bytes"
for form in heaptrack pprof; do
    "$haktrace" export --format=$form --symbols=root recorded.zst | grep -aq trace_writer_create ||
        fail "no names in $form"
done
# The table of the stacks that allocate most: in order, and with the same names.
"$haktrace" top --symbols=root --count 1000000 recorded.zst >top || fail "top"
grep -q " trace_writer_create < " top || fail "no names in top: $(head -3 top)"
sed 1,4d top | awk 'NR > 1 && $1 > before { exit 1 } { before = $1 }' || fail "top is not in order"
[ "$(sed 1,4d top | awk '{ sum += $1 } END { print sum }')" = \
    "$(awk '{ sum += $NF } END { print sum }' plain)" ] || fail "top has other bytes"
[ "$("$haktrace" top --count 2 recorded.zst | wc -l)" -eq 6 ] || fail "top --count 2"
grep -qx "$("$haktrace" info recorded.zst | sed -n 's/^events *\([0-9]*\).*/\1/p') events in .*" top || fail "top's figures: $(head -2 top)"
# A file of that name with another build-id is not believed.
cp "$haktrace" other/trace_sample
"$haktrace" export --format=collapsed --symbols=other recorded.zst | grep -q "trace_sample+0x" ||
    fail "another file's symbols were taken"
"$haktrace" export --format=collapsed --symbols=missing recorded.zst | grep -q "trace_sample+0x" ||
    fail "an absent folder is no reason to fail"

[ $failures -eq 0 ]
