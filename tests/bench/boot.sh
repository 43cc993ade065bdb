#!/bin/bash
# boot.sh UVMM KERNEL INITRD [RUNS]: the time from process start to the line the guest's /init prints, for uvmm and for
# Debian's QEMU (its fastest machine, microvm), with the same kernel, initramfs, memory and kernel command line,
# alternately in one session. Meant to run in the rig (./dev bench boot): there the ratio means something, the seconds
# do not. Exit status 1 when a run does not reach the line.
set -euo pipefail

uvmm=$1 kernel=$2 initrd=$3 runs=${4:-3}
here=$(cd "$(dirname "$0")" && pwd)
line="uvmm-guest: init reached"
words="console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check"
memory=256
patience=120
. "$here/beside_qemu.sh"

prepare boot "$uvmm" "$kernel"
cp "$initrd" "$work/initrd"

boot_uvmm() {
  exec "$work/uvmm" run -k "$work/vmlinuz" -i "$work/initrd" -m ${memory}M -c 1 -p "$words"
}

boot_qemu() {
  exec qemu-system-x86_64 -M microvm,pit=off,pic=off,rtc=on,isa-serial=on,x-option-roms=off -enable-kvm -cpu host -m $memory -smp 1 \
    -nodefaults -no-user-config -display none -serial stdio -no-reboot -kernel "$work/vmlinuz" -initrd "$work/initrd" -append "$words"
}

# once NAME: boots NAME; prints its milliseconds and keeps them, or shows why there are none.
once() {
  local name=$1 start end pid console=$work/console milliseconds
  rm -f "$work/pipe" && mkfifo "$work/pipe"
  start=${EPOCHREALTIME/./}
  ("boot_$name") <"$work/idle" >"$work/pipe" 2>&1 &
  pid=$!
  cat <"$work/pipe" >"$console" &
  : >>"$console"
  timeout "$patience" grep -q -a -m 1 -F "$line" < <(exec tail -c +1 -s 0.05 -f "$console" --pid="$pid") || true
  end=${EPOCHREALTIME/./}
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  wait
  if ! grep -q -a -F "$line" "$console"; then
    echo "$name: FAILED to reach \"$line\"; the end of its console:"
    tail -n 30 "$console" | sed 's/^/  | /'
    failed=1
    return 0
  fi
  milliseconds=$(((end - start) / 1000))
  echo "$milliseconds" >>"$work/$name.times"
  echo "$name: $milliseconds ms"
}

by_turns "$runs"
for name in uvmm qemu; do
  echo "$name: min $(statistic $name.times min) ms, median $(statistic $name.times median) ms of $runs"
done
awk -v a="$(statistic uvmm.times min)" -v b="$(statistic qemu.times min)" -v c="$(statistic uvmm.times median)" -v d="$(statistic qemu.times median)" \
  'BEGIN { printf "ratio uvmm/QEMU: min %.2f, median %.2f (wanted: at most 1.00)\n", a / b, c / d }'
