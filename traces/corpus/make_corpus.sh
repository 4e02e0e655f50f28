#!/bin/bash
# Records the corpus anew: real programs from Debian 12, and Larson. Writes NAME.zst and README.md
# (origin, command, figures, hash) into this folder, or into the one named.
#
#   traces/corpus/make_corpus.sh [BUILD [FOLDER [NAME...]]]     BUILD defaults to build/release
#
# With names these alone; the others' traces and rows stay. node-workers (about a million events) is
# recorded only if named: it is larger than what is committed.
# Needs the packages g++ git pbzip2 perl python3 sqlite3 jq gdb redis-server redis-tools, nodejs. Two recordings of one program differ:
# threads run as they run. The traces committed are the ones in README.md, by hash.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${1:-$here/../../build/release}" && pwd)
folder=${2:-$here}
mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
readonly most_bytes=1000000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

wanted=" ${*:3} "
is_wanted() { # name
  [ "$wanted" = "  " ] && [ "$1" != node-workers ] || [[ $wanted = *" $1 "* ]]
}

declare -A rows
order=()
while IFS= read -r row; do
  name=$(cut -d ' ' -f 2 <<<"$row")
  rows[$name]=$row
  order+=("$name")
done < <(grep -E '^\| [a-z0-9-]+ \| .*[0-9a-f]{16} \|$' "$folder/README.md" 2>/dev/null || true)

options=()
record() { # name, origin, command as told, command…
  local name=$1 origin=$2 told=$3
  shift 3
  is_wanted "$name" || return 0
  "$build/bin/hakrec" --quiet --force "${options[@]}" -o "$folder/$name.zst" "$@" >output 2>errors </dev/null ||
    { echo "make_corpus: $name: $told failed:" >&2; cat errors >&2; exit 1; }
  rm -f "$folder/$name".[0-9]*.zst # its children's
  local bytes
  bytes=$(stat -c %s "$folder/$name.zst")
  [ "$bytes" -lt $most_bytes ] ||
    { echo "make_corpus: $name.zst has $bytes bytes; the most is $most_bytes" >&2; exit 1; }
  "$build/bin/haktrace" verify "$folder/$name.zst"
  [ -n "${rows[$name]-}" ] || order+=("$name")
  rows[$name]=$("$build/bin/haktrace" info --json "$folder/$name.zst" | jq -r \
    --arg n "$name" --arg o "$origin" --arg t "$told" --arg b "$bytes" '
    def share: if .frees == 0 then 0 else 1000 * .cross_thread_frees / .frees | round / 10 end;
    "| \($n) | \($o) | `\($t)` | \(.threads) | \(.events) | \(share) % | \($b) | \(.hash) |"')
}

version() { dpkg-query -W -f '${Package} ${Version}' "$1"; }

# Two threads of Python that make JSON for a third; Python's small objects come from malloc too.
cat >producers.py <<'PY'
import json, queue, threading
items = queue.Queue(100)
def produce(first):
    for i in range(first, first + 700):
        items.put(json.dumps({"number": i, "text": "x" * (i % 300), "list": list(range(i % 20))}))
    items.put(None)
producers = [threading.Thread(target=produce, args=(n * 700,)) for n in range(2)]
for p in producers: p.start()
ended = total = 0
while ended < 2:
    item = items.get()
    if item is None: ended += 1
    else: total += len(json.loads(item)["text"])
print(total)
PY
cat >rows.sql <<'SQL'
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i+1 from n where i<20000)
  insert into t select i, 'row '||i||hex(i*7919), i*0.5 from n;
create index tb on t(b);
select count(*), sum(c) from t where b like 'row 1%';
delete from t where a%3=0;
SQL
cat >map.cc <<'CC'
#include <iostream>
#include <map>
#include <string>
int main() {
    std::map<std::string, int> words;
    for (int i = 0; i < 1000; i++) words[std::to_string(i)] = i;
    std::cout << words.size() << "\n";
}
CC
# The pipe's left end may be told to stop: that is no failure.
{ find /usr/include -name '*.h' -print0 | sort -z | xargs -0 cat 2>/dev/null || true; } |
  head -c 40000000 >headers.txt
git init --quiet --bare empty.git

record git-grep "$(version git)" "git grep --no-index --threads=4 --count struct (in /usr/include)" \
  git --git-dir="$work/empty.git" --work-tree=/usr/include -C /usr/include \
  grep --no-index --threads=4 --count struct
