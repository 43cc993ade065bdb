#include "ept/frame_codec.h"

#include <gtest/gtest.h>

#include <deque>

#include "tests/ept/ept_support.h"

namespace ept {
namespace frame_codec_test {

class Store : public uvm::FrameStore {
 public:
  [[nodiscard]] std::string_view name() const override { return "store"; }
};

TEST(FrameCodec, GivesFramesBackAndKeepsTheirOrder) {
  Store own;
  Store other;
  FrameCodec codec(&own);
  const std::uint64_t a = *codec.encode({&other, 0x200}, 1024);
  const std::uint64_t b = *codec.encode({&own, 0x1'2345'6789}, 1);
  EXPECT_LT(a, std::uint64_t{1} << 40);
  EXPECT_LT(b, std::uint64_t{1} << 40);
  EXPECT_EQ(codec.decode(a + 1023), (uvm::Frame{&other, 0x200 + 1023}));
  EXPECT_EQ(codec.decode(b), (uvm::Frame{&own, 0x1'2345'6789}));
  EXPECT_EQ(a % 512, 0u) << "large leaves stay possible";
  EXPECT_EQ(*codec.encode({&other, 0x200}, 1), a);
}

TEST(FrameCodec, RefusesFramesPastTheFirstTiB) {
  Store own;
  Store other;
  FrameCodec codec(&own);
  EXPECT_TRUE(codec.encode({&other, FrameCodec::kIndexLimit - 1}, 1));
  EXPECT_EQ(test::kind_of(codec.encode({&other, FrameCodec::kIndexLimit - 1}, 2)),
            uvm::ErrorKind::Unsupported);
}

TEST(FrameCodec, RunsOutOfStoresAndCollectsThem) {
  Store own;
  std::deque<Store> stores(FrameCodec::kStores + 1);
  FrameCodec codec(&own);
  for (std::uint64_t i = 0; i < FrameCodec::kStores; ++i) ASSERT_TRUE(codec.encode({&stores[i], 0}, 1));
  EXPECT_EQ(test::kind_of(codec.encode({&stores.back(), 0}, 1)), uvm::ErrorKind::NoMemory);
  std::vector<bool> in_use(FrameCodec::kStores, true);
  const std::uint64_t dropped = *FrameCodec::store_of(*codec.encode({&stores[5], 0}, 1));
  in_use[dropped] = false;
  codec.collect(in_use);
  const auto number = codec.encode({&stores.back(), 9}, 1);
  ASSERT_TRUE(number);
  EXPECT_EQ(codec.decode(*number), (uvm::Frame{&stores.back(), 9}));
  EXPECT_EQ(codec.decode(*codec.encode({&stores[6], 3}, 1)), (uvm::Frame{&stores[6], 3}));
}

}  // namespace frame_codec_test
}  // namespace ept
