// The real program, told wrong things: one line on stderr, the right status, nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/places.h"
#include "tests/support/process.h"
#include "uvm/base/sanitizers.h"

namespace bad_input_test {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

const std::string kProgram = test::uvmm_path();

/// A folder with wrong files of many kinds, gone after the test. It is the place for a core, too.
class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::access(kProgram.c_str(), X_OK), 0) << kProgram << " is not built";
    std::string pattern = ::testing::TempDir() + "uvmm-bad-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
    write("empty", "");
    write("text", "This is not a kernel.\n");
    write("zeros", std::string(1 << 20, '\0'));
    write("elf-head", std::string("\x7f"
                                  "ELF\x02\x01\x01",
                                  7));
    write("elf-rubbish",
          "\x7f"
          "ELF\x02\x01\x01" +
              std::string(64 * 1024, '\xff'));
    std::string bzimage(0x264, '\xff');
    bzimage.replace(0x1fe, 2, "\x55\xaa");
    bzimage.replace(0x202, 4, "HdrS");
    write("bzimage-head", bzimage);
    write("bzimage-rubbish", bzimage + std::string(8192, '\xff'));
    write("multiboot-rubbish",
          std::string("\x02\xb0\xad\x1b\xff\xff\xff\xff", 8) + std::string(8192, '\xff'));
    write("trailing.json", "{\"name\": \"a\",}");
    write("key.json", R"({"machine-config": {"vcpu_cuont": 2}})");
    write("drives.json", R"({"drives": [{"drive_id": "rootfs"}]})");
  }
  void TearDown() override {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      EXPECT_THAT(entry.path().filename().string(), ::testing::Not(StartsWith("core")));
    }
    std::filesystem::remove_all(folder_);
  }

  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << bytes;
  }
  [[nodiscard]] std::string file(const std::string& name) const { return folder_ + "/" + name; }

  /// Runs the program in the folder, with cores allowed.
  [[nodiscard]] test::ProcessResult run(const Words& words, const std::string& before = "") const {
    Words all = {"/bin/sh", "-c",
                 "cd '" + folder_ + "' && ulimit -c unlimited 2>/dev/null; " + before + "exec \"$0\" \"$@\"",
                 kProgram};
    all.insert(all.end(), words.begin(), words.end());
    return test::run_process(all);
  }

  static void expect_one_line(const test::ProcessResult& result, int status, const std::string& message,
                              const std::string& what) {
    EXPECT_EQ(result.status, status) << what << "\n" << result.err;
    EXPECT_EQ(result.out, "") << what;
    EXPECT_THAT(result.err, StartsWith("uvmm: error: ")) << what;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << what << "\n" << result.err;
    EXPECT_TRUE(result.err.ends_with('\n')) << what;
    EXPECT_THAT(result.err, HasSubstr(message)) << what;
  }

  std::string folder_;
};

struct Row {
  Words words;
  const char* message;
};

TEST_F(BadInput, OnTheCommandLine) {
  const Row rows[] = {
      {{}, "no verb is given"},
      {{"rnu"}, "nearest: run"},
      {{"run"}, "no kernel is given"},
      {{"run", "-k", "text", "--memroy", "1G"}, "nearest: --memory"},
      {{"run", "-k", "text", "-c", "0"}, "--cpus takes 1 to 16"},
      {{"run", "-k", "text", "-c", "1000"}, "--cpus takes 1 to 16"},
      {{"run", "-k", "text", "-m", "0"}, "too little"},
      {{"run", "-k", "text", "-m", "100T"}, "more than a processor can address"},
      {{"run", "-k", "text", "-m", "lots"}, "is not a size"},
      {{"run", "--builtin", "helo"}, "the nearest is 'hello'"},
      {{"run", "a\nuvmm: error: forged\x1b[2J"}, "unexpected word"},
      {{"doctor", "--jsno"}, "nearest: --json"},
  };
  for (const Row& row : rows) {
    expect_one_line(run(row.words), 2, row.message, ::testing::PrintToString(row.words));
  }
}

TEST_F(BadInput, InAConfigurationFile) {
  const Row rows[] = {
      {{"run", "--config", "nowhere.json"}, "configuration nowhere.json: No such file"},
      {{"run", "--config", "."}, "configuration .: Is a directory"},
      {{"run", "--config", "empty"}, "configuration empty: no JSON in it"},
      {{"run", "--config", "zeros"}, "configuration zeros: a NUL byte at line 1, column 1"},
      {{"run", "--config", "/dev/zero"}, "configuration /dev/zero: larger than 1M"},
      {{"run", "--config", "trailing.json"}, "configuration trailing.json: not JSON at line 1, column 14"},
      {{"run", "--config", "key.json"}, "the nearest valid key is machine-config.vcpu_count"},
      {{"run", "--config", "drives.json"}, "drives[0] needs path_on_host"},
      {{"run", "--config", "elf-rubbish"}, "isn't UTF-8"},
  };
  for (const Row& row : rows) {
    expect_one_line(run(row.words), 2, row.message, ::testing::PrintToString(row.words));
  }
}

