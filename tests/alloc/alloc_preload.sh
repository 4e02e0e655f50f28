#!/bin/bash
# Programs under LD_PRELOAD=libmf2.so do what they do without: entry points, python3, g++, git.
#   alloc_preload.sh LIBMF2 ENTRY_POINTS
set -u
library=$1 entry_points=$2
failed=0

with() { # route, command…
  local route=$1
  shift
  MF2_ROUTE=$route LD_PRELOAD=$library "$@"
}

same() { # name, command…: output and status equal to those without the preload, on three routes
  local name=$1
  shift
  "$@" >plain.out 2>plain.err
  local expected=$?
  for route in best cda s3; do
    with "$route" "$@" >preloaded.out 2>preloaded.err
    local status=$?
    if [ $status -ne $expected ] || ! cmp -s plain.out preloaded.out; then
      echo "$name differs under route $route: status $status, expected $expected"
      head -5 preloaded.err
      failed=1
    fi
  done
}

for route in best cda cda-t4 s1 s2 s3 p; do
  with $route "$entry_points" || { echo "entry points fail under route $route"; failed=1; }
done
MF2_GEOMETRY=seed with best "$entry_points" || { echo "entry points fail in seed geometry"; failed=1; }

# The library is in use, not ignored: its counters move.
MF2_STATS=1 with best "$entry_points" 2>&1 | grep -qE '^mf2: [0-9]+ new_page_count +[1-9]' ||
  { echo "MF2_STATS=1 shows no new page: is the library loaded?"; failed=1; }

MF2_STATS=1 with best "$entry_points" 2>&1 | grep -qE '^mf2: [0-9]+: pages of small blocks: [1-9][0-9]* new, ' ||
  { echo "MF2_STATS=1 has no summary"; failed=1; }
MF2_HELP=1 with best "$entry_points" 2>&1 | grep -qE '^  MF2_GEOMETRY +default +[a-z]' ||
  { echo "MF2_HELP=1 prints no table"; failed=1; }
[ "$(MF2_HELP=0 with best "$entry_points" 2>&1 | wc -l)" -eq 0 ] || { echo "MF2_HELP=0 prints"; failed=1; }

[ "$(MF2_STATS=0 with best "$entry_points" 2>&1 | wc -l)" -eq 0 ] || { echo "MF2_STATS=0 prints"; failed=1; }
with "" "$entry_points" || { echo "an empty MF2_ROUTE is not the default"; failed=1; }

with no-such-route "$entry_points" 2>err && [ -s err ] && { echo "an unknown route is accepted"; failed=1; }
grep -q "MF2_ROUTE: unknown route" err || { echo "an unknown route is not named"; failed=1; }

PYTHON=/usr/bin/python3
if [ -x $PYTHON ]; then
  same python $PYTHON -c '
import json, threading, queue, re
q = queue.Queue()
def produce():
    for i in range(5000): q.put(json.dumps({"n": i, "s": "x" * (i % 500)}))
    q.put(None)
t = threading.Thread(target=produce); t.start()
total = 0
while (item := q.get()) is not None: total += len(json.loads(item)["s"])
t.join(); print(total, len(re.findall("a+", "aab" * 1000)))'
  PYTHONMALLOC=malloc same python-malloc $PYTHON -c 'print(sum(len(str(i)) for i in range(200000)))'
fi
if command -v g++ >/dev/null; then
  cat >heavy.cc <<'CC'
#include <iostream>
#include <map>
#include <regex>
#include <string>
int main() {
    std::map<std::string, int> m;
    for (int i = 0; i < 1000; i++) m[std::to_string(i)] = i;
    std::cout << m.size() << std::regex_match("aab", std::regex("a+b")) << "\n";
}
CC
  same compile g++ -O1 -S -o - heavy.cc
fi
if command -v git >/dev/null; then
  git init -q repository 2>/dev/null
  (cd repository && for i in $(seq 200); do seq $i $((i * 7)) >file$i; done && git add . &&
    git -c user.name=n -c user.email=e commit -qm one)
  same git-grep git -C repository grep -c 7
  same git-pack git -C repository pack-objects --all --stdout --threads=1 </dev/null
  # With two threads the pack's bytes differ from run to run; what is in it does not.
  for route in best cda; do
    with $route git -C repository pack-objects --all --stdout --threads=2 </dev/null >two.pack &&
      git index-pack two.pack >/dev/null || { echo "git-pack is broken under $route"; failed=1; }
  done
fi
exit $failed
