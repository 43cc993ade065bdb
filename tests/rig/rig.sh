#!/bin/bash
# rig.sh [-t] CMD…: runs CMD in the rig, a machine with nested paging that QEMU's TCG emulates, and passes its output and
# exit status through. CMD sees this machine's files (what it writes is lost) and starts in the current folder.
#
#   -t                     the job gets this terminal (an interactive program)
#   UVMM_RIG_SMP=1         processors         UVMM_RIG_MEM=4G        memory
#   UVMM_RIG_TIMEOUT=1200  seconds from the job's start (exit status 124); no limit with -t
#   UVMM_RIG_STILL=90      seconds without a sign of life from the emulated machine, after which it is started again
#   UVMM_RIG_RESULTS=DIR   a folder that the job may write to and that keeps it
#   UVMM_RIG_FORWARD=PORT  connections to this port of this machine's loopback go to port 1234 of the rig (10.0.2.15)
#   UVMM_RIG_DEVICES="edu nvme=FILE serial=FILE"   an IOMMU, and behind it QEMU's edu device, an NVMe disk of FILE's
#                          bytes, a serial port on PCI whose output goes to FILE, all bound to vfio-pci
#   UVMM_RIG_KERNEL=l1     the rig's kernel; iommufd: one of Ubuntu's that has what Debian's lack, /dev/iommu and
#                          /dev/vfio/devices, both there with UVMM_RIG_DEVICES (fetched on first use; needs zstd)
#   UVMM_RIG_QEMU=…        more arguments for QEMU          UVMM_RIG_LOG=FILE   keeps the kernel's log
#
# UVMM_* and GTEST_* variables are passed on, other variables are not. Exit status 125: the rig itself failed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build/rig
terminal=false
if [ "${1:-}" = -t ]; then terminal=true && shift; fi
if $terminal && ! [ -t 0 ]; then echo "rig: -t needs a terminal on standard input" >&2 && exit 2; fi
[ $# -gt 0 ] || { echo "usage: rig.sh [-t] CMD…" >&2; exit 2; }
command -v qemu-system-x86_64 >/dev/null || { echo "rig: qemu-system-x86_64 is not installed (./dev build installs it)" >&2; exit 125; }

kind=${UVMM_RIG_KERNEL:-l1}
case $kind in
  l1 | iommufd) ;;
  *) echo "rig: UVMM_RIG_KERNEL: $kind is neither l1 nor iommufd" >&2 && exit 2 ;;
esac
kernel=$("$here/kernels.sh" "$kind")
initramfs=$build/$kind.cpio.gz
"$here/initramfs.sh" l1 "$initramfs" "$kernel"

run=$(mktemp -d "${TMPDIR:-/tmp}/uvmm-rig.XXXXXX")
qemu="" watch="" relays=() saved_tty=""
[ -t 0 ] && saved_tty=$(stty -g)

