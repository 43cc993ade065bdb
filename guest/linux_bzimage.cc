#include "guest/linux_bzimage.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>

#include "guest/boot_params.h"
#include "guest/byte_view.h"
#include "guest/cpu_setup.h"
#include "guest/initrd.h"
#include "guest/low_memory.h"
#include "guest/plan_check.h"
#include "guest/zero_page.h"

namespace guest {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Gpa;
using uvm::GpaRange;

constexpr std::uint64_t kSector = 512;
constexpr std::uint64_t kEntry64 = 0x200;         // startup_64 behind startup_32
constexpr std::uint64_t kDefaultLoad = 0x100000;  // before pref_address existed (2.10)
constexpr std::uint16_t kOldest = 0x206;          // has cmdline_size; Linux 2.6.22
constexpr std::uint16_t kHasInitSize = 0x20a;
constexpr std::uint16_t kHasXloadflags = 0x20c;

enum class Entry { Protected32, Long64 };

/// What the file says, checked.
struct Image {
  SetupHeader header{};
  std::span<const std::byte> raw_header;  // from 0x1f1 on
  std::uint64_t code_offset = 0;          // protected-mode code in the file
  std::uint64_t code_size = 0;
  Gpa preferred;
  std::uint64_t alignment = 0;  // 0: not relocatable
  std::uint64_t window = 0;     // bytes the kernel needs from its load address on
  Entry entry = Entry::Long64;
};

std::string version_text(std::uint16_t version) {
  const std::string minor = std::to_string(version & 0xff);
  return std::to_string(version >> 8) + "." + (minor.size() < 2 ? "0" : "") + minor;
}

uvm::Status read_header(const ByteView& file, Image& image) {
  UVMM_TRY(const auto jump, file.field<std::uint8_t>(0x201, "setup header jump offset"));
  const std::uint64_t end = std::uint64_t{0x202} + jump;
  const auto raw =
      end <= kSetupHeaderOffset ? std::nullopt : file.slice(kSetupHeaderOffset, end - kSetupHeaderOffset);
  if (!raw) return file.truncated("setup header", kSetupHeaderOffset, end - kSetupHeaderOffset);
  image.raw_header = *raw;
  std::memcpy(&image.header, raw->data(), std::min(raw->size(), sizeof(SetupHeader)));

  // Not from the copy: the version decides how long the header has to be.
  UVMM_TRY(const auto version, file.field<std::uint16_t>(0x206, "setup header version"));
  if (version < kOldest) {
    return Error(ErrorKind::Unsupported, "boot protocol " + version_text(version) + " is older than 2.06",
                 "use Linux 2.6.22 or newer");
  }
  const std::uint64_t need = version >= kHasInitSize ? 0x264 : 0x23c;
  if (end < need || end > kSetupHeaderLimit) {
    return Error(ErrorKind::Invalid,
                 "setup header ends at " + uvm::hex(end) + ", protocol " + version_text(version) +
                     " allows " + uvm::hex(need) + " to " + uvm::hex(kSetupHeaderLimit),
                 "the file is damaged; copy or build it again");
  }
  if ((image.header.loadflags & kLoadedHigh) == 0) {
    return Error(ErrorKind::Unsupported, "loadflags says zImage (loaded low), not bzImage",
                 "build the kernel with 'make bzImage'");
  }
  return uvm::ok();
}

uvm::Status read_code(const ByteView& file, Image& image) {
  const std::uint64_t sectors = image.header.setup_sects == 0 ? 4 : image.header.setup_sects;
  image.code_offset = (sectors + 1) * kSector;
  if (image.code_offset >= file.size()) {
    return file.truncated("protected-mode code (setup_sects " + std::to_string(sectors) + ")",
                          image.code_offset, 1);
  }
  const std::uint64_t rest = file.size() - image.code_offset;
  const std::uint64_t claimed = std::uint64_t{image.header.syssize} * 16;
  // syssize is rounded up to 16 bytes; a file may stop short by that much, and may go on with a signature.
  if (claimed >= rest + 16) {
    return file.truncated("protected-mode code (syssize " + uvm::hex(image.header.syssize) + ")",
                          image.code_offset, claimed);
  }
  image.code_size = claimed == 0 ? rest : std::min(claimed, rest);
  return uvm::ok();
}

uvm::Status read_placement(Image& image) {
  const SetupHeader& header = image.header;
  if (header.relocatable_kernel != 0) {
    image.alignment = header.kernel_alignment;
    if (!std::has_single_bit(image.alignment) || image.alignment < uvm::kPageSize) {
      return Error(
          ErrorKind::Invalid,
          "kernel_alignment " + uvm::hex(image.alignment) + " is not a power of two of at least 4096",
          "the file is damaged; copy or build it again");
    }
  }
  const bool has_init_size = header.version >= kHasInitSize;
  image.preferred = has_init_size ? Gpa(header.pref_address) : Gpa(kDefaultLoad);
  image.window = std::max<std::uint64_t>(has_init_size ? header.init_size : 0, image.code_size);
  const bool is_64 = header.version >= kHasXloadflags && (header.xloadflags & kXlfKernel64) != 0;
  image.entry = is_64 ? Entry::Long64 : Entry::Protected32;
  if (is_64 && image.code_size <= kEntry64) {
    return Error(ErrorKind::Invalid,
                 "xloadflags promises a 64-bit entry at +0x200, the code has " +
                     std::to_string(image.code_size) + " bytes",
                 "the file is damaged; copy or build it again");
  }
  return uvm::ok();
}

uvm::Result<Image> parse(std::span<const std::byte> kernel) {
  const ByteView file(kernel);
  if (!is_bzimage(kernel)) {
    return Error(ErrorKind::Invalid, "no Linux setup header (0xaa55 at 0x1fe and \"HdrS\" at 0x202)",
                 "give a bzImage, such as /boot/vmlinuz, or another --format");
  }
  Image image;
  UVMM_CHECK(read_header(file, image));
  UVMM_CHECK(read_code(file, image));
  UVMM_CHECK(read_placement(image));
  return image;
}

/// The window's place: at the preferred address, or at the first aligned one above it that is RAM below 4
/// GiB.
std::optional<GpaRange> find_window(const Image& image, const MemoryLayout& memory) {
  const Gpa limit(low_memory::kIdentityMapped);
  for (const GpaRange ram : memory.usable()) {
    const GpaRange room = ram.before(limit).from(image.preferred);
    Gpa begin = image.preferred;
    if (image.alignment != 0) {
      begin = std::max(room.begin(), image.preferred).align_up(image.alignment);
      if (begin < room.begin()) continue;  // wrapped
    }
    const auto window = GpaRange::from_size(begin, image.window);
    if (window && !room.empty() && room.contains(*window)) return window;
  }
  return std::nullopt;
}

/// Where the file's code goes. At the window's begin, as every boot loader does it, the decompressor would
/// overwrite it page by page: each page of the file read, copied for the guest, and shared with nobody. A
/// relocatable kernel takes the window from pref_address, not from where it is entered (startup_64 of Linux'
/// arch/x86/boot/compressed/head_64.S), so its code may lie below, at 1 MiB, and its pages stay the file's.
/// Only whole pages of the file can be mapped, so there is nothing to win for code that does not begin on
/// one.
Gpa place_code(const Image& image, GpaRange window, const MemoryLayout& memory) {
  const auto low = GpaRange::from_size(low_memory::kEnd, image.code_size);
  const bool movable =
      image.alignment != 0 && image.entry == Entry::Long64 && window.begin() == image.preferred;
  if (!movable || !low || image.code_offset % uvm::kPageSize != 0 || low->end() > window.begin()) {
    return window.begin();
  }
  for (const GpaRange ram : memory.usable()) {
    if (ram.contains(*low)) return low->begin();
  }
  return window.begin();
}

/// The code, and what of the window it leaves.
void add_code(LoadPlan& plan, const Image& image, GpaRange window, Gpa code) {
  plan.segments.push_back(Segment::from_kernel("kernel", code, image.code_size, image.code_offset));
  const std::uint64_t used = code == window.begin() ? image.code_size : 0;
  if (window.size() == used) return;
  plan.segments.push_back(Segment::zero("kernel work area", window.begin() + used, window.size() - used));
}

Error no_window(const Image& image, const MemoryLayout& memory) {
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  const std::string what = "the kernel needs " + std::to_string(image.window) + " bytes (init_size) at " +
                           uvm::hex(image.preferred.value()) + " (pref_address); the guest has " +
                           std::to_string(memory.ram_bytes() / kMiB) + " MiB of RAM";
  const auto window = GpaRange::from_size(image.preferred, image.window);
  if (!window || window->end().value() > low_memory::kIdentityMapped) {
    return {ErrorKind::Invalid, what, "the kernel must fit below 4 GiB; the file is damaged or not for a PC"};
  }
  const std::uint64_t mib = (window->end().value() + kMiB - 1) / kMiB;
  return {ErrorKind::NoMemory, what, "give at least -m " + std::to_string(mib) + "M"};
}

}  // namespace

