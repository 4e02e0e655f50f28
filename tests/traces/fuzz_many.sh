#!/bin/bash
# Runs every fuzzing target of the trace readers many times, in several processes, and says what came
# of it.
#
#   tests/traces/fuzz_many.sh [BUILD [EXECUTIONS [SEED [PROCESSES]]]]
#
# BUILD: with sanitizers, default build/asan. EXECUTIONS: of each target, by each process (100000).
# SEED: the first process's; the others have those after it, so that runs with other seeds may go on
# beside this one and add up. What fails stays in the folder that is named.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
build=$(cd "${1:-$source_dir/build/asan}" && pwd)
executions=${2:-100000} seed=${3:-1} processes=${4:-$(nproc)}
work=$(mktemp -d)
for ((i = 0; i < processes; i++)); do
  mkdir "$work/$((seed + i))"
  (cd "$work/$((seed + i))" &&
    exec "$build/tests/bin/fuzz_traces" "$source_dir" "$executions" "$((seed + i))" >log 2>&1) &
  pids[i]=$!
done
failed=0
for ((i = 0; i < processes; i++)); do
  wait "${pids[i]}" && continue
  failed=1
  echo "seed $((seed + i)): failed, see $work/$((seed + i))"
done
cat "$work"/*/log
[ $failed = 0 ] && rm -rf "$work"
exit $failed
