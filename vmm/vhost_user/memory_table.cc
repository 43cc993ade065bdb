#include "vmm/vhost_user/memory_table.h"

#include <string>
#include <utility>

#include "ept/pin_extents.h"
#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user {

uvm::Result<MemoryTable> MemoryTable::create(uvm::Space& space, std::span<const uvm::GpaRange> ram,
                                             std::shared_ptr<uvm::PinOwner> owner) {
  MemoryTable table;
  uvm::PinRequest request;
  request.owner = std::move(owner);
  request.placement = uvm::Placement::Shareable;
  UVMM_TRY(table.pin_, uvm::Pin::create(space, ram, request));
  UVMM_TRY(const auto extents, ept::extents_of(*table.pin_));
  for (const ept::PinExtent& extent : extents) {
    table.add({extent.range.begin().value(), extent.range.size(), extent.fd, extent.offset});
  }
  if (table.parts_.size() <= kMostRegions) return table;
  return uvm::Error(uvm::ErrorKind::NoMemory,
                    "guest memory lies in " + std::to_string(table.parts_.size()) +
                        " places, and a vhost-user back end takes " + std::to_string(kMostRegions),
                    "use --memory-backing shared");
}

void MemoryTable::add(const Part& part) {
  if (!parts_.empty()) {
    Part& last = parts_.back();
    if (last.fd == part.fd && last.gpa + last.bytes == part.gpa && last.offset + last.bytes == part.offset) {
      last.bytes += part.bytes;
      return;
    }
  }
  parts_.push_back(part);
}

}  // namespace vmm::vhost_user
