#include "guest/acpi/acpi.h"

#include <string>
#include <utility>

#include "guest/acpi/dsdt.h"
#include "guest/acpi/fadt.h"
#include "guest/acpi/madt.h"
#include "guest/acpi/mcfg.h"
#include "guest/acpi/table.h"
#include "guest/byte_writer.h"
#include "guest/low_memory.h"

namespace guest::acpi {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Gpa;
using uvm::GpaRange;

constexpr std::uint64_t kTableAlignment = 64;  // the FACS needs it, the others don't mind
constexpr std::uint64_t kRsdpBytes = 36;

/// Hands out the area from its start.
class Area {
 public:
  explicit Area(GpaRange range) : free_(range) {}

  uvm::Result<Gpa> place(const std::string& name, std::vector<std::byte> bytes) {
    const Gpa at = free_.begin().align_up(kTableAlignment);
    const auto range = GpaRange::from_size(at, bytes.size());
    if (!range || at < free_.begin() || !free_.contains(*range)) {
      return Error(ErrorKind::NoMemory,
                   name + " of " + std::to_string(bytes.size()) + " bytes doesn't fit the " +
                       std::to_string(free_.size()) + " bytes left for tables",
                   "use fewer vCPUs");
    }
    free_ = free_.from(range->end());
    segments_.push_back(Segment::from_bytes(name, at, std::move(bytes)));
    return at;
  }
  [[nodiscard]] std::vector<Segment> take() { return std::move(segments_); }

 private:
  GpaRange free_;
  std::vector<Segment> segments_;
};

/// Revision 2 (ACPI 6.3, 5.2.5.3): two checksums, over the first 20 bytes and over all 36. No RSDT.
std::vector<std::byte> make_rsdp(Gpa xsdt) {
  constexpr std::size_t kFirstChecksum = 8;
  constexpr std::size_t kFirstPart = 20;
  constexpr std::size_t kSecondChecksum = 32;
  ByteWriter out;
  out.text("RSD PTR ").u8(0).text("UVMM  ").u8(2).u32(0);
  out.u32(kRsdpBytes).u64(xsdt.value()).u8(0).zeros(3);
  out.patch(kFirstChecksum, checksum(out.view().first(kFirstPart)));
  out.patch(kSecondChecksum, checksum(out.view()));
  return out.take();
}

uvm::Status check(const AcpiConfig& config, GpaRange area) {
  if (config.vcpus == 0 || config.vcpus > kMaxProcessorDevices) {
    return Error(ErrorKind::Invalid, "ACPI tables for " + std::to_string(config.vcpus) +
                                         " vCPUs were asked for; 1 to " +
                                         std::to_string(kMaxProcessorDevices) + " are possible");
  }
  if (area.end().value() > low_memory::kIdentityMapped) {
    return Error(ErrorKind::Invalid, "the ACPI area " + uvm::to_string(area) + " is not below 4 GiB");
  }
  return uvm::ok();
}

}  // namespace

uvm::Result<AcpiTables> build_tables(const AcpiConfig& config) {
  const GpaRange range = config.area.empty()
                             ? GpaRange::from_bounds(low_memory::kAcpi, low_memory::kEnd).value_or(GpaRange())
                             : config.area;
  UVMM_CHECK(check(config, range));
  // The RSDP is made last but lies first, where a scan meets it at once.
  const Gpa rsdp = range.begin().align_up(kTableAlignment);
  Area area(range.from(rsdp + kRsdpBytes));
  UVMM_TRY(const Gpa facs, area.place("acpi FACS", make_facs()));
  std::optional<Gpa> generation_id;
  if (config.generation_id) {
    UVMM_TRY(generation_id, area.place("acpi VMGenID", std::vector<std::byte>(GenerationId::kBytes)));
  }
  UVMM_TRY(const Gpa dsdt, area.place("acpi DSDT", make_dsdt(config, generation_id)));
  UVMM_TRY(const Gpa fadt, area.place("acpi FADT", make_fadt(config, facs, dsdt)));
  UVMM_TRY(const Gpa madt, area.place("acpi MADT", make_madt(config)));
  ByteWriter pointers;
  pointers.u64(fadt.value()).u64(madt.value());
  if (config.pci) {
    UVMM_TRY(const Gpa mcfg, area.place("acpi MCFG", make_mcfg(*config.pci)));
    pointers.u64(mcfg.value());
  }
  UVMM_TRY(const Gpa xsdt, area.place("acpi XSDT", make_table("XSDT", 1, pointers.view())));
  AcpiTables tables{area.take(), rsdp, generation_id};
  tables.segments.insert(tables.segments.begin(), Segment::from_bytes("acpi RSDP", rsdp, make_rsdp(xsdt)));
  return tables;
}

}  // namespace guest::acpi
