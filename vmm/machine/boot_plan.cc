#include "vmm/machine/boot_plan.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "guest/acpi/acpi.h"
#include "guest/programs/builtin_info.h"
#include "guest/programs/programs.h"
#include "uvm/base/range.h"
#include "vmm/devices/pci_host.h"
#include "vmm/machine/layout.h"
#include "vmm/virtio/mmio_transport.h"

namespace vmm {
namespace {

/// KVM_MEM_MAX_NR_PAGES of Linux' virt/kvm/kvm_main.c: 2^31 - 1 pages.
constexpr std::uint64_t kMostInOneSlot = ((std::uint64_t{1} << 31) - 1) * uvm::kPageSize;

uvm::GpaRange range(uvm::Gpa begin, uvm::Gpa end) {
  return uvm::GpaRange::from_bounds(begin, end).value_or(uvm::GpaRange());
}

guest::acpi::AcpiConfig acpi_config(const MachineConfig& config, IrqChip irqchip) {
  guest::acpi::AcpiConfig acpi;
  acpi.vcpus = config.vcpus;
  acpi.local_apic = layout::kLocalApic;
  acpi.io_apic = layout::kIoApic;
  acpi.legacy_pic =
      irqchip == IrqChip::Full ? guest::acpi::LegacyPic::Present : guest::acpi::LegacyPic::Absent;
  if (irqchip == IrqChip::Full) acpi.overrides.push_back({0, 2});  // the PIT arrives at pin 2, as on every PC
  acpi.pm.io_base = layout::kPmBase;
  acpi.pm.sci_irq = layout::kSciIrq;
  acpi.reset.port = layout::kResetPort;
  acpi.serial = guest::acpi::SerialPort{layout::kSerialPort, layout::kSerialIrq};
  acpi.rtc_irq.reset();
  guest::acpi::PciHost pci;
  pci.ecam_base = layout::kEcam;
  pci.mmio_low = range(layout::kPciWindow, layout::kPciWindow + layout::kPciWindowBytes);
  for (std::uint8_t device = 1; device < devices::PciHost::kDevices; ++device) {
    for (std::uint8_t pin = 0; pin < 4; ++pin) {
      pci.lines.push_back({device, pin, layout::pci_pin(device, pin)});
    }
  }
  acpi.pci = pci;
  acpi.generation_id = guest::acpi::GenerationId{layout::kGenerationIdPin};
  return acpi;
}

uvm::Result<const guest::programs::Program*> find_program(const std::string& name) {
  if (const auto* program = guest::programs::find(name)) return program;
  std::string names;
  for (const auto& program : guest::programs::all())
    names += (names.empty() ? "" : ", ") + std::string(program.name);
  return uvm::Error(uvm::ErrorKind::NotFound, "there is no built-in guest '" + name + "'",
                    "choose one of " + names);
}

/// The block a long-mode program finds through RDI.
uvm::Result<guest::Segment> info_segment(const MachineConfig& config, const guest::MemoryLayout& memory) {
  using guest::programs::BuiltinInfo;
  BuiltinInfo info{};
  info.magic = BuiltinInfo::kMagic;
  info.vcpus = config.vcpus;
  for (const auto& ram : memory.ram) {
    if (info.ranges == BuiltinInfo::kMaxRanges) break;
    info.ram[info.ranges++] = {ram.begin().value(), ram.size()};
  }
  const std::string& arguments = config.boot.builtin_arguments;
  if (arguments.size() >= sizeof(info.arguments)) {
    return uvm::Error(uvm::ErrorKind::Invalid, "built-in guest arguments have " +
                                                   std::to_string(arguments.size()) + " bytes; at most " +
                                                   std::to_string(sizeof(info.arguments) - 1) + " fit");
  }
  std::copy(arguments.begin(), arguments.end(), info.arguments);
  std::vector<std::byte> bytes(sizeof(info));
  std::memcpy(bytes.data(), &info, sizeof(info));
  return guest::Segment::from_bytes("built-in info", uvm::Gpa(guest::programs::kInfoGpa), std::move(bytes));
}

/// A program's image is in this executable, not in a file: its segments carry their bytes.
void embed(std::vector<guest::Segment>& segments, std::span<const std::byte> image) {
  for (auto& segment : segments) {
    if (segment.source != guest::Segment::Source::FromKernel) continue;
    const auto bytes = image.subspan(segment.file_offset, segment.size);
    segment = guest::Segment::from_bytes(segment.name, segment.gpa, {bytes.begin(), bytes.end()});
  }
}

uvm::Result<BootPlan> plan_builtin(const MachineConfig& config, const guest::MemoryLayout& memory) {
  UVMM_TRY(const auto* program, find_program(config.boot.builtin));
  if (memory.ram_bytes() < program->min_memory) {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      "built-in guest '" + std::string(program->name) + "' needs " +
                          std::to_string(program->min_memory >> 20) + " MiB",
                      "raise --memory");
  }
  const bool real = program->mode == guest::programs::Mode::Real16;
  guest::BootRequest request;
  request.kernel = program->image;
  request.kernel_name = program->name;
  request.memory = memory;
  request.format = real ? guest::KernelFormat::FlatReal : guest::KernelFormat::FlatLong;
  request.load_address = uvm::Gpa(program->load_gpa);
  BootPlan plan;
  UVMM_TRY(plan.load, guest::plan_boot(request));
  embed(plan.load.segments, program->image);
  plan.load.protocol = "built-in " + std::string(program->name);
  if (!real) {
    plan.load.entry.rip = program->entry;
    plan.load.entry.rdi = guest::programs::kInfoGpa;
    UVMM_TRY(auto info, info_segment(config, memory));
    plan.load.segments.push_back(std::move(info));
  }
  return plan;
}

uvm::Result<BootPlan> plan_kernel(const MachineConfig& config, const guest::MemoryLayout& memory,
                                  IrqChip irqchip) {
  BootPlan plan;
  guest::BootRequest request;
  UVMM_TRY(plan.kernel, BootFile::open(config.boot.kernel, "kernel"));
  if (!config.boot.initrd.empty()) {
    UVMM_TRY(plan.initrd, BootFile::open(config.boot.initrd, "initrd"));
    request.initrd_size = plan.initrd->size();
  }
  const auto format = guest::kernel_format(config.boot.format);
  if (!format) {
    return uvm::Error(uvm::ErrorKind::Invalid, "kernel format '" + config.boot.format + "' is unknown",
                      "choose one of " + guest::kernel_format_names());
  }
  UVMM_TRY(auto tables, guest::acpi::build_tables(acpi_config(config, irqchip)));
  plan.tables = std::move(tables.segments);
  plan.generation_id = tables.generation_id;
  UVMM_TRY(const FileCopy kernel, plan.kernel->read_for_parser());
  request.kernel = kernel.bytes();
  request.kernel_name = config.boot.kernel;
  request.cmdline = kernel_command_line(config);
  request.memory = memory;
  request.acpi_rsdp = tables.rsdp;
  request.format = *format;
  if (config.boot.load_address != 0) request.load_address = uvm::Gpa(config.boot.load_address);
  auto load = guest::plan_boot(request);
  if (!load) return std::move(load).error();
  plan.load = std::move(*load);
  return plan;
}

/// Every slot; Linux takes no notice of those that say they are empty.
void add_virtio_mmio(std::string& line) {
  std::uint64_t at = layout::kVirtioMmio.value();
  for (const std::uint8_t irq : layout::kVirtioMmioIrqs) {
    if (!line.empty()) line += " ";
    line += "virtio_mmio.device=4K@" + uvm::hex(at) + ":" + std::to_string(irq);
    at += virtio::MmioTransport::kBytes;
  }
}

}  // namespace

