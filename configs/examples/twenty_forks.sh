#!/bin/bash
# Twenty copies of one running guest, each a machine of its own that shares the parent's memory until it writes.
#
#   configs/examples/twenty_forks.sh [UVMM] [COPIES]
#
# Starts a guest of 64 MiB, lets it write its memory, forks it and shows what the copies cost while they wait:
# next to nothing for themselves (UNIQUE). Then lets one of them run, shows the tree again, and ends all of them.
set -euo pipefail

uvmm=${1:-uvmm}
copies=${2:-20}
XDG_RUNTIME_DIR=$(mktemp -d "${TMPDIR:-/tmp}/uvmm-forks.XXXXXX")
export XDG_RUNTIME_DIR

finish() {
  # Copies first: a parent may go before its children do, but so the tree is whole until the end.
  for socket in "$XDG_RUNTIME_DIR"/uvmm/copy-*.sock "$XDG_RUNTIME_DIR"/uvmm/parent-*.sock; do
    if [ -S "$socket" ]; then "$uvmm" quit "$socket" || true; fi
  done
  wait
  rm -rf "$XDG_RUNTIME_DIR"
}
trap finish EXIT

# until_answers COUNT: so many machines answer.
until_answers() {
  for _ in $(seq 600); do
    if [ "$("$uvmm" list | tail -n +2 | wc -l)" -ge "$1" ]; then return 0; fi
    sleep 0.1
  done
  echo "not all machines have come up" >&2
  return 1
}

"$uvmm" run --builtin memwalk --builtin-args "passes=1000000" -m 64M --name parent --console none &
until_answers 1
sleep 2 # it writes its memory
"$uvmm" pause parent

"$uvmm" fork parent -n "$copies" --name copy --paused --console none &
until_answers $((copies + 1))
"$uvmm" tree

one=$("$uvmm" list | awk '$1 == "copy" { print $2; exit }')
"$uvmm" resume "$one"
sleep 1
echo "copy $one has run for a second:"
"$uvmm" tree
