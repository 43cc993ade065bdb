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
truncate -s 64M "$work/disk"

# Linux unpacks one initramfs after the other: the default one, virtio's drivers, the program that reads.
"$here/../rig/modules.sh" "$work/modules" virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk
mkdir "$work/root" && cp "$reader" "$work/root/random_reads"
(cd "$work/root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/reader"
cat "$initrd" "$work/modules" "$work/reader" >"$work/initrd"

# Hundredths of seconds by the guest's clock; the first round warms the page cache.
script="for m in \$(cat /modules/order); do insmod /modules/\$m.ko; done; /random_reads /dev/vda 200 1 >/dev/null
now() { read -r up idle </proc/uptime; echo \"\${up%.*}\${up#*.}\"; }
stream() {
  local begin=\$(now) i
  for i in 1 2 3 4; do dd bs=1M count=64 \$2 2>/dev/null; done
  echo \"stream: \$1 \$(( 4 * 64 * 100 / (\$(now) - begin + 1) ))\"
}
stream write 'if=/dev/zero of=/dev/vda oflag=direct' >/dev/null
/random_reads /dev/vda $reads 1; /random_reads /dev/vda $reads 4
stream read 'if=/dev/vda of=/dev/null iflag=direct'; stream write 'if=/dev/zero of=/dev/vda oflag=direct'"
words="console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check uvmm.exec=base64:$(base64 -w0 <<<"$script")"

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
  local name=$1 kind jobs rate
  "boot_$name" <"$work/idle" >"$work/console" 2>&1 || true
  if [ "$(grep -c -a -E "^(random-reads|stream):" "$work/console")" != 4 ]; then
    echo "$name: FAILED to use the disk; the end of its console:"
    tail -n 30 "$work/console" | sed 's/^/  | /'
    failed=1
    return 0
  fi
  while read -r _ _ jobs _ rate; do
    rate=${rate%$'\r'}
    echo "$rate" >>"$work/$name.reads$jobs"
    echo "$name: $rate reads of 4 KiB a second by $jobs processes"
  done < <(grep -a "^random-reads:" "$work/console")
  while read -r _ kind rate; do
    rate=${rate%$'\r'}
    echo "$rate" >>"$work/$name.$kind"
    echo "$name: $kind of 1 MiB after the other: $rate MiB/s"
  done < <(grep -a "^stream:" "$work/console")
}

by_turns "$runs"
for what in reads1 reads4 read write; do
  awk -v what=$what -v a="$(statistic uvmm.$what max)" -v b="$(statistic qemu.$what max)" -v c="$(statistic uvmm.$what median)" \
    -v d="$(statistic qemu.$what median)" \
    'BEGIN { printf "ratio uvmm/QEMU, %s: max %.2f, median %.2f (wanted: at least 1.00)\n", what, a / b, c / d }'
done
