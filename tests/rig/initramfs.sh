#!/bin/bash
# initramfs.sh l1 OUT KERNEL_DIR | l2 OUT: makes an initramfs out of busybox and our /init; keeps OUT when nothing changed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/rig/archive.sh
. "$here/archive.sh"
kind=$1 out=$2 kernel=${3:-}
busybox=$(command -v busybox) || { echo "initramfs: busybox is not installed (package busybox-static)" >&2; exit 1; }

# What L1 cannot mount the host's file system or run a guest without, in the order of their dependencies.
l1_modules=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci irqbypass ccp kvm kvm-amd netfs fscache
  9pnet 9pnet_virtio 9p overlay virtio_console failover net_failover virtio_net)

# What a device is given to a guest with; loaded when the rig has such devices. Only the kernel iommufd has a module of
# that name, and vfio needs it there.
vfio_modules=(iommufd vfio vfio_iommu_type1 vfio-pci-core vfio-pci)

case $kind in
  l1) inputs=("$here/init/l1" "$kernel/FILES") ;;
  l2) inputs=("$here"/../../configs/initramfs/*) ;;
  *) echo "usage: initramfs.sh l1 OUT KERNEL_DIR | l2 OUT" >&2; exit 2 ;;
esac
key=$(sha256sum "$0" "$here/archive.sh" "$busybox" "${inputs[@]}" | sha256sum)
[ -f "$out" ] && [ "$(cat "$out.key" 2>/dev/null)" = "$key" ] && exit 0

mkdir -p "$(dirname "$out")"
root=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,dev,proc,sys,etc,root,tmp,run}
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
  [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
ln -s bin "$root/sbin"

case $kind in
  l1)
    cp "$here/init/l1" "$root/init"
    unpack_modules "$kernel" "$root" order "${l1_modules[@]}"
    unpack_modules "$kernel" "$root" vfio "${vfio_modules[@]}" ;;
  l2) cp "$here"/../../configs/initramfs/* "$root/etc/" && mv "$root/etc/init" "$root/init" ;;
esac
chmod 755 "$root" "$root/init"
# Fixed times and owners: the same inputs give the same file.
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -n -1 >"$out.new"
mv "$out.new" "$out"
echo "$key" >"$out.key"
