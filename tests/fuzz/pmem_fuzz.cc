// An image's device whose driver has written anything at all into rings and requests.
#include "tests/fuzz/device_fuzz.h"
#include "vmm/log.h"
#include "vmm/virtio/pmem/pmem.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using vmm::virtio::pmem::Pmem;
  static fuzz::DeviceMachine machine;
  static const bool quiet = vmm::log::set_up({vmm::log::Level::Off, {}}).has_value();
  if (size == 0 || !quiet) return 0;
  const bool was_written = (*data & 1) != 0;
  const auto range = uvm::GpaRange::from_size(uvm::Gpa(std::uint64_t{1} << 32), std::uint64_t{2} << 20);
  machine.run(std::make_unique<Pmem>(machine.space(), *range, [was_written] { return was_written; }), 0,
              std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
