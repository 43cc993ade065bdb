// What the tests of ept/ share: ranges, patterns, and a thread that answers events.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ept/host/ram_object.h"
#include "ept/pmap.h"

namespace ept::test {

inline constexpr std::uint64_t kPage = uvm::kPageSize;
inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

inline uvm::GpaRange pages(std::uint64_t first, std::uint64_t count) {
  return *uvm::GpaRange::from_size(uvm::Gpa(first * kPage), count * kPage);
}
inline uvm::Gpa page(std::uint64_t number) {
  return uvm::Gpa(number * kPage);
}

/// With small pages, so that exactly the pages that were written are private.
inline std::unique_ptr<Pmap> make_pmap(uvm::GpaRange covered, Events events = Events::WhenPossible,
                                       host::WindowOptions window = {host::HugePages::Never, 8192}) {
  PmapConfig config;
  config.covered = covered;
  config.events = events;
  config.window = window;
  auto pmap = Pmap::create(config);
  EXPECT_TRUE(pmap) << pmap.error().text();
  return std::move(*pmap);
}

/// 4 KiB pages, every byte of page n is pattern_of(n).
inline std::byte pattern_of(std::uint64_t page_number) {
  return static_cast<std::byte>(1 + page_number % 251);
}
inline std::unique_ptr<host::RamObject> make_object(std::uint64_t count,
                                                    host::HugePages huge = host::HugePages::Never) {
  auto object = host::RamObject::create("test", count * kPage, huge);
  EXPECT_TRUE(object) << object.error().text();
  std::vector<std::byte> bytes(kPage);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::fill(bytes.begin(), bytes.end(), pattern_of(i));
    EXPECT_EQ(::pwrite((*object)->fd(), bytes.data(), kPage, static_cast<off_t>(i * kPage)),
              static_cast<ssize_t>(kPage));
  }
  return std::move(*object);
}
inline std::byte stored_byte(const host::Backing& object, std::uint64_t page_number) {
  std::vector<std::byte> bytes(kPage);
  EXPECT_TRUE(object.read_page(page_number, bytes));
  return bytes[0];
}

/// Held while an event is resolved. The kernel orders an access and its event, and tells nobody: passing
/// through this lock before and after an access says the same to whoever reads this program.
inline std::recursive_mutex resolving;
inline void pass_handlers() {
  const std::lock_guard lock(resolving);
}

/// A guest's access is none of this program's: ThreadSanitizer is not to know it.
[[gnu::no_sanitize_thread, gnu::noinline]] inline std::byte load_as_guest(const volatile std::byte* from) {
  return *from;
}
[[gnu::no_sanitize_thread, gnu::noinline]] inline void store_as_guest(volatile std::byte* to,
                                                                      std::byte value) {
  *to = value;
}

/// First byte of a page as a guest sees it.
inline std::byte load(Pmap& pmap, std::uint64_t number) {
  pass_handlers();
  const std::byte value = load_as_guest(pmap.bytes(pages(number, 1)).data());
  pass_handlers();
  return value;
}
inline void store(Pmap& pmap, std::uint64_t number, std::byte value) {
  pass_handlers();
  store_as_guest(pmap.bytes(pages(number, 1)).data(), value);
  pass_handlers();
}

inline uvm::Mapping zero(uvm::GpaRange range, uvm::Protection rights = uvm::Protection::All) {
  return {range, std::nullopt, uvm::Fill::Zero, rights};
}
inline uvm::Mapping copy_on_write(uvm::GpaRange range, uvm::Frame first) {
  return {range, first, uvm::Fill::CopyOnWrite, uvm::Protection::All};
}
inline uvm::Mapping exact(uvm::GpaRange range, uvm::Frame first,
                          uvm::Protection rights = uvm::Protection::All) {
  return {range, first, uvm::Fill::Exact, rights};
}

/// What kind of error a Result holds; nullopt of a good one, whose error() must not be asked for.
template <class R>
std::optional<uvm::ErrorKind> kind_of(const R& result) {
  if (result) return std::nullopt;
  return result.error().kind();
}

#define ASSERT_OK(expression)                           \
  do {                                                  \
    const auto& assert_ok = (expression);               \
    ASSERT_TRUE(assert_ok) << assert_ok.error().text(); \
  } while (false)
#define EXPECT_OK(expression)                           \
  do {                                                  \
    const auto& expect_ok = (expression);               \
    EXPECT_TRUE(expect_ok) << expect_ok.error().text(); \
  } while (false)

inline std::vector<uvm::GpaRange> harvested(Pmap& pmap, uvm::GpaRange range) {
  std::vector<uvm::GpaRange> runs;
  pmap.harvest(range, [&](uvm::GpaRange run, uvm::Frame frame) {
    EXPECT_EQ(frame.index, run.begin().page());
    EXPECT_EQ(frame.store->name(), "window");
    runs.push_back(run);
  });
  return runs;
}

/// Stands for the virtual machine's fault thread: calls `resolve` for every event.
class Handler {
 public:
  using Resolve = std::function<void(const StageTwoEvent&)>;
  Handler(Pmap& pmap, Resolve resolve)
      : events_(*pmap.events()), resolve_(std::move(resolve)), stop_(::eventfd(0, EFD_CLOEXEC)) {
    thread_ = std::thread([this] { loop(); });
  }
  ~Handler() {
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(stop_, &one, sizeof one), 8);
    thread_.join();
    ::close(stop_);
  }
  [[nodiscard]] int events() const { return count_; }

 private:
  void loop() {
    pollfd wait[2] = {{events_.fd(), POLLIN, 0}, {stop_, POLLIN, 0}};
    while (::poll(wait, 2, -1) >= 0 || errno == EINTR) {
      while (auto event = events_.next()) {
        ++count_;
        const std::lock_guard lock(resolving);
        resolve_(*event);
      }
      if (wait[1].revents != 0) return;
    }
  }
  EventSource& events_;
  Resolve resolve_;
  int stop_;
  std::atomic<int> count_{0};
  std::thread thread_;
};

/// For tests that need events.
#define REQUIRE_EVENTS(pmap) \
  if ((pmap)->events() == nullptr) GTEST_SKIP() << "no events on this host: " << (pmap)->events_reason()

}  // namespace ept::test
