// Checked, short-lived access to guest memory from this process: the one way a device, a loader or a debugger
// touches guest bytes.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "uvm/access_mode.h"
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
  /// Host bytes of the range. The guest can change them at any time: read each once, and trust none. Where a
  /// file is mapped, whoever can cut the file can take them away, and touching them is a signal then: hand
  /// them to a system call, which says EFAULT, or use read() and write(), which say what happened.
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  /// Copies guest bytes out, or bytes into the guest, page by page, and says how many it copied. Errors:
  /// those of Space::fault; Protection (a shared mapping of an object, see SharedWrites).
  ///
  /// With AccessRights::Maximum nothing is entered, and no translation but those of the page that a write
  /// makes private is touched: the debugger's door. A page that is ours alone is written where it is, also
  /// under a pin.
  [[nodiscard]] static Copied read_some(Space& space, Gpa from, std::span<std::byte> to,
                                        AccessMode mode = {});
  [[nodiscard]] static Copied write_some(Space& space, Gpa to, std::span<const std::byte> from,
                                         AccessMode mode = {});
  /// The same for who wants all of it. On an error the pages before the one it names may have been copied.
  [[nodiscard]] static Status read(Space& space, Gpa from, std::span<std::byte> to, AccessMode mode = {}) {
    return read_some(space, from, to, mode).status;
  }
  [[nodiscard]] static Status write(Space& space, Gpa to, std::span<const std::byte> from,
                                    AccessMode mode = {}) {
    return write_some(space, to, from, mode).status;
  }
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
  Access(Space& space, GpaRange range, AccessKind access) : space_(&space), range_(range), access_(access) {}
  void close();
  /// From here on the entries stay as they are: no unmap takes away what a fault enters.
  [[nodiscard]] static Result<Access> fix(Space& space, GpaRange range, AccessKind access);
  /// Faults the page in again and again until `copy` finds its translation.
  template <class F>
  [[nodiscard]] static Status with_page(Space& space, GpaRange part, AccessKind access, F&& copy);
  [[nodiscard]] static Status read_page(Space& space, GpaRange part, std::span<std::byte> to,
                                        AccessRights rights);
  [[nodiscard]] static Status write_page(Space& space, GpaRange part, std::span<const std::byte> from,
                                         AccessMode mode);

  Space* space_ = nullptr;  // null after a move
  GpaRange range_;
  AccessKind access_ = AccessKind::Read;
  std::span<std::byte> bytes_;
};

}  // namespace uvm
