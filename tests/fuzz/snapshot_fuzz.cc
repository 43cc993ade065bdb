// A snapshot's directory: whatever its files hold, it is read, or refused in one line. No KVM.
//
// The input is a list of pieces, u8 kind | u16 bytes | content. One kind is the state's file as it is, one
// the memory's file, and each other is a section of a state, whose sums are right: what the sums keep out
// would hide what is behind them.
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/vmm/devices/fakes.h"
#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/legacy_ports.h"
#include "vmm/devices/pci_host.h"
#include "vmm/devices/reset_control.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/serial.h"
#include "vmm/machine/image_codec.h"
#include "vmm/machine/machine_shape.h"
#include "vmm/snapshot/section_fields.h"
#include "vmm/snapshot/snapshot_files.h"
#include "vmm/snapshot/vcpu_state.h"

namespace {

namespace snapshot = vmm::snapshot;
namespace test = vmm::devices::test;

constexpr std::array<std::string_view, 17> kSections{
    "memory-file", "memory",        "machine", "vcpu",   "kvmclock", "serial", "rtc",     "i8042", "acpi-pm",
    "ioapic",      "reset-control", "port-a",  "port-b", "post",     "pci",    "unknown", "base"};
constexpr std::uint8_t kBaseSection = kSections.size() - 1;
constexpr std::uint8_t kState = 0xff;
constexpr std::uint8_t kMemory = 0xfe;
constexpr std::uint8_t kLink = 0xfd;  // a section "base" that leads to one
constexpr std::uint64_t kBaseBytes = 16 * uvm::kPageSize;

void require(bool holds) {
  if (!holds) std::abort();
}

void require_one_line(const uvm::Error& error) {
  require(!error.what().empty() && error.text().find('\n') == std::string::npos);
}

struct Directory {
  Directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "uvmm-fuzz-XXXXXX";
    require(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Directory() { std::filesystem::remove_all(path); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  void put(const std::string& name, std::span<const std::byte> bytes) const {
    std::ofstream file(path + "/" + name, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  std::string path;
};

/// What inputs build on. Returns its identity.
std::uint64_t write_base(const std::string& directory) {
  snapshot::MemoryImage image;
  image.regions = {{*uvm::GpaRange::from_size(uvm::Gpa(0), kBaseBytes), nullptr, 0}};
  snapshot::SectionWriter writer;
  require(snapshot::write_snapshot(directory, std::move(writer).finish(), image).has_value());
  const auto levels = snapshot::read_chain(directory);
  require(levels.has_value());
  return levels->front().identity;
}

/// The two files that an input comes to.
struct Files {
  std::vector<std::byte> state;
  std::span<const std::byte> memory;
};

Files files_of(std::span<const std::byte> input, snapshot::BaseLink base) {
  constexpr std::size_t kHeader = 3;
  Files files;
  std::optional<std::span<const std::byte>> whole;
  std::set<std::uint8_t> there;
  snapshot::SectionWriter writer;
  while (input.size() >= kHeader) {
    const auto kind = std::to_integer<std::uint8_t>(input[0]);
    const std::size_t bytes =
        std::to_integer<std::size_t>(input[1]) | (std::to_integer<std::size_t>(input[2]) << 8U);
    const auto content = input.subspan(kHeader, std::min(bytes, input.size() - kHeader));
    input = input.subspan(kHeader + content.size());
    if (kind == kState) {
      whole = content;
    } else if (kind == kMemory) {
      files.memory = content;
    } else if (kind == kLink) {
      if (there.insert(kBaseSection).second) snapshot::save(writer, base, 0, snapshot::Unknown::Skip);
    } else if (const std::uint8_t which = kind % kSections.size(); there.insert(which).second) {
      writer.add({std::string(kSections[which]), 0, 1, snapshot::Unknown::Skip, content});
    }
  }
  files.state = whole ? std::vector<std::byte>(whole->begin(), whole->end()) : std::move(writer).finish();
  return files;
}

/// Every device that is saved, as a restored machine has it.
void restore_devices(const snapshot::SectionTable& table) {
  test::FakeLine line;
  test::FakeMsi msi;
  test::FakeClock clock;
  test::FakePower power;
  test::FakeSink sink;
  vmm::devices::Serial serial(line, sink);
  vmm::devices::Rtc rtc(clock);
  vmm::devices::I8042 i8042(power);
  vmm::devices::AcpiPm pm(line, clock, power);
  vmm::devices::IoApic io_apic(msi);
  vmm::devices::ResetControl reset(power);
  vmm::devices::PortA port_a(power);
  vmm::devices::PortB port_b;
  vmm::devices::PostPort post;
  vmm::devices::PciHost pci;
  const auto give = [&table](vmm::devices::Stateful& device) {
    if (const auto done = snapshot::restore(table, device); !done) require_one_line(done.error());
  };
  const auto use = [](vmm::devices::BusDevice& device) {
    for (std::uint64_t offset = 0; offset < 8; ++offset) {
      test::write(device, offset, offset);
      static_cast<void>(test::read(device, offset));
    }
  };
  for (vmm::devices::Stateful* device : std::initializer_list<vmm::devices::Stateful*>{
           &serial, &rtc, &i8042, &pm, &io_apic, &reset, &port_a, &port_b, &post, &pci}) {
    give(*device);
  }
  for (vmm::devices::BusDevice* device : std::initializer_list<vmm::devices::BusDevice*>{
           &serial, &rtc, &i8042, &pm, &reset, &port_a, &port_b, &post}) {
    use(*device);
  }
  test::write(io_apic, vmm::devices::IoApic::kWindowOffset, 1, 4);
}

/// What a machine does with an image before it asks KVM for anything.
void use_image(const snapshot::MemoryImage& image) {
  const auto view = snapshot::ImageView::create(image);
  if (!view) return require_one_line(view.error());
  std::vector<std::byte> page(uvm::kPageSize);
  for (const snapshot::MemoryRegion& region : image.regions) {
    require(!region.object || region.offset + region.range.size() <= region.object->size());
    view->read(region.range.begin(), page);
    view->read(region.range.end() - uvm::kPageSize, page);
  }
}

void read_state(std::span<const std::byte> state) {
  if (const auto shape = vmm::MachineShape::read(state)) {
    require(!shape->name().empty());
  } else {
    require_one_line(shape.error());
  }
  const auto table = snapshot::SectionTable::read(state);
  if (!table) return require_one_line(table.error());
  snapshot::VcpuState vcpu;
  if (const auto done = snapshot::restore(*table, vcpu); !done) require_one_line(done.error());
  restore_devices(*table);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Directory directory;
  static const std::uint64_t base = write_base(directory.path + "/base");
  const Files files = files_of(std::as_bytes(std::span(data, size)), {"base", base});
  read_state(files.state);
  directory.put("state", files.state);
  directory.put("memory-1", files.memory);
  for (const auto verify : {snapshot::Verify::State, snapshot::Verify::All}) {
    const auto saved = snapshot::read_snapshot(directory.path, verify);
    if (saved) {
      use_image(saved->memory);
    } else {
      require_one_line(saved.error());
    }
  }
  return 0;
}
