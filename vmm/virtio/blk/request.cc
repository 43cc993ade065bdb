#include "vmm/virtio/blk/request.h"

#include <algorithm>

#include "vmm/devices/registers.h"

namespace vmm::virtio::blk {
namespace {

using devices::load_le;

constexpr std::uint32_t kUnmapFlag = 1;

/// [offset, offset + bytes) in sectors of a disk.
bool fits(std::uint64_t sector, std::uint64_t bytes, const Limits& limits) {
  return sector <= limits.bytes / kSectorBytes && bytes <= limits.bytes - sector * kSectorBytes;
}

bool changes(RequestType type) {
  return type == RequestType::Out || type == RequestType::Discard || type == RequestType::WriteZeroes;
}

bool is_known(std::uint32_t type, const Limits& limits) {
  switch (static_cast<RequestType>(type)) {
    case RequestType::In:
    case RequestType::Out:
    case RequestType::Flush:
    case RequestType::GetId:
      return true;
    case RequestType::Discard:
    case RequestType::WriteZeroes:
      // A disk that can't be written refuses these as it refuses writes.
      return limits.discards || limits.access == DiskAccess::ReadOnly;
  }
  return false;
}

/// Moves the first `bytes` of `from`, or what there is, to `to`; what is left goes to `rest`.
void cut(const std::vector<Segment>& from, std::uint64_t bytes, std::vector<Segment>& to,
         std::vector<Segment>& rest) {
  for (const Segment& segment : from) {
    const auto taken = static_cast<std::uint32_t>(std::min<std::uint64_t>(segment.bytes, bytes));
    bytes -= taken;
    if (taken != 0) to.push_back({segment.gpa, taken});
    if (taken != segment.bytes) rest.push_back({segment.gpa + taken, segment.bytes - taken});
  }
}

}  // namespace

bool Frame::read(const Chain& chain) {
  header.clear();
  data_out.clear();
  data_in = chain.writable;
  cut(chain.readable, kHeaderBytes, header, data_out);
  if (data_in.empty()) return false;
  Segment& last = data_in.back();
  status_gpa = last.gpa + last.bytes - 1;
  if (--last.bytes == 0) data_in.pop_back();
  return true;
}

std::variant<Request, RequestStatus> parse_request(std::span<const std::byte> header, std::uint64_t data_out,
                                                   std::uint64_t data_in, const Limits& limits) {
  if (header.size() < kHeaderBytes) return RequestStatus::IoError;
  const auto number = static_cast<std::uint32_t>(load_le(header.subspan(0, 4)));
  if (!is_known(number, limits)) return RequestStatus::Unsupported;
  Request request;
  request.type = static_cast<RequestType>(number);
  if (changes(request.type) && limits.access == DiskAccess::ReadOnly) return RequestStatus::IoError;
  switch (request.type) {
    case RequestType::In:
    case RequestType::Out: {
      const std::uint64_t sector = load_le(header.subspan(8, 8));
      request.bytes = request.type == RequestType::In ? data_in : data_out;
      if (request.bytes % kSectorBytes != 0 || request.bytes > limits.data_bytes ||
          !fits(sector, request.bytes, limits)) {
        return RequestStatus::IoError;
      }
      request.offset = sector * kSectorBytes;
      break;
    }
    case RequestType::Flush:
      break;
    case RequestType::GetId:
      request.bytes = std::min<std::uint64_t>(data_in, kIdBytes);
      break;
    case RequestType::Discard:
    case RequestType::WriteZeroes:
      request.bytes = data_out;
      if (data_out == 0 || data_out % kRangeBytes != 0 || data_out / kRangeBytes > limits.ranges) {
        return RequestStatus::IoError;
      }
      break;
  }
  return request;
}

std::variant<std::vector<Range>, RequestStatus> parse_ranges(RequestType type,
                                                             std::span<const std::byte> data,
                                                             const Limits& limits) {
  std::vector<Range> ranges;
  for (; data.size() >= kRangeBytes; data = data.subspan(kRangeBytes)) {
    const std::uint64_t sector = load_le(data.subspan(0, 8));
    const std::uint64_t bytes = load_le(data.subspan(8, 4)) * kSectorBytes;
    const auto flags = static_cast<std::uint32_t>(load_le(data.subspan(12, 4)));
    const std::uint32_t known = type == RequestType::WriteZeroes ? kUnmapFlag : 0;
    if ((flags & ~known) != 0) return RequestStatus::Unsupported;
    if (bytes > limits.range_bytes || !fits(sector, bytes, limits)) return RequestStatus::IoError;
    const bool unmaps = type == RequestType::Discard || (flags & kUnmapFlag) != 0;
    if (bytes != 0) ranges.push_back({sector * kSectorBytes, bytes, unmaps ? Unmap::Yes : Unmap::No});
  }
  return ranges;
}

}  // namespace vmm::virtio::blk
