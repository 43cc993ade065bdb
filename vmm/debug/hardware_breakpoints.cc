#include "vmm/debug/hardware_breakpoints.h"

#include <string>

#include "uvm/base/range.h"

namespace vmm::debug {

std::vector<DebugRegister> split_watch(const HardwareRequest& request) {
  if (request.kind == WatchKind::Execute) return {{request.address, request.kind, 1}};
  std::vector<DebugRegister> pieces;
  std::uint64_t at = request.address;
  for (std::uint64_t left = request.length; left != 0 && pieces.size() <= kDebugRegisters;) {
    std::uint8_t bytes = 8;
    while (bytes > left || (at & (bytes - 1U)) != 0) bytes /= 2;
    pieces.push_back({at, request.kind, bytes});
    at += bytes;
    left -= bytes;
  }
  return pieces;
}

uvm::Status HardwareBreakpoints::insert(const HardwareRequest& request) {
  if (requests_.contains(request)) return uvm::ok();
  const auto pieces = split_watch(request);
  if (pieces.empty()) {
    return uvm::Error(uvm::ErrorKind::Invalid, "a watchpoint of no bytes at " + uvm::hex(request.address));
  }
  if (pieces.size() > free()) {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      "no debug register is free for " + uvm::hex(request.address) + ": " +
                          std::to_string(kDebugRegisters - free()) + " of " +
                          std::to_string(kDebugRegisters) + " are in use",
                      "delete a hardware breakpoint or watchpoint, or watch fewer bytes");
  }
  requests_.emplace(request, pieces);
  return uvm::ok();
}

void HardwareBreakpoints::remove(const HardwareRequest& request) {
  requests_.erase(request);
}

std::size_t HardwareBreakpoints::free() const {
  std::size_t used = 0;
  for (const auto& [request, pieces] : requests_) used += pieces.size();
  return kDebugRegisters - used;
}

DebugRegisters HardwareBreakpoints::registers() const {
  DebugRegisters registers{};
  std::size_t next = 0;
  for (const auto& [request, pieces] : requests_) {
    for (const DebugRegister& piece : pieces) registers.at(next++) = piece;
  }
  return registers;
}

}  // namespace vmm::debug
