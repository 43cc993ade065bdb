#include "guest/acpi/aml.h"

#include <gtest/gtest.h>

#include "guest/acpi/resources.h"
#include "guest/byte_writer.h"

namespace guest::acpi {
namespace aml_test {

using aml::Aml;

Aml raw(std::initializer_list<unsigned> bytes) {
  ByteWriter out;
  for (const unsigned byte : bytes) out.u8(byte);
  return out.take();
}

TEST(Aml, IntegersTakeTheShortestForm) {
  EXPECT_EQ(aml::integer(0), raw({0x00}));
  EXPECT_EQ(aml::integer(1), raw({0x01}));
  EXPECT_EQ(aml::integer(2), raw({0x0a, 2}));
  EXPECT_EQ(aml::integer(0xff), raw({0x0a, 0xff}));
  EXPECT_EQ(aml::integer(0x100), raw({0x0b, 0, 1}));
  EXPECT_EQ(aml::integer(0x10000), raw({0x0c, 0, 0, 1, 0}));
  EXPECT_EQ(aml::integer(0x100000000), raw({0x0e, 0, 0, 0, 0, 1, 0, 0, 0}));
}

TEST(Aml, PathsFillTheirSegment) {
  EXPECT_EQ(aml::path("S5"), ByteWriter().text("S5__").take());
  EXPECT_EQ(aml::path("\\_SB"), ByteWriter().text("\\_SB_").take());
}

TEST(Aml, EisaIdIsTheCompressedForm) {
  // ACPI 6.3, 19.3.4: EISAID("PNP0C09") is 0x090cd041 in a little-endian DWord.
  EXPECT_EQ(aml::eisa_id("PNP0C09"), raw({0x0c, 0x41, 0xd0, 0x0c, 0x09}));
}

// The length counts itself; the limits are 63, 4095 and 1048575 bytes in all.
TEST(Aml, LengthsCountTheirOwnBytes) {
  const auto head = [](std::size_t payload, std::size_t bytes) {
    Aml encoded = aml::with_length(Aml(payload));
    EXPECT_EQ(encoded.size(), payload + bytes);
    encoded.resize(bytes);
    return encoded;
  };
  EXPECT_EQ(head(0, 1), raw({1}));
  EXPECT_EQ(head(62, 1), raw({63}));
  EXPECT_EQ(head(63, 2), raw({0x41, 0x04}));
  EXPECT_EQ(head(4093, 2), raw({0x4f, 0xff}));
  EXPECT_EQ(head(4094, 3), raw({0x81, 0x00, 0x01}));
  EXPECT_EQ(head(1048572, 3), raw({0x8f, 0xff, 0xff}));
  EXPECT_EQ(head(1048573, 4), raw({0xc1, 0x00, 0x00, 0x01}));
}

TEST(Aml, ObjectsNest) {
  EXPECT_EQ(aml::name("_UID", aml::integer(1)), raw({0x08, '_', 'U', 'I', 'D', 1}));
  EXPECT_EQ(aml::package({aml::integer(5), aml::integer(0)}), raw({0x12, 5, 2, 0x0a, 5, 0}));
  EXPECT_EQ(aml::buffer(raw({7, 8})), raw({0x11, 5, 0x0a, 2, 7, 8}));
  EXPECT_EQ(aml::device("D", {}), raw({0x5b, 0x82, 5, 'D', '_', '_', '_'}));
  EXPECT_EQ(aml::notify("D", 0x80), raw({0x86, 'D', '_', '_', '_', 0x0a, 0x80}));
  EXPECT_EQ(aml::method("M", raw({0xa3})), raw({0x14, 7, 'M', '_', '_', '_', 9, 0xa3}));
  EXPECT_EQ(aml::scope("S", {}), raw({0x10, 5, 'S', '_', '_', '_'}));
  EXPECT_EQ(aml::string("ab"), raw({0x0d, 'a', 'b', 0}));
}

TEST(Resources, SmallDescriptors) {
  EXPECT_EQ(resources::io(0x3f8, 8), raw({0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8}));
  EXPECT_EQ(resources::irq(4), raw({0x22, 0x10, 0}));
}

TEST(Resources, WindowsGiveTheirLengthAndLastAddress) {
  EXPECT_EQ(resources::bus_window(0, 0), raw({0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}));
  EXPECT_EQ(resources::io_window(0xd00, 0xffff),
            raw({0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0, 0x0d, 0xff, 0xff, 0, 0, 0, 0xf3}));
  const auto range = uvm::GpaRange::from_bounds(uvm::Gpa(0xc0000000), uvm::Gpa(0x100000000));
  EXPECT_EQ(resources::memory_window_32(*range),
            raw({0x87, 23,   0,    0,    0x0c, 1, 0, 0, 0, 0, 0, 0, 0,
                 0xc0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x40}));
}

}  // namespace aml_test
}  // namespace guest::acpi
