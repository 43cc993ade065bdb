#include "tests/support/model/stress.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "uvm/access.h"
#include "uvm/pin.h"

namespace test::model {

using uvm::Gpa;
using uvm::Inherit;
using uvm::kPageSize;

namespace {

constexpr std::uint64_t kEach = 8;  // pages of each mapping
// Of the first space; the second one, which shares its memory, has the last two of them.
constexpr std::uint64_t kZeros = 0;           // each fork copies them
constexpr std::uint64_t kCopied = kEach;      // the same, over an object
constexpr std::uint64_t kGroup = 2 * kEach;   // private memory that both spaces show, copied by each fork
constexpr std::uint64_t kObject = 3 * kEach;  // an object that both map, and each fork too
constexpr std::uint64_t kAll = 4 * kEach;

enum Actor : std::uint64_t { kFirstWriter, kSecondWriter, kPeerWriter, kDevice, kDebugger, kChild, kActors };

class Stress {
 public:
  Stress(Backend& backend, std::uint64_t seed, int rounds)
      : backend_(backend), seed_(seed), rounds_(rounds), first_(backend.make("first")) {
    map();
    auto peer = backend.fork(*first_, "peer");
    EXPECT_TRUE(peer) << peer.error().text();
    peer_ = std::move(peer).value();
    EXPECT_TRUE(first_->space().inherit(pages(kGroup, kEach), Inherit::Copy));
    for (std::uint64_t page = 0; page < kAll; ++page) {
      for (std::uint64_t actor = 0; actor < kActors; ++actor) known_[actor][page] = 0;
    }
  }

  void run() {
    std::vector<std::thread> actors;
    const auto act = [&](auto&& what) { actors.emplace_back(what); };
    act([&] { write(*first_, kFirstWriter, 0); });
    act([&] { write(*first_, kSecondWriter, 0); });
    act([&] { write(*peer_, kPeerWriter, kGroup); });
    act([&] { transfer(); });
    act([&] { debug(); });
    act([&] { fork(); });
    act([&] { prepare(); });
    std::thread watcher([&] { watch(*first_, 0); });
    std::thread peer_watcher([&] { watch(*peer_, kGroup); });
    for (std::thread& actor : actors) actor.join();
    over_ = true;
    watcher.join();
    peer_watcher.join();
  }

 private:
  using Knowledge = std::array<std::array<std::uint64_t, kAll>, kActors>;

  [[nodiscard]] Gpa at(std::uint64_t page, std::uint64_t actor = 0) const {
    return backend_.base() + (page * kPageSize + 64 * (actor + 1));
  }
  [[nodiscard]] uvm::GpaRange pages(std::uint64_t first, std::uint64_t count) const {
    return *uvm::GpaRange::from_size(at(first).page_down(), count * kPageSize);
  }
  bool goes_on(int round) const { return round < rounds_ && !::testing::Test::HasFailure(); }

  void map() {
    const auto add = [&](std::uint64_t page, int object, uvm::Sharing sharing, Inherit inherit) {
      uvm::MapRequest request;
      request.range = pages(page, kEach);
      request.sharing = sharing;
      request.inherit = inherit;
      if (object >= 0) request.object = backend_.object(object);
      const auto status = first_->space().map(request);
      EXPECT_TRUE(status) << status.error().text();
    };
    add(kZeros, -1, uvm::Sharing::Private, Inherit::Copy);
    add(kCopied, 1, uvm::Sharing::Private, Inherit::Copy);
    add(kGroup, -1, uvm::Sharing::Private, Inherit::Share);
    add(kObject, 0, uvm::Sharing::Shared, Inherit::Share);
  }

  void expect_at_least(std::uint64_t seen, std::uint64_t known, std::uint64_t page,
                       std::uint64_t actor) const {
    EXPECT_GE(seen, known) << "page " << page << ", actor " << actor << ": old bytes after new ones";
  }
  void expect_own(std::uint64_t seen, std::uint64_t page, std::uint64_t actor) const {
    EXPECT_EQ(seen, known_[actor][page].load())
        << "page " << page << ", actor " << actor << ": a write is lost";
  }

