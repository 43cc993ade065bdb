// Software breakpoints as an overlay over guest memory: planted while the guest runs, never seen by a reader.
//
// A breakpoint is keyed by the physical address of its byte, so that aliases, text that processes share and a
// change of CR3 between setting and removing it all mean the same byte; the linear address is kept for show.
//
// Lazy. A debugger removes all breakpoints at each stop and sets them again before it goes on. So want() and
// unwant() only mark; plant() brings memory in line with the marks when the guest is about to run, and what
// was removed and set again costs nothing. Between the two every reader has to see the guest's bytes: hide()
// puts them back into what was read, write_through() keeps a debugger's write out of the trap.
//
// A guest that writes over a trap (a loader, the kernel patching its text) wins: check() at each stop finds
// that the byte is not the trap any more, takes it for the original, and the next plant() plants again. A
// write of the very byte that serves as the trap can't be told from the trap and is lost at removal; it would
// have to be an INT3 of the guest's on top of ours.
//
// Whoever copies memory whole (a fork, a snapshot) does not read through hide(). It takes a Suspension first:
// while one lives no trap is in memory and none gets there, whatever the debugger asks for; with the last one
// what is due is planted again.
//
// Invariants: planted() is what memory holds now; a spot that is neither wanted nor planted does not exist.
// Thread: any, with one lock of its own. Memory is changed only while all vCPUs are stopped; that is the
// caller's to see to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "uvm/base/range.h"
#include "uvm/base/units.h"
#include "vmm/debug/physical_memory.h"

namespace vmm::debug {

class Overlay {
 public:
  struct Spot {
    std::uint64_t linear = 0;  // where the debugger asked for it; the physical address for a physical one
    bool wanted = false;
    bool planted = false;
    std::byte original{};
  };

  /// Memory as if nobody had a breakpoint in it, as long as it lives. Must not outlive the overlay; all vCPUs
  /// stay stopped as long as it lives.
  class Suspension {
   public:
    explicit Suspension(Overlay& overlay) : overlay_(&overlay) {}
    ~Suspension() {
      if (overlay_ != nullptr) overlay_->end_suspension();
    }
    Suspension(Suspension&& other) noexcept : overlay_(std::exchange(other.overlay_, nullptr)) {}
    Suspension& operator=(Suspension&&) = delete;
    Suspension(const Suspension&) = delete;
    Suspension& operator=(const Suspension&) = delete;

   private:
    Overlay* overlay_;
  };

  explicit Overlay(PhysicalMemory& memory) : memory_(memory) {}

  /// Lifts every trap; marks stay. Nests. An error names the place that could not be written, and everything
  /// is as it was.
  [[nodiscard]] uvm::Result<Suspension> suspend() EXCLUDES(mutex_);

  /// Which byte is a trap on this host. Only while nothing is planted.
  void set_trap(std::byte trap) EXCLUDES(mutex_);

  /// Marks; what is there already is not touched. want() reads the byte, so that a place without RAM is
  /// refused at once.
  [[nodiscard]] uvm::Status want(uvm::Gpa gpa, std::uint64_t linear) EXCLUDES(mutex_);
  void unwant(uvm::Gpa gpa) EXCLUDES(mutex_);
  void unwant_all() EXCLUDES(mutex_);

  /// Memory follows the marks, at once or, while it is suspended, when that ends. An error names the place;
  /// the spots before it are as marked.
  [[nodiscard]] uvm::Status plant() EXCLUDES(mutex_);
  /// Where the last plant() could not plant.
  [[nodiscard]] std::optional<uvm::Gpa> refused() const EXCLUDES(mutex_);
  /// After a stop: the places the guest has overwritten since, which it keeps until the next plant().
  [[nodiscard]] std::vector<Spot> check() EXCLUDES(mutex_);

  /// Whether a trap lies there now. By page offset first: most questions end there.
  [[nodiscard]] bool planted(uvm::Gpa gpa) const EXCLUDES(mutex_);
  [[nodiscard]] bool may_be_planted(std::uint64_t address) const EXCLUDES(mutex_);
  [[nodiscard]] bool any_planted() const EXCLUDES(mutex_);
  [[nodiscard]] bool any_wanted() const EXCLUDES(mutex_);
  /// Where traps lie now, ascending.
  [[nodiscard]] std::vector<uvm::Gpa> planted_places() const EXCLUDES(mutex_);
  /// A copy of all there are.
  [[nodiscard]] std::map<uvm::Gpa, Spot> spots() const EXCLUDES(mutex_);
  [[nodiscard]] std::optional<Spot> find(uvm::Gpa gpa) const EXCLUDES(mutex_);
  /// The wanted one that was asked for by this linear address.
  [[nodiscard]] std::optional<uvm::Gpa> find_wanted(std::uint64_t linear) const EXCLUDES(mutex_);

  /// Puts the guest's bytes into `bytes`, which were read from `gpa` on.
  void hide(uvm::Gpa gpa, std::span<std::byte> bytes) const EXCLUDES(mutex_);
  /// Writes; bytes under a trap become the originals instead.
  [[nodiscard]] uvm::Status write_through(uvm::Gpa gpa, std::span<const std::byte> bytes) EXCLUDES(mutex_);

 private:
  using Iterator = std::map<uvm::Gpa, Spot>::iterator;
  [[nodiscard]] uvm::Status put(uvm::Gpa gpa, std::byte value);
  [[nodiscard]] uvm::Status plant_locked() REQUIRES(mutex_);
  /// The guest's byte comes back; the spot stays.
  [[nodiscard]] uvm::Status lift_locked(Iterator spot) REQUIRES(mutex_);
  void set_planted_locked(uvm::Gpa gpa, Spot& spot, bool planted) REQUIRES(mutex_);
  [[nodiscard]] bool page_has_traps_locked(uvm::Gpa gpa) const REQUIRES(mutex_);
  void end_suspension() EXCLUDES(mutex_);

  PhysicalMemory& memory_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Device};
  std::byte trap_ GUARDED_BY(mutex_){0xcc};
  std::map<uvm::Gpa, Spot> spots_ GUARDED_BY(mutex_);
  std::optional<uvm::Gpa> refused_ GUARDED_BY(mutex_);
  std::size_t suspensions_ GUARDED_BY(mutex_) = 0;
  bool planting_due_ GUARDED_BY(mutex_) = false;
  std::size_t planted_count_ GUARDED_BY(mutex_) = 0;
  std::vector<std::uint16_t> offsets_ GUARDED_BY(mutex_) =
      std::vector<std::uint16_t>(uvm::kPageSize);  // traps at each page offset
};

}  // namespace vmm::debug
