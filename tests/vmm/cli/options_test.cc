#include "vmm/cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace vmm::cli {
namespace cli_options_test {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

Invocation parsed(const Words& words) {
  const auto invocation = parse_command_line(words);
  EXPECT_TRUE(invocation) << invocation.error().text();
  return invocation ? *invocation : Invocation{};
}

std::string error_of(const Words& words) {
  const auto invocation = parse_command_line(words);
  if (invocation) return "no error";
  EXPECT_EQ(invocation.error().kind(), uvm::ErrorKind::Invalid);
  EXPECT_EQ(invocation.error().text().find('\n'), std::string::npos) << invocation.error().text();
  return invocation.error().text();
}

/// A configuration file for one test.
class ConfigFileForTest {
 public:
  explicit ConfigFileForTest(const std::string& text)
      : path_(::testing::TempDir() + "uvmm-options-" + std::to_string(::getpid()) + ".json") {
    std::ofstream(path_) << text;
  }
  ~ConfigFileForTest() { ::unlink(path_.c_str()); }
  ConfigFileForTest(const ConfigFileForTest&) = delete;
  ConfigFileForTest& operator=(const ConfigFileForTest&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(RunOptions, SetAMemoryLimit) {
  const Invocation invocation =
      parsed({"run", "-k", "bzImage", "-m", "2G", "--memory-limit", "512M", "--swap", "/var/tmp/vm1.swap",
              "--swap-size=2G", "--swap-compress", "--swap-error", "stop"});
  EXPECT_EQ(invocation.config.overcommit,
            (Overcommit{512 * kMiB, "/var/tmp/vm1.swap", 2048 * kMiB, true, SwapError::Stop}));
}

TEST(RunOptions, SayWhatBecomesOfTheTimeInBetween) {
  EXPECT_EQ(parsed({"run", "--restore", "dir"}).config.clock, ClockPolicy::Continue);
  EXPECT_EQ(parsed({"run", "--restore", "dir", "--clock", "host"}).config.clock, ClockPolicy::Host);
  EXPECT_EQ(parsed({"fork", "first"}).remote.config.clock, ClockPolicy::Continue);
  EXPECT_EQ(parsed({"fork", "first", "--clock", "host"}).remote.config.clock, ClockPolicy::Host);
  EXPECT_THAT(error_of({"fork", "first", "--clock", "guest"}), HasSubstr("'guest' is not one of continue"));
  EXPECT_THAT(error_of({"run", "-k", "bzImage", "--clock", "host"}),
              HasSubstr("--clock is for guests that go on"));
}

TEST(RunOptions, TakeSeveralDevicesOfOtherProcesses) {
  const Invocation invocation =
      parsed({"run", "-k", "bzImage", "--vhost-user-blk", "/run/a.sock", "--vhost-user-fs",
              "/run/b,c.sock,tag=music", "--vhost-user-blk=/run/d.sock", "-m", "1G", "-m", "2G"});
  using vhost_user::Kind;
  EXPECT_EQ(invocation.config.vhost_user,
            (std::vector<vhost_user::Options>{{Kind::Block, "/run/a.sock", ""},
                                              {Kind::Block, "/run/d.sock", ""},
                                              {Kind::FileSystem, "/run/b,c.sock", "music"}}));
  EXPECT_EQ(invocation.config.memory, 2048 * kMiB) << "of others the last one counts";
  EXPECT_THAT(error_of({"run", "-k", "bzImage", "--vhost-user-fs", "/run/b.sock"}),
              HasSubstr("SOCKET,tag=TAG"));
}

TEST(RunOptions, FillTheConfiguration) {
  const Invocation invocation = parsed({"run",
                                        "-k",
                                        "bzImage",
                                        "-i",
                                        "rd.gz",
                                        "-p",
                                        "console=ttyS0 x=-1",
                                        "-m",
                                        "2G",
                                        "-c",
                                        "4",
                                        "--kernel-format",
                                        "bzimage",
                                        "--load-address",
                                        "0x100000",
                                        "--memory-backing",
                                        "shared",
                                        "--irqchip",
                                        "full",
                                        "--debug-exit",
                                        "plain",
                                        "--console",
                                        "none",
                                        "--show-map",
                                        "--log-level",
                                        "debug",
                                        "--log-file",
                                        "x.log",
                                        "--name",
                                        "vm1",
                                        "--huge-pages",
                                        "never"});
  const MachineConfig& config = invocation.config;
  EXPECT_EQ(invocation.verb, Verb::Run);
  EXPECT_EQ(config.boot.kernel, "bzImage");
  EXPECT_EQ(config.boot.initrd, "rd.gz");
  EXPECT_EQ(config.boot.cmdline, "console=ttyS0 x=-1");
  EXPECT_EQ(config.memory, 2048 * kMiB);
  EXPECT_EQ(config.vcpus, 4U);
  EXPECT_EQ(config.boot.format, "bzimage");
  EXPECT_EQ(config.boot.load_address, 0x100000U);
  EXPECT_EQ(config.backing, MemoryBacking::Shared);
  EXPECT_EQ(config.huge_pages, HugePages::Never);
  EXPECT_EQ(config.irqchip, IrqChip::Full);
  EXPECT_EQ(config.debug_exit, DebugExitStatus::Plain);
  EXPECT_EQ(config.console, ConsoleMode::None);
  EXPECT_EQ(config.show_map, ShowMap::AtExit);
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_EQ(config.log_file, "x.log");
  EXPECT_EQ(config.name, "vm1");
}

TEST(RunOptions, LongNamesMeanTheSame) {
  const Words spellings[] = {
      {"run", "--kernel=k", "--initrd=i", "--cmdline=-p", "--memory=512M", "--cpus=2"},
      {"run", "-k", "k", "--initramfs", "i", "--append=-p", "--mem", "512", "--smp", "2"},
      {"run", "-k", "k", "-i", "i", "--params=-p", "-m512M", "-c2"},
      {"run", "-kernel", "k", "-initrd", "i", "--append=-p", "-m", "512", "-smp", "2", "-nographic"},
      {"run", "-kernel", "k", "-initrd", "i", "--append=-p", "-m", "size=512M", "-smp", "cpus=2",
       "-enable-kvm", "-no-reboot"},
      {"run", "--kernel", "k", "--initramfs", "i", "--cmdline=-p", "--memory", "size=512M", "--cpus",
       "boot=2"},
      {"run", "-m", "1G", "-k", "x", "-k", "k", "-i", "i", "--cmdline=-p", "-m", "512M", "-c",
       "2"},  // last wins
  };
  for (const Words& words : spellings) {
    const MachineConfig config = parsed(words).config;
    EXPECT_EQ(config.boot.kernel, "k");
    EXPECT_EQ(config.boot.initrd, "i");
    EXPECT_EQ(config.boot.cmdline, "-p");
    EXPECT_EQ(config.memory, 512 * kMiB);
    EXPECT_EQ(config.vcpus, 2U);
    EXPECT_EQ(config.console, ConsoleMode::Stdio);
  }
}

TEST(RunOptions, AValueMayBeEmptyOrLookLikeANumberOrALongWord) {
  EXPECT_EQ(parsed({"run", "-k", "k", "-p", ""}).config.boot.cmdline, "");
  EXPECT_EQ(parsed({"run", "-k", "k", "-p", "a=b c=d"}).config.boot.cmdline, "a=b c=d");
  EXPECT_EQ(parsed({"run", "-k", "k", "--cmdline=a=b,c;d #e"}).config.boot.cmdline, "a=b,c;d #e");
  EXPECT_EQ(parsed({"run", "-k", "k", "--cmdline="}).config.boot.cmdline, "");
  EXPECT_EQ(parsed({"run", "-k", "k", "-p", "-foo"}).config.boot.cmdline, "-foo");
  EXPECT_EQ(parsed({"run", "-k", "[1,2]"}).config.boot.kernel, "[1,2]");
}

TEST(RunOptions, OverrideTheFileFieldByField) {
  const ConfigFileForTest file(
      R"({"boot-source": {"kernel_image_path": "fk", "initrd_path": "fi", "boot_args": "fa"},
                                   "machine-config": {"vcpu_count": 3, "mem_size_mib": 100}, "name": "fn"})");
  const MachineConfig config = parsed({"run", "-m", "1G", "--config", file.path(), "-i", ""}).config;
  EXPECT_EQ(config.boot.kernel, "fk");
  EXPECT_EQ(config.boot.initrd, "");
  EXPECT_EQ(config.boot.cmdline, "fa");
  EXPECT_EQ(config.vcpus, 3U);
  EXPECT_EQ(config.memory, 1024 * kMiB);
  EXPECT_EQ(config.name, "fn");
}

TEST(RunOptions, ABuiltinReplacesTheFilesKernelAndTheOtherWayRound) {
  const ConfigFileForTest kernel(
      R"({"boot-source": {"kernel_image_path": "fk", "initrd_path": "fi", "boot_args": "a"}})");
  const BootSource builtin = parsed({"run", "--config", kernel.path(), "--builtin", "hello"}).config.boot;
  EXPECT_EQ(builtin.kernel + builtin.initrd + builtin.cmdline, "");
  EXPECT_EQ(builtin.builtin, "hello");
  const ConfigFileForTest guest(R"({"boot-source": {"builtin": "hello", "builtin_args": "x"}})");
  const BootSource boot = parsed({"run", "--config", guest.path(), "-k", "k"}).config.boot;
  EXPECT_EQ(boot.kernel, "k");
  EXPECT_EQ(boot.builtin + boot.builtin_arguments, "");
}

TEST(RunOptions, DryRunAndBuiltinListAreVerbsOfTheirOwn) {
  EXPECT_EQ(parsed({"run", "-k", "k", "--dry-run"}).verb, Verb::DryRun);
  EXPECT_EQ(parsed({"run", "--builtin", "list"}).verb, Verb::ListBuiltins);
  EXPECT_EQ(parsed({"list-builtins"}).verb, Verb::ListBuiltins);
}

TEST(Options, ABalloonIsShownOrGivenASize) {
  const Invocation shown = parsed({"balloon", "web"});
  EXPECT_EQ(shown.remote.verb, RemoteVerb::Balloon);
  EXPECT_EQ(shown.remote.machine, "web");
  EXPECT_FALSE(shown.remote.bytes);
  EXPECT_EQ(parsed({"balloon", "web", "1G"}).remote.bytes, std::uint64_t{1} << 30U);
  EXPECT_EQ(parsed({"balloon", "web", "0"}).remote.bytes, 0U);
}

TEST(Doctor, HasThreeForms) {
  EXPECT_EQ(parsed({"doctor"}).doctor, DoctorOutput::Table);
  EXPECT_EQ(parsed({"doctor", "--json"}).doctor, DoctorOutput::Json);
  EXPECT_EQ(parsed({"doctor", "--can-boot-linux"}).doctor, DoctorOutput::CanBootLinux);
  EXPECT_EQ(parsed({"doctor"}).verb, Verb::Doctor);
  EXPECT_THAT(error_of({"doctor", "--json", "--can-boot-linux"}), HasSubstr("don't go together"));
  EXPECT_THAT(error_of({"doctor", "--jsn"}), HasSubstr("nearest: --json"));
}

struct Row {
  Words words;
  const char* message;
};

TEST(WrongWords, AreNamedWithTheNearestValidOne) {
  const Row rows[] = {
      {{}, "no verb is given; try `uvmm run -k KERNEL`"},
      {{"rnu"}, "'rnu' is not a verb of uvmm; nearest: run"},
      {{"-kernel", "k"}, "the first word must be a verb, not -kernel; write `uvmm run -kernel …`"},
      {{"run", "--memroy", "2G"}, "'--memroy' is not an option of uvmm; nearest: --memory"},
      {{"run", "--memroy=2G"}, "'--memroy' is not an option of uvmm; nearest: --memory"},
      {{"run", "-kernle", "k"}, "'-kernle' is not an option of uvmm; nearest: --kernel"},
      {{"run", "--kernal", "k"}, "nearest: --kernel"},
      {{"run", "-z"}, "'-z' is not an option of uvmm; nearest: --"},
      {{"run", "--"}, "'--' is not an option of uvmm"},
      {{"run", "-M", "microvm"},
       "'-M' is not an option of uvmm; uvmm has one machine type; nearest: --irqchip"},
      {{"run", "-accel", "kvm"}, "'-accel' is not an option of uvmm; uvmm always uses KVM"},
      {{"run", "-cpu", "host"}, "'-cpu' is not an option of uvmm; the guest sees the host's processor"},
      {{"run", "-cdrom", "x"}, "'-cdrom' is not an option of uvmm; nearest: --disk FILE"},
      {{"run", "-netdev", "tap"}, "'-netdev' is not an option of uvmm; nearest: --net tap=NAME"},
      {{"run", "-serial", "mon:stdio"}, "nearest: --console stdio"},
      {{"run", "--qmp", "unix:/x"}, "uvmm has Firecracker's API; nearest: --api-socket PATH"},
      {{"run", "vmlinux"}, "unexpected word 'vmlinux'; a kernel is given with --kernel FILE"},
      {{"run", "-k", "k", "a\nb"}, "unexpected word 'a\\nb'"},
      {{"list-builtins", "x"}, "unexpected word 'x'"},
  };
  for (const Row& row : rows) {
    EXPECT_THAT(error_of(row.words), HasSubstr(row.message)) << ::testing::PrintToString(row.words);
  }
}

TEST(RunOptions, LetDebuggersIn) {
  using gdb::AtStart;
  using gdb::OnKill;
  const gdb::Options none = parsed({"run", "-k", "k"}).config.gdb;
  EXPECT_FALSE(none.listen);
  EXPECT_EQ(none.at_start, AtStart::Run);
  EXPECT_EQ(none.on_kill, OnKill::Detach);
  EXPECT_EQ(none.on_disconnect, gdb::OnDisconnect::Resume);
  const gdb::Options usual = parsed({"run", "-k", "k", "-s", "-S"}).config.gdb;
  EXPECT_EQ(gdb::to_string(*usual.listen), gdb::kUsualAddress);
  EXPECT_EQ(usual.at_start, AtStart::Wait);
  for (const char* spelling : {"-gdb", "--gdb"}) {
    const gdb::Options own = parsed({"run", "-k", "k", spelling, "unix:/x", "--gdb-on-kill", "kill",
                                     "--gdb-on-disconnect", "stay"})
                                 .config.gdb;
    EXPECT_EQ(gdb::to_string(*own.listen), "unix:/x");
    EXPECT_EQ(own.at_start, AtStart::Run);
    EXPECT_EQ(own.on_kill, OnKill::Kill);
    EXPECT_EQ(own.on_disconnect, gdb::OnDisconnect::Stay);
  }
}

TEST(WrongValues, AreNamedWithTheirOption) {
  const Row rows[] = {
      {{"run", "-k"}, "'-k' needs a value, FILE"},
      {{"run", "-k", "-m", "2G"},
       "'-k' needs a value, FILE, and '-m' is an option itself; if the value is meant, put it behind a long "
       "option and '='"},
      {{"run", "--show-map=yes", "-k", "k"}, "'--show-map' takes no value"},
      {{"run", "-k", "k", "-m", "2X"}, "--memory: '2X' is not a size"},
      {{"run", "-k", "k", "-m", "0"}, "memory of 0 is too little"},
      {{"run", "-k", "k", "-m", "100T"}, "memory of 100T is more than a processor can address"},
      {{"run", "-k", "k", "-c", "0"}, "0 vCPUs are not possible; --cpus takes 1 to 16"},
      {{"run", "-k", "k", "-c", "1000"}, "1000 vCPUs are not possible; --cpus takes 1 to 16"},
      {{"run", "-k", "k", "-c", "many"}, "--cpus: 'many' is not a number of vCPUs"},
      {{"run", "-k", "k", "-smp", "4,sockets=1"}, "--cpus: '4,sockets=1' is not a number of vCPUs"},
      {{"run", "-k", "k", "--gdb", "1234"}, "--gdb: '1234' is no place to listen at; write tcp:PORT"},
      {{"run", "-k", "k", "--gdb", "tcp:99999"}, "--gdb: 'tcp:99999' has no port from 0 to 65535"},
      {{"run", "-k", "k", "--gdb"}, "'--gdb' needs a value, WHERE"},
      {{"run", "-k", "k", "-s=1"}, "'-s=1' is not an option of uvmm"},
      {{"run", "-k", "k", "-S"}, "-S waits for a debugger, and none can come in; add -s, or --gdb WHERE"},
      {{"run", "-k", "k", "-s", "--gdb-on-kill", "stop"},
       "--gdb-on-kill: 'stop' is not one of detach or kill"},
      {{"run", "-k", "k", "--irqchip", "spilt"}, "--irqchip: 'spilt' is not one of auto, split or full"},
      {{"run", "-k", "k", "--log-level", "loud"}, "--log-level: 'loud' is not one of"},
      {{"run", "-k", "k", "--load-address", "zero"}, "--load-address: 'zero' is not an address"},
      {{"run"}, "no kernel is given"},
      {{"run", "-k", "k", "--builtin", "hello"}, "both a kernel (k) and a built-in guest (hello)"},
      {{"run", "--builtin", "helo"}, "there is no built-in guest 'helo'; the nearest is 'hello'"},
  };
  for (const Row& row : rows) {
    EXPECT_THAT(error_of(row.words), HasSubstr(row.message)) << ::testing::PrintToString(row.words);
  }
}

TEST(WrongFiles, AreNamedWithTheirPath) {
  const auto missing = parse_command_line(Words{"run", "--config", "/nowhere/vm.json"});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().text(), HasSubstr("configuration /nowhere/vm.json: No such file"));
  const ConfigFileForTest file(R"({"machine-config": {"vcpu_cuont": 2}})");
  EXPECT_THAT(error_of({"run", "--config", file.path()}),
              HasSubstr("configuration " + file.path() + ": machine-config.vcpu_cuont is not a key"));
}

TEST(Help, IsCompleteForEveryOption) {
  const std::string whole = parsed({"--help"}).text;
  for (const char* name :
       {"--kernel",     "--initrd",       "--cmdline",     "--kernel-format", "--load-address",
        "--builtin",    "--builtin-args", "--memory",      "--cpus",          "--memory-backing",
        "--huge-pages", "--irqchip",      "--debug-exit",  "--name",          "--console",
        "--swap-size",  "--memory-limit", "--swap",        "--swap-compress", "--swap-error",
        "--show-map",   "--gdb",          "--gdb-on-kill", "--log-level",     "--log-file",
        "--config",     "--dry-run",      "doctor",        "list-builtins",   "Exit status",
        "Examples",     "Ctrl-A x"}) {
    EXPECT_THAT(whole, HasSubstr(name));
    if (name[0] == '-') {
      EXPECT_THAT(parsed({"run", "--help"}).text, HasSubstr(name));
    }
  }
  EXPECT_THAT(parsed({"doctor", "--help"}).text, HasSubstr("--can-boot-linux"));
  EXPECT_THAT(parsed({"list-builtins", "-h"}).text, HasSubstr("uvmm run --builtin NAME"));
}

TEST(Help, FitsATerminal) {
  std::istringstream text(parsed({"--help"}).text);
  for (std::string line; std::getline(text, line);) EXPECT_LE(line.size(), 100U) << line;
}

TEST(Version, NamesVersionAndCommit) {
  EXPECT_THAT(parsed({"--version"}).text, ::testing::MatchesRegex("uvmm [0-9.]+ \\(commit [0-9a-z-]+\\)\n"));
}

}  // namespace cli_options_test
}  // namespace vmm::cli
