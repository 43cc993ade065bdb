// Which part may know which: the direction of includes, and the doors to the system that only some may use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/places.h"
#include "tests/support/source_tree.h"

namespace include_test {

using test::SourceFile;
using ::testing::IsEmpty;
using ::testing::Not;
using Violations = std::vector<std::string>;
using Prefixes = std::vector<std::string_view>;

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = test::source_tree(test::source_dir());
  return files;
}

Violations over_the_tree(const std::function<Violations(const SourceFile&)>& rule) {
  Violations all;
  for (const SourceFile& file : tree()) {
    if (test::is_code(file.path)) std::ranges::copy(rule(file), std::back_inserter(all));
  }
  return all;
}

bool begins_with_any(std::string_view path, const Prefixes& prefixes) {
  return std::ranges::any_of(prefixes, [path](std::string_view prefix) { return path.starts_with(prefix); });
}

/// What a layer's files may include of the project. The first entry whose folder fits a file counts.
struct Layer {
  std::string_view folder;
  Prefixes may_include;
};

const std::vector<Layer>& layers() {
  static const std::vector<Layer> all = {
      {"uvm/", {"uvm/"}},
      {"ept/", {"ept/", "uvm/"}},
      // Freestanding, but for the list of them, which is of the host.
      {"guest/programs/", {"guest/programs/"}},
      {"guest/", {"guest/", "uvm/base/"}},
      {"vmm/", {"vmm/", "guest/", "ept/", "uvm/", "version.h"}},
      {"tests/", {"tests/", "vmm/", "guest/", "ept/", "uvm/", "version.h"}},
  };
  return all;
}

std::string unquoted(const std::string& include) {
  return include.substr(1, include.size() - 2);
}

Violations wrong_direction(const SourceFile& file) {
  Violations wrong;
  const auto layer = std::ranges::find_if(
      layers(), [&file](const Layer& each) { return file.path.starts_with(each.folder); });
  for (const std::string& include : test::includes_of(file.text)) {
    if (include.front() != '"' || layer == layers().end()) continue;
    if (!begins_with_any(unquoted(include), layer->may_include)) {
      wrong.push_back(file.path + ": may not include " + include);
    }
  }
  return wrong;
}

TEST(Includes, GoInOneDirection) {
  EXPECT_THAT(over_the_tree(wrong_direction), IsEmpty());
  EXPECT_THAT(wrong_direction({"uvm/bad.cc", "#include \"vmm/log.h\"\n"}), Not(IsEmpty()));
  EXPECT_THAT(wrong_direction({"uvm/bad.cc", "#include \"ept/pmap.h\"\n"}), Not(IsEmpty()));
  EXPECT_THAT(wrong_direction({"ept/bad.cc", "#include \"guest/e820.h\"\n"}), Not(IsEmpty()));
  EXPECT_THAT(wrong_direction({"guest/bad.cc", "#include \"uvm/map.h\"\n"}), Not(IsEmpty()));
  EXPECT_THAT(wrong_direction({"guest/programs/bad.cc", "#include \"uvm/base/error.h\"\n"}), Not(IsEmpty()));
  EXPECT_THAT(wrong_direction({"vmm/bad.cc", "#include \"tests/support/x.h\"\n"}), Not(IsEmpty()));
  EXPECT_THAT(wrong_direction({"vmm/good.cc", "#include \"ept/pmap.h\"\n#include <vector>\n"}), IsEmpty());
}

Violations not_from_the_root(const SourceFile& file) {
  Violations wrong;
  for (const std::string& include : test::includes_of(file.text)) {
    if (include.front() != '"' || unquoted(include) == "version.h") continue;
    const auto found = std::ranges::find(tree(), unquoted(include), &SourceFile::path);
    if (found == tree().end())
      wrong.push_back(file.path + ": " + include + " is no file of the project's root");
  }
  return wrong;
}

TEST(Includes, AreRelativeToTheRootAndExist) {
  EXPECT_THAT(over_the_tree(not_from_the_root), IsEmpty());
  EXPECT_THAT(not_from_the_root({"vmm/bad.cc", "#include \"log.h\"\n"}), Not(IsEmpty()));
  EXPECT_THAT(not_from_the_root({"vmm/bad.cc", "#include \"../vmm/log.h\"\n"}), Not(IsEmpty()));
}

/// A door that only the files below some folders may use.
struct Door {
  const char* what;
  std::string include;  // an include that matches, or
  std::string call;     // code that matches
  Prefixes allowed;
  const char* bad;  // a line that must be refused in uvm/bad.cc
};

