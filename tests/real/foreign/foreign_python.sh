#!/bin/bash
# CPython's own test suite under LD_PRELOAD=libmf2.so: every module that passes under the C library's
# malloc passes. Each object of Python is a block of malloc's: PYTHONMALLOC=malloc.
#   foreign_python.sh LIBMF2 [MODULE…]
# Debian: libpython3.11-testsuite.
set -u
library=$1
shift
python=/usr/bin/python3
modules=("$@")
[ ${#modules[@]} -gt 0 ] || modules=(
  test_array test_ast test_asyncgen test_atexit test_bigmem test_binascii test_buffer test_bytes test_bz2
  test_c_locale_coercion test_capi test_class test_cmath test_code test_codecs test_collections
  test_compile test_complex test_concurrent_futures test_contextlib test_copy test_coroutines
  test_csv test_ctypes test_dataclasses test_datetime test_decimal test_deque test_descr test_dict
  test_difflib test_email test_embed test_enum test_exceptions test_faulthandler test_fileio
  test_float test_fork1 test_fractions test_frozen test_fstring test_functools test_gc
  test_generators test_glob test_grammar test_gzip test_hashlib test_heapq test_httplib test_import
  test_inspect test_int test_io test_itertools test_json test_list test_long test_lzma test_marshal
  test_math test_memoryview test_mmap test_multiprocessing_fork test_multiprocessing_spawn
  test_named_expressions test_operator test_ordered_dict test_os test_patma test_pickle
  test_posix test_pyexpat test_queue test_random test_range test_re test_resource test_runpy
  test_select test_set test_shelve test_signal test_socket test_sort test_sqlite3 test_ssl test_str
  test_string test_struct test_subprocess test_sys test_syslog test_tarfile test_tempfile
  test_thread test_threadedtempfile test_threading test_threading_local test_time test_tokenize
  test_traceback test_tracemalloc test_tuple test_typing test_unicode test_unicodedata
  test_userdict test_uuid test_weakref test_weakset test_xml_etree test_xml_etree_c test_zipfile
  test_zlib)
[ -x $python ] && $python -c 'import test.regrtest, test.test_list' 2>/dev/null || {
  echo "skipped: no python3 with its test suite (Debian: libpython3.11-testsuite)"
  exit 77
}

suite() { # log, modules…
  local log=$1
  shift
  PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1 $python -m test -j2 -q "$@" >"$log" 2>&1 </dev/null
}

# Modules named in a summary such as "3 tests failed:" with the names indented below.
failed_in() {
  awk '/^[0-9]+ (test|tests) failed/ {on = 1; next} /^[^ ]/ {on = 0} on {for (i = 1; i <= NF; i++) print $i}' "$1"
}

suite plain.log "${modules[@]}"
mapfile -t unfit < <(failed_in plain.log)
passing=()
for module in "${modules[@]}"; do
  [[ " ${unfit[*]-} " == *" $module "* ]] || passing+=("$module")
done
echo "${#passing[@]} of ${#modules[@]} modules pass under the C library's malloc; not: ${unfit[*]-}"
[ ${#passing[@]} -gt $((${#modules[@]} / 2)) ] || { tail -30 plain.log; exit 1; }

LD_PRELOAD=$library suite mf2.log "${passing[@]}"
status=$?
mapfile -t failed < <(failed_in mf2.log)
# A test that fails only now and then fails again, or it is not the allocator.
still=()
for module in "${failed[@]}"; do
  LD_PRELOAD=$library suite "again-$module.log" "$module" || still+=("$module")
done
echo "under libmf2.so: status $status, failed once: ${failed[*]-none}, failed twice: ${still[*]-none}"
if [ ${#still[@]} -gt 0 ] || { [ $status -ne 0 ] && [ ${#failed[@]} -eq 0 ]; }; then
  tail -60 mf2.log
  exit 1
fi
