#!/bin/sh
# A patch that no longer applies is refused with one line that names it, and leaves no tree.
#     test_stale_patch.sh CMAKE SOURCE_DIR
set -u
cat >stale.patch <<'END'
--- a/alloc/activate.c
+++ b/alloc/activate.c
@@ -1,3 +1,3 @@
-this line was never there
+nor will this one be
 neither was this
 nor this
END
"$1" -DSOURCE="$2/alloc" -DTREE="$PWD/tree" -DPATCH_FILE="$PWD/stale.patch" -DPATCH=patch \
    -P "$2/tests/mutants/make_mutant.cmake" >said.txt 2>&1 && { echo "applied"; exit 1; }
# CMake breaks long lines where it likes.
tr -s " \n" " " <said.txt | grep -q "stale.patch: no longer applies" || { cat said.txt; exit 1; }
[ ! -e tree ] || { echo "a tree is left"; exit 1; }
