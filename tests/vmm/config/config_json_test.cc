#include "vmm/config/config_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/support/places.h"
#include "vmm/config/json_text.h"

namespace vmm::config {
namespace config_json_test {

using ::testing::HasSubstr;
using ::testing::Not;

MachineConfig merged(std::string_view text, const MachineConfig& base = {}) {
  const auto config = merge_json(base, text);
  EXPECT_TRUE(config) << config.error().text();
  return config ? *config : MachineConfig{};
}

std::string error_of(std::string_view text) {
  const auto config = merge_json({}, text);
  if (config) return "no error";
  EXPECT_EQ(config.error().text().find('\n'), std::string::npos);
  return config.error().text();
}

TEST(ConfigJson, TakesFirecrackersKeys) {
  const MachineConfig config = merged(R"({
    "boot-source": {"kernel_image_path": "vmlinux.bin", "boot_args": "console=ttyS0 reboot=k", "initrd_path": null},
    "drives": [], "network-interfaces": [], "vsock": null, "balloon": null, "mmds-config": null, "entropy": null,
    "metrics": null, "cpu-config": null,
    "machine-config": {"vcpu_count": 2, "mem_size_mib": 1024, "smt": false, "track_dirty_pages": false,
                       "huge_pages": "None", "cpu_template": "None"},
    "logger": {"log_path": "vm.log", "level": "Debug", "show_level": true, "show_log_origin": false, "module": ""}
  })");
  EXPECT_EQ(config.boot.kernel, "vmlinux.bin");
  EXPECT_EQ(config.boot.cmdline, "console=ttyS0 reboot=k");
  EXPECT_EQ(config.boot.initrd, "");
  EXPECT_EQ(config.vcpus, 2U);
  EXPECT_EQ(config.memory, std::uint64_t{1024} << 20);
  EXPECT_EQ(config.huge_pages, HugePages::Auto);
  EXPECT_EQ(config.log_file, "vm.log");
  EXPECT_EQ(config.log_level, "debug");
}

TEST(ConfigJson, TakesAndPrintsAMemoryLimit) {
  const MachineConfig config = merged(R"({
    "boot-source": {"builtin": "memwalk"},
    "machine-config": {"mem_size_mib": 2048, "memory_limit": "512M", "swap": "/var/tmp/one.swap",
                       "swap_size": "1536M", "swap_compress": true, "swap_error": "stop"}
  })");
  EXPECT_EQ(config.overcommit.limit, std::uint64_t{512} << 20);
  EXPECT_EQ(config.overcommit.swap, "/var/tmp/one.swap");
  EXPECT_EQ(config.overcommit.swap_size, std::uint64_t{1536} << 20);
  EXPECT_TRUE(config.overcommit.compress);
  EXPECT_EQ(config.overcommit.on_error, SwapError::Stop);
  EXPECT_EQ(merged(to_json(config)).overcommit, config.overcommit);
  EXPECT_THAT(to_json(config), HasSubstr(R"("memory_limit": "512M")"));
  EXPECT_THAT(to_json(MachineConfig{}), Not(HasSubstr("swap")));
  EXPECT_THAT(error_of(R"({"machine-config": {"memory_limit": "much"}})"),
              HasSubstr("machine-config.memory_limit: 'much' is not a size"));
  EXPECT_THAT(error_of(R"({"machine-config": {"swap_error": "paus"}})"),
              HasSubstr("machine-config.swap_error: 'paus' is not one of"));
}

TEST(ConfigJson, TakesAndPrintsDevicesOfOtherProcesses) {
  const MachineConfig config = merged(R"({"vhost-user": [
    {"type": "blk", "socket": "/run/disk"}, {"type": "fs", "socket": "/run/fs", "tag": "music"}]})");
  using vhost_user::Kind;
  EXPECT_EQ(config.vhost_user, (std::vector<vhost_user::Options>{{Kind::Block, "/run/disk", ""},
                                                                 {Kind::FileSystem, "/run/fs", "music"}}));
  EXPECT_EQ(merged(to_json(config)).vhost_user, config.vhost_user);
  EXPECT_THAT(to_json({}), Not(HasSubstr("vhost-user")));
  EXPECT_THAT(error_of(R"({"vhost-user": {}})"), HasSubstr("vhost-user must be an array"));
  EXPECT_THAT(error_of(R"({"vhost-user": [{"type": "blk"}, 3]})"),
              HasSubstr("vhost-user[1] must be an object"));
  EXPECT_THAT(error_of(R"({"vhost-user": [{"type": "net"}]})"),
              HasSubstr("vhost-user[0].type: 'net' is not one of"));
  EXPECT_THAT(error_of(R"({"vhost-user": [{"sokket": "x"}]})"), HasSubstr("vhost-user[0].socket"));
}

