#include "guest/acpi/dsdt.h"

#include <string>
#include <vector>

#include "guest/acpi/aml.h"
#include "guest/acpi/resources.h"
#include "guest/acpi/table.h"
#include "guest/byte_writer.h"

namespace guest::acpi {
namespace {

using aml::Aml;

constexpr std::uint8_t kDsdtRevision = 2;  // 64-bit integers
constexpr std::uint8_t kSerialPorts = 8;
constexpr std::uint16_t kRtcPort = 0x70;
constexpr std::uint8_t kPmPorts = 16;
constexpr std::uint16_t kPciConfigPort = 0xcf8;
constexpr std::uint8_t kPciConfigPorts = 8;
constexpr std::uint32_t kEcamBytesPerBus = 1 << 20;

Aml hid(std::string_view id) {
  return aml::name("_HID", aml::eisa_id(id));
}
Aml uid(std::uint64_t number) {
  return aml::name("_UID", aml::integer(number));
}

Aml power_off_state(const PmBlock& pm) {
  const Aml type = aml::integer(pm.s5_sleep_type);
  return aml::name("\\_S5_", aml::package({type, type, aml::integer(0), aml::integer(0)}));
}

Aml serial_port(const SerialPort& port) {
  return aml::device(
      "COM1",
      aml::join({hid("PNP0501"), uid(1),
                 resources::current({resources::io(port.io_base, kSerialPorts), resources::irq(port.irq)})}));
}

Aml real_time_clock(const AcpiConfig& config) {
  const Aml interrupt = config.rtc_irq ? resources::irq(*config.rtc_irq) : Aml{};
  return aml::device(
      "RTC0", aml::join({hid("PNP0B00"), resources::current({resources::io(kRtcPort, 2), interrupt})}));
}

/// PNP0C02 claims what no driver owns, so that the operating system puts nothing there.
Aml motherboard(const AcpiConfig& config) {
  Aml ecam;
  if (config.pci) {
    const std::uint32_t buses = std::uint32_t{config.pci->last_bus} + 1;
    ecam = resources::fixed_memory(static_cast<std::uint32_t>(config.pci->ecam_base.value()),
                                   buses * kEcamBytesPerBus);
  }
  return aml::device("MBRD",
                     aml::join({hid("PNP0C02"), uid(0),
                                resources::current({resources::io(config.pm.io_base, kPmPorts), ecam})}));
}

/// _PRT (ACPI 6.3, 6.2.13): which interrupt a device's pin is; of all functions of the device alike.
Aml pci_lines(const std::vector<PciLine>& lines) {
  constexpr std::uint64_t kAllFunctions = 0xffff;
  std::vector<Aml> entries;
  for (const PciLine& line : lines) {
    entries.push_back(aml::package({aml::integer(std::uint64_t{line.device} << 16 | kAllFunctions),
                                    aml::integer(line.pin), aml::integer(0), aml::integer(line.gsi)}));
  }
  return entries.empty() ? Aml{} : aml::name("_PRT", aml::package(entries));
}

Aml pci_host(const PciHost& host) {
  const Aml low = host.mmio_low.empty() ? Aml{} : resources::memory_window_32(host.mmio_low);
  const Aml high = host.mmio_high.empty() ? Aml{} : resources::memory_window_64(host.mmio_high);
  return aml::device(
      "PCI0",
      aml::join({hid("PNP0A08"), aml::name("_CID", aml::eisa_id("PNP0A03")), uid(0),
                 aml::name("_SEG", aml::integer(0)), aml::name("_BBN", aml::integer(0)),
                 resources::current(
                     {resources::bus_window(0, host.last_bus), resources::io(kPciConfigPort, kPciConfigPorts),
                      resources::io_window(0, kPciConfigPort - 1),
                      resources::io_window(kPciConfigPort + kPciConfigPorts, 0xffff), low, high}),
                 pci_lines(host.lines)}));
}

Aml keyboard_controller() {
  const Aml keyboard = aml::device(
      "KBD0", aml::join({hid("PNP0303"), resources::current({resources::io(0x60, 1), resources::io(0x64, 1),
                                                             resources::irq(1)})}));
  const Aml mouse =
      aml::device("MOU0", aml::join({hid("PNP0F13"), resources::current({resources::irq(12)})}));
  return aml::join({keyboard, mouse});
}

/// "Virtual Machine Generation ID" (Microsoft, 2012). Drivers know it by its _CID.
Aml generation_id_device(std::uint64_t gpa) {
  const Aml address = aml::package({aml::integer(gpa & 0xffffffff), aml::integer(gpa >> 32)});
  return aml::device(
      "VGEN",
      aml::join({aml::name("_HID", aml::string("UVMM0001")), aml::name("_CID", aml::string("VM_Gen_Counter")),
                 aml::name("_DDN", aml::string("VM_Gen_Counter")), aml::name("ADDR", address)}));
}

/// A generic event device (ACPI 6.3, 5.6.9): its one interrupt is that one event.
Aml event_device(std::uint32_t gsi) {
  constexpr std::uint8_t kChanged = 0x80;
  return aml::device("GED0", aml::join({aml::name("_HID", aml::string("ACPI0013")), uid(0),
                                        resources::current({resources::interrupt(gsi)}),
                                        aml::method("_EVT", aml::notify("VGEN", kChanged))}));
}

Aml processors(std::uint32_t vcpus) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  ByteWriter out;
  for (std::uint32_t i = 0; i < vcpus; ++i) {
    const std::string object{'C', kHex[i >> 8 & 0xf], kHex[i >> 4 & 0xf], kHex[i & 0xf]};
    out.append(aml::device(object, aml::join({aml::name("_HID", aml::string("ACPI0007")), uid(i)})));
  }
  return out.take();
}

}  // namespace

std::vector<std::byte> make_dsdt(const AcpiConfig& config, std::optional<uvm::Gpa> generation_id) {
  const Aml devices = aml::join({
      config.serial ? serial_port(*config.serial) : Aml{},
      real_time_clock(config),
      motherboard(config),
      config.pci ? pci_host(*config.pci) : Aml{},
      config.keyboard == KeyboardController::Present ? keyboard_controller() : Aml{},
      generation_id ? generation_id_device(generation_id->value()) : Aml{},
      generation_id ? event_device(config.generation_id->gsi) : Aml{},
      processors(config.vcpus),
  });
  return make_table("DSDT", kDsdtRevision,
                    aml::join({power_off_state(config.pm), aml::scope("\\_SB_", devices)}));
}

}  // namespace guest::acpi
