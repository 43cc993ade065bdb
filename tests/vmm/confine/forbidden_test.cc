// The forbidden things, tried from inside: a process for each, confined as a machine's thread is.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <functional>
#include <string>

#include "tests/support/temp_folder.h"
#include "uvm/base/sanitizers.h"
#include "vmm/confine/confinement.h"
#include "vmm/confine/landlock.h"
#include "vmm/kvm/fd.h"

namespace vmm::confine {
namespace forbidden_test {

using ::testing::HasSubstr;

constexpr std::array kKinds = {ThreadKind::Vcpu,         ThreadKind::Faults, ThreadKind::Reclaim,
                               ThreadKind::DeviceWorker, ThreadKind::Io,     ThreadKind::Control,
                               ThreadKind::Debugger};

struct End {
  int status = -1;  // as a shell has it
  std::string said;
};

/// In a process of its own, which ends with what `act` gives.
End confined(ThreadKind kind, const MachineConfig& config, const std::function<int()>& act) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd here(ends[0]);
  Fd there(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(there.get(), STDERR_FILENO);
    if (!set_up(config, nullptr) || !let_reopen_files()) ::_exit(99);
    enter(kind);
    ::_exit(act());
  }
  there.reset();
  End end;
  std::array<char, 512> bytes{};
  for (ssize_t got = 0; (got = ::read(here.get(), bytes.data(), bytes.size())) > 0;) {
    end.said.append(bytes.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return end;
}

MachineConfig strict() {
  MachineConfig config;
  config.confinement.seccomp = Seccomp::On;
  config.confinement.landlock = Landlock::On;
  return config;
}

struct Attempt {
  const char* what;
  int number;  // of the call that is stopped
  int (*act)();
};

const std::array kAttempts = {
    Attempt{"execve", SYS_execve,
            [] {
              std::array<char*, 1> none = {nullptr};
              return ::execve("/bin/true", none.data(), none.data());
            }},
    Attempt{"ptrace", SYS_ptrace,
            [] { return static_cast<int>(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }},
    Attempt{"a packet socket", SYS_socket, [] { return ::socket(AF_PACKET, SOCK_RAW, 0); }},
    Attempt{"an internet socket", SYS_socket, [] { return ::socket(AF_INET, SOCK_STREAM, 0); }},
    Attempt{"mount", SYS_mount, [] { return ::mount("none", "/mnt", "tmpfs", 0, nullptr); }},
    Attempt{"kexec_load", SYS_kexec_load,
            [] { return static_cast<int>(::syscall(SYS_kexec_load, 0, 0, nullptr, 0)); }},
    Attempt{"executable memory", SYS_mmap,
            [] {
              void* const made =
                  ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return made == MAP_FAILED ? 1 : 0;
            }},
    Attempt{"another process", SYS_kill, [] { return ::kill(::getppid(), SIGKILL); }},
    Attempt{"a setuid file", SYS_chmod, [] { return ::chmod("/tmp/none", 04755); }},
    Attempt{"a new namespace", SYS_unshare, [] { return static_cast<int>(::syscall(SYS_unshare, 0)); }}};

TEST(ConfineForbidden, EachAttemptOfEachKindOfThreadEndsTheProcessWithALine) {
  if (uvm::kSanitized) GTEST_SKIP() << "a sanitizer's own calls are not on the lists";
  for (const ThreadKind kind : kKinds) {
    for (const Attempt& attempt : kAttempts) {
      SCOPED_TRACE(std::string(to_string(kind)) + ": " + attempt.what);
      // getppid() is not on the lists either, and comes before kill().
      const End end = confined(kind, strict(), attempt.act);
      EXPECT_EQ(end.status, static_cast<int>(ExitStatus::Forbidden));
      EXPECT_THAT(end.said, HasSubstr(std::string("its ") + to_string(kind) + " thread made system call "));
      if (attempt.number != SYS_kill) {
        EXPECT_THAT(end.said, HasSubstr(" call " + std::to_string(attempt.number)));
      }
      EXPECT_EQ(std::count(end.said.begin(), end.said.end(), '\n'), 1) << end.said;
    }
  }
}

TEST(ConfineForbidden, WhatTheyNeedGoesOn) {
  if (uvm::kSanitized) GTEST_SKIP() << "a sanitizer's own calls are not on the lists";
  for (const ThreadKind kind : kKinds) {
    const End end = confined(kind, strict(), [] {
      void* const memory =
          ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) return 1;
      const std::string large(1 << 20, 'x');
      const bool told = std::fprintf(stderr, "%c works\n", large.back()) > 0;
      return told && ::syscall(SYS_tgkill, ::getpid(), ::gettid(), SIGURG) == 0 ? 0 : 2;
    });
    EXPECT_EQ(end.status, 0) << to_string(kind) << ": " << end.said;
    EXPECT_EQ(end.said, "x works\n");
  }
}

TEST(ConfineForbidden, WithoutSeccompNothingEnds) {
  MachineConfig config = strict();
  config.confinement.seccomp = Seccomp::Off;
  EXPECT_EQ(confined(ThreadKind::Vcpu, config, [] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 7 : 8; })
                .status,
            7);
}

TEST(ConfineForbidden, LogLetsItPass) {
  if (uvm::kSanitized) GTEST_SKIP() << "its runtime is slow under a filter";
  MachineConfig config = strict();
  config.confinement.seccomp = Seccomp::Log;
  EXPECT_EQ(confined(ThreadKind::Vcpu, config, [] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 7 : 8; })
                .status,
            7);
}

/// Landlock alone, so that its answer is seen.
class ConfineFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (Ruleset::host_version() == 0) GTEST_SKIP() << "this kernel has no Landlock";
    std::ofstream(given_.file("file")) << "given";
    std::ofstream(other_.file("file")) << "not given";
    config_ = strict();
    config_.confinement.seccomp = Seccomp::Off;
    config_.confinement.allowed_paths = {given_.path()};
  }
  /// 0 or an errno.
  int opened(const std::string& path, int flags, ThreadKind kind = ThreadKind::Control) {
    return confined(kind, config_, [&] { return Fd(::open(path.c_str(), flags, 0600)) ? 0 : errno; }).status;
  }

  const test::TempFolder given_{"given"};
  const test::TempFolder other_{"other"};
  MachineConfig config_;
};

