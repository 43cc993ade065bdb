// Requests of a disk's driver, read out of bytes: what is right, and what is refused how.
#include "vmm/virtio/blk/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "vmm/devices/registers.h"

namespace vmm::virtio::blk {
namespace request_test {

using ::testing::ElementsAre;

constexpr std::uint64_t kSectors = 100;

Limits limits() {
  Limits limits;
  limits.bytes = kSectors * kSectorBytes;
  limits.discards = true;
  limits.data_bytes = 8 * kSectorBytes;
  limits.range_bytes = 50 * kSectorBytes;
  limits.ranges = 3;
  return limits;
}

std::vector<std::byte> header(std::uint32_t type, std::uint64_t sector) {
  std::vector<std::byte> bytes(kHeaderBytes);
  devices::store_le(std::span(bytes).subspan(0, 4), type);
  devices::store_le(std::span(bytes).subspan(8, 8), sector);
  return bytes;
}

std::vector<std::byte> range(std::uint64_t sector, std::uint32_t sectors, std::uint32_t flags = 0) {
  std::vector<std::byte> bytes(kRangeBytes);
  devices::store_le(std::span(bytes).subspan(0, 8), sector);
  devices::store_le(std::span(bytes).subspan(8, 4), sectors);
  devices::store_le(std::span(bytes).subspan(12, 4), flags);
  return bytes;
}

/// The status that refuses it; Ok: it is not refused.
RequestStatus status(std::uint32_t type, std::uint64_t sector, std::uint64_t out, std::uint64_t in,
                     const Limits& of = limits()) {
  const auto parsed = parse_request(header(type, sector), out, in, of);
  const auto* const refusal = std::get_if<RequestStatus>(&parsed);
  return refusal != nullptr ? *refusal : RequestStatus::Ok;
}

TEST(BlkRequest, ReadsAndWritesAreWhereTheHeaderSays) {
  EXPECT_EQ(std::get<Request>(parse_request(header(0, 3), 0, 1024, limits())),
            (Request{RequestType::In, 1536, 1024}));
  EXPECT_EQ(std::get<Request>(parse_request(header(1, 99), 512, 0, limits())),
            (Request{RequestType::Out, 99 * 512, 512}));
  EXPECT_EQ(status(0, kSectors, 0, 0), RequestStatus::Ok) << "nothing, at the end";
}

TEST(BlkRequest, WhatIsPastTheEndOrNoWholeSectorIsAnError) {
  EXPECT_EQ(status(0, 99, 0, 1024), RequestStatus::IoError);
  EXPECT_EQ(status(0, 101, 0, 512), RequestStatus::IoError);
  EXPECT_EQ(status(0, ~std::uint64_t{0}, 0, 512), RequestStatus::IoError);
  EXPECT_EQ(status(1, (std::uint64_t{1} << 55) - 1, 1024, 0), RequestStatus::IoError) << "2^64 in bytes";
  EXPECT_EQ(status(1, 0, 511, 0), RequestStatus::IoError);
  EXPECT_EQ(status(0, 0, 0, 513), RequestStatus::IoError);
  EXPECT_EQ(status(0, 0, 0, 9 * 512), RequestStatus::IoError) << "longer than was agreed";
}

TEST(BlkRequest, AHeaderThatIsCutIsAnErrorAndAnUnknownTypeUnsupported) {
  const auto whole = header(0, 0);
  EXPECT_EQ(std::get<RequestStatus>(parse_request(std::span(whole).first(15), 0, 512, limits())),
            RequestStatus::IoError);
  for (const std::uint32_t type : {2U, 3U, 5U, 7U, 9U, 10U, 12U, 14U, 0x80000000U, 0xffffffffU}) {
    EXPECT_EQ(status(type, 0, 512, 512), RequestStatus::Unsupported) << type;
  }
}

TEST(BlkRequest, ADiskThatIsOnlyReadRefusesEveryChange) {
  Limits read_only = limits();
  read_only.access = DiskAccess::ReadOnly;
  read_only.discards = false;
  for (const std::uint32_t type : {1U, 11U, 13U}) {
    EXPECT_EQ(status(type, 0, 512, 0, read_only), RequestStatus::IoError) << type;
  }
  EXPECT_EQ(status(0, 0, 0, 512, read_only), RequestStatus::Ok);
  EXPECT_EQ(status(4, 0, 0, 0, read_only), RequestStatus::Ok);
}

TEST(BlkRequest, DiscardsAreUnsupportedWhereTheyWereNotOffered) {
  Limits none = limits();
  none.discards = false;
  EXPECT_EQ(status(11, 0, 16, 0, none), RequestStatus::Unsupported);
  EXPECT_EQ(status(13, 0, 16, 0, none), RequestStatus::Unsupported);
  EXPECT_EQ(status(11, 0, 0, 0), RequestStatus::IoError) << "without a range";
  EXPECT_EQ(status(11, 0, 17, 0), RequestStatus::IoError) << "half a range";
  EXPECT_EQ(status(11, 0, 64, 0), RequestStatus::IoError) << "too many";
}

TEST(BlkRequest, RangesAreLookedAtOneByOne) {
  auto bytes = range(1, 2, 1);
  const auto second = range(50, 50);
  bytes.insert(bytes.end(), second.begin(), second.end());
  EXPECT_THAT(std::get<std::vector<Range>>(parse_ranges(RequestType::WriteZeroes, bytes, limits())),
              ElementsAre(Range{512, 1024, Unmap::Yes}, Range{50 * 512, 50 * 512, Unmap::No}));
  const auto refusal = [](RequestType type, const std::vector<std::byte>& of) {
    return std::get<RequestStatus>(parse_ranges(type, of, limits()));
  };
  EXPECT_EQ(refusal(RequestType::Discard, range(1, 2, 1)), RequestStatus::Unsupported) << "has no flags";
  EXPECT_EQ(refusal(RequestType::WriteZeroes, range(1, 2, 2)), RequestStatus::Unsupported);
  EXPECT_EQ(refusal(RequestType::Discard, range(99, 2)), RequestStatus::IoError);
  EXPECT_EQ(refusal(RequestType::Discard, range(~std::uint64_t{0}, 1)), RequestStatus::IoError);
  EXPECT_EQ(refusal(RequestType::Discard, range(0, 51)), RequestStatus::IoError) << "longer than was agreed";
  EXPECT_TRUE(
      std::get<std::vector<Range>>(parse_ranges(RequestType::Discard, range(5, 0), limits())).empty());
}

TEST(BlkRequest, HowTheDriverCutsARequestIsItsOwnAffair) {
  Frame frame;
  ASSERT_TRUE(frame.read({0, {{0x1000, 10}, {0x2000, 518}}, {{0x3000, 512}, {0x4000, 3}}}));
  EXPECT_THAT(frame.header, ElementsAre(Segment{0x1000, 10}, Segment{0x2000, 6}));
  EXPECT_THAT(frame.data_out, ElementsAre(Segment{0x2006, 512}));
  EXPECT_THAT(frame.data_in, ElementsAre(Segment{0x3000, 512}, Segment{0x4000, 2}));
  EXPECT_EQ(frame.status_gpa, 0x4002U);
  ASSERT_TRUE(frame.read({0, {{0x1000, 16}}, {{0x3000, 512}, {0x4000, 1}}}));
  EXPECT_THAT(frame.data_in, ElementsAre(Segment{0x3000, 512}));
  EXPECT_FALSE(frame.read({0, {{0x1000, 16}}, {}})) << "no room for the status";
}

// What is let through is within the disk, whatever the bytes are.
TEST(BlkRequest, NoBytesMakeARequestThatLeavesTheDisk) {
  std::mt19937_64 random(1);
  const auto number = [&] { return random() >> (random() % 64); };
  int good = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto bytes = header(static_cast<std::uint32_t>(random() % 16), number());
    const std::uint64_t out = random() % 3 == 0 ? number() : random() % 9 * 512;
    const auto parsed = parse_request(bytes, out, number() % 8192 / 512 * 512, limits());
    if (const auto* const request = std::get_if<Request>(&parsed)) {
      ++good;
      if (request->type != RequestType::In && request->type != RequestType::Out) continue;
      ASSERT_LE(request->offset, limits().bytes);
      ASSERT_LE(request->bytes, limits().bytes - request->offset);
    }
    const auto ranges = parse_ranges(
        RequestType::WriteZeroes,
        range(number(), static_cast<std::uint32_t>(number()), static_cast<std::uint32_t>(random() % 4)),
        limits());
    if (const auto* const all = std::get_if<std::vector<Range>>(&ranges)) {
      for (const Range& each : *all) ASSERT_LE(each.bytes, limits().bytes - each.offset);
    }
  }
  EXPECT_GT(good, 1000);
}

}  // namespace request_test
}  // namespace vmm::virtio::blk
