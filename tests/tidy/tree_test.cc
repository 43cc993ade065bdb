// The tree's own rules: sizes, words and lists. Each rule is a function from a file to what is wrong with it,
// run over the whole project, and once over a bad example, so that a rule that can't fail is noticed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/places.h"
#include "tests/support/source_tree.h"

namespace tree_test {

using test::SourceFile;
using ::testing::IsEmpty;
using ::testing::Not;
using Violations = std::vector<std::string>;

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = test::source_tree(test::source_dir());
  return files;
}

template <class Rule>
Violations over_the_tree(Rule rule) {
  Violations all;
  for (const SourceFile& file : tree()) std::ranges::copy(rule(file), std::back_inserter(all));
  return all;
}

const SourceFile* find(std::string_view path) {
  const auto found = std::ranges::find(tree(), path, &SourceFile::path);
  return found == tree().end() ? nullptr : &*found;
}

bool is_text(const SourceFile& file) {
  return file.text.find('\0') == std::string::npos && file.path.find("/corpus/") == std::string::npos;
}

std::string at_line(const SourceFile& file, std::size_t index, const std::string& what) {
  return file.path + ":" + std::to_string(index + 1) + ": " + what;
}

TEST(Tree, IsThere) {
  EXPECT_GT(tree().size(), 50U);
  EXPECT_NE(find("CMakeLists.txt"), nullptr);
}

// ---- sizes

constexpr std::size_t kMostLines = 600;
constexpr std::size_t kMostMedian = 150;
constexpr int kMostFunctionLines = 60;

Violations too_long(const SourceFile& file) {
  const std::size_t lines = test::split_lines(file.text).size();
  if (!is_text(file) || file.path == "LICENSE" || lines <= kMostLines) return {};
  return {file.path + ": " + std::to_string(lines) + " lines, " + std::to_string(kMostLines) +
          " are the most"};
}

TEST(FileLength, IsAtMost600Lines) {
  EXPECT_THAT(over_the_tree(too_long), IsEmpty());
  std::string lines;
  for (int i = 0; i < 601; ++i) lines += "x\n";
  EXPECT_THAT(too_long({"uvm/bad.cc", lines}), Not(IsEmpty()));
}

std::size_t median_of(std::vector<std::size_t> numbers) {
  std::ranges::sort(numbers);
  return numbers.empty() ? 0 : numbers[numbers.size() / 2];
}

TEST(FileLength, HasAMedianOfAtMost150) {
  std::vector<std::size_t> lengths;
  for (const SourceFile& file : tree()) {
    if (test::is_code(file.path)) lengths.push_back(test::split_lines(file.text).size());
  }
  std::cout << lengths.size() << " code files, median " << median_of(lengths) << " lines\n";
  EXPECT_LE(median_of(lengths), kMostMedian);
  EXPECT_EQ(median_of({1, 200, 300}), 200U);
}

/// Functions that may be longer, with the reason.
const std::set<std::string> kLongFunctions = {};

Violations long_functions(const SourceFile& file) {
  Violations wrong;
  const std::string_view end = test::extension(file.path);
  if (end != ".cc" && end != ".h") return wrong;
  for (const test::FunctionSpan& function : test::functions_of(file.text)) {
    if (function.lines <= kMostFunctionLines || kLongFunctions.contains(function.name)) continue;
    wrong.push_back(at_line(file, static_cast<std::size_t>(function.line - 1),
                            function.name + " has " + std::to_string(function.lines) + " lines"));
  }
  return wrong;
}

TEST(FunctionLength, IsAtMost60Lines) {
  EXPECT_THAT(over_the_tree(long_functions), IsEmpty());
  std::string body;
  for (int i = 0; i < 60; ++i) body += "  go();  // }\n";
  EXPECT_THAT(long_functions({"uvm/bad.cc", "namespace a {\nint f(int x) {\n" + body + "}\n}\n"}),
              Not(IsEmpty()));
  EXPECT_THAT(long_functions({"uvm/bad.cc", "A::A() : a_{1}, b_(2) {\n" + body + "}\n"}), Not(IsEmpty()));
  EXPECT_THAT(
      long_functions({"uvm/good.cc", "const int k[] = {\n" + body + "};\nclass B {\n" + body + "};\n"}),
      IsEmpty());
}