/// A kernel is looked at when a machine is built, and that begins with /dev/kvm.
#define NEEDS_KVM() \
  if (::access("/dev/kvm", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/kvm: " << std::strerror(errno)

TEST_F(BadInput, AsAKernel) {
  NEEDS_KVM();
  for (const char* name :
       {"nowhere", ".", "empty", "text", "zeros", "elf-head", "elf-rubbish", "bzimage-head",
        "bzimage-rubbish", "multiboot-rubbish", "/dev/null", "/dev/zero"}) {
    const std::string shown = name == std::string(".") ? "" : name;
    expect_one_line(run({"run", "-k", name}), 2, shown, std::string("kernel ") + name);
  }
}

TEST_F(BadInput, AsAKernelOfACertainFormat) {
  NEEDS_KVM();
  for (const char* format : {"bzimage", "elf64", "pvh", "multiboot"}) {
    for (const char* name :
         {"empty", "text", "zeros", "elf-rubbish", "bzimage-rubbish", "multiboot-rubbish"}) {
      expect_one_line(run({"run", "-k", name, "--kernel-format", format}), 2, name,
                      std::string(format) + " " + name);
    }
  }
}

TEST_F(BadInput, AsAnInitrdOrAMachineTooSmall) {
  NEEDS_KVM();
  const std::string kernel = test::asset("vmlinuz");
  if (::access(kernel.c_str(), R_OK) != 0) GTEST_SKIP() << kernel << " is not there: ./dev build makes it";
  expect_one_line(run({"run", "-k", kernel, "-i", "nowhere"}), 2, "nowhere: No such file", "initrd");
  expect_one_line(run({"run", "-k", kernel, "-i", "."}), 2, "not a regular file", "initrd");
  expect_one_line(run({"run", "-k", kernel, "-m", "2M"}), 2, "give at least -m", "2 MiB");
}

TEST_F(BadInput, AsALogFile) {
  expect_one_line(run({"run", "-k", "text", "--log-file", "/nowhere/x.log"}), 2, "/nowhere/x.log",
                  "log file");
}

TEST_F(BadInput, WithoutPermissionForKvm) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become a user who may not open /dev/kvm";
  struct stat device {};
  if (::stat("/dev/kvm", &device) == 0 && (device.st_mode & S_IROTH) != 0) {
    GTEST_SKIP() << "/dev/kvm is open to everybody here";
  }
  const auto result = test::run_process({"/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
                                         "--clear-groups", kProgram, "run", "--builtin", "hello"});
  if (result.err.find("setpriv") != std::string::npos) GTEST_SKIP() << "setpriv: " << result.err;
  expect_one_line(result, 8, "/dev/kvm", "nobody");
}

TEST_F(BadInput, WithoutAddressSpace) {
  if (uvm::kSanitized) GTEST_SKIP() << "a sanitizer needs more address space than the test leaves";
  // 64 GiB of guest don't fit; the message comes with the rest of the memory still usable.
  const auto result = run({"run", "--builtin", "hello", "-m", "64G"}, "ulimit -v 1000000; ");
  EXPECT_TRUE(result.status == 6 || result.status == 8) << result.status << "\n" << result.err;
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  EXPECT_THAT(result.err, StartsWith("uvmm: error: "));
}

TEST_F(BadInput, AClosedStderrReceivesNothingAndHarmsNothing) {
  const auto result = run({"run", "-k", "nowhere"}, "exec 0<&- 1>&- 2>&-; ");
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.out + result.err, "");
}

TEST_F(BadInput, AFullDeviceIsTold) {
  const auto full = test::run_process({"/bin/sh", "-c", kProgram + " --help >/dev/full"});
  expect_one_line(full, 6, "standard output: No space left", "full");
}

TEST_F(BadInput, GoodInputForComparison) {
  const auto version = run({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_THAT(version.out, StartsWith("uvmm "));
  const auto dry = run({"run", "-k", "text", "-m", "1500K", "-c", "3", "--dry-run"});
  EXPECT_EQ(dry.status, 0);
  EXPECT_EQ(dry.err, "");
  write("again.json", dry.out);
  const auto again = run({"run", "--config", "again.json", "--dry-run"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(again.out, dry.out);
  const auto list = run({"list-builtins"});
  EXPECT_EQ(list.status, 0);
  EXPECT_THAT(list.out, HasSubstr("memwalk"));
  EXPECT_EQ(run({"run", "--builtin", "list"}).out, list.out);
}

TEST_F(BadInput, DoctorAnswersEverywhere) {
  const auto verdict = run({"doctor", "--can-boot-linux"});
  EXPECT_TRUE(verdict.status == 0 || verdict.status == 3) << verdict.status << verdict.err;
  EXPECT_THAT(verdict.out, StartsWith(verdict.status == 0 ? "yes: " : "no: "));
  EXPECT_EQ(std::ranges::count(verdict.out, '\n'), 1) << verdict.out;
  const auto table = run({"doctor"});
  EXPECT_TRUE(table.status == 0 || table.status == 8) << table.err;
  EXPECT_THAT(table.out, HasSubstr("kvm"));
}

}  // namespace bad_input_test
