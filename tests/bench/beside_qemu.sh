# shellcheck shell=bash
# Sourced by what measures uvmm beside QEMU: it has `once NAME`, which runs NAME once, keeps its figures in files in $work,
# or shows why there are none and sets failed=1.
failed=0

# prepare NAME UVMM KERNEL: the folder $work, with program and kernel: what is timed must not wait for the rig's slow file system.
prepare() {
  work=$(mktemp -d "/dev/shm/uvmm-$1.XXXXXX")
  trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
  cp "$2" "$work/uvmm"
  cp "$3" "$work/vmlinuz"
}

# with_disk INITRD READER: $work/disk, and $work/initrd with virtio's drivers and /random_reads, which is READER, behind INITRD.
with_disk() {
  local rig
  rig=$(cd "$(dirname "${BASH_SOURCE[0]}")/../rig" && pwd)
  truncate -s 64M "$work/disk"
  "$rig/modules.sh" "$work/modules" virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk
  mkdir "$work/root" && cp "$2" "$work/root/random_reads"
  (cd "$work/root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/reader"
  # Linux unpacks one initramfs after the other.
  cat "$1" "$work/modules" "$work/reader" >"$work/initrd"
}

# disk_words SCRIPT: the kernel's command line of a guest that runs SCRIPT when the drivers are loaded and /dev/vda is warm.
disk_words() {
  local load="for m in \$(cat /modules/order); do insmod /modules/\$m.ko; done; /random_reads /dev/vda 200 1 >/dev/null"
  echo "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check uvmm.exec=base64:$(printf '%s\n' "$load" "$1" | base64 -w0)"
}

# keep_rates NAME LINES LOG…: what random_reads and "stream: KEY RATE" said on $work/console, LINES lines in a good run: each RATE
# goes to the end of the file NAME.KEY. Shows console and LOGs of a run that is not good.
keep_rates() {
  local name=$1 lines=$2 rates
  rates=$(tr -d '\r' <"$work/console" | sed -nE 's/^random-reads: jobs ([0-9]+) rate ([0-9]+)$/reads\1 \2/p; s/^stream: (\w+) ([0-9]+)$/\1 \2/p')
  if [ "$(grep -c . <<<"$rates")" != "$lines" ]; then
    show_failure "$name" "use the disk" "${@:3}"
    return 0
  fi
  while read -r key rate; do keep "$name" "$key" "$rate"; done <<<"$rates"
}

# launch NAME: starts boot_NAME, the process $pid, whose console goes to $work/console, and whose standard input is open and
# silent: no terminal, no end of file.
launch() {
  [ -p "$work/idle" ] || { mkfifo "$work/idle" && exec 8<>"$work/idle"; }
  rm -f "$work/pipe" && mkfifo "$work/pipe"
  begin=${EPOCHREALTIME/./}
  ("boot_$1") <"$work/idle" >"$work/pipe" 2>&1 &
  pid=$!
  cat <"$work/pipe" >"$work/console" &
  : >>"$work/console"
}

# milliseconds_to LINE PATIENCE: since the launch, until LINE is on the console. Fails when the guest ends without it, or
# after PATIENCE seconds.
milliseconds_to() {
  local end
  timeout "$2" grep -q -a -m 1 -F "$1" < <(exec tail -c +1 -s 0.05 -f "$work/console" --pid="$pid") || true
  end=${EPOCHREALTIME/./}
  grep -q -a -F "$1" "$work/console" || return 1
  echo $(((end - begin) / 1000))
}

# show_failure NAME WHAT FILE…: what it has failed to do; the ends of the console and of FILEs.
show_failure() {
  echo "$1: FAILED to $2; the end of its console:"
  tail -n 30 "$work/console" "${@:3}" | sed 's/^/  | /'
  failed=1
}

# keep NAME KEY FIGURE…: each goes to the end of the file NAME.KEY.
keep() {
  printf '%s\n' "${@:3}" >>"$work/$1.$2"
  echo "$1: $2 ${*:3}"
}

# by_turns RUNS: so that whatever else the machine does meets both, and each is the first as often. Ends the script if a run
# has failed.
by_turns() {
  local run name order=(qemu uvmm)
  for ((run = 0; run < $1; run++)); do
    for name in "${order[@]}"; do once "$name"; done
    order=("${order[1]}" "${order[0]}")
  done
  [ $failed -eq 0 ] || exit 1
}

# statistic FILE min|max|median: of the figures in it.
statistic() {
  sort -n "$work/$1" |
    awk -v what="$2" '{ v[NR] = $1 } END { print what == "min" ? v[1] : what == "max" ? v[NR] : v[int((NR + 1) / 2)] }'
}

# ratio KEY min|max WANTED [TEXT]: of the figures in uvmm.KEY and qemu.KEY, whose best is the least or the greatest.
ratio() {
  awk -v text="${4:-$1}" -v best="$2" -v wanted="$3" -v a="$(statistic "uvmm.$1" "$2")" -v b="$(statistic "qemu.$1" "$2")" \
    -v c="$(statistic "uvmm.$1" median)" -v d="$(statistic "qemu.$1" median)" \
    'BEGIN { printf "ratio uvmm/QEMU, %s: %s %.2f, median %.2f (wanted: %s)\n", text, best, a / b, c / d, wanted }'
}
