#!/bin/sh
# Runs one program under LD_PRELOAD=libmf2.so on each of the routes, and says on which it fails.
#   routes.sh LIBRARY "ROUTE ROUTE…" PROGRAM args…
library=$1 routes=$2
shift 2
failed=0
for route in $routes; do
    status=0
    MF2_ROUTE=$route LD_PRELOAD=$library "$@" || status=$?
    [ $status -ne 77 ] || exit 77
    [ $status -eq 0 ] || { echo "exit status $status on route $route"; failed=1; }
done
exit $failed
