#include "ept/entry.h"

#include <gtest/gtest.h>

namespace ept {
namespace entry_test {

TEST(Entry, KeepsWhatALeafSays) {
  for (const auto fill : {uvm::Fill::Exact, uvm::Fill::CopyOnWrite, uvm::Fill::Zero}) {
    for (const bool wired : {false, true}) {
      Leaf leaf;
      leaf.fill = fill;
      leaf.rights = uvm::Protection::ReadExecute;
      leaf.wired = wired;
      if (fill != uvm::Fill::Zero) leaf.frame = 0xabcd'0004'0000;
      leaf.frame = leaf.frame ? std::optional<std::uint64_t>(0xab'cd04'0000) : std::nullopt;
      const Entry entry = Entry::leaf(leaf, 3);
      EXPECT_EQ(entry.decoded(), leaf);
      EXPECT_TRUE(entry.is_leaf(3));
      EXPECT_TRUE(entry.present());
    }
  }
}

TEST(Entry, FrameZeroIsNotTheSameAsNoFrame) {
  Leaf leaf;
  leaf.rights = uvm::Protection::Read;
  leaf.frame = 0;
  EXPECT_EQ(Entry::leaf(leaf, 1).decoded().frame, 0u);
}

TEST(Entry, HasTheBitsOfTheManual) {
  Leaf leaf;
  leaf.rights = uvm::Protection::ReadWrite;
  leaf.frame = 0x12345;
  EXPECT_EQ(Entry::leaf(leaf, 1).bits() & 0x000f'ffff'ffff'ffff, 0x1234'5000u | 6u << 3 | 3u);
  leaf.frame = 0x200;
  EXPECT_EQ(Entry::leaf(leaf, 2).bits() & 0xfff, 1u << 7 | 6u << 3 | 3u);
}

TEST(Entry, NodesAreNotLeaves) {
  const Entry node = Entry::node(0x7f12'3456'7000);
  EXPECT_TRUE(node.present());
  EXPECT_FALSE(node.is_leaf(2));
  EXPECT_EQ(node.address(), 0x7f12'3456'7000u);
  EXPECT_FALSE(Entry().present());
}

}  // namespace entry_test
}  // namespace ept
