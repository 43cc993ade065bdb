// Checked, short-lived access to guest memory from this process: the one way a device, a loader or a debugger
// touches guest bytes.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/protection.h"
#include "uvm/space.h"

namespace uvm {

/// An open view of guest memory. While it lives, unmap, replacing map and protect of its pages answer Busy,
/// so the span stays good; keep it for the length of a function, not of a request (that is a pin). Several
/// may be open at once. Move-only; not for use by two threads at once. Must not outlive the space.
class Access {
 public:
  /// Faults `range` (any alignment, any number of pages and mappings, not empty) in for `access`. Errors:
  /// those of Space::fault; Unsupported when the host cannot show the range in one piece (use read() or
  /// write()).
  [[nodiscard]] static Result<Access> open(Space& space, GpaRange range, AccessKind access);

  Access(Access&& other) noexcept;
  Access& operator=(Access&& other) noexcept;
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
  ~Access();

  [[nodiscard]] GpaRange range() const { return range_; }
  /// Host bytes of the range. The guest can change them at any time: read each once, and trust none.
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  /// Copies guest bytes out, or bytes into the guest, page by page. Errors: those of Space::fault. On an
  /// error the pages before the one it names may have been copied.
  [[nodiscard]] static Status read(Space& space, Gpa from, std::span<std::byte> to);
  [[nodiscard]] static Status write(Space& space, Gpa to, std::span<const std::byte> from);
  /// Sets every byte of the range.
  [[nodiscard]] static Status fill(Space& space, GpaRange range, std::byte value);

  template <class T>
  [[nodiscard]] static Result<T> read_value(Space& space, Gpa from) {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    UVMM_CHECK(read(space, from, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  template <class T>
  [[nodiscard]] static Status write_value(Space& space, Gpa to, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return write(space, to, std::as_bytes(std::span(&value, 1)));
  }

 private:
  Access(Space& space, GpaRange range) : space_(&space), range_(range) {}
  void close();

  Space* space_ = nullptr;  // null after a move
  GpaRange range_;
  std::span<std::byte> bytes_;
};

}  // namespace uvm
