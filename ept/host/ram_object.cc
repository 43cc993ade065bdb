#include "ept/host/ram_object.h"

#include <algorithm>

#include "ept/host/memfd.h"
#include "ept/host/tmpfs.h"
#include "uvm/base/range.h"

namespace ept::host {

RamObject::RamObject(UniqueFd fd, std::string name, std::uint64_t size, bool huge,
                     std::string fallback_reason)
    : Backing(std::move(fd), BackingKind::Memory),
      name_(std::move(name)),
      size_(size),
      huge_(huge),
      fallback_reason_(std::move(fallback_reason)) {}

uvm::Result<std::unique_ptr<RamObject>> RamObject::create(std::string name, std::uint64_t size,
                                                          HugePages huge) {
  if (size == 0 || size % uvm::kPageSize != 0 || size > uvm::kAddressLimit) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "RAM object '" + name + "' of " + std::to_string(size) + " bytes",
                      "give a size above 0 in whole pages of 4096 bytes, below 2^52");
  }
  std::string reason;
  if (huge == HugePages::Want) {
    auto file = make_huge_file(size);
    if (file) {
      return std::unique_ptr<RamObject>(new RamObject(std::move(*file), std::move(name), size, true, {}));
    }
    reason = file.error().text();
  }
  UVMM_TRY(auto file, make_memfd(name, size));
  return std::unique_ptr<RamObject>(
      new RamObject(std::move(file), std::move(name), size, false, std::move(reason)));
}

uvm::Result<uvm::FrameRun> RamObject::get(const uvm::PagerRequest& request) {
  if (request.offset.value() >= size_) {
    return uvm::Error(uvm::ErrorKind::EndOfObject, name_ + ": offset " + uvm::to_string(request.offset) +
                                                       " is past its " + std::to_string(size_) + " bytes");
  }
  const std::uint64_t first = request.offset.page();
  const std::uint64_t rest = size_ / uvm::kPageSize - first;
  return uvm::FrameRun{{this, first}, std::clamp<std::uint64_t>(request.pages, 1, rest)};
}

}  // namespace ept::host
