// A console whose driver has written anything at all into rings: it writes what it can, waits for
// the rest, and nothing stays pinned.
#include "tests/fuzz/device_fuzz.h"
#include "vmm/log.h"
#include "vmm/virtio/console/console.h"

namespace {

/// Takes less and less of what it is given, and then nothing.
class Sink final : public vmm::devices::ByteSink {
 public:
  std::size_t offer(std::span<const std::byte> bytes) override {
    const std::size_t taken = std::min(bytes.size(), room_);
    room_ -= taken;
    return taken;
  }

 private:
  std::size_t room_ = 100'000;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using vmm::virtio::console::Console;
  static fuzz::DeviceMachine machine;
  static const bool quiet = vmm::log::set_up({vmm::log::Level::Off, {}}).has_value();
  if (size == 0 || !quiet) return 0;
  Sink sink;
  machine.run(std::make_unique<Console>(machine.space(), sink), vmm::virtio::console::kFeatureSize,
              std::as_bytes(std::span(data, size)));
  return 0;
}
