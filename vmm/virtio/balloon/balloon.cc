#include "vmm/virtio/balloon/balloon.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

#include "uvm/access.h"
#include "vmm/devices/registers.h"
#include "vmm/log.h"

namespace vmm::virtio::balloon {
namespace {

constexpr unsigned kInflateQueue = 0;
constexpr unsigned kDeflateQueue = 1;
constexpr unsigned kStatisticsQueue = 2;
constexpr unsigned kReportingQueue = 4;

// Of 4 KiB, whatever the guest's pages are (virtio 1.2, 5.5.6).
constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kNumberBytes = 4;
/// Looked at together, so that pages that lie beside each other go together.
constexpr std::size_t kNumbersAtOnce = 4096;

// struct virtio_balloon_config
constexpr std::uint64_t kTarget = 0;
constexpr std::uint64_t kActual = 4;
constexpr std::size_t kConfigBytes = 8;

}  // namespace

Balloon::Balloon(uvm::Space& space, const Options& options, std::uint64_t memory)
    : space_(space),
      options_(options),
      memory_(memory),
      interval_(options.statistics_seconds),
      target_(static_cast<std::uint32_t>(options.bytes / kPage)) {}

// ---- the operator's side

uvm::Status Balloon::set_target(std::uint64_t bytes) {
  if (bytes > memory_) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "a balloon of " + std::to_string(bytes) + " bytes is more than the guest's " +
                          std::to_string(memory_) + " bytes of memory",
                      "ask for less");
  }
  {
    const uvm::MutexLock lock(mutex_);
    target_ = static_cast<std::uint32_t>(bytes / kPage);
  }
  if (config_changed_) config_changed_();
  return uvm::ok();
}

uvm::Status Balloon::set_interval(std::uint32_t seconds) {
  if (options_.statistics_seconds != 0 && seconds != 0) {
    interval_ = seconds;
    return uvm::ok();
  }
  return uvm::Error(uvm::ErrorKind::Invalid,
                    options_.statistics_seconds == 0 ? "the guest was not asked for statistics when it began"
                                                     : "statistics can't be turned off while the guest runs",
                    "say so before the machine is made");
}

Statistics Balloon::statistics() const {
  const uvm::MutexLock lock(mutex_);
  Statistics seen = counted_;
  seen.target = target_ * kPage;
  seen.actual = actual_ * kPage;
  return seen;
}

// ---- what the driver finds

std::uint64_t Balloon::features() const {
  std::uint64_t offered = 0;
  if (options_.statistics_seconds != 0) offered |= kFeatureStatistics;
  if (options_.out_of_memory == OutOfMemory::Deflate) offered |= kFeatureDeflateOnOom;
  if (options_.free_pages == FreePages::Reported) offered |= kFeatureReporting;
  return offered;
}

void Balloon::read_config(std::uint64_t offset, std::span<std::byte> data) const {
  std::array<std::byte, kConfigBytes> image{};
  {
    const uvm::MutexLock lock(mutex_);
    devices::store_le(std::span(image).subspan(kTarget, 4), target_);
    devices::store_le(std::span(image).subspan(kActual, 4), actual_);
  }
  devices::read_block(image, offset, data);
}

void Balloon::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  const uvm::MutexLock lock(mutex_);
  std::array<std::byte, 4> image{};
  devices::store_le(image, actual_);
  for (const std::byte byte : data) {
    if (offset >= kActual && offset < kConfigBytes) image.at(offset - kActual) = byte;
    ++offset;
  }
  actual_ = static_cast<std::uint32_t>(devices::load_le(image));
}

// ---- the thread

uvm::Status Balloon::attach(const Thread& thread) {
  config_changed_ = thread.config_changed;
  timer_.emplace(thread.io);
  return uvm::ok();
}

void Balloon::started(QueueSet& queues) {
  features_ = queues.features();
  reporting_queue_ = kReportingQueue;
  if (queues.find(kReportingQueue) == nullptr) {
    reporting_queue_ = (features_ & kFeatureStatistics) != 0 ? kStatisticsQueue + 1 : kStatisticsQueue;
  }
  if ((features_ & kFeatureStatistics) != 0) ask_later();
}

Balloon::Role Balloon::role_of(const SplitQueue& queue) const {
  if (queue.index() == kInflateQueue) return Role::Inflate;
  if (queue.index() == kDeflateQueue) return Role::Deflate;
  if ((features_ & kFeatureStatistics) != 0 && queue.index() == kStatisticsQueue) return Role::Statistics;
  if ((features_ & kFeatureReporting) != 0 && queue.index() == reporting_queue_) return Role::Reporting;
  return Role::None;
}