// ---- words

Violations unfinished_words(const SourceFile& file) {
  static const std::regex words(
      "\\b(TO"
      "DO|FIX"
      "ME|X"
      "XX|HA"
      "CK)\\b");
  Violations wrong;
  if (!is_text(file) || file.path == "LICENSE") return wrong;
  const auto lines = test::split_lines(file.text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (std::regex_search(lines[i], words)) wrong.push_back(at_line(file, i, lines[i]));
  }
  return wrong;
}

TEST(UnfinishedWords, AreNowhere) {
  EXPECT_THAT(over_the_tree(unfinished_words), IsEmpty());
  EXPECT_THAT(unfinished_words({"uvm/bad.cc",
                                "// TO"
                                "DO: later\n"}),
              Not(IsEmpty()));
  EXPECT_THAT(unfinished_words({"uvm/bad.cc",
                                "int x;  // FIX"
                                "ME\n"}),
              Not(IsEmpty()));
  EXPECT_THAT(unfinished_words({"uvm/good.cc", "mkstemp(\"uvmm-XXXXXX\");\n"}), IsEmpty());
}

/// NOLINT(rule): reason, also NOLINTNEXTLINE and NOLINTBEGIN; NOLINTEND(rule) needs none.
Violations bare_nolint(const SourceFile& file) {
  static const std::regex any(
      "NO"
      "LINT");
  static const std::regex good(
      "NO"
      "LINT((NEXTLINE|BEGIN)?\\([a-z0-9.,*-]+\\):? +\\S.{7,}|END\\([a-z0-9.,*-]+\\))");
  Violations wrong;
  if (!test::is_code(file.path)) return wrong;
  const auto lines = test::split_lines(file.text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (std::regex_search(lines[i], any) && !std::regex_search(lines[i], good) &&
        file.path != "tests/tidy/tree_test.cc") {
      wrong.push_back(at_line(file, i, lines[i]));
    }
  }
  return wrong;
}

TEST(Nolint, NamesItsRuleAndReason) {
  EXPECT_THAT(over_the_tree(bare_nolint), IsEmpty());
  EXPECT_THAT(bare_nolint({"uvm/bad.cc",
                           "f();  // NO"
                           "LINT\n"}),
              Not(IsEmpty()));
  EXPECT_THAT(bare_nolint({"uvm/bad.cc",
                           "f();  // NO"
                           "LINT(bugprone-x)\n"}),
              Not(IsEmpty()));
  EXPECT_THAT(bare_nolint({"uvm/good.cc",
                           "f();  // NO"
                           "LINT(bugprone-x): the kernel wants it so\n"}),
              IsEmpty());
}

Violations without_pragma_once(const SourceFile& file) {
  if (test::extension(file.path) != ".h") return {};
  for (const std::string& line : test::split_lines(file.text)) {
    if (line.empty() || line.starts_with("//")) continue;
    if (line == "#pragma once") return {};
    break;
  }
  return {file.path + ": its first line of code is not #pragma once"};
}

TEST(Headers, BeginWithPragmaOnce) {
  EXPECT_THAT(over_the_tree(without_pragma_once), IsEmpty());
  EXPECT_THAT(without_pragma_once({"uvm/bad.h", "// essay\n#include <a>\n#pragma once\n"}), Not(IsEmpty()));
  EXPECT_THAT(without_pragma_once({"uvm/good.h", "// essay\n\n#pragma once\n"}), IsEmpty());
}

Violations untidy_spaces(const SourceFile& file) {
  Violations wrong;
  if (!is_text(file) || file.path == "LICENSE") return wrong;
  const auto lines = test::split_lines(file.text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].ends_with(' ') || lines[i].ends_with('\r'))
      wrong.push_back(at_line(file, i, "space at the end"));
    if (test::is_code(file.path) && lines[i].find('\t') != std::string::npos && !file.path.ends_with(".S")) {
      wrong.push_back(at_line(file, i, "a tab"));
    }
  }
  if (!file.text.ends_with('\n')) wrong.push_back(file.path + ": no newline at its end");
  return wrong;
}

