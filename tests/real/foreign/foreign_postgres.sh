#!/bin/bash
# PostgreSQL under LD_PRELOAD=libmf2.so: initdb, then pgbench with many clients, then a dump that is
# restored and compared.
#   foreign_postgres.sh LIBMF2 [TRANSACTIONS_PER_CLIENT]
# Debian: postgresql, postgresql-contrib. PostgreSQL does not run as root: then as user postgres.
set -u
library=$1 transactions=${2:-300}
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] && [ -x "$bin/initdb" ] || {
  echo "skipped: no PostgreSQL (Debian: postgresql)"
  exit 77
}
work=$(mktemp -d /tmp/mf2-postgres.XXXXXX)
cp "$library" "$work/libmf2.so"
chmod 755 "$work"
as() { "$@"; }
if [ "$(id -u)" -eq 0 ]; then
  id postgres >/dev/null 2>&1 || { echo "skipped: no user postgres"; exit 77; }
  chown postgres "$work"
  as() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME="$work" "$@"; }
fi
with() { as env LD_PRELOAD="$work/libmf2.so" "$@"; }
cd "$work" || exit 2
stop() { as "$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1; cd /; rm -rf "$work"; }
trap stop EXIT
fail() {
  echo "$1"
  cat "$work"/*.log | tail -n 40
  exit 1
}
with "$bin/initdb" -D "$work/data" --no-sync -A trust >initdb.log 2>&1 || fail "initdb failed"
with "$bin/pg_ctl" -D "$work/data" -l "$work/server.log" -w -o "-k $work -c listen_addresses='' -c fsync=off -c shared_buffers=64MB" start \
  >start.log 2>&1 || fail "the server does not start"
grep -q libmf2 /proc/"$(head -1 data/postmaster.pid)"/maps || fail "libmf2.so was not used"
with "$bin/createdb" -h "$work" bench || fail "createdb failed"
with "$bin/pgbench" -h "$work" -i -s 5 -q bench >init.log 2>&1 || fail "pgbench -i failed"
with "$bin/pgbench" -h "$work" -c 8 -j 2 -t "$transactions" bench >bench.log 2>&1 || fail "pgbench failed"
with "$bin/pgbench" -h "$work" -c 4 -j 2 -t $((transactions * 4)) -S -M prepared bench >select.log 2>&1 || fail "pgbench -S failed"
with "$bin/psql" -h "$work" -q bench >sql.log 2>&1 -c "create table t as select i, md5(i::text) m, repeat('x', i % 2000) r from generate_series(1, 100000) i" \
  -c "create index on t (m)" -c "select count(*) from (select m, count(*) from t group by m having count(*) > 1) d" || fail "SQL failed"
with "$bin/pg_dump" -h "$work" bench >first.sql 2>dump.log || fail "pg_dump failed"
with "$bin/createdb" -h "$work" again && with "$bin/psql" -h "$work" -q again <first.sql >restore.log 2>&1 || fail "restore failed"
with "$bin/pg_dump" -h "$work" again >second.sql 2>>dump.log
# A dump begins and ends with a key of its own, and its rows lie as they were last written.
for dump in first second; do grep -v '^.\(un\)\?restrict ' $dump.sql | LC_ALL=C sort >$dump.sorted; done
cmp first.sorted second.sorted || fail "the restored database differs"
with "$bin/pg_ctl" -D "$work/data" -m fast -w stop >>start.log 2>&1 || fail "the server does not stop"
grep -q PANIC server.log && fail "the server panicked"
echo "PostgreSQL: $(grep -h 'number of transactions actually processed' bench.log select.log | tr '\n' ' ')$(wc -c <first.sql) bytes of dump the same"
