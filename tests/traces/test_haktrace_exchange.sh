#!/bin/sh
# haktrace export, import and anonymise: what comes out is what the trace holds, and what cannot be
# read is refused with its place. The real consumers: test_haktrace_consumers.sh.
# Usage: test_haktrace_exchange.sh TRACE_SAMPLE
. "$(dirname "$0")/haktrace_prelude.sh"

run() {
    "$@" >out 2>err || fail "$*: $(cat err)"
}

# refuse WORDS COMMAND...: exit 2, one line on standard error.
refuse() {
    words=$1
    shift
    "$@" >out 2>err
    [ $? -eq 2 ] || fail "$* did not exit 2"
    [ "$(wc -l <err)" -eq 1 ] || fail "$*: expected one line of error: $(cat err)"
    grep -qF -e "$words" err || fail "$*: no '$words' in: $(cat err)"
}

"$sample" good.zst 8 || fail "no sample"
cp "$corpus/pbzip2.zst" .
"$haktrace" window -o larson.zst 50000..54000 "$corpus/larson.zst" >out || fail "no larson"
"$haktrace" window -o redis.zst 80000..84000 "$corpus/redis.zst" >out || fail "no redis"
for trace in good larson pbzip2 redis; do
    "$haktrace" info --json $trace.zst >$trace.info || fail "info $trace"
    "$haktrace" dump --json --stacks $trace.zst >$trace.dump || fail "dump $trace"
    "$haktrace" dump --json --memory $trace.zst >$trace.memory || fail "dump --memory $trace"
    for form in heaptrack pprof chrome collapsed csv; do
        run "$haktrace" export --format=$form -o $trace.$form $trace.zst
        "$haktrace" export --format=$form $trace.zst | cmp - $trace.$form ||
            fail "$form of $trace: standard output differs from the file"
    done
done
"$HAK_PYTHON" "$HAK_SOURCE_DIR/tests/traces/check_exported.py" good larson pbzip2 redis ||
    fail "exports do not agree with the traces"
refuse "expected --format=heaptrack, pprof, chrome, collapsed or csv, found none" \
    "$haktrace" export good.zst
refuse "found gif" "$haktrace" export --format=gif good.zst
refuse "exists and is not overwritten" "$haktrace" export --format=csv -o good.csv good.zst

# --- import
# imported FILE FORM WANTED: the dump of what is imported.
imported() {
    run "$haktrace" import --format="$2" --force -o imported.zst "$1"
    "$haktrace" verify imported.zst >verdict || fail "$1 is not in order: $(cat verdict)"
    "$haktrace" dump imported.zst >got
    cmp got "$3" || fail "$1 was imported as: $(cat got)"
}

cat >calls.txt <<'TXT'
100: malloc 0xb48390a0 48
200: calloc 0xb48c1100 32 8 1000 1020
100: realloc 0x96b90920 0xb48390a0 150 1030 1040
300: memalign 0xae42d080 16 104 2000 2010
200: free 0x96b90920 2020 2021 4096
100: realloc 0x96b90920 0x0 7
100: realloc 0x0 0x96b90920 9
100: realloc 0x0 0x96b90920 0
300: thread_done 0x0
300: malloc 0xb48c1100 10
100: malloc 0x0 99
100: calloc 0x0 0x8000000000000000 3
100: free 0x0
100: free 0xdead
TXT
cat >calls.want <<'TXT'
0 0 0 malloc object=0 size=48 entry=malloc
1 0 1 thread-start
2 0 1 calloc object=1 size=256 entry=calloc
3 30 0 realloc-release object=0 size=150
4 30 0 realloc-acquire object=2 entry=realloc
5 1000 2 thread-start
6 1000 2 aligned object=3 size=104 align=16 entry=memalign
7 1020 1 free object=2 entry=free
8 1020 0 malloc object=4 size=7 entry=realloc
9 1020 0 realloc-release object=4 size=9
10 1020 0 realloc-fail
11 1020 0 free object=4 entry=realloc
12 1020 2 thread-exit
13 1020 3 thread-start
14 1020 3 free object=1
15 1020 3 malloc object=5 size=10 entry=malloc
16 1020 0 alloc-fail size=99 value=12 entry=malloc
17 1020 0 alloc-fail size=18446744073709551615 value=12 entry=calloc
18 1020 0 free-null entry=free
19 1020 0 free-unknown entry=free
TXT
imported calls.txt android calls.want
grep -q "1 frees of blocks that were not seen.*1 frees that the source does not have" out ||
    fail "an import does not say what it had to guess: $(cat out)"

