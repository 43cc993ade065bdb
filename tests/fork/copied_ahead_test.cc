// Images of a guest with so many private pages that they are copied while it runs: what is written meanwhile,
// by whomever, is in them as it was at the moment of the pause.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "guest/programs/scribe_layout.h"
#include "tests/support/eventually.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/running_machine.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "vmm/kvm/system.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/machine_image.h"

namespace vmm {
namespace copied_ahead_test {

namespace scribe = guest::programs::scribe;

constexpr std::uint64_t kPage = uvm::kPageSize;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

uvm::GpaRange pages(std::uint64_t first, std::uint64_t count) {
  return *uvm::GpaRange::from_size(uvm::Gpa(first * kPage), count * kPage);
}

/// Memory of a machine without vCPUs.
class CopiedAhead : public testing::Test {
 protected:
  static constexpr std::uint64_t kPages = 4096;
  static constexpr std::uint64_t kPrivate = 1000;

  void SetUp() override {
    UVMM_REQUIRE_KVM();
    auto system = kvm::System::open();
    ASSERT_TRUE(system) << system.error().text();
    system_.emplace(*std::move(system));
    auto vm = kvm::Vm::create(*system_);
    ASSERT_TRUE(vm) << vm.error().text();
    vm_.emplace(*std::move(vm));
    GuestMemory::Request request;
    request.name = "test";
    request.ram = {pages(0, kPages / 2), pages(kPages / 2 + 64, kPages / 2)};
    request.backing = MemoryBacking::Shared;
    request.huge_pages = HugePages::Never;
    auto made = GuestMemory::create(request);
    ASSERT_TRUE(made) << made.error().text();
    memory_ = *std::move(made);
    ASSERT_TRUE(memory_->attach(*vm_));
    for (std::uint64_t n = 0; n < kPrivate; ++n) put(2 * n, n + 1);
    (void)taken(prepared());  // frozen from here on
    for (std::uint64_t n = 0; n < kPrivate; ++n) put(2 * n, n + 1000);
  }
  void TearDown() override { memory_.reset(); }

  void put(std::uint64_t page, std::uint64_t value) {
    ASSERT_TRUE(uvm::Access::write_value(memory_->space(), uvm::Gpa(page * kPage), value));
  }
  GuestMemory::ImageRoom prepared() {
    auto room = memory_->prepare_image();
    EXPECT_TRUE(room) << room.error().text();
    return *std::move(room);
  }
  snapshot::MemoryImage taken(GuestMemory::ImageRoom room) {
    auto image = memory_->take_image(room);
    EXPECT_TRUE(image) << image.error().text();
    auto changed = std::move(room.pages).finish();
    EXPECT_TRUE(changed) << changed.error().text();
    image->changed = *std::move(changed);
    return *std::move(image);
  }
  /// That the image is what RAM is.
  void expect_same(const snapshot::MemoryImage& image) {
    const auto view = snapshot::ImageView::create(image);
    ASSERT_TRUE(view) << view.error().text();
    std::vector<std::byte> there(kPage);
    std::vector<std::byte> wanted(kPage);
    for (const auto& region : image.regions) {
      for (uvm::Gpa at = region.range.begin(); at < region.range.end(); at = at + kPage) {
        view->read(at, there);
        ASSERT_TRUE(uvm::Access::read(memory_->space(), at, wanted, uvm::kDebugger));
        ASSERT_EQ(std::memcmp(there.data(), wanted.data(), kPage), 0) << "page " << at.page();
      }
    }
  }
  uvm::Pin pin(uvm::GpaRange range) {
    uvm::PinRequest request;
    request.owner = uvm::PinOwner::create("device");
    auto made = uvm::Pin::create(memory_->space(), range, request);
    EXPECT_TRUE(made) << made.error().text();
    return *std::move(made);
  }