record pbzip2 "$(version pbzip2)" "pbzip2 -p4 -b1 -k -c headers.txt (40 MB)" \
  pbzip2 -p4 -b1 -k -c headers.txt
PYTHONMALLOC=malloc record python-queue "$(version python3)" "PYTHONMALLOC=malloc python3 -S producers.py" \
  /usr/bin/python3 -S producers.py
record sqlite3 "$(version sqlite3)" "sqlite3 :memory: '.read rows.sql'" \
  sqlite3 :memory: ".read rows.sql"
record perl "$(version perl)" "perl -e (a hash of 977 × 50 lists)" perl -e '
  my %h;
  for my $i (1..20000) { my $k = join "-", $i % 977, "x" x ($i % 50); push @{$h{$k}}, $i; }
  my $n = 0; for (sort keys %h) { $n += @{$h{$_}} } print "$n\n";'
record cc1plus "$(version g++)" "cc1plus -quiet -O1 map.cc" \
  "$(g++ -print-prog-name=cc1plus)" -quiet -O1 -D_GNU_SOURCE \
  -imultiarch x86_64-linux-gnu map.cc -o map.s
record larson "hak: bench/hakload" "hakload larson,chunks=1000,generations=10 --threads=4 --seed=12345" \
  "$build/bin/hakload" larson,chunks=1000,generations=10 --threads=4 --seed=12345
record mailbox "hak: bench/hakload" "hakload mailbox,batch=64,batches=40 --threads=4" \
  "$build/bin/hakload" mailbox,batch=64,batches=40 --threads=4

# With the blocks' addresses.
options=(--addresses)
jq -n '[range(1500) | {number: ., text: ("x" * (. % 90 + 1)), list: [range(. % 12)]}]' >rows.json
record jq "$(version jq)" "jq 'map(a third, length of lists), add' rows.json" \
  jq 'map(select(.number % 3 == 0) | .list | length) | add' rows.json
record gdb "$(version gdb)" "gdb -nx -batch -ex 'info scope main' hakload" \
  gdb -nx -batch -ex 'info scope main' "$build/bin/hakload"
git init --quiet packed.git
cp -r /usr/include/linux packed.git/
git -C packed.git add .
git -C packed.git -c user.name=hak -c user.email=hak commit --quiet --message linux
record git-pack "$(version git)" "git pack-objects --all --stdout --threads=2 (/usr/include/linux)" \
  git -C packed.git pack-objects --all --stdout --threads=2
# A server: what it is to do is done by another process meanwhile.
cat >redis.sh <<'SH'
until [ -S "$1/redis.socket" ]; do sleep 0.05; done
command="redis-cli -s $1/redis.socket"
redis-benchmark -s "$1/redis.socket" -q -P 8 -n 2000 -r 1000 -t set,lpush,hset
$command eval 'for i = 1, 400 do redis.call("rpush", "list", string.rep("x", i)) end' 0
$command unlink list
$command flushall async
$command shutdown nosave
SH
is_wanted redis && sh redis.sh "$work" >driven 2>&1 &
record redis "$(version redis-server)" "redis-server, driven by redis-benchmark -P 8, UNLINK, FLUSHALL ASYNC" \
  redis-server --port 0 --unixsocket "$work/redis.socket" --save '' --io-threads 2
cat >workers.js <<'JS'
const { Worker, isMainThread, parentPort } = require('worker_threads');
const zlib = require('zlib');
if (isMainThread) {
  for (let n = 0; n < 3; n++) new Worker(__filename).postMessage(n);
} else parentPort.on('message', (n) => {
  for (let i = 0; i < 40; i++) zlib.deflateSync(Buffer.alloc(20000, 'words ' + n + i));
  parentPort.close();
});
JS
record node-workers "$(version nodejs)" "node workers.js (three workers that deflate)" node workers.js

{
  cat <<'MD'
# The corpus

Recorded by `traces/corpus/make_corpus.sh` with hakrec's default options (full stacks, 10 µs ticks, no addresses; jq, gdb, git-pack and redis with `--addresses`). *Cross* is the share of frees made by another thread than the allocating one. `larson` is the seed's workload (sizes 2048 to 32767, one round a thread, so that a chain's threads end and are succeeded); replay it with `--geometry=seed`.

| trace | origin | command | threads | events | cross | bytes | hash |
|---|---|---|---|---|---|---|---|
MD
  for name in "${order[@]}"; do printf '%s\n' "${rows[$name]}"; done
} >"$work/README.md"
mv "$work/README.md" "$folder/README.md"
echo "wrote README.md of ${#order[@]} traces to $folder"
