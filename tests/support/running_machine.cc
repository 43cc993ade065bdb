#include "tests/support/running_machine.h"

#include <cstdio>
#include <cstdlib>

#include "uvm/access.h"

namespace test {
namespace {

/// Of the memory where programs of ours lie and work: one word of each page.
std::uint64_t sample(uvm::Space& space) {
  std::uint64_t sum = 0;
  for (std::uint64_t gpa = 0; gpa < 0x40'0000; gpa += uvm::kPageSize) {
    if (const auto word = uvm::Access::read_value<std::uint64_t>(space, uvm::Gpa(gpa)))
      sum = sum * 31 + *word;
  }
  return sum;
}

std::unique_ptr<vmm::Machine> created(const vmm::MachineConfig& config) {
  auto machine = vmm::Machine::create(config);
  if (machine) return std::move(*machine);
  std::fprintf(stderr, "no machine: %s\n", machine.error().text().c_str());
  std::abort();
}

}  // namespace

RunningMachine::RunningMachine(const vmm::MachineConfig& config) : RunningMachine(created(config)) {}

RunningMachine::RunningMachine(std::unique_ptr<vmm::Machine> machine) : machine_(std::move(machine)) {
  thread_ = std::thread([this] {
    auto report = machine_->run();
    report_ = report ? *report : vmm::RunReport{-1, report.error().text()};
    ended_ = true;
  });
}

RunningMachine::~RunningMachine() {
  machine_->stop();
  if (thread_.joinable()) thread_.join();
}

bool RunningMachine::wait_for_work() {
  std::uint64_t before = 0;
  for (int changes = 0; changes < 3;) {
    const std::uint64_t now = sample(machine_->space());
    if (now != before) {
      before = now;
      ++changes;
    }
    if (ended_) return false;
    std::this_thread::yield();
  }
  return true;
}

vmm::RunReport RunningMachine::end() {
  if (thread_.joinable()) thread_.join();
  return report_;
}

}  // namespace test