  std::optional<kvm::System> system_;
  std::optional<kvm::Vm> vm_;
  std::unique_ptr<GuestMemory> memory_;
};

TEST_F(CopiedAhead, LeavesNothingToThePauseButWhatIsWritten) {
  auto room = prepared();
  ASSERT_TRUE(room.watch);
  EXPECT_EQ(room.written.pages(), 0U);
  put(10, 77);
  const auto image = taken(std::move(room));
  expect_same(image);
  EXPECT_EQ(image.changed_pages(), kPrivate);
}

TEST_F(CopiedAhead, FollowsWhoeverWrites) {
  uvm::Pin before = pin(pages(20, 1));
  auto room = prepared();
  ASSERT_TRUE(room.watch);
  const auto byte_of = [](const uvm::Pin& pin) -> std::byte& { return pin.bytes()[9]; };
  put(11, 7);  // was not private
  const std::uint64_t poked = 8;
  ASSERT_TRUE(uvm::Access::write(memory_->space(), uvm::Gpa(30 * kPage), std::as_bytes(std::span(&poked, 1)),
                                 uvm::kDebugger));
  byte_of(before) = std::byte{9};
  {
    const uvm::Pin ends = pin(pages(40, 1));
    byte_of(ends) = std::byte{10};
  }
  ASSERT_TRUE(memory_->space().discard(pages(50, 3)));
  expect_same(taken(std::move(room)));
}

TEST_F(CopiedAhead, FollowsAReset) {
  const auto view = snapshot::ImageView::create(taken(prepared()));
  ASSERT_TRUE(view);
  for (std::uint64_t n = 0; n < kPrivate; ++n) put(2 * n, n + 5000);
  auto room = prepared();
  ASSERT_TRUE(room.watch);
  ASSERT_TRUE(memory_->reset_to(*view));
  expect_same(taken(std::move(room)));
}

TEST_F(CopiedAhead, IsDoneAgainWhenItIsNotKnownWhatWasWritten) {
  auto room = prepared();
  ASSERT_TRUE(room.watch);
  memory_->zap(pages(0, 1));
  put(10, 77);
  ASSERT_TRUE(memory_->space().discard(pages(50, 3)));
  expect_same(taken(std::move(room)));
}

TEST_F(CopiedAhead, IsForOneImageAtATimeAndTheOtherIsRightAsWell) {
  auto first = prepared();
  ASSERT_TRUE(first.watch);
  auto second = prepared();
  EXPECT_FALSE(second.watch);
  put(10, 77);
  expect_same(taken(std::move(second)));
  expect_same(taken(std::move(first)));
  EXPECT_TRUE(prepared().watch) << "free again";
}

TEST_F(CopiedAhead, IsNotWorthItForAFewPages) {
  ASSERT_TRUE(memory_->space().discard(pages(0, kPages / 2)));
  for (std::uint64_t n = 0; n < 100; ++n) put(2 * n, n);
  auto room = prepared();
  EXPECT_FALSE(room.watch);
  expect_same(taken(std::move(room)));
}

/// What the scribe's words are when it has come to a step.
class Words {
 public:
  void come_to(std::uint64_t step) {
    for (; step_ < step; ++step_) words_[scribe::page_of_step(step_ + 1)] = step_ + 1;
  }
  [[nodiscard]] std::uint64_t of(std::uint64_t number) const { return words_[number]; }
  [[nodiscard]] std::uint64_t step() const { return step_; }

 private:
  std::vector<std::uint64_t> words_ = std::vector<std::uint64_t>(scribe::kPages);
  std::uint64_t step_ = 0;
};

std::uint64_t word_at(const snapshot::ImageView& view, std::uint64_t address) {
  std::vector<std::byte> page(kPage);
  view.read(uvm::Gpa(address).page_down(), page);
  std::uint64_t word = 0;
  std::memcpy(&word, page.data() + address % kPage, sizeof word);
  return word;
}

class CopiedAheadOfARunningGuest : public testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }
  /// `beside` runs in a thread of its own meanwhile, again and again.
  static void expect_images_of_one_moment(const std::function<void(Machine& machine)>& beside);
};

void CopiedAheadOfARunningGuest::expect_images_of_one_moment(
    const std::function<void(Machine& machine)>& beside) {
  constexpr std::uint64_t kBallast = 8 * kMiB;
  auto config = test::builtin_config("scribe", "ballast=" + std::to_string(kBallast));
  config.backing = MemoryBacking::Shared;
  test::RunningMachine machine(config);
  const auto word = [&](std::uint64_t address) {
    const auto value = uvm::Access::read_value<std::uint64_t>(machine->space(), uvm::Gpa(address));
    return value ? *value : 0;
  };
  const auto set = [&](std::uint64_t address, std::uint64_t value) {
    ASSERT_TRUE(uvm::Access::write_value(machine->space(), uvm::Gpa(address), value));
  };
  set(scribe::kTarget, 1);
  ASSERT_TRUE(test::eventually([&] { return word(scribe::kDone) == 1; }));
  ASSERT_TRUE(machine->take_image());
  // Private from here on, and as they were.
  for (std::uint64_t at = scribe::kBallast; at < scribe::kBallast + kBallast; at += kPage) set(at, word(at));
  set(scribe::kTarget, ~std::uint64_t{0});
  ASSERT_TRUE(test::eventually([&] { return word(scribe::kDone) > 1000; }));
  const std::jthread other([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) beside(*machine);
  });
  Words words;
  for (int i = 0; i < 20; ++i) {
    const auto goes_on = [&] { return word(scribe::kDone) > words.step(); };
    ASSERT_TRUE(test::eventually(goes_on)) << "the guest stands still";
    const auto image = machine->take_image();
    ASSERT_TRUE(image) << image.error().text();
    const auto view = snapshot::ImageView::create(image->memory);
    ASSERT_TRUE(view) << view.error().text();
    const std::uint64_t done = word_at(*view, scribe::kDone);
    words.come_to(done);
    const std::uint64_t next = scribe::page_of_step(done + 1);
    for (std::uint64_t number = 0; number < scribe::kPages; ++number) {
      const std::uint64_t there = word_at(*view, scribe::page_at(number));
      const bool is_next = number == next && there == done + 1;
      ASSERT_TRUE(there == words.of(number) || is_next)
          << "image " << i << " of step " << done << ", page " << number << ": " << there << " instead of "
          << words.of(number);
    }
  }
}

TEST_F(CopiedAheadOfARunningGuest, IsOfOneMoment) {
  expect_images_of_one_moment([](Machine&) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); });
}

TEST_F(CopiedAheadOfARunningGuest, IsOfOneMomentWhenTheLogIsLost) {
  expect_images_of_one_moment([](Machine& machine) {
    machine.space().drop_translations();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  });
}

}  // namespace copied_ahead_test
}  // namespace vmm
