// The fuzzers' seeds are the images the tests make. UVMM_WRITE_CORPUS=1 writes them anew after a change.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/guest/images.h"
#include "tests/support/places.h"

namespace guest {
namespace corpus_test {

namespace fs = std::filesystem;
using test::Bytes;

struct Seed {
  const char* path;  // below tests/fuzz/corpus
  Bytes bytes;
};

std::vector<Seed> seeds() {
  SetupHeader old = test::bz_header();
  old.version = 0x206;
  old.jump_offset = 0x23c - 0x202;
  test::ElfSpec elf32;
  elf32.bits = 32;
  elf32.machine = 3;
  elf32.parts = {test::ElfPart{.virtual_address = 0x100000, .physical = 0x100000}};
  return {
      {"bzimage/64bit", test::make_bzimage()},
      {"bzimage/protocol-2.06", test::make_bzimage(old)},
      {"elf/vmlinux", test::make_elf()},
      {"elf/elf32", test::make_elf(elf32)},
      {"elf/pvh", test::make_pvh()},
      {"multiboot/elf", test::make_multiboot_elf()},
      {"multiboot/address-fields", test::make_multiboot_kludge()},
  };
}

TEST(Corpus, SeedsAreWhatTheTestsMake) {
  const fs::path root = fs::path(::test::source_dir()) / "tests/fuzz/corpus";
  for (const Seed& seed : seeds()) {
    const fs::path path = root / seed.path;
    if (std::getenv("UVMM_WRITE_CORPUS") != nullptr) {
      fs::create_directories(path.parent_path());
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char*>(seed.bytes.data()),
                 static_cast<std::streamsize>(seed.bytes.size()));
    }
    std::ifstream file(path, std::ios::binary);
    ASSERT_TRUE(file.good()) << path;
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    EXPECT_EQ(ByteWriter().text(text).take(), seed.bytes)
        << path << " is out of date; run with UVMM_WRITE_CORPUS=1";
  }
}

}  // namespace corpus_test
}  // namespace guest
