#!/bin/sh
# Every C file is as .clang-format has it, by Debian 12's clang-format 14.
#     check_format.sh SOURCE_DIR
cd "$1" || exit 1
case $(clang-format --version 2>/dev/null) in
*"version 14."*) ;;
*) echo "skipped: clang-format 14 is not installed" && exit 77 ;;
esac
find traces alloc recorder world replayer sim bench tests cmake -name '*.[ch]' -print0 |
    xargs -0 clang-format --dry-run -Werror
