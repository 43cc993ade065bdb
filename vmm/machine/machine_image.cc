#include "vmm/machine/machine_image.h"

#include "vmm/machine/machine_state.h"
#include "vmm/machine/parts.h"

namespace vmm {

uvm::Result<MachineImage> take_image(Machine::Parts& parts) {
  UVMM_CHECK(parts.platform->stateful());
  const VcpuPause pause(*parts.vcpus);
  UVMM_TRY(const auto no_traps, parts.inferior->suspend_traps());
  MachineImage image;
  UVMM_TRY(image.state, save_state(parts));
  UVMM_TRY(image.memory, parts.memory->take_image());
  return image;
}

}  // namespace vmm
