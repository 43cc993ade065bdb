// The address spaces of a hypervisor, one type each, so that they cannot be mixed up by accident.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace uvm {

inline constexpr std::uint64_t kPageShift = 12;
inline constexpr std::uint64_t kPageSize = std::uint64_t{1} << kPageShift;  // bytes
inline constexpr std::uint64_t kLargePageSize = std::uint64_t{2} << 20;     // bytes, a 2M leaf
inline constexpr std::uint64_t kHugePageSize = std::uint64_t{1} << 30;      // bytes, a 1G leaf

/// The guest-physical width uvm accepts: addresses are below 2^52, the most x86 defines (SDM vol. 3, 4.1.4).
inline constexpr std::uint64_t kAddressLimit = std::uint64_t{1} << 52;

/// An address (bytes) in the space that `Tag` names. Arithmetic wraps like the integer it holds; use Range
/// for anything computed from input nobody has checked.
template <class Tag>
class Address {
 public:
  constexpr Address() = default;
  constexpr explicit Address(std::uint64_t value) : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  [[nodiscard]] constexpr std::uint64_t page() const { return value_ >> kPageShift; }
  [[nodiscard]] constexpr std::uint64_t offset_in_page() const { return value_ & (kPageSize - 1); }
  [[nodiscard]] constexpr bool is_aligned(std::uint64_t alignment) const {
    return (value_ & (alignment - 1)) == 0;
  }
  [[nodiscard]] constexpr bool is_page_aligned() const { return is_aligned(kPageSize); }
  [[nodiscard]] constexpr Address align_down(std::uint64_t alignment) const {
    return Address(value_ & ~(alignment - 1));
  }
  /// Rounds up; wraps to 0 past the last multiple of `alignment`.
  [[nodiscard]] constexpr Address align_up(std::uint64_t alignment) const {
    return Address((value_ + alignment - 1) & ~(alignment - 1));
  }
  [[nodiscard]] constexpr Address page_down() const { return align_down(kPageSize); }
  [[nodiscard]] constexpr Address page_up() const { return align_up(kPageSize); }

  constexpr Address& operator+=(std::uint64_t bytes) {
    value_ += bytes;
    return *this;
  }
  friend constexpr Address operator+(Address a, std::uint64_t bytes) { return Address(a.value_ + bytes); }
  friend constexpr Address operator-(Address a, std::uint64_t bytes) { return Address(a.value_ - bytes); }
  friend constexpr std::uint64_t operator-(Address a, Address b) { return a.value_ - b.value_; }
  friend constexpr auto operator<=>(Address, Address) = default;

 private:
  std::uint64_t value_ = 0;
};

/// Guest-physical address: what a guest's page tables point at, the key of a map.
using Gpa = Address<struct GpaTag>;
/// Host-virtual address in this process.
using Hva = Address<struct HvaTag>;
/// Byte offset in a memory object.
using ObjectOffset = Address<struct ObjectOffsetTag>;

}  // namespace uvm

template <class Tag>
struct std::hash<uvm::Address<Tag>> {
  std::size_t operator()(uvm::Address<Tag> a) const noexcept { return std::hash<std::uint64_t>()(a.value()); }
};
