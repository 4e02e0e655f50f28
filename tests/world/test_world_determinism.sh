#!/bin/sh
# The same seeds give the same run, point for point, in any process and wherever the OS puts it;
# other seeds give another.
#     test_world_determinism.sh EXPLORER
set -u
for route in cda s3 p best; do
    "$1" $route 300 1 >first.txt || { cat first.txt; exit 1; }
    "$1" $route 300 1 >second.txt
    setarch -R "$1" $route 300 1 >third.txt
    "$1" $route 300 2 >other.txt
    cmp first.txt second.txt && cmp first.txt third.txt || exit 1
    ! cmp -s first.txt other.txt || { echo "$route: other seeds, the same runs"; exit 1; }
    cat first.txt
done