TEST(ConfigJson, TakesOurKeys) {
  const MachineConfig config = merged(R"({
    "boot-source": {"builtin": "memwalk", "builtin_args": "passes=2", "format": "flat-long", "load_address": "0x200000"},
    "machine-config": {"mem_size_bytes": 1536000, "memory_backing": "shared", "irqchip": "full",
                       "debug_exit": "plain", "huge_pages": "never"},
    "name": "one", "console": "none", "show-map": "at-exit",
    "gdb": {"listen": "tcp:7", "at_start": "wait", "on_kill": "kill",
            "on_disconnect": "stay"}
  })");
  EXPECT_EQ(config.boot.builtin, "memwalk");
  EXPECT_EQ(config.boot.builtin_arguments, "passes=2");
  EXPECT_EQ(config.boot.format, "flat-long");
  EXPECT_EQ(config.boot.load_address, 0x200000U);
  EXPECT_EQ(config.memory, 1536000U);
  EXPECT_EQ(config.backing, MemoryBacking::Shared);
  EXPECT_EQ(config.irqchip, IrqChip::Full);
  EXPECT_EQ(config.debug_exit, DebugExitStatus::Plain);
  EXPECT_EQ(config.huge_pages, HugePages::Never);
  EXPECT_EQ(config.name, "one");
  EXPECT_EQ(config.console, ConsoleMode::None);
  EXPECT_EQ(config.show_map, ShowMap::AtExit);
  EXPECT_EQ(gdb::to_string(*config.gdb.listen), "tcp:127.0.0.1:7");
  EXPECT_EQ(config.gdb.at_start, gdb::AtStart::Wait);
  EXPECT_EQ(config.gdb.on_kill, gdb::OnKill::Kill);
  EXPECT_EQ(config.gdb.on_disconnect, gdb::OnDisconnect::Stay);
}

TEST(ConfigJson, TakesFirecrackersDebuggerSocket) {
  const MachineConfig config = merged(R"({"machine-config": {"gdb_socket_path": "/tmp/gdb.socket"}})");
  EXPECT_EQ(gdb::to_string(*config.gdb.listen), "unix:/tmp/gdb.socket");
  EXPECT_FALSE(merged(R"({"machine-config": {"gdb_socket_path": null}})").gdb.listen);
}

TEST(ConfigJson, KeepsWhatIsNotGiven) {
  MachineConfig base;
  base.vcpus = 7;
  base.boot.kernel = "before";
  const MachineConfig config =
      merged(R"({"machine-config": {"mem_size_mib": 64}, "boot-source": null})", base);
  EXPECT_EQ(config.vcpus, 7U);
  EXPECT_EQ(config.boot.kernel, "before");
  EXPECT_EQ(config.memory, std::uint64_t{64} << 20);
}

TEST(ConfigJson, TakesCommentsAndAByteOrderMark) {
  EXPECT_EQ(
      merged("\xef\xbb\xbf// a guest\n{ /* two */ \"machine-config\": {\"vcpu_count\": 2} } // end\n").vcpus,
      2U);
}

struct Row {
  const char* text;
  const char* message;
};

TEST(ConfigJson, NamesAnUnknownKeyItsPlaceAndTheNearest) {
  const Row rows[] = {
      {R"({"machine-config": {"vcpu_cuont": 2}})",
       "machine-config.vcpu_cuont is not a key uvmm knows; the nearest valid key is "
       "machine-config.vcpu_count"},
      {R"({"boot_source": {}})", "boot_source is not a key uvmm knows; the nearest valid key is boot-source"},
      {R"({"logger": {"log_pth": "x"}})", "the nearest valid key is logger.log_path"},
      {R"({"boot-source": {"kernel": "x"}})", "the nearest valid key is boot-source.kernel_image_path"},
      {R"({"a\nb\u001b": 1})", "a\\nb\\x1b is not a key uvmm knows"},
  };
  for (const Row& row : rows) EXPECT_THAT(error_of(row.text), HasSubstr(row.message)) << row.text;
}