std::string kernel_command_line(const MachineConfig& config) {
  const auto root = std::ranges::find(config.drives, config.root_drive, &virtio::blk::Options::id);
  std::string line = config.boot.cmdline;
  if (config.virtio_transport == VirtioTransport::Mmio) add_virtio_mmio(line);
  if (config.root_drive.empty() || root == config.drives.end()) return line;
  if (!line.empty()) line += " ";
  line += config.root_partition.empty() ? "root=/dev/vda" : "root=PARTUUID=" + config.root_partition;
  return line + (root->access == virtio::blk::DiskAccess::ReadOnly ? " ro" : " rw");
}

uvm::Result<guest::MemoryLayout> plan_memory(const MachineConfig& config, std::uint32_t address_bits) {
  const std::uint64_t limit = address_bits < 52 ? std::uint64_t{1} << address_bits : uvm::kAddressLimit;
  UVMM_TRY(auto memory,
           guest::MemoryLayout::create(config.memory, range(layout::kMmioHole, layout::kMmioHoleEnd), limit));
  for (const auto& ram : memory.ram) {
    if (ram.size() <= kMostInOneSlot) continue;
    return uvm::Error(uvm::ErrorKind::Invalid,
                      std::to_string(config.memory >> 40) + " TiB of guest memory need a slot of " +
                          uvm::to_string(ram) + ", more than KVM's 8 TiB",
                      "lower -m");
  }
  memory.reserved.push_back(
      {range(layout::kEcam, layout::kEcam + layout::kEcamBytes), guest::E820Type::Reserved});
  return memory;
}

uvm::Result<BootPlan> plan_boot(const MachineConfig& config, const guest::MemoryLayout& memory,
                                IrqChip irqchip) {
  if (!config.boot.builtin.empty()) return plan_builtin(config, memory);
  return plan_kernel(config, memory, irqchip);
}

}  // namespace vmm
