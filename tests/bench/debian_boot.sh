#!/bin/bash
# debian_boot.sh UVMM [RUNS]: one Debian system's boot to a login prompt in uvmm and in Debian's QEMU (debian.sh), by turns, each
# in a rig of its own: there the ratio means something, the seconds do not. Exit status 1 when one does not get there.
set -euo pipefail

uvmm=$1 runs=${2:-3}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/beside_qemu.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/uvmm-debian-boot.XXXXXX")
trap 'rm -rf "$work"' EXIT

once() {
  local name=$1
  if UVMM_RIG_MEM=6G UVMM_RIG_TIMEOUT=900 "$here/../rig/rig.sh" "$here/debian.sh" "$uvmm" --boot "$name" </dev/null >"$work/log" 2>&1; then
    keep "$name" boot "$(sed -n "s/^$name: boot //p" "$work/log")"
  else
    tail -n 40 "$work/log"
    failed=1
  fi
}

by_turns "$runs"
ratio boot min "at most 1.00" "boot to login"
