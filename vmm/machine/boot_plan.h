// From a configuration to everything guest memory holds before the first instruction. Reads files, makes no
// VM.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "guest/e820.h"
#include "guest/load_plan.h"
#include "uvm/base/error.h"
#include "vmm/machine/boot_file.h"
#include "vmm/machine/config.h"
#include "vmm/machine/loader.h"

namespace vmm {

struct BootPlan {
  std::optional<BootFile> kernel;  // empty for a built-in guest
  std::optional<BootFile> initrd;
  std::vector<guest::Segment> tables;     // ACPI
  std::optional<uvm::Gpa> generation_id;  // where the tables say it is
  guest::LoadPlan load;

  [[nodiscard]] LoadSources sources() const {
    return {kernel ? &*kernel : nullptr, initrd ? &*initrd : nullptr};
  }
};

/// boot_args, and what names the root where a disk is one. The guest's first disk is that disk.
[[nodiscard]] std::string kernel_command_line(const MachineConfig& config);

/// Guest RAM of `config` around the MMIO hole; `address_bits` is the guest-physical width the host can give.
[[nodiscard]] uvm::Result<guest::MemoryLayout> plan_memory(const MachineConfig& config,
                                                           std::uint32_t address_bits);

/// `irqchip` is Split or Full. Errors name the file or the built-in guest.
[[nodiscard]] uvm::Result<BootPlan> plan_boot(const MachineConfig& config, const guest::MemoryLayout& memory,
                                              IrqChip irqchip);

}  // namespace vmm
