#include "vmm/config/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace vmm::config {
namespace validate_test {

using ::testing::HasSubstr;

MachineConfig good() {
  MachineConfig config;
  config.boot.kernel = "bzImage";
  return config;
}

TEST(Validate, TakesTheDefaultsWithAKernelOrABuiltin) {
  EXPECT_TRUE(validate(good()));
  MachineConfig builtin;
  builtin.boot.builtin = "hello";
  const auto verdict = validate(builtin);
  EXPECT_TRUE(verdict) << verdict.error().text();
}

TEST(Validate, TakesTheLimitsThemselves) {
  MachineConfig config = good();
  config.vcpus = kMaxVcpus;
  config.memory = kMaxMemory;
  EXPECT_TRUE(validate(config));
  config.vcpus = 1;
  config.memory = kMinMemory;
  EXPECT_TRUE(validate(config));
}

TEST(Validate, ChecksDevicesOfOtherProcesses) {
  using vhost_user::Kind;
  MachineConfig config = good();
  config.vhost_user = {{Kind::Block, "/run/disk", ""}, {Kind::FileSystem, "/run/fs", "music"}};
  EXPECT_TRUE(validate(config));
  const auto why = [&config](const vhost_user::Options& device) {
    config.vhost_user = {device};
    const auto verdict = validate(config);
    return verdict ? std::string("valid") : verdict.error().text();
  };
  EXPECT_THAT(why({Kind::Block, "", ""}), HasSubstr("empty"));
  EXPECT_THAT(why({Kind::Block, "/run/\n", ""}), HasSubstr("control character"));
  EXPECT_THAT(why({Kind::Block, std::string(108, 'x'), ""}), HasSubstr("107 are possible"));
  EXPECT_THAT(why({Kind::Block, "/run/disk", "music"}), HasSubstr("no tag"));
  EXPECT_THAT(why({Kind::FileSystem, "/run/fs", ""}), HasSubstr("needs a tag"));
  EXPECT_THAT(why({Kind::FileSystem, "/run/fs", std::string(37, 'x')}), HasSubstr("36 are possible"));
  config.vhost_user.assign(vhost_user::kMostDevices + 1, {Kind::Block, "/run/disk", ""});
  EXPECT_THAT(validate(config).error().text(), HasSubstr("16 are possible"));
  config.vhost_user.resize(1);
  config.overcommit.limit = kMinMemoryLimit;
  EXPECT_THAT(validate(config).error().text(), HasSubstr("--memory-limit"));
}

TEST(Validate, TakesAMemoryLimit) {
  MachineConfig config = good();
  config.memory = std::uint64_t{256} << 20;
  config.overcommit.limit = kMinMemoryLimit;
  EXPECT_TRUE(validate(config));
  config.overcommit.swap_size = std::uint64_t{248} << 20;
  EXPECT_TRUE(validate(config));
  config.overcommit.swap_size = std::uint64_t{64} << 20;
  config.overcommit.compress = true;  // may well fit
  EXPECT_TRUE(validate(config));
  config.overcommit = {};
  config.overcommit.limit = 2 * config.memory;
  EXPECT_TRUE(validate(config));
}

struct Row {
  const char* why;
  std::function<void(MachineConfig&)> spoil;
  const char* message;
};

const Row kWrong[] = {
    {"no vCPU", [](auto& c) { c.vcpus = 0; }, "0 vCPUs are not possible; --cpus takes 1 to 16"},
    {"1000 vCPUs", [](auto& c) { c.vcpus = 1000; }, "1000 vCPUs are not possible; --cpus takes 1 to 16"},
    {"no memory", [](auto& c) { c.memory = 0; }, "memory of 0 is too little; --memory takes 1M to 64T"},
    {"a page of memory", [](auto& c) { c.memory = 4096; }, "memory of 4K is too little"},
    {"too much", [](auto& c) { c.memory = kMaxMemory + 4096; }, "more than a processor can address"},
    {"a limit of nothing", [](auto& c) { c.overcommit.limit = 4096; },
     "a memory limit of 4K is too little for a guest to get anywhere; --memory-limit takes 8M or more"},
    {"a limit of half a page", [](auto& c) { c.overcommit.limit = (16 << 20) + 2048; },
     "not a whole number of 4K pages; round it"},
    {"a limit on shared memory",
     [](auto& c) {
       c.overcommit.limit = 16 << 20;
       c.backing = MemoryBacking::Shared;
     },
     "a memory limit of 16M and --memory-backing shared don't go together; leave one of them out"},
    {"swap without a limit", [](auto& c) { c.overcommit.swap = "/tmp"; },
     "an option of swap is given without --memory-limit; say how much"},
    {"a swap size without a limit", [](auto& c) { c.overcommit.swap_size = 16 << 20; },
     "without --memory-limit"},
    {"swap nowhere",
     [](auto& c) {
       c.overcommit.limit = 16 << 20;
       c.overcommit.swap = "";
     },
     "the path of --swap is empty"},
    {"too little swap",
     [](auto& c) {
       c.memory = 256 << 20;
       c.overcommit.limit = 64 << 20;
       c.overcommit.swap_size = 128 << 20;
     },
     "a guest of 256M with 64M in memory does not fit into swap of 128M; raise --swap-size to 192M"},
    {"a swap of half a page",
     [](auto& c) {
       c.memory = 256 << 20;
       c.overcommit.limit = 64 << 20;
       c.overcommit.swap_size = (256 << 20) + 2048;
     },
     "not a whole number of 4K pages; round --swap-size"},
    {"half a page", [](auto& c) { c.memory = (2 << 20) + 2048; }, "not a whole number of 4K pages"},
    {"no kernel", [](auto& c) { c.boot.kernel.clear(); }, "no kernel is given; name one with --kernel"},
    {"both", [](auto& c) { c.boot.builtin = "hello"; },
     "both a kernel (bzImage) and a built-in guest (hello)"},
    {"a mistyped built-in",
     [](auto& c) {
       c.boot.kernel.clear();
       c.boot.builtin = "memwlak";
     },
     "there is no built-in guest 'memwlak'; the nearest is 'memwalk'"},
    {"an initrd for a built-in",
     [](auto& c) {
       c.boot.kernel.clear();
       c.boot.builtin = "hello";
       c.boot.initrd = "x";
     },
     "takes no initrd"},
    {"a command line for a built-in",
     [](auto& c) {
       c.boot.kernel.clear();
       c.boot.builtin = "hello";
       c.boot.cmdline = "x";
     },
     "given with --builtin-args"},
    {"too little for a built-in",
     [](auto& c) {
       c.boot.kernel.clear();
       c.boot.builtin = "smp_hammer";
       c.memory = kMinMemory;
     },
     "needs "},
    {"long arguments",
     [](auto& c) {
       c.boot.kernel.clear();
       c.boot.builtin = "hello";
       c.boot.builtin_arguments = std::string(600, 'x');
     },
     "--builtin-args has 600 bytes, 511 are possible"},
    {"arguments without a built-in", [](auto& c) { c.boot.builtin_arguments = "x"; },
     "--builtin-args is given without --builtin"},
    {"a long command line", [](auto& c) { c.boot.cmdline = std::string(70000, 'x'); },
     "the kernel command line has 70000 bytes, 65535 are possible"},
    {"a line break", [](auto& c) { c.boot.cmdline = "a\nb"; }, "holds a control character (\\n) at byte 1"},
    {"a NUL in a path", [](auto& c) { c.boot.kernel = std::string("a\0b", 3); },
     "the kernel's path holds a control"},
    {"a format", [](auto& c) { c.boot.format = "elf"; }, "'elf' is not one of"},
    {"a load address outside", [](auto& c) { c.boot.load_address = c.memory; },
     "is not inside the guest's 256M"},
    {"no name", [](auto& c) { c.name.clear(); }, "the machine's name is empty"},
    {"a long name", [](auto& c) { c.name = std::string(65, 'n'); }, "name has 65 bytes, 64 are possible"},
    {"a log level", [](auto& c) { c.log_level = "loud"; }, "'loud' is not one of"},
};
TEST(Validate, NamesWhatIsWrongAndTheLimit) {
  for (const Row& row : kWrong) {
    MachineConfig config = good();
    row.spoil(config);
    const auto verdict = validate(config);
    ASSERT_FALSE(verdict) << row.why;
    EXPECT_EQ(verdict.error().kind(), uvm::ErrorKind::Invalid) << row.why;
    EXPECT_THAT(verdict.error().text(), HasSubstr(row.message)) << row.why;
    EXPECT_EQ(verdict.error().text().find('\n'), std::string::npos) << row.why;
  }
}

}  // namespace validate_test
}  // namespace vmm::config