clean_up() {
  set +e
  trap - EXIT
  [ -n "$watch" ] && kill "$watch" 2>/dev/null
  [ -n "$qemu" ] && kill -KILL "$qemu" 2>/dev/null
  [ ${#relays[@]} -gt 0 ] && kill "${relays[@]}" 2>/dev/null
  [ -n "$saved_tty" ] && stty "$saved_tty" 2>/dev/null
  [ -n "${UVMM_RIG_LOG:-}" ] && cp "$run/kernel.log" "$UVMM_RIG_LOG" 2>/dev/null
  rm -rf "$run"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

write_job() {
  mkdir -p "$run/job"
  {
    echo "cd $(printf %q "$PWD") || exit 127"
    printf 'exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 UVMM_RIG=1'
    printf ' %q' "TERM=${TERM:-dumb}"
    while IFS= read -r name; do printf ' %q' "$name=${!name}"; done < <(compgen -e | grep -E '^(UVMM|GTEST)_' | grep -v '^UVMM_RIG')
    printf ' %q' "$@"
    echo
  } >"$run/job/job.sh"
  $terminal && stty size | awk '{ print "rows", $1, "cols", $2 }' >"$run/job/terminal"
  [ -n "${UVMM_RIG_RESULTS:-}" ] && echo "$UVMM_RIG_RESULTS" >"$run/job/results"
  [ -n "${UVMM_RIG_DEVICES:-}" ] && : >"$run/job/vfio"
  return 0
}

# The machine, and the devices that a guest of the rig's may be given; into $board and $more_kernel_words.
choose_board() {
  local device
  board=(-M "pc,usb=off,vmport=off") more_kernel_words=""
  [ -n "${UVMM_RIG_DEVICES:-}" ] || return 0
  more_kernel_words=" intel_iommu=on"
  board=(-M "q35,usb=off,vmport=off,sata=off,smbus=off,kernel-irqchip=split" -device "intel-iommu,intremap=on,caching-mode=on")
  for device in $UVMM_RIG_DEVICES; do
    case $device in
      edu) board+=(-device "edu,dma_mask=0xffffffff") ;;
      nvme=*) board+=(-drive "file=${device#nvme=},if=none,id=nvme,format=raw" -device "nvme,drive=nvme,serial=rig") ;;
      serial=*) board+=(-chardev "file,id=pciserial,path=${device#serial=}" -device "pci-serial,chardev=pciserial") ;;
      *) echo "rig: UVMM_RIG_DEVICES: $device is none of edu, nvme=FILE, serial=FILE" >&2 && exit 2 ;;
    esac
  done
}

start_qemu() {
  local board more_kernel_words
  choose_board
  local arguments=(
    -accel "tcg,thread=multi" -cpu "max,+svm,+npt" "${board[@]}"
    -m "${UVMM_RIG_MEM:-4G}" -smp "${UVMM_RIG_SMP:-1}" -display none -nodefaults -no-user-config -no-reboot
    -kernel "$kernel/vmlinuz" -initrd "$initramfs"
    -append "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr audit=0 apparmor=0 init_on_alloc=0 cryptomgr.notests random.trust_cpu=on no_timer_check nohz=off highres=off$more_kernel_words"
    -chardev "file,id=kernel,path=$run/kernel.log" -serial chardev:kernel
    -device "isa-debug-exit,iobase=0xf4,iosize=1"
    -virtfs "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"
    -virtfs "local,path=$run/job,mount_tag=job,security_model=none"
    # Without ioeventfd a write to a port is in its file when the writer goes on: nothing is lost at the end.
    -device "virtio-serial-pci,id=ports,ioeventfd=off"
    -chardev "file,id=progress,path=$run/progress" -device "virtserialport,bus=ports.0,nr=3,chardev=progress"
    -chardev "file,id=beats,path=$run/beats" -device "virtserialport,bus=ports.0,nr=4,chardev=beats"
  )
  if $terminal; then
    mkfifo "$run/tty.in" "$run/tty.out"
    arguments+=(-chardev "pipe,id=tty,path=$run/tty" -device "virtconsole,bus=ports.0,nr=0,chardev=tty")
  else
    arguments+=(
      -chardev "file,id=out,path=$run/out" -device "virtserialport,bus=ports.0,nr=1,chardev=out"
      -chardev "file,id=err,path=$run/err" -device "virtserialport,bus=ports.0,nr=2,chardev=err"
    )
  fi
  [ -n "${UVMM_RIG_RESULTS:-}" ] &&
    arguments+=(-virtfs "local,path=$UVMM_RIG_RESULTS,mount_tag=results,security_model=none,multidevs=remap")
  [ -n "${UVMM_RIG_FORWARD:-}" ] && arguments+=(
    -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$UVMM_RIG_FORWARD-:1234" -device "virtio-net-pci,netdev=net,romfile="
  )
  # shellcheck disable=SC2206  # words are meant
  arguments+=(${UVMM_RIG_QEMU:-})
  : >"$run/kernel.log" && : >"$run/progress" && : >"$run/beats" && : >"$run/out" && : >"$run/err"
  qemu-system-x86_64 "${arguments[@]}" </dev/null >"$run/qemu.log" 2>&1 &
  qemu=$!
}

