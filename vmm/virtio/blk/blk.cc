#include "vmm/virtio/blk/blk.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "uvm/access.h"
#include "vmm/devices/registers.h"
#include "vmm/log.h"
#include "vmm/virtio/guest_bytes.h"

namespace vmm::virtio::blk {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kQuiet{60};  // between two lines about the same failure
constexpr std::array<std::byte, 64 * 1024> kZeros{};

Geometry with_queues(Geometry geometry, std::uint16_t queues) {
  geometry.queues = queues;
  return geometry;
}

std::uint64_t bytes_of(const std::vector<Segment>& segments) {
  std::uint64_t bytes = 0;
  for (const Segment& segment : segments) bytes += segment.bytes;
  return bytes;
}

std::string_view name_of(RequestType type) {
  switch (type) {
    case RequestType::In:
      return "read";
    case RequestType::Out:
      return "write";
    case RequestType::Flush:
      return "flush";
    case RequestType::GetId:
      return "get-id";
    case RequestType::Discard:
      return "discard";
    case RequestType::WriteZeroes:
      return "write-zeroes";
  }
  return "request";
}

bool has_ranges(RequestType type) {
  return type == RequestType::Discard || type == RequestType::WriteZeroes;
}

bool is_unsupported(int error) {
  return error == EOPNOTSUPP || error == ENOSYS || error == ENOTTY;
}

}  // namespace

Blk::Blk(Parts parts)
    : space_(parts.space),
      image_(std::move(parts.image)),
      geometry_(with_queues(image_->geometry(), parts.queues)),
      limits_(limits_of(geometry_)),
      registers_(registers_of(geometry_)),
      choice_(parts.engine),
      data_(space_, std::move(parts.owner)) {}

void Blk::read_config(std::uint64_t offset, std::span<std::byte> data) const {
  const uvm::MutexLock lock(image_lock_);
  devices::read_block(registers_, offset, data);
}

std::shared_ptr<const DiskImage> Blk::image() const {
  const uvm::MutexLock lock(image_lock_);
  return image_;
}

void Blk::change_image(std::shared_ptr<const DiskImage> image) {
  Geometry geometry = geometry_;
  geometry.bytes = image->geometry().bytes;
  engine_->use(image->fd().get());
  limits_ = limits_of(geometry);
  log::event(log::Level::Info, "disk changed",
             {{"disk", image->options().id}, {"path", image->options().path}, {"bytes", geometry.bytes}});
  {
    const uvm::MutexLock lock(image_lock_);
    image_.swap(image);  // the old file is closed behind the lock
    registers_ = registers_of(geometry);
  }
  config_changed_();
}

uvm::Status Blk::attach(const Thread& thread) {
  const auto image = this->image();
  config_changed_ = thread.config_changed;
  const int fd = image->fd().get();
  std::string reason;
  if (choice_ == EngineChoice::Best) {
    if (auto ring = uring_engine(fd)) {
      engine_ = *std::move(ring);
    } else {
      reason = ring.error().text();
    }
  }
  if (engine_ == nullptr) engine_ = plain_engine(fd);
  log::event(log::Level::Info, "disk",
             {{"disk", image->options().id},
              {"path", image->options().path},
              {"bytes", geometry_.bytes},
              {"engine", engine_->name()},
              {"why", reason}});
  if (engine_->event_fd() < 0) return uvm::ok();
  const int event = ::dup(engine_->event_fd());
  if (event < 0) return uvm::Error::from_errno(errno, "duplicating an eventfd");
  finished_.emplace(thread.io, event);
  wait_for_engine();
  return uvm::ok();
}

void Blk::wait_for_engine() {
  finished_->async_wait(asio::posix::stream_descriptor::wait_read,
                        [this](const boost::system::error_code& error) {
                          if (error) return;
                          std::uint64_t count = 0;
                          static_cast<void>(::read(finished_->native_handle(), &count, sizeof count));
                          answer_finished();
                          wait_for_engine();
                        });
}

void Blk::started(QueueSet& queues) {
  queues_ = &queues;
  flushes_itself_ = geometry_.flush == Flush::Honoured && (queues.features() & kFeatureFlush) == 0;
}

// ---- taking requests

uvm::Status Blk::serve(SplitQueue& queue) {
  bool more = true;
  while (more) {
    queue.hush();
    uvm::Result<bool> taken = true;
    while (batch_.size() < kBatch && taken && *taken) taken = take(queue);
    more = taken && *taken;
    send();
    if (!taken) return std::move(taken).error();
    if (!more) more = queue.listen();
  }
  return uvm::ok();
}

