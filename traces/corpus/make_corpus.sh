#!/bin/bash
# Records the corpus anew: real programs from Debian 12, and Larson. Writes NAME.zst and README.md
# (origin, command, figures, hash) into this folder, or into the one named.
#
#   traces/corpus/make_corpus.sh [BUILD [FOLDER]]     BUILD defaults to build/release
#
# Needs the packages g++ git pbzip2 perl python3 sqlite3 jq. Two recordings of one program differ:
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

rows=()
record() { # name, origin, command as told, command…
  local name=$1 origin=$2 told=$3
  shift 3
  "$build/bin/hakrec" --quiet --force -o "$folder/$name.zst" "$@" >output 2>errors </dev/null ||
    { echo "make_corpus: $name: $told failed:" >&2; cat errors >&2; exit 1; }
  rm -f "$folder/$name".[0-9]*.zst # its children's
  local bytes
  bytes=$(stat -c %s "$folder/$name.zst")
  [ "$bytes" -lt $most_bytes ] ||
    { echo "make_corpus: $name.zst has $bytes bytes; the most is $most_bytes" >&2; exit 1; }
  "$build/bin/haktrace" verify "$folder/$name.zst"
  rows+=("$("$build/bin/haktrace" info --json "$folder/$name.zst" | jq -r \
    --arg n "$name" --arg o "$origin" --arg t "$told" --arg b "$bytes" '
    def share: if .frees == 0 then 0 else 1000 * .cross_thread_frees / .frees | round / 10 end;
    "| \($n) | \($o) | `\($t)` | \(.threads) | \(.events) | \(share) % | \($b) | \(.hash) |"')")
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

{
  cat <<'MD'
# The corpus

Recorded by `traces/corpus/make_corpus.sh` with hakrec's default options (full stacks, 10 µs ticks, no addresses). *Cross* is the share of frees made by another thread than the allocating one. `larson` is the seed's workload (sizes 2048 to 32767, one round a thread, so that a chain's threads end and are succeeded); replay it with `--geometry=seed`.

| trace | origin | command | threads | events | cross | bytes | hash |
|---|---|---|---|---|---|---|---|
MD
  printf '%s\n' "${rows[@]}"
} >"$folder/README.md"
echo "wrote ${#rows[@]} traces and README.md to $folder"
