// Numbers of a machine for whoever watches it, in Prometheus' text format.
//
// Who counts something keeps its own counter and tells here how it is read; nothing is counted twice, and
// nothing costs anything before somebody asks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "uvm/base/lock.h"

namespace vmm {

/// Collects samples; those of one name come out together, under one heading.
class MetricWriter {
 public:
  /// `labels` as they stand between the braces: `case="1A"`, made by label().
  void counter(std::string_view name, std::string_view help, std::uint64_t value,
               std::string_view labels = {}) {
    add(name, help, "counter", std::to_string(value), labels);
  }
  void gauge(std::string_view name, std::string_view help, std::uint64_t value,
             std::string_view labels = {}) {
    add(name, help, "gauge", std::to_string(value), labels);
  }
  /// A counter for each kind of one thing; `labels` say which thing.
  void counters(std::string_view name, std::string_view help, std::string_view labels,
                std::initializer_list<std::pair<std::string_view, std::uint64_t>> kinds);
  /// A counter of seconds.
  void seconds(std::string_view name, std::string_view help, std::chrono::nanoseconds value,
               std::string_view labels = {});

  [[nodiscard]] std::string text() const;

  /// `name="value"`, the value escaped.
  [[nodiscard]] static std::string label(std::string_view name, std::string_view value);

 private:
  struct Family {
    std::string name;
    std::string heading;
    std::string samples;
  };
  void add(std::string_view name, std::string_view help, std::string_view type, const std::string& value,
           std::string_view labels);

  std::vector<Family> families_;
};

/// Those of one machine who have something to tell. Thread-safe.
class MetricSources {
 public:
  using Source = std::function<void(MetricWriter& writer)>;

  /// `source` lives as long as this, and is called on any thread, one at a time. It takes no lock below
  /// LockRank::Bus.
  void add(Source source) EXCLUDES(mutex_);
  [[nodiscard]] std::string text() const EXCLUDES(mutex_);

 private:
  mutable uvm::Mutex mutex_{uvm::LockRank::Machine};
  std::vector<Source> sources_ GUARDED_BY(mutex_);
};

/// How often something was done, and how long that took in all. Thread-safe.
class TimedCounter {
 public:
  void add(std::chrono::nanoseconds taken) {
    count_.fetch_add(1, std::memory_order_relaxed);
    spent_.fetch_add(static_cast<std::uint64_t>(taken.count()), std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::chrono::nanoseconds spent() const {
    return std::chrono::nanoseconds(spent_.load(std::memory_order_relaxed));
  }

 private:
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> spent_{0};  // ns
};

}  // namespace vmm