bool is_bzimage(std::span<const std::byte> kernel) {
  const ByteView file(kernel);
  return file.read<std::uint16_t>(0x1fe) == kBootFlag && file.read<std::uint32_t>(0x202) == kHeaderMagic;
}

uvm::Result<LoadPlan> plan_bzimage(const BootRequest& request) {
  UVMM_TRY(const Image image, parse(request.kernel));
  const auto window = find_window(image, request.memory);
  if (!window) return no_window(image, request.memory);

  LoadPlan plan;
  plan.format = KernelFormat::BzImage;
  const bool long_mode = image.entry == Entry::Long64;
  plan.protocol = "Linux bzImage, boot protocol " + version_text(image.header.version) +
                  (long_mode ? ", 64-bit entry" : ", 32-bit entry");
  const Gpa code = place_code(image, *window, request.memory);
  plan.kernel = *GpaRange::from_bounds(code, window->end());
  add_code(plan, image, *window, code);
  const std::uint64_t initrd_limit =
      std::min(std::uint64_t{image.header.initrd_addr_max} + 1, low_memory::kIdentityMapped);
  UVMM_CHECK(place_initrd(plan, request, Gpa(initrd_limit)));
  UVMM_CHECK(add_zero_page(plan, request, image.raw_header, image.header.cmdline_size));

  if (long_mode) {
    enter_long_mode(plan, (code + kEntry64).value());
  } else {
    enter_protected_mode(plan, static_cast<std::uint32_t>(code.value()));
  }
  plan.entry.rsi = low_memory::kBootParams.value();
  return plan;
}

}  // namespace guest
