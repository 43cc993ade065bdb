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
// Invariants: planted() is what memory holds now; a spot that is neither wanted nor planted does not exist.
// Thread: the debugger's, while all vCPUs are stopped; planted() also on vCPU threads while they run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "uvm/base/error.h"
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

  explicit Overlay(PhysicalMemory& memory) : memory_(memory) {}

  /// Which byte is a trap on this host. Only while nothing is planted.
  void set_trap(std::byte trap) { trap_ = trap; }

  /// Marks; what is there already is not touched. want() reads the byte, so that a place without RAM is
  /// refused at once.
  [[nodiscard]] uvm::Status want(uvm::Gpa gpa, std::uint64_t linear);
  void unwant(uvm::Gpa gpa);
  void unwant_all();

  /// Memory follows the marks. An error names the place; the spots before it are as marked.
  [[nodiscard]] uvm::Status plant();
  /// Where the last plant() could not plant.
  [[nodiscard]] std::optional<uvm::Gpa> refused() const { return refused_; }
  /// After a stop: the places the guest has overwritten since, which it keeps until the next plant().
  [[nodiscard]] std::vector<Spot> check();

  /// Whether a trap lies there now. By page offset first: most questions end there.
  [[nodiscard]] bool planted(uvm::Gpa gpa) const;
  [[nodiscard]] bool may_be_planted(std::uint64_t address) const;
  [[nodiscard]] bool any_planted() const { return planted_count_ != 0; }
  [[nodiscard]] bool any_wanted() const;
  [[nodiscard]] const std::map<uvm::Gpa, Spot>& spots() const { return spots_; }

  /// Puts the guest's bytes into `bytes`, which were read from `gpa` on.
  void hide(uvm::Gpa gpa, std::span<std::byte> bytes) const;
  /// Writes; bytes under a trap become the originals instead.
  [[nodiscard]] uvm::Status write_through(uvm::Gpa gpa, std::span<const std::byte> bytes);

 private:
  using Iterator = std::map<uvm::Gpa, Spot>::iterator;
  [[nodiscard]] uvm::Status put(uvm::Gpa gpa, std::byte value);
  [[nodiscard]] uvm::Status lift(Iterator spot);
  void set_planted(uvm::Gpa gpa, Spot& spot, bool planted);
  [[nodiscard]] bool page_has_traps(uvm::Gpa gpa) const;

  PhysicalMemory& memory_;
  std::byte trap_{0xcc};
  std::map<uvm::Gpa, Spot> spots_;
  std::optional<uvm::Gpa> refused_;
  std::size_t planted_count_ = 0;
  std::vector<std::uint16_t> offsets_ =
      std::vector<std::uint16_t>(uvm::kPageSize);  // traps at each page offset
};

}  // namespace vmm::debug
