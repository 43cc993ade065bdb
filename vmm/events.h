// What happens to a machine as a whole, told to whoever listens.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "uvm/base/lock.h"

namespace vmm {

/// One machine's. An event is one line of JSON, without its newline:
///   {"time": "2026-11-26T06:30:01.123456Z", "machine": "uvmm", "event": "forked", "copies": 2}
/// Thread-safe.
class Events {
 public:
  using Listener = std::function<void(const std::string& line)>;
  class Subscription;

  explicit Events(std::string machine) : machine_(std::move(machine)) {}
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  /// `members` are of a JSON object: `"copies": 2`. Costs next to nothing while nobody listens.
  void tell(std::string_view event, const std::string& members = {}) EXCLUDES(mutex_);

  /// `listener` is called on the thread that brings the event, with a lock held: it hands the line on and
  /// neither waits nor tells of events. Not any more once the subscription is gone, which must be before
  /// this.
  [[nodiscard]] Subscription subscribe(Listener listener) EXCLUDES(mutex_);

 private:
  using Listeners = std::list<Listener>;

  const std::string machine_;
  uvm::Mutex mutex_{uvm::LockRank::Leaf};
  Listeners listeners_ GUARDED_BY(mutex_);
};

/// Ends with its life.
class Events::Subscription {
 public:
  Subscription() = default;
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription() { end(); }

 private:
  friend class Events;
  Subscription(Events& events, Listeners::iterator listener) : events_(&events), listener_(listener) {}
  void end();

  Events* events_ = nullptr;
  Listeners::iterator listener_;
};

}  // namespace vmm
