// What the operator says about a disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm::virtio::blk {

enum class DiskAccess : std::uint8_t { ReadWrite, ReadOnly };

/// What a guest's flush does: waits for the host's storage, or nothing, for a disk that nobody will miss.
enum class Flush : std::uint8_t { Honoured, Ignored };

/// How a fork of the machine gets its own of a disk that is written: as a reflink, which takes no time, and
/// not at all where the file system has none; or as a copy, for which the machine stands still.
enum class ForkCopy : std::uint8_t { Reflink, Bytes };

struct Options {
  std::string id;    // in messages, and in the API; unique
  std::string path;  // a raw image file, or a block device
  DiskAccess access = DiskAccess::ReadWrite;
  Flush flush = Flush::Honoured;
  std::string serial;        // what the guest reads as its serial number; empty: the id
  std::uint32_t queues = 0;  // 0: one for each vCPU, up to kMostQueues
  ForkCopy fork = ForkCopy::Reflink;

  friend bool operator==(const Options&, const Options&) = default;
};

inline constexpr std::size_t kMostDisks = 16;        // of one machine
inline constexpr std::size_t kMostSerialBytes = 20;  // virtio 1.2, 5.2.6: VIRTIO_BLK_T_GET_ID
inline constexpr std::uint32_t kMostQueues = 16;

/// "PATH[,ro][,id=NAME][,serial=TEXT][,queues=N][,flush=honoured|ignored][,fork=reflink|copy]", and what
/// QEMU, Cloud Hypervisor and kvmtool write for it: file=, path=, readonly=on, if=virtio, format=raw, cache=,
/// num_queues=. A comma in a value is written twice. Without an id= it is empty. Errors: Invalid.
[[nodiscard]] uvm::Result<Options> parse_disk(std::string_view text);

/// What a disk without a name of its own is called: "vda", "vdb", …, as the guest does.
[[nodiscard]] std::string usual_id(std::size_t index);

}  // namespace vmm::virtio::blk
