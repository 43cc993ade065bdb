// The lists of system calls, and the programs made of them: what they let through, without a kernel.
#include "vmm/confine/filter.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <set>

namespace vmm::confine {
namespace filter_test {

constexpr pid_t kSelf = 4711;
constexpr std::array kKinds = {ThreadKind::Vcpu,         ThreadKind::Faults, ThreadKind::Reclaim,
                               ThreadKind::DeviceWorker, ThreadKind::Io,     ThreadKind::Control,
                               ThreadKind::Debugger};

using Arguments = std::array<std::uint64_t, 6>;

/// What the kernel would make of the program: the instructions that compile() uses.
std::uint32_t outcome(const Program& program, const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + step.k, sizeof accumulator);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= step.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += accumulator == step.k ? step.jt : step.jf;
        break;
      case BPF_RET | BPF_K:
        return step.k;
      default:
        ADD_FAILURE() << "an instruction nobody expects: " << step.code;
        return 0;
    }
  }
  ADD_FAILURE() << "the program has no end";
  return 0;
}

class Filter {
 public:
  explicit Filter(ThreadKind kind, Rings rings = Rings::None)
      : program_(compile(calls_of(kind, rings, kSelf), Seccomp::On)) {}
  [[nodiscard]] bool allows(int number, const Arguments& arguments = {},
                            std::uint32_t architecture = AUDIT_ARCH_X86_64) const {
    seccomp_data data{};
    data.nr = number;
    data.arch = architecture;
    std::ranges::copy(arguments, std::begin(data.args));
    const std::uint32_t made = outcome(program_, data);
    refused_ = made == (SECCOMP_RET_ERRNO | EACCES);
    EXPECT_TRUE(made == SECCOMP_RET_ALLOW || made == SECCOMP_RET_TRAP || refused_) << made;
    return made == SECCOMP_RET_ALLOW;
  }
  /// What was asked last.
  [[nodiscard]] bool refused() const { return refused_; }

 private:
  const Program program_;
  mutable bool refused_ = false;
};

/// By any argument that a list may look at.
bool always(const std::vector<Call>& calls, int number) {
  return std::ranges::any_of(calls, [&](const Call& call) { return call.number == number && !call.only; });
}

TEST(ConfineFilter, LetsThroughWhatItsListSaysAndNothingElse) {
  constexpr int kMostCalls = 600;
  for (const ThreadKind kind : kKinds) {
    SCOPED_TRACE(to_string(kind));
    const Filter filter(kind);
    const auto calls = calls_of(kind, Rings::None, kSelf);
    std::set<int> limited;
    for (const Call& call : calls) {
      if (!call.only) continue;
      limited.insert(call.number);
      Arguments arguments{};
      arguments.at(call.only->index) = call.only->value;
      EXPECT_EQ(filter.allows(call.number, arguments), call.verdict == Verdict::Make) << call.number;
    }
    for (int number = 0; number < kMostCalls; ++number) {
      if (limited.contains(number)) continue;
      EXPECT_EQ(filter.allows(number), always(calls, number)) << number;
    }
  }
}

