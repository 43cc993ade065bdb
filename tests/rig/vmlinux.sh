#!/bin/bash
# vmlinux.sh BZIMAGE OUTPUT: unpacks the ELF kernel inside a bzImage, for the tests of the ELF and PVH boot protocols.
# Does nothing when OUTPUT is newer than BZIMAGE.
set -euo pipefail

image=$1 output=$2
[ "$output" -nt "$image" ] && exit 0

# number OFFSET BYTES: a little-endian field of the setup header (Documentation/arch/x86/boot.rst of Linux).
number() { od -An -tu"$2" -j"$1" -N"$2" "$image" | tr -d ' '; }

sectors=$(number $((0x1f1)) 1)
start=$(((sectors + 1) * 512 + $(number $((0x248)) 4)))
length=$(number $((0x24c)) 4)

# The compressed stream, without the unpacked size that follows it.
payload() { dd if="$image" bs=64K iflag=skip_bytes,count_bytes skip="$start" count=$((length - 4)) status=none; }
case $(od -An -tx1 -j"$start" -N4 "$image" | tr -d ' ') in
  fd377a58) payload | xz -dc >"$output.new" ;;
  28b52ffd) payload | zstd -dc >"$output.new" ;;
  02214c18) payload | lz4 -dcq - >"$output.new" ;;
  1f8b*) payload | gzip -dc >"$output.new" ;;
  *) echo "vmlinux.sh: $image: unknown compression" >&2 && exit 1 ;;
esac
mv "$output.new" "$output"
