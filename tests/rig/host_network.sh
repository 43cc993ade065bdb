#!/bin/bash
# host_network.sh up|down: the host's side of a guest's network, for tests in the rig: the tap interface uvmm-tap, 10.66.0.1
# on this side; and uvmm-out, 10.55.0.1, with a default route, which passt takes its addresses from.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
ip() { busybox ip "$@"; }

# Debian's kernels have it as a module, which the rig does not load.
load_tun() {
  local module
  module=$(find "$("$here/kernels.sh" l1)/modules" -name 'tun.ko*')
  case $module in
    *.xz) xz -dc "$module" >/tmp/tun.ko ;;
    *) cp "$module" /tmp/tun.ko ;;
  esac
  busybox insmod /tmp/tun.ko
  mkdir -p /dev/net
  [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
}

# make NAME ADDRESS
make() {
  busybox tunctl -t "$1" >/dev/null
  ip addr add "$2/24" dev "$1"
  ip link set "$1" up
}

case ${1:-} in
  up)
    [ -w /dev/net/tun ] || load_tun
    ip link set lo up
    make uvmm-out 10.55.0.1
    ip route add default via 10.55.0.2 dev uvmm-out
    make uvmm-tap 10.66.0.1 ;;
  down)
    busybox tunctl -d uvmm-out
    busybox tunctl -d uvmm-tap ;;
  *) echo "usage: host_network.sh up|down" >&2 && exit 2 ;;
esac
