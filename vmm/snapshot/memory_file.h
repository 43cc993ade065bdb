// The file of a snapshot's memory: RAM at its guest-physical addresses, holes for zeros, and a sum of each
// MiB that the state keeps. Or the same in frames of zstd (packed_file.h).
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
#include "vmm/snapshot/packed_file.h"

namespace vmm::snapshot {

inline constexpr std::string_view kMemoryPrefix = "memory-";

/// Which sums are checked when a snapshot is read.
enum class Verify : std::uint8_t {
  State,  // those of the states, which hold memory's layout; memory's files have the right size
  Begin,  // memory's too, but of large files the begin only; the rest is for the caller to check
  All,    // memory's too, which reads all of it
};

/// Told now and then, on the writer's thread, how much of an image's size has been dealt with; bytes.
using Progress = std::function<void(std::uint64_t done, std::uint64_t all)>;

/// Packed memory takes a part of the room, and cannot be mapped from its file.
enum class Packing : std::uint8_t { None, Zstd };

/// What a state says of its memory's file.
class MemoryFile final : public devices::Stateful {
 public:
  MemoryFile() = default;
  /// "memory-NUMBER", of an image's size.
  MemoryFile(std::uint64_t number, std::uint64_t bytes, Packing packing = Packing::None)
      : name_(std::string(kMemoryPrefix) + std::to_string(number)), bytes_(bytes), packing_(packing) {}

  struct Written {
    std::uint64_t bytes = 0;         // of memory that is no hole; packed, of the file
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
  /// The memory in the file, once open: the file itself, or what was packed in it. With Verify::All, and
  /// when it is packed, all of it is read; with Verify::Begin what is left goes to `unchecked`. Errors:
  /// Invalid (damaged; the place is named), NoMemory, System.
  [[nodiscard]] uvm::Result<MemoryObject> memory_in(std::shared_ptr<ept::host::FileObject> file,
                                                    Verify verify, std::vector<MemorySums>& unchecked) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Packing packing() const { return packing_; }
  [[nodiscard]] std::string_view state_name() const override { return "memory-file"; }
  [[nodiscard]] std::uint16_t state_version() const override { return 2; }  // 1: was never packed
  void state(devices::StateFields& fields) override;

 private:
  /// The size of the file.
  [[nodiscard]] std::uint64_t file_bytes() const {
    return packing_ == Packing::Zstd ? packed_bytes(frames_) : bytes_;
  }

  std::string name_;
  std::uint64_t bytes_ = 0;
  Packing packing_ = Packing::None;
  std::vector<std::uint64_t> sums_;  // of each chunk; 0: it is all zeros
  FrameSizes frames_;                // when it is packed
};

}  // namespace vmm::snapshot
