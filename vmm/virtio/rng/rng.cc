#include "vmm/virtio/rng/rng.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "uvm/access.h"

namespace vmm::virtio::rng {
namespace {

/// As much as the kernel gives in one piece, whatever signals come (getrandom(2)).
constexpr std::uint32_t kPiece = 256;

}  // namespace

void Rng::read_config(std::uint64_t /*offset*/, std::span<std::byte> data) const {
  std::ranges::fill(data, std::byte{0});
}

uvm::Status Rng::serve(SplitQueue& queue) {
  return queue.each(chain_, [&](const Chain& chain) -> uvm::Status {
    UVMM_TRY(const std::uint32_t written, fill(chain));
    queue.push(chain.head, written);
    queue.publish();
    return uvm::ok();
  });
}

uvm::Result<std::uint32_t> Rng::fill(const Chain& chain) {
  std::uint32_t written = 0;
  for (const Segment& segment : chain.writable) {
    for (std::uint32_t done = 0; done < segment.bytes && written < kMostAtOnce;) {
      std::array<std::byte, kPiece> random{};
      const std::uint32_t count = std::min({kPiece, segment.bytes - done, kMostAtOnce - written});
      if (::getrandom(random.data(), count, 0) != static_cast<ssize_t>(count)) {
        return uvm::Error::from_errno(errno, "getrandom");
      }
      UVMM_CHECK(uvm::Access::write(space_, uvm::Gpa(segment.gpa + done), std::span(random).first(count)));
      done += count;
      written += count;
    }
  }
  return written;
}

}  // namespace vmm::virtio::rng
