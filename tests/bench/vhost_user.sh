#!/bin/bash
# vhost_user.sh UVMM KERNEL INITRD READER [RUNS]: random reads of 4 KiB from a virtio disk that Debian's
# qemu-storage-daemon serves, by the same guest in uvmm and in Debian's QEMU, alternately in one session; READER is
# random_reads.cc, linked statically. Meant to run in the rig (./dev bench vhost_user): there the ratio means something,
# the rates do not. Exit status 1 when a run does not end.
set -euo pipefail

uvmm=$1 kernel=$2 initrd=$3 reader=$4 runs=${5:-3}
here=$(cd "$(dirname "$0")" && pwd)
memory=256
patience=240
reads=2000
. "$here/beside_qemu.sh"

prepare vhost "$uvmm" "$kernel"
truncate -s 64M "$work/disk"
socket=$work/socket

# Linux unpacks one initramfs after the other: the default one, virtio's drivers, the program that reads.
"$here/../rig/modules.sh" "$work/modules" virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk
mkdir "$work/root" && cp "$reader" "$work/root/random_reads"
(cd "$work/root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/reader"
cat "$initrd" "$work/modules" "$work/reader" >"$work/initrd"

script="for m in \$(cat /modules/order); do insmod /modules/\$m.ko; done; /random_reads /dev/vda 200 1 >/dev/null
/random_reads /dev/vda $reads 1; /random_reads /dev/vda $reads 4"
words="console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check uvmm.exec=base64:$(base64 -w0 <<<"$script")"

boot_uvmm() {
  timeout "$patience" "$work/uvmm" run -k "$work/vmlinuz" -i "$work/initrd" -m ${memory}M -c 1 -p "$words" --vhost-user-blk "$socket"
}

boot_qemu() {
  timeout "$patience" qemu-system-x86_64 -M q35,memory-backend=ram -object "memory-backend-memfd,id=ram,size=${memory}M,share=on" \
    -enable-kvm -cpu host -m $memory -smp 1 -nodefaults -no-user-config -display none -serial stdio -no-reboot \
    -kernel "$work/vmlinuz" -initrd "$work/initrd" -append "$words" \
    -chardev "socket,id=disk,path=$socket" -device "vhost-user-blk-pci,chardev=disk,num-queues=1"
}

# once NAME: boots NAME with a back end of its own; prints its rates and keeps them, or shows why there are none.
once() {
  local name=$1 daemon jobs rate
  rm -f "$socket"
  qemu-storage-daemon --blockdev "driver=file,node-name=disk,filename=$work/disk" --export \
    "type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,addr.path=$socket" >"$work/daemon.log" 2>&1 &
  daemon=$!
  for ((i = 0; i < 600; i++)); do [ -S "$socket" ] && break || sleep 0.05; done
  "boot_$name" <"$work/idle" >"$work/console" 2>&1 || true
  kill "$daemon" 2>/dev/null || true
  wait "$daemon" 2>/dev/null || true
  if [ "$(grep -c -a "^random-reads:" "$work/console")" != 2 ]; then
    echo "$name: FAILED to read from the disk; the end of its console:"
    tail -n 30 "$work/console" "$work/daemon.log" | sed 's/^/  | /'
    failed=1
    return 0
  fi
  while read -r _ _ jobs _ rate; do
    rate=${rate%$'\r'}
    echo "$rate" >>"$work/$name.$jobs"
    echo "$name: $rate reads a second by $jobs processes"
  done < <(grep -a "^random-reads:" "$work/console")
}

by_turns "$runs"
for jobs in 1 4; do
  awk -v jobs=$jobs -v a="$(statistic uvmm.$jobs max)" -v b="$(statistic qemu.$jobs max)" -v c="$(statistic uvmm.$jobs median)" \
    -v d="$(statistic qemu.$jobs median)" \
    'BEGIN { printf "ratio uvmm/QEMU, %d at once: max %.2f, median %.2f (wanted: at least 0.95)\n", jobs, a / b, c / d }'
done
