#include "vmm/virtio/blk/guest_data.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include "uvm/access.h"
#include "vmm/virtio/guest_bytes.h"

namespace vmm::virtio::blk {
namespace {

constexpr std::size_t kKeptRoom = 64 * 1024;  // of a copy, for the next request

uvm::GpaRange range_of(const Segment& segment) {
  return uvm::GpaRange::from_size(uvm::Gpa(segment.gpa), segment.bytes).value_or(uvm::GpaRange());
}

/// Gives the task memory of its own. Errors: NoMemory.
uvm::Status make_room(Task& task) {
  if (task.copy_room >= task.request.bytes) return uvm::ok();
  task.copy_room = 0;
  task.copy.reset(new (std::nothrow) std::byte[task.request.bytes]);
  if (task.copy == nullptr) return uvm::Error(uvm::ErrorKind::NoMemory, "a copy of a request's data");
  task.copy_room = task.request.bytes;
  return uvm::ok();
}

}  // namespace

void GuestData::lend(std::span<Task* const> tasks) {
  for (const bool reads : {true, false}) {
    pinned_.clear();
    for (Task* const task : tasks) {
      const RequestType type = task->request.type;
      if (type != (reads ? RequestType::In : RequestType::Out) || task->request.bytes == 0) continue;
      if (task->request.bytes <= kCopied) {
        copy_or_fail(*task);
      } else {
        pinned_.push_back(task);
      }
    }
    // What the file's bytes are read into is written.
    if (!pinned_.empty()) lend_pinned(pinned_, reads ? uvm::PinAccess::Write : uvm::PinAccess::Read);
  }
}

void GuestData::lend_pinned(std::span<Task* const> tasks, uvm::PinAccess access) {
  pages_.clear();
  for (const Task* const task : tasks) {
    for (const Segment& segment : task->data()) {
      pages_.push_back(range_of(segment).page_cover().value_or(uvm::GpaRange()));
    }
  }
  uvm::PinRequest request;
  request.owner = owner_;
  request.access = access;
  auto pinned = uvm::Pin::create(space_, pages_, request);
  const auto pin = pinned ? std::make_shared<const uvm::Pin>(*std::move(pinned)) : nullptr;
  for (Task* const task : tasks) {
    task->pin = pin;
    for (const Segment& segment : task->data()) {
      const std::span<std::byte> bytes = pin ? pin->bytes(range_of(segment)) : std::span<std::byte>();
      if (bytes.empty()) {
        copy_or_fail(*task);
        break;
      }
      task->parts.push_back({bytes.data(), bytes.size()});
    }
  }
}

void GuestData::copy_or_fail(Task& task) {
  if (!lend_copy(task)) task.error = EFAULT;
}

uvm::Status GuestData::lend_copy(Task& task) {
  task.pin = nullptr;
  task.parts.clear();
  UVMM_CHECK(make_room(task));
  const std::span<std::byte> bytes(task.copy.get(), task.request.bytes);
  if (!task.is_read()) UVMM_CHECK(read_segments(space_, task.frame.data_out, bytes));
  task.parts.push_back({bytes.data(), bytes.size()});
  return uvm::ok();
}

uvm::Status GuestData::take_back(Task& task) {
  const bool is_copy = task.pin == nullptr;
  task.pin = nullptr;
  uvm::Status status = uvm::ok();
  if (is_copy && task.is_read() && task.error == 0 && task.request.bytes != 0) {
    status = write_segments(space_, task.frame.data_in, std::span(task.copy.get(), task.request.bytes));
  }
  if (task.copy_room > kKeptRoom) {
    task.copy.reset();
    task.copy_room = 0;
  }
  return status;
}

}  // namespace vmm::virtio::blk
