#include "vmm/machine/machine_image.h"

#include <utility>

#include "vmm/machine/devices_at_rest.h"
#include "vmm/machine/machine_state.h"
#include "vmm/machine/parts.h"

namespace vmm {
namespace {

uvm::Status take_paused(Machine::Parts& parts, GuestMemory::ImageRoom& room, MachineImage& image,
                        const std::function<uvm::Status()>& at_the_moment) {
  const auto begin = std::chrono::steady_clock::now();
  const VcpuPause pause(*parts.vcpus);
  const DevicesAtRest devices(parts);
  UVMM_TRY(const auto no_traps, parts.inferior->suspend_traps());
  UVMM_TRY(image.state, save_state(parts));
  UVMM_TRY(image.memory, parts.memory->take_image(room));
  if (at_the_moment) UVMM_CHECK(at_the_moment());
  image.paused = std::chrono::steady_clock::now() - begin;
  return uvm::ok();
}

}  // namespace

uvm::Result<MachineImage> take_image(Machine::Parts& parts,
                                     const std::function<uvm::Status()>& at_the_moment) {
  UVMM_CHECK(parts.platform->stateful());
  UVMM_CHECK(DevicesAtRest::check(parts));
  // All that may wait is done before or after the pause.
  if (parts.memory_check) UVMM_CHECK(parts.memory_check->wait());
  UVMM_TRY(auto room, parts.memory->prepare_image());
  MachineImage image;
  UVMM_CHECK(take_paused(parts, room, image, at_the_moment));
  UVMM_TRY(image.memory.changed, std::move(room.pages).finish());
  parts.memory->remember(image.memory);
  parts.timings.images.add(image.paused);
  return image;
}

}  // namespace vmm
