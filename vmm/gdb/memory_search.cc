#include "vmm/gdb/memory_search.h"

#include <algorithm>
#include <boost/crc.hpp>
#include <cstring>
#include <vector>

#include "vmm/gdb/hex.h"

namespace vmm::gdb {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 20U;  // bytes

/// Reads a stretch from its beginning, piece by piece.
class Walk {
 public:
  Walk(Target& target, const MemoryStretch& where, const Cancelled& cancelled)
      : target_(target), where_(where), cancelled_(cancelled) {
    // What lies beyond the last address isn't there.
    if (where_.begin != 0) where_.bytes = std::min(where_.bytes, 0 - where_.begin);
  }

  [[nodiscard]] bool done() const { return where_.bytes == 0; }
  [[nodiscard]] std::uint64_t position() const { return where_.begin; }

  /// Fills the front of `to`; never 0 bytes.
  uvm::Result<std::size_t> read(std::span<std::byte> to) {
    if (cancelled_()) {
      return uvm::Error(uvm::ErrorKind::Busy, "interrupted at 0x" + hex_number(where_.begin));
    }
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), where_.bytes));
    UVMM_TRY(const std::size_t got, target_.read_memory(where_.space, where_.begin, to.first(wanted)));
    if (got == 0 || got > wanted) {
      return uvm::Error(uvm::ErrorKind::System, "a read of guest memory made no progress");
    }
    where_.begin += got;
    where_.bytes -= got;
    return got;
  }

 private:
  Target& target_;
  MemoryStretch where_;
  const Cancelled& cancelled_;
};

}  // namespace

uvm::Result<std::optional<std::uint64_t>> search_memory(Target& target, const MemoryStretch& where,
                                                        std::span<const std::byte> pattern,
                                                        const Cancelled& cancelled) {
  if (pattern.empty()) return uvm::Error(uvm::ErrorKind::Invalid, "a search for no bytes");
  std::vector<std::byte> window(kChunk + pattern.size());
  std::size_t held = 0;  // bytes at the window's front that are still to be looked at
  Walk walk(target, where, cancelled);
  while (!walk.done()) {
    UVMM_TRY(const std::size_t got, walk.read(std::span(window).subspan(held)));
    held += got;
    const void* found = ::memmem(window.data(), held, pattern.data(), pattern.size());
    if (found != nullptr) {
      const auto at = static_cast<const std::byte*>(found) - window.data();
      return std::optional(walk.position() - held + static_cast<std::uint64_t>(at));
    }
    // A match may begin in what is left over.
    const std::size_t keep = std::min(held, pattern.size() - 1);
    std::memmove(window.data(), window.data() + held - keep, keep);
    held = keep;
  }
  return std::optional<std::uint64_t>();
}

uvm::Result<std::uint32_t> crc_memory(Target& target, const MemoryStretch& where,
                                      const Cancelled& cancelled) {
  boost::crc_optimal<32, 0x04c11db7, 0xffffffff, 0, false, false> crc;
  std::vector<std::byte> window(kChunk);
  Walk walk(target, where, cancelled);
  while (!walk.done()) {
    UVMM_TRY(const std::size_t got, walk.read(window));
    crc.process_bytes(window.data(), got);
  }
  return static_cast<std::uint32_t>(crc.checksum());
}

}  // namespace vmm::gdb
