#include "vmm/virtio/pmem/pmem.h"

#include <algorithm>
#include <array>

#include "uvm/access.h"
#include "vmm/devices/registers.h"

namespace vmm::virtio::pmem {
namespace {

// struct virtio_pmem_config
constexpr std::size_t kConfigBytes = 16;

// struct virtio_pmem_req and _resp: one le32 each
constexpr std::size_t kWord = 4;
constexpr std::uint64_t kFlush = 0;
constexpr std::uint32_t kDone = 0;
constexpr std::uint32_t kFailed = 1;

}  // namespace

void Pmem::read_config(std::uint64_t offset, std::span<std::byte> data) const {
  std::array<std::byte, kConfigBytes> image{};
  devices::store_le(std::span(image).first(8), range_.begin().value());
  devices::store_le(std::span(image).last(8), range_.size());
  devices::read_block(image, offset, data);
}

uvm::Status Pmem::serve(SplitQueue& queue) {
  return queue.each(chain_, [&](const Chain& chain) -> uvm::Status {
    UVMM_TRY(const std::uint32_t written, answer(chain));
    queue.push(chain.head, written);
    queue.publish();
    return uvm::ok();
  });
}

uvm::Result<std::uint32_t> Pmem::answer(const Chain& chain) {
  // The parts can be cut as the driver likes.
  std::array<std::byte, kWord> request{};
  std::size_t read = 0;
  for (const Segment& segment : chain.readable) {
    const std::size_t count = std::min<std::size_t>(segment.bytes, kWord - read);
    UVMM_CHECK(uvm::Access::read(space_, uvm::Gpa(segment.gpa), std::span(request).subspan(read, count)));
    read += count;
  }
  const bool is_flush = read == kWord && devices::load_le(request) == kFlush;
  std::array<std::byte, kWord> response{};
  devices::store_le(response, is_flush && !was_written_() ? kDone : kFailed);
  std::uint32_t written = 0;
  for (const Segment& segment : chain.writable) {
    const auto count = std::min<std::uint32_t>(segment.bytes, kWord - written);
    UVMM_CHECK(
        uvm::Access::write(space_, uvm::Gpa(segment.gpa), std::span(response).subspan(written, count)));
    written += count;
  }
  return written;
}

void Pmem::state(devices::StateFields& fields) {
  std::uint64_t begin = range_.begin().value();
  std::uint64_t bytes = range_.size();
  fields.field(begin);
  fields.field(bytes);
  fields.require(begin == range_.begin().value() && bytes == range_.size(), "place or size of the image");
}

}  // namespace vmm::virtio::pmem
