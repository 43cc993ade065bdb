// What a driver asks of a disk (virtio 1.2, 5.2.6), read out of bytes that nobody has looked at yet.
//
// Everything here is pure: bytes and numbers in, a request or the status that refuses it out. How a driver
// has cut its request into parts is its own affair: the first 16 bytes to be read are the header, the last
// byte to be written is the status, and what is between is data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "vmm/virtio/blk/options.h"
#include "vmm/virtio/chain.h"

namespace vmm::virtio::blk {

inline constexpr std::uint64_t kSectorBytes = 512;  // of the protocol, whatever the disk's blocks are
inline constexpr std::size_t kHeaderBytes = 16;
inline constexpr std::size_t kRangeBytes = 16;  // of one range of a discard
inline constexpr std::size_t kIdBytes = 20;

/// VIRTIO_BLK_T_*, those that are served.
enum class RequestType : std::uint32_t {
  In = 0,
  Out = 1,
  Flush = 4,
  GetId = 8,
  Discard = 11,
  WriteZeroes = 13
};

/// VIRTIO_BLK_S_*: the last byte of every request.
enum class RequestStatus : std::uint8_t { Ok = 0, IoError = 1, Unsupported = 2 };

/// What can be asked for.
struct Limits {
  std::uint64_t bytes = 0;  // of the disk
  DiskAccess access = DiskAccess::ReadWrite;
  bool discards = false;          // whether that was offered; the same for write-zeroes
  std::uint64_t data_bytes = 0;   // of one read or write
  std::uint64_t range_bytes = 0;  // of one range of a discard
  std::uint32_t ranges = 0;       // of one discard
};

struct Request {
  RequestType type = RequestType::In;
  std::uint64_t offset = 0;  // of In and Out, in bytes
  std::uint64_t bytes = 0;   // of data, in guest memory

  friend bool operator==(const Request&, const Request&) = default;
};

/// The parts of a chain by what they are for.
struct Frame {
  std::vector<Segment> header;    // kHeaderBytes, or less
  std::vector<Segment> data_out;  // to be read, behind the header
  std::vector<Segment> data_in;   // to be written
  std::uint64_t status_gpa = 0;

  /// Reads the chain; false: it has no room for a status, so there is nobody to answer. What was in the
  /// vectors goes, their room stays.
  [[nodiscard]] bool read(const Chain& chain);
};

/// `header` is what there is of it; the others are how much data the chain has for the device to read and to
/// write. A status: the request is refused with it.
[[nodiscard]] std::variant<Request, RequestStatus> parse_request(std::span<const std::byte> header,
                                                                 std::uint64_t data_out,
                                                                 std::uint64_t data_in, const Limits& limits);

enum class Unmap : std::uint8_t { No, Yes };

/// Of a discard: bytes that nobody needs any more. Of a write-zeroes: bytes that are to read as zero, and
/// whether the room they take may be given away.
struct Range {
  std::uint64_t offset = 0;  // in bytes
  std::uint64_t bytes = 0;
  Unmap unmap = Unmap::No;

  friend bool operator==(const Range&, const Range&) = default;
};

/// The data of a Discard or WriteZeroes that parse_request() has let through. All of it is looked at before
/// any of it is done. Ranges without a byte are left out.
[[nodiscard]] std::variant<std::vector<Range>, RequestStatus> parse_ranges(RequestType type,
                                                                           std::span<const std::byte> data,
                                                                           const Limits& limits);

}  // namespace vmm::virtio::blk