uvm::Status Balloon::serve(SplitQueue& queue) {
  const Role role = role_of(queue);
  if (role == Role::None) return uvm::ok();
  if (role == Role::Statistics) return take_statistics(queue);
  return queue.each(chain_, [&](const Chain& chain) -> uvm::Status {
    if (role == Role::Inflate) UVMM_CHECK(inflate(chain));
    if (role == Role::Reporting) report(chain);
    queue.push(chain.head, 0);
    queue.publish();
    return uvm::ok();
  });
}

uvm::Status Balloon::inflate(const Chain& chain) {
  for (const Segment& segment : chain.readable) {
    for (std::uint64_t done = 0; done < segment.bytes;) {
      const std::uint64_t count =
          std::min<std::uint64_t>(segment.bytes - done, kNumbersAtOnce * kNumberBytes);
      bytes_.resize(count);
      UVMM_CHECK(uvm::Access::read(space_, uvm::Gpa(segment.gpa + done), bytes_));
      give_back_pages(bytes_);
      done += count;
    }
  }
  return uvm::ok();
}

void Balloon::give_back_pages(std::span<const std::byte> numbers) {
  pages_.clear();
  for (; numbers.size() >= kNumberBytes; numbers = numbers.subspan(kNumberBytes)) {
    pages_.push_back(devices::load_le(numbers.first(kNumberBytes)));
  }
  std::ranges::sort(pages_);
  pages_.erase(std::unique(pages_.begin(), pages_.end()), pages_.end());
  for (std::size_t first = 0; first < pages_.size();) {
    std::size_t end = first + 1;
    while (end < pages_.size() && pages_[end] == pages_[first] + (end - first)) ++end;
    give_back(pages_[first] * kPage, (end - first) * kPage);
    first = end;
  }
}

void Balloon::report(const Chain& chain) {
  for (const Segment& segment : chain.writable) {
    const std::uint64_t begin = (segment.gpa + kPage - 1) & ~(kPage - 1);
    const std::uint64_t end = (segment.gpa + segment.bytes) & ~(kPage - 1);
    if (begin < end) give_back(begin, end - begin);
  }
}

void Balloon::give_back(std::uint64_t gpa, std::uint64_t bytes) {
  uvm::Discarded sum;
  const auto told = uvm::GpaRange::from_size(uvm::Gpa(gpa), bytes).value_or(uvm::GpaRange());
  const uvm::GpaRange range = told.intersection(space_.limits());
  if (!range.empty()) {
    if (auto discarded = space_.discard(range)) {
      sum = *discarded;
    } else {
      sum.kept = range.size();
      log::event(log::Level::Debug, "pages of the balloon stay", {{"error", discarded.error().text()}});
    }
  }
  const uvm::MutexLock lock(mutex_);
  counted_.given_back += sum.given_back;
  counted_.kept += bytes - sum.given_back;
}

// ---- statistics

uvm::Status Balloon::take_statistics(SplitQueue& queue) {
  return queue.each(chain_, [&](const Chain& chain) -> uvm::Status {
    UVMM_CHECK(read_statistics(chain));
    // There is one buffer; a driver that gives another gets the first back.
    give_buffer_back();
    held_in_ = &queue;
    held_ = chain.head;
    return uvm::ok();
  });
}

uvm::Status Balloon::read_statistics(const Chain& chain) {
  bytes_.clear();
  for (const Segment& segment : chain.readable) {
    const std::size_t room = kMostStatistics * kStatisticBytes - bytes_.size();
    const std::size_t count = std::min<std::size_t>(segment.bytes, room);
    bytes_.resize(bytes_.size() + count);
    UVMM_CHECK(uvm::Access::read(space_, uvm::Gpa(segment.gpa), std::span(bytes_).last(count)));
  }
  const uvm::MutexLock lock(mutex_);
  counted_.guest = parse_statistics(bytes_);
  return uvm::ok();
}

void Balloon::give_buffer_back() {
  SplitQueue* const queue = std::exchange(held_in_, nullptr);
  if (queue == nullptr) return;
  queue->push(held_, 0);
  queue->publish();
}

void Balloon::ask_later() {
  timer_->expires_after(std::chrono::seconds(interval_.load()));
  timer_->async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    give_buffer_back();
    ask_later();
  });
}

void Balloon::drain(std::function<void()> done) {
  timer_->cancel();
  if (SplitQueue* const queue = std::exchange(held_in_, nullptr)) queue->unpop();
  done();
}

void Balloon::forget() {
  const uvm::MutexLock lock(mutex_);
  actual_ = 0;
  counted_.guest = {};
}

void Balloon::state(devices::StateFields& fields) {
  const uvm::MutexLock lock(mutex_);
  fields.field(target_);
  fields.field(actual_);
  fields.require(target_ <= memory_ / kPage, "target");
}

}  // namespace vmm::virtio::balloon
