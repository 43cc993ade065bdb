// Requests of iommufd and of VFIO's device files that the headers of the oldest host we build on do not have
// yet (linux/iommufd.h and linux/vfio.h of Linux 6.6). Each structure begins with its own size in bytes.
#pragma once

#include <linux/ioctl.h>
#include <linux/vfio.h>

#include <cstdint>

namespace vmm::vfio::iommufd_calls {

inline constexpr unsigned long kAllocate = _IO(VFIO_TYPE, 0x81);
struct Allocate {
  std::uint32_t size = sizeof(Allocate);
  std::uint32_t flags = 0;
  std::uint32_t space = 0;  // out
};

inline constexpr unsigned long kMap = _IO(VFIO_TYPE, 0x85);
inline constexpr std::uint32_t kAtThisAddress = 1;
inline constexpr std::uint32_t kWritable = 2;
inline constexpr std::uint32_t kReadable = 4;
struct Map {
  std::uint32_t size = sizeof(Map);
  std::uint32_t flags = 0;
  std::uint32_t space = 0;
  std::uint32_t reserved = 0;
  std::uint64_t address = 0;  // of this process
  std::uint64_t bytes = 0;
  std::uint64_t io_address = 0;
};

inline constexpr unsigned long kUnmap = _IO(VFIO_TYPE, 0x86);
struct Unmap {
  std::uint32_t size = sizeof(Unmap);
  std::uint32_t space = 0;
  std::uint64_t io_address = 0;
  std::uint64_t bytes = 0;
};

// Of a device's file.
inline constexpr unsigned long kBind = _IO(VFIO_TYPE, VFIO_BASE + 18);
struct Bind {
  std::uint32_t size = sizeof(Bind);
  std::uint32_t flags = 0;
  std::int32_t iommufd = -1;
  std::uint32_t device = 0;  // out
};

inline constexpr unsigned long kAttach = _IO(VFIO_TYPE, VFIO_BASE + 19);
struct Attach {
  std::uint32_t size = sizeof(Attach);
  std::uint32_t flags = 0;
  std::uint32_t space = 0;
};

}  // namespace vmm::vfio::iommufd_calls
