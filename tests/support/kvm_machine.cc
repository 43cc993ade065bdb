#include "tests/support/kvm_machine.h"

#include <gtest/gtest.h>

#include "vmm/kvm/system.h"

namespace test {

std::string kvm_unusable() {
  const auto system = vmm::kvm::System::open();
  return system ? std::string() : system.error().text();
}

vmm::MachineConfig builtin_config(const std::string& name, const std::string& arguments) {
  vmm::MachineConfig config;
  config.name = "test";
  config.boot.builtin = name;
  config.boot.builtin_arguments = arguments;
  config.memory = std::uint64_t{64} << 20;
  config.console = vmm::ConsoleMode::None;
  return config;
}

vmm::RunReport run_machine(const vmm::MachineConfig& config) {
  auto machine = vmm::Machine::create(config);
  if (!machine) {
    ADD_FAILURE() << "create: " << machine.error().text();
    return {-1, machine.error().text()};
  }
  auto report = (*machine)->run();
  if (!report) {
    ADD_FAILURE() << "run: " << report.error().text();
    return {-1, report.error().text()};
  }
  return *report;
}

}  // namespace test
