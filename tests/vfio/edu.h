// QEMU's edu device through VFIO, driven from this process: a DMA engine with a buffer of 4 KiB of its own.
// Registers: QEMU's docs/specs/edu.
#pragma once

#include <gtest/gtest.h>
#include <linux/vfio.h>
#include <poll.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "uvm/base/units.h"
#include "vmm/vfio/container.h"

namespace test {

/// The first device of these ids that is bound to vfio-pci; nullopt: there is none.
inline std::optional<vmm::vfio::DeviceOptions> bound_device(const std::string& vendor,
                                                            const std::string& device) {
  const auto line = [](const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string text;
    std::getline(file, text);
    return text;
  };
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/bus/pci/drivers/vfio-pci", error)) {
    if (line(entry.path() / "vendor") != vendor || line(entry.path() / "device") != device) continue;
    return *vmm::vfio::parse_device("pci:" + entry.path().filename().string());
  }
  return std::nullopt;
}

inline std::optional<vmm::vfio::DeviceOptions> bound_edu() {
  return bound_device("0x1234", "0x11e8");
}

/// An I/O space for it, by the interface that a machine would choose.
inline uvm::Result<std::unique_ptr<vmm::vfio::Container>> open_container() {
  UVMM_TRY(const auto found, vmm::vfio::find_host_device(*bound_edu()));
  return vmm::vfio::Container::open(std::span(&found, 1));
}

/// Owns the open device; `container` must outlive it.
class Edu {
 public:
  /// The most that one transfer moves. The buffer has 4096 bytes, but QEMU 7.2 ends itself ("out of bounds")
  /// when a transfer fills it to its last byte.
  static constexpr std::uint64_t kMost = 4088;

  static uvm::Result<Edu> open(vmm::vfio::Container& container) {
    UVMM_TRY(const auto found, vmm::vfio::find_host_device(*bound_edu()));
    UVMM_TRY(auto device, container.open_device(found));
    UVMM_TRY(auto registers, device.region(VFIO_PCI_BAR0_REGION_INDEX));
    UVMM_TRY(const auto config, device.region(VFIO_PCI_CONFIG_REGION_INDEX));
    const std::uint16_t memory_and_master = 0x6;
    UVMM_CHECK(device.write(config, 4, std::as_bytes(std::span(&memory_and_master, 1))));
    return Edu(std::move(device), std::move(registers));
  }

  [[nodiscard]] vmm::vfio::Device& device() { return device_; }
  [[nodiscard]] const vmm::vfio::Region& registers() const { return registers_; }

  [[nodiscard]] std::uint32_t get(std::uint64_t reg) const {
    std::uint32_t value = 0;
    EXPECT_TRUE(device_.read(registers_, reg, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  template <class T>
  void set(std::uint64_t reg, T value) const {
    EXPECT_TRUE(device_.write(registers_, reg, std::as_bytes(std::span(&value, 1))));
  }

  /// DMA from memory into the device's buffer, and the other way round; at most kMost.
  void load(std::uint64_t from, std::uint64_t bytes) const { transfer(from, kBuffer, bytes, kStart); }
  void store(std::uint64_t to, std::uint64_t bytes) const {
    transfer(kBuffer, to, bytes, kStart | kToMemory);
  }

 private:
  static constexpr std::uint64_t kBuffer = 0x4'0000;
  static constexpr std::uint64_t kStart = 1;
  static constexpr std::uint64_t kToMemory = 2;

  Edu(vmm::vfio::Device device, vmm::vfio::Region registers)
      : device_(std::move(device)), registers_(std::move(registers)) {}

  void transfer(std::uint64_t source, std::uint64_t destination, std::uint64_t bytes,
                std::uint64_t command) const {
    set<std::uint64_t>(0x80, source);
    set<std::uint64_t>(0x88, destination);
    set<std::uint64_t>(0x90, bytes);
    set<std::uint64_t>(0x98, command);
    // The engine waits for 100 ms of its own before it starts.
    while ((get(0x98) & kStart) != 0) ::poll(nullptr, 0, 5);
  }

  vmm::vfio::Device device_;
  vmm::vfio::Region registers_;
};

}  // namespace test

/// Only where the rig has put a device, or somebody else has.
#define UVMM_REQUIRE_EDU()                                                                          \
  do {                                                                                              \
    if (!test::bound_edu()) {                                                                       \
      GTEST_SKIP() << "no edu device of QEMU's is bound to vfio-pci here (./dev test -L vfio runs " \
                      "this in the rig, which has one)";                                            \
    }                                                                                               \
  } while (false)