uvm::Result<bool> Blk::take(SplitQueue& queue) {
  UVMM_TRY(const bool is_there, queue.pop(chain_));
  if (!is_there) return false;
  if (idle_.empty()) {
    tasks_.push_back(std::make_unique<Task>());
    idle_.push_back(tasks_.back().get());
  }
  Task& task = *idle_.back();
  idle_.pop_back();
  task.queue = &queue;
  task.head = chain_.head;
  task.writable = chain_.writable_bytes();
  ++under_way_;
  if (task.frame.read(chain_)) {
    understand(task);
  } else {
    task.writable = 0;
    answer(task, RequestStatus::IoError);
  }
  return true;
}

void Blk::understand(Task& task) {
  task.error = 0;
  task.parts.clear();
  std::array<std::byte, kHeaderBytes> header{};
  const std::uint64_t there = bytes_of(task.frame.header);
  const bool is_read = read_segments(space_, task.frame.header, header).has_value();
  const auto parsed = parse_request(std::span(header).first(is_read ? there : 0),
                                    bytes_of(task.frame.data_out), bytes_of(task.frame.data_in), limits_);
  if (const auto* const refusal = std::get_if<RequestStatus>(&parsed)) {
    task.request = {};
    return answer(task, *refusal);
  }
  task.request = std::get<Request>(parsed);
  task.offset = task.request.offset;
  switch (task.request.type) {
    case RequestType::In:
      task.kind = JobKind::Read;
      break;
    case RequestType::Out:
      task.kind = flushes_itself_ ? JobKind::DurableWrite : JobKind::Write;
      break;
    case RequestType::Flush:
      task.kind = JobKind::Flush;
      if (geometry_.flush == Flush::Ignored || geometry_.access == DiskAccess::ReadOnly) {
        return answer(task, RequestStatus::Ok);
      }
      break;
    case RequestType::GetId: {
      std::array<std::byte, kIdBytes> id{};
      const Options options = image()->options();
      const std::string& text = options.serial.empty() ? options.id : options.serial;
      std::memcpy(id.data(), text.data(), std::min(text.size(), id.size()));
      const bool written = write_segments(space_, task.frame.data_in, id).has_value();
      return answer(task, written ? RequestStatus::Ok : RequestStatus::IoError);
    }
    case RequestType::Discard:
    case RequestType::WriteZeroes:
      return understand_ranges(task);
  }
  batch_.push_back(&task);
}

void Blk::understand_ranges(Task& task) {
  std::array<std::byte, kMostRanges * kRangeBytes> bytes{};
  const auto data = std::span(bytes).first(task.request.bytes);
  if (!read_segments(space_, task.frame.data_out, data)) return answer(task, RequestStatus::IoError);
  auto parsed = parse_ranges(task.request.type, data, limits_);
  if (const auto* const refusal = std::get_if<RequestStatus>(&parsed)) return answer(task, *refusal);
  task.ranges = std::get<std::vector<Range>>(std::move(parsed));
  task.range = 0;
  if (task.ranges.empty()) return answer(task, RequestStatus::Ok);
  batch_.push_back(&task);
}

void Blk::send() {
  data_.lend(batch_);
  for (Task* const task : batch_) {
    if (task->error != 0) {
      finish(*task);
    } else {
      start(*task);
    }
  }
  batch_.clear();
  answer_finished();
}

/// From its beginning, or, of ranges, the one whose turn it is.
void Blk::start(Task& task) {
  task.done = 0;
  task.part = 0;
  task.attempts = 0;
  task.bytes = task.request.bytes;
  if (has_ranges(task.request.type) && task.kind != JobKind::Flush) {
    const Range& range = task.ranges[task.range];
    task.offset = range.offset;
    task.bytes = range.bytes;
    task.kind = range.unmap == Unmap::Yes ? JobKind::Punch : JobKind::Zero;
    if (task.request.type == RequestType::Discard && image()->is_block_device()) task.kind = JobKind::Forget;
  }
  engine_->start(task);
}

// ---- answering them

void Blk::answer_finished() {
  engine_->submit();
  while (Job* const job = engine_->reap()) {
    auto& task = static_cast<Task&>(*job);
    if (!goes_on(task)) finish(task);
  }
  for (SplitQueue* const queue : answered_) queue->publish();
  answered_.clear();
  if (drained_ && under_way_ == 0) std::exchange(drained_, {})();
}

/// Whether there is something left to do of it, which is started then.
bool Blk::goes_on(Task& task) {
  if (task.error != 0) return other_way(task);
  if (!has_ranges(task.request.type) || task.kind == JobKind::Flush) return false;
  if (++task.range == task.ranges.size()) {
    if (!flushes_itself_) return false;
    task.kind = JobKind::Flush;
  }
  start(task);
  return true;
}

