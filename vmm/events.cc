#include "vmm/events.h"

#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

namespace vmm {
namespace {

/// UTC, microseconds.
std::string time_text(std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 40> day{};
  std::strftime(day.data(), day.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s.%06lldZ", day.data(), static_cast<long long>(micros));
  return text.data();
}

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string(boost::json::string_view(text.data(), text.size())));
}

}  // namespace

void Events::tell(std::string_view event, const std::string& members) {
  const uvm::MutexLock lock(mutex_);
  if (listeners_.empty()) return;
  std::string line = "{\"time\": \"" + time_text(std::chrono::system_clock::now()) +
                     "\", \"machine\": " + quoted(machine_) + ", \"event\": " + quoted(event);
  if (!members.empty()) line += ", " + members;
  line += "}";
  for (const Listener& listener : listeners_) listener(line);
}

Events::Subscription Events::subscribe(Listener listener) {
  const uvm::MutexLock lock(mutex_);
  listeners_.push_back(std::move(listener));
  return {*this, std::prev(listeners_.end())};
}

Events::Subscription::Subscription(Subscription&& other) noexcept
    : events_(std::exchange(other.events_, nullptr)), listener_(other.listener_) {}

Events::Subscription& Events::Subscription::operator=(Subscription&& other) noexcept {
  if (this == &other) return *this;
  end();
  events_ = std::exchange(other.events_, nullptr);
  listener_ = other.listener_;
  return *this;
}

void Events::Subscription::end() {
  if (events_ == nullptr) return;
  const uvm::MutexLock lock(events_->mutex_);
  events_->listeners_.erase(listener_);
  events_ = nullptr;
}

}  // namespace vmm
