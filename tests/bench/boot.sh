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
  local name=$1 milliseconds
  launch "$name"
  milliseconds=$(milliseconds_to "$line" "$patience") || milliseconds=""
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  wait
  if [ -n "$milliseconds" ]; then keep "$name" milliseconds "$milliseconds"; else show_failure "$name" "reach \"$line\""; fi
}

by_turns "$runs"
for name in uvmm qemu; do
  echo "$name: min $(statistic $name.milliseconds min) ms, median $(statistic $name.milliseconds median) ms of $runs"
done
ratio milliseconds min "at most 1.00" boot
