#include "guest/acpi/madt.h"

#include "guest/acpi/table.h"
#include "guest/byte_writer.h"

namespace guest::acpi {
namespace {

constexpr std::uint8_t kMadtRevision = 5;
constexpr std::uint32_t kPcAtCompatible = 1;
constexpr std::uint32_t kEnabled = 1;

// Entry types; each entry begins with its type and its length.
constexpr std::uint8_t kLocalApic = 0;
constexpr std::uint8_t kIoApic = 1;
constexpr std::uint8_t kOverride = 2;
constexpr std::uint8_t kLocalNmi = 4;
constexpr std::uint8_t kX2Apic = 9;
constexpr std::uint8_t kX2Nmi = 10;

constexpr std::uint8_t kAllLocalApics = 0xff;
constexpr std::uint32_t kAllX2Apics = 0xffffffff;
constexpr std::uint8_t kLint1 = 1;

void put_override(ByteWriter& out, const InterruptOverride& entry) {
  const unsigned polarity = entry.polarity == Polarity::ActiveHigh ? 1 : 3;
  const unsigned trigger = entry.trigger == Trigger::Edge ? 1 : 3;
  out.u8(kOverride).u8(10).u8(0).u8(entry.source).u32(entry.gsi).u16(polarity | trigger << 2);
}

void put_processors(ByteWriter& out, std::uint32_t vcpus) {
  for (std::uint32_t id = 0; id < vcpus; ++id) {
    if (id < kFirstX2Apic) {
      out.u8(kLocalApic).u8(8).u8(id).u8(id).u32(kEnabled);
    } else {
      out.u8(kX2Apic).u8(16).u16(0).u32(id).u32(kEnabled).u32(id);
    }
  }
}

}  // namespace

std::vector<std::byte> make_madt(const AcpiConfig& config) {
  ByteWriter out;
  out.u32(config.local_apic.value());
  out.u32(config.legacy_pic == LegacyPic::Present ? kPcAtCompatible : 0);
  put_processors(out, config.vcpus);
  out.u8(kIoApic).u8(12).u8(config.io_apic_id).u8(0).u32(config.io_apic.value()).u32(0);
  put_override(out, {config.pm.sci_irq, config.pm.sci_irq, Polarity::ActiveHigh, Trigger::Level});
  for (const InterruptOverride& entry : config.overrides) put_override(out, entry);
  out.u8(kLocalNmi).u8(6).u8(kAllLocalApics).u16(0).u8(kLint1);
  if (config.vcpus > kFirstX2Apic) out.u8(kX2Nmi).u8(12).u16(0).u32(kAllX2Apics).u8(kLint1).zeros(3);
  return make_table("APIC", kMadtRevision, out.view());
}

}  // namespace guest::acpi
