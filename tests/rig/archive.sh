# shellcheck shell=bash
# archive.sh, to be sourced: packages out of Debian's archive, and out of Ubuntu's, into folders of their own.
#
# A folder lives in the user's cache, shared by every checkout on the machine, with FILES, which describes what is in
# it. Nothing of the system is changed: apt runs with private lists, sources and cache; the mirror is the one the machine
# uses already. Whoever sources this has set -euo pipefail and `here`, his own folder.

cache=${UVMM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/uvmm}
mkdir -p "$cache" 2>/dev/null || { cache=$here/../../.cache; mkdir -p "$cache"; }

say() { echo "$(basename "$0" .sh): $*" >&2; }

# Describes a folder: the kernel by its digest, the rest by its sizes (hashing it all takes seconds).
describe() { (cd "$1" && if [ -e vmlinuz ]; then sha256sum vmlinuz; fi && find . -type f ! -name FILES -printf '%s %p\n' | LC_ALL=C sort); }

# True when the folder is complete and what it holds is what was unpacked.
intact() { [ -f "$1/FILES" ] && describe "$1" 2>/dev/null | cmp -s - "$1/FILES"; }

# Prints "URI SUITE" for each repository this machine has configured, whatever the format of its sources.
machine_repositories() {
  mkdir -p "$1/none/partial"
  apt-get update --print-uris -o Dir::State::Lists="$1/none" 2>/dev/null |
    sed -nE "s#^'(.*)/dists/([^/']+)/InRelease'.*#\1 \2#p" | sort -u
}

# write_sources WORK: private sources lists: the machine's Debian suites, and beside the main one its backports and the
# next release.
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
  echo "deb [$options] $main trixie main" >"$work/trixie.list"
}

# write_ubuntu_sources WORK: beside the lists of write_sources, one of Ubuntu 24.04's updates. Ubuntu's keys come out of a
# package of Debian's, so it is Debian's signature that vouches for them; bookworm lacks that package.
write_ubuntu_sources() {
  local work=$1
  apt_in "$work" trixie apt-get update >>"$work/log" 2>&1 || return 1
  (cd "$work" && apt_in "$work" trixie apt-get download ubuntu-keyring >>log 2>&1) || return 1
  dpkg-deb -x "$work"/ubuntu-keyring_*.deb "$work/keyring" >>"$work/log" 2>&1 || return 1
  echo "deb [arch=amd64 signed-by=$work/keyring/usr/share/keyrings/ubuntu-archive-keyring.gpg]" \
    "http://archive.ubuntu.com/ubuntu noble-updates main" >"$work/ubuntu.list"
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

# finish WORK: describes WORK/tree, which is complete.
finish() { describe "$1/tree" >"$1/FILES" && mv "$1/FILES" "$1/tree/FILES"; }

# keep WORK NAME: WORK/tree becomes the folder NAME of the cache.
keep() {
  local work=$1 name=$2
  rm -rf "${cache:?}/$name.old"
  [ -e "$cache/$name" ] && mv "$cache/$name" "$cache/$name.old"
  # Another checkout may have been faster; its folder is as good.
  mv -T "$work/tree" "$cache/$name" 2>/dev/null || intact "$cache/$name"
  rm -rf "${cache:?}/$name.old"
}

# unpack_modules KERNEL ROOT LIST MODULE…: modules of a folder KERNEL as ROOT/modules/NAME.ko, and ROOT/modules/LIST,
# which names them in the order given, that of their dependencies.
unpack_modules() {
  local kernel=$1 modules=$2/modules list=$3 module file
  mkdir -p "$modules"
  for module in "${@:4}"; do
    file=$(find "$kernel/modules" -name "$module.ko*" | head -n 1)
    case $file in
      *.xz) xz -dc "$file" >"$modules/$module.ko" ;;
      *.zst) zstd -dcq "$file" >"$modules/$module.ko" || { say "cannot unpack $file with zstd (package zstd)" && return 1; } ;;
      *.ko) cp "$file" "$modules/$module.ko" ;;
      *) continue ;; # built in, or not there in an older kernel
    esac
    echo "$module" >>"$modules/$list"
  done
}
