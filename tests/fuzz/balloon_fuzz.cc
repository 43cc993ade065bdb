// A balloon whose driver has written anything at all into rings, page numbers and statistics: nothing stays
// pinned, and no page is counted twice.
#include "tests/fuzz/device_fuzz.h"
#include "vmm/log.h"
#include "vmm/virtio/balloon/balloon.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm::virtio::balloon;
  static fuzz::DeviceMachine inflating;
  static fuzz::DeviceMachine telling(2);  // statistics and, as Linux counts, reports
  static const bool quiet = vmm::log::set_up({vmm::log::Level::Off, {}}).has_value();
  if (size == 0 || !quiet) return 0;
  fuzz::DeviceMachine& machine = (*data & 1) != 0 ? telling : inflating;
  Options options;
  options.free_pages = FreePages::Reported;
  options.statistics_seconds = 3600;
  auto balloon = std::make_unique<Balloon>(machine.space(), options, fuzz::DeviceMachine::kRamBytes);
  machine.run(std::move(balloon), kFeatureStatistics | kFeatureReporting,
              std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
