// Random work on a space under a memory limit and its forks, against plain arrays of what every page holds.
#include <algorithm>
#include <random>

#include "tests/uvm/reclaim_fixture.h"
#include "uvm/reclaim.h"

namespace test {
namespace reclaim_property_test {

constexpr std::uint64_t kPages = 192;
constexpr std::uint64_t kLimitPages = 64;

/// One space and what it has to read: a seed a page, 0 for zeros.
struct Subject {
  std::unique_ptr<Guest> guest;
  std::vector<std::uint64_t> expected = std::vector<std::uint64_t>(kPages);
  std::vector<uvm::Pin> pins;
  bool limited = false;
};

class ReclaimPropertyTest : public ::testing::Test {
 protected:
  ReclaimPropertyTest() {
    subjects.emplace_back();
    subjects[0].guest = std::make_unique<Guest>(arena);
    EXPECT_OK(subjects[0].guest->space->set_limit({kLimitPages * kPage, &swap, {}}));
    EXPECT_OK(subjects[0].guest->space->map(ram(pages(0, kPages))));
    subjects[0].limited = true;
  }
  ~ReclaimPropertyTest() override {
    for (Subject& subject : subjects) subject.pins.clear();
    while (!subjects.empty()) subjects.pop_back();
  }

  std::uint64_t below(std::uint64_t n) { return random() % n; }
  std::uint64_t fresh_seed() { return ++last_seed; }

  void write(Subject& subject) {
    const std::uint64_t n = below(kPages);
    const std::uint64_t seed = below(8) == 0 ? 0 : fresh_seed();
    const auto bytes = seed == 0 ? std::vector<std::byte>(kPage) : pattern(kPage, seed);
    const auto status = below(2) == 0 ? subject.guest->cpu.write(page(n), bytes)
                                      : uvm::Access::write(*subject.guest->space, page(n), bytes);
    if (status) subject.expected[n] = seed;
    allow(status);
  }
  void read(Subject& subject) {
    const std::uint64_t n = below(kPages);
    std::vector<std::byte> bytes(kPage);
    const auto status = below(2) == 0 ? subject.guest->cpu.read(page(n), bytes)
                                      : uvm::Access::read(*subject.guest->space, page(n), bytes);
    allow(status);
    if (status) expect_page(subject, n, bytes);
  }
  void expect_page(const Subject& subject, std::uint64_t n, std::span<const std::byte> bytes) {
    const std::uint64_t seed = subject.expected[n];
    ASSERT_TRUE(seed == 0 ? is_zero(bytes) : is_pattern(bytes, seed))
        << subject.guest->space->name() << ": page " << n << ", step " << step;
  }
  void pin(Subject& subject) {
    const std::uint64_t first = below(kPages - 4);
    auto made = uvm::Pin::create(*subject.guest->space, pages(first, 1 + below(4)), uvm::PinAccess::Write,
                                 uvm::PinOwner::create("dma"));
    if (made && subject.pins.size() < 6) subject.pins.push_back(std::move(*made));
  }
  /// The owner of a pin writes and reads its frames.
  void dma(Subject& subject) {
    if (subject.pins.empty()) return;
    const uvm::Pin& pin = subject.pins[below(subject.pins.size())];
    const std::uint64_t n = pin.range().begin().page() + below(pin.range().pages());
    const auto bytes = bytes_of(pin.frame_at(page(n)));
    expect_page(subject, n, bytes);
    subject.expected[n] = fresh_seed();
    fill_pattern(bytes, subject.expected[n]);
  }
  void unpin(Subject& subject) {
    if (!subject.pins.empty()) subject.pins.erase(subject.pins.begin());
  }
  void remap(Subject& subject) {
    const std::uint64_t first = below(kPages - 20);
    const std::uint64_t count = 1 + below(20);
    auto request = ram(pages(first, count));
    request.overlap = uvm::Overlap::Replace;
    if (!subject.guest->space->map(request)) return;  // pinned
    std::fill_n(subject.expected.begin() + static_cast<std::ptrdiff_t>(first), count, 0);
  }
  void fork(std::size_t parent) {
    if (subjects.size() == 4) return;
    Subject child;
    child.guest = std::make_unique<Guest>(arena, "fork" + std::to_string(step), *subjects[parent].guest);
    child.expected = subjects[parent].expected;
    child.limited = below(2) == 0;
    if (child.limited) {
      EXPECT_OK(child.guest->space->set_limit({kLimitPages * kPage, &swap, {}}));
    }
    subjects.push_back(std::move(child));
  }
  void drop() {
    if (subjects.size() == 1) return;
    const auto which = static_cast<std::ptrdiff_t>(1 + below(subjects.size() - 1));
    subjects[static_cast<std::size_t>(which)].pins.clear();
    subjects.erase(subjects.begin() + which);
  }
  void fail_io() {
    swap.fail_reads(below(4) == 0);
    swap.fail_writes(below(4) == 0);
  }

