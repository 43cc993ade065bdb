// Who holds guest memory: a device, a migration, a command of the operator.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

namespace uvm {

inline constexpr std::uint64_t kNoPinLimit = std::numeric_limits<std::uint64_t>::max();

/// Shared by its pins, so it outlives them. One owner may pin in several spaces. Thread-safe.
class PinOwner {
 public:
  /// `name` is what refusals print ("vfio0"). `limit`: bytes that all its pins together may hold; a page that
  /// two of them hold counts twice.
  [[nodiscard]] static std::shared_ptr<PinOwner> create(std::string name, std::uint64_t limit = kNoPinLimit) {
    return std::make_shared<PinOwner>(std::move(name), limit);
  }
  PinOwner(std::string name, std::uint64_t limit) : name_(std::move(name)), limit_(limit) {}
  PinOwner(const PinOwner&) = delete;
  PinOwner& operator=(const PinOwner&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }
  /// Bytes that its pins hold now.
  [[nodiscard]] std::uint64_t pinned() const { return pinned_.load(std::memory_order_relaxed); }

  /// For pins: takes `bytes` of what the limit leaves, or nothing and says false; gives them back.
  [[nodiscard]] bool charge(std::uint64_t bytes);
  void refund(std::uint64_t bytes) { pinned_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  const std::string name_;
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> pinned_{0};
};

}  // namespace uvm
