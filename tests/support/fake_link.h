// A link of a network interface whose other end is the test's: frames with their headers, one a packet.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/kvm/fd.h"
#include "vmm/virtio/net/link.h"

namespace test {

class FakeLink final : public vmm::virtio::net::Link {
 public:
  using Header = vmm::virtio::net::Header;
  using Outcome = vmm::virtio::net::Outcome;
  struct Frame {
    Header header;
    std::string bytes;
    friend bool operator==(const Frame&, const Frame&) = default;
  };

  /// The test's end. Outlives the link.
  class Wire {
   public:
    Wire() {
      std::array<int, 2> ends{};
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
      here_ = vmm::Fd(ends[0]);
      there_ = vmm::Fd(ends[1]);
    }
    /// The next frame that the guest has sent.
    std::optional<Frame> take() {
      std::string text(70'000, '\0');
      const ssize_t got = ::recv(here_.get(), text.data(), text.size(), 0);
      if (got < static_cast<ssize_t>(sizeof(Header))) return std::nullopt;
      Frame frame;
      std::memcpy(&frame.header, text.data(), sizeof frame.header);
      frame.bytes = text.substr(sizeof frame.header, static_cast<std::size_t>(got) - sizeof frame.header);
      return frame;
    }
    /// Sends one to the guest.
    void put(std::string_view bytes, const Header& header = {}) {
      std::string text(sizeof header, '\0');
      std::memcpy(text.data(), &header, sizeof header);
      text += bytes;
      EXPECT_EQ(::send(here_.get(), text.data(), text.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(text.size()));
    }
    void cut() { here_ = vmm::Fd(); }

    std::atomic<std::uint64_t> agreed = 0;
    std::atomic<bool> refuses = false;
    std::atomic<int> stalls = 0;  // frames that there was no room for
    std::atomic<int> received = 0;

   private:
    friend class FakeLink;
    vmm::Fd here_;
    vmm::Fd there_;
  };

  explicit FakeLink(Wire& wire) : wire_(wire), fd_(std::move(wire.there_)) {}
  uvm::Status agree(std::uint64_t features) override {
    wire_.agreed = features;
    return uvm::ok();
  }
  Outcome send(const Header& header, std::span<const iovec> parts) override {
    if (wire_.refuses) return Outcome::Refused;
    Header copy = header;
    std::vector<iovec> all{{&copy, sizeof copy}};
    all.insert(all.end(), parts.begin(), parts.end());
    msghdr message{};
    message.msg_iov = all.data();
    message.msg_iovlen = all.size();
    if (::sendmsg(fd_.get(), &message, MSG_NOSIGNAL) >= 0) return Outcome::Done;
    if (errno != EAGAIN) return Outcome::Gone;
    ++wire_.stalls;
    return Outcome::Later;
  }
  Outcome receive(std::span<const iovec> parts, vmm::virtio::net::Incoming& frame) override {
    std::vector<iovec> all{{&frame.header, sizeof frame.header}};
    all.insert(all.end(), parts.begin(), parts.end());
    rest_.resize(70'000);
    all.push_back({rest_.data(), rest_.size()});
    const ssize_t got = ::readv(fd_.get(), all.data(), static_cast<int>(all.size()));
    if (got <= 0) return got < 0 && errno == EAGAIN ? Outcome::Later : Outcome::Gone;
    ++wire_.received;
    frame.bytes = static_cast<std::size_t>(got) - sizeof frame.header;
    std::size_t room = 0;
    for (const iovec& part : parts) room += part.iov_len;
    frame.rest = std::span(rest_).first(frame.bytes > room ? frame.bytes - room : 0);
    return Outcome::Done;
  }
  [[nodiscard]] int fd() const override { return fd_.get(); }
  [[nodiscard]] std::string name() const override { return "wire"; }
  [[nodiscard]] std::string reason() override { return "the test has cut it"; }

 private:
  Wire& wire_;
  vmm::Fd fd_;
  std::vector<std::byte> rest_;
};

}  // namespace test