cat >raw.txt <<'TXT'
v 10400 3
x 8 /opt/pro
X ./program --option
I 1000 5e298f
m 1 x 5000 0 6c0 1000 100
m 10 /lib/a b/libx.so 9000 0 800
t 6010 0
t 9010 1
t f000 1
+ 64 2 7f00
# a comment
+ 20 3 7f80
c a
- 7f00
R 3d4
- 7f80
- 7f80
TXT
cat >raw.want <<'TXT'
0 0 0 malloc object=0 size=100 stack=2
1 0 0 malloc object=1 size=32 stack=3
2 10 0 free object=0
3 10 0 free object=1
4 10 0 free-unknown
TXT
imported raw.txt heaptrack raw.want
"$haktrace" dump --stacks --count 1 imported.zst | tail -2 | tr -d ' ' | tr '\n' ' ' >got
[ "$(cat got)" = "#0libx.so+0x10 #1program+0x1010 " ] || fail "frames of heaptrack: $(cat got)"

cat >interpreted.txt <<'TXT'
v 10400 3
X program
s 9 /bin/prog
s 5 m ain
i 400100 1 2
i 400200 1
t 1 0
t 2 1
a 10 2
a 20 1
+ 0
+ 0
+ 1
- 0
- 0
- 1
TXT
cat >interpreted.want <<'TXT'
0 0 0 malloc object=0 size=16 stack=2
1 0 0 malloc object=1 size=16 stack=2
2 0 0 malloc object=2 size=32 stack=1
3 0 0 free object=1
4 0 0 free object=0
5 0 0 free object=2
TXT
imported interpreted.txt heaptrack interpreted.want
if command -v zstd >/dev/null; then
    zstd -qf raw.txt -o raw.zst && imported raw.zst heaptrack raw.want
fi
# What is exported for heaptrack and imported again has the same blocks, stacks and calls.
run "$haktrace" import --format=heaptrack --force -o again.zst larson.heaptrack
"$haktrace" info --json again.zst >again.info
"$HAK_PYTHON" - <<'EOF' || fail "heaptrack and back differs"
import json
one, two = (json.load(open(name + ".info")) for name in ("larson", "again"))
for key in ("objects", "peak_live_bytes", "peak_live_objects", "live_bytes", "distinct_stacks", "stack_nodes"):
    assert one[key] == two[key], (key, one[key], two[key])
import json
one, two = (json.load(open(name + ".info")) for name in ("larson", "again"))
for key in ("objects", "peak_live_bytes", "peak_live_objects", "live_bytes", "distinct_stacks", "stack_nodes"):
    assert one[key] == two[key], (key, one[key], two[key])
EOF

"$HAK_PYTHON" - <<'EOF'
def number(value):
    digits = [value & 127]
    while value := value >> 7:
        digits.append(value & 127 | 128)
    return bytes(reversed(digits))
def program(*steps):
    return b"".join(bytes([code]) + b"".join(map(number, numbers)) for code, *numbers in steps)
def workload(*programs):
    heads = b""
    for _ in range(3):  # the head's length depends on what it holds
        at, starts = len(heads), []
        for p in programs:
            starts.append((11, at))
            at += len(p)
        heads = program((8, 4), (9, 2), (10, len(programs)), *starts, (1,))
    return heads + b"".join(programs)
one = program((2, 1, 100), (6, 1), (2, 2, 5000), (7, 2), (5, 3), (2, 2, 1), (1,))
two = program((7, 1), (5, 1), (12, 3, 64, 300), (4, 3, 3, 600), (3, 0, 9), (6, 2), (5, 0), (1,))
open("work.wl", "wb").write(workload(one, two))
open("deadlock.wl", "wb").write(workload(program((7, 1), (6, 2), (1,)), program((7, 2), (6, 1), (1,))))
open("overlap.wl", "wb").write(program((8, 4), *[(11, 50)] * 20, (1,)).ljust(50, b"\0") + program(*[(2, 1, 1)] * 30, (1,)))
open("cut.wl", "wb").write(workload(one, two)[:-5])
EOF
cat >work.want <<'TXT'
0 0 0 malloc object=0 size=100 entry=malloc
1 1 0 malloc object=1 size=5000 entry=malloc
2 2 1 thread-start
3 2 1 free object=0 entry=free
4 3 1 aligned object=2 size=300 align=64 entry=memalign
5 4 1 realloc-release object=2 size=600
6 4 1 realloc-acquire object=3 entry=realloc
7 5 1 alloc-fail size=9 value=12 entry=calloc
8 6 1 free-null entry=free
9 7 0 free object=3 entry=free
10 8 0 free object=1
11 8 0 malloc object=4 size=1 entry=malloc
TXT
imported work.wl glibc work.want

