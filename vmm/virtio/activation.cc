#include "vmm/virtio/activation.h"

namespace vmm::virtio {

std::optional<Activation> activation_of(
    const CommonConfig& registers, const std::function<bool(std::uint64_t gpa, std::uint64_t bytes)>& is_ram,
    std::span<const Fd> kicks, const std::function<const Fd*(std::uint16_t vector)>& call) {
  const auto in_place = [&](const CommonConfig::QueueRegisters& queue) {
    const std::uint64_t size = queue.size;
    return queue.descriptors % 16 == 0 && queue.driver_area % 2 == 0 && queue.device_area % 4 == 0 &&
           is_ram(queue.descriptors, 16 * size) && is_ram(queue.driver_area, 6 + 2 * size) &&
           is_ram(queue.device_area, 6 + 8 * size);
  };
  Activation activation;
  activation.features = registers.features();
  const auto queues = registers.queues();
  for (unsigned index = 0; index < queues.size(); ++index) {
    const CommonConfig::QueueRegisters& queue = queues[index];
    if (!queue.enabled) continue;
    if (!in_place(queue)) return std::nullopt;
    activation.queues.push_back({index, queue.size, queue.descriptors, queue.driver_area, queue.device_area,
                                 &kicks[index], call(queue.vector)});
  }
  return activation;
}

}  // namespace vmm::virtio
