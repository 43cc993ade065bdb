// Each boot protocol by a kernel of a few bytes that looks for what the protocol promises it and leaves by
// port 0xf4: 0 when it is there. The kernels are files, so their pages are mapped as a real kernel's are.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/guest/images.h"
#include "tests/support/kvm_machine.h"
#include "vmm/machine/machine.h"

namespace vmm {
namespace protocol_test {

using guest::test::Bytes;
using guest::test::ElfPart;
using guest::test::ElfSpec;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

Bytes code(std::initializer_list<unsigned> values) {
  Bytes bytes;
  bytes.reserve(values.size());
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// setne al; mov dx, 0xf4; out dx, al; hlt, in 32- and 64-bit code.
const Bytes kLeave = code({0x0f, 0x95, 0xc0, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4});

void place(Bytes& file, std::size_t offset, const Bytes& what) {
  ASSERT_LE(offset + what.size(), file.size());
  std::copy(what.begin(), what.end(), file.begin() + static_cast<std::ptrdiff_t>(offset));
}

class KernelFile {
 public:
  explicit KernelFile(const Bytes& bytes)
      : path_(std::filesystem::temp_directory_path() / ("uvmm-kernel-" + std::to_string(::getpid()))) {
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  ~KernelFile() { std::filesystem::remove(path_); }
  KernelFile(const KernelFile&) = delete;
  KernelFile& operator=(const KernelFile&) = delete;

  [[nodiscard]] MachineConfig config(const std::string& format = "auto") const {
    MachineConfig config = test::builtin_config("");
    config.boot.kernel = path_.string();
    config.boot.format = format;
    config.debug_exit = DebugExitStatus::Plain;
    return config;
  }
  [[nodiscard]] std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::filesystem::path path_;
};

RunReport boot(const Bytes& kernel, const std::string& format = "auto") {
  return test::run_machine(KernelFile(kernel).config(format));
}

TEST(Protocol, MultibootHandsOverItsMagic) {
  UVMM_REQUIRE_KVM();
  Bytes kernel = guest::test::make_multiboot_elf();
  place(kernel, 0x210, code({0x3d, 0x02, 0xb0, 0xad, 0x2b}) + kLeave);  // cmp eax, 0x2badb002
  const auto report = boot(kernel);
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST(Protocol, PvhHandsOverItsStartInfo) {
  UVMM_REQUIRE_KVM();
  Bytes kernel = guest::test::make_pvh();
  place(kernel, 0x240, code({0x81, 0x3b, 0x78, 0xc5, 0x6e, 0x33}) + kLeave);  // cmp dword [ebx], 0x336ec578
  const auto report = boot(kernel);
  EXPECT_EQ(report.status, 0) << report.summary;
}

/// cmp dword [rsi + 0x202], "HdrS"
const Bytes kHasBootParams = code({0x81, 0xbe, 0x02, 0x02, 0x00, 0x00, 0x48, 0x64, 0x72, 0x53}) + kLeave;

TEST(Protocol, AnElfKernelGetsBootParams) {
  UVMM_REQUIRE_KVM();
  Bytes kernel = guest::test::make_elf();
  place(kernel, 0x200, kHasBootParams);
  const auto report = boot(kernel);
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST(Protocol, ABzImageIsEnteredAtItsLongModeEntryWithBootParams) {
  UVMM_REQUIRE_KVM();
  Bytes kernel = guest::test::make_bzimage();
  place(kernel, guest::test::kBzCodeOffset + 0x200, kHasBootParams);
  const auto report = boot(kernel);
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST(Protocol, FlatImagesRunAsTheyAre) {
  UVMM_REQUIRE_KVM();
  // mov al, 0; mov dx, 0xf4; out dx, al; hlt
  const auto real = boot(code({0xb0, 0x00, 0xba, 0xf4, 0x00, 0xee, 0xf4}), "flat-real");
  EXPECT_EQ(real.status, 0) << real.summary;
  // mov al, 0; mov dx, 0xf4; out dx, al; hlt
  const auto long_mode = boot(code({0xb0, 0x00, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4}), "flat-long");
  EXPECT_EQ(long_mode.status, 0) << long_mode.summary;
}

constexpr std::uint64_t kPayload = 2 * kMiB;
enum class Touch { Read, Write };

/// A multiboot kernel of 2 MiB that touches each of its pages, the first (its own code) excepted.
Bytes large_kernel(Touch touch) {
  ElfSpec spec;
  spec.bits = 32;
  spec.machine = 3;
  spec.entry = 0x100200;
  spec.parts = {ElfPart{.offset = 0,
                        .virtual_address = 0x100000,
                        .physical = 0x100000,
                        .file_size = kPayload,
                        .memory_size = kPayload,
                        .align = 4096}};
  spec.file_size = kPayload;
  Bytes file = guest::test::make_elf(spec);
  guest::test::put_multiboot_header(file, 3);
  const Bytes access =
      touch == Touch::Read ? code({0x8b, 0x06}) : code({0x89, 0x06});  // mov eax, [esi] or back
  place(file, 0x200,
        code({0xbe, 0x00, 0x10, 0x10, 0x00}) + access +   // mov esi, 0x101000
            code({0x81, 0xc6, 0x00, 0x10, 0x00, 0x00}) +  // add esi, 4096
            code({0x81, 0xfe, 0x00, 0x00, 0x30, 0x00}) +  // cmp esi, 0x300000
            code({0x72, 0xf0, 0xb0, 0x00}) +              // jb to the access; mov al, 0
            code({0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4}));
  return file;
}

struct KernelPages {
  std::uint64_t shared = 0;
  std::uint64_t priv = 0;
};

KernelPages run_and_look(const KernelFile& file) {
  auto machine = Machine::create(file.config());
  EXPECT_TRUE(machine) << machine.error().text();
  if (!machine) return {};
  const auto report = (*machine)->run();
  EXPECT_TRUE(report && report->status == 0) << (report ? report->summary : report.error().text());
  KernelPages pages;
  for (const auto& entry : (*machine)->space().entries()) {
    if (entry.name != "kernel") continue;
    const auto residency = (*machine)->space().residency(entry.range);
    pages.shared += residency.shared;
    pages.priv += residency.priv;
  }
  return pages;
}

TEST(KernelFilePages, AreSharedWhileAGuestOnlyReadsThem) {
  UVMM_REQUIRE_KVM();
  const KernelFile file(large_kernel(Touch::Read));
  const KernelPages pages = run_and_look(file);
  EXPECT_GE(pages.shared, kPayload - 2 * uvm::kPageSize);
  EXPECT_EQ(pages.priv, 0U);
}

TEST(KernelFilePages, BecomePrivateWhenAGuestWritesAndTheFileStaysAsItIs) {
  UVMM_REQUIRE_KVM();
  const KernelFile file(large_kernel(Touch::Write));
  const std::string before = file.contents();
  const KernelPages pages = run_and_look(file);
  EXPECT_GE(pages.priv, kPayload - 2 * uvm::kPageSize);
  EXPECT_TRUE(file.contents() == before) << "the kernel file was written";
}

}  // namespace protocol_test
}  // namespace vmm
