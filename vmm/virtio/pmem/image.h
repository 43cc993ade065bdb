// Where the images lie that guests see as memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ept/host/file_object.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "vmm/virtio/pmem/options.h"

namespace vmm::virtio::pmem {

/// Of an image in the guest: what maps in large pages there has to begin and end so.
inline constexpr std::uint64_t kImageBytes = std::uint64_t{2} << 20;

/// A file and its place. The guest finds zeros from the end of the file to the end of the range.
struct Image {
  std::string name;     // "pmem0", by its place among the images
  uvm::GpaRange range;  // guest-physical
  std::shared_ptr<ept::host::FileObject> file;
};

/// Opens the files for reading, and places them from `first` on (any address), below `limit`, no two of them
/// in one section of the guest's (128 MiB). Errors: those of FileObject::open(); Invalid (no room below
/// `limit`).
[[nodiscard]] uvm::Result<std::vector<Image>> open_images(const std::vector<Options>& options, uvm::Gpa first,
                                                          std::uint64_t limit);

}  // namespace vmm::virtio::pmem
