// Internal to the probe: a few pages to try things on.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "vmm/kvm/fd.h"

namespace vmm::kvm {

/// A memfd of `bytes`; empty Fd when that fails.
inline Fd memfd(const char* name, std::size_t bytes) {
  Fd file(::memfd_create(name, MFD_CLOEXEC));
  if (file && ::ftruncate(file.get(), static_cast<off_t>(bytes)) < 0) file.reset();
  return file;
}

/// RAII mapping, readable and writable, at a multiple of `alignment`; tests false when mmap failed.
class ScratchMapping {
 public:
  ScratchMapping(std::size_t bytes, int flags, int fd = -1, std::size_t alignment = 4096)
      : reserved_bytes_(bytes + alignment) {
    // Reserve more, then put the mapping at the aligned place inside.
    reserved_ =
        ::mmap(nullptr, reserved_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved_ == MAP_FAILED) return;
    const auto misalignment = reinterpret_cast<std::uintptr_t>(reserved_) % alignment;
    void* start = static_cast<std::byte*>(reserved_) + (misalignment == 0 ? 0 : alignment - misalignment);
    void* mapped = ::mmap(start, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
    if (mapped != MAP_FAILED) bytes_ = static_cast<std::byte*>(mapped);
  }
  ~ScratchMapping() {
    if (reserved_ != MAP_FAILED) ::munmap(reserved_, reserved_bytes_);
  }
  ScratchMapping(const ScratchMapping&) = delete;
  ScratchMapping& operator=(const ScratchMapping&) = delete;

  [[nodiscard]] explicit operator bool() const { return bytes_ != nullptr; }
  [[nodiscard]] std::byte* bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(bytes_); }
  void touch_read(std::size_t offset) const { (void)*static_cast<volatile std::byte*>(bytes_ + offset); }

 private:
  void* reserved_;
  const std::size_t reserved_bytes_;
  std::byte* bytes_ = nullptr;
};

}  // namespace vmm::kvm
