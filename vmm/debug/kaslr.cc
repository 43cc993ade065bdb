#include "vmm/debug/kaslr.h"

namespace vmm::debug {
namespace {

constexpr std::uint32_t kLstar = 0xc000'0082;
constexpr std::uint64_t kMapBegin = 0xffff'ffff'8000'0000;  // __START_KERNEL_map
constexpr std::uint64_t kMapEnd = 0xffff'ffff'c000'0000;    // where modules begin
constexpr std::uint64_t kStep = std::uint64_t{2} << 20;

bool is_mapped(Inferior& inferior, std::size_t vcpu, std::uint64_t linear) {
  return inferior.translate({vcpu, linear}).has_value();
}

}  // namespace

std::optional<std::uint64_t> linux_text(Inferior& inferior) {
  for (std::size_t vcpu = 0; vcpu < inferior.vcpus(); ++vcpu) {
    kvm_msr_entry entry{};
    entry.index = kLstar;
    if (!inferior.vcpu(vcpu).msrs(std::span(&entry, 1))) continue;
    if (entry.data < kMapBegin || entry.data >= kMapEnd) continue;
    std::uint64_t text = entry.data & ~(kStep - 1);
    if (!is_mapped(inferior, vcpu, entry.data)) continue;
    while (text > kMapBegin && is_mapped(inferior, vcpu, text - kStep)) text -= kStep;
    return text;
  }
  return std::nullopt;
}

}  // namespace vmm::debug