TEST(ConfigJson, NamesWrongTypesAndRanges) {
  const Row rows[] = {
      {R"([])", "the configuration must be an object, not an array"},
      {R"("x")", "the configuration must be an object, not a string"},
      {R"({"machine-config": 3})", "machine-config must be an object, not a whole number"},
      {R"({"machine-config": {"vcpu_count": "2"}})",
       "machine-config.vcpu_count must be a whole number, not a string"},
      {R"({"machine-config": {"vcpu_count": 2.5}})", "must be a whole number, not a number that isn't whole"},
      {R"({"machine-config": {"vcpu_count": 0}})", "machine-config.vcpu_count takes 1 to 16, not 0"},
      {R"({"machine-config": {"vcpu_count": 1000}})", "machine-config.vcpu_count takes 1 to 16, not 1000"},
      {R"({"machine-config": {"vcpu_count": -1}})", "takes 0 to 4294967295, not -1"},
      {R"({"machine-config": {"mem_size_mib": 18446744073709551615}})",
       "mem_size_mib takes 0 to 17592186044415"},
      {R"({"machine-config": {"mem_size_mib": 99999999999999999999}})", "not a number that isn't whole"},
      {R"({"machine-config": {"mem_size_mib": 1, "mem_size_bytes": 4096}})",
       "has both mem_size_mib and mem_size_bytes"},
      {R"({"machine-config": {"smt": 1}})", "machine-config.smt must be true or false"},
      {R"({"machine-config": {"irqchip": "spilt"}})", "machine-config.irqchip: 'spilt' is not one of"},
      {R"({"boot-source": {"kernel_image_path": ["x"]}})",
       "kernel_image_path must be a string, not an array"},
      {R"({"boot-source": {"load_address": true}})", "load_address must be a whole number"},
      {R"({"boot-source": {"load_address": "1x"}})", "boot-source.load_address: '1x' is not an address"},
      {R"({"boot-source": {"format": "elf"}})", "boot-source.format: 'elf' is not one of"},
      {R"({"logger": {"level": "Loud"}})", "logger.level: 'Loud' is not one of"},
      {R"({"console": {"a": 1}})", "console must be a string, not an object"},
  };
  for (const Row& row : rows) EXPECT_THAT(error_of(row.text), HasSubstr(row.message)) << row.text;
}

TEST(ConfigJson, RefusesWhatUvmmCannotDo) {
  const Row rows[] = {
      {R"({"cpu-config": {"a": 1}})", "cpu-config is not supported yet; leave it out or make it empty"},
      {R"({"machine-config": {"smt": true}})", "machine-config.smt true is not supported"},
      {R"({"machine-config": {"cpu_template": "T2"}})", "machine-config.cpu_template takes only \"None\""},
      {R"({"machine-config": {"gdb_socket_path": 7}})", "gdb_socket_path must be a string"},
      {R"({"gdb": {"listen": "/p"}})", "gdb.listen: '/p' is no place to listen at"},
      {R"({"gdb": {"at_start": "stop"}})", "gdb.at_start: 'stop' is not one of run or wait"},
      {R"({"gdb": {"port": 1}})", "gdb"},
      {R"({"machine-config": {"huge_pages": "1G"}})", "machine-config.huge_pages: '1G' is not one of"},
      {R"({"logger": {"show_log_origin": true}})", "logger.show_log_origin true is not supported"},
      {R"({"logger": {"module": "api_server"}})", "logger.module takes only"},
  };
  for (const Row& row : rows) EXPECT_THAT(error_of(row.text), HasSubstr(row.message)) << row.text;
}

TEST(ConfigJson, GivesLineAndColumnOfWhatIsNotJson) {
  const Row rows[] = {
      {"", "no JSON in it, it is empty"},
      {" \n\t ", "no JSON in it, it is empty"},
      {"{\n  \"name\": \"a\"\n  \"console\": 1 }", "not JSON at line 3, column 3"},
      {"{\n  \"name\": tru }", "at line 2, column 1"},
      {"{\"name\": \"a\"", "the text ends before the JSON does, at line 1, column 13"},
      {"{\"name\": \"a\"} x", "something follows the JSON's end at line 1, column 15"},
      {"{\"name\": \"a\",}", "not JSON at line 1, column 14"},
      {"{ / \"name\": \"a\" }", "not JSON at line 1, column 3"},
      {"/ueas", "not JSON at line 1, column 1"},
      {"{} /* never closed", "no error"},
      {"/* never closed {}", "the text ends before the JSON does"},
      {"{ // \n \"name\" /* : */ }", "not JSON at line 2, column 17"},
      {"{\"name\": \"// no /* comment\", x}", "not JSON at line 1, column 30"},
      {"{'name': 'a'}", "not JSON at line 1, column 2"},
      {"{\n\"name\": \"\xff\"}", "a byte that isn't UTF-8 at line 2, column 10"},
      {"{\"name\": \"a\nb\"}", "not JSON at line 1, column 12"},
      {"\x7f"
       "ELF",
       "not JSON at line 1, column 1"},
      {"{\"name\": \"a\", \"name\": \"b\"}", "the key \"name\" is there twice, again at line 1, column 2"},
      {"{\"name\": \"a\", \"n\\u0061me\": \"b\"}", "the key \"name\" is there twice"},
      {"{\"machine-config\": {\"smt\": false, \"smt\": true}}", "the key \"smt\" is there twice"},
  };
  for (const Row& row : rows) EXPECT_THAT(error_of(row.text), HasSubstr(row.message)) << row.text;
  EXPECT_THAT(error_of(std::string("{\0}", 3)), HasSubstr("a NUL byte at line 1, column 2"));
}

