#include "guest/zero_page.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "guest/byte_writer.h"
#include "guest/cmdline.h"
#include "guest/low_memory.h"

namespace guest {
namespace {

constexpr std::uint32_t low_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
constexpr std::uint32_t high_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

uvm::Status fill_memory_map(BootParams& params, const std::vector<E820Entry>& map) {
  if (map.size() > kBootE820Entries) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "the memory map has " + std::to_string(map.size()) + " entries, boot_params holds " +
                          std::to_string(kBootE820Entries),
                      "use fewer reserved ranges");
  }
  params.e820_entries = static_cast<std::uint8_t>(map.size());
  for (std::size_t i = 0; i < map.size(); ++i) {
    params.e820_table[i] = {map[i].range.begin().value(), map[i].range.size(),
                            static_cast<std::uint32_t>(map[i].type)};
  }
  return uvm::ok();
}

}  // namespace

SetupHeader synthetic_header() {
  SetupHeader header{};
  header.boot_flag = kBootFlag;
  header.header = kHeaderMagic;
  header.version = 0x20f;
  header.loadflags = kLoadedHigh;
  header.kernel_alignment = 0x1000000;  // what x86-64 kernels are built with; informative for an ELF
  header.cmdline_size = static_cast<std::uint32_t>(kLinuxCommandLineLimit);
  return header;
}

uvm::Status add_zero_page(LoadPlan& plan, const BootRequest& request, std::span<const std::byte> header,
                          std::uint64_t cmdline_limit) {
  BootParams params{};
  plan.e820 = request.memory.e820();
  UVMM_CHECK(fill_memory_map(params, plan.e820));
  UVMM_CHECK(add_cmdline(plan, request.cmdline, cmdline_limit));

  // Through the page's bytes: a header newer than ours is longer than SetupHeader, and its tail is kept.
  std::vector<std::byte> page = to_bytes(params);
  const std::size_t header_bytes =
      std::min<std::size_t>(header.size(), kSetupHeaderLimit - kSetupHeaderOffset);
  std::copy_n(header.begin(), header_bytes, page.begin() + kSetupHeaderOffset);
  std::memcpy(&params, page.data(), sizeof params);

  params.acpi_rsdp_addr = request.acpi_rsdp.value();
  params.hdr.vid_mode = kNormalVideoMode;
  params.hdr.type_of_loader = kUndefinedLoader;
  params.hdr.setup_data = 0;
  params.hdr.cmd_line_ptr = low_half(low_memory::kCommandLine.value());
  if (plan.initrd) {
    params.hdr.ramdisk_image = low_half(plan.initrd->begin().value());
    params.ext_ramdisk_image = high_half(plan.initrd->begin().value());
    params.hdr.ramdisk_size = low_half(plan.initrd->size());
    params.ext_ramdisk_size = high_half(plan.initrd->size());
  } else {
    params.hdr.ramdisk_image = 0;
    params.hdr.ramdisk_size = 0;
  }
  plan.segments.push_back(Segment::from_bytes("boot_params", low_memory::kBootParams, to_bytes(params)));
  return uvm::ok();
}

}  // namespace guest
