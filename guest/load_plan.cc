#include "guest/load_plan.h"

#include "guest/byte_view.h"
#include "guest/elf_image.h"
#include "guest/flat.h"
#include "guest/linux_bzimage.h"
#include "guest/linux_elf.h"
#include "guest/multiboot.h"
#include "guest/plan_check.h"
#include "guest/pvh.h"

namespace guest {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::GpaRange;

/// What a file that is no kernel seems to be, for the error.
std::string_view guess(std::span<const std::byte> kernel) {
  const ByteView file(kernel);
  if (file.size() == 0) return "the file is empty";
  if (file.read<std::uint16_t>(0) == 0x8b1f) return "the file is gzip data; unpack it first";
  if (file.read<std::uint32_t>(0) == 0xfd2fb528) return "the file is zstd data; unpack it first";
  if (file.read<std::uint32_t>(0) == 0x587a37fd) return "the file is xz data; unpack it first";
  if (file.read<std::uint32_t>(0x38) == 0x644d5241) return "the file is a kernel for arm64";
  if (file.read<std::uint16_t>(0) == 0x5a4d)
    return "the file is an EFI or DOS program without a Linux setup header";
  return "the file has no known magic number";
}

Error not_recognised(std::span<const std::byte> kernel) {
  return {
      ErrorKind::Invalid, "format not recognised: " + std::string(guess(kernel)),
      "give a bzImage, an ELF vmlinux or a multiboot kernel, or name the format of a raw image (flat-real, "
      "flat-long)"};
}

uvm::Result<LoadPlan> plan_format(KernelFormat format, const BootRequest& request) {
  switch (format) {
    case KernelFormat::BzImage:
      return plan_bzimage(request);
    case KernelFormat::Elf64:
      return plan_elf64(request);
    case KernelFormat::Pvh:
      return plan_pvh(request);
    case KernelFormat::Multiboot:
      return plan_multiboot(request);
    case KernelFormat::FlatReal:
      return plan_flat_real(request);
    case KernelFormat::FlatLong:
      return plan_flat_long(request);
    case KernelFormat::Auto:
      break;
  }
  return not_recognised(request.kernel);
}

uvm::Result<LoadPlan> plan_and_check(const BootRequest& request) {
  KernelFormat format = request.format;
  if (format == KernelFormat::Auto) format = detect_format(request.kernel).value_or(KernelFormat::Auto);
  if (request.load_address && format != KernelFormat::FlatReal && format != KernelFormat::FlatLong) {
    return Error(ErrorKind::Invalid,
                 "a load address (" + uvm::hex(request.load_address->value()) + ") was given for format " +
                     std::string(to_string(format)) + ", whose files say themselves where they go",
                 "leave it out, or use flat-real or flat-long");
  }
  UVMM_TRY(LoadPlan plan, plan_format(format, request));
  UVMM_CHECK(check_plan(plan, request));
  return plan;
}

}  // namespace

Segment Segment::from_kernel(std::string name, uvm::Gpa gpa, std::uint64_t size, std::uint64_t file_offset) {
  return {std::move(name), gpa, size, Source::FromKernel, file_offset, {}};
}

Segment Segment::from_bytes(std::string name, uvm::Gpa gpa, std::vector<std::byte> bytes) {
  const std::uint64_t size = bytes.size();
  return {std::move(name), gpa, size, Source::Bytes, 0, std::move(bytes)};
}

Segment Segment::zero(std::string name, uvm::Gpa gpa, std::uint64_t size) {
  return {std::move(name), gpa, size, Source::Zero, 0, {}};
}

std::optional<GpaRange> Segment::range() const {
  return GpaRange::from_size(gpa, size);
}

GpaRange Segment::mappable_pages() const {
  const bool is_file = source == Source::FromKernel || source == Source::FromInitrd;
  const auto whole = range();
  if (!is_file || !whole || gpa.offset_in_page() != file_offset % uvm::kPageSize) return {};
  const uvm::Gpa begin = gpa.page_up();
  const uvm::Gpa end = whole->end().page_down();
  if (begin < gpa) return {};  // wrapped
  return GpaRange::from_bounds(begin, end).value_or(GpaRange());
}

std::string_view to_string(Segment::Source source) {
  switch (source) {
    case Segment::Source::FromKernel:
      return "kernel file";
    case Segment::Source::FromInitrd:
      return "initrd file";
    case Segment::Source::Bytes:
      return "generated";
    case Segment::Source::Zero:
      return "zero";
  }
  return "unknown";
}

std::optional<KernelFormat> detect_format(std::span<const std::byte> kernel) {
  if (is_bzimage(kernel)) return KernelFormat::BzImage;
  if (find_multiboot_header(kernel)) return KernelFormat::Multiboot;
  if (!is_elf(kernel)) return std::nullopt;
  const auto image = ElfImage::parse(kernel);
  return image && pvh_entry(*image) ? KernelFormat::Pvh : KernelFormat::Elf64;
}

uvm::Result<LoadPlan> plan_boot(const BootRequest& request) {
  auto plan = plan_and_check(request);
  if (!plan) return std::move(plan).error().with_context("kernel " + request.kernel_name);
  return plan;
}

}  // namespace guest
