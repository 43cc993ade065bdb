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
with_disk "$initrd" "$reader"
words=$(disk_words "/random_reads /dev/vda $reads 1; /random_reads /dev/vda $reads 4")
socket=$work/socket

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
  local name=$1 daemon i
  rm -f "$socket"
  qemu-storage-daemon --blockdev "driver=file,node-name=disk,filename=$work/disk" --export \
    "type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,addr.path=$socket" >"$work/daemon.log" 2>&1 &
  daemon=$!
  for ((i = 0; i < 600; i++)); do [ -S "$socket" ] && break || sleep 0.05; done
  "boot_$name" <"$work/idle" >"$work/console" 2>&1 || true
  kill "$daemon" 2>/dev/null || true
  wait "$daemon" 2>/dev/null || true
  keep_rates "$name" 2 "$work/daemon.log"
}

by_turns "$runs"
ratio reads1 max "at least 0.95" "random reads of 4 KiB, one at a time"
ratio reads4 max "at least 0.95" "random reads of 4 KiB, four at once"
