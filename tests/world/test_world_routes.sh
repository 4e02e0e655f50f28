#!/bin/sh
# Every preset, and the combinations in which random interleavings have found bugs, come through
# random interleavings clean. Seeds are fixed: a failure here is a failure everywhere.
#     test_world_routes.sh EXPLORER SCHEDULES
set -u
failed=0
while read -r route; do
    "$1" --recorded "$route" >said.txt 2>&1 && "$1" "$route" "$2" 0 fail.hks >said.txt 2>&1 ||
        { failed=1; cat said.txt; }
done <<'END'
cda
cda-claim
cda-t2
cda-t4
cda-reenqueue
s1
s2
s3
p
best
best,front=2048,front_total=16384,depot=8192
best,front=4096,front_total=16384,depot=8192,borrow=100
best,front=0,depot=0
best,put_back=off,front=2048,front_total=16384,depot=8192
best,front=2048,depot=0,orphans=strand
home
cda,orphans=adopt
cda,orphans=adopt,empty=recycle
cda,partial=on,full_free=partial,orphans=reclaim,empty=unmap
cda-claim,orphans=adopt,empty=unmap
cda-reenqueue,orphans=adopt,empty=recycle
s3,orphans=adopt
s3,orphans=reclaim,empty=recycle
s3,orphans=reclaim,empty=unmap,protocol=word
p,gate_pressure=0,gate_remotes=1
p,gate_pressure=0,gate_remotes=1,rfr_ns=1000,orphans=reclaim,empty=recycle
p,gate_pressure=0,gate_remotes=0,rfr_ns=0,gate_idle=off,gate_partial=off,orphans=adopt
p,protocol=word,gate_pressure=0,gate_remotes=1,rfr_ns=1000
home,helper=on
home,helper=on,empty=unmap
home,notify=2
home,drain=anyone
home,drain=anyone,scan=all
home,drain=anyone,must_reuse=off
home,full_free=pending
home,full_free=graveyard
home,protocol=counted
home,protocol=counted,claim=off,drain=anyone
END
exit $failed