  /// A guest's thread: reads its word back, and writes the next number.
  void write(Machine& machine, std::uint64_t actor, std::uint64_t from) {
    std::mt19937_64 random(seed_ + actor);
    const auto cpu = machine.another_cpu();
    for (int round = 0; goes_on(round); ++round) {
      for (int i = 0; i < 16; ++i) {
        const std::uint64_t page = from + random() % (kAll - from);
        const auto seen = cpu->load(at(page, actor));
        ASSERT_TRUE(seen) << seen.error().text();
        expect_own(*seen, page, actor);
        ASSERT_TRUE(cpu->store(at(page, actor), *seen + 1));
        known_[actor][page].store(*seen + 1);
      }
    }
  }

  /// A guest's thread that only reads.
  void watch(Machine& machine, std::uint64_t from) {
    std::mt19937_64 random(seed_ + 100 + from);
    const auto cpu = machine.another_cpu();
    while (!over_ && !::testing::Test::HasFailure()) {
      const std::uint64_t page = from + random() % (kAll - from);
      // What uvm::Access copies is no atomic access, so its word is its own thread's to look at.
      const std::uint64_t actor = random() % kDebugger;
      const std::uint64_t known = known_[actor][page].load();
      const auto seen = cpu->load(at(page, actor));
      ASSERT_TRUE(seen) << seen.error().text();
      expect_at_least(*seen, known, page, actor);
    }
  }

  /// A device: pins, writes to the frames, looks through the guest's eyes, unpins.
  void transfer() {
    std::mt19937_64 random(seed_ + kDevice);
    const auto cpu = first_->another_cpu();
    const auto owner = uvm::PinOwner::create("device");
    for (int round = 0; goes_on(round); ++round) {
      const std::uint64_t page = random() % kAll;
      const auto pin = uvm::Pin::create(first_->space(),
                                        pages(page, 1 + random() % std::min<std::uint64_t>(4, kAll - page)),
                                        uvm::PinAccess::Write, owner);
      ASSERT_TRUE(pin) << pin.error().text();
      const Gpa word = at(page, kDevice);
      for (int i = 0; i < 4; ++i) {
        const std::uint64_t next = known_[kDevice][page].load() + 1;
        if (!first_->dma_store(pin->frame_at(word), word, next)) break;
        known_[kDevice][page].store(next);
        const auto seen = cpu->load(word);
        ASSERT_TRUE(seen) << seen.error().text();
        expect_own(*seen, page, kDevice);
      }
      const auto held = first_->dma_load(pin->frame_at(word), word);
      if (held) expect_own(*held, page, kDevice);
    }
    EXPECT_EQ(owner->pinned(), 0U);
  }

  /// A debugger, or any other part of this process, through uvm::Access.
  void debug() {
    std::mt19937_64 random(seed_ + kDebugger);
    for (int round = 0; goes_on(round); ++round) {
      const std::uint64_t page = random() % kAll;
      const Gpa word = at(page, kDebugger);
      const auto seen = uvm::Access::read_value<std::uint64_t>(first_->space(), word);
      ASSERT_TRUE(seen) << seen.error().text();
      expect_own(*seen, page, kDebugger);
      const auto status = uvm::Access::write_value(first_->space(), word, *seen + 1);
      ASSERT_TRUE(status) << status.error().text();
      known_[kDebugger][page].store(*seen + 1);
    }
  }

