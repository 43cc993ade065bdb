#!/bin/bash
# debian.sh UVMM [RUNS]: one Debian system (tests/rig/debian_image.sh) in uvmm and in Debian's QEMU, alternately in one
# session: its boot to a login prompt, what the monitor takes beside the guest's memory, fio on a second disk, iperf3 over a
# tap interface in both directions. The guest's clock tells what is done in the guest. Meant to run in the rig
# (./dev bench debian): there the ratios mean something, the figures do not. Exit status 1 when a run does not end.
#
# debian.sh UVMM --boot uvmm|qemu: only that boot, once: its milliseconds are the last word. What the rig has done before slows
# every later guest, so ./dev bench debian_boot starts a rig for each.
set -euo pipefail

uvmm=$1 runs=${2:-3} only=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
memory=512
patience=400
line="Debian GNU/Linux 12 debian ttyS0" # stands over the login prompt, which is no whole line
. "$here/beside_qemu.sh"

prepare debian "$uvmm" /dev/null
"$here/../rig/debian_image.sh" --into "$work"
"$here/../rig/host_network.sh" up
truncate -s 128M "$work/data"
words="console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check root=/dev/vda rw net.ifnames=0 ip=10.66.0.2:::255.255.255.0::eth0:off"

boot_uvmm() {
  exec "$work/uvmm" run -k "$work/kernel" -i "$work/initrd" -m ${memory}M -c 1 -p "$words" --disk "$work/disk.img" --disk "$work/data" \
    --net tap=uvmm-tap
}

boot_qemu() {
  exec qemu-system-x86_64 -M q35 -enable-kvm -cpu host -m $memory -smp 1 -nodefaults -no-user-config -display none -serial stdio \
    -no-reboot -kernel "$work/kernel" -initrd "$work/initrd" -append "$words" \
    -drive "file=$work/disk.img,format=raw,if=none,id=disk,cache=writeback" -device virtio-blk-pci,drive=disk \
    -drive "file=$work/data,format=raw,if=none,id=data,cache=writeback" -device virtio-blk-pci,drive=data \
    -netdev tap,id=net,ifname=uvmm-tap,script=no,downscript=no -device virtio-net-pci,netdev=net,romfile=
}

# in_guest COMMAND: by one connection that all of a run share.
in_guest() {
  ssh -q -i "$work/key" -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ControlMaster=auto \
    -o ControlPersist=yes -o ControlPath="$work/connection" root@10.66.0.2 "$@"
}

# monitor_memory: kB of process $pid that are not the guest's memory. QEMU has that in one mapping of its very size; uvmm in
# files without a name, and in the kernel and initrd where the guest has them.
monitor_memory() {
  awk -v size=$((memory * 1024)) '
    /^[0-9a-f]+-[0-9a-f]+ / { guest = $NF == "(deleted)" || $NF ~ /\/(kernel|initrd)$/ }
    /^Size:/ && $2 == size { guest = 1 }
    /^Pss:/ && !guest { sum += $2 }
    END { print sum }' "/proc/$pid/smaps"
}

# Four jobs one after the other, each on what the first has written; requests past the guest's cache.
disk_figures() {
  in_guest "fio --output-format=terse --terse-version=3 --filename=/dev/vdb --direct=1 --ioengine=libaio --time_based --runtime=6 \
    --ramp_time=1 --stonewall --group_reporting --name=fill --rw=write --bs=1M --iodepth=2 --name=write1M --rw=write --bs=1M --iodepth=2 \
    --name=read1M --rw=read --bs=1M --iodepth=2 --name=randread --rw=randread --bs=4k --iodepth=4 --name=randwrite --rw=randwrite --bs=4k --iodepth=4" |
    awk -F';' '$3 == "read1M" { print $3, $7 } $3 == "write1M" { print $3, $48 } $3 == "randread" { print $3, $8 } $3 == "randwrite" { print $3, $49 }'
}

# Mbit/s as the receiver has them: to the guest, and from it.
network_figures() {
  in_guest "iperf3 -s -D"
  iperf3 -c 10.66.0.2 -t 6 -f m | awk '/receiver/ { print "to_guest", $7 }'
  iperf3 -c 10.66.0.2 -t 6 -f m -R | awk '/receiver/ { print "from_guest", $7 }'
}

# once NAME: boots NAME, keeps its figures and powers it off, or shows what it failed to do.
once() {
  local name=$1 milliseconds figures="" try=0 status=0
  rm -f "$work/connection"
  launch "$name"
  if milliseconds=$(milliseconds_to "$line" "$patience"); then
    until in_guest true 2>/dev/null || [ $((try += 1)) -eq 30 ]; do sleep 1; done
    figures=$(echo "boot $milliseconds" && echo "memory $(monitor_memory)" && disk_figures && network_figures) || true
    in_guest poweroff || true
  fi
  timeout 120 tail -f /dev/null --pid="$pid" || kill -KILL "$pid"
  wait "$pid" || status=$?
  if [ $status -ne 0 ] || [ "$(grep -c . <<<"$figures")" != 8 ]; then
    show_failure "$name" "boot, to be measured or to power off (status $status; figures: $figures)"
    return 0
  fi
  while read -r key figure; do keep "$name" "$key" "$figure"; done <<<"$figures"
}

if [ "$runs" = --boot ]; then
  launch "$only"
  if milliseconds=$(milliseconds_to "$line" "$patience"); then echo "$only: boot $milliseconds"; else show_failure "$only" "boot"; fi
  kill -KILL "$pid" 2>/dev/null || true
  exit $failed
fi
by_turns "$runs"
ratio boot min "at most 1.00" "boot to login"
ratio memory min "at most 0.30" "memory of the monitor"
ratio randread max "at least 1.00" "random reads of 4 KiB"
ratio randwrite max "at least 1.00" "random writes of 4 KiB"
ratio read1M max "at least 1.00" "reads of 1 MiB after the other"
ratio write1M max "at least 1.00" "writes of 1 MiB after the other"
ratio to_guest max "at least 0.90" "TCP to the guest"
ratio from_guest max "at least 0.90" "TCP from the guest"
