#include "vmm/confine/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <tuple>

namespace vmm::confine {
namespace {

constexpr std::uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr std::uint16_t kAnd = BPF_ALU | BPF_AND | BPF_K;
constexpr std::uint16_t kIfEqual = BPF_JMP | BPF_JEQ | BPF_K;
constexpr std::uint16_t kReturn = BPF_RET | BPF_K;

/// Jumps are counted from the next instruction.
sock_filter if_equal(std::uint32_t value, std::size_t then, std::size_t otherwise) {
  return {kIfEqual, static_cast<std::uint8_t>(then), static_cast<std::uint8_t>(otherwise), value};
}
sock_filter load(std::size_t offset) {
  return {kLoad, 0, 0, static_cast<std::uint32_t>(offset)};
}
sock_filter give(std::uint32_t action) {
  return {kReturn, 0, 0, action};
}

/// The low half: the kernel takes no more of what is looked at here (int, unsigned, flags).
std::size_t place_of(unsigned argument) {
  return offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t);
}

struct Actions {
  std::uint32_t refuse;
  std::uint32_t otherwise;
};

/// What comes of a call that may be made in some ways only; the number has been loaded.
void add_ways(std::span<const Call> ways, Actions actions, Program& program) {
  constexpr std::size_t kEach = 3;
  constexpr std::size_t kEnds = 3;  // of the block: otherwise, refused, made
  program.push_back(
      if_equal(static_cast<std::uint32_t>(ways.front().number), 0, ways.size() * kEach + kEnds));
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const Argument& only = *ways[i].only;
    const std::size_t end = (ways.size() - i - 1) * kEach + (ways[i].verdict == Verdict::Make ? 2 : 1);
    program.push_back(load(place_of(only.index)));
    program.push_back({kAnd, 0, 0, static_cast<std::uint32_t>(only.mask)});
    program.push_back(if_equal(static_cast<std::uint32_t>(only.value), end, 0));
  }
  program.push_back(give(actions.otherwise));
  program.push_back(give(actions.refuse));
  program.push_back(give(SECCOMP_RET_ALLOW));
}

/// Those that need a look at an argument, the one that a vCPU makes over and over first; then the others.
bool comes_before(const Call& left, const Call& right) {
  const auto rank = [](const Call& call) {
    return std::tuple(!call.only.has_value(), call.number != SYS_ioctl, call.number, call.verdict);
  };
  return rank(left) < rank(right);
}

}  // namespace

Program compile(std::span<const Call> calls, Seccomp mode) {
  const Actions actions = mode == Seccomp::Log ? Actions{SECCOMP_RET_LOG, SECCOMP_RET_LOG}
                                               : Actions{SECCOMP_RET_ERRNO | EACCES, SECCOMP_RET_TRAP};
  const std::uint32_t otherwise = actions.otherwise;
  std::vector<Call> in_order(calls.begin(), calls.end());
  std::ranges::sort(in_order, comes_before);
  const auto always = std::ranges::find_if(in_order, [](const Call& call) { return !call.only; });
  Program program;
  program.reserve(3 * in_order.size());
  program = {load(offsetof(seccomp_data, arch)), if_equal(AUDIT_ARCH_X86_64, 1, 0), give(otherwise),
             load(offsetof(seccomp_data, nr))};
  for (auto first = in_order.begin(); first != always;) {
    const auto end =
        std::find_if(first, always, [first](const Call& call) { return call.number != first->number; });
    add_ways({first, end}, actions, program);
    first = end;
  }
  // The kernel finds out once which numbers lead here, and runs no program for them.
  for (auto call = always; call != in_order.end(); ++call) {
    const auto left = static_cast<std::size_t>(in_order.end() - call);
    program.push_back(if_equal(static_cast<std::uint32_t>(call->number), left, 0));
  }
  program.push_back(give(otherwise));
  program.push_back(give(SECCOMP_RET_ALLOW));
  return program;
}

uvm::Status install(const Program& program) {
  sock_fprog form{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  // Without the flag kernels before 5.16 make the thread, and so the guest, slower than other processes.
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &form) == 0) {
    return uvm::ok();
  }
  return uvm::Error::from_errno(errno, "installing a seccomp filter", "run with --seccomp off");
}

}  // namespace vmm::confine
