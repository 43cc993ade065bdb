#include "ept/host/guarded_copy.h"

#include <ucontext.h>

#include <array>
#include <csignal>
#include <cstdint>

#ifndef __x86_64__
#error "guarded copies are written for x86-64"
#endif

extern "C" {
/// 0, or 1 when a signal ended it. May fault anywhere before ept_guarded_copy_failed.
int ept_guarded_copy(void* to, const void* from, std::size_t bytes);
void ept_guarded_copy_failed();
}

// In assembly, because the handler has to know the first and the last instruction, and no register but those
// a call may change can be in use when it jumps to the end.
asm(R"(
.pushsection .text
.balign 16
.hidden ept_guarded_copy
.globl ept_guarded_copy
.type ept_guarded_copy, @function
ept_guarded_copy:
  movq %rdx, %rcx
  cmpq $8, %rdx
  je 8f
  cmpq $4, %rdx
  je 4f
  cmpq $2, %rdx
  je 2f
  rep movsb
  xorl %eax, %eax
  ret
8: movq (%rsi), %rax
  movq %rax, (%rdi)
  xorl %eax, %eax
  ret
4: movl (%rsi), %eax
  movl %eax, (%rdi)
  xorl %eax, %eax
  ret
2: movw (%rsi), %ax
  movw %ax, (%rdi)
  xorl %eax, %eax
  ret
.hidden ept_guarded_copy_failed
.globl ept_guarded_copy_failed
ept_guarded_copy_failed:
  movl $1, %eax
  ret
.size ept_guarded_copy, . - ept_guarded_copy
.popsection
)");

namespace ept::host {
namespace {

constexpr std::array kSignals = {SIGBUS, SIGSEGV};

/// By signal, as kSignals. Written before the handler can run.
std::array<struct sigaction, kSignals.size()> g_before;

std::uint64_t instruction_of(const void* context) {
  return static_cast<std::uint64_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
}

bool is_ours(std::uint64_t instruction) {
  return instruction >= reinterpret_cast<std::uint64_t>(&ept_guarded_copy) &&
         instruction < reinterpret_cast<std::uint64_t>(&ept_guarded_copy_failed);
}

/// How often a fault that is nobody's is tried again before it is believed.
constexpr int kMostRepeats = 16;

/// The last fault of the thread that was nobody's, and how often it has come.
struct Repeated {
  std::uint64_t instruction = 0;
  const void* address = nullptr;
  int times = 0;
};
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a handler has no other place for it
constinit thread_local Repeated t_repeated;

bool is_believed(std::uint64_t instruction, const void* address) {
  if (t_repeated.instruction != instruction || t_repeated.address != address) {
    t_repeated = {instruction, address, 0};
  }
  return ++t_repeated.times > kMostRepeats;
}

void hand_on(int number, siginfo_t* info, void* context) {
  const struct sigaction& before = g_before[number == kSignals[0] ? 0 : 1];
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(number, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(number);
  } else {
    // The instruction is repeated when this returns. Not every fault comes again: a page that the kernel
    // could not read from a disk, or had no memory for, may be there at the next try (the program's own text,
    // too). So the process is left to die of what it did only when it is certain to: with the handler gone,
    // the next copy that ends in a fault would be the end of it as well. A signal somebody sent is sent
    // again.
    const bool is_fault = info->si_code > 0;
    if (is_fault && !is_believed(instruction_of(context), info->si_addr)) return;
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    (void)::sigaction(number, &standard, nullptr);
    if (!is_fault) (void)::raise(number);
  }
}

void handle(int number, siginfo_t* info, void* context) {
  const bool is_fault = info->si_code > 0;  // and not sent by somebody
  if (is_fault && is_ours(instruction_of(context))) {
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP] =
        reinterpret_cast<greg_t>(&ept_guarded_copy_failed);
    return;
  }
  hand_on(number, info, context);
}

bool install() {
  struct sigaction ours {};
  ours.sa_sigaction = handle;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    // Reading first: a signal of another thread may come as soon as ours is in place.
    (void)::sigaction(kSignals[i], nullptr, &g_before[i]);
    (void)::sigaction(kSignals[i], &ours, nullptr);
  }
  return true;
}

}  // namespace

Touched guarded_copy(std::span<std::byte> to, std::span<const std::byte> from) {
  static const bool kInstalled = install();
  (void)kInstalled;
  return ept_guarded_copy(to.data(), from.data(), from.size()) == 0 ? Touched::Yes : Touched::No;
}

}  // namespace ept::host
