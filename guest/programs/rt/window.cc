#include "guest/programs/rt/window.h"

/// The two page-directory-pointer tables of the window; start.S hangs them into the top table.
extern "C" {
alignas(4096) std::uint64_t window_pointers[1024];
}

namespace rt {

namespace {

constexpr std::uint64_t kPresentWritableUser = 7;
constexpr std::uint64_t kLarge = 0x80;
constexpr std::uint64_t kAddressMask = ~std::uint64_t{4095};

std::uint64_t index(std::uint64_t gpa, unsigned shift) {
  return (gpa >> shift) & 511;
}

}  // namespace

std::uint64_t* WindowBuilder::take() {
  if (end_ - next_ < 4096) return nullptr;
  auto* table = reinterpret_cast<std::uint64_t*>(next_);
  next_ += 4096;
  for (unsigned i = 0; i < 512; ++i) table[i] = 0;
  return table;
}

std::uint64_t* WindowBuilder::descend(std::uint64_t& entry) {
  if (entry != 0) return reinterpret_cast<std::uint64_t*>(entry & kAddressMask);
  std::uint64_t* table = take();
  if (table != nullptr) entry = reinterpret_cast<std::uint64_t>(table) | kPresentWritableUser;
  return table;
}

std::uint64_t WindowBuilder::map(std::uint64_t gpa, std::uint64_t bytes, PageSize size) {
  const auto step = static_cast<std::uint64_t>(size);
  const std::uint64_t end = gpa + bytes < kWindowBytes ? gpa + bytes : kWindowBytes;
  std::uint64_t at = gpa & ~(step - 1);
  for (; at < end; at += step) {
    std::uint64_t* directory = descend(window_pointers[at >> 30]);
    if (directory == nullptr) break;
    std::uint64_t& entry = directory[index(at, 21)];
    if (size == PageSize::Large) {
      entry = at | kLarge | kPresentWritableUser;
      continue;
    }
    std::uint64_t* table = descend(entry);
    if (table == nullptr) break;
    table[index(at, 12)] = at | kPresentWritableUser;
  }
  const std::uint64_t mapped = at < end ? at : end;
  return mapped > gpa ? mapped - gpa : 0;
}

}  // namespace rt
