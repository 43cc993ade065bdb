#!/bin/bash
# modules.sh OUT MODULE…: an initramfs with modules of the default guest's kernel, to be put behind another one: Linux
# unpacks one after the other. They come as /modules/NAME.ko, and /modules/order names them in the order given, without
# those that are built in.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/rig/archive.sh
. "$here/archive.sh"
out=$1
kernel=$("$here/kernels.sh" l2)
root=$(mktemp -d "${TMPDIR:-/tmp}/uvmm-modules.XXXXXX")
trap 'rm -rf "$root"' EXIT
unpack_modules "$kernel" "$root" order "${@:2}"
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -n -1 >"$out"
