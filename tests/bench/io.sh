#!/bin/bash
# io.sh UVMM KERNEL INITRD READER [RUNS]: a virtio disk of uvmm's own beside that of Debian's QEMU: random reads of 4 KiB
# by one and by four processes, and 1 MiB after the other read and written past the guest's cache, by the same guest on the
# same image, alternately in one session; READER is random_reads.cc, linked statically. Meant to run in the rig
# (./dev bench io): there the ratio means something, the rates do not. Exit status 1 when a run does not end.
set -euo pipefail

uvmm=$1 kernel=$2 initrd=$3 reader=$4 runs=${5:-3}
here=$(cd "$(dirname "$0")" && pwd)
memory=256
patience=240
reads=2000
. "$here/beside_qemu.sh"

prepare io "$uvmm" "$kernel"
with_disk "$initrd" "$reader"

# Hundredths of seconds by the guest's clock; the first writes make the image's blocks.
script="now() { read -r up idle </proc/uptime; echo \"\${up%.*}\${up#*.}\"; }
stream() {
  local begin=\$(now) i
  for i in 1 2 3 4; do dd bs=1M count=64 \$2 2>/tmp/said || { cat /tmp/said; return; }; done
  echo \"stream: \$1 \$(( 4 * 64 * 100 / (\$(now) - begin + 1) ))\"
}
stream write 'if=/dev/zero of=/dev/vda oflag=direct' >/dev/null
/random_reads /dev/vda $reads 1; /random_reads /dev/vda $reads 4
stream read 'if=/dev/vda of=/dev/null iflag=direct'; stream write 'if=/dev/zero of=/dev/vda oflag=direct'"
words=$(disk_words "$script")

boot_uvmm() {
  timeout "$patience" "$work/uvmm" run -k "$work/vmlinuz" -i "$work/initrd" -m ${memory}M -c 1 -p "$words" --disk "$work/disk"
}

boot_qemu() {
  timeout "$patience" qemu-system-x86_64 -M q35 -enable-kvm -cpu host -m $memory -smp 1 -nodefaults -no-user-config -display none \
    -serial stdio -no-reboot -kernel "$work/vmlinuz" -initrd "$work/initrd" -append "$words" \
    -drive "file=$work/disk,format=raw,if=none,id=disk,cache=writeback" -device virtio-blk-pci,drive=disk
}

# once NAME: boots NAME; prints its rates and keeps them, or shows why there are none.
once() {
  "boot_$1" <"$work/idle" >"$work/console" 2>&1 || true
  keep_rates "$1" 4
}

by_turns "$runs"
ratio reads1 max "at least 1.00" "random reads of 4 KiB, one at a time"
ratio reads4 max "at least 1.00" "random reads of 4 KiB, four at once"
ratio read max "at least 1.00" "reads of 1 MiB after the other"
ratio write max "at least 1.00" "writes of 1 MiB after the other"
