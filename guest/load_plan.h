// From a kernel file's bytes to a plan: what goes where in guest memory, and how the first instruction
// starts.
//
// plan_boot() is pure. It neither reads files nor touches guest memory; the machine carries a plan out. File
// contents appear in a plan by offset, so planning costs the same for a 1 KiB and a 1 GiB kernel and the
// machine can map whole pages of the file copy-on-write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guest/e820.h"
#include "guest/entry_state.h"
#include "guest/kernel_format.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace guest {

/// One run of guest memory to fill before the first instruction.
struct Segment {
  enum class Source {
    FromKernel,  // `size` bytes of the kernel file from `file_offset`
    FromInitrd,  // `size` bytes of the initrd file from `file_offset`
    Bytes,       // `bytes`, generated
    Zero,        // bss. Fresh RAM is zero already; listed so that nothing else is put there
  };

  std::string name;  // for logs and errors: "kernel segment 1", "boot_params"
  uvm::Gpa gpa;
  std::uint64_t size = 0;  // bytes, never 0; equals bytes.size() for Source::Bytes
  Source source = Source::Zero;
  std::uint64_t file_offset = 0;
  std::vector<std::byte> bytes;

  [[nodiscard]] static Segment from_kernel(std::string name, uvm::Gpa gpa, std::uint64_t size,
                                           std::uint64_t file_offset);
  [[nodiscard]] static Segment from_bytes(std::string name, uvm::Gpa gpa, std::vector<std::byte> bytes);
  [[nodiscard]] static Segment zero(std::string name, uvm::Gpa gpa, std::uint64_t size);

  /// [gpa, gpa + size). In a plan that plan_boot returned this always exists and lies in RAM.
  [[nodiscard]] std::optional<uvm::GpaRange> range() const;

  /// The guest pages that hold nothing but this segment's file bytes at a page-aligned file offset: those may
  /// be mapped from the file, copy-on-write. What remains before and after is copied, so that a neighbour in
  /// the same page (bss, the next segment) keeps its own content. Empty when gpa and file_offset differ
  /// modulo the page size, and for sources that are no file.
  [[nodiscard]] uvm::GpaRange mappable_pages() const;
  /// The file offset of `gpa`, an address in this segment.
  [[nodiscard]] std::uint64_t file_offset_of(uvm::Gpa address) const { return file_offset + (address - gpa); }
};
[[nodiscard]] std::string_view to_string(Segment::Source source);

struct LoadPlan {
  KernelFormat format = KernelFormat::Auto;  // the protocol used, never Auto
  std::string protocol;                      // for people: "Linux bzImage 2.15, 64-bit entry"
  std::vector<Segment> segments;             // ascending by gpa, disjoint, inside usable RAM
  EntryState entry;
  uvm::GpaRange kernel;  // from the first to the last byte the kernel needs, init_size and bss included
  std::optional<uvm::GpaRange> initrd;  // exact bytes, begins on a page
  std::vector<E820Entry> e820;          // what the guest was told
};

/// Everything a plan depends on. The spans are borrowed for the call only.
struct BootRequest {
  std::span<const std::byte> kernel;  // the whole file
  std::string kernel_name =
      "kernel";                   // path as the user gave it: for errors, and argv[0] of multiboot kernels
  std::uint64_t initrd_size = 0;  // bytes; 0: none
  std::string cmdline;
  MemoryLayout memory;
  uvm::Gpa acpi_rsdp;                        // 0: the guest gets no ACPI
  KernelFormat format = KernelFormat::Auto;  // Auto never chooses a flat format
  std::optional<uvm::Gpa> load_address;      // flat images only; default 0x7c00 (real), 1 MiB (long)
};

/// Errors are Invalid (the file, or the request, makes no sense), Unsupported (a valid file that needs what
/// we lack) or NoMemory (the guest's RAM is too small); each names the file's field, its value and the limit.
[[nodiscard]] uvm::Result<LoadPlan> plan_boot(const BootRequest& request);

/// What Auto would choose for these bytes, by magic numbers alone; nullopt when nothing fits.
[[nodiscard]] std::optional<KernelFormat> detect_format(std::span<const std::byte> kernel);

}  // namespace guest