/// Tries what has failed another way, if there is one.
bool Blk::other_way(Task& task) {
  const bool moves = task.kind == JobKind::Read || task.kind == JobKind::Write;
  if (task.error == EFAULT && moves && task.pin != nullptr) {
    if (!data_.lend_copy(task)) return false;
    start(task);
    return true;
  }
  if (task.request.type != RequestType::WriteZeroes || !is_unsupported(task.error)) return false;
  if (task.kind == JobKind::Punch) {
    task.kind = JobKind::Zero;
  } else if (task.kind == JobKind::Zero) {
    task.kind = JobKind::Write;
    task.parts.clear();
    for (std::uint64_t left = task.bytes; left != 0;) {
      const std::uint64_t part = std::min<std::uint64_t>(left, kZeros.size());
      task.parts.push_back({const_cast<std::byte*>(kZeros.data()), part});  // is only read
      left -= part;
    }
  } else {
    return false;
  }
  task.done = 0;
  task.part = 0;
  engine_->start(task);
  return true;
}

void Blk::finish(Task& task) {
  if (!data_.take_back(task) && task.error == 0) task.error = EFAULT;
  if (task.error != 0) tell(task);
  const bool is_optional = has_ranges(task.request.type) && is_unsupported(task.error);
  answer(task, task.error == 0 ? RequestStatus::Ok
                               : (is_optional ? RequestStatus::Unsupported : RequestStatus::IoError));
}

void Blk::answer(Task& task, RequestStatus status) {
  count(task, status);
  // A driver that has no room for it, or has taken it away, gets the chain back without.
  if (task.writable != 0) {
    static_cast<void>(uvm::Access::write_value(space_, uvm::Gpa(task.frame.status_gpa), status));
  }
  task.queue->push(task.head, static_cast<std::uint32_t>(task.writable));
  if (std::ranges::find(answered_, task.queue) == answered_.end()) answered_.push_back(task.queue);
  --under_way_;
  idle_.push_back(&task);
}

void Blk::count(const Task& task, RequestStatus status) {
  const auto add = [](std::atomic<std::uint64_t>& counter, std::uint64_t count) {
    counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  };
  if (status != RequestStatus::Ok) return add(counters_->errors, 1);
  switch (task.request.type) {
    case RequestType::In:
      add(counters_->reads, 1);
      return add(counters_->read_bytes, task.request.bytes);
    case RequestType::Out:
      add(counters_->writes, 1);
      return add(counters_->written_bytes, task.request.bytes);
    case RequestType::Flush:
      return add(counters_->flushes, 1);
    case RequestType::GetId:
      return;
    case RequestType::Discard:
    case RequestType::WriteZeroes:
      return add(counters_->discards, 1);
  }
}

void Blk::tell(const Task& task) {
  const auto image = this->image();
  const Time now = std::chrono::steady_clock::now();
  if (task.error == told_error_ && now - told_at_ < kQuiet) return;
  told_error_ = task.error;
  told_at_ = now;
  const bool is_cut = task.error == ENODATA;
  log::event(log::Level::Warning, "a disk's image fails, and the guest is told",
             {{"disk", image->options().id},
              {"path", image->options().path},
              {"request", name_of(task.request.type)},
              {"offset", task.offset},
              {"bytes", task.bytes},
              {"error", is_cut ? "the file ends before that" : std::strerror(task.error)}});
}

// ---- copies of the machine

void Blk::drain(std::function<void()> done) {
  // What was asked for before the guest stood still is done by then: a snapshot that is taken now finds the
  // image as it stays until the guest goes on. Of a broken ring the driver has been told.
  for (unsigned i = 0; i < geometry_.queues; ++i) {
    if (SplitQueue* const queue = queues_->find(i)) static_cast<void>(serve(*queue));
  }
  if (under_way_ == 0) return done();
  drained_ = std::move(done);
}

void Blk::state(devices::StateFields& fields) {
  FileStamp stamp;
  if (const auto now = image()->stamp(); now && !fields.restoring()) stamp = *now;
  fields.field(stamp.bytes);
  fields.field(stamp.modified_ns);
  if (fields.restoring()) check_stamp(stamp);
}

/// Whoever goes on from a state has in memory what was on the disk.
void Blk::check_stamp(const FileStamp& saved) {
  const auto image = this->image();
  const auto now = image->stamp();
  if (!image->has_name() || !now || *now == saved) return;
  log::event(
      log::Level::Warning,
      "a disk's image has changed since the machine was saved: what the guest remembers of it is wrong",
      {{"disk", image->options().id},
       {"path", image->options().path},
       {"bytes_then", saved.bytes},
       {"bytes_now", now->bytes}});
}

}  // namespace vmm::virtio::blk
