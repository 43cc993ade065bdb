// The registers of a device without PCI, written and read by anybody: a device is started with queues that
// lie in RAM, and the line is up when there is a cause.
#include <cstring>

#include "tests/fuzz/device_fuzz.h"
#include "vmm/devices/registers.h"
#include "vmm/virtio/mmio_transport.h"

namespace {

using vmm::virtio::Activation;

constexpr std::uint64_t kRam = 1 << 20;

bool is_ram(std::uint64_t gpa, std::uint64_t bytes) {
  return gpa < kRam && bytes <= kRam - gpa;
}

class Line final : public vmm::devices::IrqLine {
 public:
  void set_level(vmm::devices::Level level) override { is_up = level == vmm::devices::Level::High; }
  bool is_up = false;
};

/// Started once at most.
class Strict final : public vmm::virtio::Device {
 public:
  explicit Strict(Strict** self) { *self = this; }
  [[nodiscard]] vmm::virtio::DeviceType type() const override { return vmm::virtio::DeviceType::Entropy; }
  [[nodiscard]] std::uint64_t features() const override { return vmm::virtio::kFeatureVersion1; }
  [[nodiscard]] unsigned queues() const override { return 3; }
  [[nodiscard]] std::uint16_t queue_limit() const override { return 256; }
  void read_config(std::uint64_t /*offset*/, std::span<std::byte> data) const override {
    std::ranges::fill(data, std::byte{1});
  }
  [[nodiscard]] uvm::Status attach(vmm::virtio::DeviceHost& /*host*/) override { return uvm::ok(); }
  void start(const Activation& activation) override {
    fuzz::require(!runs);
    runs = true;
    for (const vmm::virtio::Queue& queue : activation.queues) {
      fuzz::require(queue.size != 0 && queue.size <= queue_limit());
      fuzz::require(is_ram(queue.descriptors, 16 * std::uint64_t{queue.size}));
      fuzz::require(is_ram(queue.device_area, 6 + 8 * std::uint64_t{queue.size}));
    }
  }
  void stop() override { fuzz::require(runs); }
  void finish() override {}
  bool runs = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  boost::asio::io_context io;
  Line line;
  Strict* device = nullptr;
  const auto transport =
      vmm::virtio::MmioTransport::create("fuzz", {line, io, is_ram}, std::make_unique<Strict>(&device));
  fuzz::require(transport.has_value());
  constexpr std::size_t kStep = 8;  // what, width, offset, value
  for (; size >= kStep; data += kStep, size -= kStep) {
    const std::size_t width = std::size_t{1} << data[1] % 4;
    const std::uint64_t offset = data[2] | std::uint64_t{data[3]} % 16 << 8;
    if (offset + width > vmm::virtio::MmioTransport::kBytes) continue;
    std::array<std::byte, 8> bytes{};
    if (data[0] % 2 == 0) {
      (*transport)->read(offset, std::span(bytes).first(width));
      continue;
    }
    // A reset waits for its device, which has no thread here.
    if (device->runs) break;
    std::memcpy(bytes.data(), data + 4, 4);
    (*transport)->write(offset, std::span(bytes).first(width));
    (*transport)->read(0x60, std::span(bytes).first(4));
    fuzz::require(line.is_up == (vmm::devices::load_le(std::span(bytes).first(4)) != 0));
  }
  return 0;
}
