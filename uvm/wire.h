// Wiring: the frames a range has, prepared so that nothing has to move them, and a journal to undo it by.
//
// NetBSD wires a range with counters and finds the pages to unwire by looking at the pmap, later, when other
// ones may be there (uvm_fault.c:uvm_fault_unwire_locked). Here what was wired is written down page by page
// as it happens; undoing reads the journal backwards and asks nobody (rules D1 and D7).
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/fault.h"
#include "uvm/frame.h"
#include "uvm/object.h"
#include "uvm/pager.h"
#include "uvm/protection.h"

namespace uvm {

/// Pages with consecutive frames.
struct WiredRun {
  GpaRange range;
  Frame first;
  std::shared_ptr<Object> object;  // whose page it is; null for private pages
};

/// The wired pages of one range, and the end of their being so. Move-only.
class Wiring {
 public:
  Wiring() = default;
  Wiring(Wiring&& other) noexcept : runs_(std::exchange(other.runs_, {})) {}
  Wiring& operator=(Wiring&& other) noexcept;
  Wiring(const Wiring&) = delete;
  Wiring& operator=(const Wiring&) = delete;
  ~Wiring() { undo(); }

  /// Faults every page of the ranges (page-aligned, ascending, apart) that is not private or an object's yet
  /// for the most its mapping can ever allow, and holds all of them. All or nothing: on an error no page is
  /// held; private pages that were made stay. May sleep in pagers. The caller has made sure that nobody
  /// unmaps or moves the pages meanwhile. Errors: those of Space::fault; Busy (a page of the object went away
  /// again and again). Pages that others can take away are copied where the mapping is private.
  [[nodiscard]] static Result<Wiring> create(const FaultContext& context, std::span<const GpaRange> ranges,
                                             AccessKind access);

  /// Ascending; without holes where the ranges have none.
  [[nodiscard]] const std::vector<WiredRun>& runs() const { return runs_; }

 private:
  /// What needs no fault: private pages in place that are nobody else's, and pages of an object that is
  /// mapped as it is, which only its pager has to name. Their translations come when somebody needs them.
  struct Found {
    GpaRange range;  // in one of the ranges
    Frame first;     // of private pages
    std::shared_ptr<Object> object;
    PagerRequest request;  // to the object
  };

  [[nodiscard]] static std::vector<Found> look(const FaultContext& context, std::span<const GpaRange> ranges,
                                               AccessKind access);
  /// The same for ranges close to each other in one entry.
  static void look_at(const FaultContext& context, const Entry& entry, std::span<const GpaRange> ranges,
                      AccessKind access, std::vector<Found>& found);
  /// Calls `there` for what was found and `absent` for the parts of the ranges around it, ascending, until
  /// one of them fails.
  template <class Absent, class There>
  [[nodiscard]] static Status each_part(std::span<const GpaRange> ranges, const std::vector<Found>& found,
                                        Absent&& absent, There&& there);
  [[nodiscard]] Status take(const FaultContext& context, const Found& part);
  [[nodiscard]] Status wire_object(const FaultContext& context, const Found& part);
  [[nodiscard]] Status wire_pages(const FaultContext& context, GpaRange range, AccessKind access);
  [[nodiscard]] Status wire_page(const FaultContext& context, Gpa page, AccessKind access);
  void record(WiredRun run);
  void undo();

  std::vector<WiredRun> runs_;
};

}  // namespace uvm