TEST(Spaces, AreTidy) {
  EXPECT_THAT(over_the_tree(untidy_spaces), IsEmpty());
  EXPECT_THAT(untidy_spaces({"uvm/bad.cc", "int a; \n"}), Not(IsEmpty()));
  EXPECT_THAT(untidy_spaces({"uvm/bad.cc", "\tint a;\n"}), Not(IsEmpty()));
  EXPECT_THAT(untidy_spaces({"uvm/bad.cc", "int a;"}), Not(IsEmpty()));
}

// ---- lists

constexpr std::array<std::string_view, 12> kTopLevel = {"CMakeLists.txt",
                                                        "CMakePresets.json",
                                                        "README.md",
                                                        "CHANGELOG.md",
                                                        "LICENSE",
                                                        "dev",
                                                        "vmm",
                                                        "uvm",
                                                        "ept",
                                                        "guest",
                                                        "tests",
                                                        "configs"};

Violations misplaced(const SourceFile& file) {
  const std::string top = file.path.substr(0, file.path.find('/'));
  if (top.starts_with('.') || std::ranges::find(kTopLevel, top) != kTopLevel.end()) return {};
  return {file.path + ": not a place of this project"};
}

TEST(TopLevel, HoldsNothingElse) {
  EXPECT_THAT(over_the_tree(misplaced), IsEmpty());
  EXPECT_THAT(misplaced({"docs/x.md", "x"}), Not(IsEmpty()));
}

Violations badly_named(const SourceFile& file) {
  static const std::regex name("[a-z0-9_]+\\.(h|cc|c|S)");
  if (!test::is_code(file.path) || std::regex_match(std::string(test::base_name(file.path)), name)) return {};
  return {file.path + ": code files are named in snake_case"};
}

TEST(Names, AreSnakeCase) {
  EXPECT_THAT(over_the_tree(badly_named), IsEmpty());
  EXPECT_THAT(badly_named({"uvm/Bad.cc", "x"}), Not(IsEmpty()));
}

/// The area of tests/<area>/…_test.cc must be one that CMake makes a binary of.
Violations test_in_no_binary(const SourceFile& file, const std::string& cmake) {
  if (!file.path.ends_with("_test.cc")) return {};
  std::smatch match;
  static const std::regex place("^tests/([a-z]+)/");
  if (std::regex_search(file.path, match, place) &&
      cmake.find("uvmm_tests(" + match[1].str() + " ") != std::string::npos) {
    return {};
  }
  return {file.path + ": no uvmm_tests() in tests/CMakeLists.txt takes it"};
}

TEST(Tests, AreAllInABinary) {
  const SourceFile* cmake = find("tests/CMakeLists.txt");
  ASSERT_NE(cmake, nullptr);
  EXPECT_THAT(over_the_tree([cmake](const SourceFile& file) { return test_in_no_binary(file, cmake->text); }),
              IsEmpty());
  EXPECT_THAT(test_in_no_binary({"tests/elsewhere/a_test.cc", "x"}, cmake->text), Not(IsEmpty()));
  EXPECT_THAT(test_in_no_binary({"vmm/a_test.cc", "x"}, cmake->text), Not(IsEmpty()));
}

Violations without_unreleased(const SourceFile& file) {
  static const std::regex heading("(^|\n)## \\[?Unreleased\\]?");
  if (file.path != "CHANGELOG.md" || std::regex_search(file.text, heading)) return {};
  return {"CHANGELOG.md: no section \"Unreleased\""};
}

TEST(Changelog, HasAnUnreleasedSection) {
  ASSERT_NE(find("CHANGELOG.md"), nullptr);
  EXPECT_THAT(over_the_tree(without_unreleased), IsEmpty());
  EXPECT_THAT(without_unreleased({"CHANGELOG.md", "# Changes\n## 0.1\n"}), Not(IsEmpty()));
}

}  // namespace tree_test
