// A tap interface of the host's: frames with the headers of virtio, as the kernel understands them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vmm/kvm/fd.h"
#include "vmm/virtio/net/link.h"

namespace vmm::virtio::net {

/// Thread: one at a time. The interface goes with it, if nobody has made it to stay.
class Tap final : public Link {
 public:
  /// Attaches to the interface `name`, and makes it if it is not there and that is allowed. Errors: Invalid
  /// (no name for an interface, an interface of another kind), Permission, Busy (another process has it),
  /// NotFound (no /dev/net/tun), System; the way out names the command.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Tap>> open(const std::string& name);

  static constexpr LinkKind kKind{feature::kCsum | feature::kGuestCsum | feature::kGuestTso4 |
                                  feature::kGuestTso6 | feature::kGuestEcn | feature::kHostTso4 |
                                  feature::kHostTso6 | feature::kHostEcn | feature::kMergeableBuffers};
  [[nodiscard]] uvm::Status agree(std::uint64_t features) override;
  [[nodiscard]] Outcome send(const Header& header, std::span<const iovec> parts) override;
  [[nodiscard]] Outcome receive(std::span<const iovec> parts, Incoming& frame) override;
  [[nodiscard]] int fd() const override { return fd_.get(); }
  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::string reason() override { return "the interface was removed"; }

 private:
  Tap(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  [[nodiscard]] uvm::Status attach();
  [[nodiscard]] uvm::Status set_up();
  [[nodiscard]] uvm::Error refused(int number) const;

  Fd fd_;
  std::string name_;
  bool is_down_ = false;              // and the log has said so
  std::vector<iovec> parts_;          // whose room is used again
  std::vector<std::byte> long_rest_;  // of a frame that the driver's buffers have no room for
};

}  // namespace vmm::virtio::net
