#!/bin/bash
# What everybody relies on in rig.sh: bytes and exit status pass through, folders persist or not, limits hold.
set -uo pipefail

cd "$(dirname "$0")/../.." || exit 1
work=build/rig/selftest
rm -rf $work && mkdir -p $work/kept
failed=0
check() {
  if [ "$2" = "$3" ]; then echo "rig: $1: ok"
  else
    echo "rig: $1: FAILED: wanted \"$3\", have \"$2\""
    failed=1
  fi
}

head -c 300000 /dev/urandom >$work/bytes
UVMM_RIG_RESULTS=$PWD/$work/kept tests/rig/rig.sh sh -c "
  cat $work/bytes; echo to-stderr >&2; [ -c /dev/kvm ] && echo kvm >$work/kept/have; echo lost >$work/lost
  cat /sys/module/kvm_amd/parameters/npt >$work/kept/npt; pwd >$work/kept/pwd; echo \"\$1\" >$work/kept/word; exit 7
" sh "two  words, 'quotes' \$dollar" >$work/out 2>$work/err
check "exit status" $? 7
check "standard output, byte for byte" "$(sha256sum <$work/out)" "$(sha256sum <$work/bytes)"
check "standard error" "$(tail -n 1 $work/err)" to-stderr
check "/dev/kvm" "$(cat $work/kept/have)" kvm
check "nested paging" "$(cat $work/kept/npt)" Y
check "current folder" "$(cat $work/kept/pwd)" "$PWD"
check "quoting" "$(cat $work/kept/word)" "two  words, 'quotes' \$dollar"
check "what is written elsewhere is lost" "$([ -e $work/lost ] && echo there)" ""

UVMM_RIG_TIMEOUT=1 tests/rig/rig.sh sleep 100 >/dev/null 2>$work/err
check "time limit" $? 124
tests/rig/rig.sh sh -c 'echo c >/proc/sysrq-trigger' >/dev/null 2>$work/err
check "a crash of the rig's kernel" $? 125
check "its log is shown" "$(grep -o -m 1 'Kernel panic' $work/err)" "Kernel panic"
UVMM_RIG_BOOT_TIMEOUT=1 tests/rig/rig.sh true >/dev/null 2>$work/err
check "a rig that does not come up" $? 125
check "is tried twice" "$(grep -c 'did not come up' $work/err)" 2
UVMM_RIG_STILL=8 tests/rig/rig.sh sh -c 'pkill sleep; sleep 100' >/dev/null 2>$work/err
check "a machine without a sign of life" $? 125
check "is tried three times" "$(grep -c 'stood still' $work/err)" 3
exit $failed
