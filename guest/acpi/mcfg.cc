#include "guest/acpi/mcfg.h"

#include "guest/acpi/table.h"
#include "guest/byte_writer.h"

namespace guest::acpi {

std::vector<std::byte> make_mcfg(const PciHost& host) {
  constexpr std::uint8_t kRevision = 1;
  ByteWriter out;
  out.zeros(8);
  out.u64(host.ecam_base.value()).u16(0).u8(0).u8(host.last_bus).u32(0);  // base, segment, first and last bus
  return make_table("MCFG", kRevision, out.view());
}

}  // namespace guest::acpi
