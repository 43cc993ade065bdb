// A machine that runs on a thread of its own, and a debugger's end of it without a protocol in between.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "vmm/gdb/target.h"
#include "vmm/machine/machine.h"

namespace test {

/// Collects stops; waits for the next, long enough for a slow machine.
class StopQueue : public vmm::gdb::StopListener {
 public:
  void stopped(const vmm::gdb::StopEvent& event) override;
  /// Nothing when none comes within a minute.
  [[nodiscard]] std::optional<vmm::gdb::StopEvent> next();
  [[nodiscard]] std::size_t waiting();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<vmm::gdb::StopEvent> events_;
};

/// Owns machine and thread. The guest waits for its debugger at its first instruction.
class DebugSession {
 public:
  explicit DebugSession(const vmm::MachineConfig& config);
  ~DebugSession();
  DebugSession(const DebugSession&) = delete;
  DebugSession& operator=(const DebugSession&) = delete;

  /// Why there is no machine; empty when there is.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] vmm::Machine& machine() { return *machine_; }
  [[nodiscard]] vmm::gdb::Target& target() { return machine_->debug_target(); }
  [[nodiscard]] StopQueue& stops() { return stops_; }

  /// Lets all vCPUs go, one of them as `action` says (tid counts from 1); what they stop with.
  [[nodiscard]] std::optional<vmm::gdb::StopEvent> go();
  [[nodiscard]] std::optional<vmm::gdb::StopEvent> step(std::uint32_t tid);
  [[nodiscard]] std::optional<vmm::gdb::StopEvent> resume(const std::vector<vmm::gdb::ThreadAction>& actions);

  /// 64-bit words of guest memory, by linear address.
  [[nodiscard]] std::uint64_t word(std::uint64_t address);
  void set_word(std::uint64_t address, std::uint64_t value);
  [[nodiscard]] std::uint64_t rip(std::uint32_t tid);
  [[nodiscard]] uvm::Status insert(std::uint64_t address);
  [[nodiscard]] uvm::Status remove(std::uint64_t address);
  /// How the machine ended, after it has; ends it if need be.
  [[nodiscard]] int end();

 private:
  std::string failure_;
  std::unique_ptr<vmm::Machine> machine_;
  StopQueue stops_;
  std::thread thread_;
  int status_ = -1;
};

}  // namespace test