TEST(ConfigJson, StopsNestingAndSize) {
  const std::string arrays(100000, '[');
  EXPECT_THAT(error_of(arrays),
              HasSubstr("more than 16 arrays and objects inside each other at line 1, column 17"));
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "{\"a\":";
  EXPECT_THAT(error_of(objects), HasSubstr("inside each other"));
  EXPECT_THAT(error_of(std::string(kMaxConfigText + 1, ' ')), HasSubstr("more than 1 MiB"));
}

TEST(ConfigJson, EveryTruncationOfAGoodTextIsAnErrorOrACompleteText) {
  const std::string text = R"({"machine-config": {"vcpu_count": 2, "irqchip": "split"}, "name": "é"})";
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(merge_json({}, std::string_view(text).substr(0, length))) << length;
  }
  EXPECT_TRUE(merge_json({}, text));
}

bool same(const MachineConfig& a, const MachineConfig& b) {
  return to_json(a) == to_json(b) && a.boot.kernel == b.boot.kernel && a.boot.initrd == b.boot.initrd &&
         a.boot.cmdline == b.boot.cmdline && a.boot.format == b.boot.format &&
         a.boot.load_address == b.boot.load_address && a.boot.builtin == b.boot.builtin &&
         a.boot.builtin_arguments == b.boot.builtin_arguments && a.vcpus == b.vcpus && a.memory == b.memory &&
         a.backing == b.backing && a.huge_pages == b.huge_pages && a.irqchip == b.irqchip &&
         a.debug_exit == b.debug_exit && a.console == b.console && a.show_map == b.show_map &&
         a.name == b.name && a.log_level == b.log_level && a.log_file == b.log_file;
}

TEST(ConfigJson, WhatIsPrintedReadsBackTheSame) {
  MachineConfig config;
  config.boot.kernel = "/boot/with \"quotes\" and \\";
  config.boot.initrd = "é.gz";
  config.boot.cmdline = "console=ttyS0 x=\"a b\"";
  config.boot.format = "flat-real";
  config.boot.load_address = 0xffffffffffffffff;
  config.vcpus = 16;
  config.memory = 1500 * 1024;
  config.backing = MemoryBacking::Anonymous;
  config.huge_pages = HugePages::Never;
  config.irqchip = IrqChip::Full;
  config.debug_exit = DebugExitStatus::Plain;
  config.console = ConsoleMode::None;
  config.show_map = ShowMap::AtExit;
  config.name = "n";
  config.log_level = "trace";
  config.log_file = "log";
  EXPECT_TRUE(same(merged(to_json(config)), config)) << to_json(config);
  EXPECT_TRUE(same(merged(to_json(MachineConfig{})), MachineConfig{}));
  MachineConfig builtin;
  builtin.boot.builtin = "memwalk";
  builtin.boot.builtin_arguments = "passes=2";
  EXPECT_TRUE(same(merged(to_json(builtin)), builtin)) << to_json(builtin);
}

TEST(ConfigFile, ReadsAFileAndNamesOneItCannotRead) {
  const std::string path = ::testing::TempDir() + "uvmm-config-" + std::to_string(::getpid()) + ".json";
  std::ofstream(path) << "{\"name\": \"x\"}";
  EXPECT_EQ(*read_config_file(path), "{\"name\": \"x\"}");
  ::unlink(path.c_str());
  const auto missing = read_config_file(path);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().text(), HasSubstr(path));
  const auto folder = read_config_file("/");
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().text(), HasSubstr("configuration /"));
  const auto endless = read_config_file("/dev/zero");
  ASSERT_FALSE(endless);
  EXPECT_THAT(endless.error().text(), HasSubstr("larger than 1M"));
}

TEST(DefaultConfig, OfTheProjectIsValidAndUses512MiB) {
  const auto text = read_config_file(test::source_dir() + "/configs/default.json");
  ASSERT_TRUE(text) << text.error().text();
  const MachineConfig config = merged(*text);
  EXPECT_EQ(config.boot.kernel, "build/guest/vmlinuz");
  EXPECT_EQ(config.boot.initrd, "build/guest/initramfs.cpio.gz");
  EXPECT_THAT(config.boot.cmdline, HasSubstr("console=ttyS0"));
  EXPECT_EQ(config.vcpus, 2U);
  EXPECT_EQ(config.memory, std::uint64_t{512} << 20);
}

}  // namespace config_json_test
}  // namespace vmm::config
