// The page of a guest's memory in a real browser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/api/api_process.h"
#include "tests/support/places.h"
#include "vmm/control/client.h"

namespace browser_test {

using test::ApiProcess;
using test::run_process;
using ::testing::HasSubstr;
using ::testing::Not;
namespace json = boost::json;

constexpr std::uint64_t kWritten = 64 * 4096;  // bytes, before a test begins

/// A kernel (multiboot) that writes a page of its memory after the other from 16 MiB on, slowly and for ever,
/// and reads those 128 MiB further up.
std::string write_writing_kernel(const std::string& path) {
  guest::test::Bytes file = guest::test::make_multiboot_elf();
  constexpr std::uint8_t kCode[] = {
      0xbf, 0x00, 0x00, 0x00, 0x01,        // again: mov edi, 16 MiB
      0xc7, 0x07, 0x01, 0x00, 0x00, 0x00,  // next: mov dword [edi], 1
      0x8b, 0x87, 0x00, 0x00, 0x00, 0x08,  // mov eax, [edi + 128 MiB]
      0x81, 0xc7, 0x00, 0x10, 0x00, 0x00,  // add edi, 4096
      0xb9, 0xc8, 0x00, 0x00, 0x00,        // mov ecx, 200
      0xe6, 0x80, 0x49, 0x75, 0xfb,        // wait: out 0x80, al; dec ecx; jnz wait
      0x81, 0xff, 0x00, 0x00, 0x00, 0x08,  // cmp edi, 128 MiB
      0x72, 0xdc,                          // jb next
      0xeb, 0xd5,                          // jmp again
  };
  constexpr std::size_t kEntry = 0x210;
  if (file.size() < kEntry + sizeof kCode) file.resize(kEntry + sizeof kCode);
  for (std::size_t i = 0; i < sizeof kCode; ++i) file[kEntry + i] = static_cast<std::byte>(kCode[i]);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  return path;
}

std::string find_chromium() {
  for (const char* const path :
       {"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return {};
}

class Browser : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    chromium_ = find_chromium();
    if (chromium_.empty()) GTEST_SKIP() << "there is no chromium here (Debian package chromium)";
  }

  /// 256 MiB in pages of 4 KiB, of which the guest writes one after the other, and has written some.
  [[nodiscard]] std::unique_ptr<ApiProcess> machine(const std::string& name,
                                                    const std::string& backing = "anonymous",
                                                    std::vector<std::string> more = {}) {
    const std::string kernel = write_writing_kernel(folder_.file("kernel " + name));
    more.insert(more.end(), {"--kernel", kernel, "-m", "256M", "--huge-pages", "never", "--memory-backing",
                             backing, "--console", "none"});
    auto made = std::make_unique<ApiProcess>(folder_, name, more);
    EXPECT_TRUE(test::eventually([&] {
      json::error_code error;
      const auto tiles = json::parse(made->get("/memory/tiles"), error);
      if (error) return false;
      const json::object& totals = tiles.at("totals").as_object();
      return totals.at("private").to_number<std::uint64_t>() +
                 totals.at("object").to_number<std::uint64_t>() >
             kWritten;
    })) << made->process().output();
    return made;
  }
  [[nodiscard]] std::string browse(const std::string& address, const std::vector<std::string>& more) const {
    std::vector<std::string> words = {chromium_,
                                      "--headless=new",
                                      "--disable-gpu",
                                      "--hide-scrollbars",
                                      "--window-size=1280,900",
                                      "--user-data-dir=" + folder_.file("profile"),
                                      "--disable-dev-shm-usage",
                                      "--no-first-run",
                                      "--disable-background-networking"};
    // Its own sandbox does not run as root.
    if (::geteuid() == 0) words.emplace_back("--no-sandbox");
    words.insert(words.end(), more.begin(), more.end());
    words.push_back(address);
    const auto result = run_process(words, {std::chrono::seconds(120), {}});
    EXPECT_EQ(result.status, 0) << result.err;
    return result.out;
  }
  /// The page after so many milliseconds of its own time, in which nothing is waited for but answers.
  [[nodiscard]] std::string dom(const std::string& address, int milliseconds = 500) const {
    return browse(address, {"--virtual-time-budget=" + std::to_string(milliseconds), "--dump-dom"});
  }
  /// Pixels of each colour.
  [[nodiscard]] std::vector<std::uint64_t> colours(const std::string& address,
                                                   std::vector<std::string> wanted) const {
    const std::string file = folder_.file("shot.png");
    static_cast<void>(browse(address, {"--screenshot=" + file}));
    if (const char* const keep = std::getenv("UVMM_KEEP_SCREENSHOTS")) {
      const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
      std::filesystem::copy_file(file, std::string(keep) + "/" + name + ".png",
                                 std::filesystem::copy_options::overwrite_existing);
    }
    std::vector<std::string> words = {"/usr/bin/env", "python3",
                                      test::source_dir() + "/tests/api/png_colours.py", file};
    words.insert(words.end(), wanted.begin(), wanted.end());
    const auto result = run_process(words);
    EXPECT_EQ(result.status, 0) << result.err;
    std::istringstream lines(result.out);
    std::vector<std::uint64_t> counts;
    for (std::uint64_t count = 0; lines >> count;) counts.push_back(count);
    EXPECT_EQ(counts.size(), wanted.size());
    counts.resize(wanted.size());
    return counts;
  }
  [[nodiscard]] std::string write_page(const std::string& socket, std::vector<std::string> more = {}) const {
    const std::string file = folder_.file("map.html");
    std::vector<std::string> words = {test::uvmm_path(), "ctl", socket, "map", "--html", file};
    words.insert(words.end(), more.begin(), more.end());
    const auto result = run_process(words);
    EXPECT_EQ(result.status, 0) << result.err;
    return "file://" + file;
  }

  const test::RunFolder folder_{"browser"};
  std::string chromium_;
};

/// What the legend says of a kind; -1: nothing.
std::int64_t amount(const std::string& dom, const std::string& kind) {
  std::smatch found;
  const std::regex item("<li data-kind=\"" + kind + "\" data-amount=\"([0-9]+)\"");
  return std::regex_search(dom, found, item) ? std::stoll(found[1]) : -1;
}

std::int64_t data(const std::string& dom, const std::string& name) {
  std::smatch found;
  return std::regex_search(dom, found, std::regex("data-" + name + "=\"([0-9]+)\"")) ? std::stoll(found[1])
                                                                                     : -1;
}

/// `uvmm ctl SOCKET ui` beside a test.
class PageServer {
 public:
  PageServer(const test::TempFolder& folder, const ApiProcess& machine,
             const std::vector<std::string>& more = {})
      : process_(words(machine, more), folder.file("ui.log")) {
    EXPECT_TRUE(process_.prints("/ui\n", 0, std::chrono::seconds(60))) << process_.output();
    const std::string text = process_.output();
    address_ = text.substr(0, text.find('\n'));
  }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] test::BackgroundProcess& process() { return process_; }

