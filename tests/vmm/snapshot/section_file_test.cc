// The container of machine state: what goes in comes out, and nothing else does.
#include "vmm/snapshot/section_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

namespace vmm::snapshot {
namespace section_file_test {

using ::testing::HasSubstr;

constexpr std::size_t kFileHeader = 24;
constexpr std::size_t kSectionHeader = 24;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::vector<std::byte> two_sections() {
  SectionWriter writer;
  writer.add({"first", 0, 3, Unknown::Refuse, bytes_of("content")});
  writer.add({"vcpu", 1, 1, Unknown::Skip, bytes_of("")});
  return std::move(writer).finish();
}

/// The error of reading, which there has to be.
std::string refusal(std::span<const std::byte> bytes) {
  const auto table = SectionTable::read(bytes);
  if (table) return "nothing was refused";
  EXPECT_EQ(table.error().kind(), uvm::ErrorKind::Invalid);
  EXPECT_EQ(table.error().text().find('\n'), std::string::npos);
  return table.error().text();
}

TEST(SectionFile, WhatGoesInComesOut) {
  const auto bytes = two_sections();
  const auto table = SectionTable::read(bytes);
  ASSERT_TRUE(table) << table.error().text();
  const auto first = table->find("first", 0, 3);
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(first->version, 3);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(first->content.data()), first->content.size()),
            "content");
  const auto second = table->find("vcpu", 1, 1);
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->content.empty());
  EXPECT_EQ(second->title(), "vcpu 1");
}

TEST(SectionFile, WhatIsMissingOrYoungerIsNamed) {
  const auto bytes = two_sections();
  const auto table = SectionTable::read(bytes);
  ASSERT_TRUE(table);
  EXPECT_THAT(table->find("vcpu", 0, 1).error().text(), HasSubstr("section vcpu 0 is missing"));
  EXPECT_THAT(table->find("first", 0, 2).error().text(), HasSubstr("section first is of version 3"));
}

TEST(SectionFile, WhatNobodyKnowsIsRefusedUnlessItMayBeSkipped) {
  const auto bytes = two_sections();
  const auto table = SectionTable::read(bytes);
  ASSERT_TRUE(table);
  const std::vector<std::string> first{"first"};
  const std::vector<std::string> other{"vcpu 1"};
  EXPECT_TRUE(table->check_known(first));
  EXPECT_THAT(table->check_known(other).error().text(), HasSubstr("section first belongs to nothing"));
}

TEST(SectionFile, EveryCutIsRefused) {
  const auto bytes = two_sections();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THAT(refusal(std::span(bytes).first(length)), HasSubstr("machine state: "));
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_THAT(refusal(longer), HasSubstr("bytes of"));
}

TEST(SectionFile, EveryBitOfASectionCounts) {
  const auto bytes = two_sections();
  for (std::size_t bit = kFileHeader * 8; bit < bytes.size() * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_NE(refusal(damaged), "nothing was refused") << "bit " << bit;
  }
}

TEST(SectionFile, TheRefusalSaysWhatIsWrong) {
  const auto bytes = two_sections();
  auto damaged = bytes;
  damaged[0] = std::byte{'x'};
  EXPECT_THAT(refusal(damaged), HasSubstr("this is none"));
  damaged = bytes;
  damaged[8] = std::byte{9};
  EXPECT_THAT(refusal(damaged), HasSubstr("format 9"));
  damaged = bytes;
  damaged[kFileHeader + kSectionHeader + 5] = std::byte{'C'};  // of "content"
  EXPECT_THAT(refusal(damaged), HasSubstr("section first is damaged"));
}

TEST(SectionFile, TwiceTheSameIsRefused) {
  SectionWriter writer;
  for (int i = 0; i < 2; ++i) writer.add({"same", 0, 1, Unknown::Refuse, {}});
  const auto bytes = std::move(writer).finish();
  EXPECT_THAT(refusal(bytes), HasSubstr("section same is there twice"));
}

TEST(SectionFile, RandomBytesAreRefusedAndHarmless) {
  std::mt19937 random(7);
  const auto bytes = two_sections();
  for (int round = 0; round < 20'000; ++round) {
    auto damaged = bytes;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    if (const auto table = SectionTable::read(damaged)) {
      EXPECT_EQ(damaged, bytes) << "round " << round;
    }
  }
}

}  // namespace section_file_test
}  // namespace vmm::snapshot
