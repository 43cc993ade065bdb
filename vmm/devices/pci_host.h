// PCI root: bus 0, reached through ports 0xcf8-0xcff (configuration mechanism 1) and an ECAM window.
//
// 00:00.0 is a host bridge (class 0600), without which Linux does not believe in mechanism 1; the other 255
// functions are empty until add(). A function that is absent, and every other bus, reads as all ones.
//
// CONFIG_ADDRESS takes 4-byte accesses only, as the specification says (PCI 3.0, 3.2.2.3.2): narrower ones at
// those ports belong to whatever chipset register shares them, of which one is left, reset control at 0xcf9.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/pci_function.h"
#include "vmm/devices/state.h"

namespace vmm::devices {

/// Where a function sits on bus 0.
struct PciSlot {
  std::uint8_t device = 0;    // 0-31
  std::uint8_t function = 0;  // 0-7
};

class PciHost final : public Stateful {
 public:
  static constexpr std::uint8_t kDevices = 32;
  static constexpr std::uint64_t kPorts = 8;                    // from 0xcf8
  static constexpr std::uint64_t kEcamBytesPerBus = 0x10'0000;  // 1 MiB

  /// `reset_control`, if given, answers single-byte accesses at 0xcf9 (as its offset 0); it must outlive
  /// this.
  explicit PciHost(BusDevice* reset_control = nullptr);
  ~PciHost() override;
  PciHost(const PciHost&) = delete;
  PciHost& operator=(const PciHost&) = delete;

  /// Before the guest runs. The function must outlive this. Invalid: no such slot. Busy: taken.
  uvm::Status add(PciSlot slot, PciFunction& function);
  /// In the first device that is free, as its function 0. NoMemory: none is.
  uvm::Result<PciSlot> add(PciFunction& function);

  /// To be registered at port 0xcf8, kPorts long.
  [[nodiscard]] BusDevice& ports() { return ports_; }
  /// To be registered as MMIO: the whole window the MCFG table names, or kEcamBytesPerBus of it.
  [[nodiscard]] BusDevice& ecam() { return ecam_; }
  /// Every function, and CONFIG_ADDRESS.
  void reset();
  /// CONFIG_ADDRESS; the functions have state of their own.
  [[nodiscard]] std::string_view state_name() const override { return "pci"; }
  void state(StateFields& fields) override { fields.field(address_); }
  /// What the functions behind the bridge keep, by slot. Errors: Unsupported, naming the first that can't be
  /// taken along.
  [[nodiscard]] uvm::Result<std::vector<Stateful*>> stateful_functions() const;

 private:
  class Ports final : public BusDevice {
   public:
    explicit Ports(PciHost& host) : host_(host) {}
    void read(std::uint64_t offset, std::span<std::byte> data) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;

   private:
    PciHost& host_;
  };
  class Ecam final : public BusDevice {
   public:
    explicit Ecam(PciHost& host) : host_(host) {}
    void read(std::uint64_t offset, std::span<std::byte> data) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;

   private:
    PciHost& host_;
  };
  class Bridge;

  /// A place in configuration space: ECAM's layout, bus << 20 | device << 15 | function << 12 | register.
  void read_config(std::uint64_t place, std::span<std::byte> data);
  void write_config(std::uint64_t place, std::span<const std::byte> data);
  /// The place that an access to CONFIG_DATA means; nullopt while CONFIG_ADDRESS is not enabled.
  [[nodiscard]] std::optional<std::uint64_t> data_place(std::uint64_t offset) const;

  BusDevice* const reset_control_;
  std::atomic<std::uint32_t> address_{0};  // a guest locks the pair of ports itself; there is nothing to tear
  std::array<PciFunction*, 256> functions_{};
  std::unique_ptr<Bridge> bridge_;
  Ports ports_{*this};
  Ecam ecam_{*this};
};

}  // namespace vmm::devices
