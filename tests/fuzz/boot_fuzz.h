// One body for the boot protocols' fuzz targets: plan the input as a kernel of `format`, and check what the
// machine relies on in every plan that comes back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>

#include "guest/load_plan.h"
#include "guest/low_memory.h"

namespace guest::fuzz {

inline void require(bool holds) {
  if (!holds) std::abort();
}

inline void check_segments(const LoadPlan& plan, const BootRequest& request) {
  const auto usable = request.memory.usable();
  uvm::Gpa end;
  for (const Segment& segment : plan.segments) {
    const auto range = segment.range();
    require(range.has_value() && !range->empty() && range->begin() >= end);
    end = range->end();
    bool inside = false;
    for (const uvm::GpaRange ram : usable) inside = inside || ram.contains(*range);
    require(inside);
    if (segment.source == Segment::Source::FromKernel) {
      require(segment.file_offset <= request.kernel.size());
      require(segment.size <= request.kernel.size() - segment.file_offset);
    }
    require(segment.source == Segment::Source::Bytes ? segment.bytes.size() == segment.size
                                                     : segment.bytes.empty());
    require(range->contains(segment.mappable_pages()) || segment.mappable_pages().empty());
  }
}

inline void plan_as(KernelFormat format, std::span<const std::byte> kernel) {
  BootRequest request;
  request.kernel = kernel;
  request.initrd_size = 100'000;
  request.cmdline = "console=ttyS0";
  const auto hole = uvm::GpaRange::from_bounds(uvm::Gpa(0xc0000000), uvm::Gpa(0x100000000));
  request.memory = MemoryLayout::create(std::uint64_t{64} << 20, hole.value()).value();
  request.acpi_rsdp = low_memory::kAcpi;
  request.format = format;
  const auto plan = plan_boot(request);
  if (!plan) {
    require(!plan.error().what().empty() && plan.error().text().find('\n') == std::string::npos);
    return;
  }
  check_segments(*plan, request);
  require(plan->entry.rip < low_memory::kIdentityMapped);
  require(plan->initrd.has_value() && !plan->initrd->overlaps(plan->kernel));
}

}  // namespace guest::fuzz