  /// The only errors there may be are those of swap, and then only while it fails.
  void allow(const uvm::Status& status) {
    if (status) return;
    const auto kind = status.error().kind();
    const bool full = kind == uvm::ErrorKind::NoMemory;
    EXPECT_TRUE(full || kind == uvm::ErrorKind::PagerIo) << status.error().text();
    EXPECT_TRUE(is_failing || full) << status.error().text();
    EXPECT_TRUE(is_failing || pinned_much()) << status.error().text();
  }
  [[nodiscard]] bool pinned_much() const {
    return std::any_of(subjects.begin(), subjects.end(),
                       [](const Subject& subject) { return !subject.pins.empty(); });
  }

  void one_step() {
    const std::size_t which = below(subjects.size());
    Subject& subject = subjects[which];
    switch (below(24)) {
      case 0:
        return pin(subject);
      case 1:
        return unpin(subject);
      case 2:
      case 3:
        return dma(subject);
      case 4:
        return remap(subject);
      case 5:
        return below(4) == 0 ? fork(which) : drop();
      case 6:
        return subject.guest->space->drop_translations();
      case 7:
        is_failing = true;
        return fail_io();
      case 8:
      case 9:
        swap.fail_reads(false);
        swap.fail_writes(false);
        is_failing = false;
        return;
      case 10:
      case 11:
      case 12:
        if (subject.limited) (void)subject.guest->space->reclaim((1 + below(64)) * kPage);
        return;
      default:
        return below(2) == 0 ? write(subject) : read(subject);
    }
  }
  void check_sums() {
    for (const Subject& subject : subjects) {
      if (!subject.limited) continue;
      const auto seen = subject.guest->space->reclaim_statistics();
      ASSERT_EQ(seen.reserved, 0U);
      ASSERT_LE(subject.guest->mmu.private_pages() * kPage, seen.resident) << "step " << step;
      ASSERT_EQ(seen.active + seen.inactive, seen.resident);
      if (&subject != &subjects[0]) continue;
      ASSERT_LE(seen.resident, seen.limit) << "step " << step;
    }
  }
  void check_all() {
    swap.fail_reads(false);
    swap.fail_writes(false);
    for (Subject& subject : subjects) {
      subject.pins.clear();
      for (std::uint64_t n = 0; n < kPages; ++n) expect_page(subject, n, subject.guest->page_at(n));
    }
  }

  SimArena arena;
  FakeSwap swap;
  std::mt19937_64 random{test_seed()};
  std::vector<Subject> subjects;
  std::uint64_t last_seed = 0;
  int step = 0;
  bool is_failing = false;
};

TEST_F(ReclaimPropertyTest, EverybodyReadsWhatWasWritten) {
  for (step = 0; step < 6000 && !HasFailure(); ++step) {
    one_step();
    check_sums();
  }
  check_all();
}

}  // namespace reclaim_property_test
}  // namespace test
