#!/bin/bash
# kernels.sh l1|l2|symbols: prints the folder of an unpacked Debian kernel, fetching it on first use.
#
#   l1  the rig's own kernel: 6.12 from bookworm-backports (memory fault info, guest_memfd, KVM_PRE_FAULT_MEMORY);
#       bookworm's 6.1 when the backports cannot be had
#   l2  the default guest's kernel: bookworm's cloud flavour (small, serial console and virtio-pci built in)
#   symbols  vmlinux of the very build that l2 is, with its symbols and an index for gdb: 283 MB to download, 600 MB to keep
#
# A folder holds vmlinuz, version, modules/ (as packaged) or vmlinux and version, and FILES, which describes them. It
# lives in the user's cache folder, shared by every checkout on the machine. Nothing of the system is changed: apt runs
# with private lists, sources and cache; the mirror is the one the machine uses already.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${UVMM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/uvmm}
mkdir -p "$cache" 2>/dev/null || { cache=$here/../../.cache; mkdir -p "$cache"; }

say() { echo "kernels: $*" >&2; }

# Describes a folder: the kernel by its digest, the rest by its sizes (hashing it all takes seconds).
describe() { (cd "$1" && if [ -e vmlinuz ]; then sha256sum vmlinuz; fi && find . -type f ! -name FILES -printf '%s %p\n' | LC_ALL=C sort); }

# True when the folder is complete and what it holds is what was unpacked.
intact() { [ -f "$1/FILES" ] && describe "$1" 2>/dev/null | cmp -s - "$1/FILES"; }

# True when the cache has what is asked for; symbols are those of one kernel only.
have() { intact "$cache/$1" && { [ "$1" != symbols ] || cmp -s "$cache/l2/version" "$cache/symbols/version"; }; }

# Prints "URI SUITE" for each repository this machine has configured, whatever the format of its sources.
machine_repositories() {
  mkdir -p "$1/none/partial"
  apt-get update --print-uris -o Dir::State::Lists="$1/none" 2>/dev/null |
    sed -nE "s#^'(.*)/dists/([^/']+)/InRelease'.*#\1 \2#p" | sort -u
}

# Writes a private sources list: the machine's Debian suites, and the backports beside the main one.
write_sources() {
  local work=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg options="arch=amd64" main=""
  [ -f $keyring ] && options+=" signed-by=$keyring"
  while read -r uri suite; do
    case $suite in
      bookworm | bookworm-security) echo "deb [$options] $uri $suite main" ;;
    esac
    [ "$suite" = bookworm ] && main=$uri
  done < <(machine_repositories "$work") >"$work/bookworm.list"
  if [ -z "$main" ]; then
    main=http://deb.debian.org/debian
    echo "deb [$options] $main bookworm main" >>"$work/bookworm.list"
  fi
  echo "deb [$options] $main bookworm-backports main" >"$work/backports.list"
}

# apt_in WORK LIST COMMAND ARGS…: COMMAND of apt with private state and the given sources list.
apt_in() {
  local work=$1 list=$2 command=$3
  shift 3
  mkdir -p "$work/lists/partial" "$work/archives/partial"
  "$command" -q -o Dir::Etc::SourceList="$work/$list.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$work" \
    -o Dir::Cache::archives="$work/archives" -o APT::Sandbox::User= -o APT::Update::Post-Invoke-Success::= \
    -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

# download WORK LIST PATTERN: the newest kernel package that matches, into WORK.
download() {
  local work=$1 list=$2 pattern=$3 package
  apt_in "$work" "$list" apt-get update >>"$work/log" 2>&1 || return 1
  package=$(apt_in "$work" "$list" apt-cache pkgnames linux-image- 2>>"$work/log" |
    grep -E "^linux-image-$pattern\$" | sort -V | tail -n 1) || package=""
  [ -n "$package" ] || { echo "no package linux-image-$pattern in $(cat "$work/$list.list")" >>"$work/log" && return 1; }
  say "downloading $package"
  (cd "$work" && apt_in "$work" "$list" apt-get download "$package" >>log 2>&1)
}

# finish WORK: describes WORK/tree, which is complete.
finish() { describe "$1/tree" >"$1/FILES" && mv "$1/FILES" "$1/tree/FILES"; }

# fetch WORK LIST PATTERN: downloads and unpacks the newest kernel package that matches into WORK/tree.
fetch() {
  local work=$1
  download "$@" || return 1
  dpkg-deb -x "$work"/linux-image-*.deb "$work/unpacked" >>"$work/log" 2>&1 || return 1
  mkdir -p "$work/tree"
  mv "$work"/unpacked/boot/vmlinuz-* "$work/tree/vmlinuz"
  if [ -d "$work/unpacked/usr/lib/modules" ]; then mv "$work/unpacked/usr/lib/modules" "$work/tree/modules"
  else mv "$work/unpacked/lib/modules" "$work/tree/modules"; fi
  ls "$work/tree/modules" >"$work/tree/version"
  finish "$work"
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
    l2) fetch "$work" bookworm '6\.1\.[0-9]+-[0-9]+-cloud-amd64' || status=1 ;;
    symbols) fetch_symbols "$work" || status=1 ;;
  esac
  if [ $status -ne 0 ]; then
    tail -n 20 "$work/log" >&2
    say "cannot fetch the kernel ($name) with apt: check the machine's network and apt sources (Debian 12 is needed)"
    exit 1
  fi
  rm -rf "${cache:?}/$name.old"
  [ -e "$cache/$name" ] && mv "$cache/$name" "$cache/$name.old"
  # Another checkout may have been faster; its folder is as good.
  mv -T "$work/tree" "$cache/$name" 2>/dev/null || intact "$cache/$name"
  rm -rf "${cache:?}/$name.old"
}

ensure() {
  ! have "$1" || return 0
  [ -e "$cache/$1" ] && say "what the cache has as $1 is damaged or out of date; fetching it again"
  (obtain "$1")
}

case ${1:-} in
  l1 | l2 | symbols) ;;
  *) say "usage: kernels.sh l1|l2|symbols"; exit 2 ;;
esac
exec 9>"$cache/lock"
flock 9
[ "$1" != symbols ] || ensure l2
ensure "$1"
echo "$cache/$1"
