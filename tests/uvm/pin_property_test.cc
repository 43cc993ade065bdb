// Pins against plain arrays: whatever spaces that share, copy and pin each other's memory do, in any order,
// the frames that pins hold are the guests' memory.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "tests/uvm/pin_fixture.h"

namespace test {
namespace {

using uvm::ErrorKind;
using uvm::Inherit;
using uvm::Pin;
using uvm::Protection;

// Pages of every space: zeros, a private file, a shared file, and zeros that forks share.
constexpr std::uint64_t kFile = 8;
constexpr std::uint64_t kSharedFile = 16;
constexpr std::uint64_t kGroup = 24;
constexpr std::uint64_t kPages = 32;

/// The first word of a page; whoever sees the same page has the same cell.
using Cell = std::shared_ptr<std::uint64_t>;

std::uint64_t& word_of(const Pin& pin, std::uint64_t number) {
  return *reinterpret_cast<std::uint64_t*>(dma(pin, number).data());
}

struct Actor {
  std::unique_ptr<Guest> guest;
  std::array<Cell, kPages> cells;
  Inherit group = Inherit::Share;
  std::vector<Pin> pins;  // end before the space

  bool is_pinned(uvm::GpaRange range) const {
    for (const Pin& pin : pins) {
      if (pin.range().overlaps(range)) return true;
    }
    return false;
  }
};

class PinPropertyTest : public PinFixture {
 protected:
  std::uint64_t below(std::uint64_t n) { return random() % n; }
  Actor& some_actor() { return actors[below(actors.size())]; }

  void start() {
    Actor first;
    first.guest = std::make_unique<Guest>(arena, "first");
    uvm::Space& memory = *first.guest->space;
    EXPECT_OK(memory.map(ram(pages(0, kFile))));
    EXPECT_OK(memory.map(over(pages(kFile, 8), object(8, 0))));
    auto shared = over(pages(kSharedFile, 8), kept_object(8), uvm::Sharing::Shared);
    shared.inherit = Inherit::Share;
    for (std::uint64_t i = 0; i < 8; ++i) std::memset(keeper->store().page(i).data(), 0, kPage);
    EXPECT_OK(memory.map(shared));
    auto group = ram(pages(kGroup, 8));
    group.inherit = Inherit::Share;
    EXPECT_OK(memory.map(group));
    for (Cell& cell : first.cells) cell = std::make_shared<std::uint64_t>(0);
    actors.push_back(std::move(first));
  }

  void fork(Actor& parent) {
    if (actors.size() >= 4) return;
    {
      SimMmu mmu(Guest::kBytes, &arena);
      if (const auto trial = parent.guest->space->fork("trial", mmu); !trial) {
        EXPECT_ERROR(trial, ErrorKind::Pinned);
        EXPECT_TRUE(parent.group == Inherit::Share && parent.is_pinned(pages(kGroup, 8)));
        return;
      }
    }
    Actor child;
    child.group = parent.group;
    child.guest = std::make_unique<Guest>(arena, "child", *parent.guest);
    for (std::uint64_t p = 0; p < kPages; ++p) {
      const bool is_shared =
          (p >= kSharedFile && p < kGroup) || (p >= kGroup && parent.group == Inherit::Share);
      child.cells[p] = is_shared ? parent.cells[p] : std::make_shared<std::uint64_t>(*parent.cells[p]);
    }
    actors.push_back(std::move(child));
  }

  void replace(Actor& actor) {
    const std::uint64_t first = below(kFile);
    const uvm::GpaRange range = pages(first, 1 + below(kFile - first));
    auto request = ram(range);
    request.overlap = uvm::Overlap::Replace;
    const auto status = actor.guest->space->map(request);
    if (actor.is_pinned(range)) {
      EXPECT_ERROR(status, ErrorKind::Pinned);
      return;
    }
    EXPECT_OK(status);
    for (std::uint64_t p = first; p < range.end().page(); ++p)
      actor.cells[p] = std::make_shared<std::uint64_t>(0);
  }

