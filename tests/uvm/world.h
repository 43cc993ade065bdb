// A space with relatives, an object and pins, for tests in which operations fail: nothing may be half done.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/alloc_steady_mmu.h"
#include "tests/uvm/pin_fixture.h"

namespace test {

/// A space, its relatives, an object and what holds them. Ends in the order in which a program would.
struct World {
  static constexpr std::uint64_t kBytes = std::uint64_t{1} << 26;
  SimArena arena;
  std::shared_ptr<KeepingPager> pager = std::make_shared<KeepingPager>("file", 64 * kPage, 100);
  std::shared_ptr<uvm::Object> object = uvm::Object::create(pager);
  std::shared_ptr<uvm::PinOwner> owner = uvm::PinOwner::create("vfio0");
  SteadyMmu mmu{kBytes, &arena};
  SteadyMmu other_mmu{kBytes, &arena};
  SteadyMmu third_mmu{kBytes, &arena};
  static uvm::GpaRange limits() { return *uvm::GpaRange::from_size(uvm::Gpa(0), kBytes); }
  std::unique_ptr<uvm::Space> space = uvm::Space::create("guest", mmu, limits()).value();
  std::unique_ptr<uvm::Space> other;  // shares with the space, or was forked from it
  std::unique_ptr<uvm::Space> third;  // what an operation makes
  std::optional<uvm::Access> access;
  std::vector<uvm::Pin> pins;

  void write(std::uint64_t number, std::uint64_t seed) const {
    EXPECT_OK(uvm::Access::write(*space, page(number), pattern(kPage, seed)));
  }
  void fork_other() { other = space->fork("other", other_mmu).value(); }
  uvm::Status fork_third() {
    UVMM_TRY(third, space->fork("third", third_mmu));
    return uvm::ok();
  }
  uvm::Status pin(uvm::GpaRange range) {
    UVMM_TRY(uvm::Pin made, uvm::Pin::create(*space, range, uvm::PinAccess::Write, owner));
    const AllocPause pause;  // the list is the test's
    pins.push_back(std::move(made));
    return uvm::ok();
  }
};

/// What must be the same before an operation and after its failure.
struct Picture {
  std::vector<std::string> entries;
  std::uint64_t pins = 0;
  std::uint64_t pinned_bytes = 0;
  std::uint64_t charged = 0;
  std::size_t holds = 0;
  std::size_t uses = 0;  // mappings that the object knows
  std::size_t frames = 0;

  friend bool operator==(const Picture&, const Picture&) = default;
};

/// Anons and needs_copy are left out: they say where a private page is kept, which a fork that fails may have
/// changed, and a frame counts wherever it is.
inline Picture picture_of(const World& world) {
  Picture seen;
  for (const uvm::EntryInfo& entry : world.space->entries()) {
    std::string line = to_string(entry.range) + " " + entry.name + " " + entry.object + " ";
    line += to_string(entry.offset) + " " + to_string(entry.protection);
    line += std::to_string(static_cast<int>(entry.inherit)) + std::to_string(static_cast<int>(entry.advice));
    seen.entries.push_back(line + " " + std::to_string(entry.wired));
  }
  seen.pins = world.space->pin_statistics().pins;
  seen.pinned_bytes = world.space->pin_statistics().bytes;
  seen.charged = world.owner->pinned();
  seen.holds = world.pager->held();
  seen.uses = world.object->uses();
  seen.frames = world.arena.live() + world.mmu.private_pages() + world.other_mmu.private_pages() +
                world.third_mmu.private_pages();
  return seen;
}

inline void PrintTo(const Picture& seen, std::ostream* out) {
  for (const std::string& line : seen.entries) *out << line << "; ";
  *out << seen.pins << " pins of " << seen.pinned_bytes << ", charged " << seen.charged << ", holds "
       << seen.holds << ", uses " << seen.uses << ", frames " << seen.frames;
}

/// Whether every fault that was counted ended in one way that was counted.
inline ::testing::AssertionResult counts_add_up(const uvm::Space& space) {
  const uvm::FaultStatistics s = space.statistics();
  const std::uint64_t ends =
      s.already + s.anon + s.anon_copied + s.object + s.object_copied + s.zero_filled + s.peeks + s.refused;
  if (ends == s.faults) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << s.faults << " faults, " << ends << " ends";
}

inline bool shows(uvm::Space& space, std::uint64_t number, std::uint64_t seed) {
  std::vector<std::byte> bytes(kPage);
  if (!uvm::Access::read(space, page(number), bytes)) return false;
  return seed == 0 ? is_zero(bytes) : is_pattern(bytes, seed);
}

/// What a failure may leave behind, seen by nobody who uses the memory.
enum class Leaves : std::uint8_t {
  Nothing,
  Pages,  // private pages that were made for it
  Cuts,   // a mapping in parts, because one of them has a layer for its private pages now
};

/// One operation: what is there before, what is done, what the contents are afterwards.
struct Operation {
  const char* name;
  const char* said;  // what the error has to name
  void (*prepare)(World&);
  uvm::Status (*act)(World&);
  void (*expect)(World&);
  Leaves leaves = Leaves::Nothing;
};

inline void PrintTo(const Operation& operation, std::ostream* out) {
  *out << operation.name;
}

}  // namespace test
