# shellcheck shell=bash
# Sourced by what measures uvmm beside QEMU: it has `once NAME`, which runs NAME once, keeps its figure in a file in $work,
# or shows why there is none and sets failed=1.
failed=0

# prepare NAME UVMM KERNEL: the folder $work, with program and kernel: what is timed must not wait for the rig's slow file system.
prepare() {
  work=$(mktemp -d "/dev/shm/uvmm-$1.XXXXXX")
  trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
  cp "$2" "$work/uvmm"
  cp "$3" "$work/vmlinuz"
}

# by_turns RUNS: so that whatever else the machine does meets both. Ends the script if a run has failed.
by_turns() {
  local run
  # A standard input that is open and silent: no terminal, no end of file.
  mkfifo "$work/idle" && exec 8<>"$work/idle"
  for ((run = 0; run < $1; run++)); do
    once qemu
    once uvmm
  done
  [ $failed -eq 0 ] || exit 1
}

# statistic FILE min|max|median: of the figures in it.
statistic() {
  sort -n "$work/$1" |
    awk -v what="$2" '{ v[NR] = $1 } END { print what == "min" ? v[1] : what == "max" ? v[NR] : v[int((NR + 1) / 2)] }'
}