  void write(Actor& actor) {
    const std::uint64_t p = below(kPages);
    const std::uint64_t value = random();
    if (below(3) == 0) {
      EXPECT_OK(actor.guest->space->protect(pages(p, 1), Protection::Read));
      EXPECT_ERROR(actor.guest->cpu.store(page(p), value), ErrorKind::Protection);
      EXPECT_OK(actor.guest->space->protect(pages(p, 1), Protection::All));
      EXPECT_OK(uvm::Access::write_value(*actor.guest->space, page(p), value));
    } else {
      EXPECT_OK(actor.guest->cpu.store(page(p), value));
    }
    *actor.cells[p] = value;
  }

  void transfer(Actor& actor) {
    if (actor.pins.empty()) return;
    const Pin& held = actor.pins[below(actor.pins.size())];
    const std::uint64_t p = held.range().begin().page() + below(held.range().pages());
    word_of(held, p) = *actor.cells[p] = random();
  }

  void pin_some(Actor& actor) {
    if (actor.pins.size() >= 5) return;
    const std::uint64_t first = below(kPages);
    const std::uint64_t count = 1 + below(std::min<std::uint64_t>(6, kPages - first));
    auto held = Pin::create(*actor.guest->space, pages(first, count), uvm::PinAccess::Write, vfio);
    ASSERT_TRUE(is_ok(held));
    actor.pins.push_back(std::move(held).value());
  }

  void unpin_some(Actor& actor) {
    if (actor.pins.empty()) return;
    actor.pins.erase(actor.pins.begin() + static_cast<std::ptrdiff_t>(below(actor.pins.size())));
  }

  void step() {
    Actor& actor = some_actor();
    switch (below(14)) {
      case 0:
      case 1:
        return pin_some(actor);
      case 2:
        return unpin_some(actor);
      case 3:
        return fork(actor);
      case 4:
        return actor.guest->space->drop_translations();
      case 5:
        return replace(actor);
      case 6:
        actor.group = below(2) != 0 ? Inherit::Share : Inherit::Copy;
        EXPECT_OK(actor.guest->space->inherit(pages(kGroup, 8), actor.group));
        return;
      case 7:
        if (actors.size() > 1 && below(2) == 0) {
          actor.pins.clear();
          actors.erase(actors.begin() + (&actor - actors.data()));
        }
        return;
      case 8:
      case 9:
      case 10:
        return transfer(actor);
      default:
        return write(actor);
    }
  }

  void check() {
    for (Actor& actor : actors) {
      for (const Pin& held : actor.pins) {
        for (std::uint64_t p = held.range().begin().page(); p < held.range().end().page(); ++p) {
          ASSERT_EQ(word_of(held, p), *actor.cells[p])
              << "the device of " << actor.guest->space->name() << " at page " << p;
        }
      }
      const std::uint64_t p = below(kPages);
      ASSERT_EQ(actor.guest->cpu.load(page(p)).value(), *actor.cells[p]) << "page " << p;
    }
  }

  std::mt19937_64 random;
  std::vector<Actor> actors;
};

TEST_F(PinPropertyTest, PinnedFramesAreTheMemory) {
  const std::uint64_t seed = test_seed();
  for (std::uint64_t round = 0; round < 10 && !HasFailure(); ++round) {
    random.seed(seed + round);
    start();
    for (int i = 0; i < 400 && !HasFailure(); ++i) {
      step();
      check();
    }
    for (Actor& actor : actors) {
      for (const Pin& held : actor.pins) EXPECT_TRUE(uses_pinned_frames(*actor.guest, held));
      for (std::uint64_t p = 0; p < kPages; ++p)
        EXPECT_EQ(actor.guest->cpu.load(page(p)).value(), *actor.cells[p]);
      actor.pins.clear();
      EXPECT_EQ(actor.guest->space->pin_statistics().pins, 0U);
    }
    actors.clear();
    expect_nothing_pinned();
  }
}

}  // namespace
}  // namespace test
