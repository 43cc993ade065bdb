#include "guest/plan_check.h"

#include <algorithm>
#include <string>

namespace guest {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::GpaRange;

std::string describe(const Segment& segment) {
  return segment.name + " (" + std::to_string(segment.size) + " bytes at " + uvm::hex(segment.gpa.value()) +
         ")";
}

uvm::Status check_file(const Segment& segment, const BootRequest& request) {
  std::uint64_t available = 0;
  switch (segment.source) {
    case Segment::Source::FromKernel:
      available = request.kernel.size();
      break;
    case Segment::Source::FromInitrd:
      available = request.initrd_size;
      break;
    case Segment::Source::Bytes:
    case Segment::Source::Zero:
      return uvm::ok();
  }
  if (segment.file_offset <= available && segment.size <= available - segment.file_offset) return uvm::ok();
  return Error(ErrorKind::Invalid,
               segment.name + " takes " + std::to_string(segment.size) + " bytes from file offset " +
                   uvm::hex(segment.file_offset) + ", past the file's " + std::to_string(available) +
                   " bytes",
               "the file is truncated; copy or build it again");
}

uvm::Status check_place(const Segment& segment, std::span<const GpaRange> usable) {
  const auto range = segment.range();
  if (!range || range->end().value() > uvm::kAddressLimit) {
    return Error(ErrorKind::Invalid, describe(segment) + " passes the address limit of 2^52",
                 "link the kernel to physical addresses inside the guest's RAM");
  }
  const bool inside =
      std::any_of(usable.begin(), usable.end(), [&](GpaRange ram) { return ram.contains(*range); });
  if (inside) return uvm::ok();
  std::string ram;
  for (const GpaRange piece : usable) ram += (ram.empty() ? "" : ", ") + uvm::to_string(piece);
  return Error(ErrorKind::NoMemory,
               describe(segment) + " doesn't lie inside the guest's usable RAM (" + ram + ")",
               "give the guest more memory (-m), or link the kernel to addresses that are RAM");
}

}  // namespace

uvm::Status check_plan(LoadPlan& plan, const BootRequest& request) {
  const std::vector<GpaRange> usable = request.memory.usable();
  for (const Segment& segment : plan.segments) {
    UVMM_CHECK(check_file(segment, request));
    UVMM_CHECK(check_place(segment, usable));
  }
  std::stable_sort(plan.segments.begin(), plan.segments.end(),
                   [](const Segment& a, const Segment& b) { return a.gpa < b.gpa; });
  for (std::size_t i = 1; i < plan.segments.size(); ++i) {
    const Segment& below = plan.segments[i - 1];
    const Segment& above = plan.segments[i];
    if (below.gpa + below.size <= above.gpa) continue;
    return Error(ErrorKind::Invalid, describe(above) + " overlaps " + describe(below),
                 "link the kernel to other addresses; 1 MiB and above is free");
  }
  return uvm::ok();
}

void span_kernel(LoadPlan& plan) {
  bool first = true;
  for (const Segment& segment : plan.segments) {
    const auto range = segment.range();
    if (!range) continue;
    const uvm::Gpa begin = first ? range->begin() : std::min(plan.kernel.begin(), range->begin());
    const uvm::Gpa end = first ? range->end() : std::max(plan.kernel.end(), range->end());
    plan.kernel = GpaRange::from_bounds(begin, end).value_or(GpaRange());
    first = false;
  }
}

}  // namespace guest
