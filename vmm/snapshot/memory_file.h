// The file of a snapshot's memory: RAM at its guest-physical addresses, holes for zeros, and a sum of each
// MiB that the state keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ept/host/file_object.h"
#include "uvm/base/error.h"
#include "vmm/devices/state.h"
#include "vmm/snapshot/memory_image.h"

namespace vmm::snapshot {

inline constexpr std::string_view kMemoryPrefix = "memory-";

/// Told now and then, on the writer's thread, how much of an image's size has been dealt with; bytes.
using Progress = std::function<void(std::uint64_t done, std::uint64_t all)>;

/// What a state says of its memory's file.
class MemoryFile final : public devices::Stateful {
 public:
  MemoryFile() = default;
  /// "memory-NUMBER", of an image's size.
  MemoryFile(std::uint64_t number, std::uint64_t bytes)
      : name_(std::string(kMemoryPrefix) + std::to_string(number)), bytes_(bytes) {}

  struct Written {
    std::uint64_t bytes = 0;         // that are no hole
    std::vector<uvm::GpaRange> own;  // pages that are not what they are in the base
  };
  /// Makes the file `path`, writes the image and learns its sums. With a base, of the same RAM, only pages
  /// that differ are written. `progress` may be empty. Errors: System, Permission; the file is named.
  [[nodiscard]] uvm::Result<Written> write(const std::string& path, const ImageView& view,
                                           const ImageView* base, const Progress& progress);

  /// The file, which has the right size, in a directory or at a path. Errors: NotFound, Permission, Invalid.
  [[nodiscard]] uvm::Result<std::shared_ptr<ept::host::FileObject>> open(const std::string& directory) const {
    return open_at(directory + "/" + name_);
  }
  [[nodiscard]] uvm::Result<std::shared_ptr<ept::host::FileObject>> open_at(const std::string& path) const;
  /// Reads all of it. Errors: Invalid (damaged; the place is named), System.
  [[nodiscard]] uvm::Status check_sums(const ept::host::FileObject& object) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string_view state_name() const override { return "memory-file"; }
  void state(devices::StateFields& fields) override;

 private:
  std::string name_;
  std::uint64_t bytes_ = 0;
  std::vector<std::uint64_t> sums_;  // of each chunk; 0: it is all zeros
};

}  // namespace vmm::snapshot
