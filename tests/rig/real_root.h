// The rig's root file system as one that passt can be started in.
#pragma once

#include <string>
#include <vector>

namespace test {

/// Runs in a root file system that is not one of chroot()'s: there nobody may make a user namespace, which
/// passt wants.
inline const std::vector<std::string>& in_real_root() {
  static const std::vector<std::string> words{
      "/usr/sbin/chroot",
      "/proc/1/root",
      "/bin/busybox",
      "unshare",
      "-m",
      "/bin/busybox",
      "sh",
      "-c",
      "cd /new && /bin/busybox mount -o move . / && exec /bin/busybox chroot . \"$@\"",
      "sh"};
  return words;
}

}  // namespace test
