// What README.md and the essays at the top of headers name must be there: a map that lies is worse than none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/places.h"
#include "tests/support/source_tree.h"

namespace prose_test {

using test::SourceFile;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using Names = std::vector<std::string>;

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = test::source_tree(test::source_dir());
  return files;
}

/// Every file and folder of the project, folders with and without their slash.
const std::set<std::string>& places() {
  static const std::set<std::string> all = [] {
    std::set<std::string> names;
    for (const SourceFile& file : tree()) {
      names.insert(file.path);
      for (std::size_t at = file.path.find('/'); at != std::string::npos; at = file.path.find('/', at + 1)) {
        names.insert(file.path.substr(0, at));
        names.insert(file.path.substr(0, at + 1));
      }
    }
    return names;
  }();
  return all;
}

/// "vmm/cli/options.{h,cc}" → both.
Names expanded(const std::string& name) {
  static const std::regex braces(R"(^([^{]*)\{([^}]*)\}(.*)$)");
  std::smatch match;
  if (!std::regex_match(name, match, braces)) return {name};
  Names all;
  static const std::regex comma(",");
  const std::string choices = match[2];
  for (std::sregex_token_iterator each(choices.begin(), choices.end(), comma, -1);
       each != std::sregex_token_iterator(); ++each) {
    all.push_back(match[1].str() + each->str() + match[3].str());
  }
  return all;
}

std::string folder_of(const std::string& path) {
  return path.substr(0, path.find_last_of('/') + 1);
}

/// Seen from `from`: relative to the root, or to the folder of the file that says it; a name without folder
/// may be anywhere; a name without ending may be a pair of .h and .cc.
bool exists(const std::string& name, const std::string& from) {
  for (const std::string& base : {std::string(), folder_of(from)}) {
    for (const char* end : {"", ".h", ".cc"}) {
      if (places().contains(base + name + end)) return true;
    }
  }
  if (name.find('/') != std::string::npos) return false;
  return std::ranges::any_of(tree(),
                             [&name](const SourceFile& file) { return test::base_name(file.path) == name; });
}

Names missing_among(const Names& names, const std::string& from) {
  Names missing;
  for (const std::string& name : names) {
    for (const std::string& each : expanded(name)) {
      if (!exists(each, from)) missing.push_back(from + " names " + each + ", which is not there");
    }
  }
  return missing;
}

/// Names that look like places of this project: "uvm/fault.h", "vmm/cli/", "ept/host/window".
Names places_in(const std::string& text) {
  static const std::regex form(R"((^|[^\w/.-])((uvm|ept|guest|vmm|tests|configs)/[\w./{},-]*))");
  Names names;
  for (std::sregex_iterator each(text.begin(), text.end(), form); each != std::sregex_iterator(); ++each) {
    std::string name = (*each)[2];
    while (name.ends_with('.') || name.ends_with(',') || name.ends_with('-')) name.pop_back();
    names.push_back(name);
  }
  return names;
}

/// Headers named without a folder, as an essay does with its neighbours: "options.h". NetBSD's own
/// (uvm_map.h) and the system's (linux/kvm.h) are others' files.
Names headers_in(const std::string& text) {
  static const std::regex form(R"((^|[^\w/.<-])([a-z][a-z0-9_]*\.h)\b)");
  Names names;
  for (std::sregex_iterator each(text.begin(), text.end(), form); each != std::sregex_iterator(); ++each) {
    const std::string name = (*each)[2];
    if (!name.starts_with("uvm_")) names.push_back(name);
  }
  return names;
}

Names missing_in_essay(const SourceFile& file) {
  if (test::extension(file.path) != ".h") return {};
  const std::string essay = test::header_essay(file.text);
  Names names = places_in(essay);
  std::ranges::copy(headers_in(essay), std::back_inserter(names));
  return missing_among(names, file.path);
}

TEST(Essays, NameOnlyWhatIsThere) {
  Names missing;
  for (const SourceFile& file : tree())
    std::ranges::copy(missing_in_essay(file), std::back_inserter(missing));
  EXPECT_THAT(missing, IsEmpty());
  EXPECT_THAT(missing_in_essay({"vmm/bad.h", "// See vmm/nowhere.h.\n"}), Not(IsEmpty()));
  EXPECT_THAT(missing_in_essay({"vmm/bad.h", "// See nowhere.h.\n"}), Not(IsEmpty()));
  EXPECT_THAT(
      missing_in_essay({"vmm/good.h", "// See vmm/log.h, log.h and uvm_map.h, linux/kvm.h (vmm/cli/).\n"}),
      IsEmpty());
}

/// Back-quoted words of Markdown that are names of places: with a slash and no spaces, or with an ending of
/// ours.
Names quoted_names(const std::string& markdown) {
  static const std::regex form("`([^`\n]+)`");
  static const std::regex place(R"(\.?[\w.{},-]+(/[\w.{},-]*)+|[\w-]+\.(h|cc|json|sh|py|S|md|txt))");
  Names names;
  for (std::sregex_iterator each(markdown.begin(), markdown.end(), form); each != std::sregex_iterator();
       ++each) {
    std::string name = (*each)[1];
    if (!std::regex_match(name, place) || name.starts_with("build/") || name == "build") continue;
    if (name.starts_with("./")) name.erase(0, 2);
    names.push_back(name);
  }
  return names;
}

TEST(Readme, NamesOnlyWhatIsThere) {
  const auto readme = std::ranges::find(tree(), "README.md", &SourceFile::path);
  ASSERT_NE(readme, tree().end()) << "README.md is missing";
  Names names = quoted_names(readme->text);
  std::ranges::copy(places_in(readme->text), std::back_inserter(names));
  EXPECT_THAT(names, Not(IsEmpty()));
  EXPECT_THAT(missing_among(names, "README.md"), IsEmpty());
  EXPECT_THAT(quoted_names("see `uvm/map.h` and `./dev run`"), Contains("uvm/map.h"));
  EXPECT_THAT(missing_among(quoted_names("`uvm/nowhere.h`"), "README.md"), Not(IsEmpty()));
  EXPECT_THAT(missing_among(quoted_names("`nowhere.json`"), "README.md"), Not(IsEmpty()));
}

TEST(Readme, NamesEveryLayer) {
  const auto readme = std::ranges::find(tree(), "README.md", &SourceFile::path);
  ASSERT_NE(readme, tree().end()) << "README.md is missing";
  for (const char* layer : {"uvm/", "ept/", "guest/", "vmm/", "tests/", "configs/"}) {
    EXPECT_THAT(readme->text, ::testing::HasSubstr(layer));
  }
}

}  // namespace prose_test
