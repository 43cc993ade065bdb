#include "vmm/debug/translator.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "vmm/debug/mapped_ranges.h"

namespace vmm::debug {
namespace translator_test {

/// Words by address, zero elsewhere; counts reads.
class FakeTables : public PhysicalMemory {
 public:
  uvm::Status read(uvm::Gpa gpa, std::span<std::byte> to) override {
    ++reads;
    const auto found = words.find(gpa.value());
    const std::uint64_t word = found == words.end() ? 0 : found->second;
    std::memcpy(to.data(), &word, to.size());
    return uvm::ok();
  }
  uvm::Status write(uvm::Gpa, std::span<const std::byte>) override { return uvm::ok(); }
  void reshare(uvm::Gpa) override {}

  /// Four-level tables at `cr3` that map the page of `linear` to `gpa`; each table page is used once.
  void map(std::uint64_t cr3, std::uint64_t linear, std::uint64_t gpa) {
    std::uint64_t table = cr3;
    for (const unsigned shift : {39U, 30U, 21U}) {
      std::uint64_t& entry = words[table + (linear >> shift & 511) * 8];
      if (entry == 0) entry = next_++ << 12 | 7;
      table = entry & ~std::uint64_t{0xfff};
    }
    words[table + (linear >> 12 & 511) * 8] = gpa | 3;
  }

  std::map<std::uint64_t, std::uint64_t> words;
  std::size_t reads = 0;

 private:
  std::uint64_t next_ = 0x1000;
};

constexpr std::uint64_t kKernelRoot = 0x4000;  // bit 12 clear, the user's half is at 0x5000
constexpr std::uint64_t kUserRoot = 0x5000;
constexpr std::uint64_t kOtherRoot = 0x8000;
constexpr std::uint64_t kSymbol = 0xffff'ffff'8123'4568;

PagingState state_with(std::uint64_t cr3) {
  return {std::uint64_t{1} << 31 | 1, cr3, 0x20, 0x500};
}

class TranslatorTest : public testing::Test {
 protected:
  std::uint64_t translated(std::uint64_t cr3, std::uint64_t linear, std::vector<std::uint64_t> others = {}) {
    const auto found = translator_.translate(state_with(cr3), others, linear);
    return found ? found->gpa.value() : 0;
  }
  FakeTables tables_;
  Translator translator_{tables_};
};

TEST_F(TranslatorTest, FindsAKernelsSymbolFromTheUsersTables) {
  tables_.map(kKernelRoot, kSymbol, 0x7000);
  EXPECT_EQ(translated(kUserRoot, kSymbol), 0x7568U);
}

TEST_F(TranslatorTest, AsksTheTablesOfOthersInTheirOrder) {
  tables_.map(kOtherRoot, kSymbol, 0x7000);
  tables_.map(0xa000, kSymbol, 0x6000);
  EXPECT_EQ(translated(kUserRoot, kSymbol), 0U);
  EXPECT_EQ(translated(kUserRoot, kSymbol, {kOtherRoot, 0xa000}), 0x7568U);
}

TEST_F(TranslatorTest, RemembersTheLastTablesOfAKernel) {
  tables_.map(kOtherRoot, kSymbol, 0x7000);
  translator_.seen_in_kernel(kOtherRoot);
  EXPECT_EQ(translated(kUserRoot, kSymbol), 0x7568U);
}

TEST_F(TranslatorTest, OwnTablesComeFirst) {
  tables_.map(kUserRoot, kSymbol, 0x9000);
  tables_.map(kKernelRoot, kSymbol, 0x7000);
  EXPECT_EQ(translated(kUserRoot, kSymbol), 0x9568U);
}

TEST_F(TranslatorTest, TheLowerHalfIsNobodyElses) {
  tables_.map(kKernelRoot, 0x40'0000, 0x7000);
  EXPECT_EQ(translated(kUserRoot, 0x40'0000, {kKernelRoot}), 0U);
}

TEST_F(TranslatorTest, AnOverrideIsTheOnlyTablesAsked) {
  tables_.map(kOtherRoot, 0x40'0000, 0x7000);
  tables_.map(kUserRoot, kSymbol, 0x9000);
  translator_.override_cr3(kOtherRoot);
  EXPECT_EQ(translated(kUserRoot, 0x40'0008), 0x7008U);
  EXPECT_EQ(translated(kUserRoot, kSymbol), 0U);
  translator_.override_cr3(std::nullopt);
  EXPECT_EQ(translated(kUserRoot, kSymbol), 0x9568U);
}

TEST_F(TranslatorTest, TheErrorIsThatOfTheFirstTables) {
  const auto found = translator_.translate(state_with(kUserRoot), {}, kSymbol);
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().text().find("0xffffffff81234568"), std::string::npos) << found.error().text();
  EXPECT_NE(found.error().text().find("PML4E at gpa 0x5ff8"), std::string::npos) << found.error().text();
}

TEST_F(TranslatorTest, APageIsWalkedOnceUntilForgotten) {
  tables_.map(kUserRoot, kSymbol, 0x9000);
  EXPECT_EQ(translated(kUserRoot, kSymbol), 0x9568U);
  const std::size_t reads = tables_.reads;
  EXPECT_EQ(translated(kUserRoot, kSymbol + 8), 0x9570U);
  EXPECT_EQ(tables_.reads, reads);
  tables_.map(kUserRoot, kSymbol, 0xb000);
  EXPECT_EQ(translated(kUserRoot, kSymbol), 0x9568U);
  translator_.forget();
  EXPECT_EQ(translated(kUserRoot, kSymbol), 0xb568U);
}

TEST_F(TranslatorTest, MappedRangesJoinNeighboursAsTold) {
  tables_.map(kUserRoot, 0x40'0000, 0x7000);
  tables_.map(kUserRoot, 0x40'1000, 0x8000);
  tables_.map(kUserRoot, 0x40'2000, 0x1'0000);
  tables_.map(kUserRoot, kSymbol, 0x9000);
  const auto by_rights = mapped_ranges(state_with(kUserRoot), translator_.reader(), Merge::SameRights, 100);
  ASSERT_EQ(by_rights.size(), 2U);
  EXPECT_EQ(by_rights[0].begin, 0x40'0000U);
  EXPECT_EQ(by_rights[0].bytes, 0x3000U);
  EXPECT_TRUE(by_rights[0].writable);
  EXPECT_FALSE(by_rights[0].user) << "the last level says kernel";
  EXPECT_EQ(by_rights[1].begin, kSymbol & ~std::uint64_t{0xfff});
  const auto by_frames =
      mapped_ranges(state_with(kUserRoot), translator_.reader(), Merge::SameRightsAndNextFrame, 100);
  ASSERT_EQ(by_frames.size(), 3U);
  EXPECT_EQ(by_frames[0].bytes, 0x2000U);
  EXPECT_EQ(by_frames[1].gpa, 0x1'0000U);
  EXPECT_EQ(mapped_ranges(state_with(kUserRoot), translator_.reader(), Merge::SameRights, 1).size(), 1U);
}

TEST_F(TranslatorTest, TablesThatReferToThemselvesEnd) {
  for (std::uint64_t i = 0; i < 512; ++i) tables_.words[kUserRoot + 8 * i] = kUserRoot | 3;
  EXPECT_EQ(
      mapped_ranges(state_with(kUserRoot), translator_.reader(), Merge::SameRightsAndNextFrame, 50).size(),
      50U);
}

}  // namespace translator_test
}  // namespace vmm::debug