# refused FORM WORDS TEXT: a file of this text is not imported, and leaves nothing.
refused() {
    printf "$3" >bad.txt
    rm -f none.zst
    refuse "$2" "$haktrace" import --format="$1" -o none.zst bad.txt
    [ ! -e none.zst ] || fail "a refused import leaves a file"
}
refuse "expected --format=heaptrack, android or glibc" "$haktrace" import calls.txt
refuse "missing.txt: cannot open" "$haktrace" import --format=android missing.txt
refuse "exists and is not overwritten" "$haktrace" import --format=android -o good.zst calls.txt
refused android "bad.txt: offset 14: line 2: expected TID: ACTION POINTER" '1: free 0x100\n1: frob 0x1\n'
refused android "line 1: expected TID" '1: malloc 0x10\n'
refused android "line 1: expected TID" '1 malloc 0x10 5\n'
refused android "line 1: expected TID" '1: malloc 0x10 5 six\n'
refused android "line 1: expected numbers below" '1: free 0xffffffffffffffff\n'
refused android "expected text or zstd, found gzip" '\037\213\010\000'
refused heaptrack "line 1: expected v VERSION FORMAT, the first line" 't 1 0\n'
refused heaptrack "expected v VERSION FORMAT, found the end" ''
refused heaptrack "line 1: expected v VERSION and format 2 or 3" 'v 10400 9\n'
refused heaptrack "line 2: expected t PLACE PARENT, a stack before it" 'v 10400 3\nt 5 1\n'
refused heaptrack "line 2: expected + SIZE STACK POINTER" 'v 10400 3\n+ 5 1 7\n'
refused heaptrack "line 2: expected + KIND" 'v 10400 3\n+ 5\n'
refused heaptrack "line 3: expected - KIND of which a block is live" 'v 10400 3\na 8 0\n- 0\n'
refused heaptrack "line 2: expected s LENGTH TEXT" 'v 10400 3\ns ffffffff x\n'
refused heaptrack "line 2: expected a line of heaptrack" 'v 10400 3\nz 1\n'
refused heaptrack "expected a whole zstd frame, found damage" '\050\265\057\375xxxxxxxxxxxxxxxx'
# 200 MB without a line's end, in 20 KB: refused after one line's length, in little memory.
if command -v zstd >/dev/null; then
    head -c 200000000 /dev/zero | tr '\000' x | zstd -q >bomb.zst
    (
        [ -n "$HAK_SANITIZE" ] || ulimit -v 200000
        "$haktrace" import --format=android -o none.zst bomb.zst 2>err
        [ $? -eq 2 ]
    ) || fail "a bomb was not refused"
    grep -q "line 1: expected a line of at most 1048576 bytes" err || fail "a bomb: $(cat err)"
fi
refused glibc "offset 0: expected a code, found the end of the file" ''
refused glibc "offset 0: expected a code below 16" '\100'
refused glibc "offset 0: expected a workload that begins with tables" '\002\001\001'
refused glibc "expected a thread that begins within the file" '\013\144\001'
refused glibc "expected numbers of 64 bits" '\013\377\377\377\377\377\377\377\377\377\377\001'
refuse "expected a thread that writes what this one waits for" \
    "$haktrace" import --format=glibc -o none.zst deadlock.wl
refuse "expected threads' programs that do not overlap" \
    "$haktrace" import --format=glibc -o none.zst overlap.wl
refuse "found the end of the file" "$haktrace" import --format=glibc -o none.zst cut.wl

# --- anonymise: nothing of what is listed remains, and the replay is the same
for trace in good larson; do
    run "$haktrace" anonymise -o $trace.plain.zst $trace.zst
    "$haktrace" verify $trace.plain.zst >/dev/null || fail "anonymous $trace is not in order"
    "$haktrace" dump $trace.zst |
        sed 's/ stack=[0-9]*//; s/ address=[0-9a-fx]*//; s/fork value=.*/fork value=0/' >want
    "$haktrace" dump $trace.plain.zst | sed 's/ stack=[0-9]*//' | cmp - want ||
        fail "anonymous $trace has other events"
done
"$HAK_PYTHON" "$HAK_SOURCE_DIR/tests/traces/check_anonymous.py" good.zst good.plain.zst \
    larson.zst larson.plain.zst || fail "an anonymous trace is not anonymous"
for trace in larson larson.plain; do
    run "$HAK_BIN_DIR/hakreplay" --quiet --geometry=seed --route=s2 -o $trace.json $trace.zst
done
"$HAK_PYTHON" - <<'EOF' || fail "the anonymous trace replays differently"
import json
one, two = (json.load(open(name + ".json")) for name in ("larson", "larson.plain"))
for key in ("digest", "counters", "measures", "stranded"):
    assert one[key] and one[key] == two[key], key
EOF
refuse "exists and is not overwritten" "$haktrace" anonymise -o good.plain.zst good.zst

[ $failures -eq 0 ]
