#!/bin/sh
# low_maps.sh LIBMF2 PROGRAM...: the arena finds a place where the maps of the process lie low, as
# under valgrind, which gives addresses out from the bottom.
library=$1
shift
command -v valgrind >/dev/null || { echo "skipped: valgrind is not installed"; exit 77; }
LD_PRELOAD=$library valgrind --quiet --tool=none "$@"
