#include "vmm/text.h"

#include <gtest/gtest.h>

#include <string>

namespace vmm {
namespace text_test {

TEST(Utf8Length, TakesWellFormedSequencesOnly) {
  struct Row {
    const char* text;
    std::size_t length;
  };
  const Row rows[] = {
      {"a", 1},
      {"\xc3\xa4", 2},
      {"\xe2\x80\xa6", 3},
      {"\xf0\x9f\x90\xa7", 4},
      {"\xc3", 0},              // truncated
      {"\xc0\xaf", 0},          // overlong
      {"\xe0\x80\xaf", 0},      // overlong
      {"\xf0\x80\x80\xaf", 0},  // overlong
      {"\xed\xa0\x80", 0},      // surrogate
      {"\xf4\x90\x80\x80", 0},  // above U+10FFFF
      {"\xf5\x80\x80\x80", 0},  // never
      {"\x80", 0},              // a continuation alone
      {"\xe2\x28\xa1", 0},      // broken off
      {"", 0},
  };
  for (const Row& row : rows) EXPECT_EQ(utf8_length(row.text), row.length) << one_line(row.text);
}

TEST(OneLine, EscapesWhatMovesACursorAndKeepsTheRest) {
  EXPECT_EQ(one_line("plain text = \"x\""), "plain text = \"x\"");
  EXPECT_EQ(one_line("a\nb\rc\td"), "a\\nb\\rc\\td");
  EXPECT_EQ(one_line(std::string_view("\0\x1b\x7f", 3)), "\\x00\\x1b\\x7f");
  EXPECT_EQ(one_line("\xc2\x9b"), "\\xc2\\x9b");           // C1: CSI in one character
  EXPECT_EQ(one_line("\xe2\x80\xa8"), "\\xe2\\x80\\xa8");  // LINE SEPARATOR
  EXPECT_EQ(one_line("caf\xc3\xa9 \xff"), "caf\xc3\xa9 \\xff");
}

TEST(FieldValue, QuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(field_value("plain"), "plain");
  EXPECT_EQ(field_value("/boot/vmlinuz-6.1"), "/boot/vmlinuz-6.1");
  EXPECT_EQ(field_value(""), "\"\"");
  EXPECT_EQ(field_value("two words"), "\"two words\"");
  EXPECT_EQ(field_value("a=b"), "\"a=b\"");
  EXPECT_EQ(field_value("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(field_value("a\nb"), "\"a\\nb\"");
}

TEST(FieldValue, IsCutAfter1024Bytes) {
  const std::string cut = field_value(std::string(5000, 'x'));
  EXPECT_EQ(cut, std::string(1024, 'x') + "…");
}

}  // namespace text_test
}  // namespace vmm