TEST(ConfineFilter, KnowsItsArchitecture) {
  const Filter filter(ThreadKind::Vcpu);
  EXPECT_TRUE(filter.allows(SYS_read));
  EXPECT_FALSE(filter.allows(SYS_read, {}, AUDIT_ARCH_I386));
  EXPECT_FALSE(filter.allows(SYS_read | 0x4000'0000)) << "x32";
}

TEST(ConfineFilter, OfLogStopsNothing) {
  seccomp_data data{};
  data.nr = SYS_execve;
  data.arch = AUDIT_ARCH_X86_64;
  EXPECT_EQ(outcome(compile(calls_of(ThreadKind::Vcpu, Rings::None, kSelf), Seccomp::Log), data),
            static_cast<std::uint32_t>(SECCOMP_RET_LOG));
}

/// What breaks out, takes over, or reaches others.
// clang-format off
constexpr std::array kNeverMade = {
    SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_clone,
    SYS_clone3, SYS_ptrace, SYS_mount, SYS_umount2, SYS_pivot_root,
    SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsmount, SYS_setns,
    SYS_unshare, SYS_kexec_load, SYS_kexec_file_load, SYS_init_module, SYS_finit_module,
    SYS_bpf, SYS_perf_event_open, SYS_process_vm_readv, SYS_process_vm_writev, SYS_setuid,
    SYS_setresuid, SYS_setgid, SYS_capset, SYS_chroot, SYS_chmod,
    SYS_chown, SYS_keyctl, SYS_add_key, SYS_reboot, SYS_open,
    SYS_creat, SYS_openat2, SYS_open_by_handle_at, SYS_symlink, SYS_link,
    SYS_bind, SYS_listen, SYS_tkill, SYS_rt_sigqueueinfo, SYS_seccomp,
    SYS_pkey_mprotect, SYS_userfaultfd, SYS_personality,
};
// clang-format on

TEST(ConfineCalls, NobodyStartsProgramsOrTouchesOthers) {
  for (const ThreadKind kind : kKinds) {
    SCOPED_TRACE(to_string(kind));
    const Filter filter(kind, Rings::Swap);
    for (const int number : kNeverMade) {
      EXPECT_FALSE(filter.allows(number)) << number;
    }
    EXPECT_FALSE(filter.allows(SYS_tgkill, {1, 1, 9})) << "another process";
    EXPECT_TRUE(filter.allows(SYS_tgkill, {kSelf, 1, 23}));
    EXPECT_FALSE(filter.allows(SYS_kill, {1, 9}));
    EXPECT_FALSE(filter.allows(SYS_kill, {0, 9})) << "its process group";
    EXPECT_FALSE(filter.allows(SYS_prctl, {PR_SET_DUMPABLE, 1}));
    EXPECT_FALSE(filter.allows(SYS_ioctl, {0, TIOCSTI}));
  }
}

TEST(ConfineCalls, MemoryIsNeverMadeExecutable) {
  for (const ThreadKind kind : kKinds) {
    SCOPED_TRACE(to_string(kind));
    const Filter filter(kind);
    EXPECT_TRUE(filter.allows(SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE}));
    EXPECT_FALSE(filter.allows(SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE}));
    EXPECT_FALSE(filter.allows(SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}));
  }
}

TEST(ConfineCalls, OfFilesAndSocketsEachHasWhatItNeeds) {
  for (const ThreadKind kind : kKinds) {
    SCOPED_TRACE(to_string(kind));
    const Filter filter(kind);
    const bool reads = kind == ThreadKind::Control || kind == ThreadKind::Debugger;
    const bool writes = kind == ThreadKind::Debugger;
    const bool connects = kind == ThreadKind::DeviceWorker || kind == ThreadKind::Debugger;
    EXPECT_EQ(filter.allows(SYS_openat, {0, 0, O_RDONLY | O_CLOEXEC}), reads);
    EXPECT_EQ(filter.refused(), !reads);
    EXPECT_EQ(filter.allows(SYS_openat, {0, 0, O_WRONLY}), writes);
    EXPECT_FALSE(filter.refused());
    EXPECT_EQ(filter.allows(SYS_openat, {0, 0, O_RDONLY | O_CREAT}), writes);
    EXPECT_EQ(filter.allows(SYS_openat, {0, 0, O_TMPFILE | O_RDWR}), reads) << "a fork's disk";
    EXPECT_EQ(filter.allows(SYS_openat, {0, 0, O_TMPFILE | O_RDWR | O_CREAT}), writes);
    EXPECT_EQ(filter.allows(SYS_socket, {AF_UNIX, SOCK_STREAM}), connects);
    // AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK
    for (const unsigned family : {2U, 10U, 16U, 17U, 40U}) {
      EXPECT_FALSE(filter.allows(SYS_socket, {family, SOCK_STREAM})) << family;
    }
  }
}

TEST(ConfineCalls, RingsAreThereForDevicesAndUnderAMemoryLimit) {
  for (const int number : {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}) {
    EXPECT_FALSE(Filter(ThreadKind::Vcpu).allows(number));
    EXPECT_TRUE(Filter(ThreadKind::Vcpu, Rings::Swap).allows(number));
    EXPECT_TRUE(Filter(ThreadKind::DeviceWorker).allows(number));
  }
}

}  // namespace filter_test
}  // namespace vmm::confine