const std::vector<Door>& doors() {
  static const std::vector<Door> all = {
      {"KVM's own header (use vmm/kvm/abi.h's types through vmm/kvm)",
       "<(linux|asm)/kvm\\.h>",
       "",
       {"vmm/kvm/", "tests/"},
       "#include <linux/kvm.h>\n"},
      {"VFIO's own headers (use vmm/vfio's classes)",
       "<linux/(vfio|iommufd)\\.h>",
       "",
       {"vmm/vfio/", "tests/"},
       "#include <linux/vfio.h>\n"},
      {"host memory calls belong to ept/host",
       "",
       "\\b(mmap|mmap64|munmap|mremap|madvise|process_madvise|mprotect|memfd_create|SYS_userfaultfd)\\b",
       {"ept/host/", "vmm/kvm/", "vmm/vfio/region_mapping.cc", "tests/"},
       "void f() { ::mmap(a, b); }\n"},
      {"spdlog belongs to vmm/log.cc", "<spdlog/", "", {"vmm/log.cc"}, "#include <spdlog/spdlog.h>\n"},
      {"threads belong to vmm",
       "<(thread|future|pthread\\.h)>",
       "\\bpthread_create\\b",
       {"vmm/", "tests/",
        "ept/host/pagemap.cc"},  // there to be told of fork(), which ends no thread's caches
       "#include <thread>\n"},
      {"the command line's library belongs to vmm/cli",
       "<CLI/",
       "",
       {"vmm/cli/", "vmm/programs/"},
       "#include <CLI/CLI.hpp>\n"},
      {"waiting and timers belong to vmm",
       "<boost/asio",
       "",
       {"vmm/", "tests/"},
       "#include <boost/asio.hpp>\n"},
      {"uvm, ept and guest don't print",
       "<(iostream|print)>",
       "\\bf?printf\\b",
       {"vmm/", "tests/", "uvm/base/", "guest/programs/"},
       "#include <iostream>\n"},
      {"uvm has no system calls",
       "<(unistd\\.h|fcntl\\.h|sys/[a-z]+\\.h|linux/[a-z]+\\.h)>",
       "",
       {"ept/", "vmm/", "guest/", "tests/"},
       "#include <unistd.h>\n"},
  };
  return all;
}

Violations through(const Door& door, const SourceFile& file) {
  Violations wrong;
  if (begins_with_any(file.path, door.allowed)) return wrong;
  if (!door.include.empty()) {
    const std::regex include(door.include);
    for (const std::string& each : test::includes_of(file.text)) {
      if (std::regex_search(each, include)) wrong.push_back(file.path + ": " + each + ": " + door.what);
    }
  }
  if (door.call.empty()) return wrong;
  const std::regex call(door.call);
  const auto lines = test::split_lines(test::bare_code(file.text));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (std::regex_search(lines[i], call)) {
      wrong.push_back(file.path + ":" + std::to_string(i + 1) + ": " + door.what);
    }
  }
  return wrong;
}

TEST(Doors, AreUsedOnlyByTheirOwners) {
  for (const Door& door : doors()) {
    SCOPED_TRACE(door.what);
    EXPECT_THAT(over_the_tree([&door](const SourceFile& file) { return through(door, file); }), IsEmpty());
    EXPECT_THAT(through(door, {"uvm/bad.cc", door.bad}), Not(IsEmpty()));
    EXPECT_THAT(through(door, {std::string(door.allowed.front()), door.bad}), IsEmpty());
  }
  // What is only talked about is no call.
  EXPECT_THAT(through(doors()[2], {"uvm/good.cc", "// like mmap(2)\nconst char* k = \"mmap\";\n"}),
              IsEmpty());
}

/// Slow to compile, so never in a header that others include.
Violations heavy_header(const SourceFile& file) {
  static const std::regex heavy(
      "<(spdlog/|CLI/|boost/json\\.hpp|boost/json/(value|parse|serialize)|boost/asio\\.hpp)");
  Violations wrong;
  if (test::extension(file.path) != ".h") return wrong;
  for (const std::string& include : test::includes_of(file.text)) {
    if (std::regex_search(include, heavy)) wrong.push_back(file.path + ": " + include + " in a header");
  }
  return wrong;
}

TEST(Headers, AreLight) {
  EXPECT_THAT(over_the_tree(heavy_header), IsEmpty());
  EXPECT_THAT(heavy_header({"vmm/bad.h", "#include <boost/json/value.hpp>\n"}), Not(IsEmpty()));
}

}  // namespace include_test
