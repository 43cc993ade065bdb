#include "vmm/virtio/net/header.h"

#include <gtest/gtest.h>

namespace vmm::virtio::net {
namespace header_test {

constexpr std::uint64_t kAll = feature::kCsum | feature::kHostTso4 | feature::kHostTso6 | feature::kHostEcn;

Header segmented(std::uint8_t how) {
  Header header;
  header.flags = Header::kNeedsChecksum;
  header.segmentation = how;
  header.segment_bytes = 1448;
  header.checksum_start = 34;
  header.checksum_offset = 16;
  return header;
}

TEST(NetHeader, APlainFrameNeedsNothing) {
  EXPECT_TRUE(is_sound({}, kLeastFrameBytes, 0));
  EXPECT_TRUE(is_sound({}, kMostFrameBytes, 0));
  EXPECT_FALSE(is_sound({}, kLeastFrameBytes - 1, kAll));
  EXPECT_FALSE(is_sound({}, kMostFrameBytes + 1, kAll));
}

TEST(NetHeader, AChecksumMustLieInTheFrame) {
  Header header;
  header.flags = Header::kNeedsChecksum;
  header.checksum_start = 34;
  header.checksum_offset = 16;
  EXPECT_TRUE(is_sound(header, 52, kAll));
  EXPECT_FALSE(is_sound(header, 51, kAll));
  EXPECT_FALSE(is_sound(header, 52, 0)) << "nobody has offered it";
  header.checksum_start = 0xffff;
  header.checksum_offset = 0xffff;
  EXPECT_FALSE(is_sound(header, kMostFrameBytes, kAll));
}

TEST(NetHeader, ASegmentedFrameNeedsItsFeature) {
  EXPECT_TRUE(is_sound(segmented(Header::kTcp4), 3000, kAll));
  EXPECT_TRUE(is_sound(segmented(Header::kTcp6 | Header::kEcn), 3000, kAll));
  EXPECT_FALSE(is_sound(segmented(Header::kTcp4), 3000, kAll & ~feature::kHostTso4));
  EXPECT_FALSE(is_sound(segmented(Header::kTcp6), 3000, kAll & ~feature::kHostTso6));
  EXPECT_FALSE(is_sound(segmented(Header::kTcp4 | Header::kEcn), 3000, kAll & ~feature::kHostEcn));
  EXPECT_FALSE(is_sound(segmented(3), 3000, ~std::uint64_t{0})) << "UDP is not offered";
  EXPECT_FALSE(is_sound(segmented(Header::kEcn), 3000, kAll)) << "no kind at all";
}

TEST(NetHeader, ASegmentedFrameSaysHowLongItsPiecesAre) {
  Header header = segmented(Header::kTcp4);
  header.segment_bytes = 0;
  EXPECT_FALSE(is_sound(header, 3000, kAll));
  header = segmented(Header::kTcp4);
  header.flags = 0;
  EXPECT_FALSE(is_sound(header, 3000, kAll)) << "each piece needs a checksum of its own";
}

TEST(NetHeader, FlagsThatNobodyKnowsAreIgnored) {
  Header header;
  header.flags = 0xfe;
  header.header_bytes = 0xffff;
  header.buffers = 0xffff;
  EXPECT_TRUE(is_sound(header, 60, 0));
}

}  // namespace header_test
}  // namespace vmm::virtio::net
