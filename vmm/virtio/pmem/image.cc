#include "vmm/virtio/pmem/image.h"

#include <utility>

namespace vmm::virtio::pmem {
namespace {

/// Linux adds and removes memory in sections of that many bytes, each of one kind.
constexpr std::uint64_t kSection = std::uint64_t{128} << 20;

std::uint64_t rounded(std::uint64_t bytes, std::uint64_t to) {
  return (bytes + to - 1) & ~(to - 1);
}

}  // namespace

uvm::Result<std::vector<Image>> open_images(const std::vector<Options>& options, uvm::Gpa first,
                                            std::uint64_t limit) {
  std::vector<Image> images;
  std::uint64_t next = first.value();
  for (const Options& each : options) {
    UVMM_TRY(auto file, ept::host::FileObject::open(each.path));
    const std::uint64_t begin = next > limit ? limit : rounded(next, kSection);
    if (begin >= limit || file->size() > limit - begin ||
        rounded(file->size(), kImageBytes) > limit - begin) {
      return uvm::Error(uvm::ErrorKind::Invalid,
                        "pmem image " + each.path + " of " + std::to_string(file->size()) +
                            " bytes has no room below guest address " + uvm::hex(limit),
                        "give the guest less memory or smaller images");
    }
    const auto range = uvm::GpaRange::from_size(uvm::Gpa(begin), rounded(file->size(), kImageBytes));
    images.push_back({"pmem" + std::to_string(images.size()), *range, std::move(file)});
    next = range->end().value();
  }
  return images;
}

}  // namespace vmm::virtio::pmem
