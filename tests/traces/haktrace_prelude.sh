# What the tests of haktrace begin with; each reads it in:  . "$(dirname "$0")/haktrace_prelude.sh"
set -u
haktrace=$HAK_BIN_DIR/haktrace
# shellcheck disable=SC2034 # used by those that read this in
corpus=$HAK_SOURCE_DIR/traces/corpus golden=$HAK_SOURCE_DIR/tests/traces/golden
# shellcheck disable=SC2034
sample=${1-} # the program that writes the sample trace
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
