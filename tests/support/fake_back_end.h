// A vhost-user back end inside the test's process: a disk whose every byte is its sector's number, and that
// does what the test wants it to do wrong.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/eventually.h"
#include "vmm/kvm/fd.h"
#include "vmm/vhost_user/protocol.h"

namespace test {

namespace vhost = vmm::vhost_user;

class FakeBackEnd {
 public:
  enum class Fault {
    None,
    Legacy,         // no VIRTIO_F_VERSION_1
    NoConfig,       // does not tell its configuration
    ShortAnswer,    // four bytes instead of eight
    WrongAnswer,    // an answer to another request
    HugeAnswer,     // a header that promises 4 GiB
    RefusesMemory,  // answers SetMemoryTable with an error
    DiesAtMemory,   // hangs up at SetMemoryTable
    HangsUpAtOnce,  // accepts and closes
    Swallows,       // takes the driver's requests and does nothing
    Speaks,         // says something when the driver asks, which nobody has asked for, and serves nothing
  };
  explicit FakeBackEnd(Fault fault = Fault::None);
  ~FakeBackEnd();
  FakeBackEnd(const FakeBackEnd&) = delete;
  FakeBackEnd& operator=(const FakeBackEnd&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Hangs up, as a process that is killed.
  void die();

  /// Requests so far, in order.
  [[nodiscard]] std::vector<vhost::Request> requests() const;
  /// Of the last memory table.
  [[nodiscard]] std::vector<vhost::Region> regions() const;
  /// Accepted by SetFeatures.
  [[nodiscard]] std::uint64_t features() const;
  /// Queues that are enabled and have not been taken back.
  [[nodiscard]] std::size_t running() const;
  /// Requests of the driver that it has served.
  [[nodiscard]] unsigned served() const { return served_; }

 private:
  struct Mapping {
    vhost::Region region;
    std::byte* bytes = nullptr;
  };
  struct Queue {
    std::uint32_t size = 0;
    vhost::QueueAddresses addresses;
    std::uint16_t next = 0;
    bool enabled = false;
    vmm::Fd kick;
    vmm::Fd call;
  };
  struct Message {
    vhost::Header header;
    std::vector<std::byte> payload;
    std::vector<vmm::Fd> fds;
  };

  void serve();
  [[nodiscard]] std::optional<Message> receive();
  /// False: it hangs up.
  [[nodiscard]] bool handle(Message& message);
  void answer(const vhost::Header& to, std::span<const std::byte> payload);
  void answer(const vhost::Header& to, std::uint64_t value);
  void set_memory(Message& message);
  void set_queue(Message& message);
  void unmap();
  /// What a user address means here; null when it is in no region.
  [[nodiscard]] std::byte* find(std::uint64_t user, std::uint64_t bytes) const;
  void work(Queue& queue);

  const Fault fault_;
  std::string path_;
  vmm::Fd listener_;
  vmm::Fd socket_;
  vmm::Fd end_;
  std::atomic<unsigned> served_{0};
  mutable std::mutex mutex_;
  std::vector<vhost::Request> requests_;
  std::vector<Mapping> memory_;
  std::uint64_t features_ = 0;
  std::map<std::uint32_t, Queue> queues_;
  std::thread thread_;
};

}  // namespace test
