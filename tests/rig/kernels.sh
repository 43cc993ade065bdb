#!/bin/bash
# kernels.sh l1|iommufd|l2|symbols: prints the folder of an unpacked Debian (or Ubuntu) kernel, fetching it on first use.
#
#   l1  the rig's own kernel: 6.12 from bookworm-backports (memory fault info, guest_memfd, KVM_PRE_FAULT_MEMORY);
#       bookworm's 6.1 when the backports cannot be had
#   iommufd  another kernel for the rig, with /dev/iommu and /dev/vfio/devices: Debian builds none that has them. Ubuntu
#       24.04's 6.14, which is close to l1, or its 6.8; 56 MB to download, 47 MB to keep
#   l2  the default guest's kernel: bookworm's cloud flavour (small, serial console and virtio-pci built in)
#   symbols  vmlinux of the very build that l2 is, with its symbols and an index for gdb: 283 MB to download, 600 MB to keep
#
# A folder holds vmlinuz, version, modules/ (as packaged) or vmlinux and version; archive.sh tells where it lives.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/rig/archive.sh
. "$here/archive.sh"

# True when the cache has what is asked for; symbols are those of one kernel only.
have() { intact "$cache/$1" && { [ "$1" != symbols ] || cmp -s "$cache/l2/version" "$cache/symbols/version"; }; }

# download WORK LIST PATTERN [BESIDE]: the newest kernel package that matches, into WORK; and where the modules are not in
# it, the package BESIDE-VERSION that has them.
download() {
  local work=$1 list=$2 pattern=$3 package
  apt_in "$work" "$list" apt-get update >>"$work/log" 2>&1 || return 1
  package=$(apt_in "$work" "$list" apt-cache pkgnames linux-image- 2>>"$work/log" |
    grep -E "^linux-image-$pattern\$" | sort -V | tail -n 1) || package=""
  [ -n "$package" ] || { echo "no package linux-image-$pattern in $(cat "$work/$list.list")" >>"$work/log" && return 1; }
  say "downloading $package"
  (cd "$work" && apt_in "$work" "$list" apt-get download "$package" ${4:+"$4${package#linux-image}"} >>log 2>&1)
}

# fetch WORK LIST PATTERN [BESIDE]: downloads and unpacks the newest kernel package that matches into WORK/tree.
fetch() {
  local work=$1 package
  download "$@" || return 1
  for package in "$work"/linux-*.deb; do dpkg-deb -x "$package" "$work/unpacked" >>"$work/log" 2>&1 || return 1; done
  mkdir -p "$work/tree"
  mv "$work"/unpacked/boot/vmlinuz-* "$work/tree/vmlinuz"
  if [ -d "$work/unpacked/usr/lib/modules" ]; then mv "$work/unpacked/usr/lib/modules" "$work/tree/modules"
  else mv "$work/unpacked/lib/modules" "$work/tree/modules"; fi
  ls "$work/tree/modules" >"$work/tree/version"
  finish "$work"
}

# fetch_iommufd WORK: Ubuntu's kernel into WORK/tree.
fetch_iommufd() {
  local work=$1
  write_ubuntu_sources "$work" || return 1
  fetch "$work" ubuntu '6\.(8|14)\.0-[0-9]+-generic' linux-modules || return 1
  grep -q '^CONFIG_VFIO_DEVICE_CDEV=y' "$work"/unpacked/boot/config-* ||
    { echo "the kernel $(cat "$work/tree/version") has no CONFIG_VFIO_DEVICE_CDEV" >>"$work/log" && return 1; }
}

build_id() { readelf -n "$1" 2>/dev/null | sed -n 's/^ *Build ID: //p'; }

# fetch_symbols WORK: vmlinux of l2's -dbg package into WORK/tree; only if it is of the same build.
fetch_symbols() {
  local work=$1 version
  version=$(cat "$cache/l2/version")
  download "$work" bookworm "${version//./\\.}-dbg" || return 1
  mkdir -p "$work/tree"
  dpkg-deb --fsys-tarfile "$work"/linux-image-*.deb | tar -xO "./usr/lib/debug/boot/vmlinux-$version" >"$work/tree/vmlinux" 2>>"$work/log" || return 1
  "$here/vmlinux.sh" "$cache/l2/vmlinuz" "$work/vmlinux" || return 1
  if [ "$(build_id "$work/tree/vmlinux")" != "$(build_id "$work/vmlinux")" ]; then
    echo "the archive's symbols of $version are of another build than the kernel in $cache/l2; remove that folder to fetch both" >>"$work/log"
    return 1
  fi
  # With an index gdb starts in a second instead of twenty; without, it works as well.
  (cd "$work/tree" && gdb-add-index vmlinux) >>"$work/log" 2>&1 || say "no index for gdb (gdb-add-index of package gdb failed or is missing)"
  echo "$version" >"$work/tree/version"
  finish "$work"
}

obtain() {
  local name=$1 work status=0
  work=$(mktemp -d "$cache/fetch.XXXXXX")
  # shellcheck disable=SC2064  # the value of now is meant
  trap "rm -rf '$work'" EXIT
  write_sources "$work"
  case $name in
    l1)
      fetch "$work" backports '6\.12\.[0-9.]*\+bpo-amd64|6\.12\.[0-9.]*\+deb12-amd64' || {
        say "no 6.12 kernel in bookworm-backports; the rig uses bookworm's 6.1 (no fault reporting by KVM)"
        rm -rf "$work"/linux-image-*.deb "$work/unpacked" "$work/tree" "$work/lists"
        fetch "$work" bookworm '6\.1\.[0-9]+-[0-9]+-amd64' || status=1
      } ;;
    iommufd) fetch_iommufd "$work" || status=1 ;;
    l2) fetch "$work" bookworm '6\.1\.[0-9]+-[0-9]+-cloud-amd64' || status=1 ;;
    symbols) fetch_symbols "$work" || status=1 ;;
  esac
  if [ $status -ne 0 ]; then
    tail -n 20 "$work/log" >&2
    say "cannot fetch the kernel ($name) with apt: check the machine's network and apt sources (Debian 12 is needed)"
    exit 1
  fi
  keep "$work" "$name"
}

ensure() {
  ! have "$1" || return 0
  [ -e "$cache/$1" ] && say "what the cache has as $1 is damaged or out of date; fetching it again"
  (obtain "$1")
}

case ${1:-} in
  l1 | iommufd | l2 | symbols) ;;
  *) say "usage: kernels.sh l1|iommufd|l2|symbols"; exit 2 ;;
esac
exec 9>"$cache/lock"
flock 9
[ "$1" != symbols ] || ensure l2
ensure "$1"
echo "$cache/$1"
