// A network interface whose driver has written anything at all into rings and frames: what reaches the link
// has a sound header and a possible length, and nothing stays pinned.
#include <fcntl.h>
#include <sys/socket.h>

#include "tests/fuzz/device_fuzz.h"
#include "vmm/log.h"
#include "vmm/virtio/net/interface.h"
#include "vmm/virtio/net/tap.h"

namespace {

using namespace vmm::virtio;
using namespace vmm::virtio::net;

/// Frames of many lengths for the guest, then no more.
class Source final : public Link {
 public:
  Source() {
    int ends[2];
    fuzz::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    here_ = vmm::Fd(ends[0]);
    there_ = vmm::Fd(ends[1]);
  }
  uvm::Status agree(std::uint64_t features) override {
    features_ = features;
    return uvm::ok();
  }
  Outcome send(const Header& header, std::span<const iovec> parts) override {
    const std::size_t bytes = size_of(parts);
    fuzz::require(is_sound(header, bytes, features_) && parts.size() < GuestBytes::kMostParts);
    // Each byte can be touched.
    std::vector<std::byte> copy(bytes);
    fuzz::require(copy_from(parts, 0, copy) == bytes);
    return bytes % 7 == 0 ? Outcome::Refused : Outcome::Done;
  }
  Outcome receive(std::span<const iovec> parts, Incoming& frame) override {
    static constexpr std::size_t kLengths[] = {14, 60, 1514, 4000, 65535, 100};
    if (next_ == std::size(kLengths)) return Outcome::Later;
    frame.bytes = kLengths[next_++];
    const auto copied = copy_to(parts, 0, std::span(bytes_).first(frame.bytes));
    fuzz::require(copied.has_value());
    frame.rest = std::span(bytes_).subspan(*copied, frame.bytes - *copied);
    return Outcome::Done;
  }
  [[nodiscard]] int fd() const override { return here_.get(); }
  [[nodiscard]] std::string name() const override { return "source"; }

 private:
  std::uint64_t features_ = 0;
  std::size_t next_ = 0;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(65535);
  vmm::Fd here_;
  vmm::Fd there_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::DeviceMachine machine;
  static const bool quiet = vmm::log::set_up({vmm::log::Level::Off, {}}).has_value();
  if (size == 0 || !quiet) return 0;
  const std::uint64_t features = (*data & 1) != 0 ? Tap::kKind.features : feature::kCsum;
  auto interface = std::make_unique<Interface>(
      Interface::Setup{"net0", {}, machine.space(), std::make_unique<Source>(), Tap::kKind});
  machine.run(std::move(interface), features, std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
