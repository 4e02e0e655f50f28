#!/bin/bash
# redis under LD_PRELOAD=libmf2.so and a mixed load: values of many sizes, lists, hashes, sorted
# sets, expiry, an append-only file with its rewriting child, a snapshot by fork, eviction. What it
# holds in the end is what it says it holds, and its own allocator is not in the way.
#   foreign_redis.sh LIBMF2 [REQUESTS]
# Debian: redis-server, redis-tools. Debian's redis is linked with jemalloc: only the calls that go
# to malloc by name are MF2's; the test says how many they are.
set -u
library=$1 requests=${2:-200000}
command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null || {
  echo "skipped: no redis (Debian: redis-server redis-tools)"
  exit 77
}
socket=$PWD/redis.sock
MF2_STATS=1 MF2_STATS_FILE=$PWD/stats LD_PRELOAD=$library redis-server --port 0 --unixsocket "$socket" \
  --save '' --appendonly yes --dir "$PWD" --maxmemory 200mb --maxmemory-policy allkeys-lru \
  --io-threads 2 --daemonize no >redis.log 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null' EXIT
ask() { redis-cli -s "$socket" "$@"; }
for _ in $(seq 200); do
  [ "$(ask ping 2>/dev/null)" = PONG ] && break
  sleep 0.1
done
fail() {
  echo "$1"
  tail -20 redis.log
  exit 1
}
[ "$(ask ping)" = PONG ] || fail "redis does not answer"
for size in 10 100 1000 10000; do
  redis-benchmark -s "$socket" -q -n $((requests / 4)) -r 100000 -c 20 -P 16 -d $size -t set,get,lpush,rpop,hset,zadd \
    >/dev/null || fail "redis-benchmark failed with values of $size bytes"
done
ask bgrewriteaof >/dev/null
ask eval 'for i = 1, 20000 do redis.call("set", "k" .. i, string.rep("x", i % 3000)) end return 1' 0 >/dev/null
ask save >/dev/null
wrong=$(ask eval 'local n = 0 for i = 1, 20000 do local v = redis.call("get", "k" .. i)
  if v and v ~= string.rep("x", i % 3000) then n = n + 1 end end return n' 0)
[ "$wrong" = 0 ] || fail "$wrong values are not what was stored"
ask memory purge >/dev/null
ask memory doctor >/dev/null
keys=$(ask dbsize)
ask flushall sync >/dev/null
ask shutdown nosave >/dev/null 2>&1
wait $server
status=$?
trap - EXIT
[ $status -eq 0 ] || fail "redis ended with status $status"
grep -q 'slow_paths' stats || fail "libmf2.so was not used"
echo "redis: $keys keys, $(awk '/slow_paths/ {n += $4} END {print n}' stats) slow paths of MF2, no wrong value"