 private:
  static std::vector<std::string> words(const ApiProcess& machine, const std::vector<std::string>& more) {
    std::vector<std::string> all = {test::uvmm_path(), "ctl", machine.socket(), "ui"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  test::BackgroundProcess process_;
  std::string address_;
};

TEST_F(Browser, DrawsTheTilesOfAGuestWithTheRightTotals) {
  const auto guest = machine("one");
  EXPECT_EQ(guest->patch("/vm", R"({"state": "Paused"})"), "");
  const auto tiles = json::parse(guest->get("/memory/tiles"));
  const PageServer server(folder_, *guest);
  const std::string shown = dom(server.address());
  EXPECT_THAT(shown, HasSubstr("Memory of one"));
  EXPECT_THAT(shown, HasSubstr("one paused, as of"));
  EXPECT_EQ(data(shown, "painted"), 128) << "256 MiB";
  for (const char* const kind : {"untouched", "object", "private", "shared", "swapped", "wired"}) {
    EXPECT_EQ(amount(shown, kind), tiles.at("totals").at(kind).to_number<std::int64_t>()) << kind;
  }
  EXPECT_GT(amount(shown, "private"), 0);
  // The file says the same, and looks so: untouched, object, private.
  const std::string file = write_page(guest->socket());
  const std::string written = dom(file);
  EXPECT_THAT(written, HasSubstr("as it was when this file was written"));
  EXPECT_EQ(amount(written, "private"), amount(shown, "private"));
  const auto seen = colours(file, {"dfe4e9", "e08a2e"});
  EXPECT_GT(seen[0], 10000U) << "untouched tiles";
  EXPECT_GT(seen[1], 256U) << "private pages, more than the legend's swatch";
}

TEST_F(Browser, FollowsWhatTheGuestWrites) {
  const auto guest = machine("busy");
  const PageServer server(folder_, *guest);
  std::string shown;
  EXPECT_TRUE(test::eventually([&] {
    shown = dom(server.address(), 60000);
    return data(shown, "changes") >= 1;
  })) << shown;
  EXPECT_GT(data(shown, "refreshes"), 1);
  EXPECT_THAT(shown, HasSubstr("running, as of"));
  EXPECT_THAT(shown, HasSubstr("Stop refreshing"));
}

TEST_F(Browser, SaysThatTheGuestHasEnded) {
  auto guest = machine("short");
  PageServer server(folder_, *guest);
  EXPECT_TRUE(vmm::control::ask(folder_.file("short.sock"), "quit"));
  EXPECT_EQ(guest->process().wait(std::chrono::seconds(60)), 0);
  const std::string shown = dom(server.address(), 5000);
  EXPECT_THAT(shown, HasSubstr("The guest has ended, or cannot be reached any more"));
  EXPECT_THAT(shown, HasSubstr("Try again"));
  EXPECT_EQ(server.process().wait(std::chrono::seconds(60)), 0);
  EXPECT_THAT(server.process().output(), HasSubstr("the guest has ended"));
}

TEST_F(Browser, ShowsHostileNamesAsText) {
  const std::string name = "<img src=x onerror=document.title='taken'>";
  const auto guest = machine("hostile", "anonymous", {"--name", name});
  const std::string shown = dom(write_page(guest->socket()) + "#0x100000");
  EXPECT_THAT(shown,
              HasSubstr("<h1 id=\"title\">Memory of &lt;img src=x onerror=document.title='taken'&gt;</h1>"));
  EXPECT_THAT(shown, Not(HasSubstr("<img")));
  EXPECT_THAT(shown, Not(HasSubstr("<title>taken")));
}

TEST_F(Browser, ShowsTheDifferenceOfAForkAndItsParent) {
  const auto parent = machine("parent", "shared");
  EXPECT_EQ(parent->patch("/vm", R"({"state": "Paused"})"), "");
  const auto made = json::parse(parent->put("/vm/fork", "{}"));
  const std::string copy(made.at("copies").at(0).at("control_socket").as_string());
  // The copy goes on, its parent stands. What it reads is its parent's, too, what it writes is not.
  std::string shown;
  EXPECT_TRUE(test::eventually([&] {
    shown = dom(write_page(parent->socket(), {"--diff", copy}));
    return std::regex_search(shown, std::regex("shared by both</span><b>[0-9.]+ MiB")) &&
           std::regex_search(
               shown,
               std::regex(
                   "data-kind=\"right\"[^/]*</span><span>private to parent .[0-9]+.</span><b>[0-9.]+ MiB"));
  })) << shown;
  // Others count whose sockets are where these usually are.
  std::filesystem::create_symlink(folder_.file("parent.sock"), folder_.file("uvmm/parent-1.sock"));
  const std::string alone = dom(write_page(copy));
  EXPECT_THAT(alone, HasSubstr("with 1 other"));
  EXPECT_GT(amount(alone, "shared"), 0) << alone;
  EXPECT_THAT(shown, HasSubstr("untouched in both"));
  EXPECT_EQ(data(shown, "painted"), 128);
  const auto seen = colours(write_page(parent->socket(), {"--diff", copy}), {"3d9a63", "5b7fe0"});
  EXPECT_GT(seen[0], 300U) << "shared by both";
  EXPECT_GT(seen[1], 300U) << "private to the copy";
  EXPECT_TRUE(vmm::control::ask(copy, "quit"));
}

}  // namespace browser_test
