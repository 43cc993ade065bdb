// The window: guest-physical memory seen at 512 GiB + GPA, in tables the program builds at CPL 3.
//
// Tables are filled before anything in their range is touched, so a KVM that shadows them has not looked yet
// and the writes cost nothing but themselves; and new entries need no TLB flush, which CPL 3 could not do.
#pragma once

#include <cstdint>

namespace rt {

inline constexpr std::uint64_t kWindowBase = std::uint64_t{1} << 39;
inline constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 40;

enum class PageSize : std::uint64_t { Small = 4096, Large = std::uint64_t{2} << 20 };

/// Takes table pages from [begin, end), which must be RAM inside the first GiB.
class WindowBuilder {
 public:
  WindowBuilder(std::uint64_t begin, std::uint64_t end) : next_(begin), end_(end) {}

  /// Maps [gpa, gpa + bytes) widened to whole pages; returns how many bytes from gpa on are mapped, less than
  /// `bytes` when the table pages or the window end.
  std::uint64_t map(std::uint64_t gpa, std::uint64_t bytes, PageSize size);
  /// First byte not used by tables.
  [[nodiscard]] std::uint64_t tables_end() const { return next_; }

 private:
  std::uint64_t* take();
  /// The table that `entry` points at, made when there is none; nullptr when there is no page left.
  std::uint64_t* descend(std::uint64_t& entry);

  std::uint64_t next_;
  std::uint64_t end_;
};

[[nodiscard]] inline volatile std::uint64_t* window(std::uint64_t gpa) {
  return reinterpret_cast<volatile std::uint64_t*>(kWindowBase + gpa);
}

}  // namespace rt