TEST_F(ConfineFiles, APathThatIsNotGivenIsNotOpened) {
  EXPECT_EQ(opened(given_.file("file"), O_RDWR), 0);
  EXPECT_EQ(opened(given_.file("new"), O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(opened(other_.file("file"), O_RDONLY), EACCES);
  EXPECT_EQ(opened(other_.file("new"), O_WRONLY | O_CREAT), EACCES);
  EXPECT_EQ(opened("/etc/passwd", O_RDONLY), EACCES);
  EXPECT_EQ(opened("/proc/self/pagemap", O_RDONLY), 0);
  EXPECT_EQ(opened("/proc/1/status", O_RDONLY), EACCES);
}

TEST_F(ConfineFiles, OfItsSocketsFolderItRemovesFilesAndReadsNone) {
  config_.confinement.allowed_paths.clear();
  config_.control.socket = given_.file("control");
  EXPECT_EQ(opened(given_.file("file"), O_RDONLY), EACCES);
  EXPECT_EQ(opened(given_.file("new"), O_WRONLY | O_CREAT), EACCES);
  const std::string file = given_.file("file");
  EXPECT_EQ(confined(ThreadKind::Io, config_, [&] { return ::unlink(file.c_str()) == 0 ? 0 : errno; }).status,
            0);
}

TEST_F(ConfineFiles, WhatIsOpenIsOpenedAgainForReadingOnly) {
  const Fd open(::open(other_.file("file").c_str(), O_RDWR | O_CLOEXEC));
  const std::string again = "/proc/self/fd/" + std::to_string(open.get());
  EXPECT_EQ(opened(again, O_RDONLY), 0);
  EXPECT_EQ(opened(again, O_WRONLY), EACCES);
}

TEST_F(ConfineFiles, ARulesPathThatIsNotThereIsNoError) {
  config_.confinement.allowed_paths.push_back(other_.file("missing"));
  EXPECT_EQ(opened(given_.file("file"), O_RDONLY), 0);
}

TEST_F(ConfineFiles, OffOpensAll) {
  config_.confinement.landlock = Landlock::Off;
  EXPECT_EQ(opened("/etc/passwd", O_RDONLY), 0);
}

}  // namespace forbidden_test
}  // namespace vmm::confine
