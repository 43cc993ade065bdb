#include "guest/elf_image.h"

#include <gtest/gtest.h>

#include "tests/guest/images.h"

namespace guest {
namespace elf_image_test {

using test::Bytes;
using test::ElfPart;
using test::ElfSpec;
using test::expect_error;
using uvm::ErrorKind;
using uvm::Gpa;

TEST(ElfImage, ReadsBothClassesAlike) {
  ElfSpec spec;
  spec.parts = {ElfPart{.virtual_address = 0xc0100000, .physical = 0x100000}};
  spec.entry = 0x100010;
  for (const int bits : {32, 64}) {
    spec.bits = bits;
    const ElfImage image = ElfImage::parse(test::make_elf(spec)).value();
    EXPECT_EQ(image.elf_class, bits == 32 ? ElfClass::Elf32 : ElfClass::Elf64);
    EXPECT_EQ(image.entry, 0x100010u);
    ASSERT_EQ(image.loads.size(), 1u);
    EXPECT_EQ(image.loads[0].file_offset, 0x200u);
    EXPECT_EQ(image.loads[0].file_size, 0x100u);
    EXPECT_EQ(image.loads[0].memory_size, 0x180u);
    EXPECT_EQ(image.loads[0].physical, 0x100000u);
    EXPECT_EQ(image.loads[0].virtual_address, 0xc0100000u);
  }
}

TEST(ElfImage, EntryIsPhysicalOrTranslated) {
  ElfImage image = ElfImage::parse(test::make_elf()).value();
  image.entry = 0x1000010;
  EXPECT_EQ(image.physical_entry().value(), Gpa(0x1000010));
  image.entry = 0xffffffff81000020;
  EXPECT_EQ(image.physical_entry().value(), Gpa(0x1000020));
  image.entry = 0x1000180;  // one past the bss
  expect_error(image.physical_entry(), ErrorKind::Invalid, "e_entry 0x1000180");
}

TEST(ElfImage, FindsNotesPastOthers) {
  const Bytes kernel = test::make_pvh();
  const ElfImage image = ElfImage::parse(kernel).value();
  EXPECT_EQ(image.notes.size(), 2u);
  const auto note = image.find_note("Xen", 18);
  ASSERT_TRUE(note.has_value());
  EXPECT_EQ(note->descriptor.size(), 8u);
  EXPECT_FALSE(image.find_note("Xen", 17).has_value());
  EXPECT_FALSE(image.find_note("Xe", 18).has_value());
}

TEST(ElfImage, MalformedNotesEndTheirSegment) {
  Bytes note = test::make_note("Xen", 18, Bytes(8));
  for (const std::size_t field : {0u, 4u}) {  // n_namesz, n_descsz
    for (const std::uint32_t size : {0x1000u, 0x7fffffffu, 0xffffffffu}) {
      Bytes damaged = note;
      test::poke(damaged, field, size);
      const auto image = ElfImage::parse(test::make_elf_with_notes(damaged));
      ASSERT_TRUE(image.has_value());
      EXPECT_TRUE(image->notes.empty());
    }
  }
}

TEST(ElfImage, FileAndBssBecomeSegments) {
  const Bytes kernel = test::make_elf();
  const BootRequest request = test::request(kernel);
  LoadPlan plan;
  const ElfImage image = ElfImage::parse(kernel).value();
  ASSERT_TRUE(add_elf_segments(plan, image, request).has_value());
  ASSERT_EQ(plan.segments.size(), 2u);
  EXPECT_EQ(plan.segments[0].source, Segment::Source::FromKernel);
  EXPECT_EQ(uvm::to_string(*plan.segments[0].range()), "0x1000000+0x100");
  EXPECT_EQ(plan.segments[1].source, Segment::Source::Zero);
  EXPECT_EQ(uvm::to_string(*plan.segments[1].range()), "0x1000100+0x80");
  EXPECT_EQ(uvm::to_string(plan.kernel), "0x1000000+0x180");
}

TEST(ElfImage, RefusesOneBadHeaderFieldAtATime) {
  struct Case {
    std::size_t offset;
    std::uint16_t value;
    ErrorKind kind;
    std::string_view expected;
  };
  for (const Case& bad : {
           Case{0, 0x1234, ErrorKind::Invalid, "not an ELF file"},
           Case{4, 0x0103, ErrorKind::Invalid, "EI_CLASS 3"},
           Case{4, 0x0202, ErrorKind::Invalid, "EI_DATA 2"},
           Case{16, 1, ErrorKind::Invalid, "e_type is 1"},
           Case{18, 183, ErrorKind::Unsupported, "e_machine is 183"},
           Case{test::kElf64Phoff, 0xffff, ErrorKind::Invalid,
                "program header table (e_phoff) at offset 0xffff"},
           Case{test::kElf64Phoff + 6, 0xffff, ErrorKind::Invalid, "e_phoff"},
           Case{test::kElf64Phentsize, 55, ErrorKind::Invalid, "e_phentsize 55"},
           Case{test::kElf64Phnum, 0xffff, ErrorKind::Invalid, "e_phoff"},
           Case{test::kElf64Phnum, 0, ErrorKind::Invalid, "no PT_LOAD segment with contents among 0"},
       }) {
    Bytes kernel = test::make_elf();
    test::poke(kernel, bad.offset, bad.value);
    expect_error(ElfImage::parse(kernel), bad.kind, bad.expected);
  }
}

TEST(ElfImage, RefusesOneBadSegmentFieldAtATime) {
  constexpr std::uint64_t kTop = ~std::uint64_t{0};
  struct Case {
    ElfPart part;
    ErrorKind kind;
    std::string_view expected;
  };
  for (const Case& bad : {
           Case{{.offset = kTop}, ErrorKind::Invalid, "p_offset at offset 0xffffffffffffffff"},
           Case{{.offset = 0x301}, ErrorKind::Invalid, "p_offset at offset 0x301 (256 bytes)"},
           Case{{.file_size = 0x181}, ErrorKind::Invalid, "p_filesz 0x181 is more than p_memsz 0x180"},
           Case{{.file_size = kTop, .memory_size = kTop}, ErrorKind::Invalid, "p_offset"},
           Case{{.physical = kTop}, ErrorKind::Invalid, "2^52"},
           Case{{.physical = 0xffffffff81000000}, ErrorKind::Invalid, "2^52"},
           Case{{.physical = uvm::kAddressLimit - 0x200}, ErrorKind::NoMemory, "usable RAM"},
           Case{{.physical = 0x9fb00}, ErrorKind::NoMemory, "usable RAM"},
           Case{{.physical = 0xc0000000}, ErrorKind::NoMemory, "usable RAM"},
           Case{{.memory_size = kTop}, ErrorKind::Invalid, "2^52"},
           Case{{.memory_size = std::uint64_t{1} << 40}, ErrorKind::NoMemory, "usable RAM"},
           Case{{.memory_size = 0, .align = 0}, ErrorKind::Invalid, "p_filesz"},
       }) {
    ElfSpec spec;
    spec.parts = {bad.part};
    spec.entry = bad.part.physical;
    const Bytes kernel = test::make_elf(spec);
    BootRequest request = test::request(kernel);
    request.format = KernelFormat::Multiboot;
    LoadPlan plan;
    const auto image = ElfImage::parse(kernel);
    if (!image) {
      expect_error(image, bad.kind, bad.expected);
    } else {
      expect_error(add_elf_segments(plan, *image, request), bad.kind, bad.expected);
    }
  }
}

TEST(ElfImage, OverlappingSegmentsAreRefused) {
  ElfSpec spec;
  spec.parts = {ElfPart{}, ElfPart{.physical = 0x100017f, .memory_size = 0x100}};
  const Bytes kernel = test::make_elf(spec);
  expect_error(plan_boot(test::request(kernel)), ErrorKind::Invalid, "overlaps kernel segment 0 bss");
}

TEST(ElfImage, EveryTruncationIsAnError) {
  const Bytes kernel = test::make_elf({.file_size = 0x300});
  for (std::size_t size = 0; size < kernel.size(); ++size) {
    const Bytes cut(kernel.begin(), kernel.begin() + static_cast<std::ptrdiff_t>(size));
    const auto image = ElfImage::parse(cut);
    ASSERT_FALSE(image.has_value()) << size;
    EXPECT_EQ(image.error().kind(), ErrorKind::Invalid) << size;
  }
}

}  // namespace elf_image_test
}  // namespace guest
