#!/bin/bash
# git on a big repository under LD_PRELOAD=libmf2.so: what it prints, packs and checks out is what it
# does without, with its threads.
#   foreign_git.sh LIBMF2 [REPOSITORY]
# Without a REPOSITORY it makes one: 6,000 files, 300 commits.
set -u
library=$1
command -v git >/dev/null || {
  echo "skipped: no git"
  exit 77
}
export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' \
  GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e \
  GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e
repository=${2-}
if [ -z "$repository" ]; then
  repository=$PWD/big
  # Every commit changes forty files.
  awk 'BEGIN {
    srand(7)
    for (c = 1; c <= 300; c++) {
      printf "commit refs/heads/main\nmark :%d\ncommitter n <e> %d +0000\ndata 2\nc\n\n", c, 1577836800 + c
      for (f = 0; f < (c == 1 ? 6000 : 40); f++) {
        n = c == 1 ? f : int(rand() * 6000)
        text = ""
        lines = 20 + n % 200
        for (l = 0; l < lines; l++) text = text "line " l " of " n " struct " (l == c % lines ? c : 0) "\n"
        printf "M 100644 inline d%d/f%d.c\ndata %d\n%s\n", n % 60, n, length(text), text
      }
    }
  }' >stream
  git init -q --bare --initial-branch=main big.git && mkdir big
  git -C big.git fast-import --quiet <stream || exit 1
  git clone -q big.git big 2>/dev/null
fi
[ "$(git -C "$repository" ls-files | wc -l)" -gt 1000 ] || { echo "the repository is not big"; exit 1; }
failed=0
same() { # name, command…
  local name=$1 expected status
  shift
  "$@" >plain.out 2>plain.err
  expected=$?
  LD_PRELOAD=$library "$@" >mf2.out 2>mf2.err
  status=$?
  if [ $status -ne $expected ] || ! cmp -s plain.out mf2.out; then
    echo "$name differs: status $status, expected $expected"
    head -5 mf2.err
    failed=1
  fi
}
same log git -C "$repository" log --stat --format=%H
same diff git -C "$repository" diff --stat HEAD~200 HEAD
same grep git -C "$repository" grep --threads=4 -c 'struct [1-9]'
same blame git -C "$repository" blame -s d1/f1.c
same rev-list git -C "$repository" rev-list --objects --all
same fsck git -C "$repository" fsck --full
same archive git -C "$repository" archive HEAD
# Threads make a pack's bytes differ from run to run; what is in it does not.
LD_PRELOAD=$library git -C "$repository" pack-objects --all --stdout --threads=4 --window=50 </dev/null >mf2.pack 2>/dev/null &&
  LD_PRELOAD=$library git index-pack --threads=4 mf2.pack >/dev/null && git verify-pack mf2.pack || { echo "pack is broken"; failed=1; }
LD_PRELOAD=$library git clone -q --no-local "$repository" copy 2>/dev/null &&
  [ -z "$(git -C copy status --porcelain)" ] && [ "$(git -C copy rev-parse HEAD)" = "$(git -C "$repository" rev-parse HEAD)" ] ||
  { echo "clone differs"; failed=1; }
LD_PRELOAD=$library git -C copy repack -adq --threads=4 && LD_PRELOAD=$library git -C copy gc -q && git -C copy fsck --full >/dev/null 2>&1 ||
  { echo "repack and gc leave a broken repository"; failed=1; }
[ $failed -ne 0 ] || echo "git: $(git -C "$repository" rev-list --all | wc -l) commits, $(git -C "$repository" ls-files | wc -l) files, all the same"
exit $failed
