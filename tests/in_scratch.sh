#!/bin/sh
# Runs one test in an empty folder of its own: in_scratch.sh FOLDER program args…
# The folder is left behind, so that a failed test can be looked at.
set -eu
scratch=$1
shift
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
exec "$@"
