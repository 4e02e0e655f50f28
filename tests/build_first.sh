#!/bin/sh
# Builds a target that is left out of `all`, then runs the test that needs it.
#     build_first.sh CMAKE TARGET COMMAND...     HAK_BUILD_DIR says where
set -u
"$1" --build "$HAK_BUILD_DIR" --target "$2" >build.txt 2>&1 || {
    echo "$2 cannot be built:"
    grep -v "^\[" build.txt
    exit 1
}
shift 2
exec "$@"
