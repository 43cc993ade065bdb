#include "tests/support/debug_session.h"

#include <gtest/gtest.h>

#include <chrono>

namespace test {

using vmm::gdb::AddressSpace;
using vmm::gdb::Breakpoint;
using vmm::gdb::BreakpointKind;
using vmm::gdb::RegisterFile;
using vmm::gdb::RegisterGroups;
using vmm::gdb::StopEvent;
using vmm::gdb::ThreadAction;

void StopQueue::stopped(const StopEvent& event) {
  const std::lock_guard lock(mutex_);
  events_.push_back(event);
  changed_.notify_all();
}

std::optional<StopEvent> StopQueue::next() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, std::chrono::minutes(1), [this] { return !events_.empty(); })) return {};
  StopEvent event = events_.front();
  events_.pop_front();
  return event;
}

std::size_t StopQueue::waiting() {
  const std::lock_guard lock(mutex_);
  return events_.size();
}

DebugSession::DebugSession(const vmm::MachineConfig& config) {
  auto machine = vmm::Machine::create(config);
  if (!machine) {
    failure_ = machine.error().text();
    return;
  }
  machine_ = std::move(*machine);
  machine_->start_stopped();
  thread_ = std::thread([this] {
    const auto report = machine_->run();
    status_ = report ? report->status : -1;
  });
  if (const auto attached = target().attach(stops_); !attached) failure_ = attached.error().text();
}

DebugSession::~DebugSession() {
  if (thread_.joinable()) static_cast<void>(end());
}

std::optional<StopEvent> DebugSession::go() {
  std::vector<ThreadAction> actions;
  for (const auto& thread : target().threads())
    actions.push_back({thread.id, ThreadAction::Kind::Continue, 0, 0});
  return resume(actions);
}

std::optional<StopEvent> DebugSession::step(std::uint32_t tid) {
  return resume({{{1, tid}, ThreadAction::Kind::Step, 0, 0}});
}

std::optional<StopEvent> DebugSession::resume(const std::vector<ThreadAction>& actions) {
  const auto status = target().resume(actions);
  EXPECT_TRUE(status) << status.error().text();
  return status ? stops_.next() : std::nullopt;
}

std::uint64_t DebugSession::word(std::uint64_t address) {
  std::uint64_t value = 0;
  const auto read = target().read_memory({}, address, std::as_writable_bytes(std::span(&value, 1)));
  EXPECT_TRUE(read) << read.error().text();
  return value;
}

void DebugSession::set_word(std::uint64_t address, std::uint64_t value) {
  const auto written = target().write_memory({}, address, std::as_bytes(std::span(&value, 1)));
  EXPECT_TRUE(written) << written.error().text();
}

std::uint64_t DebugSession::rip(std::uint32_t tid) {
  RegisterFile file;
  const auto read = target().read_registers({1, tid}, RegisterGroups::General, file);
  EXPECT_TRUE(read) << read.error().text();
  return file.rip;
}

uvm::Status DebugSession::insert(std::uint64_t address) {
  return target().insert_breakpoint({}, Breakpoint{BreakpointKind::Software, address, 1});
}

uvm::Status DebugSession::remove(std::uint64_t address) {
  return target().remove_breakpoint({}, Breakpoint{BreakpointKind::Software, address, 1});
}

int DebugSession::end() {
  if (thread_.joinable()) {
    if (failure_.empty()) target().detach(vmm::gdb::AfterDetach::StayStopped);
    machine_->stop();
    thread_.join();
  }
  return status_;
}

}  // namespace test
