// A machine that runs beside a test.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "vmm/machine/config.h"
#include "vmm/machine/machine.h"

namespace test {

/// Created and started at once; a machine that cannot be made is a failure and the end of the program. Ended,
/// if it has not by itself, by the destructor.
class RunningMachine {
 public:
  explicit RunningMachine(const vmm::MachineConfig& config);
  /// One that is made already, and perhaps restored.
  explicit RunningMachine(std::unique_ptr<vmm::Machine> machine);
  ~RunningMachine();
  RunningMachine(const RunningMachine&) = delete;
  RunningMachine& operator=(const RunningMachine&) = delete;

  [[nodiscard]] vmm::Machine& operator*() { return *machine_; }
  [[nodiscard]] vmm::Machine* operator->() { return machine_.get(); }

  /// Until the guest's memory has been seen to change three times. False: it has ended before.
  [[nodiscard]] bool wait_for_work();
  /// Waits for the guest's own end.
  [[nodiscard]] vmm::RunReport end();

 private:
  std::unique_ptr<vmm::Machine> machine_;
  vmm::RunReport report_{-1, "it has not ended"};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace test
