#!/bin/bash
# debian_image.sh [--into FOLDER]: prints the folder of a Debian 12 as debootstrap makes it, which it makes on first use:
# three minutes, as root, 450 MB. With --into it makes none, and copies the one that is there to FOLDER: what is below, and
# the key of a new pair, with which root may come in by ssh.
#
#   disk.img    raw, 640 MiB: one ext4, with systemd, ssh, fio and iperf3
#   kernel, initrd   of this very system: Debian's cloud kernel and the initramfs that its own tools have made
#
# Nothing in it is of our making but a name, and services that are on: an image that somebody else could have. It takes its
# network from the kernel's word ip=…; root has no password. archive.sh tells where the folder lives.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/rig/archive.sh
. "$here/archive.sh"
packages=systemd-sysv,udev,dbus,kmod,initramfs-tools,zstd,linux-image-cloud-amd64,iproute2,openssh-server,fio,iperf3,e2fsprogs

have() { [ "$(cat "$cache/debian/key" 2>/dev/null)" = "$key" ] && intact "$cache/debian"; }

# make_root WORK: the system, into WORK/root.
make_root() {
  local work=$1 mirror
  mirror=$(sed -n 's/^deb \[[^]]*\] \([^ ]*\) bookworm main$/\1/p' "$work/bookworm.list" | head -n 1)
  say "making a Debian 12 out of its packages; this takes minutes"
  # What it mounts is gone with the name space.
  unshare -m debootstrap --arch=amd64 --variant=minbase --include="$packages" bookworm "$work/root" "$mirror" >>"$work/log" 2>&1 || return 1
  chroot "$work/root" systemctl -q enable systemd-networkd systemd-network-generator ssh >>"$work/log" 2>&1 || return 1
  echo debian >"$work/root/etc/hostname"
  rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
}

# make_image WORK: disk, kernel and initramfs of WORK/root, into WORK/tree.
make_image() {
  local work=$1
  mkdir "$work/tree"
  cp -L "$work/root/vmlinuz" "$work/tree/kernel"
  cp -L "$work/root/initrd.img" "$work/tree/initrd"
  truncate -s 640M "$work/tree/disk.img"
  /sbin/mke2fs -q -t ext4 -d "$work/root" "$work/tree/disk.img" >>"$work/log" 2>&1 || return 1
  echo "$key" >"$work/tree/key"
  finish "$work"
}

key=$({ echo "$packages" && declare -f make_root make_image; } | sha256sum | cut -d' ' -f1)

obtain() {
  local work
  if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
    say "there is no image of a Debian system yet, and making one takes root and the package debootstrap"
    exit 1
  fi
  work=$(mktemp -d "$cache/fetch.XXXXXX")
  # shellcheck disable=SC2064  # the value of now is meant
  trap "rm -rf '$work'" EXIT
  chmod 755 "$work"
  write_sources "$work"
  if ! make_root "$work" || ! make_image "$work"; then
    tail -n 20 "$work/log" >&2
    say "cannot make a Debian system: check the machine's network and apt sources (Debian 12 is needed)"
    exit 1
  fi
  keep "$work" debian
}

# give FOLDER
give() {
  cp --sparse=always "$cache/debian"/{disk.img,kernel,initrd} "$1/"
  ssh-keygen -q -t ed25519 -N "" -C test -f "$1/key"
  /sbin/debugfs -w -f - "$1/disk.img" >"$1/debugfs.log" 2>&1 <<END
write $1/key.pub /root/.ssh/authorized_keys
END
}

# Not the lock of what takes seconds.
exec 9>"$cache/lock.debian"
flock 9
if [ "${1:-}" = --into ]; then
  have || { say "there is no Debian system here yet (./dev test --long and ./dev bench debian make it)" && exit 1; }
  give "$2"
else
  have || (obtain)
  echo "$cache/debian"
fi
