#include "vmm/machine/pin_list.h"

#include <array>
#include <chrono>
#include <cinttypes>
#include <cstdio>

#include "vmm/machine/memory_map.h"

namespace vmm {
namespace {

constexpr std::size_t kMostLines = 100;

const char* text_of(uvm::ForkPolicy policy) {
  switch (policy) {
    case uvm::ForkPolicy::Copy:
      return "copy";
    case uvm::ForkPolicy::Quiesce:
      return "quiesce";
    case uvm::ForkPolicy::Refuse:
      return "refuse";
  }
  return "?";
}

std::string line_of(const uvm::PinInfo& pin, std::chrono::steady_clock::time_point now) {
  std::array<char, 160> line{};
  std::snprintf(line.data(), line.size(), "%013" PRIx64 "-%013" PRIx64 " %10s %-6s %-8s %9.1fs  ",
                pin.range.begin().value(), pin.range.end().value(), human_bytes(pin.range.size()).c_str(),
                pin.access == uvm::PinAccess::Read ? "read" : "write", text_of(pin.policy),
                std::chrono::duration<double>(now - pin.since).count());
  return line.data() + pin.owner + "\n";
}

}  // namespace

std::string format_pins(const uvm::Space& space) {
  const uvm::PinStatistics sums = space.pin_statistics();
  const auto pins = space.pins();
  std::string text = "nothing is pinned\n";
  if (!pins.empty()) text = "pinned range                          size access on-fork        for  by\n";
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < pins.size() && i < kMostLines; ++i) text += line_of(pins[i], now);
  if (pins.size() > kMostLines) text += "and " + std::to_string(pins.size() - kMostLines) + " more\n";
  if (sums.made == 0) return text;
  const auto each = std::chrono::duration_cast<std::chrono::microseconds>(sums.spent).count() /
                    static_cast<std::int64_t>(sums.made);
  return text + "total: " + std::to_string(sums.pins) + " pins of " + human_bytes(sums.bytes) + "; most " +
         human_bytes(sums.most_bytes) + ", " + std::to_string(sums.made) + " made, " + std::to_string(each) +
         " us each\n";
}

}  // namespace vmm
