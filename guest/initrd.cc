#include "guest/initrd.h"

#include <algorithm>
#include <optional>
#include <string>

#include "guest/low_memory.h"

namespace guest {
namespace {

using uvm::Gpa;
using uvm::GpaRange;

/// The highest page-aligned place for `size` bytes in `room`.
std::optional<GpaRange> top_of(GpaRange room, std::uint64_t size) {
  if (size > room.size()) return std::nullopt;
  const Gpa begin = (room.end() - size).page_down();
  if (begin < room.begin()) return std::nullopt;
  return GpaRange::from_size(begin, size);
}

std::optional<GpaRange> find_place(const LoadPlan& plan, const BootRequest& request, Gpa limit) {
  std::vector<GpaRange> usable = request.memory.usable();
  std::reverse(usable.begin(), usable.end());
  for (const GpaRange ram : usable) {
    const GpaRange room = ram.before(limit).from(low_memory::kEnd);
    const GpaRange parts[] = {room.from(plan.kernel.end()), room.before(plan.kernel.begin())};
    for (const GpaRange part : parts) {
      if (auto place = top_of(part, request.initrd_size)) return place;
    }
  }
  return std::nullopt;
}

uvm::Error does_not_fit(const LoadPlan& plan, const BootRequest& request, Gpa limit) {
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  const std::string what = "the initrd of " + std::to_string(request.initrd_size) +
                           " bytes doesn't fit beside the kernel's " + uvm::to_string(plan.kernel) +
                           " below " + uvm::hex(limit.value()) + " in " +
                           std::to_string(request.memory.ram_bytes() / kMiB) + " MiB of RAM";
  const std::uint64_t room = limit.value() - std::min(limit.value(), plan.kernel.end().value());
  if (request.initrd_size > room) {
    return {uvm::ErrorKind::NoMemory, what,
            "make the initrd smaller: the kernel reads none above that address"};
  }
  const std::uint64_t need = plan.kernel.end().value() + request.initrd_size;
  return {uvm::ErrorKind::NoMemory, what, "give at least -m " + std::to_string(need / kMiB + 2) + "M"};
}

}  // namespace

uvm::Status place_initrd(LoadPlan& plan, const BootRequest& request, Gpa limit) {
  if (request.initrd_size == 0) return uvm::ok();
  const auto place = find_place(plan, request, limit);
  if (!place) return does_not_fit(plan, request, limit);
  plan.initrd = *place;
  Segment segment{.name = "initrd",
                  .gpa = place->begin(),
                  .size = place->size(),
                  .source = Segment::Source::FromInitrd,
                  .file_offset = 0,
                  .bytes = {}};
  plan.segments.push_back(std::move(segment));
  return uvm::ok();
}

}  // namespace guest
