#!/bin/bash
# node under LD_PRELOAD=libmf2.so: buffers, worker threads, zlib, crypto, child processes.
#   foreign_node.sh LIBMF2
# Debian: nodejs.
set -u
library=$1
command -v node >/dev/null || {
  echo "skipped: no node (Debian: nodejs)"
  exit 77
}
cat >program.js <<'JS'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib'), crypto = require('crypto'), { execFileSync } = require('child_process');
function work(seed) {
  let sum = 0, kept = [];
  for (let i = 0; i < 3000; i++) {
    const b = Buffer.alloc((i * 7919 + seed) % 70000, i & 255);
    kept[i % 100] = b;
    if (i % 10 == 0) {
      const z = zlib.gunzipSync(zlib.gzipSync(b));
      if (!z.equals(b)) throw new Error('gzip');
      sum += crypto.createHash('sha256').update(z).digest()[0];
    }
    sum += b.length ? b[b.length - 1] : 0;
  }
  return sum;
}
if (isMainThread) {
  let results = [], left = 12, started = 0;
  const start = () => {
    const n = started++;
    const w = new Worker(__filename, { workerData: n });
    w.on('message', r => { results[n] = r; });
    w.on('error', e => { throw e; });
    w.on('exit', () => { if (started < 12) start(); if (--left == 0) finish(); });
  };
  const finish = () => {
    const json = JSON.stringify(Array.from({ length: 200000 }, (_, i) => ({ i, s: 'x'.repeat(i % 50) })));
    console.log(results.join(' '), JSON.parse(json).length, execFileSync('/bin/echo', ['child']).toString().trim());
  };
  for (let i = 0; i < 4; i++) start();
} else {
  parentPort.postMessage(work(workerData));
}
JS
expected=$(node program.js) || { echo "node fails without libmf2.so"; exit 77; }
found=$(LD_PRELOAD=$library node program.js)
status=$?
[ $status -eq 0 ] && [ "$found" = "$expected" ] || { echo "node: status $status, '$found', expected '$expected'"; exit 1; }
echo "node $(node --version): the same output"