  /// Forks, looks at the child, lets it write, looks again.
  void fork() {
    std::mt19937_64 random(seed_ + kChild);
    int forks = 0;
    for (int round = 0; goes_on(round); ++round) {
      const auto before = knowledge();
      auto child = backend_.fork(*first_, "child");
      if (!child) {
        const auto kind = child.error().kind();
        ASSERT_TRUE(kind == uvm::ErrorKind::Busy || kind == uvm::ErrorKind::Pinned) << child.error().text();
        std::this_thread::yield();
        continue;
      }
      ++forks;
      const auto copied = look_at_copy(**child, before, knowledge());
      const auto cpu = (*child)->another_cpu();
      for (std::uint64_t page = 0; page < kObject; ++page)
        ASSERT_TRUE(cpu->store(at(page, kChild), page + 1));
      std::this_thread::yield();
      for (std::uint64_t page = 0; page < kObject; ++page) {
        for (std::uint64_t actor = 0; actor < kChild; ++actor) {
          const auto seen = cpu->load(at(page, actor));
          ASSERT_TRUE(seen) << seen.error().text();
          EXPECT_EQ(*seen, copied[actor][page])
              << "page " << page << ", actor " << actor << " changed in the copy";
        }
        EXPECT_EQ(*cpu->load(at(page, kChild)), page + 1);
      }
    }
    EXPECT_GT(forks, 0);
  }

  /// What a copy shows of the memory that was copied: not older than what was known before the fork, and
  /// not newer than what can have been written by its end.
  Knowledge look_at_copy(Machine& child, const Knowledge& before, const Knowledge& after) const {
    Knowledge seen{};
    const auto cpu = child.another_cpu();
    for (std::uint64_t page = 0; page < kObject; ++page) {
      for (std::uint64_t actor = 0; actor < kChild; ++actor) {
        const auto word = cpu->load(at(page, actor));
        EXPECT_TRUE(word) << word.error().text();
        if (!word) return seen;
        seen[actor][page] = *word;
        EXPECT_GE(*word, before[actor][page])
            << "page " << page << ", actor " << actor << ": older than the fork";
        EXPECT_LE(*word, after[actor][page] + 1)
            << "page " << page << ", actor " << actor << ": newer than the fork";
      }
    }
    return seen;
  }

  Knowledge knowledge() const {
    Knowledge now{};
    for (std::uint64_t actor = 0; actor < kActors; ++actor) {
      for (std::uint64_t page = 0; page < kAll; ++page) now[actor][page] = known_[actor][page].load();
    }
    return now;
  }

  /// Wiring faults, lost translations, advice: things nobody may notice.
  void prepare() {
    std::mt19937_64 random(seed_ + 200);
    for (int round = 0; goes_on(round); ++round) {
      Machine& machine = random() % 3 == 0 ? *peer_ : *first_;
      const std::uint64_t page = kGroup + random() % (kAll - kGroup);
      switch (random() % 4) {
        case 0:
          machine.space().drop_translations();
          break;
        case 1: {
          const auto status = machine.space().fault(at(page), uvm::AccessKind::Read, uvm::FaultKind::WireMax);
          ASSERT_TRUE(status) << status.error().text();
          break;
        }
        case 2: {
          const auto status = machine.space().advise(
              pages(page, 1), random() % 2 == 0 ? uvm::Advice::Random : uvm::Advice::Normal);
          ASSERT_TRUE(status) << status.error().text();
          break;
        }
        default: {
          const auto status =
              first_->space().fault(at(page - kGroup), uvm::AccessKind::Write, uvm::FaultKind::WireMax);
          ASSERT_TRUE(status) << status.error().text();
        }
      }
    }
  }

  Backend& backend_;
  const std::uint64_t seed_;
  const int rounds_;
  std::unique_ptr<Machine> first_;
  std::unique_ptr<Machine> peer_;
  std::array<std::array<std::atomic<std::uint64_t>, kAll>, kActors> known_{};
  std::atomic<bool> over_{false};
};

}  // namespace

void stress(Backend& backend, std::uint64_t seed, int rounds) {
  Stress(backend, seed, rounds).run();
}

}  // namespace test::model