start_relays() {
  relays=()
  if $terminal; then
    cat "$run/tty.out" 9>&- &
    relays+=($!)
  else
    tail -c +1 -s 0.1 -f --pid="$qemu" "$run/out" &
    relays+=($!)
    tail -c +1 -s 0.1 -f --pid="$qemu" "$run/err" >&2 &
    relays+=($!)
  fi
}

# Waits until the job has started, QEMU has ended or $1 seconds have passed.
wait_for_start() {
  local end=$((SECONDS + $1))
  while kill -0 "$qemu" 2>/dev/null && [ $SECONDS -lt $end ] && ! grep -q ^start "$run/progress"; do sleep 0.05; done
}

# Waits until QEMU has ended, which the job's end brings about. Fails with 1 when $1 seconds (0: no limit) were not
# enough, with 2 when the emulated machine stands still: a process of its own there gives a sign of life every 5 seconds,
# whatever the job does, and QEMU 7.2 with nested guests was seen to lose the machine's clock.
wait_for_end() {
  local end=$((SECONDS + $1)) beats last=-1 since=$SECONDS
  while kill -0 "$qemu" 2>/dev/null; do
    sleep 0.1
    [ "$1" -eq 0 ] || [ $SECONDS -lt $end ] || return 1
    beats=$(stat -c %s "$run/beats")
    if [ "$beats" != "$last" ]; then last=$beats since=$SECONDS; fi
    [ $((SECONDS - since)) -lt "${UVMM_RIG_STILL:-90}" ] || return 2
  done
}

show_log() {
  echo "rig: $1" >&2
  cat "$run/qemu.log" >&2
  tail -n 60 "$run/kernel.log" | tr -d '\r' | sed 's/^/rig: | /' >&2
}

# Runs the job once. Returns 1 when it did not start, 2 when the rig stood still; else $status is what to exit with.
attempt() {
  rm -f "$run"/tty.*
  start_qemu
  start_relays
  local timeout=${UVMM_RIG_TIMEOUT:-1200}
  $terminal && timeout=${UVMM_RIG_TIMEOUT:-0}
  wait_for_start "${UVMM_RIG_BOOT_TIMEOUT:-120}"
  if ! grep -q ^start "$run/progress"; then
    show_log "the rig did not come up"
    kill -KILL "$qemu" 2>/dev/null
    wait "$qemu" 2>/dev/null
    wait "${relays[@]}" 2>/dev/null
    return 1
  fi
  if $terminal; then
    # From here on each key belongs to the job.
    stty raw -echo
    exec 3<&0
    cat <&3 >"$run/tty.in" 2>/dev/null &
    relays+=($!)
  fi
  status=0
  local ended=0
  wait_for_end "$timeout" || ended=$?
  [ $ended -ne 1 ] || status=124
  kill -KILL "$qemu" 2>/dev/null
  wait "$qemu" 2>/dev/null || true
  $terminal && kill "${relays[-1]}" 2>/dev/null && unset 'relays[-1]'
  wait "${relays[@]}" 2>/dev/null || true
  qemu="" relays=()
  [ -n "$saved_tty" ] && stty "$saved_tty"
  if [ $ended -eq 2 ]; then
    show_log "the emulated machine stood still"
    return 2
  fi
  if [ $status -eq 124 ]; then
    show_log "the job was ended after $timeout seconds (UVMM_RIG_TIMEOUT)"
  elif ! status=$(sed -n 's/^exit //p' "$run/progress") || [ -z "$status" ]; then
    status=125
    show_log "the rig's kernel ended before the job did"
  fi
  return 0
}

write_job "$@"
status=125
for try in 1 2 3; do
  code=0
  attempt || code=$?
  [ $code -ne 0 ] || exit "$status"
  # What did not come up twice will not come up; what stood still may well go through the next time.
  if [ $try -eq 3 ] || { [ $try -eq 2 ] && [ $code -eq 1 ]; }; then break; fi
  echo "rig: trying once more; what the job printed comes again" >&2
done
exit 125
