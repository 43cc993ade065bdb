#!/bin/bash
# modules.sh OUT MODULE…: an initramfs with modules of the default guest's kernel, to be put behind another one: Linux
# unpacks one after the other. They come as /modules/NAME.ko, and /modules/order names them in the order given, without
# those that are built in.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=$1
kernel=$("$here/kernels.sh" l2)
root=$(mktemp -d "${TMPDIR:-/tmp}/uvmm-modules.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir "$root/modules"
for module in "${@:2}"; do
  file=$(find "$kernel/modules" -name "$module.ko*" | head -n 1)
  case $file in
    *.xz) xz -dc "$file" >"$root/modules/$module.ko" ;;
    *.ko) cp "$file" "$root/modules/$module.ko" ;;
    *) continue ;;
  esac
  echo "$module" >>"$root/modules/order"
done
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -n -1 >"$out"
