#!/bin/bash
# newer_gdb.sh: prints the path of a gdb of the next Debian release (16), fetching it on first use; 33 MB.
#
# Beside Debian 12's 13 it asks for memory in binary packets. It is unpacked with every library it needs and run by its
# own loader, so that it needs none of the system's.
set -euo pipefail

here=$(cd "$(dirname "$0")/../rig" && pwd)
# shellcheck source=tests/rig/archive.sh
. "$here/archive.sh"

name=gdb16
libraries=usr/lib/x86_64-linux-gnu

obtain() {
  local work package
  work=$(mktemp -d "$cache/fetch.XXXXXX")
  # shellcheck disable=SC2064  # the value of now is meant
  trap "rm -rf '$work'" EXIT
  write_sources "$work"
  say "downloading gdb and its libraries from trixie"
  if ! apt_in "$work" trixie apt-get update >>"$work/log" 2>&1 ||
    ! apt_in "$work" trixie apt-get install -y --no-install-recommends --download-only gdb >>"$work/log" 2>&1; then
    tail -n 5 "$work/log" >&2
    say "cannot fetch gdb of trixie with apt: check the machine's network and apt sources"
    exit 1
  fi
  mkdir "$work/tree"
  for package in "$work"/archives/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
  cat >"$work/tree/gdb" <<'END'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export PYTHONHOME="$here/usr"
exec "$here/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$here/usr/lib/x86_64-linux-gnu" \
  "$here/usr/bin/gdb" --data-directory="$here/usr/share/gdb" "$@"
END
  chmod +x "$work/tree/gdb"
  [ -x "$work/tree/$libraries/ld-linux-x86-64.so.2" ] || { say "the packages of trixie have no loader in $libraries" && exit 1; }
  finish "$work"
  keep "$work" "$name"
}

exec 9>"$cache/lock"
flock 9
intact "$cache/$name" || (obtain)
echo "$cache/$name/gdb"
