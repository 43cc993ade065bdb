// One reserved area of host addresses that shows guest memory, and the mapping calls on pieces of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ept/host/backing.h"
#include "ept/host/page_marks.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace ept::host {

/// What the pages of a window may look like and cost.
struct WindowOptions {
  HugePages huge = HugePages::Want;  // for zero-fill memory; files bring their own page size
  /// Host mappings one window may be cut into. The kernel allows 65530 a process; a reset of the window costs
  /// 1 to 13 microseconds for each.
  std::uint64_t max_runs = 8192;
};

/// A range of GPAs, shown at base() + (gpa - covered.begin()). Base and GPA agree modulo 1 GiB, so that the
/// host's huge pages line up with the guest's. Not in core dumps. Not thread-safe by itself: the kernel makes
/// each call atomic, the owner's lock orders them. Unmapped when it is destroyed.
class Window {
 public:
  /// All of it is inaccessible at first (PROT_NONE) and costs nothing. Errors: NoMemory (address space).
  static uvm::Result<Window> reserve(uvm::GpaRange covered);
  Window(Window&& other) noexcept;
  Window& operator=(Window&&) = delete;
  ~Window();

  [[nodiscard]] uvm::GpaRange covered() const { return covered_; }
  [[nodiscard]] uvm::Hva base() const { return base_; }
  [[nodiscard]] uvm::Hva hva(uvm::Gpa address) const { return base_ + (address - covered_.begin()); }
  /// `range` must lie in covered().
  [[nodiscard]] uvm::HvaRange hva(uvm::GpaRange range) const;
  [[nodiscard]] std::span<std::byte> bytes(uvm::GpaRange range) const;

  enum class Access : std::uint8_t { None, Read, ReadWrite };

  /// All replace what the range showed before, in one step that no access sees half done. Private pages that
  /// were there are lost. Errors: NoMemory (the process has too many mappings, or memory is short).
  [[nodiscard]] uvm::Status map_zero(uvm::GpaRange range, Access access, HugePages huge);
  [[nodiscard]] uvm::Status map_private(uvm::GpaRange range, const Backing& file, std::uint64_t first_page,
                                        Access access);
  [[nodiscard]] uvm::Status map_shared(uvm::GpaRange range, const Backing& file, std::uint64_t first_page,
                                       Access access);
  [[nodiscard]] uvm::Status unmap(uvm::GpaRange range);

  /// In place; pages stay.
  [[nodiscard]] uvm::Status set_access(uvm::GpaRange range, Access access);
  /// Private pages are freed, pages of files only leave the mapping (MADV_DONTNEED).
  [[nodiscard]] uvm::Status drop_pages(uvm::GpaRange range);
  /// Breaks copy-on-write or fills zeros for the whole range now. Errors: NoMemory, PagerIo (the file ended
  /// or the page is poisoned), Invalid (not writable).
  [[nodiscard]] uvm::Status populate_write(uvm::GpaRange range);

  /// Moves the pages of `range` to the same GPAs of `target`, whose mapping there becomes a copy of this one
  /// that nobody watches. This mapping stays, without pages; a watch on it stays too. Atomic for each mapping
  /// of the kernel's. Private mappings only. Errors: NoMemory, Unsupported.
  [[nodiscard]] uvm::Status move_pages_to(Window& target, uvm::GpaRange range);

  /// The caller has seen that every page of the range is there, private and anonymous. Such a page leaves by
  /// the calls above and in no other way (the host's swap is still the page), so the kernel need not be asked
  /// again: a look costs a microsecond.
  void note_private(uvm::GpaRange range) noexcept { private_.set(range); }
  /// Whether all of it was noted, and nothing of it has left since. `range` is not empty.
  [[nodiscard]] bool knows_private(uvm::GpaRange range) const noexcept { return private_.cover(range); }
  [[nodiscard]] std::uint64_t metadata_bytes() const { return private_.bytes(); }

 private:
  Window(uvm::Hva base, uvm::GpaRange covered) : base_(base), covered_(covered) {}
  [[nodiscard]] void* pointer(uvm::Gpa address) const;
  [[nodiscard]] uvm::Status map(uvm::GpaRange range, int prot, int flags, int fd, std::uint64_t first_page);

  uvm::Hva base_;
  uvm::GpaRange covered_;
  PageMarks private_;
};

}  // namespace ept::host
