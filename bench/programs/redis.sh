#!/bin/sh
# redis.sh: a redis server under redis-benchmark, until the benchmark is done. The allocator that is
# preloaded is the server's alone. Debian's redis is linked with jemalloc: where nothing is
# preloaded, the C library's malloc is put before it.
set -eu
library=${LD_PRELOAD:-libc.so.6}
unset LD_PRELOAD
LD_PRELOAD=$library redis-server --port 0 --unixsocket redis.sock --save '' --appendonly no \
    --daemonize no --logfile redis.log &
server=$!
trap 'kill $server 2>/dev/null || :' EXIT
until redis-cli -s redis.sock ping >/dev/null 2>&1; do
    kill -0 $server 2>/dev/null || { echo "redis-server did not start: $(tail -1 redis.log)" >&2; exit 1; }
    sleep 0.01
done
redis-benchmark -s redis.sock -q -P 16 -n 60000 -r 20000 -d 400 \
    -t set,get,incr,lpush,rpop,sadd,hset,zadd,mset >/dev/null
redis-cli -s redis.sock shutdown nosave >/dev/null 2>&1 || :
wait $server
trap - EXIT
echo served
