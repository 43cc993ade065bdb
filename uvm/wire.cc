#include "uvm/wire.h"

namespace uvm {
namespace {

/// How often a page may vanish between a pager's answer and our hold on it.
constexpr int kMostTries = 64;

}  // namespace

Wiring& Wiring::operator=(Wiring&& other) noexcept {
  if (this == &other) return *this;
  undo();
  runs_ = std::exchange(other.runs_, {});
  return *this;
}

Result<Wiring> Wiring::create(const FaultContext& context, GpaRange range, AccessKind access) {
  Wiring wiring;
  for (Gpa page = range.begin(); page < range.end(); page += kPageSize) {
    UVMM_CHECK(wiring.wire_page(context, page, access));
  }
  return wiring;
}

Status Wiring::wire_page(const FaultContext& context, Gpa page, AccessKind access) {
  for (int i = 0; i < kMostTries; ++i) {
    Fault fault(context, page, access, FaultKind::WireMax);
    count(context.counters.faults);
    if (auto resolved = fault.resolve(); !resolved) {
      count(context.counters.refused);
      return std::move(resolved).error();
    }
    const WiredPage& wired = *fault.wired();
    // A private page stays because the range is pinned; an object's page because its pager is told.
    if (!wired.object || wired.object->hold(wired.frame, wired.generation) == Freshness::Current) {
      record(page, wired);
      return ok();
    }
  }
  return Error(ErrorKind::Busy,
               "space " + context.space + ": page at " + to_string(page) + ": its object keeps changing",
               "try again when nobody truncates or replaces it");
}

void Wiring::record(Gpa page, const WiredPage& wired) {
  if (!runs_.empty()) {
    WiredRun& last = runs_.back();
    if (last.object == wired.object && last.first + last.range.pages() == wired.frame) {
      last.range = *GpaRange::from_bounds(last.range.begin(), page + kPageSize);
      return;
    }
  }
  runs_.push_back({GpaRange::page_of(page), wired.frame, wired.object});
}

void Wiring::undo() {
  for (; !runs_.empty(); runs_.pop_back()) {
    const WiredRun& run = runs_.back();
    if (!run.object) continue;
    for (std::uint64_t i = run.range.pages(); i > 0; --i) run.object->let_go(run.first + (i - 1));
  }
}

}  // namespace uvm
