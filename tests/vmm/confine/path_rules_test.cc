// Which paths a configuration lets a running machine open.
#include "vmm/confine/path_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ostream>

namespace vmm::confine {

void PrintTo(const PathRule& rule, std::ostream* out) {
  *out << rule.path << ":" << static_cast<int>(rule.access);
}

namespace path_rules_test {

using ::testing::Contains;
using ::testing::ElementsAre;

const PathRule kSelf{"/proc/self", PathAccess::Read};

TEST(PathRules, OfAMachineWithoutSocketsAreItsOwnPageMaps) {
  EXPECT_THAT(path_rules(MachineConfig{}, ThreadKind::Vcpu), ElementsAre(kSelf));
}

TEST(PathRules, HaveNothingOfWhatSetUpOpens) {
  MachineConfig config;
  config.boot.kernel = "/boot/vmlinuz";
  config.boot.initrd = "/boot/initrd";
  config.overcommit.limit = 1 << 20;
  config.restore = "/var/lib/snapshot";
  config.log_file = "/var/log/uvmm.log";
  EXPECT_THAT(path_rules(config, ThreadKind::Control), ElementsAre(kSelf));
}

TEST(PathRules, LetDisksBeOpenedAgainAsTheyAre) {
  MachineConfig config;
  config.drives.resize(2);
  config.drives[0].path = "/images/root.img";
  config.drives[1].path = "/images/data.img";
  config.drives[1].access = virtio::blk::DiskAccess::ReadOnly;
  config.pmem.resize(1);
  config.pmem[0].path = "/images/tools.img";
  EXPECT_THAT(path_rules(config, ThreadKind::DeviceWorker),
              ElementsAre(kSelf, PathRule{"/images/root.img", PathAccess::ReadWrite},
                          PathRule{"/images/data.img", PathAccess::Read},
                          PathRule{"/images/tools.img", PathAccess::Read}));
  // Forks are made by these.
  for (const ThreadKind kind : {ThreadKind::Control, ThreadKind::Debugger}) {
    EXPECT_THAT(path_rules(config, kind), Contains(PathRule{"/images", PathAccess::ReadWrite}));
  }
}

TEST(PathRules, LetSocketsBeRemovedWhereTheyAre) {
  MachineConfig config;
  config.control.socket = "/run/user/1000/uvmm/a.sock";
  config.api_socket = "/run/api/sock";
  config.pins.socket = "pins";
  config.gdb.listen.emplace().path = "/gdb";
  config.vsock.emplace().socket = "/run/v/sock";
  EXPECT_THAT(path_rules(config, ThreadKind::Io),
              ElementsAre(kSelf, PathRule{"/run/user/1000/uvmm", PathAccess::Sockets},
                          PathRule{"/run/api", PathAccess::Sockets}, PathRule{".", PathAccess::Sockets},
                          PathRule{"/", PathAccess::Sockets}, PathRule{"/run/v", PathAccess::Sockets}));
}

TEST(PathRules, LetADebuggerWriteWhereUvmmStandsAndWhereThingsAreTemporary) {
  ::setenv("TMPDIR", "/scratch", 1);
  MachineConfig config;
  config.gdb.listen = gdb::ListenAddress{};
  config.confinement.allowed_paths = {"/dumps"};
  EXPECT_THAT(
      path_rules(config, ThreadKind::Debugger),
      ElementsAre(kSelf, PathRule{"/dumps", PathAccess::All}, PathRule{"/dev/kvm", PathAccess::ReadWrite},
                  PathRule{".", PathAccess::All}, PathRule{"/scratch", PathAccess::All}));
  EXPECT_THAT(path_rules(config, ThreadKind::Control),
              ElementsAre(kSelf, PathRule{"/dumps", PathAccess::All}));
  ::unsetenv("TMPDIR");
}

}  // namespace path_rules_test
}  // namespace vmm::confine
