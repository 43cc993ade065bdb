// Frames over a stream, as passt (and QEMU's "stream" networks) have them: each with its length in front, 32
// bits, the most significant byte first.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/kvm/fd.h"
#include "vmm/virtio/net/link.h"
#include "vmm/virtio/net/passt_process.h"

namespace vmm::virtio::net {

/// Thread: one at a time.
class Passt final : public Link {
 public:
  /// The checksums of its frames are right: it makes them in this host's memory. The longest packet is what
  /// it announces by DHCP, and what its length has room for: a guest that asks nobody has it too this way,
  /// and moves 40 times the bytes with a frame.
  static constexpr LinkKind kKind{feature::kGuestCsum | feature::kMergeableBuffers | feature::kMtu, 65520};

  /// Starts a passt of its own, which ends with it. Errors: PasstProcess::start()'s.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Passt>> start();
  /// Connects to one that listens at `path` (passt --socket PATH). Errors: NotFound, Permission, Invalid (a
  /// path that is too long), System; the path is named.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Passt>> connect(const std::string& path);
  /// Over a socket that is connected already, non-blocking; `name` is for messages.
  Passt(Fd socket, std::string name);

  [[nodiscard]] uvm::Status agree(std::uint64_t features) override;
  [[nodiscard]] Outcome send(const Header& header, std::span<const iovec> parts) override;
  [[nodiscard]] Outcome receive(std::span<const iovec> parts, Incoming& frame) override;
  [[nodiscard]] Outcome flush() override;
  [[nodiscard]] int fd() const override { return socket_.get(); }
  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::string reason() override;

 private:
  /// Reads what there is. Later: nothing more than there was.
  [[nodiscard]] Outcome fill();
  [[nodiscard]] std::size_t unread() const { return end_ - begin_; }

  std::optional<PasstProcess> process_;
  Fd socket_;
  std::string name_;
  std::string reason_;
  bool data_valid_ = false;
  std::vector<iovec> parts_;       // whose room is used again
  std::vector<std::byte> unsent_;  // the end of a frame whose begin is gone
  std::vector<std::byte> read_;
  std::size_t begin_ = 0;  // of what was read and not given out
  std::size_t end_ = 0;
};

}  // namespace vmm::virtio::net
